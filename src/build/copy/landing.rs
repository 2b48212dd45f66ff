//! Where things land: the tree that one COPY or ADD makes, before a byte is written.
//!
//! The rules are `BuildKit`'s. The destination is resolved inside the stage's root, its last symlink too. A
//! directory is copied by its contents; one that exists keeps its attributes if it is the destination
//! itself and takes the source's if it is nested. A file never replaces a directory, nor the reverse.
//! Directories that have to be made on the way are root's, or `--chown`'s, with mode 0755 or `--chmod`'s.

use std::collections::BTreeMap;

use super::super::StepError;
use super::super::context::join;
use super::tree::{Found, Item, Tree, last};
use crate::layer::{EntryKind, Kind, Metadata, Timestamp};
use crate::rootfs::{Error as RootfsError, Follow, Stack};

/// One entry of the layer to be.
pub(super) struct Placed {
    pub meta: Metadata,
    pub what: What,
}

/// What an entry is made from.
pub(super) enum What {
    /// A directory.
    Directory,
    /// An item of the tree: a file, a symlink, a device, a fifo.
    Item(Item),
    /// The body of a heredoc.
    Text(Vec<u8>),
}

/// What stands at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Nothing,
    Directory,
    Other,
}

/// The entries of the layer to be, by path.
pub(super) struct Landing<'a> {
    stack: &'a Stack,
    owner: Option<(u32, u32)>,
    mode: Option<u32>,
    now: Timestamp,
    pub placed: BTreeMap<Vec<u8>, Placed>,
}

/// A destination, resolved.
pub(super) struct Destination {
    /// Canonical, relative to the root.
    pub path: Vec<u8>,
    /// Sources go into it under their own names.
    pub is_directory: bool,
}

impl Destination {
    /// Where something called `name` lands.
    fn of(&self, name: &[u8]) -> Vec<u8> {
        if self.is_directory { join(&self.path, name) } else { self.path.clone() }
    }
}

impl<'a> Landing<'a> {
    /// `owner` is `--chown`, `mode` is `--chmod`.
    pub(super) fn new(
        stack: &'a Stack,
        owner: Option<(u32, u32)>,
        mode: Option<u32>,
        now: Timestamp,
    ) -> Self {
        Self { stack, owner, mode, now, placed: BTreeMap::new() }
    }

    /// Resolves the absolute path `dest` inside the root. A trailing slash makes it a directory.
    pub(super) fn destination(&self, dest: &str) -> Result<Destination, StepError> {
        let resolved = self.stack.resolve(dest.as_bytes(), Follow::Last).map_err(|error| match error {
            RootfsError::NotDirectory { .. } => {
                in_the_way(dest.as_bytes(), "a component of the path is no directory")
            }
            other => other.into(),
        })?;
        let exists = resolved.node.is_some_and(|node| self.stack.inode(&node).kind == Kind::Directory);
        let named = dest.ends_with('/') || dest.ends_with("/.");
        Ok(Destination { path: resolved.path, is_directory: exists || named })
    }

    /// Copies what was found to `dest`: a directory's contents, anything else as it is.
    pub(super) fn copy(
        &mut self,
        tree: &Tree<'_>,
        found: Found,
        dest: &Destination,
    ) -> Result<(), StepError> {
        if found.item.kind == EntryKind::Directory {
            self.parents(&dest.path)?;
            return self.directory(tree, &found.item, &dest.path, Depth::Top);
        }
        let path = dest.of(&found.name);
        self.parents(&path)?;
        self.leaf(found.item, path)
    }

    /// Places a heredoc's body.
    pub(super) fn text(&mut self, name: &str, body: String, dest: &Destination) -> Result<(), StepError> {
        let path = dest.of(name.as_bytes());
        self.parents(&path)?;
        if self.standing(&path) == Standing::Directory {
            return Err(conflict(name.as_bytes(), &path, "a directory is in the way"));
        }
        let mode = self.mode.unwrap_or(0o644);
        let (uid, gid) = self.owner.unwrap_or_default();
        let meta = Metadata { mode, uid, gid, mtime: self.now, ..Metadata::default() };
        self.placed.insert(path, Placed { meta, what: What::Text(body.into_bytes()) });
        Ok(())
    }

    /// Makes `path` and what is missing above it: WORKDIR, or the root of an archive.
    pub(super) fn make_directory(&mut self, path: &[u8]) -> Result<(), StepError> {
        self.parents(path)?;
        match self.standing(path) {
            Standing::Directory => Ok(()),
            Standing::Other => Err(in_the_way(path, "it exists and is no directory")),
            Standing::Nothing => {
                self.implicit(path);
                Ok(())
            }
        }
    }

