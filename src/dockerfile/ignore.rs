//! `.dockerignore` and `.containerignore`: which files of a context are not there.
//!
//! The last pattern that matches a path or one of its parents decides. A pattern becomes a regular expression that
//! matches the path and everything below it, so parents need no second look.

use super::glob::{self, BadPattern};
use regex::{Regex, RegexBuilder};

/// Why an ignore file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {source}")]
pub struct IgnoreError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub source: PatternError,
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Only `!`.
    #[error("illegal exclusion pattern: \"!\"")]
    EmptyException,
    /// Malformed.
    #[error(transparent)]
    Malformed(#[from] BadPattern),
    /// Too large to be compiled.
    #[error("pattern too large: {0:?}")]
    TooLarge(String),
}

/// The patterns of an ignore file, in order. The default ignores nothing.
#[derive(Clone, Debug, Default)]
pub struct IgnoreFile {
    patterns: Vec<PathPattern>,
}

/// One pattern over whole paths: of an ignore file, of `--exclude`, or a source of `COPY --parents`.
#[derive(Clone, Debug)]
pub struct PathPattern {
    /// `!pattern`: what matches is there after all.
    exception: bool,
    components: Vec<String>,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    /// A path without wildcards.
    Literal(String),
    Regex(Regex),
}

impl IgnoreFile {
    /// Parses the text of an ignore file: one pattern per line; `#` in the first column begins a comment; `!` makes an
    /// exception. Blanks around patterns, leading `/`, `.` and `..` within them mean nothing.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (line, written) in (1..).zip(text.lines()) {
            if !written.starts_with('#') && !written.trim().is_empty() {
                let pattern = PathPattern::parse(written.trim());
                patterns.push(pattern.map_err(|source| IgnoreError { line, source })?);
            }
        }
        Ok(Self { patterns })
    }

    /// The same from patterns that stand by themselves (`--exclude`).
    pub fn of(patterns: Vec<PathPattern>) -> Self {
        Self { patterns }
    }

    /// Whether the file or directory at `path` is left out. `path` is relative to the context and clean: `a/b`, not
    /// `./a//b/`. The root (empty or `.`) never is.
    pub fn ignores(&self, path: &str) -> bool {
        self.deciding(path).is_some_and(|index| !self.patterns[index].exception)
    }

    /// The same of a source as COPY writes it: `./a/` is `a`.
    pub fn ignores_source(&self, source: &str) -> bool {
        self.ignores(clean(source).trim_start_matches('/'))
    }

    /// Whether nothing at or below the directory `path` can be in the context: it is ignored, and no later exception
    /// can match anything below it. A walk need not enter it.
    pub fn can_skip_dir(&self, path: &str) -> bool {
        let Some(index) = self.deciding(path).filter(|&index| !self.patterns[index].exception) else {
            return false;
        };
        !self.patterns[index + 1..].iter().any(|pattern| pattern.exception && pattern.may_match_below(path))
    }

    /// The last pattern that matches `path`.
    fn deciding(&self, path: &str) -> Option<usize> {
        if path.is_empty() || path == "." {
            return None;
        }
        self.patterns.iter().rposition(|pattern| pattern.matches(path))
    }
}

impl PathPattern {
    /// Parses a pattern; a `!` before it makes an exception.
    pub fn parse(written: &str) -> Result<Self, PatternError> {
        match written.strip_prefix('!').map(str::trim) {
            Some("") => Err(PatternError::EmptyException),
            Some(path) => Ok(Self { exception: true, ..Self::parse_path(path)? }),
            None => Self::parse_path(written),
        }
    }

    /// The same where a `!` is part of a name.
    pub fn parse_path(path: &str) -> Result<Self, PatternError> {
        let clean = clean(path);
        glob::check(&clean)?;
        let matcher = if glob::has_meta(&clean) {
            let regex = RegexBuilder::new(&regex_text(&clean)).dot_matches_new_line(true).build();
            Matcher::Regex(regex.map_err(|_| PatternError::TooLarge(clean.clone()))?)
        } else {
            Matcher::Literal(clean.clone())
        };
        let components = clean.split('/').map(str::to_owned).collect();
        Ok(Self { exception: false, components, matcher })
    }

