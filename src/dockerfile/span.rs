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

    /// The first place within it where `word` stands by itself in `source`; all of it where there is none.
    #[must_use]
    pub fn narrowed(&self, source: &str, word: &str) -> Self {
        let Some(text) = source.get(self.bytes()).filter(|_| !word.is_empty()) else { return *self };
        let borders = |c: char| c.is_whitespace() || matches!(c, '=' | '"' | '\'' | '[' | ']' | ',');
        let alone = |&at: &usize| {
            text[..at].chars().next_back().is_none_or(borders)
                && text[at + word.len()..].chars().next().is_none_or(borders)
        };
        let Some(at) = text.match_indices(word).map(|(at, _)| at).find(alone) else { return *self };
        self.part(source, at, word.len())
    }

    /// The `length` bytes from `at` on of what it covers in `source`.
    pub(super) fn part(&self, source: &str, at: usize, length: usize) -> Self {
        let (start, end) = (self.start + at, self.start + at + length);
        let line = self.first_line + source[self.start..start].matches('\n').count();
        let last_line = line + source[start..end].matches('\n').count();
        Self { first_line: line, last_line, start, end }
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

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn a_span_narrows_to_a_word_that_stands_by_itself() {
        let source = "FROM x\nCOPY --chown=b ab \\\n b c[x] [\"d e\"]\n";
        let whole = Span { first_line: 2, last_line: 3, start: 7, end: source.len() - 1 };
        for (word, line, text) in [
            ("b", 2, "b"),
            ("ab", 2, "ab"),
            ("c[x]", 3, "c[x]"),
            ("d e", 3, "d e"),
            ("x", 3, "x"),
            ("FROM", 2, &source[whole.bytes()]),
            ("", 2, &source[whole.bytes()]),
        ] {
            let span = whole.narrowed(source, word);
            assert_eq!((span.first_line, &source[span.bytes()]), (line, text), "{word:?}");
        }
        assert_eq!(whole.narrowed("short", "b"), whole, "another text");
    }
}
