//! Sizes as people write and read them. What is typed counts in powers of 1024 (memory and disks are made so); what is
//! printed in tables counts in powers of 1000, as registries and disks are labelled. JSON always carries bytes.

use boxlite::{Error, ErrorCode, Result};

/// Reads a size and returns it in MiB, rounded up: `512m`, `2g`, `1GiB`; a number alone counts MiB.
///
/// # Errors
/// `InvalidArgument`.
pub fn parse_mebibytes(text: &str) -> Result<u32> {
    let refuse = || {
        Error::new(ErrorCode::InvalidArgument, format!("malformed size `{text}`"))
            .hint("write it as a number with `m`, `g` or `t`, for example `512m` or `2g`")
    };
    let lower = text.trim().to_ascii_lowercase();
    let unit_start = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(unit_start);
    let bytes_per_unit: f64 = match unit.trim() {
        "" | "m" | "mb" | "mib" => (1u64 << 20) as f64,
        "b" => 1.0,
        "k" | "kb" | "kib" => (1u64 << 10) as f64,
        "g" | "gb" | "gib" => (1u64 << 30) as f64,
        "t" | "tb" | "tib" => (1u64 << 40) as f64,
        _ => return Err(refuse()),
    };
    let number: f64 = number.parse().map_err(|_| refuse())?;
    let mebibytes = (number * bytes_per_unit / (1u64 << 20) as f64).ceil();
    if mebibytes >= 1.0 && mebibytes <= f64::from(u32::MAX) { Ok(mebibytes as u32) } else { Err(refuse()) }
}

/// Writes a number of bytes with three significant digits: `0 B`, `999 B`, `1.23 MB`, `64.0 GB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // 999.5 would be printed as 1000.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.decimals$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_powers_of_1024() {
        let check = |text: &str, expect: u32| assert_eq!(parse_mebibytes(text).unwrap(), expect, "{text}");
        check("512", 512);
        check("512m", 512);
        check("512MB", 512);
        check("2g", 2048);
        check("1.5GiB", 1536);
        check("1t", 1 << 20);
        check("1k", 1);
        check("1048577b", 2);
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for bad in ["", "m", "-1g", "0", "1x", "1.2.3g", "nan", "inf", "1e3", "99999999t", "1 2"] {
            assert_eq!(parse_mebibytes(bad).unwrap_err().code(), ErrorCode::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn sizes_are_printed_with_three_digits() {
        let check = |bytes: u64, expect: &str| assert_eq!(human_bytes(bytes), expect);
        check(0, "0 B");
        check(999, "999 B");
        check(1000, "1.00 kB");
        check(999_499, "999 kB");
        check(999_500, "1.00 MB");
        check(12_345_678, "12.3 MB");
        check(64 << 30, "68.7 GB");
        check(u64::MAX, "18.4 EB");
    }
}
