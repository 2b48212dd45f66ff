//! A tar as a context: checked and indexed in one pass, and read as a layer from then on. Nothing is unpacked.
//!
//! Its files have no name on disk once they are open, so there is nothing to remove, however the build ends. Names, links
//! and sizes meet the bounds of every tar from outside ([`Limits`]); what a link leads to is looked for inside the
//! context, and a device is a row of the index.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::super::StepError;
use super::super::copy::is_archive;
use super::super::elsewhere::Access;
use super::text_of;
use crate::layer::{
    Content, EntryKind, Index, Ino, Kind, Layer, LayerWriter, Limits, Metadata, TarReader, decompress_archive,
};
use crate::progress::Event;
use crate::rootfs::Stack;
use crate::store::TmpFile;

/// What is read of a stream at once, in bytes.
const PIECE: usize = 128 << 10;

/// What a file holds.
pub(super) enum Read {
    /// The root directory of an archive.
    Stack(Stack),
    /// A text, which is no archive.
    Text(String),
}

/// All of `source` in a file. `name` is what messages call it.
pub(super) fn received(
    access: &Access<'_>,
    mut source: Box<dyn io::Read + Send + '_>,
    name: &str,
) -> Result<TmpFile, StepError> {
    let at = |source| StepError::Read { path: name.to_owned(), source };
    let file = access.store.tmp_file()?;
    let (mut piece, mut size) = (vec![0; PIECE], 0);
    loop {
        if access.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        match source.read(&mut piece) {
            Ok(0) => return Ok(file),
            Ok(length) => {
                size += length as u64;
                if size > access.web.limit {
                    return Err(at(io::Error::other(format!("longer than {} bytes", access.web.limit))));
                }
                file.file()
                    .write_all(&piece[..length])
                    .map_err(|source| StepError::Read { path: file.path().display().to_string(), source })?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if access.cancel.is_cancelled() => return Err(StepError::Cancelled),
            Err(error) => return Err(at(error)),
        }
    }
}

/// Reads `file` from its start.
pub(super) fn read(access: &Access<'_>, file: &File, name: &str) -> Result<Read, StepError> {
    let start = || FromStart { file, at: 0, access };
    if !is_archive(Box::new(start())) {
        let neither =
            |why| StepError::Invalid(format!("{name} is neither a tar archive nor a Dockerfile: {why}"));
        return match text_of(start()) {
            _ if access.cancel.is_cancelled() => Err(StepError::Cancelled),
            Ok(text) if text.contains('\0') => Err(neither("it has a NUL byte".to_owned())),
            Ok(text) if text.trim().is_empty() => Err(neither("it is empty".to_owned())),
            Ok(text) => Ok(Read::Text(text)),
            Err(why) => Err(neither(why.to_string())),
        };
    }
    match lay(access, start(), name) {
        Err(_) if access.cancel.is_cancelled() => Err(StepError::Cancelled),
        Err(StepError::Layer(source)) => Err(StepError::Archive { path: name.to_owned(), source }),
        outcome => Ok(Read::Stack(outcome?)),
    }
}

/// Makes a layer of a tar.
fn lay(access: &Access<'_>, source: FromStart<'_>, name: &str) -> Result<Stack, StepError> {
    let tar = access.store.tmp_file()?;
    let at = |source| StepError::Read { path: tar.path().display().to_string(), source };
    let mut reader = TarReader::new(decompress_archive(Box::new(source))?, Limits::default());
    let mut writer = LayerWriter::create(tar.file().try_clone().map_err(at)?);
    let mut left_out = 0;
    while let Some(entry) = reader.next_entry()? {
        if entry.path.split(|&b| b == b'/').any(|name| name.starts_with(b".wh.")) {
            left_out += 1;
            continue;
        }
        let meta = own(entry.meta);
        let content = match &entry.kind {
            EntryKind::File { size } => Content::File { size: *size, data: &mut reader },
            EntryKind::Directory => Content::Directory,
            EntryKind::Symlink(to) => Content::Symlink(to),
            EntryKind::Hardlink(to) => Content::Hardlink(to),
            EntryKind::Char { major, minor } => Content::Char { major: *major, minor: *minor },
            EntryKind::Block { major, minor } => Content::Block { major: *major, minor: *minor },
            EntryKind::Fifo => Content::Fifo,
        };
        writer.append(&entry.path, &meta, content)?;
    }
    if left_out > 0 {
        let text = format!(
            "{name}: {left_out} entries are left out whose names begin with .wh., because a layer means something else by them"
        );
        access.sink.event(Event::Warning(text));
    }
    let written = writer.finish()?;
    let index = Index::from_bytes(written.index)?;
    if let Some(target) = missing(&index) {
        let why = format!(
            "{name}: a hard link leads to {target:?}, which is no file that the archive has before it"
        );
        return Err(StepError::Invalid(why));
    }
    let layer = Layer {
        diff_id: written.diff_id,
        size: written.size,
        index,
        tar: tar.file().try_clone().map_err(at)?,
    };
    Ok(Stack::new(vec![Arc::new(layer)]))
}

/// What of an entry counts: users' own attributes and file capabilities, as in a directory, and nobody's ids.
fn own(meta: Metadata) -> Metadata {
    let mut xattrs = meta.xattrs;
    xattrs.retain(|name, _| name.starts_with(b"user.") || name == b"security.capability");
    Metadata { uid: 0, gid: 0, xattrs, ..meta }
}

/// What a hard link leads to that the archive does not have.
fn missing(index: &Index) -> Option<String> {
    (0..index.inodes()).find_map(|ino| match index.inode(Ino(ino)).kind {
        Kind::LinkBelow(target) => Some(String::from_utf8_lossy(target).into_owned()),
        _ => None,
    })
}

/// A file from its start, for as long as nobody cancels.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
    access: &'a Access<'a>,
}

impl io::Read for FromStart<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.access.cancel.is_cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        let length = self.file.read_at(buf, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}
