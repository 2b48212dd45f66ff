//! Materialise: the stack as files in a directory.
//!
//! Nobody else writes there, and no directory has its final mode before all is made, so names are resolved as they are
//! written: beneath the tree's root, through directories alone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, XattrFlags, chmodat,
    chownat, fchmod, fchown, fsetxattr, futimens, linkat, makedev, mkdirat, mknodat, openat, openat2,
    symlinkat, utimensat,
};
use rustix::io::Errno;

use super::bytes;
use super::ids::Ids;
use crate::layer::{Ino, Inode, Kind, Timestamp, Xattrs};
use crate::rootfs::{Error, Named as _, Node, Stack, is_carried};

/// The attributes that the file system does not take, by [`Stack::file_id`].
pub(super) type Refused = HashMap<(usize, Ino), Xattrs>;

/// Makes the directory `tree` and in it all that `stack` holds.
pub(super) fn materialise(stack: &Stack, tree: &Path) -> Result<Refused, Error> {
    std::fs::create_dir(tree).named("mkdir", tree)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = rustix::fs::open(tree, flags, Mode::empty()).named("open", tree)?;
    // A default ACL of the directory around would be handed down to everything.
    match rustix::fs::fremovexattr(&top, "system.posix_acl_default") {
        Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
        removed => removed.named("removexattr", tree)?,
    }
    let maker = Maker { stack, tree, top, ids: Ids::here()?, refused: Mutex::default() };
    let plan = maker.make_directories()?;
    in_parallel(&plan.directories, |directory| maker.fill(directory))?;
    maker.link(&plan.links)?;
    in_parallel(&plan.directories, |directory| maker.finish(directory))?;
    Ok(maker.refused.into_inner().expect("no thread has panicked"))
}

struct Maker<'a> {
    stack: &'a Stack,
    tree: &'a Path,
    top: OwnedFd,
    ids: Ids,
    refused: Mutex<Refused>,
}

#[derive(Default)]
struct Plan {
    directories: Vec<Directory>,
    /// Further names, each with the first.
    links: Vec<(Vec<u8>, Vec<u8>)>,
}

struct Directory {
    path: Vec<u8>,
    node: Node,
    /// What it holds, but for directories and further names.
    files: Vec<(Vec<u8>, Node)>,
}

