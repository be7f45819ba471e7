//! `boxlite stop`.

use std::time::Duration;

use clap::Args;

use super::targets::Tally;
use crate::errors::Failure;
use crate::session::Session;

/// Stops boxes; their disks are kept
#[derive(Debug, Args)]
pub struct Arguments {
    /// Names, ids or unique beginnings of ids
    #[arg(value_name = "BOX", required = true)]
    pub boxes: Vec<String>,
    /// Seconds the commands in it have to end before they are killed
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10)]
    pub time: u32,
}

/// Stops each, and prints the name it was called by.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let mut tally = Tally::new(session.format);
    let timeout = Duration::from_secs(arguments.time.into());
    for name in arguments.boxes {
        let runtime = session.runtime.clone();
        let stop = async {
            runtime.get(&name).await?.stop(timeout).await?;
            Ok(name.clone())
        };
        let stopped = session.interrupts.cancelling(stop).await;
        tally.enter(stopped, String::clone)?;
    }
    tally.finish()
}