    fn directory(
        &mut self,
        tree: &Tree<'_>,
        source: &Item,
        dest: &[u8],
        depth: Depth,
    ) -> Result<(), StepError> {
        let standing = self.standing(dest);
        if standing == Standing::Other {
            return Err(conflict(&source.path, dest, "cannot copy a directory to a non-directory"));
        }
        let before = self.placed.len();
        for child in tree.children(source)? {
            let path = join(dest, last(&child.path));
            let hidden = tree.ignores(&child.path);
            match child.kind {
                EntryKind::Directory if hidden && tree.hides_all(&child.path) => {}
                EntryKind::Directory => self.directory(tree, &child, &path, Depth::nested(hidden))?,
                _ if hidden => {}
                _ => self.leaf(child, path)?,
            }
        }
        let wanted = match depth {
            Depth::Top => standing == Standing::Nothing,
            Depth::Nested => true,
            // Hidden itself, but a `!` pattern shows something below it.
            Depth::Hidden => self.placed.len() > before,
        };
        if wanted {
            let meta = self.adjusted(&source.meta);
            self.placed.insert(dest.to_vec(), Placed { meta, what: What::Directory });
        }
        Ok(())
    }

    fn leaf(&mut self, item: Item, path: Vec<u8>) -> Result<(), StepError> {
        if self.standing(&path) == Standing::Directory {
            return Err(conflict(&item.path, &path, "cannot replace a directory with a file"));
        }
        let mut meta = self.adjusted(&item.meta);
        if matches!(item.kind, EntryKind::Symlink(_)) {
            meta.mode = item.meta.mode;
        }
        self.placed.insert(path, Placed { meta, what: What::Item(item) });
        Ok(())
    }

    /// The source's attributes, with `--chown` and `--chmod`.
    pub(super) fn adjusted(&self, source: &Metadata) -> Metadata {
        let (uid, gid) = self.owner.unwrap_or((source.uid, source.gid));
        Metadata { uid, gid, mode: self.mode.unwrap_or(source.mode), ..source.clone() }
    }

    /// Makes the directories above `path` that do not exist.
    fn parents(&mut self, path: &[u8]) -> Result<(), StepError> {
        for (end, _) in path.iter().enumerate().filter(|&(_, &b)| b == b'/') {
            match self.standing(&path[..end]) {
                Standing::Directory => {}
                Standing::Nothing => self.implicit(&path[..end]),
                Standing::Other => return Err(in_the_way(&path[..end], "a parent is no directory")),
            }
        }
        Ok(())
    }

    fn implicit(&mut self, path: &[u8]) {
        let (uid, gid) = self.owner.unwrap_or_default();
        let mode = self.mode.unwrap_or(0o755);
        let meta = Metadata { mode, uid, gid, mtime: self.now, ..Metadata::default() };
        self.placed.insert(path.to_vec(), Placed { meta, what: What::Directory });
    }

    /// What is at `path` itself (a last symlink is not followed), this instruction's own entries first.
    fn standing(&self, path: &[u8]) -> Standing {
        if let Some(placed) = self.placed.get(path) {
            return if matches!(placed.what, What::Directory) {
                Standing::Directory
            } else {
                Standing::Other
            };
        }
        let mut node = self.stack.root();
        for name in path.split(|&b| b == b'/').filter(|name| !name.is_empty()) {
            match self.stack.child(&node, name) {
                Some(child) => node = child,
                None => return Standing::Nothing,
            }
        }
        match self.stack.inode(&node).kind {
            Kind::Directory => Standing::Directory,
            _ => Standing::Other,
        }
    }
}

/// How deep a copied directory lies.
#[derive(Clone, Copy)]
enum Depth {
    /// It is what the source word named.
    Top,
    Nested,
    /// Nested, and hidden by the ignore file.
    Hidden,
}

impl Depth {
    fn nested(hidden: bool) -> Self {
        if hidden { Self::Hidden } else { Self::Nested }
    }
}

pub(super) fn conflict(source: &[u8], target: &[u8], why: &'static str) -> StepError {
    StepError::Conflict {
        source_path: String::from_utf8_lossy(source).into_owned(),
        target: shown(target),
        why,
    }
}

fn in_the_way(path: &[u8], why: &'static str) -> StepError {
    StepError::InTheWay { path: shown(path), why }
}

fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path).trim_matches('/'))
}
