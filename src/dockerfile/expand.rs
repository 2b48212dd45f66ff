//! Quotes, escapes and `$variables`: from a word as written to its value.
//!
//! The rules are a shell's with fewer modifiers: see the table in [`expand`]. A value that was put in is never looked at
//! again, so one pass is enough and nothing can expand forever.

use super::pattern::{Length, Pattern, PatternError};
use std::iter::Peekable;
use std::str::Chars;

/// How deep `${a:-${b:-…}}` may nest.
const MAX_DEPTH: usize = 64;

/// The longest result, in bytes: `ENV A=$A$A`, some forty times, would otherwise fill the memory.
const MAX_EXPANDED: usize = 16 << 20;

/// How much of a word an error shows, in characters.
const SHOWN_WORD: usize = 120;

/// Why a word has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("process {word:?}: {reason}")]
pub struct ExpandError {
    /// The word, shortened if it is long.
    pub word: String,
    /// What is wrong with it.
    pub reason: ExpandReason,
}

/// What is wrong with a word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandReason {
    /// `${v`
    #[error("syntax error: missing '}}'")]
    MissingBrace,
    /// `${v/p}`
    #[error("syntax error: missing '/' in ${{}}")]
    MissingSlash,
    /// `${}`, `${:}`, `${{`
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// `${v:#p}`, `${v^}`
    #[error("unsupported modifier ({0}) in substitution")]
    UnsupportedModifier(String),
    /// A quote without its end; the operand is `single` or `double`.
    #[error("unexpected end of statement while looking for matching {0}-quote")]
    OpenQuote(&'static str),
    /// `${v:?message}` of a variable that is not set, or empty.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message after the `?`, or what is the matter.
        message: String,
    },
    /// Braces nested too deep.
    #[error("substitutions nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// The value outgrew the bound.
    #[error("value longer than {MAX_EXPANDED} bytes")]
    TooLong,
    /// The pattern outgrew the bound of the regular expressions that it becomes.
    #[error("pattern too large: {0:?}")]
    PatternTooLarge(String),
}

/// The value of one word: variables replaced, quotes and escapes removed.
///
/// | written | becomes |
/// |---|---|
/// | `$v` `${v}` | the value, or nothing |
/// | `${v:-w}` `${v-w}` | `w` if `v` is unset or empty / unset |
/// | `${v:+w}` `${v+w}` | `w` if `v` is set and not empty / set |
/// | `${v:?m}` `${v?m}` | an error with message `m` if `v` is unset or empty / unset |
/// | `${v#p}` `${v##p}` `${v%p}` `${v%%p}` | the value without the shortest or longest prefix or suffix `p` |
/// | `${v/p/r}` `${v//p/r}` | the value with the first match, or all matches, of `p` replaced by `r` |
/// | `'…'` | the text between, as it is |
/// | `"…"` | the text between, expanded; `escape` is special only before `"`, `$` and itself |
/// | `escape` and a character | the character |
///
/// `lookup` knows the environment before the instruction.
///
/// ```
/// # use rbuild::dockerfile::expand;
/// let env = |name: &str| (name == "v").then(|| "1.2.3".to_owned());
/// assert_eq!(expand("'a b'/${v%.*}", '\\', &env).unwrap(), "a b/1.2");
/// ```
pub fn expand(
    word: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, ExpandError> {
    Lexer::new(word, Text::Word, escape, lookup).whole(word)
}

/// The values of a word that may become several, as EXPOSE has them: cut at blanks that are neither quoted nor escaped,
/// after variables were replaced. Empty words are left out.
pub fn expand_words(
    word: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, ExpandError> {
    let mut lexer = Lexer::new(word, Text::Word, escape, lookup);
    let mut words = Vec::new();
    let mut current = String::new();
    let mut length = 0;
    while let Some(unit) = lexer.unit(Escapes::Removed).map_err(|reason| reason.of(word))? {
        let (Unit::Fixed(text) | Unit::Loose(text)) = &unit;
        length += text.len();
        if length > MAX_EXPANDED {
            return Err(ExpandReason::TooLong.of(word));
        }
        match unit {
            Unit::Fixed(text) => current.push_str(&text),
            Unit::Loose(text) => {
                let mut parts = text.split(char::is_whitespace);
                current.push_str(parts.next().unwrap_or_default());
                for part in parts {
                    words.push(std::mem::replace(&mut current, part.to_owned()));
                }
            }
        }
    }
    words.push(current);
    words.retain(|word| !word.is_empty());
    Ok(words)
}

/// The body of a heredoc of COPY or ADD: variables replaced, quotes kept; `\$` is a dollar and `\\` a backslash, any
/// other backslash stays. The `# escape=` directive does not count here.
pub fn expand_heredoc(body: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    Lexer::new(body, Text::Document, '\\', lookup).whole(body)
}

/// The variables that a word takes for granted and `lookup` does not know, in order: `$v`, but not `${v:-w}`, which
/// says what happens then. Of a word that does not expand, those before the mistake.
pub(super) fn missing(word: &str, escape: char, lookup: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    missing_in(word, escape, lookup, Text::Word)
}

/// The same of the body of a heredoc.
pub(super) fn missing_in_heredoc(body: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    missing_in(body, '\\', lookup, Text::Document)
}

fn missing_in(word: &str, escape: char, lookup: &dyn Fn(&str) -> Option<String>, text: Text) -> Vec<String> {
    let mut lexer = Lexer::new(word, text, escape, lookup);
    while let Ok(Some(_)) = lexer.unit(Escapes::Removed) {}
    lexer.missing
}

impl ExpandReason {
    fn of(self, word: &str) -> ExpandError {
        let mut shown: String = word.chars().take(SHOWN_WORD).collect();
        if shown.len() < word.len() {
            shown.push('…');
        }
        ExpandError { word: shown, reason: self }
    }
}

/// What kind of text is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    /// Quotes quote.
    Word,
    /// Quotes are text.
    Document,
}

/// What happens to an escape character outside quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Removed,
    /// Kept, for the pattern that the text becomes.
    Kept,
}

