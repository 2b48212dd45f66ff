//! A directory of this machine as a tree to copy from.
//!
//! Paths are relative to the root, clean, and bytes. A symlink that a source names is followed as if the
//! context were the root directory; one inside a copied directory is copied as it is.
//!
//! The root is held open, and everything is opened beneath it without following a symlink: a directory that is swapped for
//! one while the build reads it leads nowhere.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{Dir, OFlags};
use rustix::io::Errno;

use super::super::copy::tree::Item;
use super::place::{Place, item, stamp_of};
use crate::beneath::{NAME_ONLY, Root, is_symlink};
use crate::layer::{EntryKind, Timestamp};
use crate::store::{self, FileDigests, FileStamp, KnownFile, Store};

/// Symlinks followed for one name, as the kernel's limit.
const MAX_SYMLINKS: usize = 40;

/// An open directory.
pub(super) struct Directory {
    root: Root,
    attributes: Attributes,
    /// What earlier builds found its files to be.
    known: Option<Box<FileDigests>>,
}

/// Whose modes and times the files have.
#[derive(Clone, Copy)]
enum Attributes {
    /// Their own.
    Own,
    /// Those that every checkout of a commit has: whether somebody may execute is all that a commit says of a mode. The
    /// time is the commit's, where one is given.
    Commit(Option<Timestamp>),
}

impl Attributes {
    fn of(&self, mut item: Item) -> Item {
        if let Self::Commit(mtime) = self {
            item.meta.mode = match item.kind {
                EntryKind::File { .. } if item.meta.mode & 0o111 == 0 => 0o644,
                EntryKind::Symlink(_) => 0o777,
                _ => 0o755,
            };
            item.meta.mtime = mtime.unwrap_or(item.meta.mtime);
            item.meta.xattrs.clear();
        }
        item
    }
}

