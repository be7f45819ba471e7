//! What we write, we and others read; what others write, we read; what nobody should write, we refuse.

use std::io::Read;

use proptest::prelude::*;

use super::write::pax_record;
use super::{Member, Reader, Writer, kind, read};

fn member(name: &[u8]) -> Member {
    Member {
        kind: kind::REGULAR,
        name: name.to_vec(),
        mode: 0o640,
        uid: 7,
        gid: 8,
        seconds: 9,
        ..Member::default()
    }
}

fn archive(members: &[(Member, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer { out: Vec::new() };
    for (member, content) in members {
        writer.begin(member).unwrap();
        writer.out.extend_from_slice(content);
        writer.pad(member.size).unwrap();
    }
    let mut bytes = std::mem::take(&mut writer.out);
    bytes.extend_from_slice(&[0; 1024]);
    bytes
}

fn members(bytes: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, String> {
    let (mut reader, mut seen) = (Reader::new(bytes), Vec::new());
    while let Some(member) = reader.next().map_err(|error| error.to_string())? {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).map_err(|error| error.to_string())?;
        seen.push((member, content));
    }
    Ok(seen)
}

#[test]
fn any_member_comes_back_as_it_was() {
    let long = [vec![b'd'; 150], b"/\xff\n".to_vec()].concat();
    let content = vec![5; 1000];
    let expect = [
        (Member { size: 1000, ..member(b"plain") }, content),
        (Member { kind: kind::SYMLINK, link: long.clone(), ..member(&long) }, vec![]),
        (Member { uid: u32::MAX, gid: 3_000_000, seconds: -5, ..member(b"odd numbers") }, vec![]),
        (Member { seconds: 1 << 40, nanoseconds: 123, ..member(&[b'n'; 100]) }, vec![]),
        (Member { kind: kind::BLOCK_DEVICE, major: 259, minor: 1 << 19, ..member(b"device") }, vec![]),
        (
            Member {
                xattrs: vec![(b"user.x".to_vec(), b"a=\0\n\n".to_vec()), (b"user.y".to_vec(), vec![])],
                ..member(b"x")
            },
            vec![],
        ),
    ];
    assert_eq!(members(&archive(&expect)).unwrap(), expect);
}

#[test]
fn another_reader_agrees_with_our_writer() {
    let long = vec![b'l'; 300];
    let bytes = archive(&[
        (Member { size: 513, ..member(&long) }, vec![1; 513]),
        (Member { kind: kind::SYMLINK, link: long.clone(), ..member(b"s") }, vec![]),
        (Member { uid: 3_000_000, ..member(b"u") }, vec![]),
    ]);
    let mut theirs = tar::Archive::new(&bytes[..]);
    let mut entries = theirs.entries().unwrap().map(|entry| entry.unwrap());
    let mut first = entries.next().unwrap();
    let mut content = Vec::new();
    first.read_to_end(&mut content).unwrap();
    assert_eq!((&*first.path_bytes(), content), (&long[..], vec![1; 513]));
    assert_eq!(*entries.next().unwrap().link_name_bytes().unwrap(), long[..]);
    assert_eq!(entries.next().unwrap().header().uid().unwrap(), 3_000_000);
}

#[test]
fn a_posix_header_with_a_prefix_is_put_together() {
    let mut header = tar::Header::new_ustar();
    let path = format!("{}/{}", "p".repeat(120), "n".repeat(60));
    header.set_path(&path).unwrap();
    header.set_size(0);
    header.set_cksum();
    assert_eq!(members(header.as_bytes()).unwrap()[0].0.name, path.as_bytes());
}

#[test]
fn the_length_of_a_pax_record_counts_itself() {
    let check = |value_bytes: usize, expect: usize| {
        let record = pax_record(b"key", &vec![b'v'; value_bytes]);
        assert_eq!(record.len(), expect);
        assert!(record.starts_with(format!("{expect} key=").as_bytes()));
    };
    check(1, 8);
    check(2, 9);
    check(3, 11);
    check(91, 99);
    check(92, 101);
}

#[test]
fn times_of_pax_headers_are_exact() {
    let check =
        |text: &str, expect: Option<(i64, u32)>| assert_eq!(read::time(text.as_bytes()), expect, "{text}");
    check("1700000000", Some((1_700_000_000, 0)));
    check("1.25", Some((1, 250_000_000)));
    check("1.1234567891", Some((1, 123_456_789)));
    check("-1.5", Some((-2, 500_000_000)));
    check("1.x", None);
    check("", None);
}

#[test]
fn what_is_no_archive_is_refused_with_a_reason() {
    let good = archive(&[(Member { size: 600, ..member(b"a") }, vec![1; 600])]);
    let check = |change: &dyn Fn(&mut Vec<u8>), expect: &str| {
        let mut bytes = good.clone();
        change(&mut bytes);
        assert_eq!(members(&bytes).unwrap_err(), expect);
    };
    check(&|bytes| bytes[0] ^= 1, "a header's checksum is wrong");
    check(&|bytes| bytes.truncate(100), "it ends in the middle of a header");
    check(&|bytes| bytes.truncate(700), "it ends in the middle of a member");
    check(&|bytes| bytes.truncate(512 + 600), "it ends in the middle of a member");
    let bomb = archive(&[(Member { kind: kind::GNU_LONG_NAME, size: 1 << 30, ..member(b"L") }, vec![])]);
    assert_eq!(members(&bomb).unwrap_err(), "a header is too long");
    let chain: Vec<_> =
        (0..20).map(|_| (Member { kind: kind::GNU_LONG_NAME, ..member(b"L") }, vec![])).collect();
    assert_eq!(members(&archive(&chain)).unwrap_err(), "a member has too many headers");
    let sparse = archive(&[(Member { kind: kind::GNU_SPARSE, ..member(b"s") }, vec![])]);
    assert_eq!(members(&sparse).unwrap_err(), "sparse members are not supported");
    for record in ["4 a=\n", "99 a=b\n", "3 a\n", "x a=b\n", "6 a=bc"] {
        let size = record.len() as u64;
        let bytes = archive(&[
            (Member { kind: kind::PAX, size, ..member(b"x") }, record.into()),
            (member(b"a"), vec![]),
        ]);
        assert_eq!(members(&bytes).unwrap_err(), "a pax header is malformed", "{record:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        start in 0usize..3000,
        noise in prop::collection::vec(any::<u8>(), 0..600),
        seal in any::<bool>(),
    ) {
        let mut bytes = archive(&[
            (Member { xattrs: vec![(b"user.x".to_vec(), vec![1; 50])], size: 700, ..member(&[b'n'; 200]) }, vec![1; 700]),
            (Member { seconds: -1, ..member(b"second") }, vec![]),
        ]);
        for (at, byte) in noise.iter().enumerate() {
            let at = start + at;
            if at < bytes.len() {
                bytes[at] ^= byte;
            }
        }
        if seal && bytes.len() >= 512 {
            // A right checksum lets the noise reach what is behind it.
            let mut header: [u8; 512] = bytes[..512].try_into().unwrap();
            let sum = format!("{:06o}\0 ", super::checksum(&header));
            header[148..156].copy_from_slice(sum.as_bytes());
            bytes[..512].copy_from_slice(&header);
        }
        let _ = members(&bytes);
    }
}
