//! `api/operations.toml`: every operation, and what it is called on each surface, or why it is not there.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The columns of the table, in the order they are shown.
pub const COLUMNS: [&str; 6] = ["rust", "c", "go", "python", "node", "cli"];

/// The whole table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its rows, in the order of the file.
    #[serde(rename = "operation")]
    pub operations: Vec<Operation>,
}

/// One operation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Name, as scenarios and the adapter protocol have it.
    pub name: String,
    /// What it does, as one line.
    pub summary: String,
    /// Why no scenario uses it, where none does.
    pub untested: Option<String>,
    rust: Presence,
    c: Presence,
    go: Presence,
    python: Presence,
    node: Presence,
    cli: Presence,
}

/// Whether a surface has an operation.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Presence {
    /// It has, under this name.
    Name(String),
    /// It has not, and here is why.
    Absent {
        /// The reason, as one line.
        absent: String,
    },
}

impl Table {
    /// Reads the table.
    ///
    /// # Errors
    /// If it cannot be read, or a row is there twice.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let table: Table = toml::from_str(&text).with_context(|| path.display().to_string())?;
        for (number, operation) in table.operations.iter().enumerate() {
            if table.operations[..number].iter().any(|other| other.name == operation.name) {
                bail!("{}: `{}` is there twice", path.display(), operation.name);
            }
        }
        Ok(table)
    }

    /// Finds an operation by its name.
    pub fn get(&self, name: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.name == name)
    }
}

impl Operation {
    /// Returns the cell of a column.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn presence(&self, column: &str) -> &Presence {
        match column {
            "rust" => &self.rust,
            "c" => &self.c,
            "go" => &self.go,
            "python" => &self.python,
            "node" => &self.node,
            "cli" => &self.cli,
            other => panic!("the table has no column `{other}`"),
        }
    }

    /// Returns its name on a surface, if it is there.
    pub fn on(&self, column: &str) -> Option<&str> {
        match self.presence(column) {
            Presence::Name(name) => Some(name),
            Presence::Absent { .. } => None,
        }
    }
}
