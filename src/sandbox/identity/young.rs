//! Inodes that were born just now, kept until the clock has moved on.
//!
//! What is recorded of an inode is found again by its number and birth. The kernel gives the number of one that is gone to
//! the next, and its clock for births stands still for some milliseconds: kept open, an inode keeps its number for that
//! long, and the next with this number is born later.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::Errno;

/// How many are kept before the clock is waited for: descriptors are scarce.
const MOST: usize = 256;
/// The clock of births stands still for 10 ms at most.
const WAIT: Duration = Duration::from_millis(1);
/// A clock that is not this machine's, and ahead of it, is not waited for.
const PATIENCE: usize = 20;

/// Seconds and nanoseconds.
type Time = (i64, u32);

/// The kept ones, oldest first.
#[derive(Default)]
pub(super) struct Young(VecDeque<(Time, OwnedFd)>);

impl Young {
    /// Keeps one that was born then, if that is now.
    pub fn keep(&mut self, born: Time, open: impl FnOnce() -> Result<OwnedFd, Errno>) -> Result<(), Errno> {
        self.let_go();
        if born < now() {
            return Ok(());
        }
        self.0.push_back((born, open()?));
        let mut patience = PATIENCE;
        while self.0.len() >= MOST && patience > 0 {
            std::thread::sleep(WAIT);
            self.let_go();
            patience -= 1;
        }
        if patience == 0 {
            self.0.clear();
        }
        Ok(())
    }

    /// Lets those go that are no longer young.
    pub fn let_go(&mut self) {
        if self.0.is_empty() {
            return;
        }
        let now = now();
        while self.0.front().is_some_and(|(born, _)| *born < now) {
            self.0.pop_front();
        }
    }
}

/// By the clock that stamps births.
fn now() -> Time {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    (now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_kept_until_the_clock_moves_on() {
        let open = || Ok(OwnedFd::from(std::fs::File::open("/").unwrap()));
        let mut young = Young::default();
        young.keep((0, 0), open).unwrap();
        assert_eq!(young.0.len(), 0, "an old one");
        let born = now();
        young.keep((born.0 + 1, born.1), open).unwrap();
        assert_eq!(young.0.len(), 1, "one of a moment to come");
        while now() <= (born.0 + 1, born.1) {
            std::thread::sleep(WAIT);
        }
        young.let_go();
        assert_eq!(young.0.len(), 0, "a moment later");
        for _ in 0..MOST {
            let (secs, nanos) = now();
            young.keep((secs + 1000, nanos), open).unwrap();
        }
        assert!(young.0.len() < MOST, "another machine's clock");
    }
}
