//! What the machine uses, as its kernel tells.

use std::io::Read;
use std::os::fd::OwnedFd;

use boxlite_protocol::{Answer, GuestMetrics};
use boxlite_types::Result;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::failure::failed;

/// Where to look: descriptors that stay right whatever the box does to its mounts.
pub(crate) struct Sources {
    pub(crate) proc: OwnedFd,
    /// The writable disk.
    pub(crate) disk: OwnedFd,
}

/// Returns how much memory there is.
pub(crate) fn memory_bytes() -> u64 {
    memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default()).1
}

/// `/proc/stat` counts in these, 100 a second on every architecture Linux runs boxes on.
const TICK_USEC: u64 = 10_000;

pub(crate) fn metrics(sources: &Sources) -> Result<Answer> {
    let read = |name: &str| {
        read_at(&sources.proc, name).map_err(|errno| failed(format!("read `/proc/{name}`"), errno))
    };
    let disk = rustix::fs::fstatvfs(&sources.disk).map_err(|errno| failed("measure the disk", errno))?;
    let (memory_used_bytes, memory_total_bytes) = memory(&read("meminfo")?);
    Ok(Answer::Metrics(GuestMetrics {
        cpu_usec: busy_ticks(&read("stat")?) * TICK_USEC,
        memory_used_bytes,
        memory_total_bytes,
        disk_used_bytes: (disk.f_blocks - disk.f_bfree) * disk.f_frsize,
        disk_total_bytes: disk.f_blocks * disk.f_frsize,
        processes: processes(&sources.proc).map_err(|errno| failed("count processes", errno))?,
    }))
}

/// Sum of the `cpu` line without idle (4th) and waiting (5th) time; guest time (9th on) is part of user time already.
fn busy_ticks(stat: &str) -> u64 {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or("");
    let fields = line.split_ascii_whitespace().map(|field| field.parse::<u64>().unwrap_or(0));
    fields.take(8).enumerate().filter(|(index, _)| !matches!(index, 3 | 4)).map(|(_, ticks)| ticks).sum()
}

/// Memory in use without what could be given back, and all of it.
fn memory(meminfo: &str) -> (u64, u64) {
    let kib = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let (total, available) = (kib("MemTotal"), kib("MemAvailable"));
    (total.saturating_sub(available) * 1024, total * 1024)
}

fn processes(proc: &OwnedFd) -> Result<u64, Errno> {
    let mut count = 0;
    for entry in rustix::fs::Dir::read_from(proc)? {
        if entry?.file_name().to_bytes().first().is_some_and(u8::is_ascii_digit) {
            count += 1;
        }
    }
    Ok(count)
}

fn read_at(proc: &OwnedFd, name: &str) -> Result<String, Errno> {
    let file = rustix::fs::openat(proc, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = String::new();
    std::fs::File::from(file)
        .read_to_string(&mut text)
        .map_err(|error| Errno::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EIO)))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        assert_eq!(busy_ticks("cpu  10 1 5 1000 500 2 3 4 99 99\ncpu0 1 1 1\n"), 25);
        assert_eq!(busy_ticks("nonsense"), 0);
        let meminfo = "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:   400 kB\n";
        assert_eq!(memory(meminfo), (600 * 1024, 1000 * 1024));
        assert_eq!(memory(""), (0, 0));
    }
}
