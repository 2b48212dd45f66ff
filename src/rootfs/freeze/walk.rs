//! The walk over what a step left, and what of it is written.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

use super::descent::Descent;
use super::entry::{self, Body, Entry};
use super::ignore::Ignore;
use crate::layer::{Content, LayerWriter, Metadata};
use crate::rootfs::{Error, Named as _, Node, Stack, is_carried};

/// Tells what a step changed.
pub(in crate::rootfs) trait Source {
    /// The attributes of the directory itself.
    fn top(&self, dir: BorrowedFd<'_>) -> io::Result<Metadata> {
        entry::metadata_of(dir)
    }
    /// The names in the current directory that may be a change, sorted. `below`: the stack's directory there.
    fn names(&self, here: &Descent, below: Option<&Node>) -> io::Result<Vec<CString>>;
    /// What became of `name`. `below`: what the stack has there.
    fn read(&self, dir: BorrowedFd<'_>, name: &CStr, below: Option<&Node>) -> io::Result<Said>;
}

/// What became of a name.
pub(in crate::rootfs) enum Said {
    /// Nothing: it is what the stack has.
    Unchanged,
    /// It is gone.
    Whiteout,
    /// It is this. A directory adds to the stack's.
    Is(Entry),
    /// It is this directory, and nothing that the stack has in it is there.
    Opaque(Entry),
}

/// Writes what `source` says that the directory `top` changes of `stack`. `root`: its attributes before the step.
pub(in crate::rootfs) fn write(
    source: &dyn Source,
    top: &Path,
    root: &Metadata,
    stack: &Stack,
    ignore: &Ignore,
    layer: &mut LayerWriter,
) -> Result<(), Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = open(top, flags, Mode::empty()).named("open", top)?;
    let meta = source.top(opened.as_fd()).named("read", top)?;
    let descent = Descent::new(opened).named("read", top)?;
    let mut walk = Walk {
        source,
        top,
        stack,
        ignore,
        layer,
        descent,
        path: Vec::new(),
        frames: Vec::new(),
        links: HashMap::new(),
    };
    let change = Change::between(root, &meta);
    walk.push(Some(stack.root()), meta, change)?;
    walk.run()
}

struct Walk<'a> {
    source: &'a dyn Source,
    top: &'a Path,
    stack: &'a Stack,
    ignore: &'a Ignore,
    layer: &'a mut LayerWriter,
    descent: Descent,
    /// The current directory's path in the root, then the entry's that is looked at.
    path: Vec<u8>,
    /// The directories from the root to the current one.
    frames: Vec<Frame>,
    /// Where the first name of a file with several was written.
    links: HashMap<(u64, u64), Vec<u8>>,
}

/// A directory on the way.
struct Frame {
    /// Its path's length.
    path: usize,
    /// What the stack has there, if that is visible and a directory.
    below: Option<Node>,
    /// Its entry, while that is not written.
    unwritten: Option<Metadata>,
    change: Change,
    /// A stub was left out of it.
    stubs: bool,
    /// What it holds, still to be visited, last first.
    names: Vec<CString>,
}

/// Whether what the stack has in a directory is still there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    Shown,
    Hidden,
}

/// How a directory differs from what the step found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    /// Only in its time of modification, which a stub made in it changes too.
    Time,
    Attributes,
    /// There was none. A stub if it stays empty.
    Stub,
}

