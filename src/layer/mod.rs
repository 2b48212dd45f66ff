//! A layer is a tar and its index.
//!
//! The tar is the truth: the uncompressed stream whose SHA-256 is the diff id, kept verbatim. The index is a cache of
//! it: a tree of names and inodes, and where in the tar each file's bytes lie. Whoever reads a layer searches the index
//! and reads the tar at an offset; nothing is ever unpacked.
//!
//! ```text
//!  LayerWriter ── entries ──┐                       ┌─► tar file   (spool: 1 MiB chunks, hashed beside the writing)
//!                           ├─► one pass: bytes ────┤
//!  ingest, reindex ─ tar ───┘                       └─► tree ──► index bytes (format) ──► Index ──► Layer
//! ```
//!
//! # What a tar from outside may say
//! `members` reads headers with `tar-core` and resolves the dialects itself: PAX records (of which `tar-core` loses
//! negative and fractional times, drops the rest after a malformed length, and miscounts sparse files with a `size`
//! record), GNU long names, and the four ways to write a sparse file. Where dialects disagree we follow Go's
//! `archive/tar`, because that is what wrote and checked practically every layer in the world: links, directories and
//! devices have no data whatever their size field says, and a PAX *global* header changes nothing.
//!
//! Every name meets [`Limits`] and is confined: absolute names, `..`, NUL bytes and over-long components end in an
//! [`Error`] that names the entry. Symlink targets are free text; they are resolved inside the stack, never here.
//!
//! # What the tree makes of it
//! A later entry replaces an earlier one of the same name; a directory replaced by something else loses its children; a
//! parent nobody wrote is *implicit*. An entry below a symlink of the same layer lands where the symlink points, inside
//! the root, as it would have by unpacking. A whiteout beside a directory of the same layer makes it opaque (OCI
//! image-spec v1.1, layer.md, "Whiteouts": the mark hides lower layers only).

mod compress;
mod decompress;
mod error;
mod format;
mod header;
mod index;
mod ingest;
mod layout;
mod members;
mod path;
mod pax;
mod reader;
mod sparse;
mod spool;
mod stored;
mod tape;
#[cfg(test)]
mod tests;
mod tree;
mod writer;

use std::collections::BTreeMap;
use std::io::Read;

pub use compress::compress;
pub use decompress::{decompress, decompress_archive};
pub use error::{Error, Fault, Name};
pub use index::Index;
pub use ingest::{ingest, reindex};
pub use reader::TarReader;
pub use stored::Layer;
pub use writer::LayerWriter;

use crate::oci::DiffId;

/// Seconds and nanoseconds since 1970; `nanos` always counts forward (`0..1_000_000_000`), so one and a half seconds
/// before 1970 is `{ secs: -2, nanos: 500_000_000 }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds, rounded towards the past.
    pub secs: i64,
    /// What is to be added, below one second.
    pub nanos: u32,
}

/// Extended attributes by full name (`security.capability`, `user.x`).
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// What every kind of entry has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: 0o7777. No file type.
    pub mode: u32,
    /// Owner, as the image numbers it.
    pub uid: u32,
    /// Group, as the image numbers it.
    pub gid: u32,
    /// Last modification.
    pub mtime: Timestamp,
    /// Extended attributes of every namespace.
    pub xattrs: Xattrs,
}

/// What an entry is, on its way INTO a layer.
pub enum Content<'a> {
    /// A regular file.
    File {
        /// Its length in bytes.
        size: u64,
        /// Its bytes: exactly `size` of them.
        data: &'a mut dyn Read,
    },
    /// A directory.
    Directory,
    /// A symlink and its target, any bytes but NUL.
    Symlink(&'a [u8]),
    /// Another path of this layer (no leading slash).
    Hardlink(&'a [u8]),
    /// A character device.
    Char {
        /// Device class, below 2^21.
        major: u32,
        /// Device within the class, below 2^21.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Device class, below 2^21.
        major: u32,
        /// Device within the class, below 2^21.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// A complete layer: its name and its index's bytes. The tar is in the file the writer was given.
#[derive(Debug)]
pub struct Written {
    /// SHA-256 of the uncompressed tar.
    pub diff_id: DiffId,
    /// Length of the uncompressed tar, in bytes.
    pub size: u64,
    /// How many entries were written, whiteouts and opaque marks included (an empty layer's tar is two zero blocks).
    pub entries: u64,
    /// The index file's content.
    pub index: Vec<u8>,
}

/// Bounds on a tar from outside.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Headers, global and label ones included.
    pub entries: u64,
    /// Bytes of a path, and of a link's target. A component is bounded by 255 as on every Linux file system.
    pub path: usize,
    /// Bytes of one entry's PAX records and GNU long names together.
    pub pax: u64,
    /// Bytes of the whole uncompressed tar.
    pub size: u64,
    /// Bytes of the index that is made of it. The memory to make it is at most about three times this.
    pub index: u64,
}

impl Default for Limits {
    /// Two million entries, `PATH_MAX`, 1 MiB of PAX, 1 TiB of tar, 256 MiB of index: several times the largest layers
    /// seen in public registries, and a hostile one is stopped within some hundred megabytes of memory.
    fn default() -> Self {
        Self { entries: 2_000_000, path: 4096, pax: 1 << 20, size: 1 << 40, index: 256 << 20 }
    }
}

/// An entry of a tar being read one by one (ADD of a local archive). Path and link are cleaned and confined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative and clean; empty for the root.
    pub path: Vec<u8>,
    /// Mode, owner, time, extended attributes.
    pub meta: Metadata,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry is, on its way OUT of a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Its length in bytes, holes included.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symlink and its target: free text.
    Symlink(Vec<u8>),
    /// A hard link and the clean path it names.
    Hardlink(Vec<u8>),
    /// A character device.
    Char {
        /// Device class.
        major: u32,
        /// Device within the class.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Device class.
        major: u32,
        /// Device within the class.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// How a layer blob is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 8878, one frame or several.
    Zstd,
}

/// An inode's place in one layer's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ino(pub u32);

/// What one layer says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    /// It is this inode.
    Node(Ino),
    /// It is not there, whatever the layers below say.
    Whiteout,
}

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink and its target.
    Symlink(&'a [u8]),
    /// A character device.
    Char {
        /// Device class.
        major: u32,
        /// Device within the class.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Device class.
        major: u32,
        /// Device within the class.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A hard link to a path that only a lower layer has.
    LinkBelow(&'a [u8]),
}

/// One row of an index, borrowed from the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inode<'a> {
    /// What it is.
    pub kind: Kind<'a>,
    /// Permission bits with setuid, setgid and sticky: 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last modification.
    pub mtime: Timestamp,
    /// File length in bytes (0 for others).
    pub size: u64,
    /// Names within this layer (directories: 1).
    pub nlink: u32,
    /// A directory that hides everything below it.
    pub opaque: bool,
    /// A directory that has no entry of its own: only named as a parent. A lower layer's attributes win.
    pub implicit: bool,
}
