//! Text to ranges, for one user. No file, no command: values in, values out.
//!
//! Rows of other users are not judged, so that one user's typing error does not lock out the rest. A
//! row whose owner cannot be told is refused.

use super::{Error, Owner, Range, Ranges};
use crate::idmap::ranges_overlap;

/// What is wrong with one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not the fields it should have.
    #[error("{line:?} is not {expected}")]
    Malformed {
        /// The line.
        line: String,
        /// The form of a good one.
        expected: &'static str,
    },
    /// A range of no ids.
    #[error("the count is 0")]
    Empty,
    /// Ids are 32 bits wide and 4294967295 means "no id".
    #[error("{len} ids from {first} on run past the last id, 4294967294")]
    Overflow {
        /// First id of the range, as written.
        first: String,
        /// Its length, as written.
        len: String,
    },
    /// One id would be mapped twice.
    #[error("{len} ids from {first} on overlap line {other}")]
    Overlap {
        /// First id of the range.
        first: u32,
        /// Its length.
        len: u32,
        /// The earlier line.
        other: usize,
    },
}

/// The ranges of `owner` in the text of `/etc/subuid` or `/etc/subgid`: `OWNER:FIRST:COUNT` a line,
/// comments (`#`) and blank lines skipped. `origin` is the name that errors give to the text.
pub fn parse(text: &str, origin: &str, owner: &Owner) -> Result<Ranges, Error> {
    collect(text, origin, |line| {
        if line.starts_with('#') {
            return Ok(None);
        }
        let malformed = || Fault::Malformed { line: line.to_owned(), expected: "OWNER:FIRST:COUNT" };
        let (name, range) = line.split_once(':').ok_or_else(malformed)?;
        if !owner.is(name) {
            return Ok(None);
        }
        range.split_once(':').ok_or_else(malformed).map(Some)
    })
}

/// The first id behind every range of the text, whoever's, but at least 100000: free to be given away.
/// Lines that are no ranges are skipped: this makes a proposal, not a judgement.
pub(super) fn first_free(text: &str) -> u32 {
    let ends = text.lines().filter_map(|line| {
        let mut fields = line.trim().rsplit(':').map(|field| field.parse::<u32>().ok());
        let (len, first) = (fields.next()??, fields.next()??);
        first.checked_add(len)
    });
    ends.fold(100_000, u32::max)
}

/// The ranges that `getsubids USER` prints: `INDEX: USER FIRST COUNT` a line.
pub fn parse_getsubids(text: &str, origin: &str) -> Result<Ranges, Error> {
    collect(text, origin, |line| {
        let mut fields = line.split_ascii_whitespace().rev();
        match (fields.next(), fields.next(), fields.next(), fields.next(), fields.next()) {
            (Some(len), Some(first), Some(_), Some(_), None) => Ok(Some((first, len))),
            _ => Err(Fault::Malformed { line: line.to_owned(), expected: "INDEX: USER FIRST COUNT" }),
        }
    })
}

/// Reads each line with `fields` (its FIRST and COUNT, or `None` to skip it) and checks the ranges.
fn collect<'text>(
    text: &'text str,
    origin: &str,
    fields: impl Fn(&'text str) -> Result<Option<(&'text str, &'text str)>, Fault>,
) -> Result<Ranges, Error> {
    let mut ranges: Vec<Range> = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = |fault| Error::Line { origin: origin.to_owned(), line: index + 1, fault };
        let Some((first, len)) = fields(line.trim()).map_err(at)? else { continue };
        let range = range(line.trim(), index + 1, first, len).map_err(at)?;
        let other =
            ranges.iter().find(|other| ranges_overlap((range.first, range.len), (other.first, other.len)));
        if let Some(other) = other {
            return Err(at(Fault::Overlap { first: range.first, len: range.len, other: other.line }));
        }
        ranges.push(range);
    }
    Ok(Ranges { origin: origin.to_owned(), ranges })
}

