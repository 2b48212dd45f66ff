//! PAX extended headers (POSIX.1-2017, pax, "pax Extended Header"): `length key=value\n`, any bytes in the value.

use std::io::Write;

use super::{Fault, Name, Timestamp, Xattrs};

/// Key prefix of an extended attribute.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";
/// Digits of a nanosecond.
const NANOS: usize = 9;

/// What one extended header says of the entry behind it.
#[derive(Default)]
pub(super) struct Overrides {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<Timestamp>,
    pub(super) xattrs: Xattrs,
    pub(super) sparse: Sparse,
}

/// GNU's records of a sparse file, versions 0.0, 0.1 and 1.0.
#[derive(Default)]
pub(super) struct Sparse {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    /// The file's length with its holes.
    pub(super) size: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    /// Offset, length, offset, length, …
    pub(super) map: Option<Vec<u64>>,
}

impl Overrides {
    pub(super) fn parse(data: &[u8]) -> Result<Self, Fault> {
        let mut overrides = Self::default();
        for record in (Records { rest: data }) {
            let (key, value) = record?;
            overrides.set(key, value)?;
        }
        Ok(overrides)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        if let Some(name) = key.strip_prefix(XATTR) {
            if name.is_empty() || name.contains(&0) {
                return Err(Fault::XattrName(name.into()));
            }
            self.xattrs.insert(name.to_vec(), value.to_vec());
            return Ok(());
        }
        if value.is_empty() {
            // POSIX: an empty value takes the record back, so that the ustar field counts.
            return Ok(());
        }
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal("size", value)?),
            b"uid" => self.uid = Some(id("uid", value)?),
            b"gid" => self.gid = Some(id("gid", value)?),
            b"mtime" => self.mtime = Some(parse_time(value).ok_or_else(|| invalid("mtime", value))?),
            b"GNU.sparse.major" => self.sparse.major = Some(decimal("GNU.sparse.major", value)?),
            b"GNU.sparse.minor" => self.sparse.minor = Some(decimal("GNU.sparse.minor", value)?),
            b"GNU.sparse.size" => self.sparse.size = Some(decimal("GNU.sparse.size", value)?),
            b"GNU.sparse.realsize" => self.sparse.size = Some(decimal("GNU.sparse.realsize", value)?),
            b"GNU.sparse.name" => self.sparse.name = Some(value.to_vec()),
            b"GNU.sparse.offset" => self.sparse.push(decimal("GNU.sparse.offset", value)?),
            b"GNU.sparse.numbytes" => self.sparse.push(decimal("GNU.sparse.numbytes", value)?),
            b"GNU.sparse.map" => {
                let numbers = value.split(|&b| b == b',').map(|n| decimal("GNU.sparse.map", n));
                self.sparse.map = Some(numbers.collect::<Result<_, _>>()?);
            }
            // atime, ctime, comment, charset and vendors' keys: a layer has no place for them.
            _ => {}
        }
        Ok(())
    }
}

impl Sparse {
    fn push(&mut self, number: u64) {
        self.map.get_or_insert_default().push(number);
    }
}

/// The records of one extended header.
struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(match split_record(self.rest) {
            Some((key, value, rest)) => {
                self.rest = rest;
                Ok((key, value))
            }
            None => Err(Fault::PaxRecord(std::mem::take(&mut self.rest).into())),
        })
    }
}

fn split_record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().position(|&b| b == b' ')?;
    let len = usize::try_from(number(&data[..space])?).ok()?;
    let (record, rest) = data.split_at_checked(len)?;
    let pair = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|&b| b == b'=')?;
    let (key, value) = (&pair[..equals], &pair[equals + 1..]);
    (!key.is_empty()).then_some((key, value, rest))
}

/// Appends one record. The length counts its own digits.
pub(super) fn push_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + " =\n".len();
    let mut len = rest + decimal_digits(rest);
    if decimal_digits(len) > decimal_digits(rest) {
        len += 1;
    }
    out.extend_from_slice(len.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        out.extend_from_slice(part);
    }
}

fn decimal_digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Digits and nothing else.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    // str::parse also takes a plus sign.
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn decimal(key: &'static str, value: &[u8]) -> Result<u64, Fault> {
    number(value).ok_or_else(|| invalid(key, value))
}

fn id(key: &'static str, value: &[u8]) -> Result<u32, Fault> {
    number(value).and_then(|id| u32::try_from(id).ok()).ok_or_else(|| invalid(key, value))
}

fn invalid(key: &'static str, value: &[u8]) -> Fault {
    Fault::PaxValue { key, value: Name::from(value) }
}

