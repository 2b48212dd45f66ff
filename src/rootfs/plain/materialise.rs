//! Materialise: the stack as files in a directory.
//!
//! A tree that a step has used is put right for the next: everything that is not surely what was made before goes, and is
//! made anew, so that nothing a step left can reach another but by its layer. An image of one layer more costs what that
//! layer holds.
//!
//! Nobody else writes there meanwhile. Names are resolved beneath the tree's root, through directories alone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, XattrFlags,
    chmodat, chownat, fchmod, fchown, fsetxattr, futimens, linkat, makedev, mkdirat, mknodat, openat,
    openat2, setxattr, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::baseline::{Baseline, Stamp};
use super::bytes;
use super::ids::Ids;
use crate::layer::{Ino, Inode, Kind, Timestamp, Xattrs};
use crate::rootfs::{Error, Named as _, Node, Stack, freeze, is_carried};

/// The attributes that the file system does not take, by [`Stack::file_id`].
pub(super) type Refused = HashMap<(usize, Ino), Xattrs>;

/// A tree that a step has worked on.
pub(super) struct Used<'a> {
    /// What it was when the step began.
    pub baseline: &'a Baseline,
    /// How many of the lowest layers it was made of are the new stack's, too.
    pub shared: usize,
}

/// What is made in the place of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StandIn {
    /// A regular file.
    EmptyFile,
    /// A character device 0:0, which any user may make (`vfs_mknod` in Linux since 5.8) and nobody can open. Where it cannot
    /// be made, an empty file.
    Whiteout,
}

/// Makes the directory `tree` and in it all that `stack` holds, and nothing else. Of one that was `used`, what is still
/// as it was made stays.
pub(super) fn materialise(
    stack: &Stack,
    tree: &Path,
    stand_in: StandIn,
    used: Option<Used<'_>>,
) -> Result<Refused, Error> {
    if used.is_none() {
        std::fs::create_dir(tree).named("mkdir", tree)?;
    }
    let top = rustix::fs::open(tree, DIRECTORY, Mode::empty()).named("open", tree)?;
    if used.is_none() {
        // A default ACL of the directory around would be handed down to everything.
        strip(&top).named("removexattr", tree)?;
    }
    let maker = Maker { stack, tree, top, used, stand_in, ids: Ids::here()?, refused: Mutex::default() };
    let plan = maker.make_directories()?;
    in_parallel(&plan.directories, |directory| maker.fill(directory))?;
    maker.link(&plan.links)?;
    in_parallel(&plan.directories, |directory| maker.finish(directory))?;
    Ok(maker.refused.into_inner().expect("no thread has panicked"))
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

struct Maker<'a> {
    stack: &'a Stack,
    tree: &'a Path,
    top: OwnedFd,
    used: Option<Used<'a>>,
    stand_in: StandIn,
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
    state: State,
    /// What is to be made in it, but for directories and further names.
    files: Vec<(Vec<u8>, Node)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// As it should be.
    Kept,
    /// A step or we have changed it.
    Changed,
    New,
}

/// The first name of a file.
struct First {
    path: Vec<u8>,
    /// It is there, and stays.
    kept: bool,
}