    /// Whether it matches the clean, relative path `path` or a directory above it.
    pub fn matches(&self, path: &str) -> bool {
        match &self.matcher {
            Matcher::Regex(regex) => regex.is_match(path),
            Matcher::Literal(literal) => path
                .strip_prefix(literal.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }

    /// Whether some path below the directory `path`, which does not match itself, could match. Errs towards yes.
    pub fn may_match_below(&self, path: &str) -> bool {
        let directories: Vec<&str> = path.split('/').collect();
        for (component, directory) in self.components.iter().zip(&directories) {
            if component.contains("**") || spans_components(component) {
                return true;
            }
            if !glob::matches(component, directory).unwrap_or(true) {
                return false;
            }
        }
        self.components.len() > directories.len()
    }
}

/// A bracket may hold or match a `/`, so that cutting the pattern at slashes would mislead.
fn spans_components(component: &str) -> bool {
    component.contains(['[', ']', '\\'])
}

/// Go's `filepath.Clean`, and then no leading `/`: `./a//b/../c/` becomes `a/c`.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut components: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." if components.last().is_some_and(|last| *last != "..") => {
                components.pop();
            }
            ".." if rooted => {}
            _ => components.push(component),
        }
    }
    match (components.is_empty(), rooted) {
        (true, true) => "/".to_owned(),
        (true, false) => ".".to_owned(),
        (false, _) => components.join("/"),
    }
}

/// The regular expression of a pattern that [`glob::check`] accepted; it matches everything below, too.
///
/// `**/` is any number of directories, none included; `**` at the end is anything, and so is it before a plain suffix:
/// `**.md` matches `a/b.md`.
fn regex_text(pattern: &str) -> String {
    let mut regex = String::from("^(?:");
    let mut rest = pattern;
    if let Some(suffix) =
        pattern.strip_prefix("**").filter(|suffix| !suffix.starts_with('/') && !glob::has_meta(suffix))
    {
        regex.push_str(".*");
        rest = suffix;
    }
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '*' if rest.starts_with('*') => {
                rest = rest[1..].strip_prefix('/').unwrap_or(&rest[1..]);
                regex.push_str(if rest.is_empty() { ".*" } else { "(?:.*/)?" });
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => rest = push_class(&mut regex, rest),
            '\\' => {
                let escaped = rest.chars().next().unwrap_or(c);
                push_literal(&mut regex, escaped);
                rest = rest.get(escaped.len_utf8()..).unwrap_or_default();
            }
            _ => push_literal(&mut regex, c),
        }
    }
    regex.push_str(")(?:/.*)?$");
    regex
}

fn push_literal(regex: &mut String, c: char) {
    regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

/// Translates a class from behind its `[`; returns what follows its `]`.
fn push_class<'p>(regex: &mut String, class: &'p str) -> &'p str {
    regex.push('[');
    let mut rest = class;
    if let Some(negated) = rest.strip_prefix('^') {
        regex.push('^');
        rest = negated;
    }
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            ']' => break,
            '-' => regex.push('-'),
            '\\' => {
                let escaped = rest.chars().next().unwrap_or(c);
                push_class_char(regex, escaped);
                rest = rest.get(escaped.len_utf8()..).unwrap_or_default();
            }
            _ => push_class_char(regex, c),
        }
    }
    regex.push(']');
    rest
}

/// Within a class of the regex crate more is special than in a glob: `[`, `&&`, `~~`, `^`.
fn push_class_char(regex: &mut String, c: char) {
    use std::fmt::Write;
    let _ = write!(regex, "\\x{{{:x}}}", u32::from(c)); // writing to a String cannot fail
}
