//! Where a path leads inside a stack. Paths in images are hostile: symbolic links never leave the root, `..` stops
//! there, and the number of links is bounded as the kernel bounds it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::{Node, Stack};
use crate::layer::Kind;
use crate::rootfs::Error;

/// Which symbolic links [`Stack::resolve`] follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// The last component too.
    Last,
    /// All but the last component.
    Parents,
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The canonical path inside the root (no leading slash; the root is empty), symbolic links resolved, missing
    /// components appended.
    pub path: Vec<u8>,
    /// The node, if it exists.
    pub node: Option<Node>,
}

impl Stack {
    /// How many symbolic links one resolution follows (`path_resolution(7)`: 40).
    pub const MAX_LINKS: usize = 40;

    /// Resolves `path`, relative to the root whether or not it begins with a slash.
    ///
    /// Missing tails are fine (`node` is then `None`, and a `..` takes back a missing component). Errors with
    /// [`Error::NotDirectory`] where a file stands in the middle, [`Error::TooManyLinks`] after [`Stack::MAX_LINKS`].
    pub fn resolve(&self, path: &[u8], follow: Follow) -> Result<Resolved, Error> {
        self.resolve_from(&self.root(), path, follow)
    }

    /// The same under another root directory.
    pub(super) fn resolve_from(&self, root: &Node, path: &[u8], follow: Follow) -> Result<Resolved, Error> {
        let mut walk = Walk { stack: self, root, found: Vec::new(), missing: Vec::new() };
        let mut pending = components(path);
        let mut links = 0;
        while let Some(name) = pending.pop() {
            let entered = walk.enter(&name).map_err(|at| Error::NotDirectory { path: os(path), at })?;
            let Some(target) = entered.filter(|_| !pending.is_empty() || follow == Follow::Last) else {
                continue;
            };
            links += 1;
            if links > Self::MAX_LINKS {
                return Err(Error::TooManyLinks { path: os(path) });
            }
            walk.found.pop(); // the link itself: its target starts at the directory that holds it
            if target.starts_with(b"/") {
                walk.found.clear();
            }
            pending.extend(components(target));
        }
        Ok(walk.finish())
    }
}

/// The way gone so far.
struct Walk<'a> {
    stack: &'a Stack,
    root: &'a Node,
    /// Components that exist, from the root.
    found: Vec<(Vec<u8>, Node)>,
    /// Components after the last that exists.
    missing: Vec<Vec<u8>>,
}

impl<'a> Walk<'a> {
    /// Takes one more component; `Some(target)` if it is a symbolic link. Errors with the path here if that is no
    /// directory.
    fn enter(&mut self, name: &[u8]) -> Result<Option<&'a [u8]>, PathBuf> {
        let stack = self.stack;
        let here = self.found.last().map_or(self.root, |(_, node)| node);
        if !self.missing.is_empty() {
            match name {
                b"." => {}
                b".." => drop(self.missing.pop()),
                _ => self.missing.push(name.to_vec()),
            }
            return Ok(None);
        }
        if !stack.is_dir(here) {
            return Err(os(&self.path()));
        }
        match name {
            b"." => {}
            b".." => drop(self.found.pop()),
            _ => match stack.child(here, name) {
                Some(node) => {
                    let (layer, ino) = stack.file_id(&node);
                    self.found.push((name.to_vec(), node));
                    if let Kind::Symlink(target) = stack.index(layer).inode(ino).kind {
                        return Ok(Some(target));
                    }
                }
                None => self.missing.push(name.to_vec()),
            },
        }
        Ok(None)
    }

    fn path(&self) -> Vec<u8> {
        let names: Vec<&[u8]> = self
            .found
            .iter()
            .map(|(name, _)| name.as_slice())
            .chain(self.missing.iter().map(Vec::as_slice))
            .collect();
        names.join(&b'/')
    }

    fn finish(mut self) -> Resolved {
        let path = self.path();
        if !self.missing.is_empty() {
            return Resolved { path, node: None };
        }
        let node = self.found.pop().map_or_else(|| self.root.clone(), |(_, node)| node);
        Resolved { path, node: Some(node) }
    }
}

/// The components of a path, last first, empty ones left out.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).rev().map(<[u8]>::to_vec).collect()
}

fn os(path: &[u8]) -> PathBuf {
    OsStr::from_bytes(path).into()
}
