//! Wildcards of COPY and ADD, one path component at a time: `*`, `?`, `[a-z]`, `[^a]` and `\` as Go's `filepath.Match`
//! has them. `*` and `?` never match a `/`.

/// The pattern is malformed: an open or empty bracket, or a backslash at the end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern {0:?}")]
pub struct BadPattern(pub String);

/// Whether `name` as a whole matches `pattern`. Errors if any part of the pattern is malformed, matched or not.
pub fn matches(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    Ok(is_match(&compile(pattern)?, &name.chars().collect::<Vec<_>>()))
}

/// Whether `text` holds a character that [`matches()`] treats specially. Without one, a pattern is a plain name.
pub fn has_meta(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

/// Errors if `pattern` is malformed.
pub(super) fn check(pattern: &str) -> Result<(), BadPattern> {
    compile(pattern).map(|_| ())
}

enum Token {
    Star,
    Any,
    Char(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Token {
    fn accepts(&self, c: char) -> bool {
        match self {
            Self::Star | Self::Any => c != '/',
            Self::Char(wanted) => c == *wanted,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|&(low, high)| (low..=high).contains(&c)) != *negated
            }
        }
    }
}

fn compile(pattern: &str) -> Result<Vec<Token>, BadPattern> {
    let bad = || BadPattern(pattern.to_owned());
    let mut tokens = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' if matches!(tokens.last(), Some(Token::Star)) => continue,
            '*' => Token::Star,
            '?' => Token::Any,
            '\\' => Token::Char(chars.next().ok_or_else(bad)?),
            '[' => class(&mut chars).ok_or_else(bad)?,
            _ => Token::Char(c),
        });
    }
    Ok(tokens)
}

/// Behind a `[`: `^` perhaps, then at least one `x` or `x-y`, then `]`.
fn class(chars: &mut std::str::Chars) -> Option<Token> {
    let mut rest = chars.clone();
    let negated = rest.next() == Some('^');
    if negated {
        *chars = rest;
    }
    let mut ranges = Vec::new();
    loop {
        let low = match chars.next()? {
            ']' if !ranges.is_empty() => return Some(Token::Class { negated, ranges }),
            ']' | '-' => return None,
            c => unescape(c, chars)?,
        };
        let mut rest = chars.clone();
        let high = if rest.next() == Some('-') {
            *chars = rest;
            match chars.next()? {
                ']' | '-' => return None,
                c => unescape(c, chars)?,
            }
        } else {
            low
        };
        ranges.push((low, high));
    }
}

fn unescape(c: char, chars: &mut std::str::Chars) -> Option<char> {
    if c == '\\' { chars.next() } else { Some(c) }
}

/// Only the last star is ever tried again, so the time is bounded by the product of the lengths.
fn is_match(tokens: &[Token], name: &[char]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut retry = None;
    while at < name.len() {
        match tokens.get(token) {
            Some(Token::Star) => {
                retry = Some((token + 1, at));
                token += 1;
            }
            Some(wanted) if wanted.accepts(name[at]) => {
                token += 1;
                at += 1;
            }
            _ => match retry {
                Some((after_star, from)) if name[from] != '/' => {
                    retry = Some((after_star, from + 1));
                    token = after_star;
                    at = from + 1;
                }
                _ => return false,
            },
        }
    }
    tokens[token..].iter().all(|token| matches!(token, Token::Star))
}

#[cfg(test)]
mod tests {
    use super::{has_meta, matches};

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, name, expected) in [
            ("abc", "abc", Some(true)),
            ("*", "abc", Some(true)),
            ("*", "", Some(true)),
            ("", "", Some(true)),
            ("", "a", Some(false)),
            ("*c", "abc", Some(true)),
            ("a*", "a", Some(true)),
            ("a*", "ab/c", Some(false)),
            ("a*/b", "abc/b", Some(true)),
            ("a*/b", "a/c/b", Some(false)),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", Some(true)),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", Some(false)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Some(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Some(false)),
            ("ab[c]", "abc", Some(true)),
            ("ab[b-d]", "abc", Some(true)),
            ("ab[e-g]", "abc", Some(false)),
            ("ab[^c]", "abc", Some(false)),
            ("ab[^e-g]", "abc", Some(true)),
            ("a\\*b", "a*b", Some(true)),
            ("a\\*b", "ab", Some(false)),
            ("a?b", "a☺b", Some(true)),
            ("a[^a]b", "a☺b", Some(true)),
            ("a???b", "a☺b", Some(false)),
            ("a?b", "a/b", Some(false)),
            ("[a-ζ]*", "α", Some(true)),
            ("*[a-ζ]", "A", Some(false)),
            ("[\\]a]", "]", Some(true)),
            ("[\\-x]", "-", Some(true)),
            ("[[]x", "[x", Some(true)),
            ("[!a]", "!", Some(true)),
            ("*x", "xxx", Some(true)),
            (".*", ".git", Some(true)),
            ("**", "ab", Some(true)),
            ("[]a]", "]", None),
            ("[-]", "-", None),
            ("[x-]", "x", None),
            ("[a-b-c]", "a", None),
            ("[", "a", None),
            ("[^", "a", None),
            ("a[", "ab", None),
            ("x[", "a", None),
            ("a\\", "a", None),
            ("[]", "a", None),
        ] {
            assert_eq!(matches(pattern, name).ok(), expected, "{pattern:?} on {name:?}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let name = "a".repeat(5_000);
        assert_eq!(matches(&format!("{}b", "a*".repeat(500)), &name), Ok(false));
    }

    #[test]
    fn meta_characters_are_known() {
        for (text, expected) in [("a.b", false), ("a*", true), ("a?", true), ("[a", true), ("a\\b", true)] {
            assert_eq!(has_meta(text), expected, "{text}");
        }
    }
}
