//! Blobs on their way: how much of each has come, and how fast.

use std::time::Duration;

use super::super::size;
use super::painted::{Line, Tone};
use super::view::{rate, seconds};
use crate::oci::Digest;

/// Columns of a bar.
const BAR: usize = 20;
/// How long a time the rate is of, at least.
const WINDOW: Duration = Duration::from_secs(2);

/// All that move now, in the order in which they began.
#[derive(Default)]
pub(super) struct Transfers(Vec<Transfer>);

struct Transfer {
    blob: Digest,
    verb: &'static str,
    size: u64,
    done: u64,
    began: Duration,
    /// Two times before now, the later at most [`WINDOW`] ago, and how much was done then.
    marks: [(Duration, u64); 2],
}

impl Transfers {
    pub(super) fn start(&mut self, blob: Digest, verb: &'static str, size: u64, at: Duration) {
        self.0.push(Transfer { blob, verb, size, done: 0, began: at, marks: [(at, 0); 2] });
    }

    pub(super) fn advance(&mut self, blob: &Digest, bytes: u64, at: Duration) {
        let Some(transfer) = self.0.iter_mut().find(|transfer| transfer.blob == *blob) else { return };
        if at.saturating_sub(transfer.marks[1].0) > WINDOW {
            transfer.marks = [transfer.marks[1], (at, transfer.done)];
        }
        transfer.done += bytes;
    }

    /// Ends one; what is left to say of it.
    pub(super) fn end(&mut self, blob: &Digest, at: Duration) -> Option<Line> {
        let index = self.0.iter().position(|transfer| transfer.blob == *blob)?;
        let Transfer { verb, size, began, .. } = self.0.remove(index);
        let time = at.saturating_sub(began);
        let text =
            format!("{verb} {}  {} at {}", blob.short(), size::bytes(size), rate(per_second(size, time)));
        Some(Line::marked(&seconds(time), Tone::Good).with(Tone::Plain, text))
    }

    /// What is shown of them at the time `at`.
    pub(super) fn lines(&self, at: Duration) -> Vec<Line> {
        self.0.iter().map(|transfer| transfer.line(at)).collect()
    }
}

impl Transfer {
    fn line(&self, at: Duration) -> Line {
        let room = BAR as u64;
        let full = self.done.min(self.size).saturating_mul(room).checked_div(self.size).unwrap_or(room);
        let full = usize::try_from(full).unwrap_or(BAR);
        let (since, done) = self.marks[0];
        let speed = per_second(self.done - done, at.saturating_sub(since));
        let text = format!(
            "{} {}  {}{}  {} of {}  {}",
            self.verb,
            self.blob.short(),
            "#".repeat(full),
            ".".repeat(BAR - full),
            size::bytes(self.done),
            size::bytes(self.size),
            rate(speed),
        );
        Line::marked(&seconds(at.saturating_sub(self.began)), Tone::Plain).with(Tone::Plain, text)
    }
}

fn per_second(bytes: u64, time: Duration) -> u64 {
    let milliseconds = time.as_millis().max(1);
    u64::try_from(u128::from(bytes) * 1000 / milliseconds).unwrap_or(u64::MAX)
}
