//! From text to logical lines: continuations joined, comments and empty lines dropped, every character's place kept.

use super::Span;
use super::diagnostic::Diagnostic;
use super::heredoc::Marker;
use std::ops::Range;

/// The longest line, in bytes without its line feed. The limit is the reference implementation's; it keeps a binary
/// file given by mistake from being read as one instruction.
const MAX_LINE: usize = 65_535;

/// The text and where its lines begin.
pub(super) struct Text<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Text<'a> {
    /// Finds the lines. A byte order mark at the beginning belongs to no line.
    pub(super) fn new(text: &'a str) -> Self {
        let bom = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let mut starts = vec![bom];
        starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        if starts.last() == Some(&text.len()) {
            starts.pop();
        }
        Self { text, starts }
    }

    fn line_count(&self) -> usize {
        self.starts.len()
    }

    /// Line `index` (from 0) with its line feed.
    fn raw_line(&self, index: usize) -> &'a str {
        let end = self.starts.get(index + 1).copied().unwrap_or(self.text.len());
        &self.text[self.starts[index]..end]
    }

    /// Line `index` (from 0) without its line end.
    pub(super) fn line(&self, index: usize) -> Option<&'a str> {
        (index < self.line_count()).then(|| self.raw_line(index).trim_end_matches(['\r', '\n']))
    }

    /// The span of line `index` (from 0), line end excluded.
    pub(super) fn line_span(&self, index: usize) -> Span {
        let start = self.starts.get(index).copied().unwrap_or(self.text.len());
        let end = start + self.line(index).map_or(0, str::len);
        Span { first_line: index + 1, last_line: index + 1, start, end }
    }

    /// The span of a byte range; an end right behind a line feed belongs to the line before.
    pub(super) fn span(&self, bytes: Range<usize>) -> Span {
        let line_of = |at: usize| self.starts.partition_point(|&start| start <= at).max(1);
        let last = bytes.end.saturating_sub(1).max(bytes.start);
        Span {
            first_line: line_of(bytes.start),
            last_line: line_of(last),
            start: bytes.start,
            end: bytes.end,
        }
    }

    /// One diagnostic per line above [`MAX_LINE`].
    pub(super) fn overlong_lines(&self) -> Vec<Diagnostic> {
        let too_long = |&index: &usize| self.raw_line(index).trim_end_matches('\n').len() > MAX_LINE;
        (0..self.line_count())
            .filter(too_long)
            .map(|index| Diagnostic {
                span: self.line_span(index),
                message: format!("dockerfile line greater than max allowed size of {MAX_LINE}"),
                hint: Some(
                    "break the line with the escape character, or COPY the data from a file".to_owned(),
                ),
            })
            .collect()
    }
}

/// One instruction as a single line, and the way back from its bytes to the source.
pub(super) struct Logical {
    /// The joined text, without blanks around it.
    pub(super) text: String,
    /// Where each joined piece begins: (offset in `text`, offset in the source), ascending.
    pieces: Vec<(usize, usize)>,
    /// The lines it was read from, in the source; heredoc bodies do not belong to them.
    pub(super) bytes: Range<usize>,
    /// Indexes of the empty lines that were skipped inside it.
    pub(super) empty_lines: Vec<usize>,
}

impl Logical {
    fn source_offset(&self, at: usize) -> usize {
        let piece = self.pieces.partition_point(|&(in_text, _)| in_text <= at).saturating_sub(1);
        let (in_text, in_source) = self.pieces[piece];
        in_source + (at - in_text)
    }

    /// The span of a range of [`Logical::text`]; an empty range means the whole instruction.
    pub(super) fn span(&self, text: &Text, range: &Range<usize>) -> Span {
        if range.is_empty() || range.end > self.text.len() {
            return text.span(self.bytes.clone());
        }
        text.span(self.source_offset(range.start)..self.source_offset(range.end - 1) + 1)
    }
}

/// Reads a text instruction by instruction.
pub(super) struct Reader<'a> {
    pub(super) text: &'a Text<'a>,
    next: usize,
    escape: char,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a Text<'a>, escape: char) -> Self {
        Self { text, next: 0, escape }
    }

    /// The next instruction; `None` at the end.
    pub(super) fn instruction(&mut self) -> Option<Logical> {
        loop {
            let index = self.next;
            let line = self.text.line(index)?;
            self.next += 1;
            let trimmed = line.trim_start();
            if trimmed.is_empty() || is_comment(trimmed) {
                continue;
            }
            let logical = self.join(index, line.len() - trimmed.len());
            if !logical.text.is_empty() {
                return Some(logical);
            }
        }
    }

    /// Joins line `index`, from byte `indent` on, with the lines that continue it.
    fn join(&mut self, index: usize, indent: usize) -> Logical {
        let first = self.text.line_span(index);
        let start = first.start + indent;
        let mut logical = Logical {
            text: String::new(),
            pieces: Vec::new(),
            bytes: start..first.end,
            empty_lines: Vec::new(),
        };
        let line = &self.text.line(index).unwrap_or_default()[indent..];
        let mut continued = self.append(&mut logical, line, start);
        while continued {
            let index = self.next;
            let Some(line) = self.text.line(index) else { break };
            self.next += 1;
            if is_comment(line.trim_start()) {
                continue;
            }
            if line.trim_start().is_empty() {
                logical.empty_lines.push(index);
                continue;
            }
            let span = self.text.line_span(index);
            continued = self.append(&mut logical, line, span.start);
            logical.bytes.end = span.end;
        }
        logical.text.truncate(logical.text.trim_end().len());
        logical
    }

    /// Adds one line and tells whether the next one continues it.
    fn append(&self, logical: &mut Logical, line: &str, at: usize) -> bool {
        let (line, continued) = match self.without_continuation(line) {
            Some(line) => (line, true),
            None => (line, false),
        };
        logical.pieces.push((logical.text.len(), at));
        logical.text.push_str(line);
        continued
    }

    /// The line before its continuation mark: an escape character at the end (blanks may follow) that is not itself
    /// preceded by one.
    fn without_continuation<'l>(&self, line: &'l str) -> Option<&'l str> {
        let line = line.trim_end_matches([' ', '\t']).strip_suffix(self.escape)?;
        (!line.ends_with(self.escape)).then_some(line)
    }

    /// Reads the body of a heredoc whose line was just read: the lines up to its delimiter, as they are, and the
    /// offset behind the delimiter. `None` if the text ends before; then nothing is left to read.
    pub(super) fn heredoc_body(&mut self, marker: &Marker) -> Option<(String, usize)> {
        let first = self.next;
        loop {
            let index = self.next;
            let line = self.text.line(index)?;
            self.next += 1;
            let delimiter = if marker.chomp { line.trim_start_matches('\t') } else { line };
            if delimiter == marker.name {
                let body = &self.text.text[self.text.starts[first]..self.text.starts[index]];
                return Some((body.to_owned(), self.text.line_span(index).end));
            }
        }
    }
}

fn is_comment(trimmed: &str) -> bool {
    trimmed.starts_with('#')
}
