//! The frequency of the host's time-stamp counter.
//!
//! A guest reads the host's counter, under either accelerator, and would measure its frequency against an emulated timer:
//! on a loaded host that fails, and the boot hangs. So it is measured here and told to the guest. The guest keeps time by
//! it until it is told the time anew, so it has to be good to some parts in a million.

use std::arch::x86_64::_rdtsc;
use std::time::{Duration, Instant};

use boxlite_types::{Home, Result};

use super::durable::Cancel;
use super::facts::HostFacts;

/// Length of one measurement. Reading both clocks takes less than 100 ns, so 20 ms are good to 5 parts in a million.
const MEASUREMENT: Duration = Duration::from_millis(20);

/// Attempts at reading both clocks without being interrupted in between.
const READINGS: u32 = 32;

/// Difference up to which a new measurement confirms an old one, in parts per million. Templates depend on the exact
/// value, and would be made anew after each boot of the host otherwise.
const SAME_PPM: u64 = 50;

/// Returns the frequency in kHz, measured if it was not since the host booted.
///
/// # Errors
/// `Storage` if it cannot be remembered, `Cancelled`.
pub fn frequency_khz(home: &Home, cancel: &Cancel) -> Result<u64> {
    let facts = HostFacts::load(home);
    if let (Some(khz), true) = (facts.tsc_khz, facts.tsc_confirmed) {
        return Ok(khz);
    }
    let measured = measure_khz();
    let facts = HostFacts::update(home, cancel, |facts| {
        let confirmed = facts.tsc_khz.filter(|khz| is_same(*khz, measured));
        facts.tsc_khz = Some(confirmed.unwrap_or(measured));
        facts.tsc_confirmed = true;
    })?;
    Ok(facts.tsc_khz.unwrap_or(measured))
}

fn is_same(one_khz: u64, other_khz: u64) -> bool {
    one_khz.abs_diff(other_khz) * 1_000_000 <= one_khz * SAME_PPM
}

fn measure_khz() -> u64 {
    let (began, first) = read_both();
    std::thread::sleep(MEASUREMENT);
    let (ended, last) = read_both();
    let elapsed_ns = ended.duration_since(began).as_nanos().max(1);
    (u128::from(last.wrapping_sub(first)) * 1_000_000 / elapsed_ns) as u64
}

/// Reads the clock and the counter at the same moment: the closest of several tries.
fn read_both() -> (Instant, u64) {
    let mut best = (u64::MAX, Instant::now(), 0);
    for _ in 0..READINGS {
        // SAFETY: every x86-64 processor has the instruction, and it touches no memory.
        let before = unsafe { _rdtsc() };
        let clock = Instant::now();
        // SAFETY: as above.
        let after = unsafe { _rdtsc() };
        let width = after.wrapping_sub(before);
        if width < best.0 {
            best = (width, clock, before.wrapping_add(width / 2));
        }
    }
    (best.1, best.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_measurements_agree() {
        // Far wider than what is seen (2 ppm), for a host where the test is preempted between two instructions.
        let (one, other) = (measure_khz(), measure_khz());
        assert!(one.abs_diff(other) * 1000 <= one, "{one} and {other} kHz");
        assert!((100_000..20_000_000).contains(&one), "{one} kHz");
    }

    #[test]
    fn a_measurement_confirms_what_is_remembered_unless_the_host_is_another() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let measured = frequency_khz(&home, &Cancel::default()).unwrap();
        let check = |remembered: u64, kept: bool| {
            let change =
                |facts: &mut HostFacts| (facts.tsc_khz, facts.tsc_confirmed) = (Some(remembered), false);
            HostFacts::update(&home, &Cancel::default(), change).unwrap();
            let khz = frequency_khz(&home, &Cancel::default()).unwrap();
            assert_eq!(khz == remembered, kept, "remembered {remembered}, measured {measured}, now {khz}");
        };
        check(measured, true);
        check(measured * 2, false);
    }
}
