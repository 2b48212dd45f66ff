//! What a file system can be asked. A method left out answers ENOSYS, which the kernel remembers where it may.

use super::attributes::{Attributes, Changes, FileType, Privileges, Statistics};
use super::body::{Lines, Listing};
use super::{Errno, Features};

/// Who asks, in the ids of the mount's user namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Process (its thread, as Linux counts); 0 for one outside our pid namespace.
    pub pid: u32,
}

/// A name's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The directory.
    pub parent: u64,
    /// The name in it, without a zero byte.
    pub name: &'a [u8],
}

/// Where the bytes of a WRITE come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A process that waits for the answer.
    Caller,
    /// The page cache, some time after the process was told that it had written.
    PageCache,
}

/// The answer to OPEN and its like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened(pub(super) u32);

impl Opened {
    /// What the kernel has cached of the file is still good.
    pub const KEEP_CACHE: Self = Self(1 << 1);
    /// What the kernel has cached of the directory is still good, and its listing may be kept.
    pub const CACHE_DIRECTORY: Self = Self(1 << 1 | 1 << 3);
}

/// The operations. `id`, `parent`: inode numbers that the file system gave before.
#[expect(unused_variables, reason = "the defaults answer ENOSYS, whatever was asked")]
pub trait Filesystem: Send + Sync {
    /// What is wanted of what the kernel offers. Called once, before anything else.
    fn init(&mut self, offered: Features) -> Features;

    /// Whether a process that uses it is the only one that asks for it. Where another one asks beside it (a clerk that is told
    /// of each of its calls), companions would run after both, and do harm.
    fn is_asked_by_one(&self) -> bool {
        true
    }

    /// The inode behind a name, referenced once more; `None`: nothing is there, which the kernel may remember.
    fn lookup(&self, at: Place<'_>) -> Result<Option<Attributes>, Errno>;

    /// The kernel gives back `count` references.
    fn forget(&self, id: u64, count: u64) {}

    /// The attributes of an inode.
    fn attributes(&self, id: u64) -> Result<Attributes, Errno>;

    /// Changes attributes; all or none.
    fn set_attributes(&self, caller: Caller, id: u64, changes: &Changes) -> Result<Attributes, Errno> {
        Err(Errno::NOSYS)
    }

    /// Where a symbolic link leads.
    fn read_link(&self, id: u64) -> Result<Vec<u8>, Errno> {
        Err(Errno::INVAL)
    }

    /// Makes a symbolic link.
    fn symlink(&self, caller: Caller, at: Place<'_>, target: &[u8]) -> Result<Attributes, Errno> {
        Err(Errno::NOSYS)
    }

    /// Makes a file, a directory or a special file. `mode`: 0o7777, the umask not yet taken off.
    fn make(
        &self,
        caller: Caller,
        at: Place<'_>,
        kind: FileType,
        device: u32,
        mode: u32,
        umask: u32,
    ) -> Result<Attributes, Errno> {
        Err(Errno::NOSYS)
    }

    /// Makes a file and opens it (`open(O_CREAT)`). ENOSYS: the kernel makes and opens by two requests from now on, and
    /// where opening is not needed either, that is one request less.
    fn create(
        &self,
        caller: Caller,
        at: Place<'_>,
        mode: u32,
        umask: u32,
        flags: u32,
    ) -> Result<(Attributes, Opened), Errno> {
        Err(Errno::NOSYS)
    }

    /// Makes a file without a name and opens it (`open(O_TMPFILE)`); it may get a name later by [`Self::link`].
    fn temporary(
        &self,
        caller: Caller,
        parent: u64,
        mode: u32,
        umask: u32,
        flags: u32,
    ) -> Result<(Attributes, Opened), Errno> {
        Err(Errno::NOSYS)
    }

    /// Takes away the name of anything but a directory.
    fn unlink(&self, at: Place<'_>) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    /// Takes away an empty directory.
    fn rmdir(&self, at: Place<'_>) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    /// Moves a name. `flags`: those of `renameat2`, as they come.
    fn rename(&self, from: Place<'_>, to: Place<'_>, flags: u32, caller: Caller) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    /// Gives an inode a further name.
    fn link(&self, id: u64, at: Place<'_>) -> Result<Attributes, Errno> {
        Err(Errno::NOSYS)
    }

    /// Opens a file. `flags`: those of `open`. ENOSYS with [`Features::NO_OPEN`]: the kernel opens by itself.
    fn open(&self, id: u64, flags: u32, privileges: Privileges) -> Result<Opened, Errno> {
        Err(Errno::NOSYS)
    }

    /// Opens a directory. ENOSYS with [`Features::NO_OPENDIR`]: the kernel opens by itself.
    fn open_directory(&self, id: u64) -> Result<Opened, Errno> {
        Err(Errno::NOSYS)
    }

    /// Fills `into` from `offset` on; returns how far. Less than all only at the file's end.
    fn read(&self, id: u64, offset: u64, into: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::NOSYS)
    }

    /// Writes at `offset`; returns how much. Less than all only where there was no room for more.
    fn write(
        &self,
        id: u64,
        offset: u64,
        bytes: &[u8],
        origin: Origin,
        privileges: Privileges,
    ) -> Result<usize, Errno> {
        Err(Errno::NOSYS)
    }

    /// A descriptor was closed. ENOSYS: never ask again.
    fn flush(&self, id: u64) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    /// `fsync` of a file. ENOSYS: never ask again.
    fn sync(&self, id: u64) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    /// `fsync` of a directory. ENOSYS: never ask again.
    fn sync_directory(&self, id: u64) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    /// `syncfs`. ENOSYS: never ask again.
    fn sync_all(&self) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    /// Adds the names behind position `after` until `lines` is full. With [`Listing::Lookups`] each one taken, but `.`
    /// and `..`, counts as looked up.
    fn read_directory(
        &self,
        id: u64,
        after: u64,
        listing: Listing,
        lines: &mut Lines<'_, '_>,
    ) -> Result<(), Errno>;

    /// What the file system holds.
    fn statistics(&self) -> Result<Statistics, Errno> {
        Ok(Statistics { block_size: 4096, fragment_size: 4096, ..Statistics::default() })
    }

    /// Sets an extended attribute. `flags`: those of `setxattr`. `privileges`: whether an ACL that is set clears setgid.
    fn set_xattr(
        &self,
        id: u64,
        name: &[u8],
        value: &[u8],
        flags: u32,
        privileges: Privileges,
    ) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    /// An extended attribute's value.
    fn xattr(&self, id: u64, name: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::NOSYS)
    }

    /// The names of all extended attributes, each ended by a zero byte.
    fn xattr_names(&self, id: u64) -> Result<Vec<u8>, Errno> {
        Err(Errno::NOSYS)
    }

    /// Takes an extended attribute away.
    fn remove_xattr(&self, id: u64, name: &[u8]) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    /// `fallocate`. `mode`: its flags, as they come.
    fn allocate(&self, id: u64, offset: u64, length: u64, mode: u32) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    /// `lseek` with `SEEK_DATA` (3) or `SEEK_HOLE` (4); the kernel does the others itself.
    fn seek(&self, id: u64, offset: u64, whence: u32) -> Result<u64, Errno> {
        Err(Errno::NOSYS)
    }

    /// Copies up to `count` bytes between two files, (inode, offset) each; returns how many.
    fn copy_range(&self, from: (u64, u64), to: (u64, u64), count: u64) -> Result<u64, Errno> {
        Err(Errno::NOSYS)
    }
}
