//! Names the shared library the way the dynamic linker will look for it.

/// The name programs are linked against; the number changes together with `BOXLITE_ABI_VERSION`.
const SONAME: &str = "libboxlite.so.1";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    }
}
