//! Paths of the step's root: resolved component by component beneath a descriptor, and completed where they end.
//!
//! The image decides what its symlinks say, so none is ever followed by the kernel: each is read, and its text walked from
//! where it stands, with the root as the ceiling. A dangling one leads to where its target will be (`/etc/resolv.conf` of
//! many images points into an empty `/run`).

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags, Timespec, Timestamps, statx};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Error;

/// The most symlinks on one way, as the kernel's own limit.
const MAX_SYMLINKS: usize = 40;

/// What to make where nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stub {
    /// An empty file.
    File,
    /// An empty directory.
    Directory,
}

/// Where a path led.
#[derive(Debug)]
pub(super) struct Target {
    /// `O_PATH`.
    pub fd: OwnedFd,
    /// Relative to the root, without a symlink.
    pub path: PathBuf,
    /// What had to be made, parents first.
    pub made: Vec<PathBuf>,
    /// What had to be made in something that is mounted in the root, parents first.
    pub strays: Vec<Stray>,
}

/// Something made in a file system that is mounted in the root: it is nothing of the image's, perhaps the host's.
#[derive(Debug)]
pub(super) struct Stray {
    /// `O_PATH`.
    pub directory: OwnedFd,
    pub name: OsString,
    pub stub: Stub,
}

impl Stray {
    /// Removes it unless somebody else has put something there, or has removed it.
    pub(super) fn remove(&self) -> Result<(), Error> {
        let flags = match self.stub {
            Stub::File if self.is_filled() => return Ok(()),
            Stub::File => AtFlags::empty(),
            Stub::Directory => AtFlags::REMOVEDIR,
        };
        match rustix::fs::unlinkat(&self.directory, &self.name, flags) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::NOTDIR | Errno::ISDIR) => Ok(()),
            Err(errno) => Err(Error::file("remove the mount point", &self.name)(errno)),
        }
    }

    fn is_filled(&self) -> bool {
        let stat = rustix::fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| stat.st_size != 0 || !FileType::from_raw_mode(stat.st_mode).is_file())
    }
}

/// Resolves `path` beneath `root`, making what is missing: directories of root, 0755, and the last component as `stub`.
pub(super) fn open_or_create(root: BorrowedFd<'_>, path: &Path, stub: Stub) -> Result<Target, Error> {
    let mut walk = Walk {
        root,
        way: Vec::new(),
        ahead: VecDeque::new(),
        symlinks: 0,
        made: Vec::new(),
        strays: Vec::new(),
    };
    walk.look_ahead(path);
    let walked = walk.walk_on(stub).and_then(|()| {
        walk.here().try_clone_to_owned().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    });
    match walked {
        Ok(fd) => Ok(Target { fd, path: walk.path(), made: walk.made, strays: walk.strays }),
        Err(errno) => Err(Error::Resolve { path: path.to_path_buf(), source: errno.into() }),
    }
}

/// How often a path is looked up while the machine is in motion.
const ATTEMPTS: usize = 1000;

/// Opens what `path` names beneath `root`. `None`: nothing.
pub(super) fn open_existing(root: BorrowedFd<'_>, path: &Path) -> Result<Option<OwnedFd>, Error> {
    use rustix::fs::ResolveFlags;
    let relative = path.strip_prefix("/").unwrap_or(path);
    let confined = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let open =
        || rustix::fs::openat2(root, relative, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), confined);
    // EAGAIN: while a `..` was followed, something was renamed or mounted, anywhere on the machine
    let settled = |opened: &Result<OwnedFd, Errno>| !matches!(opened, Err(Errno::AGAIN));
    match (1..ATTEMPTS).map(|_| open()).find(settled).unwrap_or_else(open) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Error::Resolve { path: path.to_path_buf(), source: errno.into() }),
    }
}

struct Walk<'a> {
    root: BorrowedFd<'a>,
    /// The directories entered, with their names; the last may be something else.
    way: Vec<(OsString, OwnedFd)>,
    ahead: VecDeque<OsString>,
    symlinks: usize,
    made: Vec<PathBuf>,
    strays: Vec<Stray>,
}