fn range(text: &str, line: usize, first: &str, len: &str) -> Result<Range, Fault> {
    let digits = |field: &str| !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(len) {
        return Err(Fault::Malformed { line: text.to_owned(), expected: "a range of two decimal numbers" });
    }
    // Digits that do not fit into 32 bits are an overflow by themselves.
    let overflow = || Fault::Overflow { first: first.to_owned(), len: len.to_owned() };
    let range = Range {
        first: first.parse().map_err(|_| overflow())?,
        len: len.parse().map_err(|_| overflow())?,
        line,
    };
    if range.len == 0 {
        return Err(Fault::Empty);
    }
    range.first.checked_add(range.len).ok_or_else(overflow)?;
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> Owner {
        Owner { name: Some("builder".into()), uid: 1001 }
    }

    fn parsed(text: &str) -> Result<Vec<(u32, u32, usize)>, String> {
        let ranges = parse(text, "/etc/subuid", &builder()).map_err(|error| error.to_string())?;
        Ok(ranges.ranges.iter().map(|range| (range.first, range.len, range.line)).collect())
    }

    #[test]
    fn ranges_by_name_and_by_number_in_file_order() {
        for (text, expected) in [
            ("", vec![]),
            ("builder:100000:65536\n", vec![(100_000, 65_536, 1)]),
            ("1001:100000:65536", vec![(100_000, 65_536, 1)]),
            ("01001:100000:65536", vec![(100_000, 65_536, 1)]),
            ("builder:300000:10\n1001:200000:10\n", vec![(300_000, 10, 1), (200_000, 10, 2)]),
            ("# a comment\n\n  \nother:1:2\n builder:100000:5 \r\n", vec![(100_000, 5, 5)]),
            ("builder2:1:2\nbuild:1:2\nBuilder:1:2\n10011:1:2\n:1:2\n", vec![]),
            ("other:x:y\nother:1\nbuilder:7:8\n", vec![(7, 8, 3)]),
            ("builder:4294967294:1\n", vec![(4_294_967_294, 1, 1)]),
            ("builder:0:4294967295\n", vec![(0, u32::MAX, 1)]),
            (
                "builder:100:10\nbuilder:110:10\nbuilder:90:10\n",
                vec![(100, 10, 1), (110, 10, 2), (90, 10, 3)],
            ),
            ("builder:100:10\nother:100:10\n", vec![(100, 10, 1)]),
        ] {
            assert_eq!(parsed(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn a_bad_line_is_refused_by_file_and_line() {
        for (text, error) in [
            ("garbage", r#"/etc/subuid:1: "garbage" is not OWNER:FIRST:COUNT"#),
            ("\n#\nbuilder:1", r#"/etc/subuid:3: "builder:1" is not OWNER:FIRST:COUNT"#),
            ("builder:a:1", r#"/etc/subuid:1: "builder:a:1" is not a range of two decimal numbers"#),
            ("builder:1:", r#"/etc/subuid:1: "builder:1:" is not a range of two decimal numbers"#),
            ("builder:1:2:3", r#"/etc/subuid:1: "builder:1:2:3" is not a range of two decimal numbers"#),
            ("builder:-1:2", r#"/etc/subuid:1: "builder:-1:2" is not a range of two decimal numbers"#),
            ("builder:+1:2", r#"/etc/subuid:1: "builder:+1:2" is not a range of two decimal numbers"#),
            ("builder:1:0", "/etc/subuid:1: the count is 0"),
            (
                "builder:4294967295:1",
                "/etc/subuid:1: 1 ids from 4294967295 on run past the last id, 4294967294",
            ),
            (
                "x:1:1\nbuilder:100000:4294967295",
                "/etc/subuid:2: 4294967295 ids from 100000 on run past the last id, 4294967294",
            ),
            (
                "builder:99999999999999999999999:1",
                "/etc/subuid:1: 1 ids from 99999999999999999999999 on run past the last id, 4294967294",
            ),
            ("builder:100:10\n1001:109:1\n", "/etc/subuid:2: 1 ids from 109 on overlap line 1"),
            ("builder:100:10\n#\nbuilder:100:10\n", "/etc/subuid:3: 10 ids from 100 on overlap line 1"),
            ("builder:100:10\nbuilder:50:51\n", "/etc/subuid:2: 51 ids from 50 on overlap line 1"),
        ] {
            assert_eq!(parsed(text), Err(error.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_user_named_by_digits_does_not_get_the_ranges_of_that_id() {
        let digits = Owner { name: Some("1001".into()), uid: 5 };
        assert_eq!(parse("1001:100000:65536", "subuid", &digits).unwrap().ranges, []);
        let nameless = Owner { name: None, uid: 1001 };
        assert_eq!(parse("1001:7:1\nbuilder:9:1", "subuid", &nameless).unwrap().ranges.len(), 1);
    }

    #[test]
    fn a_free_range_is_behind_all_others() {
        for (text, free) in [
            ("", 100_000),
            ("a:100000:65536\nb:300000:10\nc:165536:65536\n", 300_010),
            ("a:1000:5\n# x:1:1\nnonsense\nb:4294967295:1\n", 100_000),
        ] {
            assert_eq!(first_free(text), free, "{text:?}");
        }
    }

    #[test]
    fn what_getsubids_prints() {
        for (text, expected) in [
            ("0: builder 100000 65536\n1: builder 300000 5\n", Ok(vec![(100_000, 65_536), (300_000, 5)])),
            ("", Ok(vec![])),
            (
                "0: builder 100000\n",
                Err(r#"getsubids:1: "0: builder 100000" is not INDEX: USER FIRST COUNT"#),
            ),
            ("0: builder 1 5\n1: builder 5 1\n", Err("getsubids:2: 1 ids from 5 on overlap line 1")),
        ] {
            let found = parse_getsubids(text, "getsubids")
                .map(|found| found.ranges.iter().map(|range| (range.first, range.len)).collect::<Vec<_>>())
                .map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[b:0-9# \n]{0,60}") {
            let owner = Owner { name: Some("b".into()), uid: 1 };
            if let Ok(ranges) = parse(&text, "subuid", &owner) {
                proptest::prop_assert!(ranges.ranges.iter().all(|range| range.first.checked_add(range.len).is_some()));
            }
        }
    }
}
