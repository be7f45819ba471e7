//! `boxlite pull`.

use boxlite::{Platform, PullOptions, PullPolicy};
use clap::Args;

use crate::arguments::Format;
use crate::errors::Failure;
use crate::output::{print, print_json};
use crate::session::Session;

/// Fetches an image from its registry and makes it ready to run
#[derive(Debug, Args)]
pub struct Arguments {
    /// Image to fetch, as `registry.example/team/app:1.2`, or `app:1.2` where `--registry` finds it
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Platform of the image, as `linux/amd64` [default: that of this host]
    #[arg(long)]
    pub platform: Option<Platform>,
}

/// Pulls, and prints the full reference: a name for the same image that does not depend on any setting.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let options =
        PullOptions { platform: arguments.platform, policy: PullPolicy::Always, ..PullOptions::default() };
    let images = session.runtime.images().clone();
    let pulled = session.telling(images.pull(&arguments.image, options)).await?;
    match session.format {
        Format::Json => print_json(&pulled)?,
        Format::Table if session.quiet => print(format_args!("{}\n", pulled.id))?,
        Format::Table => {
            if pulled.cached {
                crate::output::say(format_args!("Up to date: {} ({} layers)", pulled.id, pulled.layer_count));
            }
            print(format_args!("{}\n", pulled.reference))?;
        }
    }
    Ok(0)
}
