//! Digests of what a COPY or ADD reads: of the bytes, and of what tells that they are the same.

use std::collections::HashMap;
use std::io::{self, Read};

use rayon::prelude::*;

use super::super::StepError;
use super::Request;
use super::landing::{Placed, Source, What};
use super::remote::Identified;
use super::tree::{Item, Tree};
use super::work::{Archive, Work};
use crate::dockerfile;
use crate::layer::EntryKind;

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
    let files = all
        .par_iter()
        .map(|(tree, item)| tree.digest(item, |source| read(source, item)))
        .collect::<Result<Vec<_>, _>>()?;
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
    Ok(Digests { content: hasher.finish(), files })
}

/// A digest of what the sources stand for, and of who is to own them where the key's parent does not say; `None` if one is
/// a file of this machine, which is known only when it has been looked at. `layers` is what
/// `--from` names, if that is a stage or an image.
pub(super) fn named(
    request: &Request<'_>,
    remotes: &[Option<Identified>],
    layers: Option<&str>,
    owner: Option<(u32, u32)>,
) -> Option<[u8; 32]> {
    let mut fields = Fields::default();
    fields.field(format!("{owner:?}").as_bytes());
    for (remote, source) in remotes.iter().zip(&request.copy.sources) {
        match (remote, source, layers) {
            (Some(remote), ..) => {
                fields.field(b"remote");
                fields.field(remote.identity().as_bytes());
            }
            (None, dockerfile::Source::Heredoc(heredoc), _) => {
                fields.field(b"text");
                fields.field(heredoc.name.as_bytes());
                fields.field(heredoc.body.as_bytes());
            }
            // The path in it is a word of the instruction.
            (None, dockerfile::Source::Path(_), Some(chain)) => {
                fields.field(b"layers");
                fields.field(chain.as_bytes());
            }
            (None, dockerfile::Source::Path(_), None) => return None,
        }
    }
    Some(fields.finish())
}

/// A hash over fields that cannot run into each other.
#[derive(Default)]
struct Fields {
    hasher: blake3::Hasher,
    /// What is not hashed yet: the hash is many times as fast over pieces of some length.
    piece: Vec<u8>,
}

impl Fields {
    const PIECE: usize = 16 << 10;

    fn field(&mut self, bytes: &[u8]) {
        self.piece.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= Self::PIECE {
            self.hasher.update(&self.piece);
            self.piece.clear();
        }
    }

    fn finish(mut self) -> [u8; 32] {
        self.hasher.update(&self.piece);
        self.hasher.finalize().into()
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
            What::Item(_, item) => self.kind(&item.kind),
        }
    }

    fn kind(&mut self, kind: &EntryKind) {
        match kind {
            EntryKind::File { size } => {
                self.field(b"file");
                self.field(&size.to_le_bytes());
            }
            EntryKind::Symlink(target) => {
                self.field(b"symlink");
                self.field(target);
            }
            // Debug names the kind with its device number.
            other => self.field(format!("{other:?}").as_bytes()),
        }
    }
}

fn read(source: &mut dyn Read, item: &Item) -> io::Result<[u8; 32]> {
    let size = match item.kind {
        EntryKind::File { size } => usize::try_from(size).unwrap_or(CHUNK),
        _ => 0,
    };
    let mut buffer = vec![0; size.clamp(1, CHUNK)];
    let mut hasher = blake3::Hasher::new();
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            length => hasher.update(&buffer[..length]),
        };
    }
}
