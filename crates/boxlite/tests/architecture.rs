//! The direction of dependencies, as ARCHITECTURE.md draws it, read from `cargo metadata`.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Every crate of the library with its level: a crate sees only what is below it.
const LEVELS: [(&str, u32); 13] = [
    ("boxlite-types", 0),
    ("boxlite-protocol", 1),
    ("boxlite-rootfs", 1),
    ("boxlite-state", 1),
    ("boxlite-agent", 2),
    ("boxlite-engine", 2),
    ("boxlite-image", 2),
    ("boxlite-helpers", 3),
    ("boxlite", 4),
    ("boxlite-cli", 5),
    ("boxlite-ffi", 5),
    ("boxlite-node", 5),
    ("boxlite-python", 5),
];

/// Crates that no user of the library ever compiles.
const DEVELOPMENT: [&str; 4] = ["boxlite-testkit", "boxlite-conformance", "boxlite-benches", "xtask"];

/// One dependency of a workspace crate on another.
struct Edge {
    from: String,
    to: String,
    development: bool,
}

fn edges() -> (Vec<String>, Vec<Edge>) {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("it lists packages");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names: Vec<String> = packages.iter().map(|package| text(&package["name"])).collect();
    let mut edges = Vec::new();
    for package in packages {
        for dependency in package["dependencies"].as_array().expect("it lists dependencies") {
            let to = text(&dependency["name"]);
            if names.contains(&to) {
                let development = dependency["kind"] == "dev";
                edges.push(Edge { from: text(&package["name"]), to, development });
            }
        }
    }
    (names, edges)
}

#[test]
fn every_crate_has_a_level() {
    let (names, _) = edges();
    let levels = BTreeMap::from(LEVELS);
    let unknown: Vec<_> =
        names.iter().filter(|name| !levels.contains_key(name.as_str()) && !is_development(name)).collect();
    assert!(unknown.is_empty(), "without a level: {unknown:?}");
    let missing: Vec<_> = levels.keys().filter(|name| !names.iter().any(|known| known == *name)).collect();
    assert!(missing.is_empty(), "not in the workspace: {missing:?}");
}

#[test]
fn dependencies_point_strictly_downwards() {
    let levels = BTreeMap::from(LEVELS);
    let (_, edges) = edges();
    let wrong: Vec<_> = edges
        .iter()
        .filter(|edge| !edge.development && !is_development(&edge.from))
        .filter(|edge| levels.get(edge.from.as_str()) <= levels.get(edge.to.as_str()))
        .map(|edge| format!("{} -> {}", edge.from, edge.to))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(edges.len() > 20, "the edges were not found");
}

#[test]
fn nothing_is_built_on_what_is_for_development() {
    let (_, edges) = edges();
    let wrong: Vec<_> = edges
        .iter()
        .filter(|edge| is_development(&edge.to) && !edge.development && !is_development(&edge.from))
        .map(|edge| format!("{} -> {}", edge.from, edge.to))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_agent_sees_the_protocol_and_the_types_only() {
    let (_, edges) = edges();
    let seen: Vec<_> = edges
        .iter()
        .filter(|edge| edge.from == "boxlite-agent" && !edge.development)
        .map(|edge| edge.to.as_str())
        .filter(|name| !["boxlite-protocol", "boxlite-types"].contains(name))
        .collect();
    assert!(seen.is_empty(), "{seen:?}");
}

fn is_development(name: &str) -> bool {
    DEVELOPMENT.contains(&name)
}
