//! What COPY asks of a context, whatever its files lie in.

use std::io::{self, Read};
use std::time::SystemTime;

use super::super::StepError;
use super::super::copy::tree::Item;
use super::{Context, Files, join};
use crate::layer::EntryKind;
use crate::rootfs::Follow;

impl Context {
    /// What `path` leads to, symlinks followed within the context; `None` if it does not exist.
    pub(in crate::build) fn resolve(&self, path: &[u8]) -> Result<Option<Item>, StepError> {
        match &self.files {
            Files::Directory(directory) => {
                directory.resolve(path).map_err(|source| self.unreadable(path, source))
            }
            Files::Layers(stack) => {
                let found = stack.resolve(path, Follow::Last)?;
                Ok(found.node.map(|node| Item::of_node(stack, found.path, node)))
            }
        }
    }

    /// What is at the clean path `path`, which exists; no symlink is followed.
    pub(in crate::build) fn at(&self, path: &[u8]) -> Result<Item, StepError> {
        match &self.files {
            Files::Directory(directory) => {
                directory.item(path).map_err(|source| self.unreadable(path, source))
            }
            Files::Layers(stack) => {
                let missing = || self.unreadable(path, io::ErrorKind::NotFound.into());
                let found = stack.resolve(path, Follow::Parents)?;
                Ok(Item::of_node(stack, found.path, found.node.ok_or_else(missing)?))
            }
        }
    }

    /// The entries of a directory, sorted by name; hidden ones too.
    pub(in crate::build) fn children(&self, directory: &Item) -> Result<Vec<Item>, StepError> {
        match (&self.files, &directory.node) {
            (Files::Directory(own), _) => {
                own.children(&directory.path).map_err(|source| self.unreadable(&directory.path, source))
            }
            (Files::Layers(stack), Some(node)) => Ok(stack
                .read_dir(node)
                .into_iter()
                .map(|(name, node)| Item::of_node(stack, join(&directory.path, &name), node))
                .collect()),
            (Files::Layers(_), None) => unreachable!("an item of a stack has a node"),
        }
    }

    /// The digest of a file's bytes, which the directory remembers. `read` reads them all.
    pub(in crate::build) fn digest(
        &self,
        item: &Item,
        read: impl FnOnce(&mut dyn Read) -> io::Result<[u8; 32]>,
    ) -> Result<[u8; 32], StepError> {
        let unreadable = |source| self.unreadable(&item.path, source);
        let (Files::Directory(directory), Some(_)) = (&self.files, &item.stamp) else {
            return read(&mut *self.open(item)?).map_err(unreadable);
        };
        let mut file = directory.file(&item.path).map_err(unreadable)?;
        let began = SystemTime::now();
        let digest = read(&mut file).map_err(unreadable)?;
        directory.learn(item, &file, digest, began).map_err(unreadable)?;
        Ok(digest)
    }

    /// A file's bytes.
    pub(in crate::build) fn open(&self, file: &Item) -> Result<Box<dyn Read + Send + '_>, StepError> {
        match (&self.files, &file.node) {
            // It may be a socket, which cannot be opened.
            _ if file.kind == (EntryKind::File { size: 0 }) => Ok(Box::new(io::empty())),
            (Files::Directory(directory), _) => {
                let open = directory.file(&file.path);
                Ok(Box::new(open.map_err(|source| self.unreadable(&file.path, source))?))
            }
            (Files::Layers(stack), Some(node)) => Ok(stack.open(node)),
            (Files::Layers(_), None) => unreachable!("an item of a stack has a node"),
        }
    }

    /// The error of reading `path`.
    pub(in crate::build) fn unreadable(&self, path: &[u8], source: io::Error) -> StepError {
        StepError::Read { path: format!("{} of {}", String::from_utf8_lossy(path), self.name()), source }
    }
}
