//! One module for each command: its flags, and what it does with the library. Decisions that are not about typing and
//! printing belong in the library, where every language has them.

pub mod completion;
pub mod cp;
pub mod create;
pub mod doctor;
pub mod exec;
pub mod image;
pub mod images;
pub mod inspect;
pub mod kernel;
pub mod logs;
mod making;
pub mod ps;
pub mod pull;
pub mod restart;
pub mod rm;
pub mod run;
mod settings;
pub mod start;
pub mod stop;
pub mod system;
mod targets;
mod version;

use crate::arguments::{Command, Global};
use crate::errors::Failure;
use crate::session::Session;

/// Carries a command out and returns the exit code.
///
/// # Errors
/// Whatever kept it from its end.
pub async fn execute(command: Command, global: &Global) -> Result<u8, Failure> {
    match command {
        Command::Completion(arguments) => return completion::execute(&arguments),
        Command::Version => return version::execute(global.format),
        _ => {}
    }
    let mut session = Session::open(global).await?;
    let result = execute_in(command, &mut session).await;
    session.close().await;
    result
}

async fn execute_in(command: Command, session: &mut Session) -> Result<u8, Failure> {
    match command {
        Command::Run(arguments) => run::execute(arguments, session).await,
        Command::Create(arguments) => create::execute(arguments, session).await,
        Command::Start(arguments) => start::execute(arguments, session).await,
        Command::Stop(arguments) => stop::execute(arguments, session).await,
        Command::Restart(arguments) => restart::execute(arguments, session).await,
        Command::Exec(arguments) => exec::execute(arguments, session).await,
        Command::Ps(arguments) => ps::execute(arguments, session).await,
        Command::Rm(arguments) => rm::execute(arguments, session).await,
        Command::Cp(arguments) => cp::execute(arguments, session).await,
        Command::Logs(arguments) => logs::execute(arguments, session).await,
        Command::Inspect(arguments) => inspect::execute(arguments, session).await,
        Command::Pull(arguments) => pull::execute(arguments, session).await,
        Command::Images(arguments) => images::execute(arguments, session).await,
        Command::Image(arguments) => image::execute(arguments, session).await,
        Command::System(arguments) => system::execute(arguments, session).await,
        Command::Doctor(arguments) => doctor::execute(arguments, session).await,
        Command::Kernel(arguments) => kernel::execute(arguments, session).await,
        Command::Completion(_) | Command::Version => Ok(0),
    }
}
