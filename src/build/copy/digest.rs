//! Digests of what a COPY or ADD reads: of the bytes, and of what tells that they did not change.

use std::collections::HashMap;
use std::io::Read;
use std::time::{Duration, SystemTime};

use rayon::prelude::*;

use super::super::StepError;
use super::landing::{Placed, Source, What};
use super::tree::{Item, Tree};
use super::work::{Archive, Work};
use crate::layer::EntryKind;

/// A file changed less than this long ago may change again without a trace in its times: the coarsest
/// clock of a file system people build on (FAT) ticks every two seconds.
const YOUNG: Duration = Duration::from_secs(2);

/// Read this much of a file at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// What a COPY or ADD reads.
pub(in crate::build) struct Digests {
    /// Over path, type, mode, owner, extended attributes and bytes; modification times do not count.
    pub content: [u8; 32],
    /// Of the bytes of each file, in the order of [`Work::files`]: what was hashed is what has to be written.
    pub(super) files: Vec<[u8; 32]>,
}

/// Reads all files.
pub(super) fn content(work: &Work) -> Result<Digests, StepError> {
    let all: Vec<(&Tree, &Item)> = work.files().collect();
    let files = all.par_iter().map(|(tree, item)| file(tree, item)).collect::<Result<Vec<_>, _>>()?;
    let mut digests = files.iter();
    let mut hasher = Fields::default();
    // Two names of one file are the same layer only if they are linked the same way.
    let mut links: HashMap<(Source, u64, u64), &[u8]> = HashMap::new();
    for (path, placed) in &work.placed {
        hasher.entry(path, placed);
        if let What::Item(source, item) = &placed.what {
            if let EntryKind::File { .. } = item.kind {
                hasher.field(digests.next().expect("there is a digest for each file"));
            }
            if let Some((device, inode)) = item.link {
                hasher.field(links.entry((*source, device, inode)).or_insert(path));
            }
        }
    }
    for archive in &work.archives {
        hasher.archive(archive, work);
        hasher.field(digests.next().expect("there is a digest for each file"));
    }
    Ok(Digests { content: hasher.0.finalize().into(), files })
}

/// The digest over what tells that nothing was touched; `None` where a file is too young to tell, or was just fetched.
pub(super) fn quick(work: &Work, source: &str) -> Option<[u8; 32]> {
    if work.trees.iter().any(Tree::is_fresh) {
        return None;
    }
    let young = SystemTime::now().checked_sub(YOUNG)?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let mut hasher = Fields::default();
    hasher.field(source.as_bytes());
    for (path, placed) in &work.placed {
        hasher.entry(path, placed);
        if let What::Item(_, item) = &placed.what {
            hasher.identity(item, young)?;
        }
    }
    for archive in &work.archives {
        hasher.archive(archive, work);
        hasher.identity(&archive.item, young)?;
    }
    Some(hasher.0.finalize().into())
}

/// A hash over fields that cannot run into each other.
#[derive(Default)]
struct Fields(blake3::Hasher);

impl Fields {
    fn field(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Where an archive goes and whose it becomes. Its bytes are another field.
    fn archive(&mut self, archive: &Archive, work: &Work) {
        self.field(&archive.dest);
        self.field(format!("{:?}", work.owner).as_bytes());
    }

    fn entry(&mut self, path: &[u8], placed: &Placed) {
        let meta = &placed.meta;
        self.field(path);
        for number in [meta.mode, meta.uid, meta.gid] {
            self.field(&number.to_le_bytes());
        }
        self.field(&(meta.xattrs.len() as u64).to_le_bytes());
        for (name, value) in &meta.xattrs {
            self.field(name);
            self.field(value);
        }
        match &placed.what {
            What::Directory => self.field(b"directory"),
            What::Text(body) => {
                self.field(b"text");
                self.field(body);
            }
            // Debug names the kind with its size, link target or device number.
            What::Item(_, item) => self.field(format!("{:?}", item.kind).as_bytes()),
        }
    }

    fn identity(&mut self, item: &Item, young: u64) -> Option<()> {
        self.field(&item.path);
        if let Some(stamp) = item.stamp {
            let newest = stamp.ctime.0.max(item.meta.mtime.secs);
            if u64::try_from(newest).is_ok_and(|newest| newest >= young) {
                return None;
            }
            for number in [stamp.device, stamp.inode] {
                self.field(&number.to_le_bytes());
            }
            let mtime = item.meta.mtime;
            for number in [stamp.ctime.0, stamp.ctime.1, mtime.secs, mtime.nanos.into()] {
                self.field(&number.to_le_bytes());
            }
        }
        Some(())
    }
}

fn file(tree: &Tree, item: &Item) -> Result<[u8; 32], StepError> {
    let mut source = tree.open(item)?;
    let size = match item.kind {
        EntryKind::File { size } => usize::try_from(size).unwrap_or(CHUNK),
        _ => 0,
    };
    let mut buffer = vec![0; size.clamp(1, CHUNK)];
    let mut hasher = blake3::Hasher::new();
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(source) => return Err(tree.unreadable(&item.path, source)),
        };
    }
}