/// `[-]seconds[.fraction]`; digits beyond the ninth are dropped, towards the past as everything here.
fn parse_time(text: &[u8]) -> Option<Timestamp> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = match digits.iter().position(|&b| b == b'.') {
        Some(point) => (&digits[..point], &digits[point + 1..]),
        None => (digits, &[][..]),
    };
    if (whole.is_empty() && fraction.is_empty()) || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let secs = if whole.is_empty() { 0 } else { i64::try_from(number(whole)?).ok()? };
    let kept = fraction.iter().chain(std::iter::repeat(&b'0')).take(NANOS);
    let nanos = kept.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    let dropped = fraction.iter().skip(NANOS).any(|&digit| digit != b'0');
    if !negative {
        return Some(Timestamp { secs, nanos });
    }
    // -1.5 is half a second after -2.
    match nanos + u32::from(dropped) {
        0 => Some(Timestamp { secs: -secs, nanos: 0 }),
        past => Some(Timestamp { secs: (-secs).checked_sub(1)?, nanos: 1_000_000_000 - past }),
    }
}

/// The shortest text that [`parse_time`] reads back.
pub(super) fn format_time(time: Timestamp) -> Vec<u8> {
    let (sign, secs, nanos) = match (time.secs < 0, time.nanos) {
        (false, nanos) => ("", time.secs.unsigned_abs(), nanos),
        (true, 0) => ("-", time.secs.unsigned_abs(), 0),
        (true, nanos) => ("-", time.secs.unsigned_abs() - 1, 1_000_000_000 - nanos),
    };
    let mut text = Vec::with_capacity(32);
    // Writing to a Vec cannot fail.
    let written = write!(text, "{sign}{secs}.{nanos:0NANOS$}");
    debug_assert!(written.is_ok());
    while text.last() == Some(&b'0') {
        text.pop();
    }
    if text.last() == Some(&b'.') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_forward() {
        let rows = [
            ("0", 0, 0),
            ("1.5", 1, 500_000_000),
            ("-1.5", -2, 500_000_000),
            ("-1", -1, 0),
            ("-0.000000001", -1, 999_999_999),
            ("1700000000.123456789", 1_700_000_000, 123_456_789),
            ("-9223372036854775807", -i64::MAX, 0),
        ];
        for (text, secs, nanos) in rows {
            let time = Timestamp { secs, nanos };
            assert_eq!(parse_time(text.as_bytes()), Some(time), "{text}");
            assert_eq!(format_time(time), text.as_bytes(), "{text}");
        }
        for (text, secs, nanos) in [
            ("1.", 1, 0),
            (".25", 0, 250_000_000),
            ("1.0000000019", 1, 1),
            ("-1.0000000001", -2, 999_999_999),
        ] {
            assert_eq!(parse_time(text.as_bytes()), Some(Timestamp { secs, nanos }), "{text}");
        }
        for bad in ["", "-", ".", "+1", "1e3", "1.5s", "--1", "0x1", "9223372036854775808"] {
            assert_eq!(parse_time(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(format_time(Timestamp { secs: i64::MIN, nanos: 0 }), b"-9223372036854775808");
    }

    #[test]
    fn records_count_their_own_digits() {
        for len in [0, 1, 80, 88, 89, 90, 91, 92, 979, 980, 981, 990, 100_000] {
            let value = vec![b'\n'; len];
            let mut data = Vec::new();
            push_record(&mut data, b"key", &value);
            push_record(&mut data, b"next", b"=");
            let records: Vec<_> = Records { rest: &data }.map(Result::unwrap).collect();
            assert!(records == [(&b"key"[..], &value[..]), (b"next", b"=")], "value of {len} bytes");
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            "x",
            "5 a=b",
            "6 a=b",
            "7 a=b\n",
            "6 a=bc",
            "+6 a=b\n",
            "5 ab\n",
            "5 =b\n",
            "0 a=b\n",
            "1 a=b\n",
            "2 a=b\n",
            "99999999999999999999 a=b\n",
        ] {
            assert!(Overrides::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        for (key, value) in [
            ("uid", "-1"),
            ("uid", "4294967296"),
            ("gid", "1.0"),
            ("size", "x"),
            ("mtime", "now"),
            ("GNU.sparse.map", "1,"),
            ("SCHILY.xattr.", "x"),
        ] {
            let mut data = Vec::new();
            push_record(&mut data, key.as_bytes(), value.as_bytes());
            assert!(Overrides::parse(&data).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn a_value_cannot_smuggle_a_record() {
        let mut data = Vec::new();
        push_record(&mut data, b"SCHILY.xattr.user.a", b"v\n17 path=etc/evil\n");
        let overrides = Overrides::parse(&data).unwrap();
        assert_eq!(overrides.path, None);
        assert_eq!(overrides.xattrs[&b"user.a"[..]], b"v\n17 path=etc/evil\n");
    }
}
