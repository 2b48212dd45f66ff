//! A directory of this machine as a tree to copy from.
//!
//! Paths are relative to the root, clean, and bytes. A symlink that a source names is followed as if the
//! context were the root directory; one inside a copied directory is copied as it is.
//!
//! The root is held open, and everything is opened beneath it without following a symlink: a directory that is swapped for
//! one while the build reads it leads nowhere.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::super::copy::tree::Item;
use crate::layer::{EntryKind, Metadata, Timestamp, Xattrs};
use crate::store::{self, FileDigests, FileStamp, KnownFile, Store};

/// Symlinks followed for one name, as the kernel's limit.
const MAX_SYMLINKS: usize = 40;

/// Room for the names of a file's extended attributes, and for one value, in bytes: the kernel's
/// `XATTR_LIST_MAX` and `XATTR_SIZE_MAX`.
const XATTR_NAMES: usize = 64 << 10;
const XATTR_VALUE: usize = 64 << 10;

/// An open directory.
pub(super) struct Directory {
    root: OwnedFd,
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
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())?;
        Ok(Self { root, attributes: Attributes::Own, known: None })
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
                let root = self.open_beneath(&path, OFlags::PATH | OFlags::DIRECTORY)?;
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
            let Some(entry) = absent_is_none(self.open_beneath(&next, NAME_ONLY))? else {
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
        self.item_at(
            path.to_vec(),
            &Place { directory: self.open_beneath(path, NAME_ONLY)?.as_fd(), name: b"" },
        )
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
        let directory = self.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
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
        Ok(self.open_beneath(path, OFlags::RDONLY | OFlags::NONBLOCK)?.into())
    }

    fn open_beneath(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let literal = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(&self.root, path, flags | NOT_FOLLOWED, Mode::empty(), literal) {
            // Linux before 5.6, or a filter that does not know the call
            Err(Errno::NOSYS | Errno::PERM) => self.walk(path, flags),
            other => other.map_err(swapped),
        }
    }

    /// The same, name by name.
    fn walk(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let mut names: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
        let last = names.pop().unwrap_or_default();
        let mut directory = None;
        for name in names {
            let above = directory.as_ref().unwrap_or(&self.root);
            let next = rustix::fs::openat(above, name, NAME_ONLY | NOT_FOLLOWED, Mode::empty())?;
            // without following it a symlink is opened itself, and then is no directory
            if is_symlink(&rustix::fs::fstat(&next)?) {
                return Err(swapped(Errno::LOOP));
            }
            directory = Some(next);
        }
        let above = directory.as_ref().unwrap_or(&self.root);
        rustix::fs::openat(above, last, flags | NOT_FOLLOWED, Mode::empty()).map_err(swapped)
    }
}

/// Opens whatever is there, and reads nothing of it.
const NAME_ONLY: OFlags = OFlags::PATH;
const NOT_FOLLOWED: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

fn swapped(errno: Errno) -> io::Error {
    match errno {
        Errno::LOOP => io::Error::other("a symlink has taken its place, or that of a directory on the way"),
        other => other.into(),
    }
}

fn is_symlink(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
}

/// Something in an open directory, or with an empty name what is open itself.
struct Place<'a> {
    directory: BorrowedFd<'a>,
    name: &'a [u8],
}

impl Place<'_> {
    fn stat(&self) -> io::Result<Stat> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
        Ok(rustix::fs::statat(self.directory, self.name, flags)?)
    }

    /// The attributes that make sense in an image: users' own, and file capabilities. Security labels and ACLs
    /// belong to this host.
    fn xattrs(&self) -> io::Result<Xattrs> {
        // What is open by its name alone answers only so. The link leads to the open directory or file itself; a last
        // component is not followed.
        let mut path = format!("/proc/self/fd/{}", self.directory.as_raw_fd()).into_bytes();
        if !self.name.is_empty() {
            path = join(&path, self.name);
        }
        let mut found = BTreeMap::new();
        let names = match xattr_names(self, &path) {
            Ok(names) => names,
            Err(Errno::OPNOTSUPP) => return Ok(found),
            Err(errno) => return Err(errno.into()),
        };
        for name in names.split(|&b| b == 0).filter(|name| !name.is_empty()) {
            if !name.starts_with(b"user.") && name != b"security.capability" {
                continue;
            }
            let mut value = vec![0; XATTR_VALUE];
            let length = if self.name.is_empty() {
                rustix::fs::getxattr(&path, OsStr::from_bytes(name), &mut value[..])?
            } else {
                rustix::fs::lgetxattr(&path, OsStr::from_bytes(name), &mut value[..])?
            };
            value.truncate(length);
            found.insert(name.to_vec(), value);
        }
        Ok(found)
    }

    fn list(&self, path: &[u8], names: &mut [u8]) -> Result<usize, Errno> {
        if self.name.is_empty() {
            rustix::fs::listxattr(path, names)
        } else {
            rustix::fs::llistxattr(path, names)
        }
    }
}

