//! One COPY or ADD, worked out: what it reads and where everything lands; and the layer written from it.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;

use super::super::StepError;
use super::archive::{self, Made, Own};
use super::checked::Checked;
use super::landing::{Placed, Source, What};
use super::tree::{Item, Tree};
use super::words::blame;
use crate::layer::{Content, EntryKind, Error, Fault, LayerWriter, Written};
use crate::rootfs::Stack;

/// A COPY or ADD that is ready to be hashed or written.
pub(super) struct Work {
    /// What [`Source`] counts.
    pub trees: Vec<Tree>,
    /// By path, so parents come first.
    pub placed: BTreeMap<Vec<u8>, Placed>,
    /// Archives to unpack, and where.
    pub archives: Vec<Archive>,
    /// `--chown`.
    pub owner: Option<(u32, u32)>,
    /// The root that it lands in, as far as it looks at it: that of the stage, or with `--link` an empty one.
    pub stack: Stack,
}

/// Digests of files, each by the number of its tree and its path there.
pub(super) type BySource = HashMap<(usize, Vec<u8>), [u8; 32]>;

/// An archive to unpack.
pub(super) struct Archive {
    pub source: Source,
    pub item: Item,
    /// How the instruction names it.
    pub word: String,
    /// Where to.
    pub dest: Vec<u8>,
}

impl Archive {
    fn blamed(&self, error: StepError) -> StepError {
        let path = String::from_utf8_lossy(&self.item.path).into_owned();
        blame(&self.word)(match error {
            StepError::Layer(source) => StepError::Archive { path, source },
            error => error,
        })
    }
}

impl Work {
    /// The files whose bytes count, in the order of `placed` and then of `archives`.
    pub(super) fn files(&self) -> impl Iterator<Item = (&Tree, &Item)> {
        self.sources().map(|(source, item)| (&self.trees[source.tree], item))
    }

    /// The same, and where each comes from.
    fn sources(&self) -> impl Iterator<Item = (Source, &Item)> {
        let placed = self.placed.values().filter_map(|placed| match &placed.what {
            What::Item(source, item) if matches!(item.kind, EntryKind::File { .. }) => {
                Some((*source, &**item))
            }
            _ => None,
        });
        placed.chain(self.archives.iter().map(|archive| (archive.source, &archive.item)))
    }

    /// The digests of its files, by where they come from.
    pub(super) fn by_source(&self, digests: &[[u8; 32]]) -> BySource {
        let places = self.sources().map(|(source, item)| (source.tree, item.path.clone()));
        places.zip(digests.iter().copied()).collect()
    }

    /// The digests that `known` has of its files, in their order. Errors with [`StepError::Changed`] if it has none of one.
    pub(super) fn expected(&self, known: &BySource) -> Result<Vec<[u8; 32]>, StepError> {
        let of = |(source, item): (Source, &Item)| {
            let changed = || StepError::Changed {
                path: String::from_utf8_lossy(&item.path).into_owned(),
                tree: self.trees[source.tree].name().to_owned(),
            };
            known.get(&(source.tree, item.path.clone())).copied().ok_or_else(changed)
        };
        self.sources().map(of).collect()
    }

    /// Writes the layer of the files that `digests` tells of. Errors with [`StepError::Changed`] if one has other bytes by
    /// now.
    pub(super) fn write(&self, tar: File, digests: &[[u8; 32]]) -> Result<Written, StepError> {
        let mut writer = LayerWriter::create(tar);
        let mut links: HashMap<(Source, u64, u64), &[u8]> = HashMap::new();
        let mut digests = digests.iter();
        let mut expected = || digests.next().expect("there is a digest for each file");
        for (path, placed) in &self.placed {
            match &placed.what {
                What::Directory => writer.append(path, &placed.meta, Content::Directory)?,
                What::Text(body) => {
                    let content = Content::File { size: body.len() as u64, data: &mut &body[..] };
                    writer.append(path, &placed.meta, content)?;
                }
                What::Item(source, item) => {
                    let is_file = matches!(item.kind, EntryKind::File { .. });
                    let expected = is_file.then(&mut expected);
                    let link = item.link.map(|(device, inode)| (*source, device, inode));
                    if let Some(first) = link.and_then(|link| links.get(&link)) {
                        writer.append(path, &placed.meta, Content::Hardlink(first))?;
                    } else {
                        item_into(&mut writer, &self.trees[source.tree], path, placed, item, expected)?;
                        links.extend(link.map(|link| (link, &path[..])));
                    }
                }
            }
        }
        let mut own = if self.archives.is_empty() { Own::new() } else { Made::by(&self.placed) };
        for archive in &self.archives {
            let tree = &self.trees[archive.source.tree];
            let read = Checked::open(tree, &archive.item)?;
            let (source, on) = (Box::new(read.clone()), (&self.stack, &mut own));
            archive::unpack(source, &archive.dest, self.owner, on, &mut writer)
                .map_err(|error| archive.blamed(error))?;
            read.expect(expected())?;
        }
        Ok(writer.finish()?)
    }
}

fn item_into(
    writer: &mut LayerWriter,
    tree: &Tree,
    path: &[u8],
    placed: &Placed,
    item: &Item,
    expected: Option<&[u8; 32]>,
) -> Result<(), StepError> {
    let content = match &item.kind {
        EntryKind::File { size } => {
            let mut read = Checked::open(tree, item)?;
            let content = Content::File { size: *size, data: &mut read };
            return match (writer.append(path, &placed.meta, content), expected) {
                (Ok(()), Some(expected)) => read.expect(expected),
                (Err(Error::Append { fault: Fault::Short { .. } | Fault::Long { .. }, .. }), _) => {
                    Err(read.changed())
                }
                (outcome, _) => Ok(outcome?),
            };
        }
        EntryKind::Symlink(target) => Content::Symlink(target),
        EntryKind::Char { major, minor } => Content::Char { major: *major, minor: *minor },
        EntryKind::Block { major, minor } => Content::Block { major: *major, minor: *minor },
        EntryKind::Fifo => Content::Fifo,
        EntryKind::Directory | EntryKind::Hardlink(_) => unreachable!("a tree's leaf is neither"),
    };
    Ok(writer.append(path, &placed.meta, content)?)
}
