//! `boxlite rm`.

use clap::Args;

use super::targets::Tally;
use crate::errors::Failure;
use crate::session::Session;

/// Removes boxes and their disks
#[derive(Debug, Args)]
pub struct Arguments {
    /// Names, ids or unique beginnings of ids
    #[arg(value_name = "BOX", required = true)]
    pub boxes: Vec<String>,
    /// Kill a box that runs
    #[arg(short, long)]
    pub force: bool,
}

/// Removes each, and prints the name it was called by.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let mut tally = Tally::new(session.format);
    for name in arguments.boxes {
        let runtime = session.runtime.clone();
        let removal = async { Ok(runtime.remove(&name, arguments.force).await.map(|()| name.clone())?) };
        let removed = session.interrupts.cancelling(removal).await;
        tally.enter(removed, String::clone)?;
    }
    tally.finish()
}
