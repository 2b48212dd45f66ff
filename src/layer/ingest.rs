//! From a tar to a layer in one pass: copied, hashed and indexed while it streams.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::members::Members;
use super::spool::Spool;
use super::tape::Tape;
use super::tree::Tree;
use super::{Error, Limits, Written};
use crate::oci::DiffId;

/// Copies an uncompressed tar stream verbatim to `tar` (from its start), hashing and indexing on the way. The caller
/// decompresses (see [`super::decompress`]) and compares `diff_id`.
///
/// Bytes behind the end of the archive belong to the layer's digest and are kept.
pub fn ingest(source: &mut dyn Read, tar: File, limits: &Limits) -> Result<Written, Error> {
    read_through(Tape::new(source, Spool::write_to(tar)), limits)
}

/// The same for a tar that is already on disk (rebuilding a lost index).
pub fn reindex(tar: &File, limits: &Limits) -> Result<Written, Error> {
    read_through(Tape::new(FromStart { file: tar, at: 0 }, Spool::hash_only()), limits)
}

fn read_through<R: Read>(tape: Tape<R>, limits: &Limits) -> Result<Written, Error> {
    let mut members = Members::new(tape, limits.clone());
    let mut tree = Tree::new(limits.index);
    let mut entries = 0;
    while let Some(member) = members.next()? {
        tree.insert(&member.entry, &member.data).map_err(|fault| members.refuse(fault))?;
        entries += 1;
    }
    let (digest, size) = members.into_tape()?.finish();
    let diff_id = DiffId(digest);
    Ok(Written { diff_id, size, entries, index: tree.finish(diff_id, size) })
}

/// Reads a file from its start without moving its offset, which other descriptors may share.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buf, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
