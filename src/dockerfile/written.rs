//! Instructions as they were written: what the tree has given up, such as the case of a keyword or a comment before it.

use super::Span;
use super::directive;
use super::line::Line;
use super::source::{Logical, Reader, Text};
use super::words;

/// One instruction of a file that parses.
pub(super) struct Written {
    /// Its name, in the case it was written.
    pub(super) keyword: String,
    /// Where the name stands.
    pub(super) keyword_at: Span,
    /// The flags as written.
    pub(super) flags: Vec<String>,
    /// What follows the flags, on one line.
    pub(super) args: String,
    /// The words of `args` between blanks, each with its place.
    pub(super) words: Vec<(String, Span)>,
    /// All of it, heredocs included.
    pub(super) span: Span,
    /// The comments on the lines right before it, without their `#`.
    pub(super) comments: Vec<String>,
}

/// The instructions of `source`, in order: one for each ARG before the first FROM, each FROM and each step.
pub(super) fn instructions(source: &str, escape: char) -> Vec<Written> {
    let text = Text::new(source);
    let mut reader = Reader::new(&text, escape);
    let mut written = Vec::new();
    let mut above = directive::count(&text);
    while let Some(logical) = reader.instruction() {
        let line = Line::split(&logical.text, 0, escape);
        let mut end = logical.bytes.end;
        for marker in line.markers(escape) {
            end = reader.heredoc_body(&marker).map_or(end, |(_, body_end)| body_end);
        }
        let span = text.span(logical.bytes.start..end);
        written.push(of(&logical, &line, &text, span, above));
        above = span.last_line;
    }
    written
}

/// `above` lines belong to what stands before.
fn of(logical: &Logical, line: &Line, text: &Text, span: Span, above: usize) -> Written {
    let words = words::by_blanks(line.args, line.at);
    Written {
        keyword: line.keyword.to_owned(),
        keyword_at: logical.span(text, &line.keyword_at),
        flags: line.flags.iter().map(|flag| flag.text().to_owned()).collect(),
        args: line.args.to_owned(),
        words: words.iter().map(|word| (word.text.to_owned(), logical.span(text, &word.at))).collect(),
        span,
        comments: comments(text, above, span.first_line - 1),
    }
}

/// The comments on the lines `above..before` (from 0) that end right there.
fn comments(text: &Text, above: usize, before: usize) -> Vec<String> {
    let lines = (above..before).rev().filter_map(|index| text.line(index));
    let mut comments: Vec<String> = lines
        .map_while(|line| line.trim_start().strip_prefix('#'))
        .map(|comment| comment.trim().to_owned())
        .collect();
    comments.reverse();
    comments
}
