//! What an inode is, how it may change, and what a file system holds.

/// Seconds and nanoseconds since 1970; the nanoseconds always count forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Whole seconds, rounded towards the past.
    pub secs: i64,
    /// What is to be added, below one second.
    pub nanos: u32,
}

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are what they are called")]
pub enum FileType {
    File,
    Directory,
    Symlink,
    Char,
    Block,
    Fifo,
    Socket,
}

impl FileType {
    /// The type bits of `st_mode`.
    pub fn to_mode(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Symlink => 0o120_000,
            Self::Char => 0o020_000,
            Self::Block => 0o060_000,
            Self::Fifo => 0o010_000,
            Self::Socket => 0o140_000,
        }
    }

    /// `None` for type bits that mean nothing.
    pub fn from_mode(mode: u32) -> Option<Self> {
        [Self::File, Self::Directory, Self::Symlink, Self::Char, Self::Block, Self::Fifo, Self::Socket]
            .into_iter()
            .find(|kind| kind.to_mode() == mode & 0o170_000)
    }
}

/// What `stat` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The inode's number: what FUSE calls the node id and `stat` the inode.
    pub id: u64,
    /// What it is.
    pub kind: FileType,
    /// Permission bits with setuid, setgid and sticky: 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of names.
    pub nlink: u32,
    /// Of a device, its number in the kernel's 32-bit encoding.
    pub device: u32,
    /// Length, in bytes.
    pub size: u64,
    /// What it occupies, in units of 512 bytes.
    pub blocks: u64,
    /// Last access.
    pub atime: Time,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of the inode.
    pub ctime: Time,
}

/// A time to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The clock of whoever keeps it.
    Now,
    /// This one.
    At(Time),
}

/// Whether setuid and setgid (this one only together with group execution) are to be cleared: the caller has no
/// `CAP_FSETID`. Comes only with [`Features::HANDLE_KILLPRIV_V2`](super::Features::HANDLE_KILLPRIV_V2), under which
/// every write and truncation clears `security.capability` besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privileges {
    /// They stay.
    #[default]
    Keep,
    /// They go.
    Clear,
}

/// What SETATTR asks for; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Permission bits, 0o7777.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Length, in bytes.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<SetTime>,
    /// Last change of the content.
    pub mtime: Option<SetTime>,
    /// Last change of the inode: told by the kernel that keeps times itself, for it has changed them.
    pub ctime: Option<Time>,
    /// What becomes of setuid and setgid.
    pub privileges: Privileges,
}

/// What a file system holds (`statfs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the field names of statfs(2)")]
pub struct Statistics {
    pub blocks: u64,
    pub free: u64,
    pub available: u64,
    pub files: u64,
    pub files_free: u64,
    pub block_size: u32,
    pub fragment_size: u32,
}