impl Walk<'_> {
    fn walk_on(&mut self, stub: Stub) -> Result<(), Errno> {
        while let Some(name) = self.ahead.pop_front() {
            if name == ".." {
                self.way.pop();
                continue;
            }
            let fd = match open(self.here(), &name) {
                Err(Errno::NOENT) => {
                    self.make(&name, if self.ahead.is_empty() { stub } else { Stub::Directory })?;
                    open(self.here(), &name)?
                }
                other => other?,
            };
            if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) == FileType::Symlink {
                self.symlinks += 1;
                if self.symlinks > MAX_SYMLINKS {
                    return Err(Errno::LOOP);
                }
                let text = rustix::fs::readlinkat(&fd, "", Vec::new())?;
                self.look_ahead(Path::new(&OsString::from_vec(text.into_bytes())));
            } else {
                self.way.push((name, fd));
            }
        }
        Ok(())
    }

    /// Puts a path before what is still ahead. An absolute one starts at the root again.
    fn look_ahead(&mut self, path: &Path) {
        if path.is_absolute() {
            self.way.clear();
        }
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.ahead.push_front(name.to_owned()),
                Component::ParentDir => self.ahead.push_front("..".into()),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
    }

    /// Makes something, and gives the directory its time back: it has not changed as far as the layer is concerned.
    fn make(&mut self, name: &OsStr, stub: Stub) -> Result<(), Errno> {
        let before = rustix::fs::fstat(self.here())?;
        match stub {
            Stub::Directory => rustix::fs::mkdirat(self.here(), name, Mode::from_raw_mode(0o755))?,
            Stub::File => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                drop(rustix::fs::openat(self.here(), name, flags, Mode::from_raw_mode(0o644))?);
            }
        }
        let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
        #[expect(clippy::cast_possible_wrap, reason = "nanoseconds are below 10^9")]
        let times = Timestamps {
            last_access: time(before.st_atime, before.st_atime_nsec as _),
            last_modification: time(before.st_mtime, before.st_mtime_nsec as _),
        };
        rustix::fs::utimensat(self.here(), ".", &times, AtFlags::empty())?;
        if mount_of(self.here())? == mount_of(self.root)? {
            self.made.push(self.path().join(name));
        } else {
            let directory = self.here().try_clone_to_owned();
            let directory = directory.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            self.strays.push(Stray { directory, name: name.to_owned(), stub });
        }
        Ok(())
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.way.last().map_or(self.root, |(_, fd)| fd.as_fd())
    }

    fn path(&self) -> PathBuf {
        self.way.iter().map(|(name, _)| name).collect()
    }
}

/// The number of the mount that shows a place.
fn mount_of(place: BorrowedFd<'_>) -> Result<u64, Errno> {
    Ok(statx(place, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id)
}

fn open(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name.as_bytes(), flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn root() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("a/file"), "").unwrap();
        for (link, text) in [
            ("abs", "/a"),
            ("up", "../../../../etc"),
            ("a/rel", "b"),
            ("etc/resolv.conf", "../run/systemd/resolv.conf"),
            ("self", "self"),
            ("host", "/etc/passwd"),
        ] {
            symlink(text, dir.path().join(link)).unwrap();
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let fd = rustix::fs::open(dir.path(), flags, Mode::empty()).unwrap();
        (dir, fd)
    }

    #[test]
    fn paths_stay_beneath_the_root_and_are_completed() {
        let rows: &[(&str, Stub, &str, &[&str])] = &[
            ("/", Stub::Directory, "", &[]),
            ("/a/b", Stub::Directory, "a/b", &[]),
            ("a/./b/", Stub::Directory, "a/b", &[]),
            ("/../../a", Stub::Directory, "a", &[]),
            ("/abs/b", Stub::Directory, "a/b", &[]),
            ("/up", Stub::Directory, "etc", &[]),
            ("/abs/rel/../file", Stub::File, "a/file", &[]),
            ("/new/dir", Stub::Directory, "new/dir", &["new", "new/dir"]),
            ("/a/b/file", Stub::File, "a/b/file", &["a/b/file"]),
            (
                "/etc/resolv.conf",
                Stub::File,
                "run/systemd/resolv.conf",
                &["run", "run/systemd", "run/systemd/resolv.conf"],
            ),
            ("/host", Stub::File, "etc/passwd", &["etc/passwd"]),
            ("/up/../up/x", Stub::File, "etc/x", &["etc/x"]),
        ];
        for (path, stub, want, made) in rows {
            let (dir, fd) = root();
            let target = open_or_create(fd.as_fd(), Path::new(path), *stub).unwrap();
            assert_eq!(target.path, Path::new(want), "{path}");
            assert_eq!(target.made, made.iter().map(PathBuf::from).collect::<Vec<_>>(), "{path}");
            let there = fs::metadata(dir.path().join(want)).unwrap();
            assert_eq!(there.is_dir(), *stub == Stub::Directory, "{path}");
        }
    }

    #[test]
    fn ways_without_an_end_are_refused() {
        for (path, want) in [("/self", Errno::LOOP), ("/a/file/x", Errno::NOTDIR), ("/self/x", Errno::LOOP)] {
            let (_dir, fd) = root();
            match open_or_create(fd.as_fd(), Path::new(path), Stub::File) {
                Err(Error::Resolve { source, .. }) => {
                    assert_eq!(source.raw_os_error(), Some(want.raw_os_error()), "{path}");
                }
                other => panic!("{path}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_directory_keeps_its_time() {
        let (dir, fd) = root();
        let etc = dir.path().join("etc");
        let before = fs::metadata(&etc).unwrap().modified().unwrap();
        open_or_create(fd.as_fd(), Path::new("/etc/hosts"), Stub::File).unwrap();
        assert_eq!(fs::metadata(&etc).unwrap().modified().unwrap(), before);
    }
}
