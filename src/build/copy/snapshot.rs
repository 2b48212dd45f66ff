//! What a RUN is shown of a tree: one directory or file, read by the rules of COPY.
//!
//! Of the context that is a layer of its own, not the host's directory: so the ignore file holds, files are root's, a link
//! leads nowhere but into the context, and whoever changes the context meanwhile changes nothing of it.

use std::fs::File;
use std::sync::OnceLock;

use super::super::StepError;
use super::digest::Digests;
use super::landing::{Destination, Landing, Rules, Source};
use super::table::Table;
use super::tree::{Found, Tree, clean};
use super::work::Work;
use super::{digest, now, table};
use crate::dockerfile::IgnoreFile;
use crate::layer::{EntryKind, Written};
use crate::rootfs::Stack;

/// A directory or file of a tree.
pub(in crate::build) struct Snapshot {
    work: Work,
    digests: OnceLock<Digests>,
    /// Where it is in its tree, without symlinks.
    path: Vec<u8>,
}

impl Snapshot {
    /// Where the layer of a snapshot has it.
    pub(in crate::build) const PATH: &'static str = "snapshot";

    /// What `source` leads to. Errors with [`StepError::NoSource`] if that is nothing, or hidden.
    pub(in crate::build) fn of(tree: Tree, source: &str) -> Result<Self, StepError> {
        let wanted = clean(source);
        let missing = |ignored| {
            let (pattern, tree) = (source.to_owned(), tree.name().to_owned());
            StepError::NoSource { pattern, tree, ignored, close: String::new() }
        };
        let item = tree.resolve(wanted.as_bytes())?.ok_or_else(|| missing(false))?;
        if tree.hides(wanted.as_bytes(), &item) {
            return Err(missing(true));
        }
        let (path, is_directory) = (item.path.clone(), item.kind == EntryKind::Directory);
        let dest = Destination { path: Self::PATH.into(), is_directory };
        let rules = Rules { owner: None, chmod: None, exclude: IgnoreFile::default(), now: now() };
        let (nothing, trees) = (Stack::new(Vec::new()), vec![tree]);
        let mut landing = Landing::new(&nothing, &trees, &rules);
        landing.copy(Source { tree: 0, part: (0, 0) }, Found { name: Self::PATH.into(), item }, &dest)?;
        let placed = landing.placed;
        let work = Work { trees, placed, archives: Vec::new(), owner: None, stack: nothing };
        Ok(Self { work, digests: OnceLock::new(), path })
    }

    /// Where it is in its tree, without symlinks.
    pub(in crate::build) fn path(&self) -> &[u8] {
        &self.path
    }

    /// A digest over path, type, mode, owner, extended attributes and bytes, as they are when this is first called.
    pub(in crate::build) fn content(&self) -> Result<[u8; 32], StepError> {
        Ok(self.digests()?.content)
    }

    /// Writes it as a layer. Errors with [`StepError::Changed`] if it has other bytes than [`Snapshot::content`] told.
    pub(in crate::build) fn write(&self, tar: File) -> Result<Written, StepError> {
        self.work.write(tar, &self.digests()?.files)
    }

    /// What it holds, path by path.
    pub(in crate::build) fn table(&self) -> Result<Table, StepError> {
        Ok(table::of(&self.work, self.digests()?))
    }

    fn digests(&self) -> Result<&Digests, StepError> {
        if let Some(digests) = self.digests.get() {
            return Ok(digests);
        }
        let digests = digest::content(&self.work)?;
        Ok(self.digests.get_or_init(|| digests))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use super::super::super::context::Context;
    use super::*;

    /// What becomes of a file between the two times that it is read.
    type Change = fn(&Path);

    #[test]
    fn what_was_hashed_is_written_or_nothing_is() {
        let rows: [(&str, Change, bool); 6] = [
            ("nothing", |_| {}, true),
            ("another file", |path| fs::write(path.with_file_name("g"), "gg").unwrap(), true),
            // same length, same times: only its bytes tell
            (
                "other bytes",
                |path| {
                    let times = fs::metadata(path).unwrap().modified().unwrap();
                    fs::write(path, "ab").unwrap();
                    fs::File::options().write(true).open(path).unwrap().set_modified(times).unwrap();
                },
                false,
            ),
            ("longer", |path| fs::write(path, "aaa").unwrap(), false),
            ("shorter", |path| fs::write(path, "a").unwrap(), false),
            ("empty", |path| fs::write(path, "").unwrap(), false),
        ];
        for (row, change, same) in rows {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("f");
            fs::write(&path, "aa").unwrap();
            let context = Arc::new(Context::of_directory(directory.path(), "the context").unwrap());
            let snapshot = Snapshot::of(Tree::Context(context), "/").unwrap();
            let content = snapshot.content().unwrap();
            change(&path);
            assert_eq!(snapshot.content().unwrap(), content, "{row}: one digest for its whole life");
            let written = snapshot.write(tempfile::tempfile().unwrap());
            assert_eq!(written.is_ok(), same, "{row}");
            if let Err(error) = written {
                let told = error.to_string();
                assert!(told.starts_with("f of the context: changed while it was copied"), "{row}: {told}");
            }
        }
    }
}
