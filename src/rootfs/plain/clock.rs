//! The file system's own clock, as the change times of a file show it.
//!
//! It is asked by touching a file, so it is the clock that stamps the step's changes, whatever it is: the kernel's tick,
//! a server's in the network, one of whole seconds.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, futimens, openat, unlinkat};
use rustix::io::Errno;

use super::baseline::Stamp;
use crate::layer::Timestamp;

/// How long an advance is waited for: the kernel's tick is 10 ms at most.
const PATIENCE: Duration = Duration::from_millis(25);

/// Waits until the clock shows more than `newest`, and returns what it shows. A clock of whole seconds is not waited
/// for: what it then shows is not later, and files as new as that have to be looked at more closely.
pub(super) fn advance_past(newest: Timestamp, dir: BorrowedFd<'_>) -> Result<Timestamp, Errno> {
    let file = nameless(dir)?;
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let end = Instant::now() + PATIENCE;
    loop {
        futimens(&file, &Timestamps { last_access: now, last_modification: now })?;
        let shown = Stamp::of(&file)?.changed;
        if shown > newest || Instant::now() >= end {
            return Ok(shown);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A file that is gone with its descriptor.
fn nameless(dir: BorrowedFd<'_>) -> Result<File, Errno> {
    const NAME: &str = "clock";
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    let file = openat(dir, NAME, flags, Mode::RUSR)?;
    unlinkat(dir, NAME, AtFlags::empty())?;
    Ok(file.into())
}

/// Whether the clock stamps every write. A file system in memory never learns of one through a shared mapping of a page
/// that was read before, nor does an overlay whose upper side is one.
pub(super) fn stamps_every_write(dir: BorrowedFd<'_>) -> Result<bool, Errno> {
    // linux/magic.h
    const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];
    const EXT: i64 = 0xef53;
    const XFS: i64 = 0x5846_5342;
    const BTRFS: i64 = 0x9123_683e;
    match rustix::fs::fstatfs(dir)?.f_type {
        kind if IN_MEMORY.contains(&kind) => Ok(false),
        EXT | XFS | BTRFS => Ok(true),
        _ => stamps_mapped_writes(dir),
    }
}

/// Tries it. What cannot be told counts as no.
fn stamps_mapped_writes(dir: BorrowedFd<'_>) -> Result<bool, Errno> {
    let file = nameless(dir)?;
    rustix::io::pwrite(&file, b"x", 0)?;
    let before = Stamp::of(&file)?.changed;
    if advance_past(before, dir)? <= before {
        return Ok(false);
    }
    match rbuild_userns::map::touch_first_byte(&file) {
        Ok(()) => Ok(Stamp::of(&file)?.changed > before),
        // no shared mappings, so no writes through them
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NODEV) => Ok(true),
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn what_comes_after_is_later() {
        let dir = tempfile::tempdir().unwrap();
        let open = File::open(dir.path()).unwrap();
        for round in 0..20 {
            let file = File::create(dir.path().join("f")).unwrap();
            let newest = Stamp::of(&file).unwrap().changed;
            let shown = advance_past(newest, open.as_fd()).unwrap();
            assert!(shown > newest, "round {round}: {shown:?} after {newest:?}");
            file.set_len(round).unwrap();
            assert!(Stamp::of(&file).unwrap().changed >= shown, "round {round}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left");
    }

    #[test]
    fn a_clock_that_does_not_get_there_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let open = File::open(dir.path()).unwrap();
        let future = Timestamp { secs: i64::MAX, nanos: 0 };
        assert!(advance_past(future, open.as_fd()).unwrap() < future);
    }

    #[test]
    fn a_trial_tells_what_the_kind_would() {
        for dir in [std::env::temp_dir(), "/dev/shm".into()] {
            let dir = tempfile::tempdir_in(dir).unwrap();
            let open = File::open(dir.path()).unwrap();
            let told = stamps_every_write(open.as_fd()).unwrap();
            assert_eq!(stamps_mapped_writes(open.as_fd()).unwrap(), told, "{}", dir.path().display());
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
        }
    }
}
