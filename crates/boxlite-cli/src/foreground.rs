//! A command in a box that has our terminal: its streams are ours until it ends.
//!
//! Signals: the first one goes to the command, as it would on this host; the second one kills it and ends us. With a raw
//! terminal `Ctrl-C` is a key like any other and reaches the command through its own terminal.

use std::io::IsTerminal;
use std::pin::pin;

use boxlite::{Error, ErrorCode, Execution, ExecutionOutput, ExecutionStdin, ExitStatus};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Format;
use crate::errors::{Failure, report};
use crate::interrupt::Interrupts;
use crate::standard_input::StandardInput;
use crate::terminal;

const BUFFER_BYTES: usize = 64 * 1024;

/// How a command is connected.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// Our stdin is its stdin.
    pub interactive: bool,
    /// It has a terminal.
    pub tty: bool,
}

impl Connection {
    /// Refuses what could only fail later, when the box already runs.
    ///
    /// # Errors
    /// `InvalidArgument` if a terminal is to be connected and stdin is none.
    pub fn check(self) -> Result<(), Error> {
        if self.interactive && self.tty && !std::io::stdin().is_terminal() {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                "cannot connect a terminal: stdin is not one",
            )
            .hint("leave out `-t` when input comes from a file or a pipe"));
        }
        Ok(())
    }

    /// Connects `execution` until it ends, and returns how it ended.
    ///
    /// # Errors
    /// `BrokenPipe` if the reader of our stdout goes away; the command is killed then.
    pub async fn run(
        self,
        mut execution: Execution,
        interrupts: &mut Interrupts,
    ) -> Result<ExitStatus, Failure> {
        let _raw = (self.interactive && self.tty).then(terminal::raw_mode).transpose()?;
        let mut resized = signal(SignalKind::window_change()).map_err(Failure::defect)?;
        if self.tty {
            // The window may have changed between the request and the catching of the signal. A command that has ended has
            // no use for it.
            let _ = execution.resize(terminal::size()).await;
        }
        let mut input = pin!(feed(execution.take_stdin().filter(|_| self.interactive)));
        let mut output = pin!(print(execution.take_stdout(), execution.take_stderr()));
        let (mut fed, mut printed) = (false, false);
        let mut status = None;
        let mut signalled = false;
        loop {
            tokio::select! {
                () = &mut input, if !fed => fed = true,
                result = &mut output, if !printed => match result {
                    Ok(()) => printed = true,
                    Err(failure) => {
                        let _ = execution.kill().await;
                        return Err(failure);
                    }
                },
                result = execution.wait(), if status.is_none() => status = Some(result?),
                _ = resized.recv(), if self.tty && status.is_none() => {
                    let _ = execution.resize(terminal::size()).await;
                }
                number = interrupts.next() => {
                    if signalled || number == libc::SIGHUP {
                        let _ = execution.kill().await;
                        return Err(Failure::Interrupted(number));
                    }
                    signalled = true;
                    // One that has ended already needs no signal.
                    let _ = execution.signal(number).await;
                }
            }
            if let (Some(status), true) = (status, printed) {
                return Ok(status);
            }
        }
    }
}

/// Exit code of a command that its timeout ended, as `timeout(1)` has it.
const TIMED_OUT: u8 = 124;

/// Says what the exit code alone does not tell, and returns it.
pub fn conclude(status: &ExitStatus, format: Format) -> u8 {
    if status.timed_out {
        let error =
            Error::new(ErrorCode::Timeout, "the command was still running at its timeout and was killed");
        report(&error, format);
        return TIMED_OUT;
    }
    if status.oom_killed {
        let error =
            Error::new(ErrorCode::ResourceExhausted, "the box ran out of memory and killed the command")
                .hint("give the box more with `--memory`");
        report(&error, format);
    }
    // Exit codes are one byte, also inside.
    status.shell_code() as u8
}

async fn feed(stdin: Option<ExecutionStdin>) {
    let Some(mut stdin) = stdin else { return };
    // Either side may end it: our stdin at its end, or a command that reads no more. Both are no failure of ours.
    let _ = tokio::io::copy(&mut StandardInput::default(), &mut stdin).await;
    let _ = stdin.shutdown().await;
}

async fn print(stdout: Option<ExecutionOutput>, stderr: Option<ExecutionOutput>) -> Result<(), Failure> {
    let out = pass(stdout, tokio::io::stdout());
    let err = pass(stderr, tokio::io::stderr());
    tokio::try_join!(out, err).map(|_| ())
}

fn broken_off(error: std::io::Error) -> Error {
    error.downcast().unwrap_or_else(|error| {
        Error::new(ErrorCode::Stopped, format!("the output of the command broke off: {error}"))
            .caused_by(error)
    })
}

/// Writes what comes as it comes: nothing waits for a full buffer, because a person may be reading.
async fn pass(source: Option<ExecutionOutput>, mut sink: impl AsyncWrite + Unpin) -> Result<(), Failure> {
    let Some(mut source) = source else { return Ok(()) };
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = source.read(&mut buffer).await.map_err(broken_off)?;
        if count == 0 {
            return sink.flush().await.map_err(Failure::stdout);
        }
        sink.write_all(&buffer[..count]).await.map_err(Failure::stdout)?;
        sink.flush().await.map_err(Failure::stdout)?;
    }
}
