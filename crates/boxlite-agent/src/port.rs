//! The byte channel to the host: frames in, frames out, never blocking.
//!
//! Works alike on a socket and on a virtio-serial port. A port differs in one way: while nobody listens on the host it
//! reads as empty, which is no end; a machine restored from its template goes through that. The port has one opener at a
//! time, so that commands in the box cannot get at it while we hold it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use boxlite_protocol::{Channel, Frame, FrameDecoder, FrameKind, HEADER_BYTES, Header, MAX_DATA_BYTES};
use boxlite_types::{Error, ErrorCode, Result};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::failure::failed;

/// Data waits while this much is queued.
const HIGH_WATER_BYTES: usize = 128 * 1024;

/// Nothing more is read while this much is queued: a host that asks and asks and never listens gets no further.
const STALLED_BYTES: usize = 1024 * 1024;

const READ_BYTES: usize = 128 * 1024;

pub(crate) struct Port {
    fd: OwnedFd,
    /// A virtio-serial port rather than a socket.
    virtio: bool,
    decoder: FrameDecoder,
    out: Vec<u8>,
    sent: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// What reading the port came to.
pub(crate) enum Received {
    Frame(Frame),
    /// Nothing for now.
    Nothing,
    /// The host closed the channel.
    Closed,
}

impl Port {
    pub(crate) fn new(fd: OwnedFd, virtio: bool) -> Result<Port> {
        rustix::fs::fcntl_getfl(&fd)
            .and_then(|flags| rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK))
            .map_err(|errno| failed("use the channel to the host", errno))?;
        Ok(Port {
            fd,
            virtio,
            decoder: FrameDecoder::default(),
            out: Vec::new(),
            sent: 0,
            readable: true,
            writable: true,
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Takes the next frame.
    pub(crate) fn receive(&mut self) -> Result<Received> {
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => return Ok(Received::Frame(frame)),
                Ok(None) => {}
                Err(error) => return Err(Error::new(ErrorCode::Network, format!("the host sent a {error}"))),
            }
            if !self.readable || self.queued() > STALLED_BYTES {
                return Ok(Received::Nothing);
            }
            match rustix::io::read(&self.fd, self.decoder.room(READ_BYTES)) {
                Ok(0) if self.virtio => self.readable = false,
                Ok(0) => return Ok(Received::Closed),
                Ok(count) => self.decoder.filled(count),
                Err(Errno::AGAIN) => self.readable = false,
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET | Errno::PIPE) => return Ok(Received::Closed),
                Err(errno) => return Err(failed("read from the host", errno)),
            }
        }
    }

    /// Queues a frame.
    pub(crate) fn send(&mut self, frame: &Frame) {
        frame.encode_into(&mut self.out);
    }

    /// Returns whether data may be queued.
    pub(crate) fn has_room(&self) -> bool {
        self.queued() < HIGH_WATER_BYTES
    }

    pub(crate) fn queued(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Reads once from `source` straight into the queue, as one data frame of at most `limit` bytes.
    pub(crate) fn send_from(
        &mut self,
        stream: u32,
        channel: Channel,
        source: BorrowedFd<'_>,
        limit: usize,
    ) -> Result<usize, Errno> {
        let start = self.out.len();
        let limit = limit.min(MAX_DATA_BYTES);
        self.out.reserve(HEADER_BYTES + limit);
        self.out.resize(start + HEADER_BYTES, 0);
        let room = &mut self.out.spare_capacity_mut()[..limit];
        let read = loop {
            match rustix::io::read(source, &mut *room) {
                Err(Errno::INTR) => {}
                other => break other.map(|(filled, _)| filled.len()),
            }
        };
        match read {
            Ok(count) if count > 0 => {
                let header = Header { length: count as u32, stream, kind: FrameKind::Data, channel };
                self.out[start..start + HEADER_BYTES].copy_from_slice(&header.encode());
                // SAFETY: `read` has filled `count` bytes after the header, within the capacity reserved above.
                unsafe { self.out.set_len(start + HEADER_BYTES + count) };
                Ok(count)
            }
            other => {
                self.out.truncate(start);
                other
            }
        }
    }

    /// Writes as much of the queue as the channel takes.
    pub(crate) fn flush(&mut self) -> Result<()> {
        while self.writable && self.sent < self.out.len() {
            match rustix::io::write(&self.fd, &self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(Errno::AGAIN) => self.writable = false,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed("write to the host", errno)),
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
            if self.out.capacity() > 2 * HIGH_WATER_BYTES {
                self.out = Vec::new();
            }
        } else if self.sent > HIGH_WATER_BYTES {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Ok(())
    }

    /// Writes the rest of the queue, waiting for the host to take it: the last words before the machine goes off.
    pub(crate) fn flush_and_wait(&mut self) -> Result<()> {
        rustix::fs::fcntl_getfl(&self.fd)
            .and_then(|flags| rustix::fs::fcntl_setfl(&self.fd, flags - OFlags::NONBLOCK))
            .map_err(|errno| failed("write to the host", errno))?;
        self.writable = true;
        self.flush()
    }
}