/// The smallest piece that is expanded at once.
enum Unit {
    /// Quoted or escaped: its blanks separate no words.
    Fixed(String),
    /// Plain text or a variable's value.
    Loose(String),
}

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    escape: char,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    depth: usize,
    text: Text,
    /// Variables without a value that were taken for granted.
    missing: Vec<String>,
}

impl<'a> Lexer<'a> {
    fn new(word: &'a str, text: Text, escape: char, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { chars: word.chars().peekable(), escape, lookup, depth: 0, text, missing: Vec::new() }
    }

    fn whole(mut self, word: &str) -> Result<String, ExpandError> {
        let mut out = String::new();
        loop {
            match self.unit(Escapes::Removed) {
                Ok(Some(Unit::Fixed(text) | Unit::Loose(text))) => out.push_str(&text),
                Ok(None) => return Ok(out),
                Err(reason) => return Err(reason.of(word)),
            }
            if out.len() > MAX_EXPANDED {
                return Err(ExpandReason::TooLong.of(word));
            }
        }
    }

    /// The next piece; `None` at the end of the text.
    fn unit(&mut self, escapes: Escapes) -> Result<Option<Unit>, ExpandReason> {
        let Some(c) = self.chars.next() else { return Ok(None) };
        Ok(Some(match (c, self.text) {
            ('$', _) => Unit::Loose(self.dollar()?),
            ('\'', Text::Word) => Unit::Fixed(self.single_quoted()?),
            ('"', Text::Word) => Unit::Fixed(self.double_quoted()?),
            _ if c == self.escape => Unit::Fixed(self.escaped(escapes)),
            _ => Unit::Loose(self.plain(c)),
        }))
    }

    /// What follows the plain character `first` up to whatever could be more than itself.
    fn plain(&mut self, first: char) -> String {
        let escape = self.escape;
        let is_plain = |c: &char| !matches!(c, '$' | '\'' | '"' | '}' | '/') && *c != escape;
        let mut text = String::from(first);
        text.extend(std::iter::from_fn(|| self.chars.next_if(is_plain)));
        text
    }

    /// Behind an escape character outside quotes. At the end of a word it vanishes.
    fn escaped(&mut self, escapes: Escapes) -> String {
        let escape = self.escape;
        if self.text == Text::Document && self.depth == 0 {
            let special = self.chars.next_if(|&next| next == '$' || next == escape);
            return special.unwrap_or(escape).to_string();
        }
        match (self.chars.next(), escapes) {
            (Some(c), Escapes::Removed) => c.to_string(),
            (Some(c), Escapes::Kept) => String::from_iter([escape, c]),
            (None, _) => String::new(),
        }
    }

