//! Where something stands in the source.

use std::ops::Range;

/// A stretch of the source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First line, counted from 1.
    pub first_line: usize,
    /// Last line, counted from 1, inclusive.
    pub last_line: usize,
    /// Offset of the first byte in the source.
    pub start: usize,
    /// Offset behind the last byte in the source.
    pub end: usize,
}

impl Span {
    /// The byte range, ready to slice the source with.
    pub fn bytes(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place in the source.
    pub span: Span,
}
