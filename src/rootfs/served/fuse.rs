//! The served tree as FUSE asks it, counted.

use std::sync::Arc;

use super::{Side, Tree};
use crate::fuse::{
    Attributes, Errno, Features, Filesystem, Lines, Listing, Opened, Place, Privileges, Taken,
};
use crate::rootfs::trace::Listings;

/// The tree in one of the two superblocks.
pub(in crate::rootfs) struct Fuse {
    tree: Arc<Tree>,
    side: Side,
    agreed: Features,
}

impl Fuse {
    pub(in crate::rootfs) fn new(tree: Arc<Tree>, side: Side) -> Self {
        Self { tree, side, agreed: Features::NONE }
    }

    /// ENOSYS, once: the kernel opens by itself from then on and keeps what it has cached. An older kernel must be told
    /// each time that its cache is good.
    fn opened(&self, not_needed: Features, otherwise: Opened) -> Result<Opened, Errno> {
        self.tree.counters.other.count();
        if self.agreed.contains(not_needed) { Err(Errno::NOSYS) } else { Ok(otherwise) }
    }
}

impl Filesystem for Fuse {
    fn init(&mut self, offered: Features) -> Features {
        let wanted = Features::PARALLEL_DIROPS
            | Features::CACHE_SYMLINKS
            | Features::NO_OPEN
            | Features::NO_OPENDIR
            | Features::EXPLICIT_INVAL_DATA
            // the bare side has no lists; without this the kernel would not say that there are none, but EOPNOTSUPP
            | Features::POSIX_ACL
            | match Listings::of(self.tree.trace.as_ref()) {
                Listings::Full => Features::DO_READDIRPLUS,
                Listings::Names => Features::NONE,
            };
        self.agreed = wanted & offered;
        wanted
    }

    fn lookup(&self, at: Place<'_>) -> Result<Option<Attributes>, Errno> {
        self.tree.counters.lookup.count();
        self.tree.lookup(at.parent, at.name)
    }

    fn attributes(&self, id: u64) -> Result<Attributes, Errno> {
        self.tree.counters.getattr.count();
        self.tree.getattr(id)
    }

    fn read_link(&self, id: u64) -> Result<Vec<u8>, Errno> {
        self.tree.counters.readlink.count();
        self.tree.readlink(id)
    }

    fn open(&self, _: u64, _: u32, _: Privileges) -> Result<Opened, Errno> {
        self.opened(Features::NO_OPEN, Opened::KEEP_CACHE)
    }

    fn open_directory(&self, _: u64) -> Result<Opened, Errno> {
        self.opened(Features::NO_OPENDIR, Opened::CACHE_DIRECTORY)
    }

    fn read(&self, id: u64, offset: u64, into: &mut [u8]) -> Result<usize, Errno> {
        self.tree.counters.read.count();
        self.tree.read(id, into, offset)
    }

    fn read_directory(
        &self,
        id: u64,
        after: u64,
        _: Listing,
        lines: &mut Lines<'_, '_>,
    ) -> Result<(), Errno> {
        self.tree.counters.readdir.count();
        let from = usize::try_from(after).unwrap_or(usize::MAX);
        for (next, (name, attributes)) in (1..).zip(self.tree.listing(id, from)?.iter()).skip(from) {
            if lines.add(name, next, attributes) == Taken::Full {
                break;
            }
        }
        Ok(())
    }

    fn xattr(&self, id: u64, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.tree.counters.getxattr.count();
        match self.side {
            Side::Bare => Err(Errno::NOSYS),
            Side::Marked => self.tree.getxattr(id, name),
        }
    }

    fn xattr_names(&self, id: u64) -> Result<Vec<u8>, Errno> {
        self.tree.counters.listxattr.count();
        match self.side {
            Side::Bare => Ok(Vec::new()),
            Side::Marked => self.tree.listxattr(id),
        }
    }
}