impl Maker<'_> {
    /// Makes every directory, and notes what is to be made in it.
    fn make_directories(&self) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        let mut first_names = HashMap::<_, Vec<u8>>::new();
        let mut pending = vec![(Vec::new(), self.stack.root())];
        while let Some((path, node)) = pending.pop() {
            let mut files = Vec::new();
            for (name, child) in self.stack.read_dir(&node) {
                let below = if path.is_empty() { name.clone() } else { [&path, &b"/"[..], &name].concat() };
                if self.stack.is_dir(&child) {
                    mkdirat(&self.top, &below, Mode::RWXU).named("mkdir", self.host_path(&below))?;
                    pending.push((below, child));
                    continue;
                }
                match first_names.entry(self.stack.file_id(&child)) {
                    Entry::Occupied(first) => plan.links.push((below, first.get().clone())),
                    Entry::Vacant(place) => {
                        place.insert(below);
                        files.push((name, child));
                    }
                }
            }
            plan.directories.push(Directory { path, node, files });
        }
        Ok(plan)
    }

    fn fill(&self, directory: &Directory) -> Result<(), Error> {
        if directory.files.is_empty() {
            return Ok(());
        }
        let dir = self.open(&directory.path)?;
        for (name, node) in &directory.files {
            self.make(dir.as_fd(), name, node)
                .named("create", self.host_path(&directory.path).join(OsStr::from_bytes(name)))?;
        }
        Ok(())
    }

    fn make(&self, dir: BorrowedFd<'_>, name: &[u8], node: &Node) -> io::Result<()> {
        let inode = self.stack.inode(node);
        let at = match inode.kind {
            Kind::File => {
                let file = create(dir, name)?;
                let (layer, ino) = self.stack.file_id(node);
                bytes::copy(&self.stack.layers()[layer], ino, &file)?;
                return Ok(self.dress(file.as_fd(), node, &inode)?);
            }
            Kind::Symlink(target) => {
                symlinkat(target, dir, name)?;
                return Ok(self.dress_at(dir, name, &inode, None)?);
            }
            Kind::Fifo => mknodat(dir, name, FileType::Fifo, Mode::RUSR, 0),
            Kind::Char { major, minor } => {
                mknodat(dir, name, FileType::CharacterDevice, Mode::RUSR, makedev(major, minor))
            }
            Kind::Block { major, minor } => {
                mknodat(dir, name, FileType::BlockDevice, Mode::RUSR, makedev(major, minor))
            }
            Kind::Directory | Kind::LinkBelow(_) => unreachable!("made before, and resolved by the stack"),
        };
        match at {
            // No user namespace may make a device.
            Err(Errno::PERM) => drop(create(dir, name)?),
            made => made?,
        }
        let mode = self.ids.mode(inode.mode, inode.uid, inode.gid);
        Ok(self.dress_at(dir, name, &inode, Some(mode))?)
    }

    fn link(&self, links: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Error> {
        links.iter().try_for_each(|(name, first)| {
            linkat(&self.top, first, &self.top, name, AtFlags::empty()).named("link", self.host_path(name))
        })
    }

    /// Gives a directory that is complete its attributes.
    fn finish(&self, directory: &Directory) -> Result<(), Error> {
        let dir = self.open(&directory.path)?;
        let inode = self.stack.inode(&directory.node);
        self.dress(dir.as_fd(), &directory.node, &inode).named("dress", self.host_path(&directory.path))
    }

    /// Gives what is open its attributes. chown(2) clears setuid bits and capabilities, and every change moves the
    /// modification time of nothing but a file's data: so owner, attributes, mode, time.
    fn dress(&self, file: BorrowedFd<'_>, node: &Node, inode: &Inode<'_>) -> Result<(), Errno> {
        let (uid, gid) = (self.ids.user(inode.uid), self.ids.group(inode.gid));
        fchown(file, uid, gid)?;
        if self.stack.has_xattrs(node) {
            self.set_xattrs(file, node)?;
        }
        fchmod(file, Mode::from_raw_mode(self.ids.mode(inode.mode, inode.uid, inode.gid)))?;
        futimens(file, &times(inode.mtime))
    }

    fn set_xattrs(&self, file: BorrowedFd<'_>, node: &Node) -> Result<(), Errno> {
        for (name, value) in self.stack.xattrs(node) {
            if !is_carried(&name) {
                continue;
            }
            match fsetxattr(file, name.as_slice(), &value, XattrFlags::empty()) {
                // The file system has none, or none so large; no capabilities for a user that has no place here.
                Err(Errno::OPNOTSUPP | Errno::NOSPC | Errno::TOOBIG | Errno::PERM | Errno::INVAL) => {
                    let mut refused = self.refused.lock().expect("no thread panics while holding it");
                    refused.entry(self.stack.file_id(node)).or_default().insert(name, value);
                }
                set => set?,
            }
        }
        Ok(())
    }

    /// Gives what cannot be opened its attributes. `mode`: none for a symlink, which has none.
    fn dress_at(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        inode: &Inode<'_>,
        mode: Option<u32>,
    ) -> Result<(), Errno> {
        let (uid, gid) = (self.ids.user(inode.uid), self.ids.group(inode.gid));
        chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        if let Some(mode) = mode {
            chmodat(dir, name, Mode::from_raw_mode(mode), AtFlags::empty())?;
        }
        utimensat(dir, name, &times(inode.mtime), AtFlags::SYMLINK_NOFOLLOW)
    }

    fn open(&self, path: &[u8]) -> Result<OwnedFd, Error> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(&self.top, path, flags, Mode::empty(), confined).named("open", self.host_path(path))
    }

    fn host_path(&self, path: &[u8]) -> PathBuf {
        self.tree.join(OsStr::from_bytes(path))
    }
}

fn create(dir: BorrowedFd<'_>, name: &[u8]) -> Result<File, Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
}

fn times(mtime: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.secs, tv_nsec: mtime.nanos.into() },
    }
}

/// Does `work` for every item, on all processors. Returns the first error.
fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<(), Error> + Sync) -> Result<(), Error> {
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item).inspect_err(|_| next.store(items.len(), Ordering::Relaxed))?;
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for helper in helpers {
            done = done.and(helper.join().expect("a worker returns its error"));
        }
        done
    })
}
