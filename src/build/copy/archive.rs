//! ADD of a local archive: its entries become the layer's.
//!
//! What counts as an archive is decided by content: it can be unpacked, and its first tar header can be
//! read. Entries land below the destination; a symlink that the stage already has on their way is
//! followed inside the root, one that the archive itself made is not.

use std::collections::HashMap;
use std::io::{self, Read};

use super::super::StepError;
use super::super::context::join;
use super::landing::conflict;
use super::tree::{Item, Tree};
use crate::layer::{Content, EntryKind, Error, LayerWriter, Limits, Metadata, TarReader, decompress_archive};
use crate::rootfs::{Follow, Stack};

/// How much of a file, unpacked, tells whether it is an archive, in bytes.
const START: usize = 64 << 10;

/// Whether `item` is an archive that ADD unpacks. One that is torn further behind is one.
pub(super) fn is_archive(tree: &Tree<'_>, item: &Item) -> Result<bool, StepError> {
    if !matches!(item.kind, EntryKind::File { size } if size > 0) {
        return Ok(false);
    }
    Ok(begins_a_tar(tree.open(item)?))
}

/// Whether `file`, unpacked if it is packed, begins with a tar header.
pub(super) fn begins_a_tar(file: Box<dyn Read + Send + '_>) -> bool {
    let Ok(mut plain) = decompress_archive(file) else { return false };
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

/// Unpacks `item` below `dest`. `owner` replaces every entry's owner.
pub(super) fn unpack(
    tree: &Tree<'_>,
    item: &Item,
    dest: &[u8],
    owner: Option<(u32, u32)>,
    stack: &Stack,
    writer: &mut LayerWriter,
) -> Result<(), StepError> {
    let plain = decompress_archive(tree.open(item)?)?;
    let mut reader = TarReader::new(plain, Limits::default());
    let mut paths = Paths { stack, dest, own: HashMap::new() };
    while let Some(entry) = reader.next_entry()? {
        let path = paths.locate(&entry.path)?;
        let (uid, gid) = owner.unwrap_or((entry.meta.uid, entry.meta.gid));
        let meta = Metadata { uid, gid, ..entry.meta };
        let is_directory = entry.kind == EntryKind::Directory;
        if !path.is_empty() {
            paths.own.insert(path.clone(), is_directory);
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

/// Maps an archive's names to paths of the root.
struct Paths<'a> {
    stack: &'a Stack,
    dest: &'a [u8],
    /// What the archive has made so far: whether it is a directory.
    own: HashMap<Vec<u8>, bool>,
}

impl Paths<'_> {
    fn locate(&self, name: &[u8]) -> Result<Vec<u8>, StepError> {
        let mut parents: Vec<&[u8]> = name.split(|&b| b == b'/').collect();
        let last = parents.pop().unwrap_or_default();
        let mut path = self.dest.to_vec();
        for parent in parents {
            let next = join(&path, parent);
            path = match self.own.get(&next) {
                Some(true) => next,
                Some(false) => {
                    return Err(conflict(name, &next, "the archive made this parent no directory"));
                }
                None => self.stack.resolve(&next, Follow::Last)?.path,
            };
        }
        Ok(if last.is_empty() { path } else { join(&path, last) })
    }
}
