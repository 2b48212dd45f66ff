//! Where COPY and ADD read from, and which of it a source word names.

use std::io::{self, Read};
use std::sync::Arc;

use super::super::StepError;
use super::super::context::Context;
use super::super::elsewhere::Body;
use crate::dockerfile::{PathPattern, did_you_mean, glob};
use crate::layer::{EntryKind, Kind, Metadata};
use crate::rootfs::{Node, Stack};
use crate::store::FileStamp;

/// A tree of files to copy from.
pub(in crate::build) enum Tree {
    /// The build context, a named one, or the root of a stage.
    Context(Arc<Context>),
    /// A repository.
    Checkout(Context),
    /// A file of the web.
    Body(Body),
}

/// Something in a tree.
#[derive(Clone, Debug)]
pub(in crate::build) struct Item {
    /// Clean, relative to the tree's root.
    pub path: Vec<u8>,
    /// Never [`EntryKind::Hardlink`]: see `link`.
    pub kind: EntryKind,
    pub meta: Metadata,
    /// Equal for two names of one file; `None` where a file has one name.
    pub link: Option<(u64, u64)>,
    /// What the kernel says of a file or directory of the context of which nothing is known yet.
    pub stamp: Option<Box<FileStamp>>,
    /// Of a file of the context that is known not to have changed since it was last read.
    pub digest: Option<[u8; 32]>,
    pub node: Option<Node>,
}

/// What a source word named.
pub(in crate::build) struct Found {
    /// What it is called in a directory: its last component as written or matched, even if that is a symlink
    /// to something of another name.
    pub name: Vec<u8>,
    /// What that leads to.
    pub item: Item,
}

/// What a source word of `--parents` named.
pub(in crate::build) struct Picked {
    /// The directory from which on the path is kept.
    pub base: Vec<u8>,
    /// What is at the path: a symlink is not followed.
    pub item: Item,
}

impl Tree {
    /// What `path` leads to, symlinks followed within the tree.
    pub(super) fn resolve(&self, path: &[u8]) -> Result<Option<Item>, StepError> {
        self.context().resolve(path)
    }

    /// What is at the clean path `path`, which exists; no symlink is followed.
    pub(super) fn at(&self, path: &[u8]) -> Result<Item, StepError> {
        self.context().at(path)
    }

    /// The entries of a directory, sorted by name.
    pub(super) fn children(&self, directory: &Item) -> Result<Vec<Item>, StepError> {
        self.context().children(directory)
    }

    /// The files that it is.
    fn context(&self) -> &Context {
        match self {
            Self::Context(context) => context,
            Self::Checkout(context) => context,
            Self::Body(_) => unreachable!("it is one file, which nobody looks for"),
        }
    }

