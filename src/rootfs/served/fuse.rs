//! FUSE's words for the served tree: what the kernel is promised at the start, and the one place that replies.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::time::Duration;

use fuser::{
    Errno, FileAttr, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEntry, ReplyOpen,
    ReplyXattr, Request,
};

use super::{Side, Tree};

/// How long the kernel may believe an answer. Layers never change; a sandbox lives for one build.
const LIFETIME: Duration = Duration::from_hours(24);
/// The largest request, in bytes: what `fs.fuse.max_pages_limit` allows by default.
const MAX_REQUEST: u32 = 1 << 20;
/// Node ids are never used twice.
const GENERATION: Generation = Generation(0);

/// The tree as fuser calls it.
pub(in crate::rootfs) struct Fuse {
    tree: Arc<Tree>,
    side: Side,
    opening: OpenAnswer,
}

/// What OPEN and OPENDIR are answered with.
#[derive(Clone, Copy)]
struct OpenAnswer {
    file: Answer,
    dir: Answer,
}

#[derive(Clone, Copy)]
enum Answer {
    /// ENOSYS, once: the kernel opens by itself from then on and keeps what it has cached.
    NotNeeded,
    /// An older kernel must be told each time that its cache is good.
    Keep,
}

impl Fuse {
    pub(in crate::rootfs) fn new(tree: Arc<Tree>, side: Side) -> Self {
        Self { tree, side, opening: OpenAnswer { file: Answer::Keep, dir: Answer::Keep } }
    }
}

impl Filesystem for Fuse {
    /// Passthrough is never among the flags: it raises the stacking depth, and overlayfs would refuse to sit on us.
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let wanted = InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_CACHE_SYMLINKS
            | InitFlags::FUSE_NO_OPEN_SUPPORT
            | InitFlags::FUSE_NO_OPENDIR_SUPPORT
            | InitFlags::FUSE_EXPLICIT_INVAL_DATA
            | InitFlags::FUSE_MAX_PAGES;
        let offered = config.capabilities() & wanted;
        config
            .add_capabilities(offered)
            .map_err(|flags| io::Error::other(format!("{flags:?} not offered")))?;
        let answer = |flag| if offered.contains(flag) { Answer::NotNeeded } else { Answer::Keep };
        self.opening.file = answer(InitFlags::FUSE_NO_OPEN_SUPPORT);
        self.opening.dir = answer(InitFlags::FUSE_NO_OPENDIR_SUPPORT);
        // Each setter answers Err(nearest) where the kernel offered less than we ask: that is then what we take.
        for (set, value) in [
            (KernelConfig::set_max_write as fn(&mut KernelConfig, u32) -> Result<u32, u32>, MAX_REQUEST),
            (KernelConfig::set_max_readahead, MAX_REQUEST),
        ] {
            if let Err(nearest) = set(config, value) {
                set(config, nearest)
                    .map_err(|_| io::Error::other("the kernel's limits contradict themselves"))?;
            }
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.tree.counters.lookup.count();
        match self.tree.lookup(parent, name.as_bytes()) {
            Ok(Some(attr)) => reply.entry(&LIFETIME, &attr, GENERATION),
            Ok(None) => reply.entry(&LIFETIME, &NEGATIVE, GENERATION),
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.tree.counters.getattr.count();
        match self.tree.getattr(ino) {
            Ok(attr) => reply.attr(&LIFETIME, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        self.tree.counters.readlink.count();
        match self.tree.readlink(ino) {
            Ok(target) => reply.data(&target),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.tree.counters.other.count();
        match self.opening.file {
            Answer::NotNeeded => reply.error(Errno::ENOSYS),
            Answer::Keep => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
        }
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.tree.counters.other.count();
        match self.opening.dir {
            Answer::NotNeeded => reply.error(Errno::ENOSYS),
            Answer::Keep => {
                reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_CACHE_DIR);
            }
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        self.tree.counters.read.count();
        BUFFER.with_borrow_mut(|buffer| {
            let size = size.min(MAX_REQUEST) as usize;
            if buffer.len() < size {
                buffer.resize(size, 0);
            }
            match self.tree.read(ino, &mut buffer[..size], offset) {
                Ok(count) => reply.data(&buffer[..count]),
                Err(errno) => reply.error(errno),
            }
        });
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        self.tree.counters.readdir.count();
        match self.tree.listing(ino, place(offset)) {
            Ok(listing) => {
                for (next, (name, attr)) in (1..).zip(listing.iter()).skip(place(offset)) {
                    if reply.add(attr.ino, next, attr.kind, OsStr::from_bytes(name)) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn readdirplus(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        self.tree.counters.readdir.count();
        match self.tree.listing(ino, place(offset)) {
            Ok(listing) => {
                for (next, (name, attr)) in (1..).zip(listing.iter()).skip(place(offset)) {
                    if reply.add(attr.ino, next, OsStr::from_bytes(name), &LIFETIME, attr, GENERATION) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        self.tree.counters.getxattr.count();
        match self.side {
            Side::Bare => reply.error(Errno::ENOSYS),
            Side::Marked => reply_sized(self.tree.getxattr(ino, name.as_bytes()), size, reply),
        }
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        self.tree.counters.listxattr.count();
        match self.side {
            Side::Bare => reply_sized(Ok(Vec::new()), size, reply),
            Side::Marked => reply_sized(self.tree.listxattr(ino), size, reply),
        }
    }
}

/// Where in a listing a reading goes on.
fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// The answer "not there" that the kernel may keep: an entry with node id 0 (linux/fuse.h, `fuse_entry_out`).
const NEGATIVE: FileAttr = FileAttr { ino: INodeNo(0), ..super::tree::ROOT };

/// An attribute's value, or its length where the kernel gave no room (size 0).
fn reply_sized(value: Result<Vec<u8>, Errno>, size: u32, reply: ReplyXattr) {
    match value {
        Ok(value) if size == 0 => reply.size(u32::try_from(value.len()).unwrap_or(u32::MAX)),
        Ok(value) if value.len() > size as usize => reply.error(Errno::ERANGE),
        Ok(value) => reply.data(&value),
        Err(errno) => reply.error(errno),
    }
}
