//! The first half of a connection: "newstyle" negotiation, fixed.
//!
//! One nameless export. Options a client may live without are answered as unsupported; `LIST`, `INFO`, `GO`,
//! `EXPORT_NAME` and `ABORT` are served.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

const GREETING: &[u8; 16] = b"NBDMAGICIHAVEOPT";
const OPTION_MAGIC: u64 = u64::from_be_bytes(*b"IHAVEOPT");
const REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;

/// `NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES`; a client answers with the same bits.
const HANDSHAKE_FLAGS: u16 = 0b11;
const CLIENT_NO_ZEROES: u32 = 0b10;

/// `NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY | NBD_FLAG_SEND_FLUSH`.
pub(super) const EXPORT_FLAGS: u16 = 0b111;

/// Longest option taken. The only data that matters is an export name, of at most 4096 bytes.
const MOST_OPTION_BYTES: u32 = 8192;

/// Options a client may send before it has to begin. QEMU sends three.
const MOST_OPTIONS: usize = 64;

mod option {
    pub const EXPORT_NAME: u32 = 1;
    pub const ABORT: u32 = 2;
    pub const LIST: u32 = 3;
    pub const INFO: u32 = 6;
    pub const GO: u32 = 7;
}

mod reply {
    pub const ACK: u32 = 1;
    pub const SERVER: u32 = 2;
    pub const INFO: u32 = 3;
    pub const ERROR_UNSUPPORTED: u32 = (1 << 31) + 1;
    pub const ERROR_INVALID: u32 = (1 << 31) + 3;
}

const INFO_EXPORT: u16 = 0;
const INFO_BLOCK_SIZE: u16 = 3;

/// Negotiates until the client wants to read. An error means the connection is of no use any more.
pub(super) fn shake_hands(mut socket: &UnixStream, size_bytes: u64) -> io::Result<()> {
    let mut greeting = GREETING.to_vec();
    greeting.extend_from_slice(&HANDSHAKE_FLAGS.to_be_bytes());
    socket.write_all(&greeting)?;
    let mut client_flags = [0; 4];
    socket.read_exact(&mut client_flags)?;
    let client_flags = u32::from_be_bytes(client_flags);
    if client_flags & !u32::from(HANDSHAKE_FLAGS) != 0 {
        return Err(broken("unknown flags"));
    }
    for _ in 0..MOST_OPTIONS {
        let mut header = [0; 16];
        socket.read_exact(&mut header)?;
        let (magic, kind, length) = split_header(&header);
        if magic != OPTION_MAGIC || length > MOST_OPTION_BYTES {
            return Err(broken("no option"));
        }
        let mut data = vec![0; length as usize];
        socket.read_exact(&mut data)?;
        match kind {
            option::EXPORT_NAME if data.is_empty() => {
                let mut export = export_info(size_bytes);
                if client_flags & CLIENT_NO_ZEROES == 0 {
                    export.extend_from_slice(&[0; 124]);
                }
                return socket.write_all(&export);
            }
            // There is no way to refuse this one but to hang up.
            option::EXPORT_NAME => return Err(broken("no such export")),
            option::ABORT => {
                answer(socket, kind, reply::ACK, &[])?;
                return Err(broken("the client wants nothing"));
            }
            option::LIST if data.is_empty() => {
                answer(socket, kind, reply::SERVER, &0u32.to_be_bytes())?;
                answer(socket, kind, reply::ACK, &[])?;
            }
            option::INFO | option::GO if is_info_request(&data) => {
                let mut export = INFO_EXPORT.to_be_bytes().to_vec();
                export.extend_from_slice(&export_info(size_bytes));
                answer(socket, kind, reply::INFO, &export)?;
                let mut blocks = INFO_BLOCK_SIZE.to_be_bytes().to_vec();
                for size in [1u32, 4096, super::transmission::MOST_READ_BYTES] {
                    blocks.extend_from_slice(&size.to_be_bytes());
                }
                answer(socket, kind, reply::INFO, &blocks)?;
                answer(socket, kind, reply::ACK, &[])?;
                if kind == option::GO {
                    return Ok(());
                }
            }
            option::LIST | option::INFO | option::GO => answer(socket, kind, reply::ERROR_INVALID, &[])?,
            _ => answer(socket, kind, reply::ERROR_UNSUPPORTED, &[])?,
        }
    }
    Err(broken("it goes on and on"))
}

fn split_header(header: &[u8; 16]) -> (u64, u32, u32) {
    let all = u128::from_be_bytes(*header);
    ((all >> 64) as u64, (all >> 32) as u32, all as u32)
}

/// Size and transmission flags.
fn export_info(size_bytes: u64) -> Vec<u8> {
    let mut info = size_bytes.to_be_bytes().to_vec();
    info.extend_from_slice(&EXPORT_FLAGS.to_be_bytes());
    info
}

/// Whether these are the data of `INFO` or `GO` for the nameless export: a name, then a list of wanted informations, of
/// which all there are will be sent.
fn is_info_request(data: &[u8]) -> bool {
    let Some((name_length, rest)) = data.split_first_chunk() else { return false };
    if u32::from_be_bytes(*name_length) != 0 {
        return false;
    }
    let Some((count, wanted)) = rest.split_first_chunk() else { return false };
    wanted.len() == usize::from(u16::from_be_bytes(*count)) * 2
}

fn answer(mut socket: &UnixStream, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let mut bytes = REPLY_MAGIC.to_be_bytes().to_vec();
    for word in [option, kind, data.len() as u32] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(data);
    socket.write_all(&bytes)
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("NBD: {what}"))
}
