//! Sizes and ages as people read them.

/// `12.3 MB`: three digits, in powers of 1000.
pub(super) fn bytes(count: u64) -> String {
    let mut unit = 0;
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = count as f64;
    while value >= 999.5 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 99.95 { 0 } else { usize::from(value < 9.995) + 1 };
    format!("{value:.digits$} {}", UNITS[unit])
}

const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];

/// `3 hours ago`.
pub(super) fn age(seconds: i64) -> String {
    let steps = [
        ("year", 31_557_600),
        ("month", 2_629_800),
        ("week", 604_800),
        ("day", 86_400),
        ("hour", 3600),
        ("minute", 60),
    ];
    let (unit, count) = steps
        .iter()
        .find(|(_, length)| seconds >= *length)
        .map_or(("second", seconds.max(0)), |(unit, length)| (*unit, seconds / length));
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (count, want) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (123_456_789, "123 MB"),
            (5_000_000_000_000_000, "5000 TB"),
        ] {
            assert_eq!(bytes(count), want, "{count}");
        }
    }

    #[test]
    fn ages_name_one_unit() {
        for (seconds, want) in [
            (-5, "0 seconds ago"),
            (1, "1 second ago"),
            (60, "1 minute ago"),
            (7200, "2 hours ago"),
            (90_000, "1 day ago"),
            (40_000_000, "1 year ago"),
        ] {
            assert_eq!(age(seconds), want, "{seconds}");
        }
    }
}
