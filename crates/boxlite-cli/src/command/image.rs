//! `boxlite image`: what can be done with images that are held.

use std::path::PathBuf;

use boxlite::{Platform, RemovedImage};
use clap::{Args, Subcommand};

use super::targets::Tally;
use crate::arguments::Format;
use crate::errors::Failure;
use crate::output::size::human_bytes;
use crate::output::{print, print_json, say};
use crate::session::Session;

/// Works with the images held
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with them.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Prints everything known of images, as JSON
    Inspect {
        /// References, digests or unique beginnings of digests
        #[arg(value_name = "IMAGE", required = true)]
        images: Vec<String>,
        /// Platform, if several are held
        #[arg(long)]
        platform: Option<Platform>,
    },
    /// Gives an image a further name
    Tag {
        /// Image that is held
        image: String,
        /// Its new name
        name: String,
    },
    /// Removes names, and images that have no name left
    Rm {
        /// References or digests
        #[arg(value_name = "IMAGE", required = true)]
        images: Vec<String>,
        /// Remove it with all its names, even if boxes were made of it
        #[arg(short, long)]
        force: bool,
    },
    /// Writes the root filesystem of an image as one EROFS file
    Export {
        /// Image that is held
        image: String,
        /// File to write
        file: PathBuf,
        /// Platform, if several are held
        #[arg(long)]
        platform: Option<Platform>,
    },
}

/// Carries the action out.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let images = session.runtime.images().clone();
    match arguments.action {
        Action::Inspect { images: names, platform } => {
            // Always JSON, as there is no table of everything.
            let mut tally = Tally::new(Format::Json);
            for name in &names {
                let details = images.inspect(name, platform.clone()).await.map_err(Failure::from);
                tally.enter(details, |_| String::new())?;
            }
            tally.finish()
        }
        Action::Tag { image, name } => {
            let tagged = images.tag(&image, &name).await?;
            match session.format {
                Format::Json => print_json(&tagged)?,
                Format::Table => print(format_args!("{}\n", tagged.reference))?,
            }
            Ok(0)
        }
        Action::Rm { images: names, force } => {
            let mut tally = Tally::new(session.format);
            for name in &names {
                let removal = async { Ok(images.remove(name, force).await?) };
                let removed = session.interrupts.cancelling(removal).await;
                tally.enter(removed, removal_lines)?;
            }
            tally.finish()
        }
        Action::Export { image, file, platform } => {
            let export = async { Ok(images.export_erofs(&image, platform, &file).await?) };
            session.interrupts.cancelling(export).await?;
            if !session.quiet {
                say(format_args!("Wrote `{}`", file.display()));
            }
            Ok(0)
        }
    }
}

fn removal_lines(removed: &RemovedImage) -> String {
    let untagged = removed.untagged.iter().map(|reference| format!("Untagged {reference}"));
    let deleted = removed.deleted.iter().map(|id| format!("Deleted {id}"));
    let freed = (removed.bytes_freed > 0).then(|| format!("Freed {}", human_bytes(removed.bytes_freed)));
    untagged.chain(deleted).chain(freed).collect::<Vec<_>>().join("\n")
}
