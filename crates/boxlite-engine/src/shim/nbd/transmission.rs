//! The second half of a connection: requests and simple replies.
//!
//! Several threads take turns: one reads a request, lets the next one read while it works, and writes its reply in one
//! piece. Replies may overtake one another, as the protocol allows.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use super::{Disk, Shown};

const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;
const REQUEST_BYTES: usize = 28;
const REPLY_BYTES: usize = 16;

/// Most bytes read by one request; as much as every client may ask for by the protocol.
pub(super) const MOST_READ_BYTES: u32 = 32 * 1024 * 1024;

/// Memory a thread keeps between requests; usual ones are a guest's read-ahead, 128 KiB.
const KEPT_BYTES: usize = 1024 * 1024;

mod command {
    pub const READ: u16 = 0;
    pub const WRITE: u16 = 1;
    pub const DISCONNECT: u16 = 2;
    pub const FLUSH: u16 = 3;
    pub const TRIM: u16 = 4;
    pub const WRITE_ZEROES: u16 = 6;
}

mod errno {
    pub const NONE: u32 = 0;
    pub const PERM: u32 = 1;
    pub const IO: u32 = 5;
    pub const INVALID: u32 = 22;
}

struct Request {
    command: u16,
    handle: [u8; 8],
    offset: u64,
    length: u32,
}

/// Serves requests until the client is gone or sends what is none.
pub(super) fn transmit(socket: &UnixStream, shown: &Shown, threads: usize) {
    let (reading, writing) = (Mutex::new(socket), Mutex::new(socket));
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // They inherit what this thread is confined to. Without them it does all of it alone.
            let serve = || serve_requests(&reading, &writing, shown);
            let _ = std::thread::Builder::new().name("nbd".into()).spawn_scoped(scope, serve);
        }
        serve_requests(&reading, &writing, shown);
    });
}

fn serve_requests(reading: &Mutex<&UnixStream>, writing: &Mutex<&UnixStream>, shown: &Shown) {
    let mut reply = Vec::new();
    loop {
        let request = {
            let mut socket = reading.lock().unwrap_or_else(PoisonError::into_inner);
            let request = next_request(&mut socket);
            if request.is_err() {
                // Wakes whoever is waiting to read or write: they end in the same way.
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
            request
        };
        let Ok(request) = request else { return };
        answer(&request, &shown.disk(), &mut reply);
        if writing.lock().unwrap_or_else(PoisonError::into_inner).write_all(&reply).is_err() {
            return;
        }
        reply.clear();
        reply.shrink_to(KEPT_BYTES);
    }
}

/// Reads a request, and the data of a write. An error is the end of the connection.
fn next_request(socket: &mut &UnixStream) -> io::Result<Request> {
    let mut bytes = [0; REQUEST_BYTES];
    socket.read_exact(&mut bytes)?;
    let request = parse(&bytes).filter(|request| request.command != command::DISCONNECT);
    let request = request.ok_or(io::ErrorKind::InvalidData)?;
    if request.command == command::WRITE {
        if request.length > MOST_READ_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        io::copy(&mut socket.take(request.length.into()), &mut io::sink())?;
    }
    Ok(request)
}

fn parse(bytes: &[u8; REQUEST_BYTES]) -> Option<Request> {
    if bytes[..4] != REQUEST_MAGIC.to_be_bytes() {
        return None;
    }
    Some(Request {
        command: u16::from_be_bytes(*bytes[6..].first_chunk()?),
        handle: *bytes[8..].first_chunk()?,
        offset: u64::from_be_bytes(*bytes[16..].first_chunk()?),
        length: u32::from_be_bytes(*bytes[24..].first_chunk()?),
    })
}

/// Puts the reply to a request into `reply`, which is empty.
fn answer(request: &Request, disk: &Disk, reply: &mut Vec<u8>) {
    reply.resize(REPLY_BYTES, 0);
    let error = match request.command {
        command::READ => read(request, disk, reply),
        command::FLUSH => errno::NONE,
        command::WRITE | command::TRIM | command::WRITE_ZEROES => errno::PERM,
        _ => errno::INVALID,
    };
    if error != errno::NONE {
        reply.truncate(REPLY_BYTES);
    }
    reply[0..4].copy_from_slice(&REPLY_MAGIC.to_be_bytes());
    reply[4..8].copy_from_slice(&error.to_be_bytes());
    reply[8..16].copy_from_slice(&request.handle);
}

fn read(request: &Request, disk: &Disk, reply: &mut Vec<u8>) -> u32 {
    let end = request.offset.checked_add(request.length.into());
    if request.length > MOST_READ_BYTES || end.is_none_or(|end| end > disk.size_bytes()) {
        return errno::INVALID;
    }
    reply.resize(REPLY_BYTES + request.length as usize, 0);
    match disk.read(request.offset, &mut reply[REPLY_BYTES..]) {
        Ok(()) => errno::NONE,
        Err(_) => errno::IO,
    }
}