    /// A file's bytes.
    pub(super) fn open(&self, file: &Item) -> Result<Box<dyn Read + Send + '_>, StepError> {
        match self {
            Self::Body(body) => Ok(Box::new(body.open().map_err(|why| self.unreadable(&file.path, why))?)),
            tree => tree.context().open(file),
        }
    }

    /// The digest of a file's bytes. `read` reads them all, where it is not known.
    pub(super) fn digest(
        &self,
        file: &Item,
        read: impl FnOnce(&mut dyn Read) -> io::Result<[u8; 32]>,
    ) -> Result<[u8; 32], StepError> {
        match (self, file.digest) {
            (_, Some(known)) => Ok(known),
            (Self::Body(_), None) => {
                read(&mut *self.open(file)?).map_err(|source| self.unreadable(&file.path, source))
            }
            (tree, None) => tree.context().digest(file, read),
        }
    }

    /// Whether the ignore file hides `path`.
    pub(super) fn ignores(&self, path: &[u8]) -> bool {
        self.context().ignores(path)
    }

    /// Whether a directory and all below it is hidden.
    pub(super) fn hides_all(&self, path: &[u8]) -> bool {
        self.context().hides_all(path)
    }

    /// What messages call the tree.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Body(_) => "the web",
            tree => tree.context().name(),
        }
    }

    pub(super) fn unreadable(&self, path: &[u8], source: io::Error) -> StepError {
        StepError::Read { path: format!("{} of {}", String::from_utf8_lossy(path), self.name()), source }
    }

    /// The items that a source word names: one, or all that its wildcards match, hidden ones left out.
    /// A wildcard matches within one component (Go's `filepath.Match`).
    pub(super) fn select(&self, word: &str) -> Result<Vec<Found>, StepError> {
        let clean = clean(word);
        let all = if glob::has_meta(&clean) { self.matching(&clean, word)? } else { self.named(&clean)? };
        let ignored = !all.is_empty();
        let seen: Vec<Found> =
            all.into_iter().filter_map(|(found, hidden)| (!hidden).then_some(found)).collect();
        if seen.is_empty() { Err(self.no_source(word, ignored)) } else { Ok(seen) }
    }

    /// The items that a source word of `--parents` names: those whose path from the pivot `/./` on, else from the
    /// root on, matches it as a pattern of an ignore file would.
    pub(super) fn pick(&self, word: &str) -> Result<Vec<Picked>, StepError> {
        let (base, path) = word.split_once("/./").unwrap_or(("", word));
        let path = clean(path);
        let pattern = PathPattern::parse_path(&path)
            .map_err(|why| StepError::Invalid(format!("source {word:?}: {why}")))?;
        let base = clean(base);
        let bases = if glob::has_meta(&base) { self.matching(&base, word)? } else { self.named(&base)? };
        let mut picked = Picking { tree: self, pattern, base: Vec::new(), hidden: false, found: Vec::new() };
        for base in bases.into_iter().map(|(found, _)| found.item) {
            picked.base.clone_from(&base.path);
            match base.kind {
                EntryKind::Directory if path.is_empty() => picked.take(base),
                EntryKind::Directory => picked.walk(&base)?,
                _ => {}
            }
        }
        if picked.found.is_empty() { Err(self.no_source(word, picked.hidden)) } else { Ok(picked.found) }
    }

    /// The directory `path` of a repository, else its root.
    pub(super) fn directory(&self, path: Option<&str>) -> Result<Found, StepError> {
        let path = path.unwrap_or_default();
        match self.resolve(clean(path).as_bytes())? {
            Some(item) if item.kind == EntryKind::Directory => Ok(Found { name: Vec::new(), item }),
            Some(_) => Err(StepError::Invalid(format!("{path:?} of {} is no directory", self.name()))),
            None => Err(StepError::Invalid(format!("{} has no directory {path:?}", self.name()))),
        }
    }

    fn no_source(&self, word: &str, ignored: bool) -> StepError {
        let close = if ignored || glob::has_meta(word) { String::new() } else { self.close_to(&clean(word)) };
        StepError::NoSource { pattern: word.to_owned(), tree: self.name().to_owned(), ignored, close }
    }

    /// Tells a name beside the missing `path` that looks like it.
    fn close_to(&self, path: &str) -> String {
        let directory = path.rfind('/').map_or("", |slash| &path[..slash]);
        // What cannot be read here has no name to offer; the missing file is the news.
        let Ok(Some(directory)) = self.resolve(directory.as_bytes()) else { return String::new() };
        let children =
            if directory.kind == EntryKind::Directory { self.children(&directory) } else { Ok(Vec::new()) };
        let seen = children.unwrap_or_default().into_iter().filter(|item| !self.hides(&item.path, item));
        let names: Vec<String> =
            seen.map(|item| String::from_utf8_lossy(last(&item.path)).into_owned()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        did_you_mean(&String::from_utf8_lossy(last(path.as_bytes())), &names)
    }

    /// What is at `path`, and whether it is hidden.
    fn named(&self, path: &str) -> Result<Vec<(Found, bool)>, StepError> {
        let Some(item) = self.resolve(path.as_bytes())? else { return Ok(Vec::new()) };
        let hidden = self.hides(path.as_bytes(), &item);
        Ok(vec![(Found { name: last(path.as_bytes()).to_vec(), item }, hidden)])
    }

    /// What `pattern` matches, sorted, and whether each is hidden. `word` is how it was written.
    fn matching(&self, pattern: &str, word: &str) -> Result<Vec<(Found, bool)>, StepError> {
        let mut matched = self.named("")?;
        for component in pattern.split('/') {
            let directories = std::mem::take(&mut matched).into_iter().map(|(found, _)| found.item);
            for directory in directories.filter(|item| item.kind == EntryKind::Directory) {
                for child in self.children(&directory)? {
                    if !matches(component, &child.path, word)? {
                        continue;
                    }
                    // It may be a symlink, perhaps to a directory that the next component looks into.
                    if let Some(item) = self.resolve(&child.path)? {
                        let hidden = self.hides(&child.path, &item);
                        matched.push((Found { name: last(&child.path).to_vec(), item }, hidden));
                    }
                }
            }
        }
        Ok(matched)
    }

    /// Whether nothing of `item` can be seen under the name `path`.
    pub(super) fn hides(&self, path: &[u8], item: &Item) -> bool {
        let hidden =
            |path: &[u8]| self.ignores(path) && (item.kind != EntryKind::Directory || self.hides_all(path));
        hidden(&item.path) || hidden(path)
    }
}

