//! The merged tree of a list of layers, worked out name by name when somebody asks.
//!
//! What a name means is settled from the top layer down: a whiteout ends the search; so does anything that is no
//! directory (a file hides what lies below, a directory above a file hides the file); directories add up until one is
//! opaque. OCI image-spec v1.1, layer.md, "Whiteouts".

mod links;
mod merge;
mod read;
mod resolve;
#[cfg(test)]
mod tests;

use std::iter::Peekable;
use std::sync::Arc;

use crate::layer::{Child, Index, Ino, Inode, Kind, Layer, Xattrs};
use crate::rootfs::is_carried;

pub(in crate::rootfs) use links::Links;
pub use resolve::{Follow, Resolved};

/// An ordered list of layers, merged lazily by name. Cheap to clone.
#[derive(Clone)]
pub struct Stack {
    /// Bottom first.
    layers: Arc<[Arc<Layer>]>,
}

/// A place in a stack. Directories: every layer that contributes, top first; others: exactly one (layer, ino).
///
/// A node means something only to the stack that gave it, and to longer stacks with the same layers at the bottom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    parts: Vec<(usize, Ino)>,
}

impl Node {
    /// Every layer that contributes, with the inode there, top first; a single one unless this is a directory.
    pub fn parts(&self) -> &[(usize, Ino)] {
        &self.parts
    }
}

impl Stack {
    /// A stack of `layers`, bottom first.
    pub fn new(layers: Vec<Arc<Layer>>) -> Self {
        Self { layers: layers.into() }
    }

    /// The layers, bottom first.
    pub fn layers(&self) -> &[Arc<Layer>] {
        &self.layers
    }

    /// The root directory. A stack without layers has one too, in which nothing is found.
    pub fn root(&self) -> Node {
        self.root_below(self.layers.len())
    }

    /// The root directory of the lowest `count` layers.
    fn root_below(&self, count: usize) -> Node {
        let mut parts = Vec::new();
        for layer in (0..count).rev() {
            parts.push((layer, Index::ROOT));
            if self.index(layer).inode(Index::ROOT).opaque {
                break;
            }
        }
        Node { parts }
    }

    /// What `name` is in `dir`; `None` if nothing, or if `dir` is no directory.
    ///
    /// A hard link to a path of a lower layer is that path's node; one that leads nowhere is not there.
    pub fn child(&self, dir: &Node, name: &[u8]) -> Option<Node> {
        let said =
            dir.parts.iter().filter_map(|&(layer, ino)| Some((layer, self.index(layer).lookup(ino, name)?)));
        self.settle(said)
    }

    /// What `dir` holds, sorted by name; no `.` and `..`. Nothing if `dir` is no directory.
    pub fn read_dir(&self, dir: &Node) -> Vec<(Vec<u8>, Node)> {
        let mut sources: Vec<_> = dir
            .parts
            .iter()
            .map(|&(layer, ino)| (layer, self.index(layer).children(ino).peekable()))
            .collect();
        let mut merged = Vec::new();
        while let Some(name) = first_name(&mut sources) {
            // All sources move past the name, also those that the settlement does not listen to.
            let said: Vec<_> = sources
                .iter_mut()
                .filter_map(|(layer, rows)| Some((*layer, rows.next_if(|row| row.0 == name)?.1)))
                .collect();
            merged.extend(self.settle(said.into_iter()).map(|node| (name.to_vec(), node)));
        }
        merged
    }

    /// Attributes. A directory's are those of the topmost layer that has an entry for it, not only entries below it.
    /// In a stack without layers the root is an implicit directory 0755 of root.
    pub fn inode(&self, node: &Node) -> Inode<'_> {
        match self.attributes(node) {
            Some((layer, ino)) => self.index(layer).inode(ino),
            None => EMPTY_ROOT,
        }
    }

    /// Extended attributes, from the same place as [`Stack::inode`].
    pub fn xattrs(&self, node: &Node) -> Xattrs {
        let Some((layer, ino)) = self.attributes(node) else { return Xattrs::new() };
        self.index(layer).xattrs(ino).map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    }

    /// Whether [`Stack::xattrs`] holds any that a step sees.
    pub(in crate::rootfs) fn has_xattrs(&self, node: &Node) -> bool {
        self.attributes(node)
            .is_some_and(|(layer, ino)| self.index(layer).xattrs(ino).any(|(name, _)| is_carried(name)))
    }

    /// The identity of a non-directory: equal for hard links. A directory's is its topmost part.
    pub fn file_id(&self, node: &Node) -> (usize, Ino) {
        node.parts.first().copied().unwrap_or((0, Index::ROOT))
    }

    /// Whether `node` is a directory.
    pub fn is_dir(&self, node: &Node) -> bool {
        matches!(self.inode(node).kind, Kind::Directory)
    }

    fn attributes(&self, node: &Node) -> Option<(usize, Ino)> {
        let explicit = node.parts.iter().find(|&&(layer, ino)| !self.index(layer).inode(ino).implicit);
        explicit.or(node.parts.first()).copied()
    }

    fn index(&self, layer: usize) -> &Index {
        &self.layers[layer].index
    }

    /// What a name means, given what the layers say of it, top first. Asks no further than it must.
    fn settle(&self, said: impl Iterator<Item = (usize, Child)>) -> Option<Node> {
        let mut parts = Vec::new();
        for (layer, child) in said {
            let Child::Node(ino) = child else { break };
            let inode = self.index(layer).inode(ino);
            match inode.kind {
                Kind::Directory => parts.push((layer, ino)),
                _ if !parts.is_empty() => break,
                Kind::LinkBelow(target) => return self.link_below(layer, target),
                _ => return Some(Node { parts: vec![(layer, ino)] }),
            }
            if inode.opaque {
                break;
            }
        }
        (!parts.is_empty()).then_some(Node { parts })
    }

    /// The file that `target` names in the layers below `layer`. As link(2) does, the last component is not followed,
    /// and a directory is no target. Ends, because every further link leads to a still lower layer.
    fn link_below(&self, layer: usize, target: &[u8]) -> Option<Node> {
        let found = self.resolve_from(&self.root_below(layer), target, Follow::Parents).ok()?.node?;
        (!self.is_dir(&found)).then_some(found)
    }
}

/// What an [`Inode`] is where no layer says anything.
const EMPTY_ROOT: Inode<'static> = Inode {
    kind: Kind::Directory,
    mode: 0o755,
    uid: 0,
    gid: 0,
    mtime: crate::layer::Timestamp { secs: 0, nanos: 0 },
    size: 0,
    nlink: 1,
    opaque: false,
    implicit: true,
};

/// The smallest name that any of the sorted sources has next.
fn first_name<'a, I>(sources: &mut [(usize, Peekable<I>)]) -> Option<&'a [u8]>
where
    I: Iterator<Item = (&'a [u8], Child)>,
{
    sources.iter_mut().filter_map(|(_, rows)| rows.peek().map(|row| row.0)).min()
}
