//! What can be wrong with a layer, with the entry named.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::oci::DiffId;

/// An entry's name in a message: quoted, control characters escaped, shortened where it is absurdly long.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(pub Vec<u8>);

impl Name {
    /// Bytes shown of an over-long name.
    const SHOWN: usize = 160;
}

impl From<&[u8]> for Name {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..Self::SHOWN) {
            Some(start) if self.0.len() > Self::SHOWN => write!(f, "{:?}…", String::from_utf8_lossy(start)),
            _ => write!(f, "{:?}", String::from_utf8_lossy(&self.0)),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a layer could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The index is of another version, of another tar, or damaged: rebuild it with [`super::reindex`].
    #[error("index is stale")]
    StaleIndex,
    /// An entry of a tar is malformed, hostile or over a limit.
    #[error("tar entry {path} at byte {offset}: {fault}")]
    Entry {
        /// The entry's name as the tar has it.
        path: Name,
        /// Where its first header begins, in bytes.
        offset: u64,
        /// What is wrong.
        fault: Fault,
    },
    /// A header is so broken that its entry has no name.
    #[error("tar header at byte {offset}, after entry {after}: {fault}")]
    Header {
        /// Where the header begins, in bytes.
        offset: u64,
        /// The last entry that could be read.
        after: Name,
        /// What is wrong.
        fault: Fault,
    },
    /// An entry cannot be written.
    #[error("layer entry {path}: {fault}")]
    Append {
        /// The path given.
        path: Name,
        /// What is wrong.
        fault: Fault,
    },
    /// The content of an entry being written could not be read.
    #[error("layer entry {path}: read its content")]
    Content {
        /// The path given.
        path: Name,
        /// What the reader said.
        source: io::Error,
    },
    /// The tar could not be read (or not be decompressed).
    #[error("read tar at byte {offset}")]
    Read {
        /// Bytes read before.
        offset: u64,
        /// What the source said.
        source: io::Error,
    },
    /// The tar could not be written.
    #[error("write tar at byte {offset}")]
    Write {
        /// Bytes written before.
        offset: u64,
        /// What write(2) said.
        source: io::Error,
    },
    /// The tar goes on beyond [`super::Limits::size`].
    #[error("tar is longer than {limit} bytes")]
    TooLong {
        /// The bound, in bytes.
        limit: u64,
    },
    /// The stream is packed in a way that no OCI media type has.
    #[error("{0} compression is not supported; layers are plain, gzip or zstd")]
    Compression(&'static str),
    /// A tar is not the one its name says.
    #[error("tar {path:?} is {found}, not {expected}")]
    DigestMismatch {
        /// The file.
        path: PathBuf,
        /// The name it goes by.
        expected: DiffId,
        /// The digest of its bytes.
        found: DiffId,
    },
    /// A layer's file could not be opened.
    #[error("open {path:?}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What open(2) said.
        source: io::Error,
    },
    /// Anything else that the file system said.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is wrong with one entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The header's sum does not match: no tar, or a damaged one.
    #[error("header checksum does not match")]
    Checksum,
    /// A numeric header field holds no number, or one out of range.
    #[error("header field {0} is out of range or no number")]
    Number(&'static str),
    /// A PAX record is not `length key=value\n`.
    #[error("malformed PAX record {0}")]
    PaxRecord(Name),
    /// A PAX record's value is not what its key wants.
    #[error("PAX {key} has the value {value}")]
    PaxValue {
        /// The record's key.
        key: &'static str,
        /// The record's value.
        value: Name,
    },
    /// Two extension headers of one kind in front of one entry.
    #[error("two {0} headers for one entry")]
    Duplicate(&'static str),
    /// Extension headers and then the end.
    #[error("extension headers without an entry")]
    Orphaned,
    /// More extension data than [`super::Limits::pax`].
    #[error("{size} bytes of extension headers, more than {limit}")]
    ExtensionsTooLarge {
        /// Announced, in bytes.
        size: u64,
        /// The bound.
        limit: u64,
    },
    /// One zero block, and then something else.
    #[error("zero block in the middle of the tar")]
    LoneZeroBlock,
    /// The tar ends within the entry.
    #[error("tar is truncated: {missing} bytes are missing")]
    Truncated {
        /// How many bytes the entry still wanted.
        missing: u64,
    },
    /// A name that begins with a slash.
    #[error("absolute name")]
    Absolute,
    /// A name with a `..` component.
    #[error("name climbs out of the root")]
    Climbs,
    /// A NUL byte inside a name or target.
    #[error("NUL byte in name")]
    Nul,
    /// A path given to the writer with `.`, empty components or slashes at the ends.
    #[error("path is not clean")]
    NotClean,
    /// A path beyond [`super::Limits::path`].
    #[error("path of {len} bytes, more than {limit}")]
    PathTooLong {
        /// Its length, in bytes.
        len: usize,
        /// The bound.
        limit: usize,
    },
    /// A component beyond 255 bytes.
    #[error("name component of {len} bytes, more than 255")]
    ComponentTooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// A name that starts with `.wh.` where no whiteout can be meant.
    #[error("names that start with .wh. are reserved for whiteouts")]
    Reserved,
    /// The root as anything but a directory.
    #[error("the root must be a directory")]
    RootNotDirectory,
    /// A symlink or hard link without target.
    #[error("link has no target")]
    NoTarget,
    /// A hard link whose target is not a path inside the root.
    #[error("hard link to {target}: {why}")]
    Link {
        /// The target as the tar has it.
        target: Name,
        /// What is wrong with it.
        why: Box<Fault>,
    },
    /// A hard link to a directory.
    #[error("hard link to {0}, which is a directory")]
    LinkToDirectory(Name),
    /// More than 40 symlinks on the way to an entry's parent.
    #[error("too many levels of symbolic links")]
    SymlinkLoop,
    /// More entries than [`super::Limits::entries`].
    #[error("more than {limit} entries")]
    TooManyEntries {
        /// The bound.
        limit: u64,
    },
    /// The index would grow beyond [`super::Limits::index`].
    #[error("the layer's index would be larger than {limit} bytes")]
    IndexTooLarge {
        /// The bound, in bytes.
        limit: u64,
    },
    /// Content beyond [`super::Limits::size`].
    #[error("content of {size} bytes; with it the tar is longer than {limit}")]
    TooLarge {
        /// Announced, in bytes.
        size: u64,
        /// The bound.
        limit: u64,
    },
    /// A sparse file's map makes no sense.
    #[error("sparse map: {0}")]
    Sparse(&'static str),
    /// An entry type that no layer can hold.
    #[error("entry type {:?} is not supported", char::from(*.0))]
    Type(u8),
    /// An extended attribute that PAX cannot spell.
    #[error("extended attribute {0} has a name that a tar cannot hold")]
    XattrName(Name),
    /// A device number that ustar cannot spell.
    #[error("device {major}:{minor} does not fit a tar header")]
    Device {
        /// Device class.
        major: u32,
        /// Device within the class.
        minor: u32,
    },
    /// Content ended before its announced size.
    #[error("content ends after {found} of {announced} bytes")]
    Short {
        /// The size given.
        announced: u64,
        /// How many bytes came.
        found: u64,
    },
    /// Content went on after its announced size.
    #[error("content is longer than the announced {announced} bytes")]
    Long {
        /// The size given.
        announced: u64,
    },
}
