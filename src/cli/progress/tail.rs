//! The last lines that a command printed.

use std::collections::VecDeque;

use super::text;
use crate::progress::Stream;

/// How many whole lines are kept: what a failing command is shown with.
const KEPT: usize = 200;
/// The longest line that is kept, in bytes; of a longer one the end counts, which is what a terminal shows last.
const LONGEST: usize = 4 << 10;

/// What was printed last, to both outputs.
#[derive(Default)]
pub(super) struct Tail {
    whole: VecDeque<Vec<u8>>,
    /// The lines that are not ended, of standard output and standard error.
    begun: [Vec<u8>; 2],
}

impl Tail {
    /// Takes what was printed.
    pub(super) fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let begun = &mut self.begun[usize::from(stream == Stream::Stderr)];
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (piece, is_whole) = piece.strip_suffix(b"\n").map_or((piece, false), |piece| (piece, true));
            begun.extend_from_slice(piece);
            if begun.len() > LONGEST {
                begun.drain(..begun.len() - LONGEST);
            }
            if is_whole {
                self.whole.push_back(std::mem::take(begun));
            }
        }
        self.whole.drain(..self.whole.len().saturating_sub(KEPT));
    }

    /// The last `count` lines that show something, the oldest first.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = String> {
        let begun = self.begun.iter().filter(|line| !line.is_empty());
        let shown = self.whole.iter().chain(begun).map(|line| text::harmless(line));
        let mut last: VecDeque<_> = shown.rev().filter(|line| !line.trim().is_empty()).take(count).collect();
        last.make_contiguous().reverse();
        last.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_those_that_were_begun_last() {
        let mut tail = Tail::default();
        tail.push(Stream::Stdout, b"one\n\ntw");
        tail.push(Stream::Stderr, b"warn\nhalf");
        tail.push(Stream::Stdout, b"o\n10%\r20%");
        for (count, want) in
            [(0, &[][..]), (1, &["half"]), (2, &["20%", "half"]), (9, &["one", "warn", "two", "20%", "half"])]
        {
            assert_eq!(tail.last(count).collect::<Vec<_>>(), want, "{count}");
        }
        for number in 0..1000 {
            tail.push(Stream::Stdout, format!("{number}\n").as_bytes());
        }
        assert_eq!(tail.whole.len(), KEPT);
        tail.push(Stream::Stdout, &[b'x'; 3 * LONGEST]);
        assert_eq!(tail.begun[0].len(), LONGEST);
    }
}
