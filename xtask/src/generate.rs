//! Files that are made from `api/` and from sources: each is a pure function of them, so that writing and checking are the
//! same code.

mod errors;
mod header;
mod operations;

use std::path::Path;

use anyhow::{Context, Result, bail};

/// A generated file: its path below the root, and what it has to hold.
pub struct Generated {
    path: &'static str,
    text: String,
}

type Generator = fn(&Path) -> Result<Vec<Generated>>;

/// What makes files, in order: a later one may read what an earlier one has written.
const GENERATORS: [Generator; 3] = [error_tables, c_header, parity];

fn error_tables(root: &Path) -> Result<Vec<Generated>> {
    errors::generate(&std::fs::read_to_string(root.join("api/errors.toml")).context("api/errors.toml")?)
}

fn c_header(root: &Path) -> Result<Vec<Generated>> {
    Ok(vec![header::generate(root)?])
}

fn parity(root: &Path) -> Result<Vec<Generated>> {
    let toml = std::fs::read_to_string(root.join("api/operations.toml")).context("api/operations.toml")?;
    Ok(vec![operations::generate(&toml)?])
}

/// Writes every generated file.
pub fn write(root: &Path) -> Result<()> {
    for generator in GENERATORS {
        for file in generator(root)? {
            if let Some(directory) = root.join(file.path).parent() {
                std::fs::create_dir_all(directory).context(file.path)?;
            }
            std::fs::write(root.join(file.path), file.text).context(file.path)?;
        }
    }
    Ok(())
}

/// Fails, naming them, if generated files differ from what would be written.
pub fn check(root: &Path) -> Result<()> {
    let mut files = Vec::new();
    for generator in GENERATORS {
        files.extend(generator(root)?);
    }
    let stale =
        |file: &&Generated| std::fs::read_to_string(root.join(file.path)).ok().as_ref() != Some(&file.text);
    let stale: Vec<&str> = files.iter().filter(stale).map(|file| file.path).collect();
    if !stale.is_empty() {
        bail!("stale: {}; run `make gen` and commit", stale.join(", "));
    }
    println!("{} generated files are fresh", files.len());
    Ok(())
}
