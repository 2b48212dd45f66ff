//! What a step looks at, so that its result can be used again where all of that is the same.
//!
//! A [`Trace`] is kept by the servers of a step's root while it runs. It holds [`Glance`]s: every name of the stack
//! that was looked up, there or not, every directory that was listed, every file whose bytes were read. An [`Eye`] says
//! what such a glance meets on any stack, in process and without a mount. If each of them meets the same on
//! another stack, a deterministic command does the same there, and its layer is the one that is here already.
//!
//! # What counts
//! A step asks the kernel, the kernel asks us, and keeps the answers. So the first question is seen, and only where the
//! kernel knows nothing yet: a traced step has superblocks of its own. What a request may have told is taken as seen
//! whole:
//!
//! | request | glance | what must be the same elsewhere |
//! |---|---|---|
//! | LOOKUP and what implies one (create, unlink, rename, link) | a name | that nothing is there; or all that is told of it: type, mode, owner, size, occupied blocks, device, link target, time of modification, extended attributes, number of names, and which of the other glances meet the same file |
//! | GETATTR, READLINK, GETXATTR, LISTXATTR | none | they follow a LOOKUP, which counted all of that |
//! | READDIR | a listing | every name and its type. READDIRPLUS, which would tell the attributes of all, is not offered |
//! | READ, LSEEK, a copy-up that keeps bytes | bytes | all bytes of the file and where its holes are |
//!
//! READ also stands for what is executed and mapped. A truncation to nothing keeps no bytes, so it reads none.
//!
//! # Why the layer is the same
//! A layer is the difference between the step's tree and its stack, so the stack's part in that must be seen as well as
//! what the command saw:
//! - an entry whose attributes or bytes come from below (`chmod`, a partial write, a directory on the way to something
//!   new) comes from a name that was looked up; the bytes are read when the layer is written, or at the copy-up;
//! - a whiteout stands for a name that was looked up, an opaque directory for one that was found empty, by a listing;
//! - a directory of the stack that was moved is written as a whole: at the freeze it counts as read to the last byte;
//! - `kernel` leaves out what was copied up and is as below after all: what it compares counts as read;
//! - a file with several names is written under all of them. Where one of these was never looked up, the whole stack
//!   has to be searched for it, and the trace is given up ([`Lost::Links`]).
//!
//! # What does not count
//! Numbers of inodes and devices, the order of a listing, times of access and the free space are the server's own, and
//! differ from one run to the next over the same stack too. Everything that does not come from the root (arguments,
//! environment, identity, mounts, network) is the business of whoever keeps the trace.
//!
//! `plain` shows files of the host, and nobody hears what is read of them: [`Lost::Plain`].

mod eye;
mod glance;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Node, Stack};
use crate::layer::{Ino, Layer};
use crate::oci::DiffId;

pub use eye::{Eye, Origin};
pub use glance::{Depth, Glance, decode, encode};

/// The most names that one trace holds, ...
pub const MAX_NAMES: usize = 1 << 17;
/// ... and the most bytes of their paths together.
pub const MAX_PATHS: usize = 16 << 20;

/// What the kernel is told when it asks for a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listings {
    /// The attributes of all that is in it too: that spares looking each of them up.
    Full,
    /// Names and types: who lists a directory has not yet looked at what is in it.
    Names,
}

impl Listings {
    pub(super) fn of(trace: Option<&Arc<Trace>>) -> Self {
        if trace.is_some() { Self::Names } else { Self::Full }
    }
}

/// Why a trace cannot tell all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "lowercase")]
pub enum Lost {
    /// The driver does not hear of it.
    #[error("the plain root file system driver does not see what a step looks at")]
    Plain,
    /// More names than a record holds.
    #[error("it looked at more than {MAX_NAMES} names, or {MAX_PATHS} bytes of them")]
    Names,
    /// A directory was looked into by no name.
    #[error("it looked into a directory that it had not looked up")]
    Place,
    /// See the essay of this room.
    #[error("it changed a file of which it did not look at every name")]
    Links,
}

/// What one step has looked at so far.
pub struct Trace {
    stack: Stack,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The directories that were found, by their topmost part: a directory has one path.
    directories: HashMap<(usize, Ino), Arc<[u8]>>,
    names: BTreeMap<Vec<u8>, Sight>,
    /// Files of which bytes were read.
    read: HashSet<(DiffId, Ino)>,
    /// The length of all paths together.
    paths: usize,
    lost: Option<Lost>,
}

/// A name that was looked up.
struct Sight {
    found: Option<Node>,
    listed: bool,
}

impl Trace {
    /// A trace over `stack`. Whoever mounts a root has looked at its topmost directory.
    pub fn new(stack: Stack) -> Self {
        let root = stack.root();
        let mut seen = Seen::default();
        seen.directories.insert(stack.file_id(&root), Arc::default());
        seen.names.insert(Vec::new(), Sight { found: Some(root), listed: false });
        Self { stack, seen: Mutex::new(seen) }
    }

    /// `name` was looked up in the directory `dir` of the stack.
    pub(super) fn looked(&self, dir: &Node, name: &[u8]) {
        let mut seen = self.seen();
        let Some(path) = seen.path(self.stack.file_id(dir), name) else { return };
        if seen.names.contains_key(&path) {
            return;
        }
        seen.paths += path.len();
        if seen.names.len() >= MAX_NAMES || seen.paths > MAX_PATHS {
            return seen.lose(Lost::Names);
        }
        let found = self.stack.child(dir, name);
        if let Some(node) = found.as_ref().filter(|node| self.stack.is_dir(node)) {
            seen.directories.insert(self.stack.file_id(node), path.as_slice().into());
        }
        seen.names.insert(path, Sight { found, listed: false });
    }

