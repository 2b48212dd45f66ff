//! How many names a file has. Its layer knows those that it gave it; layers above may have hidden some, or given it
//! more. An inode that shows too few names would be gone before its last one, one that shows too many never.

use std::collections::{BTreeSet, HashMap};

use super::{Node, Stack};
use crate::layer::{Child, Ino, Inode, Kind};

/// The number of names of each file that its layer's own count may not tell.
pub(in crate::rootfs) type Links = HashMap<(usize, Ino), u32>;

/// Which files are to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    /// Those that have several names in their layer.
    Linked,
    /// All: some layer gives names to files of layers below, and any file may be one.
    Every,
}

impl Stack {
    /// Counts names, in the directories that are not hidden. Empty where every layer's own count is right: a file not
    /// in it has as many names as its layer says.
    pub(in crate::rootfs) fn links(&self) -> Links {
        let mut links = Links::new();
        let Some(counted) = self.counted() else { return links };
        let mut pending = vec![self.root()];
        while let Some(dir) = pending.pop() {
            let (files, directories) = self.names_to_count(&dir, counted);
            for name in files {
                if let Some(node) = self.child(&dir, name).filter(|node| !self.is_dir(node)) {
                    *links.entry(self.file_id(&node)).or_default() += 1;
                }
            }
            let below = directories.into_iter().filter_map(|name| self.child(&dir, name));
            pending.extend(below.filter(|node| self.is_dir(node)));
        }
        links
    }

    /// What must be counted; `None` if nothing.
    fn counted(&self) -> Option<Counted> {
        if self.layers.len() < 2 {
            return None;
        }
        let mut counted = None;
        for layer in self.layers.iter() {
            for ino in (0..layer.index.inodes()).map(Ino) {
                match layer.index.inode(ino) {
                    Inode { kind: Kind::LinkBelow(_), .. } => return Some(Counted::Every),
                    Inode { nlink: 2.., .. } => counted = Some(Counted::Linked),
                    _ => {}
                }
            }
        }
        counted
    }

    /// The names in `dir`, as any layer has them, of files to be counted, and of directories.
    fn names_to_count<'a>(
        &'a self,
        dir: &Node,
        counted: Counted,
    ) -> (BTreeSet<&'a [u8]>, BTreeSet<&'a [u8]>) {
        let (mut files, mut directories) = (BTreeSet::new(), BTreeSet::new());
        for &(layer, ino) in dir.parts() {
            for (name, child) in self.index(layer).children(ino) {
                let Child::Node(ino) = child else { continue };
                let inode = self.index(layer).inode(ino);
                if matches!(inode.kind, Kind::Directory) {
                    directories.insert(name);
                } else if counted == Counted::Every || inode.nlink > 1 {
                    files.insert(name);
                }
            }
        }
        (files, directories)
    }
}
