//! A copy of a directory of the image, for a file system in memory that starts with it (`tmpcopyup`).
//!
//! Types, modes, owners, times, extended attributes and hard links are kept. A device cannot be made in a user namespace:
//! it is an error that names it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod,
    fgetxattr, flistxattr, fsetxattr, fstat, linkat, mkdirat, mknodat, openat, readlinkat, symlinkat,
    utimensat,
};
use rustix::io::Errno;

use super::super::Error;
use super::owner::names;

/// The most directories within each other.
const MAX_DEPTH: usize = 512;

/// Copies what is in `from`, called `name`, into the empty directory `to`, and the attributes of the directory itself.
pub(in crate::sandbox) fn directory(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &Path,
) -> Result<(), Error> {
    let mut copier = Copier { to, made: HashMap::new() };
    let copied = copier
        .contents(from, to, Path::new(""), 0)
        .and_then(|()| attributes(from, to).map_err(|why| (PathBuf::new(), why)));
    copied.map_err(|(inside, errno)| Error::file("copy", name.join(inside))(errno))
}

type Refusal = (PathBuf, Errno);

struct Copier<'a> {
    to: BorrowedFd<'a>,
    /// Where in the copy the first name of an inode with several stands.
    made: HashMap<(u64, u64), PathBuf>,
}

impl Copier<'_> {
    fn contents(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        path: &Path,
        depth: usize,
    ) -> Result<(), Refusal> {
        let at = |errno| (path.to_path_buf(), errno);
        if depth == MAX_DEPTH {
            return Err(at(Errno::NAMETOOLONG));
        }
        for name in names(from).map_err(at)? {
            let inside = path.join(&name);
            let entry = openat(
                from,
                name.as_bytes(),
                OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .map_err(|errno| (inside.clone(), errno))?;
            let stat = fstat(&entry).map_err(|errno| (inside.clone(), errno))?;
            if let Some(made) =
                self.add(&entry, &stat, to, &name, &inside).map_err(|errno| (inside.clone(), errno))?
            {
                self.contents(entry.as_fd(), made.as_fd(), &inside, depth + 1)?;
                attributes(entry.as_fd(), made.as_fd()).map_err(|errno| (inside, errno))?;
            }
        }
        Ok(())
    }

    /// Makes one entry. Returns the copy of a directory, which is still to be filled.
    fn add(
        &mut self,
        entry: &OwnedFd,
        stat: &Stat,
        to: BorrowedFd<'_>,
        name: &OsStr,
        inside: &Path,
    ) -> Result<Option<OwnedFd>, Errno> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            mkdirat(to, name, Mode::from_raw_mode(0o700))?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            return openat(to, name, flags, Mode::empty()).map(Some);
        }
        let inode = (stat.st_dev, stat.st_ino);
        if let Some(first) = self.made.get(&inode) {
            linkat(self.to, first, to, name, AtFlags::empty())?;
            return Ok(None);
        }
        match kind {
            FileType::RegularFile => regular(entry, to, name)?,
            FileType::Symlink => {
                symlinkat(readlinkat(entry, "", Vec::new())?, to, name)?;
                own(to, name, stat)?;
                utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            kind => {
                mknodat(to, name, kind, Mode::from_raw_mode(stat.st_mode & 0o7777), stat.st_rdev)?;
                own(to, name, stat)?;
                utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?;
            }
        }
        if stat.st_nlink > 1 {
            self.made.insert(inode, inside.to_path_buf());
        }
        Ok(None)
    }
}

fn regular(entry: &OwnedFd, to: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    let errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let mut source = File::open(proc_path(entry.as_fd())).map_err(errno)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut copy = File::from(openat(to, name, flags, Mode::from_raw_mode(0o600))?);
    std::io::copy(&mut source, &mut copy).map_err(errno)?;
    attributes(source.as_fd(), copy.as_fd())
}

/// Owner first: it clears the setuid bit that the mode is about to set, and the capabilities among the attributes. Times
/// last.
fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let stat = fstat(from)?;
    chownat(to, "", Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)), AtFlags::EMPTY_PATH)?;
    let to = reopened(to)?;
    fchmod(&to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let from = reopened(from)?;
    for name in attribute_names(&from)? {
        let mut value = Vec::with_capacity(64 << 10);
        fgetxattr(&from, &*name, rustix::buffer::spare_capacity(&mut value))?;
        match fsetxattr(&to, &*name, &value, XattrFlags::empty()) {
            // a kernel whose tmpfs has none of that kind
            Ok(()) | Err(Errno::NOTSUP) => {}
            Err(errno) => return Err(errno),
        }
    }
    rustix::fs::futimens(&to, &times(&stat))
}

/// What can be read and written: a descriptor by path alone cannot.
fn reopened(place: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    rustix::fs::open(proc_path(place), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

fn proc_path(place: BorrowedFd<'_>) -> String {
    use std::os::fd::AsRawFd as _;
    format!("/proc/self/fd/{}", place.as_raw_fd())
}

fn attribute_names(file: &OwnedFd) -> Result<Vec<OsString>, Errno> {
    let mut list = Vec::with_capacity(64 << 10);
    match flistxattr(file, rustix::buffer::spare_capacity(&mut list)) {
        Ok(_) => {}
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Err(errno) => return Err(errno),
    }
    let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| OsStr::from_bytes(name).to_owned()).collect())
}

fn own(directory: BorrowedFd<'_>, name: &OsStr, stat: &Stat) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

fn times(stat: &Stat) -> Timestamps {
    let time = |tv_sec, tv_nsec: u64| Timespec { tv_sec, tv_nsec: tv_nsec.cast_signed() };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    #[test]
    fn a_copy_is_the_same() {
        let scratch = tempfile::tempdir().unwrap();
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        fs::create_dir_all(from.join("d/e")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("d/file"), vec![7; 200_000]).unwrap();
        fs::set_permissions(from.join("d/file"), fs::Permissions::from_mode(0o4711)).unwrap();
        fs::hard_link(from.join("d/file"), from.join("other")).unwrap();
        symlink("nowhere", from.join("link")).unwrap();
        fs::set_permissions(from.join("d/e"), fs::Permissions::from_mode(0o1750)).unwrap();
        File::open(from.join("d")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        rustix::fs::setxattr(from.join("other"), "user.colour", b"blue", XattrFlags::empty()).unwrap();
        let open = |path: &Path| rustix::fs::open(path, OFlags::PATH, Mode::empty()).unwrap();
        directory(open(&from).as_fd(), open(&to).as_fd(), &from).unwrap();
        for name in ["", "d", "d/e", "d/file", "other", "link"] {
            let [a, b] = [&from, &to].map(|side| fs::symlink_metadata(side.join(name)).unwrap());
            assert_eq!(
                (a.mode(), a.uid(), a.gid(), a.mtime(), a.nlink()),
                (b.mode(), b.uid(), b.gid(), b.mtime(), b.nlink()),
                "{name:?}"
            );
        }
        assert_eq!(fs::read(to.join("other")).unwrap(), vec![7; 200_000]);
        assert_eq!(
            fs::metadata(to.join("other")).unwrap().ino(),
            fs::metadata(to.join("d/file")).unwrap().ino()
        );
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("nowhere"));
        let mut value = Vec::with_capacity(64);
        rustix::fs::getxattr(to.join("other"), "user.colour", rustix::buffer::spare_capacity(&mut value))
            .unwrap();
        assert_eq!(value, b"blue");
    }
}