fn stamp_of(stat: &Stat) -> FileStamp {
    FileStamp {
        device: stat.st_dev,
        inode: stat.st_ino,
        size: stat.st_size.cast_unsigned(),
        mtime: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
        ctime: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        mode: stat.st_mode,
    }
}

/// Whether a file with this stamp at `now` has another one after any later change. One that changed just now may change
/// again without a trace: the clock of a file system ticks, the coarsest that people build on (FAT) every two seconds.
fn is_settled(stamp: &FileStamp, now: SystemTime) -> bool {
    const TICK: i64 = 2;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(now).is_ok_and(|now| stamp.mtime.0.max(stamp.ctime.0).saturating_add(TICK) < now)
}

/// What is at `place`, and is called `path`.
fn item(path: Vec<u8>, place: &Place<'_>, stat: &Stat, known: Option<KnownFile>) -> io::Result<Item> {
    let file_type = FileType::from_raw_mode(stat.st_mode);
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let kind = match file_type {
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => {
            EntryKind::Symlink(rustix::fs::readlinkat(place.directory, place.name, Vec::new())?.into_bytes())
        }
        FileType::Fifo => EntryKind::Fifo,
        FileType::CharacterDevice => EntryKind::Char { major, minor },
        FileType::BlockDevice => EntryKind::Block { major, minor },
        // A socket cannot be copied; an empty file holds its place, as with BuildKit.
        FileType::Socket => EntryKind::File { size: 0 },
        FileType::RegularFile | FileType::Unknown => EntryKind::File { size: stat.st_size.cast_unsigned() },
    };
    let without_xattrs = known.is_some_and(|known| !known.has_xattrs);
    Ok(Item {
        path,
        kind,
        meta: Metadata {
            mode: stat.st_mode & 0o7777,
            uid: 0,
            gid: 0,
            mtime: Timestamp { secs: stat.st_mtime, nanos: nanos(stat.st_mtime_nsec) },
            xattrs: if without_xattrs { Xattrs::new() } else { place.xattrs()? },
        },
        link: (stat.st_nlink > 1 && file_type == FileType::RegularFile).then_some((stat.st_dev, stat.st_ino)),
        stamp: (known.is_none() && matches!(file_type, FileType::RegularFile | FileType::Directory))
            .then(|| Box::new(stamp_of(stat))),
        digest: known.filter(|_| file_type == FileType::RegularFile).map(|known| known.digest),
        node: None,
    })
}

/// The names, each ended by a NUL.
fn xattr_names(place: &Place<'_>, path: &[u8]) -> Result<Vec<u8>, Errno> {
    // Most files have none or few; room for all there may be would cost more than the call.
    let mut few = [0; 256];
    match place.list(path, &mut few) {
        Ok(length) => Ok(few[..length].to_vec()),
        Err(Errno::RANGE) => {
            let mut names = vec![0; XATTR_NAMES];
            let length = place.list(path, &mut names)?;
            names.truncate(length);
            Ok(names)
        }
        Err(errno) => Err(errno),
    }
}

fn nanos<N: TryInto<u32>>(nanos: N) -> u32 {
    nanos.try_into().unwrap_or_else(|_| unreachable!("the kernel's nanoseconds are below a thousand million"))
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
    fn a_directory_that_becomes_a_symlink_leads_nowhere() {
        type Open = fn(&Directory, &[u8], OFlags) -> io::Result<OwnedFd>;
        for (way, open) in [("openat2", Directory::open_beneath as Open), ("by names", Directory::walk)] {
            let dir = tempfile::tempdir().unwrap();
            let (inside, outside) = (dir.path().join("context"), dir.path().join("outside"));
            for (directory, text) in [(inside.join("a/b"), "mine"), (outside.join("b"), "secret")] {
                fs::create_dir_all(&directory).unwrap();
                fs::write(directory.join("f"), text).unwrap();
            }
            let context = Directory::open(&inside).unwrap();
            let read = |path: &str| {
                let file = open(&context, path.as_bytes(), OFlags::RDONLY)?;
                let mut text = String::new();
                File::from(file).read_to_string(&mut text).map(|_| text)
            };
            assert_eq!(read("a/b/f").unwrap(), "mine", "{way}");
            fs::rename(inside.join("a"), inside.join("was")).unwrap();
            symlink(&outside, inside.join("a")).unwrap();
            symlink("../outside/b/f", inside.join("link")).unwrap();
            for path in ["a/b/f", "a/b", "link"] {
                let refused = read(path).unwrap_err().to_string();
                assert!(refused.contains("a symlink has taken its place"), "{way}: {path}: {refused}");
            }
            assert!(context.children(b"a/b").is_err(), "{way}");
            assert!(context.children(b"a").is_err(), "{way}");
            // the link itself is an entry like others
            let names: Vec<_> = context.children(b"").unwrap().into_iter().map(|item| item.path).collect();
            assert_eq!(names, [b"a".to_vec(), b"link".to_vec(), b"was".to_vec()], "{way}");
        }
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
