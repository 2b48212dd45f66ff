//! Where things land: the tree that one COPY or ADD makes, before a byte is written.
//!
//! The rules are `BuildKit`'s. The destination is resolved inside the stage's root, its last symlink too. A
//! directory is copied by its contents: the destination itself keeps its attributes if it exists, and directories
//! within take the source's. A file never replaces a directory, nor the reverse.
//! The destination and the directories on the way to it that have to be made are root's, or `--chown`'s, with mode
//! 0755 or `--chmod`'s; those that `--parents` brings along have the source's attributes.

use std::collections::BTreeMap;

use super::super::StepError;
use super::super::context::join;
use super::tree::{Found, Item, Picked, Tree, below, last};
use crate::dockerfile::{Chmod, IgnoreFile};
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
    /// An item of a tree: a file, a symlink, a device, a fifo.
    Item(Source, Box<Item>),
    /// The body of a heredoc.
    Text(Vec<u8>),
}

/// Where an item comes from. Two names of one file stay one file only if they come from the same source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source {
    /// Which of the instruction's trees.
    pub tree: usize,
    /// Which of its words, and which of the items that its wildcards match.
    pub part: (usize, usize),
}

/// What the flags say of everything that is copied.
pub(super) struct Rules {
    /// `--chown`.
    pub owner: Option<(u32, u32)>,
    /// `--chmod`.
    pub chmod: Option<Chmod>,
    /// `--exclude`.
    pub exclude: IgnoreFile,
    /// The time of what has none of its own.
    pub now: Timestamp,
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
    trees: &'a [Tree],
    rules: &'a Rules,
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
    /// Nothing placed yet. `stack` is where it lands, `trees` is what [`Source`] counts.
    pub(super) fn new(stack: &'a Stack, trees: &'a [Tree], rules: &'a Rules) -> Self {
        Self { stack, trees, rules, placed: BTreeMap::new() }
    }

    /// One of the trees.
    pub(super) fn tree(&self, source: Source) -> &'a Tree {
        &self.trees[source.tree]
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
    pub(super) fn copy(&mut self, source: Source, found: Found, dest: &Destination) -> Result<(), StepError> {
        if found.item.kind == EntryKind::Directory {
            self.parents(&dest.path)?;
            if self.standing(&dest.path) == Standing::Nothing {
                self.implicit(&dest.path);
            }
            let from = From { source, base: &found.item.path };
            return self.directory(from, &found.item, &dest.path, Depth::Top);
        }
        if self.rules.exclude.ignores(&String::from_utf8_lossy(&found.name)) {
            return Ok(());
        }
        let path = dest.of(&found.name);
        self.parents(&path)?;
        self.leaf(source, found.item, path)
    }

    /// Copies what was picked to its own path below `dest`, the directories above it with their attributes.
    pub(super) fn copy_with_parents(
        &mut self,
        source: Source,
        picked: Picked,
        dest: &Destination,
    ) -> Result<(), StepError> {
        let Picked { base, item } = picked;
        let from = From { source, base: &base };
        let path = below(&base, &item.path).to_vec();
        let hidden = self.excludes(from, &item.path);
        if hidden && item.kind != EntryKind::Directory {
            return Ok(());
        }
        self.make_directory(&dest.path)?;
        for (end, _) in path.iter().enumerate().filter(|&(_, &b)| b == b'/') {
            let parent = self.trees[source.tree].at(&join(&base, &path[..end]))?;
            self.place_directory(&parent, &join(&dest.path, &path[..end]))?;
        }
        let target = join(&dest.path, &path);
        match item.kind {
            EntryKind::Directory if path.is_empty() => self.directory(from, &item, &dest.path, Depth::Top),
            EntryKind::Directory => self.directory(from, &item, &target, Depth::nested(hidden)),
            _ => self.leaf(source, item, target),
        }
    }

