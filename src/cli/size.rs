//! Sizes and ages as people read them.

use jiff::Timestamp;

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

/// `3.39 KB`: three digits at most, as buildah writes the size of an image.
pub(super) fn short(count: u64) -> String {
    let text = bytes(count).replace("kB", "KB");
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number} {unit}")
}

/// `3 hours ago`, in docker's words.
pub(super) fn age(seconds: i64) -> String {
    const HOUR: i64 = 3600;
    let (minutes, hours, days) =
        (seconds / 60, (seconds + HOUR / 2) / HOUR, (seconds + HOUR / 2) / HOUR / 24);
    match () {
        () if seconds < 1 => "Less than a second ago".to_owned(),
        () if seconds == 1 => "1 second ago".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds ago"),
        () if minutes == 1 => "About a minute ago".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes ago"),
        () if hours == 1 => "About an hour ago".to_owned(),
        () if hours < 48 => format!("{hours} hours ago"),
        () if days < 14 => format!("{days} days ago"),
        () if days < 60 => format!("{} weeks ago", days / 7),
        () if days < 730 => format!("{} months ago", days / 30),
        () => format!("{} years ago", days / 365),
    }
}

/// `2026-12-01 13:09:31.5 +0000 UTC`: a time as Go prints it.
pub(super) fn go_time(time: Timestamp) -> String {
    format!("{} +0000 UTC", time.strftime("%Y-%m-%d %H:%M:%S%.f"))
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
        for (count, want) in [(577, "577 B"), (3390, "3.39 KB"), (12_000_000, "12 MB"), (100_000, "100 KB")] {
            assert_eq!(short(count), want, "{count}");
        }
    }

    #[test]
    fn ages_name_one_unit() {
        for (seconds, want) in [
            (-5, "Less than a second ago"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "About a minute ago"),
            (3599, "59 minutes ago"),
            (3600, "About an hour ago"),
            (7200, "2 hours ago"),
            (90_000, "25 hours ago"),
            (172_800, "2 days ago"),
            (1_209_600, "2 weeks ago"),
            (5_184_000, "2 months ago"),
            (63_072_000, "2 years ago"),
        ] {
            assert_eq!(age(seconds), want, "{seconds}");
        }
    }
}
