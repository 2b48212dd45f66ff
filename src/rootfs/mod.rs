//! A root file system is a stack of layers; a step gets a writable one.
//!
//! [`Stack`] merges the indexes of its layers by name, lazily: nothing is unpacked. It is read in process (where does
//! this path lead, what does `/etc/passwd` say) and over FUSE (the lower side of a step's root).
//!
//! [`Server`] lives in the sandbox. It shows all stacks of the sandbox in the same read-only FUSE superblocks, so that
//! the kernel keeps the pages and names it has learned from one step to the next. On top of it a [`Driver`] makes the
//! writable [`Root`]; [`Root::freeze`] turns what the step changed into a layer.
//!
//! ```text
//!   Kernel   overlayfs(userxattr, volatile)       upper/work: plain directories in `live`
//!            └── lowers: directories of the FUSE superblocks   (served/ says which)
//!   Fuse     our own FUSE file system is the whole overlay
//!   Plain    the stack's files in a directory, compared with what they were
//! ```
//!
//! Layer words (whiteout, opaque) are those of OCI image-spec v1.1, layer.md; overlayfs writes the same facts as
//! character devices 0:0 and `user.overlay.*` attributes (Linux, Documentation/filesystems/overlayfs.rst).

mod acl;
mod freeze;
mod kernel;
mod mounted;
mod overlay;
mod ownership;
mod plain;
mod served;
mod server;
mod stack;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod time;
pub mod trace;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::layer::Written;

pub(crate) use freeze::{pack, remove_tree};
pub use ownership::{Creators, Device, Files, Ids, Inode, Maker, Owner, Ownership, Record, Register};
pub use served::Requests;
pub use server::Server;
pub use stack::{Follow, Node, Resolved, Stack};

/// The number of an error that a system call fails with.
type Errno = rustix::io::Errno;

/// What goes wrong with a root file system.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More symbolic links on the way than [`Stack::MAX_LINKS`] (what the kernel calls ELOOP).
    #[error("resolve {}: more than {} symbolic links on the way", path.display(), Stack::MAX_LINKS)]
    TooManyLinks {
        /// The path asked for.
        path: PathBuf,
    },
    /// Something that is no directory stands in the middle of a path (ENOTDIR).
    #[error("resolve {}: {} is not a directory", path.display(), at.display())]
    NotDirectory {
        /// The path asked for.
        path: PathBuf,
        /// The component in the way.
        at: PathBuf,
    },
    /// A file was wanted and something else is there.
    #[error("read {}: not a regular file", path.display())]
    NotRegular {
        /// The path asked for.
        path: PathBuf,
    },
    /// A file is longer than its reader takes.
    #[error("read {}: {size} bytes, at most {limit} are read", path.display())]
    TooLarge {
        /// The path asked for.
        path: PathBuf,
        /// Its length, in bytes.
        size: u64,
        /// The longest file that is taken, in bytes.
        limit: u64,
    },
    /// One id is mapped, and this driver's files belong to whom the kernel says.
    #[error(
        "one id is mapped, and a file of the {driver} driver could have no other owner: take --rootfs fuse or plain"
    )]
    NoOwners {
        /// The driver.
        driver: Driver,
    },
    /// More of something than node ids can name.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there can be.
        limit: u32,
    },
    /// Something still used the root of a step that was over. It was detached; what it held cannot be relied on.
    #[error("unmount {}: still in use (EBUSY), so it was detached", path.display())]
    Busy {
        /// The mount point.
        path: PathBuf,
    },
    /// The stacks are not served (no `/dev/fuse`, say), so nothing can be mounted above them.
    #[error("{0}")]
    Unserved(String),
    /// An operation on a file or directory outside the stack (a mount point, the upper directory) ended in an errno.
    #[error("{verb} {}: {source}", path.display())]
    At {
        /// What was tried: a system call's or an operation's name.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Any other failed I/O; the message is the system's.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A layer could not be read or written.
    #[error(transparent)]
    Layer(#[from] crate::layer::Error),
}

/// Which writable root a step gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// The kernel's overlayfs over the served stack.
    Kernel,
    /// Our own FUSE server is the whole overlay.
    Fuse,
    /// The stack materialised into a directory.
    Plain,
}

