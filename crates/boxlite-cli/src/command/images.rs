//! `boxlite images`.

use clap::Args;

use crate::arguments::Format;
use crate::errors::Failure;
use crate::output::size::human_bytes;
use crate::output::table::Table;
use crate::output::time::ago;
use crate::output::{print, print_json};
use crate::session::Session;

/// Lists the images held, newest first
#[derive(Debug, Args)]
pub struct Arguments {}

/// Prints one row for each reference; with `--quiet` each image's id once.
pub async fn execute(_: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let images = session.runtime.images().list().await?;
    if session.format == Format::Json {
        print_json(&images)?;
    } else if session.quiet {
        let mut seen = std::collections::HashSet::new();
        let ids = images.iter().filter(|image| seen.insert(image.id));
        print(ids.map(|image| format!("{}\n", image.id)).collect::<String>())?;
    } else {
        let mut table = Table::new(&["REPOSITORY", "TAG", "IMAGE ID", "PLATFORM", "PULLED", "SIZE"]);
        for image in images {
            table.row([
                image.repository,
                if image.tag.is_empty() { "-".into() } else { image.tag },
                image.id.hex()[..12].to_owned(),
                image.platform.to_string(),
                ago(image.cached_at),
                human_bytes(image.size_bytes),
            ]);
        }
        print(table)?;
    }
    Ok(0)
}
