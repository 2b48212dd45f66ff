//! What a glance meets on a stack, as bytes to be hashed.

use std::collections::HashMap;
use std::io::{self, Write};

use super::super::stack::Links;
use super::super::{Node, Stack, is_carried};
use crate::layer::{Ino, Inode, Kind};
use crate::oci::DiffId;

/// Where the bytes of a file lie. Of the same origin they are the same, unread.
pub type Origin = (DiffId, Ino);

/// Looks at one stack. Of the paths it is asked for, directories must come before what they hold, and the same ones
/// must have been asked for on another stack for the answers to be comparable: files with several names are told
/// by the first path that met them.
pub struct Eye<'a> {
    stack: &'a Stack,
    directories: HashMap<Vec<u8>, Node>,
    /// Counted when the first file is met.
    links: Option<Links>,
    files: HashMap<(usize, Ino), Vec<u8>>,
}

impl<'a> Eye<'a> {
    /// What [`Eye::name`] writes where there is nothing.
    pub const ABSENT: &'static [u8] = b"absent";

    /// Nothing looked at yet.
    pub fn on(stack: &'a Stack) -> Self {
        Self { stack, directories: HashMap::new(), links: None, files: HashMap::new() }
    }

    /// Writes whether something is at `path` and what its attributes say; returns it.
    pub fn name(&mut self, path: &[u8], to: &mut dyn Write) -> io::Result<Option<Node>> {
        let Some(node) = self.find(path) else {
            to.write_all(Self::ABSENT)?;
            return Ok(None);
        };
        if self.stack.is_dir(&node) {
            self.directories.insert(path.to_vec(), node.clone());
        }
        self.attributes(&node, path, to)?;
        Ok(Some(node))
    }

    /// Writes the names and the types of what the directory `node` holds.
    pub fn listing(&self, node: &Node, to: &mut dyn Write) -> io::Result<()> {
        for (name, child) in self.stack.read_dir(node) {
            text(to, &name)?;
            to.write_all(&[letter(&self.stack.inode(&child).kind)])?;
        }
        Ok(())
    }

    /// Writes the bytes of the file `node`, and where it has holes.
    pub fn bytes(&self, node: &Node, to: &mut dyn Write) -> io::Result<()> {
        let (layer, ino) = self.stack.file_id(node);
        let extents: Vec<_> = self.stack.layers()[layer].index.extents(ino).collect();
        number(to, extents.len() as u64)?;
        for (offset, _, length) in extents {
            number(to, offset)?;
            number(to, length)?;
        }
        io::copy(&mut self.stack.open(node), to)?;
        Ok(())
    }

    /// Where the bytes of `node` lie; `None` for what is no regular file.
    pub fn origin(&self, node: &Node) -> Option<Origin> {
        let (layer, ino) = self.stack.file_id(node);
        let layer = self.stack.layers().get(layer)?;
        (self.stack.inode(node).kind == Kind::File).then_some((layer.diff_id, ino))
    }

    fn find(&self, path: &[u8]) -> Option<Node> {
        if path.is_empty() {
            return Some(self.stack.root());
        }
        let (parent, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&b""[..], path),
        };
        self.stack.child(self.directories.get(parent)?, name)
    }

    fn attributes(&mut self, node: &Node, path: &[u8], to: &mut dyn Write) -> io::Result<()> {
        let Inode { kind, mode, uid, gid, mtime, size, nlink, .. } = self.stack.inode(node);
        to.write_all(&[letter(&kind)])?;
        match kind {
            Kind::Symlink(target) | Kind::LinkBelow(target) => text(to, target)?,
            Kind::Char { major, minor } | Kind::Block { major, minor } => {
                number(to, major.into())?;
                number(to, minor.into())?;
            }
            Kind::Directory | Kind::File | Kind::Fifo => {}
        }
        for part in [mode & 0o7777, uid, gid, nlink, mtime.nanos] {
            number(to, part.into())?;
        }
        number(to, mtime.secs.cast_unsigned())?;
        number(to, size)?;
        let mut xattrs = self.stack.xattrs(node);
        xattrs.retain(|name, _| is_carried(name));
        number(to, xattrs.len() as u64)?;
        for (name, value) in &xattrs {
            text(to, name)?;
            text(to, value)?;
        }
        if kind == Kind::Directory { Ok(()) } else { self.file(node, path, to) }
    }

    /// What tells a file besides its attributes: its blocks, its names, and the first of them that was looked at.
    fn file(&mut self, node: &Node, path: &[u8], to: &mut dyn Write) -> io::Result<()> {
        let (layer, ino) = self.stack.file_id(node);
        let extents = self.stack.layers()[layer].index.extents(ino);
        number(to, extents.map(|(_, _, length)| length.div_ceil(512)).sum())?;
        let links = self.links.get_or_insert_with(|| self.stack.links());
        let own = self.stack.inode(node).nlink;
        number(to, links.get(&(layer, ino)).copied().unwrap_or(own).into())?;
        let first = self.files.entry((layer, ino)).or_insert_with(|| path.to_vec());
        text(to, first)
    }
}

