use std::os::fd::OwnedFd;

use boxlite_protocol::Channel;

use super::*;

fn directory() -> (tempfile::TempDir, OwnedFd) {
    let directory = tempfile::tempdir().unwrap();
    let open = std::fs::File::open(directory.path()).unwrap().into();
    (directory, open)
}

#[test]
fn every_byte_comes_back_in_order_and_on_its_channel() {
    let (path, open) = directory();
    let all: Vec<u8> = (0..=255).collect();
    let mut writer = LogWriter::new(open);
    writer.append(1, Channel::Stdout, b"one\n").unwrap();
    writer.append(2, Channel::Stderr, &all).unwrap();
    let expect = [
        LogRecord { time_ns: 1, channel: Channel::Stdout, bytes: b"one\n".to_vec() },
        LogRecord { time_ns: 2, channel: Channel::Stderr, bytes: all },
    ];
    assert_eq!(read_log(path.path(), None).unwrap(), expect);
    assert_eq!(read_log(path.path(), Some(1)).unwrap(), expect[1..]);
    assert_eq!(read_log(path.path(), Some(0)).unwrap(), []);
}

#[test]
fn a_record_cut_short_by_a_crash_is_cut_off() {
    let (path, open) = directory();
    LogWriter::new(open.try_clone().unwrap()).append(1, Channel::Stdout, b"whole").unwrap();
    let file = path.path().join(LOG_FILE);
    let whole = std::fs::read(&file).unwrap();
    let torn = LogRecord::encode(2, Channel::Stdout, b"torn");
    for cut in 1..torn.len() {
        std::fs::write(&file, [&whole, &torn[..cut]].concat()).unwrap();
        assert_eq!(read_log(path.path(), None).unwrap().len(), 1, "{cut}");
        LogWriter::new(open.try_clone().unwrap()).append(3, Channel::Stderr, b"next").unwrap();
        let texts: Vec<_> =
            read_log(path.path(), None).unwrap().into_iter().map(|record| record.bytes).collect();
        assert_eq!(texts, [b"whole".to_vec(), b"next".to_vec()], "{cut}");
    }
}

#[test]
fn a_log_is_bounded_and_loses_only_its_oldest_part() {
    let (path, open) = directory();
    let mut writer = LogWriter::rotating_at(open, 1000);
    for number in 0..200u64 {
        writer.append(number, Channel::Stdout, &[b'x'; 50]).unwrap();
    }
    let size = |name| std::fs::metadata(path.path().join(name)).unwrap().len();
    assert!(size(LOG_FILE) <= 1100 && size(OLDER_LOG_FILE) <= 1100);
    let times: Vec<u64> = read_log(path.path(), None).unwrap().iter().map(|record| record.time_ns).collect();
    assert!(times.len() >= 15 && times.last() == Some(&199));
    assert!(times.windows(2).all(|pair| pair[0] + 1 == pair[1]));
}

#[tokio::test]
async fn a_follower_reads_across_rotations_and_ends_without_a_supervisor() {
    let (path, open) = directory();
    let mut writer = LogWriter::rotating_at(open, 1000);
    (0..10).for_each(|time| writer.append(time, Channel::Stdout, &[b'x'; 50]).unwrap());
    let mut follower = LogFollower::new(path.path(), Some(4)).unwrap();
    assert_eq!(follower.next().await.unwrap().unwrap().time_ns, 6);
    (10..30).for_each(|time| writer.append(time, Channel::Stdout, &[b'x'; 50]).unwrap());
    let mut times = vec![6];
    while let Some(record) = follower.next().await.unwrap() {
        times.push(record.time_ns);
    }
    assert_eq!(times, (6..30).collect::<Vec<u64>>());
}
