//! From flags to a box, and from a box to its command at our terminal: what `run`, `create` and `start` have in common.

use boxlite::{BoxHandle, BoxSpec, Context, Error, ErrorCode, ExitStatus, PullOptions, PullPolicy};

use crate::errors::Failure;
use crate::foreground::Connection;
use crate::session::Session;

/// Fetches the image as far as the policy asks for it, and makes the box.
///
/// # Errors
/// Those of the pull and of the creation; nothing is left of a box then.
pub async fn make(spec: BoxSpec, policy: PullPolicy, session: &mut Session) -> Result<BoxHandle, Failure> {
    let runtime = session.runtime.clone();
    let work = async {
        let options = PullOptions { platform: spec.platform.clone(), policy, ..PullOptions::default() };
        let pulled = runtime.images().pull(&spec.image, options).await?;
        runtime.create(BoxSpec { image: pulled.reference, ..spec }).await
    };
    session.telling(work).await
}

/// Starts the box and stays connected to its main command until that ends.
///
/// # Errors
/// Those of the start; `BrokenPipe` and `Interrupted` as [`Connection::run`] has them.
pub async fn start_connected(
    machine: &BoxHandle,
    connection: Connection,
    session: &mut Session,
) -> Result<ExitStatus, Failure> {
    let execution = session.telling(machine.start_attached()).await.map_err(Failure::of_program)?;
    connection.run(execution, &mut session.interrupts).await
}

/// What somebody is told who wants to see a command where there is none.
pub fn names_no_command(image: &str) -> Error {
    Error::new(ErrorCode::InvalidArgument, format!("`{image}` names no command to run"))
        .with(Context::Reference, image)
        .hint("name one after the image, or use `-d` for a box that waits for `boxlite exec`")
}
