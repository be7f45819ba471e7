//! Builds the helper programs as static executables and compresses them for embedding.
//!
//! They need flags of their own (`+crt-static`: the agent runs where there is no libc), so they are built by a second
//! cargo with a target directory of its own beside the outer one; cargo's own fingerprints make it a no-op when nothing
//! changed, and every profile of the outer build shares the result.

use std::path::{Path, PathBuf};
use std::process::Command;

const HELPERS: [&str; 2] = ["boxlite-agent", "boxlite-shim"];
const SOURCES: [&str; 4] = ["boxlite-agent", "boxlite-engine", "boxlite-protocol", "boxlite-types"];

fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let out = PathBuf::from(variable("OUT_DIR"));
    let crates =
        Path::new(&variable("CARGO_MANIFEST_DIR")).parent().expect("a crate lies in crates/").to_owned();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", crates.join(source).join("src").display());
        println!("cargo::rerun-if-changed={}", crates.join(source).join("Cargo.toml").display());
    }
    // <target>/<profile>/build/<package>-<hash>/out
    let target_dir = out.ancestors().nth(4).expect("OUT_DIR lies in the target directory").join("helpers");
    let triple = variable("TARGET");
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .current_dir(&crates)
        .args(["build", "--release", "--target", &triple, "--target-dir"])
        .arg(&target_dir)
        .args(["--package", "boxlite-agent", "--package", "boxlite-engine"])
        .env("RUSTFLAGS", "-C target-feature=+crt-static -C strip=symbols")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    for helper in HELPERS {
        cargo.args(["--bin", helper]);
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "building the helper programs failed");
    for helper in HELPERS {
        let program =
            std::fs::read(target_dir.join(&triple).join("release").join(helper)).expect("cargo built it");
        let packed = zstd::bulk::compress(&program, 19).expect("compressing memory into memory");
        std::fs::write(out.join(format!("{helper}.zst")), packed).expect("OUT_DIR can be written");
    }
}
