//! What a command reads: nothing, what comes from a descriptor, or what is typed at a terminal.
//!
//! The command never gets the descriptor itself. One of a directory would lead out of its root, one of a file could be
//! opened again for writing, one of a terminal would let it type for its user.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::termios::Winsize;
use serde::{Deserialize, Serialize};

use super::Error;

/// How much is read at once, in bytes.
const CHUNK: usize = 16 << 10;
/// What ends the input of who reads a terminal, typed at the beginning of a line.
const END: &[u8] = &[0x04];

/// Where the standard input of a command comes from.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// It is empty.
    Nothing,
    /// What is read here; the command's output comes in two streams.
    Pipe(BorrowedFd<'a>),
    /// What is read here is typed at a terminal of the container, which is all of the command's streams. `size` is asked
    /// now and then how large it is.
    Terminal {
        /// Where it is read.
        from: BorrowedFd<'a>,
        /// What the size is.
        size: &'a (dyn Fn() -> WindowSize + Sync),
    },
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

impl WindowSize {
    /// Gives a terminal this size; who runs in it is told by the kernel.
    pub(crate) fn set(self, terminal: impl AsFd) -> rustix::io::Result<()> {
        let size = Winsize { ws_row: self.rows, ws_col: self.columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(terminal, size)
    }
}

/// What the sandbox is told of an [`Input`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stdin {
    /// The null device.
    Null,
    /// A pipe, whose reading end comes along.
    Pipe,
    /// A terminal of this size.
    Terminal(WindowSize),
}

/// Input on its way.
pub(super) struct Feed<'a> {
    from: Option<BorrowedFd<'a>>,
    /// Does not block.
    to: Option<OwnedFd>,
    /// Read and not yet written.
    pending: Vec<u8>,
    /// What is written at the end.
    end: &'static [u8],
}

impl<'a> Feed<'a> {
    pub(super) fn nothing() -> Self {
        Self { from: None, to: None, pending: Vec::new(), end: &[] }
    }

    pub(super) fn pipe(from: BorrowedFd<'a>, to: OwnedFd) -> Result<Self, Error> {
        Self { from: Some(from), ..Self::nothing() }.into(to)
    }

    pub(super) fn terminal(from: BorrowedFd<'a>, to: OwnedFd) -> Result<Self, Error> {
        Self { from: Some(from), end: END, ..Self::nothing() }.into(to)
    }

    fn into(self, to: OwnedFd) -> Result<Self, Error> {
        let flags = rustix::fs::fcntl_getfl(&to)?;
        rustix::fs::fcntl_setfl(&to, flags | rustix::fs::OFlags::NONBLOCK)?;
        Ok(Self { to: Some(to), ..self })
    }

    /// What to wait for.
    pub(super) fn polled(&self) -> Option<PollFd<'_>> {
        match (&self.from, &self.to) {
            (_, Some(to)) if !self.pending.is_empty() => Some(PollFd::new(to, PollFlags::OUT)),
            (Some(from), Some(_)) => Some(PollFd::new(from, PollFlags::IN)),
            _ => None,
        }
    }

    /// Goes on, once what [`Feed::polled`] says is ready.
    pub(super) fn advance(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() { self.read() } else { self.write() }
    }

    fn read(&mut self) -> Result<(), Error> {
        let Some(from) = self.from else { return Ok(()) };
        let mut chunk = vec![0; CHUNK];
        match rustix::io::read(from, &mut chunk) {
            // EIO: a terminal that was hung up
            Ok(0) | Err(Errno::IO) => {
                self.from = None;
                self.pending.extend_from_slice(self.end);
            }
            Ok(len) => self.pending.extend_from_slice(&chunk[..len]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
        if self.from.is_none() && self.pending.is_empty() {
            self.to = None;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Error> {
        let Some(to) = &self.to else { return Ok(()) };
        match rustix::io::write(to, &self.pending) {
            Ok(len) => drop(self.pending.drain(..len)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            // nobody reads any more
            Err(Errno::PIPE | Errno::IO) => *self = Self::nothing(),
            Err(errno) => return Err(errno.into()),
        }
        if self.from.is_none() && self.pending.is_empty() {
            self.to = None;
        }
        Ok(())
    }
}
