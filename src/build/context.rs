//! The build context: a directory and what its ignore file hides.
//!
//! Paths are relative to the root, clean, and bytes. A symlink that a source names is followed as if the
//! context were the root directory; one inside a copied directory is copied as it is.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::Error;
use super::copy::tree::{Item, Stamp};
use crate::dockerfile::IgnoreFile;
use crate::layer::{EntryKind, Metadata, Timestamp, Xattrs};

/// Symlinks followed for one name, as the kernel's limit.
const MAX_SYMLINKS: usize = 40;

/// Room for the names of a file's extended attributes, and for one value, in bytes: the kernel's
/// `XATTR_LIST_MAX` and `XATTR_SIZE_MAX`.
const XATTR_NAMES: usize = 64 << 10;
const XATTR_VALUE: usize = 64 << 10;

/// An open context.
pub(super) struct Context {
    root: PathBuf,
    ignore: IgnoreFile,
}

impl Context {
    /// The context at `root`. Errors if it is no directory or the ignore file is malformed.
    pub(super) fn open(root: &Path, ignore: Option<&str>) -> Result<Self, Error> {
        let at = |source| Error::Context { path: root.to_owned(), source };
        let root = fs::canonicalize(root).map_err(at)?;
        if !fs::metadata(&root).map_err(at)?.is_dir() {
            return Err(at(io::ErrorKind::NotADirectory.into()));
        }
        let ignore =
            IgnoreFile::parse(ignore.unwrap_or_default()).map_err(|why| Error::Ignore(why.to_string()))?;
        Ok(Self { root, ignore })
    }

    /// Whether the ignore file hides `path`.
    pub(super) fn ignores(&self, path: &[u8]) -> bool {
        self.ignore.ignores(&String::from_utf8_lossy(path))
    }

    /// Whether nothing below the hidden directory `path` can be seen.
    pub(super) fn hides_all(&self, path: &[u8]) -> bool {
        self.ignore.can_skip_dir(&String::from_utf8_lossy(path))
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
            let Some(metadata) = absent_is_none(fs::symlink_metadata(self.host(&next)))? else {
                return Ok(None);
            };
            if !metadata.is_symlink() {
                done = next;
                continue;
            }
            followed += 1;
            if followed > MAX_SYMLINKS {
                return Err(rustix::io::Errno::LOOP.into());
            }
            let target = fs::read_link(self.host(&next))?.into_os_string().into_vec();
            if target.starts_with(b"/") {
                done.clear();
            }
            todo.extend(target.split(|&b| b == b'/').rev().map(<[u8]>::to_vec));
        }
        absent_is_none(self.item(&done))
    }

    /// What is at `path` itself.
    pub(super) fn item(&self, path: &[u8]) -> io::Result<Item> {
        let host = self.host(path);
        let metadata = fs::symlink_metadata(&host)?;
        let kind = metadata.file_type();
        let device = || (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
        let kind = if kind.is_dir() {
            EntryKind::Directory
        } else if kind.is_symlink() {
            EntryKind::Symlink(fs::read_link(&host)?.into_os_string().into_vec())
        } else if kind.is_fifo() {
            EntryKind::Fifo
        } else if kind.is_char_device() {
            let (major, minor) = device();
            EntryKind::Char { major, minor }
        } else if kind.is_block_device() {
            let (major, minor) = device();
            EntryKind::Block { major, minor }
        } else {
            // A socket cannot be copied; an empty file holds its place, as with BuildKit.
            EntryKind::File { size: if kind.is_socket() { 0 } else { metadata.len() } }
        };
        Ok(Item {
            path: path.to_vec(),
            kind,
            meta: Metadata {
                mode: metadata.mode() & 0o7777,
                uid: 0,
                gid: 0,
                mtime: Timestamp { secs: metadata.mtime(), nanos: nanos(metadata.mtime_nsec()) },
                xattrs: xattrs(&host)?,
            },
            link: (metadata.nlink() > 1 && metadata.is_file()).then_some((metadata.dev(), metadata.ino())),
            stamp: Some(Stamp {
                device: metadata.dev(),
                inode: metadata.ino(),
                ctime: (metadata.ctime(), metadata.ctime_nsec()),
            }),
            node: None,
        })
    }

    /// The entries of directory `path`, sorted; hidden ones too.
    pub(super) fn children(&self, path: &[u8]) -> io::Result<Vec<Item>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.host(path))? {
            names.push(entry?.file_name().into_vec());
        }
        names.sort_unstable();
        names.iter().map(|name| self.item(&join(path, name))).collect()
    }

    /// The bytes of the file at `path`. A symlink that took its place meanwhile is refused.
    pub(super) fn file(&self, path: &[u8]) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(rustix::fs::open(self.host(path), flags, Mode::empty())?.into())
    }

    fn host(&self, path: &[u8]) -> PathBuf {
        self.root.join(OsStr::from_bytes(path))
    }
}

/// The attributes that make sense in an image: users' own, and file capabilities. Security labels and ACLs
/// belong to this host.
fn xattrs(path: &Path) -> io::Result<Xattrs> {
    let mut found = BTreeMap::new();
    let names = match xattr_names(path) {
        Ok(names) => names,
        Err(rustix::io::Errno::OPNOTSUPP) => return Ok(found),
        Err(errno) => return Err(errno.into()),
    };
    for name in names.split(|&b| b == 0).filter(|name| !name.is_empty()) {
        if !name.starts_with(b"user.") && name != b"security.capability" {
            continue;
        }
        let mut value = vec![0; XATTR_VALUE];
        let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..])?;
        value.truncate(length);
        found.insert(name.to_vec(), value);
    }
    Ok(found)
}

/// The names, each ended by a NUL.
fn xattr_names(path: &Path) -> Result<Vec<u8>, rustix::io::Errno> {
    // Most files have none or few; room for all there may be would cost more than the call.
    let mut few = [0; 256];
    match rustix::fs::llistxattr(path, &mut few[..]) {
        Ok(length) => Ok(few[..length].to_vec()),
        Err(rustix::io::Errno::RANGE) => {
            let mut names = vec![0; XATTR_NAMES];
            let length = rustix::fs::llistxattr(path, &mut names[..])?;
            names.truncate(length);
            Ok(names)
        }
        Err(errno) => Err(errno),
    }
}

fn nanos(nanos: i64) -> u32 {
    u32::try_from(nanos).expect("the kernel's nanoseconds are below a thousand million")
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
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

#[cfg(test)]
mod tests {
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
        let context = Context::open(dir.path(), None).unwrap();
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
}
