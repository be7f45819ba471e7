//! A disk of zeros over NBD (doc/proto.md), for machines that need no image: just enough of a server for QEMU.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use boxlite_engine::vm::machine::DISK_BYTES;
use boxlite_types::Result;

/// Serves zeros to the client on `socket`, on a thread that ends with it.
pub fn serve(socket: UnixStream) -> Result<()> {
    std::thread::spawn(move || shake_hands(&socket).and_then(|()| transmit(&socket)));
    Ok(())
}

fn read<const LENGTH: usize>(mut socket: &UnixStream) -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    socket.read_exact(&mut bytes).map(|()| bytes)
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap())
}

fn shake_hands(mut socket: &UnixStream) -> io::Result<()> {
    const OPTION_GO: u32 = 7;
    const REPLY_MAGIC: u64 = 0x3_e889_0455_65a9;
    const ACK: u32 = 1;
    const INFO: u32 = 3;
    const UNSUPPORTED: u32 = 0x8000_0001;
    socket.write_all(b"NBDMAGICIHAVEOPT\x00\x01")?;
    read::<4>(socket)?;
    loop {
        let header = read::<16>(socket)?;
        let (option, length) = (word(&header[8..12]), word(&header[12..16]));
        io::copy(&mut socket.take(length.into()), &mut io::sink())?;
        let reply = |kind: u32, payload: &[u8]| {
            let mut bytes = REPLY_MAGIC.to_be_bytes().to_vec();
            for field in [option, kind, payload.len() as u32] {
                bytes.extend_from_slice(&field.to_be_bytes());
            }
            bytes.extend_from_slice(payload);
            (&*socket).write_all(&bytes)
        };
        if option != OPTION_GO {
            reply(UNSUPPORTED, &[])?;
            continue;
        }
        // The export: information type 0, size, flags "has flags, read-only".
        let mut export = vec![0, 0];
        export.extend_from_slice(&DISK_BYTES.to_be_bytes());
        export.extend_from_slice(&[0, 3]);
        reply(INFO, &export)?;
        return reply(ACK, &[]);
    }
}

fn transmit(mut socket: &UnixStream) -> io::Result<()> {
    const READ: u16 = 0;
    const DISCONNECT: u16 = 2;
    loop {
        let request = read::<28>(socket)?;
        let kind = u16::from_be_bytes([request[6], request[7]]);
        let mut reply = 0x6744_6698u32.to_be_bytes().to_vec();
        reply.extend_from_slice(&[0; 4]);
        reply.extend_from_slice(&request[8..16]);
        match kind {
            DISCONNECT => return Ok(()),
            READ => reply.resize(16 + word(&request[24..28]) as usize, 0),
            _ => {}
        }
        socket.write_all(&reply)?;
    }
}
