//! What is wrong with a Dockerfile, and how it is shown.

use super::Span;
use std::fmt::{self, Write};

/// How many lines of an instruction an excerpt shows before it says `…`.
const EXCERPT_LINES: usize = 8;

/// How much of one long line an excerpt shows, in characters.
const EXCERPT_COLUMNS: usize = 240;

/// How many diagnostics are shown: a binary file given by mistake has one per line.
const SHOWN: usize = 50;

/// One mistake and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The place.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to try next.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { first_line, last_line, .. } = self.span;
        if first_line == last_line {
            write!(f, "dockerfile parse error on line {first_line}: {}", self.message)
        } else {
            write!(f, "dockerfile parse error on lines {first_line}-{last_line}: {}", self.message)
        }
    }
}

impl Diagnostic {
    /// Shows the message, `file:line:column`, the lines with carets below the place, and the hint.
    pub fn render(&self, source: &str, file: &str) -> String {
        let mut out = format!("{self}\n{}", render_excerpt(source, file, &self.span));
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "hint: {hint}"); // writing to a String cannot fail
        }
        out
    }
}

/// Every mistake of a Dockerfile, in the order of the file. Never empty when returned as an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        Ok(())
    }
}

impl Diagnostics {
    /// Shows them, each with its excerpt, an empty line between two; of very many the first ones.
    ///
    /// `source` is the text that was parsed; `file` is its name as the user knows it.
    pub fn render(&self, source: &str, file: &str) -> String {
        self.render_with(|diagnostic| diagnostic.render(source, file))
    }

    pub(super) fn render_with(&self, render: impl Fn(&Diagnostic) -> String) -> String {
        let mut parts: Vec<String> = self.0.iter().take(SHOWN).map(render).collect();
        if self.0.len() > SHOWN {
            parts.push(format!("and {} more\n", self.0.len() - SHOWN));
        }
        parts.join("\n")
    }
}

/// Shows a place: `file:line:column` and the source lines with carets below the marked part.
///
/// For diagnostics, and for an instruction that failed while it ran. A span that does not fit `source` (the text is
/// another one) shows only the file and line.
///
/// ```
/// # use rbuild::dockerfile::{Span, render_excerpt};
/// let span = Span { first_line: 2, last_line: 2, start: 16, end: 17 };
/// let shown = render_excerpt("FROM x\nCOPY a --b c\n", "Dockerfile", &span);
/// assert_eq!(shown, " --> Dockerfile:2:10\n  |\n2 | COPY a --b c\n  |          ^\n");
/// ```
pub fn render_excerpt(source: &str, file: &str, span: &Span) -> String {
    let first = span.first_line.max(1);
    let shown = (span.last_line.saturating_sub(first) + 1).min(EXCERPT_LINES);
    let margin = (first + shown - 1).to_string().len();
    let Some(line_start) = source
        .get(..span.start)
        .filter(|_| span.start <= span.end)
        .map(|before| before.rfind('\n').map_or(0, |at| at + 1))
    else {
        return format!("{:margin$}--> {file}:{first}\n", "");
    };

    let column = source[line_start..span.start].chars().filter(|&c| c != '\u{feff}').count() + 1;
    let mut out = format!("{:margin$}--> {file}:{first}:{column}\n{:margin$} |\n", "", "");
    let mut offset = line_start;
    for (number, line) in (first..).zip(source[line_start..].split_inclusive('\n').take(shown)) {
        let text = line.trim_end_matches(['\n', '\r']);
        let _ = writeln!(out, "{number:>margin$} | {}", visible(text));
        let marked = marks(text, span.start.saturating_sub(offset), span.end.saturating_sub(offset));
        if !marked.is_empty() {
            let _ = writeln!(out, "{:margin$} | {marked}", "");
        }
        offset += line.len();
    }
    if span.last_line > first + shown - 1 {
        let _ = writeln!(out, "{:margin$} | …", "");
    }
    out
}

/// The line as a terminal may show it: no control character reaches it, and no endless line.
fn visible(line: &str) -> String {
    let mut shown: String =
        line.chars().filter(|&c| c != '\u{feff}').take(EXCERPT_COLUMNS).map(printable).collect();
    if line.chars().count() > EXCERPT_COLUMNS {
        shown.push('…');
    }
    shown.trim_end().to_owned()
}

fn printable(c: char) -> char {
    if c == '\t' || !c.is_control() { c } else { '\u{fffd}' }
}

/// Carets below the bytes `start..end` of `line`, without the blanks around them. Tabs before them are kept, so that
/// the columns agree.
fn marks(line: &str, start: usize, end: usize) -> String {
    let start = start.max(line.len() - line.trim_start().len());
    let end = end.min(line.trim_end().len());
    if start >= end {
        return String::new();
    }
    let mark = |(at, c)| match c {
        _ if at >= start => '^',
        '\t' => '\t',
        _ => ' ',
    };
    let shown = line.char_indices().filter(|&(_, c)| c != '\u{feff}').take(EXCERPT_COLUMNS);
    shown.take_while(|&(at, _)| at < end).map(mark).collect()
}