/// A walk for what a pattern matches.
struct Picking<'t> {
    tree: &'t Tree,
    pattern: PathPattern,
    base: Vec<u8>,
    /// Something matched, and the ignore file hides it.
    hidden: bool,
    found: Vec<Picked>,
}

impl Picking<'_> {
    fn walk(&mut self, directory: &Item) -> Result<(), StepError> {
        for child in self.tree.children(directory)? {
            let path = String::from_utf8_lossy(below(&self.base, &child.path)).into_owned();
            let is_directory = child.kind == EntryKind::Directory;
            if self.pattern.matches(&path) {
                self.take(child);
            } else if is_directory && self.pattern.may_match_below(&path) {
                self.walk(&child)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, item: Item) {
        if self.tree.hides(&item.path, &item) {
            self.hidden = true;
        } else {
            self.found.push(Picked { base: self.base.clone(), item });
        }
    }
}

/// `path` as seen from the directory `base` above it.
pub(super) fn below<'p>(base: &[u8], path: &'p [u8]) -> &'p [u8] {
    let rest = path.strip_prefix(base).unwrap_or(path);
    if base.is_empty() { rest } else { rest.strip_prefix(b"/").unwrap_or(rest) }
}

/// The last component of a path.
pub(super) fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or_default()
}

impl Item {
    /// What a stack has at `path`.
    pub(in crate::build) fn of_node(stack: &Stack, path: Vec<u8>, node: Node) -> Self {
        let inode = stack.inode(&node);
        let kind = match inode.kind {
            Kind::Directory => EntryKind::Directory,
            Kind::Symlink(target) => EntryKind::Symlink(target.to_vec()),
            Kind::Char { major, minor } => EntryKind::Char { major, minor },
            Kind::Block { major, minor } => EntryKind::Block { major, minor },
            Kind::Fifo => EntryKind::Fifo,
            Kind::File | Kind::LinkBelow(_) => EntryKind::File { size: inode.size },
        };
        let (mode, uid, gid, mtime, links) = (inode.mode, inode.uid, inode.gid, inode.mtime, inode.nlink);
        let link = (links > 1 && kind != EntryKind::Directory).then(|| {
            let (layer, ino) = stack.file_id(&node);
            (layer as u64, u64::from(ino.0))
        });
        let meta = Metadata { mode, uid, gid, mtime, xattrs: stack.xattrs(&node) };
        Self { path, kind, meta, link, stamp: None, digest: None, node: Some(node) }
    }
}

fn matches(component: &str, path: &[u8], word: &str) -> Result<bool, StepError> {
    glob::matches(component, &String::from_utf8_lossy(last(path)))
        .map_err(|_| StepError::Invalid(format!("syntax error in pattern {word:?}")))
}

/// The word without `.`, `..` and doubled or outer slashes; `..` at the root stays there.
pub(super) fn clean(word: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in word.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_cannot_climb_out() {
        for (word, want) in [
            ("/x", "x"),
            ("../x", "x"),
            ("a/../../x", "x"),
            ("./a//b/", "a/b"),
            (".", ""),
            ("/", ""),
            ("..", ""),
        ] {
            assert_eq!(clean(word), want, "{word}");
        }
    }
}
