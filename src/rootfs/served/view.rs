//! A view: one directory tree made of a stack, in one of three forms.
//!
//! *Merged* is the stack as a reader sees it. *Top* is its topmost layer alone in overlayfs' own words: whiteouts as
//! character devices 0:0, opaque directories marked, so that overlayfs merges it with the views below. Then a
//! step's new layer needs no new view of everything under it, and every name the kernel has learned stays valid.
//! *Marked* is of the merged tree only what has extended attributes, with the directories on the way there: mod.rs
//! says why.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use crate::layer::{Child, Ino};
use crate::rootfs::{Node, Stack};

/// Which form a view has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Merged,
    Top,
    Marked,
}

/// What a name is in a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Node(Node),
    Whiteout,
}

pub(super) struct View {
    /// In the top form too: its attributes of implicit directories and its links below come from the layers beneath.
    pub(super) stack: Stack,
    /// The server's number of each of the stack's layers.
    pub(super) layers: Vec<u32>,
    form: Form,
    /// In the marked form, what is shown, by the topmost layer that has it and the inode there.
    shown: HashSet<(usize, Ino)>,
    /// The directories that the kernel has been told of, by the topmost layer that has them and the inode there.
    dirs: RwLock<HashMap<(u16, Ino), Node>>,
}

impl View {
    pub(super) fn new(stack: Stack, layers: Vec<u32>, form: Form) -> Self {
        let shown = if form == Form::Marked { marked(&stack) } else { HashSet::new() };
        Self { stack, layers, form, shown, dirs: RwLock::default() }
    }

    /// Makes a directory known, and returns its name.
    pub(super) fn remember(&self, dir: &Node) -> (u16, Ino) {
        let (part, ino) = self.stack.file_id(dir);
        let name = (u16::try_from(part).expect("a stack has fewer than MAX_PARTS layers"), ino);
        if self.dir(name.0, name.1).is_none() {
            self.dirs.write().unwrap_or_else(PoisonError::into_inner).insert(name, dir.clone());
        }
        name
    }

    /// A directory that was made known.
    pub(super) fn dir(&self, part: u16, ino: Ino) -> Option<Node> {
        self.dirs.read().unwrap_or_else(PoisonError::into_inner).get(&(part, ino)).cloned()
    }

    pub(super) fn child(&self, dir: &Node, name: &[u8]) -> Option<Entry> {
        match self.form {
            Form::Merged => self.stack.child(dir, name).map(Entry::Node),
            Form::Marked => self.stack.child(dir, name).filter(|node| self.shows(node)).map(Entry::Node),
            Form::Top => {
                let (part, ino) = self.stack.file_id(dir);
                let said = self.stack.layers().get(part)?.index.lookup(ino, name)?;
                Some(self.top_entry(dir, name, said))
            }
        }
    }

    /// Sorted by name.
    pub(super) fn read_dir(&self, dir: &Node) -> Vec<(Vec<u8>, Entry)> {
        match self.form {
            Form::Merged | Form::Marked => {
                let rows = self.stack.read_dir(dir).into_iter();
                rows.filter(|(_, node)| self.shows(node))
                    .map(|(name, node)| (name, Entry::Node(node)))
                    .collect()
            }
            Form::Top => {
                let (part, ino) = self.stack.file_id(dir);
                let Some(layer) = self.stack.layers().get(part) else { return Vec::new() };
                let rows = layer.index.children(ino);
                rows.map(|(name, said)| (name.to_vec(), self.top_entry(dir, name, said))).collect()
            }
        }
    }

    /// Whether overlayfs must not look below `dir`. Never in the merged form, where that is done already.
    pub(super) fn is_opaque(&self, dir: &Node) -> bool {
        let (part, ino) = self.stack.file_id(dir);
        self.form == Form::Top
            && self.stack.layers().get(part).is_some_and(|layer| layer.index.inode(ino).opaque)
    }

    fn shows(&self, node: &Node) -> bool {
        self.form != Form::Marked || self.shown.contains(&self.stack.file_id(node))
    }

    /// A hard link that leads nowhere hides what lies below all the same.
    fn top_entry(&self, dir: &Node, name: &[u8], said: Child) -> Entry {
        match said {
            Child::Whiteout => Entry::Whiteout,
            Child::Node(_) => self.stack.child(dir, name).map_or(Entry::Whiteout, Entry::Node),
        }
    }
}

/// What of a merged stack has extended attributes, and the directories on the way there.
fn marked(stack: &Stack) -> HashSet<(usize, Ino)> {
    let mut shown = HashSet::new();
    let mut dirs = vec![(stack.root(), None)]; // each with its parent's place in this list
    let mut next = 0;
    while let Some((dir, _)) = dirs.get(next).cloned() {
        for (_, node) in stack.read_dir(&dir) {
            if stack.has_xattrs(&node) {
                shown.insert(stack.file_id(&node));
                let mut above = Some(next);
                while let Some((parent, further)) = above.map(|place| &dirs[place]) {
                    // Where a parent is shown already, so are its own.
                    above = if shown.insert(stack.file_id(parent)) { *further } else { None };
                }
            }
            if stack.is_dir(&node) {
                dirs.push((node, Some(next)));
            }
        }
        next += 1;
    }
    shown
}