    /// The names in the directory `dir` of the stack were told.
    pub(super) fn listed(&self, dir: &Node) {
        let mut seen = self.seen();
        let Some(path) = seen.directory(self.stack.file_id(dir)) else { return };
        if let Some(sight) = seen.names.get_mut(&*path) {
            sight.listed = true;
        }
    }

    /// Bytes of a file of the stack were told, or kept.
    pub(super) fn read(&self, layer: &Layer, ino: Ino) {
        self.seen().read.insert((layer.diff_id, ino));
    }

    /// All of `dir` goes into a layer: it was listed, and its names were looked up.
    pub(super) fn took(&self, dir: &Node) {
        self.listed(dir);
        for (name, _) in self.stack.read_dir(dir) {
            self.looked(dir, &name);
        }
    }

    /// What was seen does not tell everything any more.
    pub fn lose(&self, why: Lost) {
        self.seen().lose(why);
    }

    /// What was looked at, sorted by path, so that a directory comes before what it holds.
    pub fn glances(&self) -> Result<Vec<Glance>, Lost> {
        let seen = self.seen();
        if let Some(why) = seen.lost {
            return Err(why);
        }
        let glances = seen.names.iter().map(|(path, sight)| {
            let is_read = sight.found.as_ref().is_some_and(|node| {
                let (layer, ino) = self.stack.file_id(node);
                let layer = self.stack.layers().get(layer);
                layer.is_some_and(|layer| {
                    !self.stack.is_dir(node) && seen.read.contains(&(layer.diff_id, ino))
                })
            });
            let depth = match (sight.listed, is_read) {
                (true, _) => Depth::Listing,
                (false, true) => Depth::Bytes,
                (false, false) => Depth::Name,
            };
            Glance { path: path.clone(), depth }
        });
        Ok(glances.collect())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // it is never left half changed
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// The path of `name` in a directory that was found; `None` once there is nothing left to learn.
    fn path(&mut self, dir: (usize, Ino), name: &[u8]) -> Option<Vec<u8>> {
        let dir = self.directory(dir)?;
        let slash: &[u8] = if dir.is_empty() { b"" } else { b"/" };
        Some([&dir, slash, name].concat())
    }

    /// The path of a directory that was found. One that was not is a fault of ours: nothing is relied on then.
    fn directory(&mut self, dir: (usize, Ino)) -> Option<Arc<[u8]>> {
        let found = self.directories.get(&dir).cloned();
        if found.is_none() {
            self.lose(Lost::Place);
        }
        found
    }

    /// Nobody asks for the rest.
    fn lose(&mut self, why: Lost) {
        *self = Self { lost: Some(self.lost.unwrap_or(why)), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::testing::stack;

    #[test]
    fn a_trace_holds_what_was_looked_at_and_nothing_else() {
        let stack = stack(&["f a/b/c 1\nf a/d 2\nf e 3", "f a/f 4\nw e\nh a/g a/b/c"]);
        let trace = Trace::new(stack.clone());
        let root = stack.root();
        let child = |dir: &Node, name: &str| stack.child(dir, name.as_bytes()).unwrap();
        let read = |node: &Node| {
            let (layer, ino) = stack.file_id(node);
            trace.read(&stack.layers()[layer], ino);
        };
        for name in ["a", "e", "nothing"] {
            trace.looked(&root, name.as_bytes());
        }
        let a = child(&root, "a");
        trace.looked(&a, b"b");
        trace.looked(&a, b"g");
        trace.listed(&child(&a, "b"));
        // one file, two names, of which one was looked up
        read(&child(&child(&a, "b"), "c"));
        let told: Vec<String> = trace
            .glances()
            .unwrap()
            .iter()
            .map(|Glance { path, depth }| format!("{depth:?} {}", path.escape_ascii()))
            .collect();
        assert_eq!(told, ["Name ", "Name a", "Listing a/b", "Bytes a/g", "Name e", "Name nothing"]);
    }

    #[test]
    fn a_trace_that_is_lost_stays_so_and_holds_nothing() {
        let stack = stack(&["d a"]);
        let many = Trace::new(stack.clone());
        for number in 0..MAX_NAMES {
            many.looked(&stack.root(), number.to_string().as_bytes());
        }
        let long = Trace::new(stack.clone());
        for number in 0..=MAX_PATHS / 200 {
            long.looked(&stack.root(), format!("{number:0200}").as_bytes());
        }
        let told = Trace::new(stack.clone());
        told.lose(Lost::Links);
        told.lose(Lost::Plain);
        let unplaced = Trace::new(stack.clone());
        unplaced.listed(&stack.child(&stack.root(), b"a").unwrap());
        for (trace, why) in
            [(many, Lost::Names), (long, Lost::Names), (told, Lost::Links), (unplaced, Lost::Place)]
        {
            trace.looked(&stack.root(), b"a");
            assert_eq!(trace.glances(), Err(why));
            assert!(trace.seen().names.is_empty() && trace.seen().directories.is_empty(), "{why}");
        }
    }
}
