//! What a layer has to say: the difference between the tree and the stack, found without reading any bytes.
//!
//! A directory that lies where the stack has it is compared name by name, and only names that somebody touched are
//! looked at. It is written if its attributes changed or something in it is written (as other builders do). Any other directory is new as a whole: everything in it is written, and where it hides a directory of
//! the stack it is opaque. All names of a file that is written at all are written, so that one inode stays one inode.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::Errno;
use super::below::carried;
use super::tree::{Data, Id, Inode, Kind, ROOT, Tree};
use crate::rootfs::{Error, Named, Node};

/// One line of the plan. Paths are relative to the root, without a leading slash.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    pub path: Vec<u8>,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Inode(Id),
    /// A directory that hides what the stack has at its place.
    Opaque(Id),
    Whiteout,
}

/// Directories nested deeper than this path is long, in bytes, are not walked: the paths' sum grows with its square.
const LONGEST: usize = 16 << 10;

/// A directory on the way.
struct Visited {
    above: Option<usize>,
    id: Id,
    path: Vec<u8>,
    opaque: bool,
    written: bool,
}

/// A directory to be visited, and what the stack has at its place.
struct Pending {
    above: Option<usize>,
    id: Id,
    path: Vec<u8>,
    below: Option<Node>,
}

#[derive(Default)]
struct Walk {
    visited: Vec<Visited>,
    changes: Vec<Change>,
    /// Names of non-directories with more than one: (in which visited directory, path, to be written).
    linked: HashMap<Id, Vec<(usize, Vec<u8>, bool)>>,
}

impl Tree {
    /// All changes, parents before what is in them, names sorted within a directory.
    pub fn changes(&mut self) -> Result<Vec<Change>, Error> {
        let mut walk = self.walk()?;
        if self.misses_names(&walk) {
            self.complete_all().map_err(io::Error::from)?;
            walk = self.walk()?;
        }
        self.looks_at_links(&walk).map_err(io::Error::from)?;
        walk.write_all_links();
        let directories = walk.visited.into_iter().filter(|visited| visited.written).map(|visited| Change {
            path: visited.path,
            what: if visited.opaque { What::Opaque(visited.id) } else { What::Inode(visited.id) },
        });
        let mut changes: Vec<Change> = directories.chain(walk.changes).collect();
        // As if '/' sorted before everything else: a directory's content follows it before `directory.d` does.
        changes.sort_by(|one, other| components(&one.path).cmp(components(&other.path)));
        Ok(changes)
    }

    fn walk(&mut self) -> Result<Walk, Error> {
        let mut walk = Walk::default();
        let root = self.stack.root();
        let mut pending = vec![Pending { above: None, id: ROOT, path: Vec::new(), below: Some(root) }];
        while let Some(next) = pending.pop() {
            if next.path.len() > LONGEST {
                return Err(Errno::NAMETOOLONG).named("freeze", OsStr::from_bytes(&next.path));
            }
            self.visit(&mut walk, next, &mut pending).map_err(io::Error::from)?;
        }
        Ok(walk)
    }

    fn visit(&mut self, walk: &mut Walk, next: Pending, pending: &mut Vec<Pending>) -> Result<(), Errno> {
        let Pending { above, id, path, below } = next;
        let merged = below.is_some() && self.inode(id)?.below == below;
        let opaque = !merged && below.as_ref().is_some_and(|node| self.stack.is_dir(node));
        if !merged {
            self.complete(id)?;
            self.takes(id)?;
        }
        let written = !merged || self.directory_differs(id)?;
        let index = walk.visited.len();
        walk.visited.push(Visited { above, id, path, opaque, written: written && id == ROOT });
        if written {
            walk.mark(index);
        }
        let lower = if merged { below } else { None };
        self.walk_names(walk, index, lower.as_ref(), pending)
    }

    fn walk_names(
        &self,
        walk: &mut Walk,
        index: usize,
        lower: Option<&Node>,
        pending: &mut Vec<Pending>,
    ) -> Result<(), Errno> {
        let directory = self.directory(walk.visited[index].id)?;
        for (name, child) in directory.entries() {
            let path = join(&walk.visited[index].path, name);
            let node = lower.and_then(|lower| self.stack.child(lower, name));
            let inode = self.inode(child)?;
            if matches!(inode.kind, Kind::Directory(_)) {
                pending.push(Pending { above: Some(index), id: child, path, below: node });
                continue;
            }
            // No layer has a word for a socket; what it took the place of is gone all the same.
            if matches!(inode.kind, Kind::Socket) {
                if node.is_some() {
                    walk.write(index, path, What::Whiteout);
                }
                continue;
            }
            let write = !self.lies_as_below(inode, node.as_ref()) || self.differs(child)?;
            if inode.nlink > 1 || write && inode.below.is_some() {
                walk.linked.entry(child).or_default().push((index, path, write));
            } else if write {
                walk.write(index, path, What::Inode(child));
            }
        }
        if lower.is_some() {
            for name in directory.gone.iter().filter(|name| directory.find(name).is_none()) {
                walk.write(index, join(&walk.visited[index].path, name), What::Whiteout);
            }
        }
        Ok(())
    }