/// As `--rootfs` has it.
impl std::fmt::Display for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::Fuse => "fuse",
            Self::Plain => "plain",
        })
    }
}

/// Which extended attributes a step sees of its layers and leaves in its own: `user.*`, file capabilities and POSIX
/// ACLs. overlayfs' own would be believed, security labels belong to this machine, and a copy-up, which copies
/// all it sees, would fail where the kernel refuses a name to a user namespace (`trusted.*`, other `security.*`).
fn is_carried(name: &[u8]) -> bool {
    name == b"security.capability"
        || acl::is_list(name)
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

/// Whether an attribute of a layer is shown to the step. A list that is no list is not: the kernel would refuse every
/// access to its file.
fn is_shown(name: &[u8], value: &[u8]) -> bool {
    is_carried(name) && (!acl::is_list(name) || acl::Acl::parse(value).is_ok())
}

/// Gives a failed call its verb and its path.
trait Named<T> {
    fn named(self, verb: &'static str, path: impl Into<PathBuf>) -> Result<T, Error>;
}

impl<T, E: Into<std::io::Error>> Named<T> for Result<T, E> {
    fn named(self, verb: &'static str, path: impl Into<PathBuf>) -> Result<T, Error> {
        self.map_err(|error| Error::At { verb, path: path.into(), source: error.into() })
    }
}

/// Where a root may write: directories on the store's file system.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Room {
    /// Empty, and empty again after the freeze.
    pub live: PathBuf,
    /// Where the `plain` driver keeps a tree for the next root of the same server; its owner empties it when that is
    /// gone. None: nothing is kept.
    pub shelf: Option<PathBuf>,
}

/// A writable root over `stack` for whoever comes by: at `at`, which is made for it, by the `fuse` driver; by the `plain`
/// one in `live`. Both lie in the mount namespace of the caller, whose threads answer for it. `live`: an empty directory.
///
/// Errors with [`Error::Unserved`] for the `kernel` driver, which wants a [`Server`].
pub fn show(stack: Stack, driver: Driver, at: &Path, live: &Path, ids: Ids) -> Result<Box<dyn Root>, Error> {
    match driver {
        Driver::Fuse => overlay::mount(stack, at, live, ids, None),
        Driver::Plain => Ok(Box::new(plain::PlainRoot::materialise(stack, live, None, &ids)?)),
        Driver::Kernel => Err(Error::Unserved("a root by the kernel driver is a step's alone".to_owned())),
    }
}

/// A writable root of one step.
pub trait Root: Send {
    /// Where it is mounted.
    fn path(&self) -> &Path;
    /// The owners it records, if it was prepared to and can.
    fn ownership(&self) -> Option<Arc<dyn Ownership>> {
        None
    }
    /// Unmounts and writes what changed since `prepare` into `tar` (from its start), removing the data under `live`.
    ///
    /// `ignore`: paths (relative to the root, with their would-be-created parents) made for the step itself (mount
    /// points, stubs). One that is still an empty file or directory, and that the stack does not have, never reaches
    /// the layer; nor does its parent, where only its time of modification tells of it.
    fn freeze(self: Box<Self>, tar: File, ignore: &[PathBuf]) -> Result<Written, Error>;
    /// Writes what changed since `prepare` into `tar` (from its start), and goes on as before: the next one, or the freeze,
    /// tells of it again.
    fn snapshot(&self, tar: File) -> Result<Written, Error>;
    /// Unmounts and removes without a layer (the step failed).
    fn discard(self: Box<Self>) -> Result<(), Error>;
}
