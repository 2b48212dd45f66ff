//! A directory that is held open, and names beneath it.
//!
//! Everything is opened beneath the descriptor without following a symlink: a directory on the way that is swapped for one,
//! by whoever may write there, leads nowhere.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// Opens whatever is there, and reads nothing of it.
pub const NAME_ONLY: OFlags = OFlags::PATH;
const NOT_FOLLOWED: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

/// An open directory.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Root {
    /// The directory at `path`, symlinks followed. Errors if there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// The directory at `path` beneath this one.
    pub fn below(&self, path: &[u8]) -> io::Result<Self> {
        self.find(path, OFlags::PATH | OFlags::DIRECTORY).map(Self)
    }

    /// Opens what is at `path`, or with an empty path the directory itself. Errors if a symlink is on the way; one at the end
    /// is opened as such with [`NAME_ONLY`], and an error without.
    pub fn find(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let literal = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(&self.0, path, flags | NOT_FOLLOWED, Mode::empty(), literal) {
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
            let above = directory.as_ref().unwrap_or(&self.0);
            let next = rustix::fs::openat(above, name, NAME_ONLY | NOT_FOLLOWED, Mode::empty())?;
            // without following it a symlink is opened itself, and then is no directory
            if is_symlink(&rustix::fs::fstat(&next)?) {
                return Err(swapped(Errno::LOOP));
            }
            directory = Some(next);
        }
        let above = directory.as_ref().unwrap_or(&self.0);
        rustix::fs::openat(above, last, flags | NOT_FOLLOWED, Mode::empty()).map_err(swapped)
    }
}

fn swapped(errno: Errno) -> io::Error {
    match errno {
        Errno::LOOP => io::Error::other("a symlink has taken its place, or that of a directory on the way"),
        other => other.into(),
    }
}

/// Whether it is a symlink.
pub fn is_symlink(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_directory_that_becomes_a_symlink_leads_nowhere() {
        type Open = fn(&Root, &[u8], OFlags) -> io::Result<OwnedFd>;
        for (way, open) in [("openat2", Root::find as Open), ("by names", Root::walk)] {
            let dir = tempfile::tempdir().unwrap();
            let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
            for (directory, text) in [(inside.join("a/b"), "mine"), (outside.join("b"), "secret")] {
                fs::create_dir_all(&directory).unwrap();
                fs::write(directory.join("f"), text).unwrap();
            }
            let root = Root::open(&inside).unwrap();
            let read = |path: &str| {
                let file = open(&root, path.as_bytes(), OFlags::RDONLY)?;
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
        }
    }
}
