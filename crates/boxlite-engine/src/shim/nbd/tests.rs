use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use boxlite_types::{DiskExtent, DiskLayout};
use proptest::prelude::*;

use super::*;

const SIZE: u64 = 1 << 20;

/// Two files with a hole between them, the second shorter than its extent.
fn disk() -> (tempfile::TempDir, Arc<Shown>, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (directory.path().join("one"), directory.path().join("two"));
    let bytes: Vec<u8> = (0..8192u32).map(|number| (number % 251) as u8 + 1).collect();
    std::fs::write(&one, &bytes).unwrap();
    std::fs::write(&two, &bytes[..700]).unwrap();
    let extent = |path: &std::path::Path, file_offset, disk_offset, length| DiskExtent {
        path: path.to_owned(),
        file_offset,
        disk_offset,
        length,
    };
    let extents = vec![extent(&one, 512, 0, 4096), extent(&two, 0, 8192, 1024), extent(&one, 0, 9216, 512)];
    let disk = Shown::open(&DiskLayout { size_bytes: SIZE, extents }, SIZE).unwrap();
    let mut expect = vec![0; SIZE as usize];
    expect[..4096].copy_from_slice(&bytes[512..4608]);
    expect[8192..8892].copy_from_slice(&bytes[..700]);
    expect[9216..9728].copy_from_slice(&bytes[..512]);
    (directory, disk, expect)
}

fn serve_disk(disk: &Arc<Shown>) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    serve(disk, theirs).unwrap();
    ours.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    ours
}

/// Reads greeting and answers of a client that asks for the export with `GO`.
fn go(socket: &mut UnixStream) {
    let mut greeting = [0; 18];
    socket.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"NBDMAGICIHAVEOPT\0\x03");
    socket.write_all(&3u32.to_be_bytes()).unwrap();
    send_option(socket, 7, &[0, 0, 0, 0, 0, 0]);
    loop {
        let (kind, data) = read_answer(socket);
        match kind {
            1 => return,
            3 if data[..2] == [0, 0] => {
                assert_eq!(data[2..10], SIZE.to_be_bytes());
                assert_eq!(data[10..], [0, 0b111]);
            }
            3 => {}
            other => panic!("{other:#x}"),
        }
    }
}

fn send_option(socket: &mut UnixStream, option: u32, data: &[u8]) {
    let header = [&b"IHAVEOPT"[..], &option.to_be_bytes(), &(data.len() as u32).to_be_bytes(), data].concat();
    socket.write_all(&header).unwrap();
}

fn read_answer(socket: &mut UnixStream) -> (u32, Vec<u8>) {
    let mut header = [0; 20];
    socket.read_exact(&mut header).unwrap();
    let word = |at: usize| u32::from_be_bytes(*header[at..].first_chunk().unwrap());
    let mut data = vec![0; word(16) as usize];
    socket.read_exact(&mut data).unwrap();
    (word(12), data)
}

fn request(command: u16, handle: u64, offset: u64, length: u32) -> Vec<u8> {
    [
        &0x2560_9513u32.to_be_bytes()[..],
        &[0, 0],
        &command.to_be_bytes(),
        &handle.to_be_bytes(),
        &offset.to_be_bytes(),
        &length.to_be_bytes(),
    ]
    .concat()
}

fn read_reply(socket: &mut UnixStream) -> (u32, u64) {
    let mut header = [0; 16];
    socket.read_exact(&mut header).unwrap();
    assert_eq!(header[..4], 0x6744_6698u32.to_be_bytes());
    (
        u32::from_be_bytes(*header[4..].first_chunk().unwrap()),
        u64::from_be_bytes(*header[8..].first_chunk().unwrap()),
    )
}

fn ends(socket: &mut UnixStream) -> bool {
    matches!(socket.read(&mut [0]), Ok(0) | Err(_))
}

#[test]
fn every_part_of_the_disk_reads_as_the_layout_says() {
    let (_directory, disk, expect) = disk();
    let mut socket = serve_disk(&disk);
    go(&mut socket);
    for (offset, length) in
        [(0, 512), (0, SIZE), (4000, 200), (4096, 4096), (8191, 1100), (9000, 10), (SIZE - 1, 1)]
    {
        socket.write_all(&request(0, offset + 7, offset, length as u32)).unwrap();
        assert_eq!(read_reply(&mut socket), (0, offset + 7));
        let mut bytes = vec![0; length as usize];
        socket.read_exact(&mut bytes).unwrap();
        assert!(bytes == expect[offset as usize..(offset + length) as usize], "{offset} {length}");
    }
}

#[test]
fn many_requests_at_once_are_all_answered() {
    let (_directory, disk, expect) = disk();
    let mut socket = serve_disk(&disk);
    go(&mut socket);
    let requests: Vec<u8> = (0..100u64).flat_map(|number| request(0, number, number * 64, 64)).collect();
    socket.write_all(&requests).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let (error, handle) = read_reply(&mut socket);
        let mut bytes = [0; 64];
        socket.read_exact(&mut bytes).unwrap();
        assert_eq!((error, &bytes[..]), (0, &expect[handle as usize * 64..][..64]));
        seen.insert(handle);
    }
    assert_eq!(seen.len(), 100);
}

