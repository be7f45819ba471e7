//! What the library exports is what the header declares, and nothing of the remote backend is linked into it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Crates that speak the product's own protocol over HTTP, or would serve it. The registry client needs none of them.
const REMOTE: [&str; 9] = [
    "boxlite-server",
    "boxlite-remote",
    "boxlite-rest",
    "axum",
    "utoipa",
    "tonic",
    "tungstenite",
    "tokio-tungstenite",
    "hyper-server",
];

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The shared library that was built together with this test.
fn shared_library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let directory = test.parent().unwrap();
    let beside = directory.parent().unwrap().join("libboxlite_ffi.so");
    let built = [directory.join("libboxlite_ffi.so"), beside];
    built.into_iter().find(|path| path.exists()).expect("cargo builds it for the tests")
}

/// The functions that the header declares, the inline ones aside.
fn declared(header: &str) -> BTreeSet<String> {
    let lines =
        header.lines().filter(|line| !line.starts_with([' ', '*', '/', '#']) && !line.starts_with("static"));
    let name = |line: &str| {
        let head = line.split_once('(')?.0;
        let name = head.rsplit([' ', '*']).next()?;
        name.starts_with("boxlite_").then(|| name.to_owned())
    };
    lines.filter_map(name).collect()
}

#[test]
fn the_shared_library_exports_the_functions_of_the_header_and_nothing_else() {
    let header =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/boxlite.h")).unwrap();
    let symbols = run(Command::new("nm").args(["--dynamic", "--defined-only"]).arg(shared_library()));
    let exported: BTreeSet<String> =
        symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect();
    let declared = declared(&header);
    assert!(declared.len() > 100, "{declared:?}");
    assert_eq!(
        exported.difference(&declared).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "not in the header"
    );
    assert_eq!(
        declared.difference(&exported).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "not in the library"
    );
}

#[test]
fn the_shared_library_has_the_name_that_programs_are_linked_against() {
    let dynamic = run(Command::new("readelf").arg("--dynamic").arg(shared_library()));
    let version = format!("[libboxlite.so.{}]", boxlite_ffi::BOXLITE_ABI_VERSION);
    assert!(dynamic.lines().any(|line| line.contains("SONAME") && line.contains(&version)), "{dynamic}");
}

#[test]
fn no_crate_of_the_remote_backend_is_among_the_normal_dependencies() {
    let metadata = run(Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--locked", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")));
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let names: HashMap<String, String> =
        packages.iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let normal: HashMap<String, Vec<String>> = nodes
        .iter()
        .map(|node| {
            let dependencies = node["deps"].as_array().unwrap().iter();
            let is_normal = |dependency: &&Value| {
                dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
            };
            (
                text(&node["id"]),
                dependencies.filter(is_normal).map(|dependency| text(&dependency["pkg"])).collect(),
            )
        })
        .collect();
    let root = names.iter().find(|(_, name)| *name == "boxlite-ffi").unwrap().0;
    let (mut reached, mut next) = (HashSet::new(), vec![root.clone()]);
    while let Some(id) = next.pop() {
        if reached.insert(id.clone()) {
            next.extend(normal[&id].iter().cloned());
        }
    }
    let reached: BTreeSet<&str> = reached.iter().map(|id| names[id].as_str()).collect();
    assert!(
        reached.contains("boxlite-image") && reached.contains("reqwest"),
        "the graph was not read: {reached:?}"
    );
    let remote: Vec<_> = REMOTE.iter().filter(|name| reached.contains(*name)).collect();
    assert_eq!(remote, Vec::<&&str>::new());
}
