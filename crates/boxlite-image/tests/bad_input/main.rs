//! Everything malformed, contradictory or hostile that a reference, a document, a layer or a server can be, as a table:
//! each ends in its own error that names the thing, changes nothing in the home, and does not get in the way of the next,
//! genuine pull. How that is seen is in [`scene`]; the table is the other modules.

#[path = "../common/mod.rs"]
mod common;

mod configs;
mod layers;
mod manifests;
mod references;
mod scene;
mod servers;
mod tokens;

use scene::{Case, run_all};

const GROUPS: [&[Case]; 6] =
    [references::CASES, manifests::CASES, configs::CASES, layers::CASES, servers::CASES, tokens::CASES];

#[test]
fn references() {
    run_all(references::CASES);
}

#[test]
fn manifests() {
    run_all(manifests::CASES);
}

#[test]
fn configs() {
    run_all(configs::CASES);
}

#[test]
fn layers() {
    run_all(layers::CASES);
}

#[test]
fn servers() {
    run_all(servers::CASES);
}

#[test]
fn tokens() {
    run_all(tokens::CASES);
}

#[test]
fn the_table_is_no_shorter_than_promised_and_no_case_stands_twice() {
    let mut names: Vec<&str> = GROUPS.iter().flat_map(|cases| cases.iter().map(|case| case.name)).collect();
    assert!(names.len() >= 62, "only {} cases", names.len());
    names.sort_unstable();
    let twice: Vec<&[&str]> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
