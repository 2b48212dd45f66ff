//! One logical line cut into keyword, flags and arguments, and what can be wrong with it.

use super::diagnostic::Diagnostic;
use super::flags;
use super::heredoc::{self, Marker};
use super::source::{Logical, Text};
use super::{Span, words};
use std::ops::Range;

/// An instruction cut into its parts. Offsets are those of the logical line.
pub(super) struct Line<'a> {
    /// The instruction's name as written.
    pub(super) keyword: &'a str,
    /// Where it stands.
    pub(super) keyword_at: Range<usize>,
    /// The `--flag` words.
    pub(super) flags: Vec<flags::Word>,
    /// Everything behind the flags, without blanks around it.
    pub(super) args: &'a str,
    /// Where `args` begins.
    pub(super) at: usize,
}

impl<'a> Line<'a> {
    /// Cuts `text`, which begins at `offset` of the logical line and has no blanks around it.
    pub(super) fn split(text: &'a str, offset: usize, escape: char) -> Self {
        let keyword = &text[..text.find(char::is_whitespace).unwrap_or(text.len())];
        let (flags, args_at) = flags::split(text, keyword.len(), offset, escape);
        let args = text[args_at..].trim();
        let at = offset + text.len() - text[args_at..].trim_start().len();
        Self { keyword, keyword_at: offset..offset + keyword.len(), flags, args, at }
    }

    pub(super) fn is(&self, keyword: &str) -> bool {
        self.keyword.eq_ignore_ascii_case(keyword)
    }

    /// Where the arguments stand; the keyword if there are none.
    pub(super) fn args_at(&self) -> Range<usize> {
        if self.args.is_empty() { self.keyword_at.clone() } else { self.at..self.at + self.args.len() }
    }

    /// The heredocs that this instruction begins; only ADD, COPY, RUN and ONBUILD of these can. Their places are
    /// offsets in [`Line::args`] of the instruction that holds them.
    pub(super) fn markers(&self, escape: char) -> Vec<Marker> {
        if self.is("ONBUILD") {
            let trigger = Line::split(self.args, self.at, escape);
            return if trigger.is("ONBUILD") { Vec::new() } else { trigger.markers(escape) };
        }
        let shell_like = ["ADD", "COPY", "RUN"].iter().any(|keyword| self.is(keyword));
        if shell_like && !words::is_json(self.args) { heredoc::markers(self.args) } else { Vec::new() }
    }
}

/// A line, its heredocs, and the way back to the source: what the parsers of single instructions get.
pub(super) struct Request<'a> {
    pub(super) line: Line<'a>,
    /// Each heredoc with its body as written.
    pub(super) heredocs: Vec<(Marker, String)>,
    pub(super) escape: char,
    pub(super) logical: &'a Logical,
    pub(super) text: &'a Text<'a>,
}

impl Request<'_> {
    /// The place of a range of the logical line.
    pub(super) fn span(&self, range: &Range<usize>) -> Span {
        self.logical.span(self.text, range)
    }
}

/// A mistake, placed in the logical line. An empty range means the whole instruction.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    pub(super) fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn into_diagnostic(self, logical: &Logical, text: &Text) -> Diagnostic {
        Diagnostic { span: logical.span(text, &self.at), message: self.message, hint: self.hint }
    }
}

/// All that is wrong with one instruction.
#[derive(Debug)]
pub(super) struct Faults(pub(super) Vec<Fault>);

impl std::convert::From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}
