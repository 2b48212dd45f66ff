//! Durations as Go writes them: `1h30m`, `1.5s`, `100ms`, `0`.

/// Why a text is no duration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is not made of numbers and units.
    #[error("invalid duration {0:?}")]
    Invalid(String),
    /// A number without a unit.
    #[error("missing unit in duration {0:?}")]
    MissingUnit(String),
    /// A unit that Go does not know.
    #[error("unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

/// Nanoseconds. Errors if a number, a unit, or the range of 64 bits is missed.
pub fn parse(text: &str) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let number = leading(rest, |c| c.is_ascii_digit() || c == '.');
        rest = &rest[number.len()..];
        let unit = leading(rest, |c| !c.is_ascii_digit() && c != '.');
        rest = &rest[unit.len()..];
        let scale = match unit {
            "" => return Err(DurationError::MissingUnit(text.to_owned())),
            _ if number.is_empty() => return Err(invalid()),
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() }),
        };
        let part = scaled(number, scale).ok_or_else(invalid)?;
        total = total.checked_add(part).ok_or_else(invalid)?;
    }
    Ok(if negative { -total } else { total })
}

fn leading(text: &str, wanted: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !wanted(c)).unwrap_or(text.len())]
}

/// A decimal number times `scale`, fractions below a nanosecond cut off.
fn scaled(number: &str, scale: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(15)]; // 10^15 of the longest unit still fit into 128 bits
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let ones = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    i64::try_from(digits.checked_mul(scale.into())? / ones).ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn durations_are_go_durations() {
        for (text, expected) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("1ns", Some(1)),
            ("5us", Some(5_000)),
            ("5µs", Some(5_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5m", Some(30_000_000_000)),
            ("2.s", Some(2_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("-1s", Some(-1_000_000_000)),
            ("+1m0s", Some(60_000_000_000)),
            ("0.0000000001s", Some(0)),
            ("5", None),
            ("", None),
            ("-", None),
            ("s", None),
            (".s", None),
            ("1.2.3s", None),
            ("1 s", None),
            ("1d", None),
            ("9999999999h", None),
            ("99999999999999999999s", None),
            ("2562047h2562047h", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text:?}");
        }
    }
}
