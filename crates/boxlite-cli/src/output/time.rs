//! Points in time and durations as people read them. JSON always carries seconds since the Unix epoch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Says how long ago `seconds` since the Unix epoch were: `just now`, `5 minutes ago`, `3 days ago`.
pub fn ago(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    age(now.saturating_sub(seconds))
}

fn age(seconds: i64) -> String {
    const STEPS: [(i64, &str); 6] = [
        (365 * 86_400, "year"),
        (30 * 86_400, "month"),
        (7 * 86_400, "week"),
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
    ];
    for (length, name) in STEPS {
        if seconds >= length {
            let count = seconds / length;
            return format!("{count} {name}{} ago", if count == 1 { "" } else { "s" });
        }
    }
    if seconds < 5 { "just now".into() } else { format!("{seconds} seconds ago") }
}

/// Writes a duration as `12 ms`, `1.4 s` or `2 min 5 s`.
pub fn duration(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if seconds < 1.0 {
        format!("{} ms", elapsed.as_millis())
    } else if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {} s", elapsed.as_secs() / 60, elapsed.as_secs() % 60)
    }
}

/// Writes nanoseconds since the Unix epoch as RFC 3339 in UTC with microseconds.
pub fn rfc3339(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let microsecond = nanoseconds / 1_000 % 1_000_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{microsecond:06}Z")
}

/// Returns year, month and day of a day since the Unix epoch, in the Gregorian calendar.
///
/// Years are counted from 1 March 0000 here, so that the leap day is the last one of its year; 400 years have 146,097 days.
fn civil_date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_EPOCH: u64 = 719_468;
    let days = days + DAYS_TO_EPOCH;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_said_in_the_largest_whole_unit() {
        let check = |seconds: i64, expect: &str| assert_eq!(age(seconds), expect);
        check(-10, "just now");
        check(4, "just now");
        check(59, "59 seconds ago");
        check(60, "1 minute ago");
        check(7_199, "1 hour ago");
        check(13 * 86_400, "1 week ago");
        check(800 * 86_400, "2 years ago");
    }

    #[test]
    fn durations_are_short() {
        let check = |millis: u64, expect: &str| assert_eq!(duration(Duration::from_millis(millis)), expect);
        check(12, "12 ms");
        check(1_440, "1.4 s");
        check(125_000, "2 min 5 s");
    }

    #[test]
    fn moments_are_written_in_utc() {
        let check = |seconds: u64, expect: &str| assert_eq!(rfc3339(seconds * 1_000_000_000 + 1_500), expect);
        check(0, "1970-01-01T00:00:00.000001Z");
        check(951_782_399, "2000-02-28T23:59:59.000001Z");
        check(951_782_400, "2000-02-29T00:00:00.000001Z");
        check(1_709_251_199, "2024-02-29T23:59:59.000001Z");
        check(4_107_542_400, "2100-03-01T00:00:00.000001Z");
    }
}
