//! Our ends of a command's standard streams, or of an archive's pipe.
//!
//! [`Inlet`] carries bytes of the host into the box and grants credit as they are taken; [`Outlet`] carries bytes out, as
//! far as the host has granted credit. Both are used with edge-triggered epoll: they remember whether the last attempt
//! was refused.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use boxlite_protocol::{Channel, INITIAL_WINDOW_BYTES};
use rustix::io::Errno;

use crate::port::Port;

/// Credit is granted in pieces of at least this size.
const GRANT_BYTES: u32 = INITIAL_WINDOW_BYTES / 4;

/// The character that ends the input of a terminal in its usual mode.
const END_OF_TRANSMISSION: u8 = 4;

/// Bytes on their way into the box.
pub(crate) struct Inlet {
    /// `None` once it is closed: what still comes is thrown away.
    fd: Option<OwnedFd>,
    terminal: bool,
    pending: VecDeque<Vec<u8>>,
    /// How much of the first pending piece is written.
    written: usize,
    queued: usize,
    ungranted: u32,
    ended: bool,
    refused: bool,
}

impl Inlet {
    pub(crate) fn new(fd: OwnedFd, terminal: bool) -> Inlet {
        Inlet {
            fd: Some(fd),
            terminal,
            pending: VecDeque::new(),
            written: 0,
            queued: 0,
            ungranted: 0,
            ended: false,
            refused: false,
        }
    }

    /// Takes bytes of the host; `false` if they are more than it may send.
    #[must_use]
    pub(crate) fn push(&mut self, bytes: Vec<u8>) -> bool {
        if self.ended || self.queued + self.ungranted as usize + bytes.len() > INITIAL_WINDOW_BYTES as usize {
            return self.ended;
        }
        self.queued += bytes.len();
        if !bytes.is_empty() {
            self.pending.push_back(bytes);
        }
        true
    }

    /// Notes the host's end of file.
    pub(crate) fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            if self.terminal {
                self.pending.push_back(vec![END_OF_TRANSMISSION]);
                self.queued += 1;
            }
        }
    }

    /// Notes that the pipe takes bytes again.
    pub(crate) fn ready(&mut self) {
        self.refused = false;
    }

    /// Closes it; the command reads end of file.
    pub(crate) fn close(&mut self) {
        self.fd = None;
        self.ungranted += self.queued as u32;
        self.queued = 0;
        self.written = 0;
        self.pending.clear();
    }

    /// Writes as much as the pipe takes, and returns what credit is to be granted for it.
    pub(crate) fn pump(&mut self) -> u32 {
        while let (Some(fd), Some(first), false) = (&self.fd, self.pending.front(), self.refused) {
            match rustix::io::write(fd, &first[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    self.queued -= count;
                    self.ungranted += count as u32;
                    if self.written == first.len() {
                        self.pending.pop_front();
                        self.written = 0;
                    }
                }
                Err(Errno::AGAIN) => self.refused = true,
                Err(Errno::INTR) => {}
                // Nobody reads any more.
                Err(_) => self.close(),
            }
        }
        if self.fd.is_none() {
            self.close();
        } else if self.ended && self.pending.is_empty() && !self.terminal {
            self.fd = None;
        }
        let granted = if self.ungranted >= GRANT_BYTES && !self.ended { self.ungranted } else { 0 };
        self.ungranted -= granted;
        granted
    }
}

/// Bytes on their way out of the box.
pub(crate) struct Outlet {
    fd: OwnedFd,
    pub(crate) channel: Channel,
    credit: u32,
    /// The pipe may have something.
    ready: bool,
    /// Every other end of the pipe is closed.
    hung_up: bool,
    /// How much is still to be delivered, once the command is over for good.
    remaining: Option<usize>,
    /// It waits for its turn to be pumped.
    pub(crate) queued: bool,
}

/// What pumping an outlet once came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pumped {
    /// Bytes were sent; there may be more.
    Some,
    /// It has to wait for bytes or for credit.
    Waiting,
    /// It has delivered everything.
    Over,
}

impl Outlet {
    pub(crate) fn new(fd: OwnedFd, channel: Channel) -> Outlet {
        Outlet {
            fd,
            channel,
            credit: INITIAL_WINDOW_BYTES,
            ready: false,
            hung_up: false,
            remaining: None,
            queued: false,
        }
    }

    pub(crate) fn grant(&mut self, bytes: u32) {
        self.credit = self.credit.saturating_add(bytes);
    }

    /// Notes what epoll says.
    pub(crate) fn ready(&mut self, hung_up: bool) {
        self.ready = true;
        self.hung_up |= hung_up;
    }

    /// From now on delivers only what is already in the pipe.
    pub(crate) fn deliver_the_rest(&mut self) {
        if self.remaining.is_none() {
            self.remaining = Some(self.waiting_bytes());
            self.ready = true;
        }
    }

    /// Sends at most one frame.
    pub(crate) fn pump(&mut self, stream: u32, port: &mut Port) -> Pumped {
        if self.remaining == Some(0) {
            return Pumped::Over;
        }
        if !self.ready {
            return Pumped::Waiting;
        }
        let limit = (self.credit as usize).min(self.remaining.unwrap_or(usize::MAX));
        if limit == 0 {
            // Nothing may be sent, but an end with nothing before it can still be seen.
            return if self.hung_up && self.waiting_bytes() == 0 { Pumped::Over } else { Pumped::Waiting };
        }
        match port.send_from(stream, self.channel, self.fd.as_fd(), limit) {
            Ok(0) => Pumped::Over,
            Ok(count) => {
                self.credit -= count as u32;
                if let Some(remaining) = &mut self.remaining {
                    *remaining -= count;
                }
                Pumped::Some
            }
            Err(Errno::AGAIN) => {
                self.ready = false;
                if self.remaining.is_some() { Pumped::Over } else { Pumped::Waiting }
            }
            // What the last reader of a closed terminal gets.
            Err(_) => Pumped::Over,
        }
    }

    /// Reads once and throws it away, so that what is left running is not killed by writing; `true` once all writers
    /// are gone.
    pub(crate) fn discard(&mut self) -> bool {
        match rustix::io::read(&self.fd, &mut [0; 16 * 1024]) {
            Ok(count) => count == 0,
            Err(Errno::AGAIN | Errno::INTR) => false,
            Err(_) => true,
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn waiting_bytes(&self) -> usize {
        rustix::io::ioctl_fionread(&self.fd).map_or(0, |bytes| bytes as usize)
    }
}
