//! One COPY or ADD, worked out: what it reads and where everything lands; and the layer written from it.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;

use super::super::StepError;
use super::archive;
use super::landing::{Placed, What};
use super::tree::{Item, Tree};
use crate::layer::{Content, EntryKind, LayerWriter, Written};
use crate::rootfs::Stack;

/// A COPY or ADD that is ready to be hashed or written.
pub(super) struct Work<'a> {
    pub tree: Tree<'a>,
    /// By path, so parents come first.
    pub placed: BTreeMap<Vec<u8>, Placed>,
    /// Archives to unpack, and where.
    pub archives: Vec<(Vec<u8>, Item)>,
    /// `--chown`.
    pub owner: Option<(u32, u32)>,
}

impl Work<'_> {
    /// The files whose bytes count, in the order of `placed` and then of `archives`.
    pub(super) fn files(&self) -> impl Iterator<Item = &Item> {
        let placed = self.placed.values().filter_map(|placed| match &placed.what {
            What::Item(item) if matches!(item.kind, EntryKind::File { .. }) => Some(item),
            _ => None,
        });
        placed.chain(self.archives.iter().map(|(_, item)| item))
    }

    /// Writes the layer.
    pub(super) fn write(&self, stack: &Stack, tar: File) -> Result<Written, StepError> {
        let mut writer = LayerWriter::create(tar);
        let mut links: HashMap<(u64, u64), &[u8]> = HashMap::new();
        for (path, placed) in &self.placed {
            match &placed.what {
                What::Directory => writer.append(path, &placed.meta, Content::Directory)?,
                What::Text(body) => {
                    let content = Content::File { size: body.len() as u64, data: &mut &body[..] };
                    writer.append(path, &placed.meta, content)?;
                }
                What::Item(item) => {
                    if let Some(first) = item.link.and_then(|link| links.get(&link)) {
                        writer.append(path, &placed.meta, Content::Hardlink(first))?;
                    } else {
                        self.item(&mut writer, path, placed, item)?;
                        links.extend(item.link.map(|link| (link, &path[..])));
                    }
                }
            }
        }
        for (dest, item) in &self.archives {
            archive::unpack(&self.tree, item, dest, self.owner, stack, &mut writer)?;
        }
        Ok(writer.finish()?)
    }

    fn item(
        &self,
        writer: &mut LayerWriter,
        path: &[u8],
        placed: &Placed,
        item: &Item,
    ) -> Result<(), StepError> {
        let mut data;
        let content = match &item.kind {
            EntryKind::File { size } => {
                data = self.tree.open(item)?;
                Content::File { size: *size, data: &mut data }
            }
            EntryKind::Symlink(target) => Content::Symlink(target),
            EntryKind::Char { major, minor } => Content::Char { major: *major, minor: *minor },
            EntryKind::Block { major, minor } => Content::Block { major: *major, minor: *minor },
            EntryKind::Fifo => Content::Fifo,
            EntryKind::Directory | EntryKind::Hardlink(_) => unreachable!("a tree's leaf is neither"),
        };
        Ok(writer.append(path, &placed.meta, content)?)
    }
}
