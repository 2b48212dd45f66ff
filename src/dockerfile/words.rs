//! Cutting arguments into words: by blanks, by blanks outside quotes, or as JSON.

use super::line::Fault;
use std::ops::Range;

/// A word as written, and its place in the logical line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) at: Range<usize>,
}

/// The words between blanks. Quotes mean nothing here: FROM, COPY, EXPOSE and VOLUME cut this way.
pub(super) fn by_blanks(text: &str, offset: usize) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let start = offset + text.len() - rest.len();
        let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
        words.push(Word { text: &rest[..length], at: start..start + length });
        rest = rest[length..].trim_start();
    }
    words
}

/// The words between blanks that are neither quoted nor escaped, quotes and escapes kept: ARG, ENV and LABEL.
pub(super) fn quoted(text: &str, offset: usize, escape: char) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                words.extend(start.take().map(|start| word(text, start..at, offset)));
                continue;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == escape && quote != Some('\'') => {
                chars.next();
            }
            _ => {}
        }
        start.get_or_insert(at);
    }
    words.extend(start.map(|start| word(text, start..text.len(), offset)));
    words
}

/// The words that a POSIX shell would make of `text`, where nothing is expanded; `None` if a quote is not closed.
pub fn split_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            '\'' => loop {
                let word = word.get_or_insert_default();
                match chars.next()? {
                    '\'' => break,
                    c => word.push(c),
                }
            },
            '"' => loop {
                let word = word.get_or_insert_default();
                match chars.next()? {
                    '"' => break,
                    '\\' => match chars.next()? {
                        c @ ('"' | '\\' | '$' | '`') => word.push(c),
                        c => word.extend(['\\', c]),
                    },
                    c => word.push(c),
                }
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

fn word(text: &str, at: Range<usize>, offset: usize) -> Word<'_> {
    Word { text: &text[at.clone()], at: offset + at.start..offset + at.end }
}

/// Whether the arguments are a JSON array, of whatever.
pub(super) fn is_json(args: &str) -> bool {
    array(args).is_some()
}

fn array(args: &str) -> Option<Vec<serde_json::Value>> {
    if !args.starts_with('[') {
        return None;
    }
    serde_json::from_str(args).ok() // whatever is not JSON is a shell command: `[ -f x ] && y`
}

/// The strings of a JSON array; `None` if the arguments are not JSON and so in shell form. Errors if the array holds
/// anything but strings.
pub(super) fn json(args: &str, offset: usize) -> Result<Option<Vec<String>>, Fault> {
    let Some(array) = array(args) else { return Ok(None) };
    let strings = array.into_iter().map(|value| match value {
        serde_json::Value::String(string) => Some(string),
        _ => None,
    });
    match strings.collect::<Option<Vec<String>>>() {
        Some(strings) => Ok(Some(strings)),
        None => Err(Fault::new(
            offset..offset + args.len(),
            "when using JSON array syntax, arrays must be comprised of strings only",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{by_blanks, json, quoted};

    #[test]
    fn quoted_words_keep_quotes_and_escapes() {
        for (text, expected) in [
            ("a=b c=d", &["a=b", "c=d"][..]),
            ("a='x y' b=\"c d\"", &["a='x y'", "b=\"c d\""]),
            ("a=x\\ y  b", &["a=x\\ y", "b"]),
            ("a=\"x\\\" y\" b", &["a=\"x\\\" y\"", "b"]),
            ("a='x\\' b", &["a='x\\'", "b"]),
            ("a='' ''", &["a=''", "''"]),
            ("a=\"open b", &["a=\"open b"]),
            ("a\\", &["a\\"]),
            ("  ", &[]),
        ] {
            let words: Vec<&str> = quoted(text, 0, '\\').iter().map(|w| w.text).collect();
            assert_eq!(words, expected, "{text}");
        }
    }

    #[test]
    fn words_know_their_place() {
        let text = " ä  b ";
        for word in by_blanks(text, 10).into_iter().chain(quoted(text, 10, '\\')) {
            assert_eq!(&text[word.at.start - 10..word.at.end - 10], word.text);
        }
        assert_eq!(by_blanks(text, 0).len(), 2);
    }

    #[test]
    fn json_is_json_or_shell() {
        for (args, expected) in [
            ("[\"a\", \"b c\"]", Ok(Some(vec!["a", "b c"]))),
            ("[]", Ok(Some(vec![]))),
            ("[ ]", Ok(Some(vec![]))),
            ("[\"\\u00e4\\n\"]", Ok(Some(vec!["ä\n"]))),
            ("['a']", Ok(None)),
            ("[\"a\"] x", Ok(None)),
            ("[\"a\",]", Ok(None)),
            ("[ -f x ] && y", Ok(None)),
            ("\"a\"", Ok(None)),
            ("[1]", Err(())),
            ("[\"a\", null]", Err(())),
            ("[\"a\", [\"b\"]]", Err(())),
        ] {
            let expected = expected.map(|v| v.map(|v| v.into_iter().map(str::to_owned).collect::<Vec<_>>()));
            assert_eq!(json(args, 0).map_err(|_| ()), expected, "{args}");
        }
    }
}
