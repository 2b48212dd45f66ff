//! The patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*` and `?` are special, an escaped character is itself, and
//! brackets mean nothing (unlike in a shell, and unlike in [`glob`](super::glob)).

use regex::{Regex, RegexBuilder};

/// Why a pattern was not applied.
#[derive(Debug)]
pub(super) enum PatternError {
    /// The pattern outgrew the bound of a compiled expression.
    PatternTooLarge,
    /// The replacement outgrew the caller's limit.
    ResultTooLong,
}

/// How much a `*` takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Shortest,
    Longest,
}

/// A compiled pattern, as text of a regular expression. The regex crate matches in linear time whatever the pattern.
pub(super) struct Pattern<'a> {
    text: &'a str,
    escape: char,
}

impl<'a> Pattern<'a> {
    pub(super) fn new(text: &'a str, escape: char) -> Self {
        Self { text, escape }
    }

    fn regex(&self, before: &str, stars: Length, after: &str) -> Result<Regex, PatternError> {
        let star = if stars == Length::Longest { ".*" } else { ".*?" };
        let mut expression = before.to_owned();
        let mut chars = self.text.chars();
        while let Some(c) = chars.next() {
            match c {
                '*' => expression.push_str(star),
                '?' => expression.push('.'),
                _ => {
                    let literal = if c == self.escape { chars.next().unwrap_or(c) } else { c };
                    expression.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
                }
            }
        }
        expression.push_str(after);
        RegexBuilder::new(&expression)
            .dot_matches_new_line(true)
            .build()
            .map_err(|_| PatternError::PatternTooLarge)
    }

    /// `value` without the prefix that matches.
    pub(super) fn trim_prefix<'v>(&self, value: &'v str, length: Length) -> Result<&'v str, PatternError> {
        let regex = self.regex("^", length, "")?;
        Ok(regex.find(value).map_or(value, |found| &value[found.end()..]))
    }

    /// `value` without the suffix that matches.
    pub(super) fn trim_suffix<'v>(&self, value: &'v str, length: Length) -> Result<&'v str, PatternError> {
        // the shortest suffix is what the longest rest leaves over
        let rest = if length == Length::Shortest { "^(.*)(?:" } else { "^(.*?)(?:" };
        let regex = self.regex(rest, length, ")$")?;
        let rest = regex.captures(value).and_then(|captures| captures.get(1));
        Ok(rest.map_or(value, |rest| rest.as_str()))
    }

    /// `value` with the first `count` matches, the longest at each place, replaced; at most about `limit` bytes.
    pub(super) fn replace(
        &self,
        value: &str,
        replacement: &str,
        count: usize,
        limit: usize,
    ) -> Result<String, PatternError> {
        let mut out = String::new();
        let mut done = 0;
        for found in self.regex("", Length::Longest, "")?.find_iter(value).take(count) {
            out.push_str(&value[done..found.start()]);
            out.push_str(replacement);
            done = found.end();
            if out.len() > limit {
                return Err(PatternError::ResultTooLong);
            }
        }
        out.push_str(&value[done..]);
        Ok(out)
    }
}