    fn single_quoted(&mut self) -> Result<String, ExpandReason> {
        let mut out = String::new();
        loop {
            match self.chars.next() {
                Some('\'') => return Ok(out),
                Some(c) => out.push(c),
                None => return Err(ExpandReason::OpenQuote("single")),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<String, ExpandReason> {
        let mut out = String::new();
        loop {
            match self.chars.next() {
                Some('"') => return Ok(out),
                Some('$') => out.push_str(&self.dollar()?),
                Some(c) if c == self.escape => {
                    let special = |next: &char| matches!(*next, '"' | '$') || *next == c;
                    out.push(self.chars.next_if(special).unwrap_or(c));
                }
                Some(c) => out.push(c),
                None => return Err(ExpandReason::OpenQuote("double")),
            }
            if out.len() > MAX_EXPANDED {
                return Err(ExpandReason::TooLong);
            }
        }
    }

    /// Behind a `$`.
    fn dollar(&mut self) -> Result<String, ExpandReason> {
        if self.chars.next_if_eq(&'{').is_some() {
            return self.braced();
        }
        let name = self.name();
        Ok(if name.is_empty() { "$".to_owned() } else { self.granted(&name) })
    }

    /// The value of a variable that the text does not expect to be unset.
    fn granted(&mut self, name: &str) -> String {
        (self.lookup)(name).unwrap_or_else(|| {
            self.missing.push(name.to_owned());
            String::new()
        })
    }

    /// A name, a number, or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.chars.peek() {
            Some(&c) if c.is_ascii_digit() => {
                while let Some(digit) = self.chars.next_if(char::is_ascii_digit) {
                    name.push(digit);
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => name.extend(self.chars.next()),
            _ => {
                while let Some(c) = self.chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
            }
        }
        name
    }

    /// Behind a `${`.
    fn braced(&mut self) -> Result<String, ExpandReason> {
        if self.chars.peek().is_none() {
            return Err(ExpandReason::MissingBrace);
        }
        let name = self.name();
        if name.is_empty() {
            return Err(ExpandReason::BadSubstitution);
        }
        match self.chars.next().ok_or(ExpandReason::MissingBrace)? {
            '}' => Ok(self.granted(&name)),
            ':' => match self.chars.next().ok_or(ExpandReason::MissingBrace)? {
                modifier @ ('-' | '+' | '?') => {
                    let value = (self.lookup)(&name);
                    let empty = value.as_ref().is_some_and(String::is_empty);
                    self.conditional(name, value.filter(|value| !value.is_empty()), modifier, empty)
                }
                other => Err(ExpandReason::UnsupportedModifier(format!(":{other}"))),
            },
            modifier @ ('-' | '+' | '?') => {
                let value = (self.lookup)(&name);
                self.conditional(name, value, modifier, false)
            }
            modifier @ ('#' | '%') => {
                let value = self.granted(&name);
                self.trimmed(&value, modifier)
            }
            '/' => {
                let value = self.granted(&name);
                self.replaced(&value)
            }
            other => Err(ExpandReason::UnsupportedModifier(other.to_string())),
        }
    }

    /// `-w}`, `+w}`, `?m}`; an empty value counts as none if the caller says so.
    fn conditional(
        &mut self,
        name: String,
        value: Option<String>,
        modifier: char,
        empty: bool,
    ) -> Result<String, ExpandReason> {
        let word = self.until('}', Escapes::Removed)?;
        match modifier {
            '+' => Ok(value.map_or_else(String::new, |_| word)),
            '-' => Ok(value.unwrap_or(word)),
            _ => value.ok_or_else(|| {
                let state = if empty { "is not allowed to be empty" } else { "is not allowed to be unset" };
                let message = if word.is_empty() { state.to_owned() } else { word };
                ExpandReason::Required { name, message }
            }),
        }
    }

    /// `#p}`, `##p}`, `%p}`, `%%p}`.
    fn trimmed(&mut self, value: &str, modifier: char) -> Result<String, ExpandReason> {
        let length =
            if self.chars.next_if_eq(&modifier).is_some() { Length::Longest } else { Length::Shortest };
        let text = self.until('}', Escapes::Kept)?;
        let pattern = Pattern::new(&text, self.escape);
        let trimmed = match modifier {
            '#' => pattern.trim_prefix(value, length),
            _ => pattern.trim_suffix(value, length),
        };
        trimmed.map(str::to_owned).map_err(|error| pattern_reason(&error, &text))
    }

    /// `/p/r}`, `//p/r}`.
    fn replaced(&mut self, value: &str) -> Result<String, ExpandReason> {
        let count = if self.chars.next_if_eq(&'/').is_some() { usize::MAX } else { 1 };
        let text = self.until('/', Escapes::Kept)?;
        let replacement = self.until('}', Escapes::Removed)?;
        Pattern::new(&text, self.escape)
            .replace(value, &replacement, count, MAX_EXPANDED)
            .map_err(|error| pattern_reason(&error, &text))
    }

    /// Expands up to `stop` and eats it.
    fn until(&mut self, stop: char, escapes: Escapes) -> Result<String, ExpandReason> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ExpandReason::TooDeep);
        }
        let mut out = String::new();
        while self.chars.next_if_eq(&stop).is_none() {
            match self.unit(escapes)? {
                Some(Unit::Fixed(text) | Unit::Loose(text)) => out.push_str(&text),
                None if stop == '/' => return Err(ExpandReason::MissingSlash),
                None => return Err(ExpandReason::MissingBrace),
            }
            if out.len() > MAX_EXPANDED {
                return Err(ExpandReason::TooLong);
            }
        }
        self.depth -= 1;
        Ok(out)
    }
}

fn pattern_reason(error: &PatternError, pattern: &str) -> ExpandReason {
    match error {
        PatternError::ResultTooLong => ExpandReason::TooLong,
        PatternError::PatternTooLarge => {
            ExpandReason::PatternTooLarge(pattern.chars().take(SHOWN_WORD).collect())
        }
    }
}