#[test]
fn what_must_not_be_is_refused_and_the_connection_goes_on() {
    let (_directory, disk, _) = disk();
    let mut socket = serve_disk(&disk);
    go(&mut socket);
    let check = |socket: &mut UnixStream, bytes: &[u8], error: u32| {
        socket.write_all(bytes).unwrap();
        assert_eq!(read_reply(socket), (error, 1), "{bytes:?}");
    };
    check(&mut socket, &[request(1, 1, 0, 5), b"write".to_vec()].concat(), 1);
    check(&mut socket, &request(4, 1, 0, 512), 1);
    check(&mut socket, &request(6, 1, 0, 512), 1);
    check(&mut socket, &request(0, 1, SIZE, 1), 22);
    check(&mut socket, &request(0, 1, SIZE - 1, 2), 22);
    check(&mut socket, &request(0, 1, u64::MAX, 2), 22);
    check(&mut socket, &request(0, 1, 0, u32::MAX), 22);
    check(&mut socket, &request(99, 1, 0, 0), 22);
    check(&mut socket, &request(3, 1, 0, 0), 0);
    socket.write_all(&request(2, 1, 0, 0)).unwrap();
    assert!(ends(&mut socket));
}

#[test]
fn a_request_that_is_none_ends_the_connection() {
    let (_directory, disk, _) = disk();
    for bytes in [vec![0; 28], [request(1, 1, 0, u32::MAX), vec![0; 64]].concat()] {
        let mut socket = serve_disk(&disk);
        go(&mut socket);
        socket.write_all(&bytes).unwrap();
        assert!(ends(&mut socket));
    }
}

#[test]
fn an_old_client_asks_by_export_name() {
    let (_directory, disk, expect) = disk();
    let mut socket = serve_disk(&disk);
    socket.read_exact(&mut [0; 18]).unwrap();
    socket.write_all(&1u32.to_be_bytes()).unwrap();
    send_option(&mut socket, 8, &[]);
    assert_eq!(read_answer(&mut socket).0, (1 << 31) + 1);
    send_option(&mut socket, 3, &[]);
    assert_eq!(read_answer(&mut socket).0, 2);
    assert_eq!(read_answer(&mut socket).0, 1);
    send_option(&mut socket, 1, &[]);
    let mut export = [0; 134];
    socket.read_exact(&mut export).unwrap();
    assert_eq!(export[..8], SIZE.to_be_bytes());
    socket.write_all(&request(0, 0, 0, 16)).unwrap();
    read_reply(&mut socket);
    let mut bytes = [0; 16];
    socket.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, expect[..16]);
}

#[test]
fn a_layout_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let check = |extents: &[(u64, u64, u64)]| {
        let extents = extents.iter().map(|&(file_offset, disk_offset, length)| DiskExtent {
            path: file.clone(),
            file_offset,
            disk_offset,
            length,
        });
        let layout = DiskLayout { size_bytes: SIZE, extents: extents.collect() };
        let error = Disk::open(&layout, SIZE).err().expect("it is refused");
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
    };
    check(&[(0, 100, 512)]);
    check(&[(0, 0, SIZE + 1)]);
    check(&[(0, 512, u64::MAX)]);
    check(&[(u64::MAX - 5, 0, 512)]);
    check(&[(0, 512, 512), (0, 0, 512)]);
    check(&[(0, 0, 1024), (0, 512, 512)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a client sends in either phase, the server answers or hangs up, and goes on serving others.
    #[test]
    fn a_hostile_client_gets_nowhere(
        options in prop::collection::vec((any::<u32>(), 0u32..12, prop::collection::vec(any::<u8>(), 0..64)), 0..6),
        negotiated in any::<bool>(),
        requests in prop::collection::vec((0u16..8, any::<u64>(), any::<u32>()), 0..10),
        junk in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let (_directory, disk, _) = disk();
        let mut socket = serve_disk(&disk);
        let mut bytes = Vec::new();
        if negotiated {
            go(&mut socket);
        } else {
            bytes.extend_from_slice(&3u32.to_be_bytes());
            for (length, option, data) in options {
                bytes.extend_from_slice(b"IHAVEOPT");
                bytes.extend_from_slice(&option.to_be_bytes());
                let length = if length % 4 == 0 { length } else { data.len() as u32 };
                bytes.extend_from_slice(&length.to_be_bytes());
                bytes.extend_from_slice(&data);
            }
        }
        for (command, offset, length) in requests {
            bytes.extend_from_slice(&request(command, 1, offset, length));
        }
        bytes.extend_from_slice(&junk);
        let _ = socket.write_all(&bytes);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let _ = std::io::copy(&mut socket, &mut std::io::sink());

        let mut other = serve_disk(&disk);
        go(&mut other);
        other.write_all(&request(0, 5, 0, 1)).unwrap();
        prop_assert_eq!(read_reply(&mut other), (0, 5));
    }
}
