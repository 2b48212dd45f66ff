//! ADD of a local archive: its entries become the layer's.
//!
//! What counts as an archive is decided by content: it can be unpacked, and its first tar header can be
//! read. Entries land below the destination; symlinks on their way, the stage's and the archive's own, are
//! followed inside the root.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};

use super::super::StepError;
use super::super::context::join;
use super::landing::{Placed, What, conflict};
use crate::layer::{
    Content, EntryKind, Error, Kind, LayerWriter, Limits, Metadata, TarReader, decompress_archive,
};
use crate::rootfs::Stack;

/// How much of a file, unpacked, tells whether it is an archive, in bytes.
const START: usize = 64 << 10;

/// Whether `source` is an archive: of ADD, or as a context. One that is torn further behind is one.
pub(in crate::build) fn is_archive(source: Box<dyn Read + Send + '_>) -> bool {
    let Ok(mut plain) = decompress_archive(source) else { return false };
    let mut start = Vec::new();
    let mut block = [0; 512];
    while start.len() < START {
        match plain.read(&mut block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What is no packed stream after all, or torn, is judged by what came of it.
            Ok(0) | Err(_) => break,
            Ok(length) => start.extend_from_slice(&block[..length]),
        }
    }
    match TarReader::new(&start[..], Limits::default()).next_entry() {
        // A header with a right checksum whose entry cannot be taken: unpacking it says why.
        Ok(Some(_)) | Err(Error::Entry { .. }) => true,
        Ok(None) | Err(_) => false,
    }
}

/// Unpacks `source` below `dest`. `owner` replaces every entry's owner. `own` is what the layer has so far.
pub(super) fn unpack(
    source: Box<dyn Read + Send + '_>,
    dest: &[u8],
    owner: Option<(u32, u32)>,
    (stack, own): (&Stack, &mut Own),
    writer: &mut LayerWriter,
) -> Result<(), StepError> {
    let plain = decompress_archive(source)?;
    let mut reader = TarReader::new(plain, Limits::default());
    let paths = Paths { stack, dest, own };
    while let Some(entry) = reader.next_entry()? {
        let path = paths.locate(&entry.path)?;
        for parent in paths.missing_above(&path) {
            let (uid, gid) = owner.unwrap_or_default();
            let meta = Metadata { mode: 0o755, uid, gid, mtime: entry.meta.mtime, ..Metadata::default() };
            writer.append(&parent, &meta, Content::Directory)?;
            paths.own.insert(parent, Made::Directory);
        }
        let (uid, gid) = owner.unwrap_or((entry.meta.uid, entry.meta.gid));
        let meta = Metadata { uid, gid, ..entry.meta };
        if !path.is_empty() {
            paths.own.insert(path.clone(), Made::of(&entry.kind));
        }
        let target;
        let content = match &entry.kind {
            EntryKind::File { size } => Content::File { size: *size, data: &mut reader },
            EntryKind::Directory => Content::Directory,
            EntryKind::Symlink(to) => Content::Symlink(to),
            EntryKind::Hardlink(to) => {
                target = paths.locate(to)?;
                if !paths.own.contains_key(&target) {
                    // Nothing says that who reads the layer has what lies below it at hand.
                    return Err(conflict(
                        &entry.path,
                        &path,
                        "it is a hard link to what the archive does not have",
                    ));
                }
                Content::Hardlink(&target)
            }
            EntryKind::Char { major, minor } => Content::Char { major: *major, minor: *minor },
            EntryKind::Block { major, minor } => Content::Block { major: *major, minor: *minor },
            EntryKind::Fifo => Content::Fifo,
        };
        writer.append(&path, &meta, content)?;
    }
    Ok(())
}

/// What the instruction has made so far, by path.
pub(super) type Own = HashMap<Vec<u8>, Made>;

/// What is made at a path.
pub(super) enum Made {
    Directory,
    Symlink(Vec<u8>),
    Other,
}

impl Made {
    /// What was placed before any archive is unpacked.
    pub(super) fn by(placed: &BTreeMap<Vec<u8>, Placed>) -> Own {
        let made = |what: &What| match what {
            What::Directory => Self::Directory,
            What::Item(_, item) => Self::of(&item.kind),
            What::Text(_) => Self::Other,
        };
        placed.iter().map(|(path, placed)| (path.clone(), made(&placed.what))).collect()
    }

    fn of(kind: &EntryKind) -> Self {
        match kind {
            EntryKind::Directory => Self::Directory,
            EntryKind::Symlink(target) => Self::Symlink(target.clone()),
            _ => Self::Other,
        }
    }
}

/// Maps an archive's names to paths of the root.
struct Paths<'a> {
    stack: &'a Stack,
    dest: &'a [u8],
    own: &'a mut Own,
}

impl Paths<'_> {
    /// Where `name` lands: symlinks on its way are followed inside the root, the archive's own and the stage's.
    fn locate(&self, name: &[u8]) -> Result<Vec<u8>, StepError> {
        let mut pending = reversed(name);
        let last = pending.first().cloned().unwrap_or_default();
        pending.drain(..pending.len().min(1));
        let mut path = self.dest.to_vec();
        let mut links = 0;
        while let Some(component) = pending.pop() {
            if component == b".." {
                path.truncate(path.iter().rposition(|&b| b == b'/').unwrap_or(0));
                continue;
            }
            let next = join(&path, &component);
            let Some(target) = self.link_at(name, &next)? else {
                path = next;
                continue;
            };
            links += 1;
            if links > Stack::MAX_LINKS {
                return Err(conflict(name, &next, "too many levels of symbolic links"));
            }
            if target.starts_with(b"/") {
                path.clear();
            }
            pending.extend(reversed(&target));
        }
        Ok(if last.is_empty() { path } else { join(&path, &last) })
    }

    /// The directories above `path` that neither the instruction has made nor the stage has, outermost first.
    fn missing_above(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let ends = path.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(end, _)| &path[..end]);
        ends.filter(|parent| !self.own.contains_key(*parent) && !self.is_there(parent))
            .map(<[u8]>::to_vec)
            .collect()
    }

    fn is_there(&self, path: &[u8]) -> bool {
        let mut names = path.split(|&b| b == b'/');
        let root = self.stack.root();
        names.try_fold(root, |node, name| self.stack.child(&node, name)).is_some()
    }

    /// The target of the symlink at `path`, whose parents are none; `None` if a directory is there, or nothing.
    fn link_at(&self, name: &[u8], path: &[u8]) -> Result<Option<Vec<u8>>, StepError> {
        let no_directory = || conflict(name, path, "a parent is no directory");
        match self.own.get(path) {
            Some(Made::Directory) => return Ok(None),
            Some(Made::Symlink(target)) => return Ok(Some(target.clone())),
            Some(Made::Other) => return Err(no_directory()),
            None => {}
        }
        let mut node = self.stack.root();
        for component in path.split(|&b| b == b'/') {
            match self.stack.child(&node, component) {
                Some(child) => node = child,
                None => return Ok(None),
            }
        }
        match self.stack.inode(&node).kind {
            Kind::Directory => Ok(None),
            Kind::Symlink(target) => Ok(Some(target.to_vec())),
            _ => Err(no_directory()),
        }
    }
}

/// The components of a path, last first, without those that mean nothing.
fn reversed(path: &[u8]) -> Vec<Vec<u8>> {
    let components = path.split(|&b| b == b'/').filter(|name| !name.is_empty() && *name != b".");
    components.rev().map(<[u8]>::to_vec).collect()
}
