//! Giving files to a user: a tree of the host (option `U` of a volume), or one file that was made for the step.
//!
//! The tree may change while it is walked, and hold symlinks to anywhere: every entry is opened without following it, and
//! what was opened is what is given away.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::super::Error;
use super::super::held::{KeptBy, Owned};
use super::super::root::StepRoot;
use crate::runtime::Attributes;

/// The most directories within each other.
const MAX_DEPTH: usize = 512;

/// Gives `tree`, called `name`, and all in it to a user and a group, as this user namespace numbers them.
///
/// Errors with [`Error::Owner`] where the kernel refuses; what was given before stays given.
pub(super) fn give(tree: BorrowedFd<'_>, name: &Path, uid: u32, gid: u32) -> Result<(), Error> {
    let top = tree.try_clone_to_owned().map_err(Error::file("open", name))?;
    Giver { uid, gid }.give(&top, name, 0).map_err(|(path, errno)| Error::Owner {
        path,
        uid,
        gid,
        source: errno.into(),
    })
}

/// Gives a file that was made for the step to a user, in what the step is told where the kernel cannot say so.
pub(super) fn give_made(
    file: BorrowedFd<'_>,
    name: &Path,
    attributes: Attributes,
    (root, owners): (&mut StepRoot<'_>, KeptBy),
) -> Result<(), Error> {
    let Attributes { mode, uid, gid } = attributes;
    match owners {
        KeptBy::Kernel => {
            let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::chownat(file, "", owner.0, owner.1, AtFlags::EMPTY_PATH)
                .map_err(|errno| Error::Owner { path: name.into(), uid, gid, source: errno.into() })?;
        }
        KeptBy::Server | KeptBy::Clerk => remember(file, name, (uid, gid), (root, owners))?,
    }
    // last: chown takes setuid bits away
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::chmod(path, Mode::from_raw_mode(mode)).map_err(Error::file("chmod", name))
}

/// Tells the step whose a file is that was given to a user before, where the kernel cannot say so.
pub(super) fn remember(
    file: BorrowedFd<'_>,
    name: &Path,
    owner: (u32, u32),
    (root, owners): (&mut StepRoot<'_>, KeptBy),
) -> Result<(), Error> {
    if owners != KeptBy::Kernel && owner != (0, 0) {
        root.record(Owned::of(file, name, owner)?);
    }
    Ok(())
}

struct Giver {
    uid: u32,
    gid: u32,
}

type Refusal = (PathBuf, Errno);

impl Giver {
    fn give(&self, entry: &OwnedFd, path: &Path, depth: usize) -> Result<(), Refusal> {
        let at = |errno| (path.to_path_buf(), errno);
        let stat = rustix::fs::fstat(entry).map_err(at)?;
        if (stat.st_uid, stat.st_gid) != (self.uid, self.gid) {
            let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
            rustix::fs::chownat(entry, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH).map_err(at)?;
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(());
        }
        if depth == MAX_DEPTH {
            return Err(at(Errno::NAMETOOLONG));
        }
        for name in names(entry.as_fd()).map_err(at)? {
            let inside = path.join(&name);
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::openat(entry, name.as_bytes(), flags, Mode::empty()) {
                Ok(child) => self.give(&child, &inside, depth + 1)?,
                // gone in the meantime
                Err(Errno::NOENT) => {}
                Err(errno) => return Err((inside, errno)),
            }
        }
        Ok(())
    }
}

/// The names in a directory that is open by its path alone.
pub(super) fn names(directory: BorrowedFd<'_>) -> Result<Vec<OsString>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let readable = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::new(readable)? {
        let name = std::ffi::OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    #[test]
    fn everything_inside_is_given_and_nothing_outside() {
        let scratch = tempfile::tempdir().unwrap();
        let (inside, outside) = (scratch.path().join("in"), scratch.path().join("out"));
        fs::create_dir_all(inside.join("a/b")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(inside.join("a/b/file"), "").unwrap();
        symlink(&outside, inside.join("a/link")).unwrap();
        let root = rustix::process::geteuid().is_root();
        let (uid, gid) = if root {
            (7, 8)
        } else {
            (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
        };
        let tree = rustix::fs::open(&inside, OFlags::PATH, Mode::empty()).unwrap();
        give(tree.as_fd(), &inside, uid, gid).unwrap();
        for name in ["", "a", "a/b", "a/b/file", "a/link"] {
            let metadata = fs::symlink_metadata(inside.join(name)).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (uid, gid), "{name:?}");
        }
        assert_eq!(fs::metadata(&outside).unwrap().uid(), rustix::process::geteuid().as_raw());
    }

    #[test]
    fn a_refusal_names_the_file() {
        if rustix::process::geteuid().is_root() {
            eprintln!("skipped: root may give everything");
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let tree = rustix::fs::open(scratch.path(), OFlags::PATH, Mode::empty()).unwrap();
        let error = give(tree.as_fd(), scratch.path(), 7, 8).unwrap_err().to_string();
        assert_eq!(error, format!("give {:?} to 7:8", scratch.path()));
    }
}