impl Directory {
    /// The directory at `root`. Errors if there is none.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        Ok(Self { root: Root::open(root)?, attributes: Attributes::Own, known: None })
    }

    /// The checkout of a commit at `root`, its files as old as `mtime`.
    pub(super) fn of_checkout(root: &Path, mtime: Option<Timestamp>) -> io::Result<Self> {
        Ok(Self { attributes: Attributes::Commit(mtime), ..Self::open(root)? })
    }

    /// The same, with what `store` remembers of its files.
    pub(super) fn remembered_by(self, store: &Store) -> Result<Self, store::Error> {
        let stat = rustix::fs::fstat(&self.root).map_err(|errno| store::Error::Io {
            action: "stat",
            path: "the build context".into(),
            source: errno.into(),
        })?;
        Ok(Self { known: Some(Box::new(store.file_digests(stat.st_dev, stat.st_ino)?)), ..self })
    }

    /// Has `store` remember what was found.
    pub(super) fn keep(&self, store: &Store) -> Result<(), store::Error> {
        self.known.as_ref().map_or(Ok(()), |known| store.keep_file_digests(known))
    }

    /// Remembers the digest of the file that `item` is and `file` has open, read from `began` on. Only if it still is
    /// what it was, and was so for longer than a file system's clock needs to tick: a later change cannot go unseen then.
    pub(super) fn learn(
        &self,
        item: &Item,
        file: &File,
        digest: [u8; 32],
        began: SystemTime,
    ) -> io::Result<()> {
        let (Some(known), Some(stamp)) = (&self.known, &item.stamp) else { return Ok(()) };
        if stamp_of(&rustix::fs::fstat(file)?) == **stamp && is_settled(stamp, began) {
            known.learn(**stamp, KnownFile { digest, has_xattrs: !item.meta.xattrs.is_empty() });
        }
        Ok(())
    }

    /// The directory that `path` leads to within this one; `None` if it is none.
    pub(super) fn below(&self, path: &[u8]) -> io::Result<Option<Self>> {
        match self.resolve(path)? {
            Some(Item { path, kind: EntryKind::Directory, .. }) => {
                let root = self.root.below(&path)?;
                Ok(Some(Self { root, attributes: self.attributes, known: None }))
            }
            _ => Ok(None),
        }
    }

    /// What `path` leads to, symlinks followed within the context; `None` if it does not exist.
    pub(super) fn resolve(&self, path: &[u8]) -> io::Result<Option<Item>> {
        let mut todo: Vec<Vec<u8>> = path.split(|&b| b == b'/').rev().map(<[u8]>::to_vec).collect();
        let mut done: Vec<u8> = Vec::new();
        let mut followed = 0;
        while let Some(name) = todo.pop() {
            match &name[..] {
                b"" | b"." => continue,
                b".." => {
                    done.truncate(done.iter().rposition(|&b| b == b'/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let next = join(&done, &name);
            let Some(entry) = absent_is_none(self.root.find(&next, NAME_ONLY))? else {
                return Ok(None);
            };
            if !is_symlink(&rustix::fs::fstat(&entry)?) {
                done = next;
                continue;
            }
            followed += 1;
            if followed > MAX_SYMLINKS {
                return Err(Errno::LOOP.into());
            }
            let target = rustix::fs::readlinkat(&entry, "", Vec::new())?.into_bytes();
            if target.starts_with(b"/") {
                done.clear();
            }
            todo.extend(target.split(|&b| b == b'/').rev().map(<[u8]>::to_vec));
        }
        absent_is_none(self.item(&done))
    }

    /// What is at `path` itself.
    pub(super) fn item(&self, path: &[u8]) -> io::Result<Item> {
        self.item_at(path.to_vec(), &Place { directory: self.root.find(path, NAME_ONLY)?.as_fd(), name: b"" })
    }

    fn item_at(&self, path: Vec<u8>, place: &Place<'_>) -> io::Result<Item> {
        let stat = place.stat()?;
        let known = self.known.as_ref().and_then(|known| known.find(&stamp_of(&stat)));
        let item = item(path, place, &stat, known)?;
        // A directory has no bytes: what is known of it is whether it has attributes.
        if let (Some(table), EntryKind::Directory, Some(stamp)) = (&self.known, &item.kind, &item.stamp)
            && is_settled(stamp, SystemTime::now())
        {
            table.learn(**stamp, KnownFile { digest: [0; 32], has_xattrs: !item.meta.xattrs.is_empty() });
        }
        Ok(self.attributes.of(item))
    }

    /// The entries of directory `path`, sorted; hidden ones too.
    pub(super) fn children(&self, path: &[u8]) -> io::Result<Vec<Item>> {
        let directory = self.root.find(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if ![&b"."[..], b".."].contains(&name) {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable();
        let child =
            |name: &Vec<u8>| self.item_at(join(path, name), &Place { directory: directory.as_fd(), name });
        names.iter().map(child).collect()
    }

    /// The bytes of the file at `path`. A symlink that took its place meanwhile, or that of a directory on the way, is
    /// refused.
    pub(super) fn file(&self, path: &[u8]) -> io::Result<File> {
        Ok(self.root.find(path, OFlags::RDONLY | OFlags::NONBLOCK)?.into())
    }
}

/// Whether a file with this stamp at `now` has another one after any later change. One that changed just now may change
/// again without a trace: the clock of a file system ticks, the coarsest that people build on (FAT) every two seconds.
fn is_settled(stamp: &FileStamp, now: SystemTime) -> bool {
    const TICK: i64 = 2;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(now).is_ok_and(|now| stamp.mtime.0.max(stamp.ctime.0).saturating_add(TICK) < now)
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// `directory/name`, or `name` at the root.
pub(in crate::build) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn symlinks_stay_in_the_context() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/f"), "x").unwrap();
        for (link, target) in [
            ("abs", "/a/f"),
            ("up", "../../../a/f"),
            ("dir", "a/b"),
            ("loop", "loop"),
            ("out", "/etc/passwd"),
        ] {
            symlink(target, dir.path().join(link)).unwrap();
        }
        let context = Directory::open(dir.path()).unwrap();
        for (path, want) in [
            ("a/f", Some("a/f")),
            ("abs", Some("a/f")),
            ("up", Some("a/f")),
            ("dir/../f", Some("a/f")),
            ("../../a/./b/", Some("a/b")),
            ("", Some("")),
            ("out", None),
            ("a/f/x", None),
            ("none", None),
        ] {
            let found =
                context.resolve(path.as_bytes()).unwrap().map(|item| String::from_utf8(item.path).unwrap());
            assert_eq!(found.as_deref(), want, "{path}");
        }
        let looped = context.resolve(b"loop").unwrap_err();
        assert_eq!(rustix::io::Errno::from_io_error(&looped), Some(rustix::io::Errno::LOOP));
    }

    #[test]
    fn a_directory_that_becomes_a_symlink_is_an_entry_and_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("context"), dir.path().join("outside"));
        fs::create_dir_all(inside.join("a/b")).unwrap();
        fs::create_dir_all(outside.join("b")).unwrap();
        let context = Directory::open(&inside).unwrap();
        assert!(context.children(b"a/b").is_ok());
        fs::rename(inside.join("a"), inside.join("was")).unwrap();
        symlink(&outside, inside.join("a")).unwrap();
        assert!(context.children(b"a/b").is_err());
        assert!(context.children(b"a").is_err());
        let names: Vec<_> = context.children(b"").unwrap().into_iter().map(|item| item.path).collect();
        assert_eq!(names, [b"a".to_vec(), b"was".to_vec()]);
    }

    #[test]
    fn the_root_is_the_directory_that_was_opened() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("context");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("f"), "mine").unwrap();
        let context = Directory::open(&root).unwrap();
        fs::rename(&root, dir.path().join("was")).unwrap();
        symlink("/etc", &root).unwrap();
        let mut text = String::new();
        context.file(b"f").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "mine");
        assert!(context.resolve(b"passwd").unwrap().is_none());
    }

    #[test]
    fn a_file_is_remembered_only_if_its_next_change_must_show() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let path = dir.path().join("context/f");
        fs::create_dir(dir.path().join("context")).unwrap();
        fs::write(&path, "x").unwrap();
        let context = || Directory::open(&dir.path().join("context")).unwrap().remembered_by(&store).unwrap();
        let learn = |context: &Directory, at: SystemTime| {
            let item = context.item(b"f").unwrap();
            context.learn(&item, &context.file(b"f").unwrap(), [7; 32], at).unwrap();
            context.item(b"f").unwrap().digest
        };
        let changed = fs::metadata(&path).unwrap();
        let after = |secs| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(secs);
        let second = u64::try_from(std::os::unix::fs::MetadataExt::ctime(&changed)).unwrap();
        for (at, remembered) in [(0, false), (1, false), (2, false), (3, true)] {
            let found = learn(&context(), after(second + at));
            assert_eq!(found.is_some(), remembered, "read {at} s after it changed");
        }
        // Of one that changed since it was looked at, no digest is of use.
        let context = context();
        let item = context.item(b"f").unwrap();
        fs::write(&path, "y").unwrap();
        let much_later = after(second + 100);
        context.learn(&item, &context.file(b"f").unwrap(), [7; 32], much_later).unwrap();
        assert_eq!(context.item(b"f").unwrap().digest, None);
        assert!(learn(&context, much_later).is_some());
        context.keep(&store).unwrap();
        let again = Directory::open(&dir.path().join("context")).unwrap().remembered_by(&store).unwrap();
        assert_eq!(again.item(b"f").unwrap().digest, Some([7; 32]));
    }
}
