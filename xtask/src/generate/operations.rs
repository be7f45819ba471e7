//! `api/operations.toml` to the table of the docs: what each surface calls an operation, or why it has none.

use std::fmt::Write;

use anyhow::{Result, bail};
use serde::Deserialize;

use super::Generated;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    operation: Vec<Operation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    name: String,
    summary: String,
    untested: Option<String>,
    rust: Cell,
    c: Cell,
    go: Cell,
    python: Cell,
    node: Cell,
    cli: Cell,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Cell {
    Name(String),
    Absent { absent: String },
}

pub fn generate(toml: &str) -> Result<Generated> {
    let table: Table = toml::from_str(toml)?;
    for (number, operation) in table.operation.iter().enumerate() {
        if table.operation[..number].iter().any(|other| other.name == operation.name) {
            bail!("operations.toml: `{}` is there twice", operation.name);
        }
    }
    Ok(Generated { path: "docs/parity.md", text: page(&table.operation) })
}

fn page(operations: &[Operation]) -> String {
    let mut out = String::from(
        "# Parity\n\n<!-- Generated from `api/operations.toml` by `make gen`; change it there. -->\n\n\
         Every operation, and what it is called on each surface. All of them behave the same: the scenarios of `api/scenarios/`\n\
         are run through each one. A dash has its reason below the table.\n\n\
         | operation | Rust | C | Go | Python | Node | command line |\n|---|---|---|---|---|---|---|\n",
    );
    let mut absent = Vec::new();
    for operation in operations {
        let cells = [
            ("Rust", &operation.rust),
            ("C", &operation.c),
            ("Go", &operation.go),
            ("Python", &operation.python),
            ("Node", &operation.node),
            ("the command line", &operation.cli),
        ];
        let _ = write!(out, "| `{}`: {} |", operation.name, operation.summary);
        for (surface, cell) in cells {
            match cell {
                Cell::Name(name) => {
                    let _ = write!(out, " `{name}` |");
                }
                Cell::Absent { absent: why } => {
                    out.push_str(" - |");
                    absent.push(format!("- `{}` in {surface}: {why}", operation.name));
                }
            }
        }
        out.push('\n');
    }
    out.push_str("\n## What is not there, and why\n\n");
    absent.iter().for_each(|line| {
        let _ = writeln!(out, "{line}");
    });
    out.push_str("\n## What no scenario runs, and why\n\n");
    for operation in operations {
        if let Some(why) = &operation.untested {
            let _ = writeln!(out, "- `{}`: {why}", operation.name);
        }
    }
    out
}