fn letter(kind: &Kind<'_>) -> u8 {
    match kind {
        Kind::Directory => b'd',
        Kind::File => b'f',
        Kind::Symlink(_) => b'l',
        Kind::Char { .. } => b'c',
        Kind::Block { .. } => b'b',
        Kind::Fifo | Kind::LinkBelow(_) => b'p',
    }
}

fn number(to: &mut dyn Write, number: u64) -> io::Result<()> {
    to.write_all(&number.to_le_bytes())
}

/// With its length before it, so that no two sequences of texts run together.
fn text(to: &mut dyn Write, text: &[u8]) -> io::Result<()> {
    number(to, text.len() as u64)?;
    to.write_all(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::testing::stack;

    /// All that is met at these paths; of directories their listing too, of files their bytes.
    fn seen(layers: &[&str], paths: &[&str]) -> Vec<u8> {
        let stack = stack(layers);
        let mut eye = Eye::on(&stack);
        let mut all = Vec::new();
        eye.name(b"", &mut Vec::new()).unwrap();
        for path in paths {
            let Some(node) = eye.name(path.as_bytes(), &mut all).unwrap() else { continue };
            match eye.origin(&node) {
                Some(_) => eye.bytes(&node, &mut all).unwrap(),
                None => eye.listing(&node, &mut all).unwrap(),
            }
        }
        all
    }

    #[test]
    fn the_same_is_met_whichever_layers_have_it() {
        for (row, one, other, paths) in [
            ("in another layer", &["f a 1", "f b 2"][..], &["f b 2\nf a 1"][..], &["a", "b"][..]),
            ("hidden and made again", &["f d/a 1"], &["f d/b 2", "w d/b\nf d/a 1"], &["d", "d/a"]),
            ("a whiteout and nothing", &["f b 1"], &["f b 1\nf a 2", "w a"], &["a", "b"]),
            ("a file in place of a directory, and nothing", &["f b 1"], &["f d 1"], &["d/a"]),
            ("what is not asked for", &["f d/a 1"], &["f d/a 1\nf e/b 1"], &["d/a"]),
        ] {
            assert_eq!(seen(one, paths), seen(other, paths), "{row}");
        }
    }

    #[test]
    fn whatever_a_step_may_see_makes_a_difference() {
        for (row, one, other, paths) in [
            ("an attribute", "x a user.x=1", "x a trusted.x=1", &["a"][..]),
            ("the value of an attribute", "x a user.x=1", "x a user.x=2", &["a"]),
            ("where an attribute ends", "x a user.x=12", "x a user.x1=2", &["a"]),
            ("a capability", "x a security.capability=x", "x a security.x=x", &["a"]),
            ("a device", "c a 1:3", "c a 1:5", &["a"]),
            ("a mode", "f a 1 600", "f a 1", &["a"]),
            ("an owner", "f a 1 644 1:0", "f a 1 644 0:1", &["a"]),
            ("the target of a link", "l a x", "l a y", &["a"]),
            ("how many names", "f a 1\nf b 1", "f a 1\nh b a", &["a"]),
            (
                "which names are one file",
                "f a 1\nh b a\nf c 1\nh d c",
                "f a 1\nh d a\nf c 1\nh b c",
                &["a", "b"],
            ),
            ("a name that is a directory's", "d a 644", "p a", &["a"]),
            ("a fifo", "p a", "c a 0:0", &["a"]),
            ("a name in a directory", "d a\nf a/b 1", "d a\nf a/c 1", &["a"]),
            ("a type in a directory", "d a\nf a/b 1", "d a\nd a/b", &["a"]),
            ("bytes", "f a 1", "f a 2", &["a"]),
        ] {
            assert_eq!(seen(&[one], paths), seen(&[one], paths), "{row}");
            assert_ne!(seen(&[one], paths), seen(&[other], paths), "{row}");
        }
    }
}
