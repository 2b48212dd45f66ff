//! From the tree to a layer.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::below::{carried, decode_device};
use super::plan::{Change, What};
use super::tree::{Id, Kind, Tree};
use super::{Errno, Overlay};
use crate::layer::{Content, LayerWriter, Metadata, Written};
use crate::rootfs::Error;

impl Overlay {
    /// Writes what changed into `tar`. `ignore`: stubs made for the step.
    pub fn freeze(&self, tar: File, ignore: &[PathBuf]) -> Result<Written, Error> {
        let changes = {
            let mut tree = self.tree_mut();
            if let Some((id, error)) = tree.lost {
                return Err(lost(id, error).into());
            }
            tree.drop_stubs(ignore).map_err(io::Error::from)?;
            tree.changes()?
        };
        let mut writer = LayerWriter::create(tar);
        let mut written = HashMap::new();
        for change in &changes {
            self.write_change(&mut writer, change, &mut written)?;
        }
        Ok(writer.finish()?)
    }

    fn write_change<'a>(
        &self,
        writer: &mut LayerWriter,
        change: &'a Change,
        written: &mut HashMap<Id, &'a [u8]>,
    ) -> Result<(), Error> {
        let path = change.path.as_slice();
        match change.what {
            What::Whiteout => Ok(writer.whiteout(path)?),
            What::Opaque(id) => {
                self.write_inode(writer, path, id)?;
                Ok(writer.opaque(path)?)
            }
            What::Inode(id) => {
                if let Some(first) = written.get(&id) {
                    return Ok(writer.append(path, &self.metadata(id)?, Content::Hardlink(first))?);
                }
                if self.write_inode(writer, path, id)? == Entered::Yes {
                    written.insert(id, path);
                }
                Ok(())
            }
        }
    }

    fn write_inode(&self, writer: &mut LayerWriter, path: &[u8], id: Id) -> Result<Entered, Error> {
        let meta = self.metadata(id)?;
        let tree = self.tree();
        let content = match &tree.inode(id).map_err(io::Error::from)?.kind {
            Kind::Directory(_) => Content::Directory,
            Kind::Symlink(target) => Content::Symlink(target),
            Kind::Fifo => Content::Fifo,
            Kind::Char(device) => {
                let (major, minor) = decode_device(*device);
                Content::Char { major, minor }
            }
            Kind::Block(device) => {
                let (major, minor) = decode_device(*device);
                Content::Block { major, minor }
            }
            // A tar has no word for a socket; whoever bound it is gone.
            Kind::Socket => return Ok(Entered::No),
            Kind::File(data) => {
                let size = data.size();
                drop(tree);
                let mut data = FileReader { overlay: self, id, offset: 0 };
                writer.append(path, &meta, Content::File { size, data: &mut data })?;
                return Ok(Entered::Yes);
            }
        };
        writer.append(path, &meta, content)?;
        Ok(Entered::Yes)
    }

    fn metadata(&self, id: Id) -> Result<Metadata, Error> {
        let mut tree = self.tree_mut();
        let xattrs = carried(tree.xattrs(id).map_err(io::Error::from)?.clone());
        let inode = tree.inode(id).map_err(io::Error::from)?;
        Ok(Metadata { mode: inode.mode, uid: inode.uid, gid: inode.gid, mtime: inode.mtime, xattrs })
    }
}

/// Whether the layer has the inode now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entered {
    Yes,
    No,
}

impl Tree {
    /// The longest first: a directory is unused once the stubs in it are gone.
    fn drop_stubs(&mut self, ignore: &[PathBuf]) -> Result<(), Errno> {
        let mut stubs: Vec<&[u8]> = ignore.iter().map(|path| path.as_os_str().as_bytes()).collect();
        stubs.sort_by_key(|path| std::cmp::Reverse(path.len()));
        stubs.into_iter().try_for_each(|path| self.drop_stub(path))
    }
}

/// A file's bytes as a stream. Whoever reads brings a large buffer.
struct FileReader<'a> {
    overlay: &'a Overlay,
    id: Id,
    offset: u64,
}

impl Read for FileReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.overlay.read(self.id, self.offset, buffer)?;
        self.offset += count as u64;
        Ok(count)
    }
}

fn lost(id: Id, error: Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::new(error.kind(), format!("inode {id}: a mapped write could not be stored: {error}"))
}
