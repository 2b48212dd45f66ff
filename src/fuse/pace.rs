//! How requests come, and whether they are answered: what the turns are decided by.

use std::time::{Duration, Instant};

use super::turns::End;

/// So many requests are judged together.
pub const WINDOW: u32 = 64;

/// Requests are brisk where a window of them takes no longer.
const BRISK: Duration = Duration::from_millis(64);

/// Requests and answers are small up to this mean, in bytes. Larger ones are mostly copying, which several CPUs share.
const SMALL: usize = 32 << 10;

/// So many ticks in a row, each with a request waiting at its end and fewer than [`FEW`] answered, are no chance.
const STARVED: u32 = 2;
const FEW: u64 = 30;

/// Nobody asks when nothing was asked for so many ticks.
const QUIET: u32 = 10;

/// What a window of requests looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Brisk, small, and mostly one at a time.
    OneByOne,
    /// Slow: one at a time or not, the wait for an answer is not what costs.
    Slow,
    /// Several at a time, or large ones.
    Crowd,
}

/// The requests of one window.
#[derive(Debug)]
pub struct Pace {
    since: Instant,
    requests: u32,
    bytes: usize,
    /// How often it was seen whether others were there, and how often they were.
    seen: u32,
    crowded: u32,
}

impl Pace {
    pub fn new() -> Self {
        Self { since: Instant::now(), requests: 0, bytes: 0, seen: 0, crowded: 0 }
    }

    /// One request of so many bytes. `crowded`: whether another one was there at the same time, where it was looked at.
    /// The last one of a window tells what it looked like.
    pub fn count(&mut self, bytes: usize, crowded: Option<bool>) -> Option<Sight> {
        self.add(bytes, crowded);
        if self.requests < WINDOW {
            return None;
        }
        let window = std::mem::replace(self, Self::new());
        Some(window.sight(self.since.duration_since(window.since)))
    }

    fn add(&mut self, bytes: usize, crowded: Option<bool>) {
        self.requests += 1;
        self.bytes += bytes;
        self.seen += u32::from(crowded.is_some());
        self.crowded += u32::from(crowded == Some(true));
    }

    fn sight(&self, took: Duration) -> Sight {
        if self.crowded * 2 > self.seen || self.bytes > SMALL * WINDOW as usize {
            Sight::Crowd
        } else if took > BRISK {
            Sight::Slow
        } else {
            Sight::OneByOne
        }
    }
}

/// What is seen of a companion at every tick.
#[derive(Debug, Default)]
pub struct Watch {
    answered: u64,
    starved: u32,
    quiet: u32,
}

impl Watch {
    /// Its turn begins after so many answers.
    pub fn begin(answered: u64) -> Self {
        Self { answered, ..Self::default() }
    }

    /// A tick later it has given so many answers in all, and somebody is `waiting` for one. Why its turn ends, if it does.
    pub fn tick(&mut self, (answered, waiting): (u64, bool)) -> Option<End> {
        let new = answered.wrapping_sub(self.answered);
        self.answered = answered;
        self.starved = if waiting && new < FEW { self.starved + 1 } else { 0 };
        self.quiet = if !waiting && new == 0 { self.quiet + 1 } else { 0 };
        if self.starved >= STARVED {
            Some(End::Starved)
        } else if self.quiet >= QUIET {
            Some(End::Quiet)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BRISK, Pace, QUIET, SMALL, STARVED, Sight, WINDOW, Watch};
    use crate::fuse::turns::End;

    #[test]
    fn windows() {
        let brisk = BRISK;
        for (bytes, seen, crowded, took, sight) in [
            (100, 64, 0, brisk, Sight::OneByOne),
            (SMALL, 64, 32, brisk, Sight::OneByOne),
            (SMALL + 1, 64, 0, brisk, Sight::Crowd),
            (100, 64, 33, brisk, Sight::Crowd),
            (100, 8, 5, brisk, Sight::Crowd),
            (100, 8, 5, brisk * 9, Sight::Crowd),
            (100, 0, 0, brisk, Sight::OneByOne),
            (100, 64, 0, brisk + Duration::from_micros(1), Sight::Slow),
        ] {
            let mut pace = Pace::new();
            for n in 0..WINDOW {
                pace.add(bytes, (n < seen).then_some(n < crowded));
            }
            assert_eq!(pace.sight(took), sight, "{bytes} bytes, {crowded} of {seen} crowded, {took:?}");
        }
    }

    #[test]
    fn ticks() {
        /// A name, what is seen at each tick, and what the last one tells.
        type Row = (&'static str, &'static [(u64, bool)], Option<End>);
        let rows: [Row; 6] = [
            ("it answers", &[(1000, true), (2000, true), (3000, false)], None),
            ("nothing is answered", &[(0, true), (0, true)], Some(End::Starved)),
            ("a few are answered, and there is always one more", &[(3, true), (7, true)], Some(End::Starved)),
            ("one tick was slow", &[(0, true), (900, true), (900, true)], None),
            ("few are asked", &[(2, false), (4, true), (6, false), (8, true)], None),
            ("nothing is asked", &[(5, false); QUIET as usize + 1], Some(End::Quiet)),
        ];
        assert_eq!(STARVED, 2, "as the rows have it");
        for (name, ticks, end) in rows {
            let mut watch = Watch::begin(0);
            let ends: Vec<_> = ticks.iter().map(|tick| watch.tick(*tick)).collect();
            let (last, before) = ends.split_last().unwrap();
            assert_eq!((*last, before.iter().all(Option::is_none)), (end, true), "{name}: {ends:?}");
        }
    }
}
