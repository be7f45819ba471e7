//! Files that are made from `api/`: each is a pure function of it, so that writing and checking are the same code.

mod errors;

use std::path::Path;

use anyhow::{Context, Result, bail};

/// A generated file: its path below the root, and what it has to hold.
pub struct Generated {
    path: &'static str,
    text: String,
}

fn all(root: &Path) -> Result<Vec<Generated>> {
    errors::generate(&std::fs::read_to_string(root.join("api/errors.toml")).context("api/errors.toml")?)
}

/// Writes every generated file.
pub fn write(root: &Path) -> Result<()> {
    for file in all(root)? {
        if let Some(directory) = root.join(file.path).parent() {
            std::fs::create_dir_all(directory).context(file.path)?;
        }
        std::fs::write(root.join(file.path), file.text).context(file.path)?;
    }
    Ok(())
}

/// Fails, naming them, if generated files differ from what would be written.
pub fn check(root: &Path) -> Result<()> {
    let files = all(root)?;
    let stale =
        |file: &&Generated| std::fs::read_to_string(root.join(file.path)).ok().as_ref() != Some(&file.text);
    let stale: Vec<&str> = files.iter().filter(stale).map(|file| file.path).collect();
    if !stale.is_empty() {
        bail!("stale: {}; run `make gen` and commit", stale.join(", "));
    }
    println!("{} generated files are fresh", files.len());
    Ok(())
}