impl Change {
    fn between(before: &Metadata, after: &Metadata) -> Self {
        let untimed = Metadata { mtime: before.mtime, ..after.clone() };
        match () {
            () if untimed != *before => Self::Attributes,
            () if after.mtime != before.mtime => Self::Time,
            () => Self::None,
        }
    }
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), Error> {
        while let Some(frame) = self.frames.last_mut() {
            self.path.truncate(frame.path);
            match frame.names.pop() {
                Some(name) => self.visit(&name)?,
                None => self.leave()?,
            }
        }
        Ok(())
    }

    fn visit(&mut self, name: &CString) -> Result<(), Error> {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name.to_bytes());
        let below = self.below(name);
        let said = self.source.read(self.descent.here(), name, below.as_ref());
        match said.named("freeze", self.host_path())? {
            Said::Unchanged => Ok(()),
            Said::Whiteout if below.is_none() => Ok(()),
            Said::Whiteout => {
                self.write_parents()?;
                Ok(self.layer.whiteout(&self.path)?)
            }
            Said::Is(Entry { meta, body: Body::Directory(_), .. }) => {
                self.enter(name, meta, Below::Shown, below)
            }
            Said::Opaque(entry) => self.enter(name, entry.meta, Below::Hidden, below),
            Said::Is(entry) => self.append(entry, below.as_ref()),
        }
    }

    /// What the stack has under `name` in the current directory.
    fn below(&self, name: &CString) -> Option<Node> {
        let dir = self.frames.last()?.below.as_ref()?;
        self.stack.child(dir, name.to_bytes())
    }

    fn enter(
        &mut self,
        name: &CString,
        meta: Metadata,
        shown: Below,
        below: Option<Node>,
    ) -> Result<(), Error> {
        self.descent.enter(name).named("open", self.host_path())?;
        let below = below.filter(|node| self.stack.is_dir(node));
        if let Some(node) = below.as_ref().filter(|_| shown == Below::Shown) {
            let change = Change::between(&metadata_in(self.stack, node), &meta);
            return self.push(below, meta, change);
        }
        if below.is_none() && self.ignore.contains(&self.path) {
            return self.push(None, meta, Change::Stub);
        }
        self.push(None, meta, Change::Attributes)?;
        if below.is_some() {
            self.layer.opaque(&self.path)?;
        }
        Ok(())
    }

    /// Begins with the directory at `path`. Its entry is written at once if it must be, else when something below is.
    fn push(&mut self, below: Option<Node>, meta: Metadata, change: Change) -> Result<(), Error> {
        let mut names = self.source.names(&self.descent, below.as_ref()).named("read", self.host_path())?;
        names.reverse();
        let path = self.path.len();
        self.frames.push(Frame { path, below, unwritten: Some(meta), change, stubs: false, names });
        if change == Change::Attributes { self.write_parents() } else { Ok(()) }
    }

    fn leave(&mut self) -> Result<(), Error> {
        let Some(frame) = self.frames.last() else { return Ok(()) };
        let is_root = frame.path == 0;
        match frame.change {
            Change::Stub if frame.unwritten.is_some() => {
                self.frames.pop();
                self.leave_out();
            }
            // Every name made or removed at the top changes the root's time: it would be in every layer, and no other
            // builder writes it.
            Change::Time if !frame.stubs && !is_root => {
                self.write_parents()?;
                self.frames.pop();
            }
            _ => drop(self.frames.pop()),
        }
        if is_root { Ok(()) } else { self.descent.leave().named("open the parent of", self.host_path()) }
    }

    /// A stub is left out of the current directory.
    fn leave_out(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.stubs = true;
        }
    }

    fn append(&mut self, entry: Entry, below: Option<&Node>) -> Result<(), Error> {
        let Entry { meta, identity, body } = entry;
        let (mut data, text);
        let content = match body {
            Body::File { size: 0, .. } if below.is_none() && self.ignore.contains(&self.path) => {
                self.leave_out();
                return Ok(());
            }
            Body::Socket if below.is_some() => {
                self.write_parents()?;
                return Ok(self.layer.whiteout(&self.path)?);
            }
            Body::Socket => return Ok(()),
            Body::Directory(_) => Content::Directory,
            Body::File { file, size } => {
                data = File::from(file);
                Content::File { size, data: &mut data }
            }
            Body::Symlink(target) => {
                text = target;
                Content::Symlink(&text)
            }
            Body::Char { major, minor } => Content::Char { major, minor },
            Body::Block { major, minor } => Content::Block { major, minor },
            Body::Fifo => Content::Fifo,
        };
        self.write_parents()?;
        let Some(identity) = identity else { return Ok(self.layer.append(&self.path, &meta, content)?) };
        if let Some(first) = self.links.get(&identity) {
            return Ok(self.layer.append(&self.path, &meta, Content::Hardlink(first))?);
        }
        self.layer.append(&self.path, &meta, content)?;
        self.links.insert(identity, self.path.clone());
        Ok(())
    }

    /// Writes the entries of all directories on the way that are not written yet; of the root's only its attributes
    /// are a change.
    fn write_parents(&mut self) -> Result<(), Error> {
        for frame in &mut self.frames {
            if frame.path == 0 && frame.change != Change::Attributes {
                continue;
            }
            if let Some(meta) = frame.unwritten.take() {
                self.layer.append(&self.path[..frame.path], &meta, Content::Directory)?;
            }
        }
        Ok(())
    }

    /// The entry's path, for messages.
    fn host_path(&self) -> PathBuf {
        self.top.join(OsStr::from_bytes(&self.path))
    }
}

/// The attributes of `node`, as a step sees them.
pub(in crate::rootfs) fn metadata_in(stack: &Stack, node: &Node) -> Metadata {
    let inode = stack.inode(node);
    let mut xattrs = stack.xattrs(node);
    xattrs.retain(|name, _| is_carried(name));
    Metadata { mode: inode.mode & 0o7777, uid: inode.uid, gid: inode.gid, mtime: inode.mtime, xattrs }
}
