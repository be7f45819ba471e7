//! The terminal we stand on: its size, and raw mode.
//!
//! Raw mode is undone in every way out: by the guard's drop, by the panic hook, and on signals because `interrupt` turns
//! them into an ordinary return. Only `SIGKILL` leaves it, as it would any program.

use std::os::fd::AsFd;
use std::sync::Mutex;

use boxlite::{Error, ErrorCode, Result, TerminalSize};
use rustix::termios::{self, OptionalActions, Termios};

/// What the terminal was like before raw mode, while it is raw.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Keeps the terminal raw until it is dropped.
pub struct RawModeGuard(());

/// Switches the terminal on stdin to raw mode: every key goes to the box, `Ctrl-C` too.
///
/// # Errors
/// `InvalidArgument` if stdin is no terminal.
pub fn raw_mode() -> Result<RawModeGuard> {
    let refuse = |error: rustix::io::Errno| {
        Error::new(ErrorCode::InvalidArgument, "cannot use the terminal: stdin is not one")
            .hint("leave out `-t` when input comes from a file or a pipe")
            .caused_by(std::io::Error::from(error))
    };
    let stdin = std::io::stdin();
    let before = termios::tcgetattr(&stdin).map_err(refuse)?;
    let mut raw = before.clone();
    raw.make_raw();
    *lock() = Some(before);
    let guard = RawModeGuard(());
    termios::tcsetattr(&stdin, OptionalActions::Now, &raw).map_err(refuse)?;
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        previous(panic);
    }));
    Ok(guard)
}

impl Drop for RawModeGuard {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back as it was, if it is raw. Does no harm otherwise.
pub fn restore() {
    if let Some(before) = lock().take() {
        // Fails only if the terminal is gone, and then there is nothing to put back.
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<Termios>> {
    SAVED.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Returns the size of the terminal on stdout, else on stdin, else 24 lines of 80.
pub fn size() -> TerminalSize {
    let of = |fd: std::os::fd::BorrowedFd<'_>| {
        let size = termios::tcgetwinsize(fd).ok()?;
        (size.ws_row > 0 && size.ws_col > 0)
            .then_some(TerminalSize { rows: size.ws_row, columns: size.ws_col })
    };
    of(std::io::stdout().as_fd())
        .or_else(|| of(std::io::stdin().as_fd()))
        .unwrap_or(TerminalSize { rows: 24, columns: 80 })
}
