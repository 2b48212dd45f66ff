//! How often the kernel had to ask. A request costs about 25 µs, so this is what the caches are judged by.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of FUSE requests by kind since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// LOOKUP: a name.
    pub lookup: u64,
    /// GETATTR.
    pub getattr: u64,
    /// READDIR and READDIRPLUS.
    pub readdir: u64,
    /// READ.
    pub read: u64,
    /// READLINK.
    pub readlink: u64,
    /// GETXATTR.
    pub getxattr: u64,
    /// LISTXATTR.
    pub listxattr: u64,
    /// Anything else that is answered: OPEN, OPENDIR, STATFS.
    pub other: u64,
}

impl Requests {
    /// All kinds together.
    pub fn total(&self) -> u64 {
        let Self { lookup, getattr, readdir, read, readlink, getxattr, listxattr, other } = self;
        lookup + getattr + readdir + read + readlink + getxattr + listxattr + other
    }
}

/// The counters behind [`Requests`].
#[derive(Default)]
pub(super) struct Counters {
    pub(super) lookup: Counter,
    pub(super) getattr: Counter,
    pub(super) readdir: Counter,
    pub(super) read: Counter,
    pub(super) readlink: Counter,
    pub(super) getxattr: Counter,
    pub(super) listxattr: Counter,
    pub(super) other: Counter,
}

impl Counters {
    pub(super) fn read_all(&self) -> Requests {
        Requests {
            lookup: self.lookup.value(),
            getattr: self.getattr.value(),
            readdir: self.readdir.value(),
            read: self.read.value(),
            readlink: self.readlink.value(),
            getxattr: self.getxattr.value(),
            listxattr: self.listxattr.value(),
            other: self.other.value(),
        }
    }
}

#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
