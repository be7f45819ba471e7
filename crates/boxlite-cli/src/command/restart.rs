//! `boxlite restart`.

use std::time::Duration;

use clap::Args;

use super::targets::Tally;
use crate::errors::Failure;
use crate::session::Session;

/// Stops boxes that run, and starts them again
#[derive(Debug, Args)]
pub struct Arguments {
    /// Names, ids or unique beginnings of ids
    #[arg(value_name = "BOX", required = true)]
    pub boxes: Vec<String>,
    /// Seconds the commands in it have to end before they are killed
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10)]
    pub time: u32,
}

/// Restarts each, and prints the name it was called by.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let mut tally = Tally::new(session.format);
    let timeout = Duration::from_secs(arguments.time.into());
    for name in arguments.boxes {
        let runtime = session.runtime.clone();
        let restart = async {
            let machine = runtime.get(&name).await?;
            // It is to outlive this process, also if it was made to run in the foreground.
            machine.detach().await?;
            machine.restart(timeout).await?;
            Ok(name.clone())
        };
        let restarted = session.telling(restart).await;
        tally.enter(restarted, String::clone)?;
    }
    tally.finish()
}
