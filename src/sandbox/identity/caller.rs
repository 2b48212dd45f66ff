//! Whoever waits for an answer, and its memory.
//!
//! A thread that waits keeps its number. One that was killed may lose it to another, so whatever is done to a number is done
//! right after a look at whether it still waits. Between the two the clerk would have to stand still for as long as all
//! numbers take to be given away once; of the mark, which would turn a stranger into somebody else, even that is made good.

use std::os::fd::{AsFd as _, OwnedFd};

use rbuild_userns::caller;
use rbuild_userns::seccomp::notify::call::{Address, Width};
use rbuild_userns::seccomp::notify::{Answer, AtExec, Listener, Waiting};

use super::{Errno, errno};

/// A thread that waits in a call.
pub(super) struct Caller<'a> {
    listener: &'a Listener,
    waiting: &'a Waiting,
    /// Its number in the server's pid namespace.
    pub thread: i32,
    /// How wide ids are to it.
    pub ids: Width,
}

impl<'a> Caller<'a> {
    pub fn new(listener: &'a Listener, waiting: &'a Waiting) -> Self {
        Self { listener, waiting, thread: waiting.thread, ids: waiting.ids }
    }

    /// Errors with ESRCH if it is gone, and nobody hears of it.
    pub fn still_waits(&self) -> Result<(), Errno> {
        if self.listener.is_waiting(self.waiting) { Ok(()) } else { Err(Errno::SRCH) }
    }

    /// What its memory holds. Errors with EFAULT, or ESRCH if it is not surely its own.
    pub fn read(&self, from: Address, len: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; len];
        caller::read(self.thread, from, &mut bytes).map_err(|error| errno(&error))?;
        self.still_waits()?;
        Ok(bytes)
    }

    /// Reads a C string. Errors as [`Self::read`] does, or with ENAMETOOLONG.
    pub fn read_path(&self, from: Address) -> Result<Vec<u8>, Errno> {
        let mut path = Vec::new();
        caller::read_path(self.thread, from, &mut path).map_err(|error| errno(&error))?;
        Ok(path)
    }

    /// Gives it an open file, whose number there its call returns. The file is nobody else's when it does. Errors with
    /// EMFILE where it may have no more.
    pub fn hand(&self, file: OwnedFd, at_exec: AtExec) -> Result<Answer, Errno> {
        let number =
            self.listener.hand(self.waiting, file.as_fd(), at_exec).map_err(|error| errno(&error))?;
        drop(file);
        Ok(Answer::Value(number.into()))
    }

    /// Writes into its memory. Errors with EFAULT or ESRCH.
    pub fn write(&self, into: Address, bytes: &[u8]) -> Result<(), Errno> {
        self.still_waits()?;
        caller::write(self.thread, into, bytes).map_err(|error| errno(&error))
    }
}
