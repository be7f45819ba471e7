//! A terminal with nobody in front of it: the program believes in it, the test reads and types.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use rustix::termios::{self, Winsize};

/// A program that runs on a terminal of its own.
pub struct Terminal {
    /// Our side.
    master: File,
    /// Its side, kept open so that its settings can be looked at.
    slave: File,
    child: Child,
    /// Everything it printed that no `expect` has gone past yet.
    seen: String,
}

impl Terminal {
    /// Starts `command` on a new terminal of 30 lines of 100.
    pub fn start(mut command: Command) -> Self {
        let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
        let master = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let end = || slave.try_clone().unwrap();
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm");
        let own = || {
            rustix::process::setsid()?;
            // SAFETY: descriptor 0 is open: it was set just before this runs.
            rustix::process::ioctl_tiocsctty(unsafe { BorrowedFd::borrow_raw(0) })?;
            Ok(())
        };
        // SAFETY: `own` makes two system calls and nothing else, which is allowed between fork and exec.
        unsafe { command.pre_exec(own) };
        let mut terminal = Terminal {
            master: File::from(master),
            child: command.spawn().unwrap(),
            slave,
            seen: String::new(),
        };
        terminal.resize(30, 100);
        terminal
    }

    pub fn resize(&mut self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        termios::tcsetwinsize(&self.master, size).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types.
    pub fn send(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads until `text` has been printed, and forgets all up to its end.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let count = self.master.read(&mut buffer).unwrap_or(0);
            assert!(count > 0, "the terminal closed before `{text}` came; seen: {:?}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }

    /// Returns whether it echoes keys and makes signals of them, as it does unless a program made it raw.
    pub fn is_cooked(&self) -> bool {
        let modes = termios::tcgetattr(&self.slave).unwrap().local_modes;
        modes.contains(termios::LocalModes::ECHO | termios::LocalModes::ISIG | termios::LocalModes::ICANON)
    }

    /// Waits for the end of the program and returns its exit code.
    pub fn wait(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Fails if it has ended, which is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