impl Maker<'_> {
    /// Makes every directory that is not there, removes what does not belong there, and notes what is to be made.
    fn make_directories(&self) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        let mut firsts = HashMap::new();
        let root = if self.used.is_some() { State::Changed } else { State::New };
        let mut pending = vec![(Vec::new(), self.stack.root(), root)];
        while let Some((path, node, state)) = pending.pop() {
            let mut directory = Directory { path, node, state, files: Vec::new() };
            self.compare(&mut directory, &mut plan.links, &mut firsts, &mut pending)
                .named("make", self.host_path(&directory.path))?;
            plan.directories.push(directory);
        }
        Ok(plan)
    }

    fn compare(
        &self,
        directory: &mut Directory,
        links: &mut Vec<(Vec<u8>, Vec<u8>)>,
        firsts: &mut HashMap<(usize, Ino), First>,
        pending: &mut Vec<(Vec<u8>, Node, State)>,
    ) -> io::Result<()> {
        let mut there = There::default();
        if directory.state != State::New {
            let dir = self.open(&directory.path)?;
            // What is made in it would inherit a default ACL; its own attributes come at the end.
            if directory.state == State::Changed || self.stack.has_xattrs(&directory.node) {
                directory.state = State::Changed;
                strip(&dir)?;
            }
            there = There::look(dir)?;
        }
        for (name, child) in self.stack.read_dir(&directory.node) {
            let path = match &directory.path[..] {
                [] => name.clone(),
                parent => [parent, b"/", &name].concat(),
            };
            let found = there.stamps.remove(&name[..]);
            if self.stack.is_dir(&child) {
                let state = match found {
                    Some(stamp) if stamp.kind == FileType::Directory => self.state(&child, &stamp),
                    _ => {
                        there.remove(&name, found)?;
                        mkdirat(&self.top, &path, Mode::RWXU)?;
                        directory.state = directory.state.and_changed();
                        State::New
                    }
                };
                pending.push((path, child, state));
                continue;
            }
            let id = self.stack.file_id(&child);
            let kept = found.is_some_and(|stamp| self.state(&child, &stamp) == State::Kept);
            if kept && firsts.get(&id).is_none_or(|first| first.kept) {
                firsts.insert(id, First { path, kept });
                continue;
            }
            there.remove(&name, found)?;
            directory.state = directory.state.and_changed();
            match firsts.entry(id) {
                Entry::Occupied(first) => links.push((path, first.get().path.clone())),
                Entry::Vacant(place) => {
                    place.insert(First { path, kept: false });
                    directory.files.push((name, child));
                }
            }
        }
        for (name, stamp) in std::mem::take(&mut there.stamps) {
            there.remove(&name, Some(stamp))?;
            directory.state = directory.state.and_changed();
        }
        Ok(())
    }

    /// Whether what is there is what was made of `node` before, and nothing has happened to it.
    fn state(&self, node: &Node, stamp: &Stamp) -> State {
        let id = self.stack.file_id(node);
        let is_kept = self.used.as_ref().is_some_and(|used| {
            let row = used.baseline.row(stamp).filter(|row| row.id == id && id.0 < used.shared);
            row.is_some_and(|row| used.baseline.is_untouched(row, stamp))
        });
        if is_kept { State::Kept } else { State::Changed }
    }

    fn fill(&self, directory: &Directory) -> Result<(), Error> {
        if directory.files.is_empty() {
            return Ok(());
        }
        let dir = self.open(&directory.path).named("open", self.host_path(&directory.path))?;
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
            Err(Errno::PERM) => self.stand_in.make(dir, name)?,
            made => made?,
        }
        let mode = self.ids.mode(inode.mode, inode.uid, inode.gid);
        self.dress_at(dir, name, &inode, Some(mode))?;
        if self.stack.has_xattrs(node) {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = openat(dir, name, flags, Mode::empty())?;
            let path = freeze::by_descriptor(made.as_fd());
            self.set_xattrs(node, |name, value| setxattr(&path, name, value, XattrFlags::empty()))?;
        }
        Ok(())
    }

    fn link(&self, links: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Error> {
        links.iter().try_for_each(|(name, first)| {
            linkat(&self.top, first, &self.top, name, AtFlags::empty()).named("link", self.host_path(name))
        })
    }

    /// Gives a directory that is complete its attributes.
    fn finish(&self, directory: &Directory) -> Result<(), Error> {
        if directory.state == State::Kept {
            return Ok(());
        }
        let dir = self.open(&directory.path).named("open", self.host_path(&directory.path))?;
        let inode = self.stack.inode(&directory.node);
        self.dress(dir.as_fd(), &directory.node, &inode).named("dress", self.host_path(&directory.path))
    }

    /// Gives what is open its attributes. chown(2) clears setuid bits and capabilities, and every change moves the
    /// modification time of nothing but a file's data: so owner, attributes, mode, time.
    fn dress(&self, file: BorrowedFd<'_>, node: &Node, inode: &Inode<'_>) -> Result<(), Errno> {
        let (uid, gid) = (self.ids.user(inode.uid), self.ids.group(inode.gid));
        fchown(file, uid, gid)?;
        if self.stack.has_xattrs(node) {
            self.set_xattrs(node, |name, value| fsetxattr(file, name, value, XattrFlags::empty()))?;
        }
        fchmod(file, Mode::from_raw_mode(self.ids.mode(inode.mode, inode.uid, inode.gid)))?;
        futimens(file, &times(inode.mtime))
    }

    fn set_xattrs(&self, node: &Node, set: impl Fn(&[u8], &[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        for (name, value) in self.stack.xattrs(node) {
            if !is_carried(&name) {
                continue;
            }
            match set(&name, &value) {
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

    fn open(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(&self.top, path, DIRECTORY, Mode::empty(), confined)
    }

    fn host_path(&self, path: &[u8]) -> PathBuf {
        self.tree.join(OsStr::from_bytes(path))
    }
}

impl StandIn {
    fn make(self, dir: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        let empty = || create(dir, name).map(drop);
        match self {
            Self::EmptyFile => empty(),
            Self::Whiteout => match mknodat(dir, name, FileType::CharacterDevice, Mode::RUSR, 0) {
                // overlayfs keeps it for itself; an older kernel
                Err(Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP) => empty(),
                made => made,
            },
        }
    }
}

impl State {
    fn and_changed(self) -> Self {
        if self == Self::New { self } else { Self::Changed }
    }
}

/// What is in a directory.
#[derive(Default)]
struct There {
    /// None for one that was just made.
    dir: Option<OwnedFd>,
    stamps: HashMap<Vec<u8>, Stamp>,
}

impl There {
    fn look(dir: OwnedFd) -> io::Result<Self> {
        let mut stamps = HashMap::new();
        for row in Dir::read_from(&dir)? {
            let row = row?;
            let name = row.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                stamps.insert(name.to_bytes().to_vec(), Stamp::at(dir.as_fd(), name)?);
            }
        }
        Ok(Self { dir: Some(dir), stamps })
    }

    fn remove(&self, name: &[u8], found: Option<Stamp>) -> io::Result<()> {
        match (&self.dir, found) {
            (Some(dir), Some(_)) => freeze::remove_at(dir.as_fd(), &CString::new(name)?),
            _ => Ok(()),
        }
    }
}

/// Takes away the attributes that a step can set.
fn strip(dir: impl AsFd) -> io::Result<()> {
    let dir = dir.as_fd();
    for name in freeze::xattr_names(dir)? {
        let bytes = name.to_bytes();
        if bytes.starts_with(b"user.") || bytes.starts_with(b"system.posix_acl_") {
            rustix::fs::fremovexattr(dir, &name)?;
        }
    }
    Ok(())
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