    /// All that the stack has in directory `id` goes into the layer.
    fn takes(&self, id: Id) -> Result<(), Errno> {
        if let (Some(trace), Some(below)) = (&self.trace, &self.inode(id)?.below) {
            trace.took(below);
        }
        Ok(())
    }

    /// Files that are written are written under all their names, which may only have been listed.
    fn looks_at_links(&self, walk: &Walk) -> Result<(), Errno> {
        let Some(trace) = &self.trace else { return Ok(()) };
        for names in walk.linked.values().filter(|names| names.iter().any(|(_, _, write)| *write)) {
            for (index, path, _) in names {
                if let Some(below) = &self.inode(walk.visited[*index].id)?.below {
                    trace.looked(below, components(path).next_back().unwrap_or_default());
                }
            }
        }
        Ok(())
    }

    /// Whether a file that must be written has names that nobody has looked up.
    fn misses_names(&self, walk: &Walk) -> bool {
        walk.linked.iter().any(|(id, names)| {
            let written = names.iter().any(|(_, _, write)| *write);
            let expected = self.inode(*id).map_or(0, |inode| inode.nlink as usize);
            written && expected > names.len()
        })
    }

    /// Whether a non-directory is, at this place, the stack's own file with the stack's bytes.
    fn lies_as_below(&self, inode: &Inode, place: Option<&Node>) -> bool {
        let same_file = match (&inode.below, place) {
            (Some(below), Some(place)) if !self.stack.is_dir(place) => {
                self.stack.file_id(below) == self.stack.file_id(place)
            }
            _ => false,
        };
        same_file && !matches!(inode.kind, Kind::File(Data::Memory(_) | Data::Backed { .. }))
    }

    /// Whether attributes that a layer records are other than the stack's.
    fn differs(&self, id: Id) -> Result<bool, Errno> {
        let inode = self.inode(id)?;
        let Some(node) = &inode.below else { return Ok(true) };
        Ok(self.differs_but_in_time(inode, node) || self.stack.inode(node).mtime != inode.mtime)
    }

    /// The same for a directory. The root's time changes with every name made at the top: no builder writes that.
    fn directory_differs(&self, id: Id) -> Result<bool, Errno> {
        let inode = self.inode(id)?;
        match &inode.below {
            Some(node) if id == ROOT || self.directory(id)?.held_stubs => {
                Ok(self.differs_but_in_time(inode, node))
            }
            _ => self.differs(id),
        }
    }

    fn differs_but_in_time(&self, inode: &Inode, node: &Node) -> bool {
        let below = self.stack.inode(node);
        (below.mode & 0o7777, below.uid, below.gid) != (inode.mode, inode.uid, inode.gid)
            || inode
                .xattrs
                .as_ref()
                .is_some_and(|xattrs| carried(xattrs.clone()) != carried(self.stack.xattrs(node)))
    }

    /// Takes the stub at `path` out again, unless the step used it: a file it wrote to, a directory it put something
    /// in, a name the stack has. That the parent's time changed then says nothing.
    pub fn drop_stub(&mut self, path: &[u8]) -> Result<(), Errno> {
        let mut names: Vec<&[u8]> =
            path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
        let Some(last) = names.pop() else { return Ok(()) };
        let mut parent = ROOT;
        for name in names {
            match self.child(parent, name)? {
                Some(id) if matches!(self.inode(id)?.kind, Kind::Directory(_)) => parent = id,
                _ => return Ok(()),
            }
        }
        let Some(stub) = self.child(parent, last)? else { return Ok(()) };
        if self.inode(stub)?.is_unused() {
            self.hide(parent, last)?;
            self.directory_mut(parent)?.held_stubs = true;
        }
        Ok(())
    }
}

impl Inode {
    fn is_unused(&self) -> bool {
        self.below.is_none()
            && self.nlink == 1
            && match &self.kind {
                Kind::Directory(directory) => directory.is_empty(),
                Kind::File(data) => data.size() == 0,
                _ => false,
            }
    }
}

impl Walk {
    /// Notes that visited directory `index` must be written, and with it all above it but the root: of that only its
    /// own attributes are a change.
    fn mark(&mut self, index: usize) {
        let mut next = Some(index);
        while let Some(at) = next.filter(|at| !self.visited[*at].written) {
            next = self.visited[at].above;
            self.visited[at].written = next.is_some();
        }
    }

    fn write(&mut self, index: usize, path: Vec<u8>, what: What) {
        self.mark(index);
        self.changes.push(Change { path, what });
    }

    fn write_all_links(&mut self) {
        for (id, names) in std::mem::take(&mut self.linked) {
            if names.iter().any(|(_, _, write)| *write) {
                for (index, path, _) in names {
                    self.write(index, path, What::Inode(id));
                }
            }
        }
    }
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}
