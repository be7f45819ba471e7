//! `boxlite start`.

use clap::Args;

use super::making::{names_no_command, start_connected};
use super::targets::Tally;
use crate::errors::Failure;
use crate::foreground::{Connection, conclude};
use crate::session::Session;

/// Starts boxes that were created or stopped
#[derive(Debug, Args)]
pub struct Arguments {
    /// Names, ids or unique beginnings of ids
    #[arg(value_name = "BOX", required = true)]
    pub boxes: Vec<String>,
    /// Show the output of its command and exit with its exit code; for one box
    #[arg(short, long)]
    pub attach: bool,
    /// Connect stdin to its command, if the box was made with `-i`
    #[arg(short, long, requires = "attach")]
    pub interactive: bool,
}

/// Starts each, and prints the name it was called by.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    if arguments.attach {
        return attach(&arguments, session).await;
    }
    let mut tally = Tally::new(session.format);
    for name in arguments.boxes {
        let runtime = session.runtime.clone();
        let start = async {
            let machine = runtime.get(&name).await?;
            // It is to outlive this process, also if it was made to run in the foreground.
            machine.detach().await?;
            machine.start().await?;
            Ok(name.clone())
        };
        let started = session.telling(start).await;
        tally.enter(started, String::clone)?;
    }
    tally.finish()
}

async fn attach(arguments: &Arguments, session: &mut Session) -> Result<u8, Failure> {
    let [name] = &arguments.boxes[..] else {
        return Err(boxlite::Error::new(
            boxlite::ErrorCode::InvalidArgument,
            "`--attach` shows the output of one box, not of several",
        )
        .hint("start the others without it")
        .into());
    };
    let machine = session.runtime.get(name).await?;
    let info = machine.info().await?;
    let main = info.spec.main.ok_or_else(|| names_no_command(&info.image))?;
    let interactive = arguments.interactive && main.stdin;
    let connection = Connection { interactive, tty: main.tty.is_some() };
    connection.check()?;
    let status = start_connected(&machine, connection, session).await?;
    Ok(conclude(&status, session.format))
}
