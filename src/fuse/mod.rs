//! FUSE, the kernel's protocol for file systems in user space: the wire, the operations, the session.
//!
//! A file system is a [`Filesystem`]: methods that return `Result<_, Errno>` and know nothing of bytes. A [`Session`]
//! takes the descriptor of `/dev/fuse` that was mounted, agrees with the kernel on what both can do, and answers until
//! the file system is unmounted. Between them, one file each:
//!
//! ```text
//!   device | ring     how a request comes and its answer goes: read(2) and write(2), or `io_uring`
//!   request           bytes → Operation     every length is checked: a malformed request is an error, never a panic
//!   answer            Operation → method → bytes     the one place that replies
//!   turns             who answers: a crew, or companions on the CPU of whoever asks one thing after the other
//! ```
//!
//! What is assumed of every file system here, and makes the protocol smaller: nothing changes but through the kernel, so
//! names, attributes and absences are kept for a day; an inode's number is all the state there is, so a file handle is
//! always 0; a number is never used twice.
//!
//! The transport is chosen at mount: where the kernel offers FUSE over `io_uring` (`/sys/module/fuse/parameters/
//! enable_uring`) and lets us have rings, each possible CPU gets one, served by threads pinned there. Without it nothing
//! changes but speed. FORGET and INTERRUPT come by read(2) always.
//!
//! Source: include/uapi/linux/fuse.h, protocol 7.45 (Linux 6.18); Documentation/filesystems/fuse/fuse-io-uring.rst.

mod answer;
mod attributes;
mod body;
mod companion;
mod device;
mod features;
mod filesystem;
mod handshake;
mod input;
mod opcode;
mod pace;
mod request;
mod ring;
mod session;
#[cfg(test)]
mod tests;
mod turns;

use std::io;

pub use attributes::{Attributes, Changes, FileType, Privileges, SetTime, Statistics, Time};
pub use body::{Lines, Listing, Taken};
pub use features::Features;
pub use filesystem::{Caller, Filesystem, Opened, Origin, Place};
pub use session::{NoRings, Session, Transport};

/// What an operation fails with: the number that the caller's system call returns.
pub use rustix::io::Errno;

/// The root directory's number (`FUSE_ROOT_ID`).
pub const ROOT: u64 = 1;

/// Most bytes in one READ or WRITE: what `fs.fuse.max_pages_limit` allows by default.
pub const LARGEST: u32 = 1 << 20;

/// What goes wrong with a session.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel speaks a protocol that we do not.
    #[error("fuse handshake: the kernel speaks {major}.{minor}, 7.{} or later is needed", handshake::OLDEST)]
    Version {
        /// The kernel's major version.
        major: u32,
        /// The kernel's minor version.
        minor: u32,
    },
    /// A message that cannot be what the protocol says.
    #[error("fuse message {opcode} of {length} bytes ends early or does not add up")]
    Malformed {
        /// Its operation's number; 0 where the message ends before it.
        opcode: u32,
        /// Its length, in bytes.
        length: usize,
    },
    /// Something else than INIT came first.
    #[error("fuse handshake: message {opcode} came before INIT (26)")]
    NotInit {
        /// Its operation's number.
        opcode: u32,
    },
    /// A request ended in a panic. It was answered with EIO, and so was everything after it that met the same fault.
    #[error("a request of the file system panicked, so its content cannot be relied on")]
    Panicked,
    /// There are no companions where a process that uses the file system is not the only one that asks.
    #[error("no companions: each user of the file system has another process ask beside it")]
    AskedByMore,
    /// The device, a ring or a thread was refused.
    #[error("{request}: {source}")]
    Refused {
        /// What was asked for.
        request: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The kernel refused something unusual.
    #[error(transparent)]
    Kernel(#[from] rbuild_userns::Error),
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused { source, .. } if source.raw_os_error().is_some() => source,
            other => Self::other(other),
        }
    }
}

/// Names the request that failed.
fn refused<E: Into<io::Error>>(request: &'static str) -> impl FnOnce(E) -> Error {
    move |source| Error::Refused { request, source: source.into() }
}