    /// Places a heredoc's body.
    pub(super) fn text(&mut self, name: &str, body: String, dest: &Destination) -> Result<(), StepError> {
        let path = dest.of(name.as_bytes());
        self.parents(&path)?;
        if self.standing(&path) == Standing::Directory {
            return Err(conflict(name.as_bytes(), &path, "a directory is in the way"));
        }
        let mode = self.rules.chmod.as_ref().map_or(0o644, |chmod| chmod.file(0o644));
        let (uid, gid) = self.rules.owner.unwrap_or_default();
        let meta = Metadata { mode, uid, gid, mtime: self.rules.now, ..Metadata::default() };
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

    fn directory(&mut self, from: From<'_>, item: &Item, dest: &[u8], depth: Depth) -> Result<(), StepError> {
        let standing = self.standing(dest);
        if standing == Standing::Other {
            return Err(conflict(&item.path, dest, "cannot copy a directory to a non-directory"));
        }
        let before = self.placed.len();
        for child in self.trees[from.source.tree].children(item)? {
            let path = join(dest, last(&child.path));
            let hidden = self.excludes(from, &child.path);
            match child.kind {
                EntryKind::Directory if hidden && self.excludes_all(from, &child.path) => {}
                EntryKind::Directory => self.directory(from, &child, &path, Depth::nested(hidden))?,
                _ if hidden => {}
                _ => self.leaf(from.source, child, path)?,
            }
        }
        let wanted = match depth {
            // It is there, or was made as the directories on the way are.
            Depth::Top => false,
            Depth::Nested => true,
            // Hidden itself, but a `!` pattern shows something below it.
            Depth::Hidden => self.placed.len() > before,
        };
        if wanted {
            self.place_directory(item, dest)?;
        }
        Ok(())
    }

    /// Gives the directory at `path` the attributes of `item`.
    fn place_directory(&mut self, item: &Item, path: &[u8]) -> Result<(), StepError> {
        if self.standing(path) == Standing::Other {
            return Err(conflict(&item.path, path, "cannot copy a directory to a non-directory"));
        }
        let mut meta = self.owned(&item.meta);
        if let Some(chmod) = &self.rules.chmod {
            meta.mode = chmod.directory(meta.mode);
        }
        self.placed.insert(path.to_vec(), Placed { meta, what: What::Directory });
        Ok(())
    }

    fn leaf(&mut self, source: Source, item: Item, path: Vec<u8>) -> Result<(), StepError> {
        if self.standing(&path) == Standing::Directory {
            return Err(conflict(&item.path, &path, "cannot replace a directory with a file"));
        }
        let mut meta = self.owned(&item.meta);
        if let Some(chmod) = &self.rules.chmod
            && !matches!(item.kind, EntryKind::Symlink(_))
        {
            meta.mode = chmod.file(meta.mode);
        }
        self.placed.insert(path, Placed { meta, what: What::Item(source, Box::new(item)) });
        Ok(())
    }

    /// The source's attributes, with `--chown`.
    fn owned(&self, source: &Metadata) -> Metadata {
        let (uid, gid) = self.rules.owner.unwrap_or((source.uid, source.gid));
        Metadata { uid, gid, ..source.clone() }
    }

    /// Whether the ignore file or `--exclude` leaves `path` out.
    fn excludes(&self, from: From<'_>, path: &[u8]) -> bool {
        self.trees[from.source.tree].ignores(path) || self.rules.exclude.ignores(&from.seen(path))
    }

    /// Whether either leaves out the directory `path` and all below it.
    fn excludes_all(&self, from: From<'_>, path: &[u8]) -> bool {
        self.trees[from.source.tree].hides_all(path) || self.rules.exclude.can_skip_dir(&from.seen(path))
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
        let (uid, gid) = self.rules.owner.unwrap_or_default();
        let mode = self.rules.chmod.as_ref().map_or(0o755, Chmod::made_directory);
        let meta = Metadata { mode, uid, gid, mtime: self.rules.now, ..Metadata::default() };
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

/// Where a copied directory comes from: what `--exclude` sees is relative to `base`.
#[derive(Clone, Copy)]
struct From<'a> {
    source: Source,
    base: &'a [u8],
}

impl From<'_> {
    fn seen(&self, path: &[u8]) -> String {
        String::from_utf8_lossy(below(self.base, path)).into_owned()
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
