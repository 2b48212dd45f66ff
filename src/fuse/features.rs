//! What kernel and file system can agree on at the start: the flags of INIT.

use std::ops::{BitAnd, BitOr, Sub};

/// A set of INIT flags. A file system asks for those it wants; it gets those that the kernel has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u64);

impl Features {
    /// None.
    pub const NONE: Self = Self(0);
    /// Reads may come several at a time. Always asked for.
    pub(super) const ASYNC_READ: Self = Self(1);
    /// Opening with `O_TRUNC` is one message, OPEN.
    pub const ATOMIC_O_TRUNC: Self = Self(1 << 3);
    /// Writes larger than a page. Always asked for.
    pub(super) const BIG_WRITES: Self = Self(1 << 5);
    /// The mode of what is created comes without the umask taken off, and the umask beside it.
    pub const DONT_MASK: Self = Self(1 << 6);
    /// Reading a directory brings the attributes of what is in it.
    pub const DO_READDIRPLUS: Self = Self(1 << 13);
    /// ... where the kernel guesses that they will be asked for.
    pub const READDIRPLUS_AUTO: Self = Self(1 << 14);
    /// Direct I/O may come several at a time.
    pub const ASYNC_DIO: Self = Self(1 << 15);
    /// Writes stay in the page cache until they are written out; the kernel owns size and times meanwhile.
    pub const WRITEBACK_CACHE: Self = Self(1 << 16);
    /// OPEN may be answered ENOSYS: never ask again.
    pub const NO_OPEN: Self = Self(1 << 17);
    /// Look-ups and reads of one directory may come several at a time.
    pub const PARALLEL_DIROPS: Self = Self(1 << 18);
    /// The kernel checks permissions by POSIX ACLs, which are extended attributes.
    pub const POSIX_ACL: Self = Self(1 << 20);
    /// READ and WRITE as large as we say. Always asked for.
    pub(super) const MAX_PAGES: Self = Self(1 << 22);
    /// Targets of symbolic links are kept.
    pub const CACHE_SYMLINKS: Self = Self(1 << 23);
    /// OPENDIR may be answered ENOSYS: never ask again.
    pub const NO_OPENDIR: Self = Self(1 << 24);
    /// Cached pages are dropped only when we say so.
    pub const EXPLICIT_INVAL_DATA: Self = Self(1 << 25);
    /// The file system clears setuid, setgid and `security.capability` on write, truncation and chown.
    pub const HANDLE_KILLPRIV_V2: Self = Self(1 << 28);
    /// SETXATTR says whether setting an ACL clears setgid.
    pub const SETXATTR_EXT: Self = Self(1 << 29);
    /// There is a second word of flags. Asked for where offered.
    pub(super) const INIT_EXT: Self = Self(1 << 30);
    /// Files opened with `O_DIRECT` may be mapped shared.
    pub const DIRECT_IO_ALLOW_MMAP: Self = Self(1 << 36);
    /// Requests may come by `io_uring`. Asked for where we have rings.
    pub(super) const OVER_IO_URING: Self = Self(1 << 41);

    /// From the two words of INIT.
    pub(super) fn from_words(low: u32, high: u32) -> Self {
        Self(u64::from(high) << 32 | u64::from(low))
    }

    /// The two words of INIT, the first one first.
    pub(super) fn to_words(self) -> (u32, u32) {
        let word = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        (word(self.0), word(self.0 >> 32))
    }

    /// Whether all of `other` are among these.
    pub fn contains(self, other: Self) -> bool {
        self & other == other
    }
}

impl BitOr for Features {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Features {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Features {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}
