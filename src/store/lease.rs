//! A lease: a directory that belongs to a living process.
//!
//! `<parent>/<id>/` is owned by whoever holds the flock on `<parent>/<id>.lock`. The lock is taken before
//! the directory appears and the directory goes before its lock file does, so a directory whose lock is
//! free, or has no file, belongs to nobody: no process id is guessed at, and none can be reused. The
//! kernel frees the lock at any death.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::Error;
use super::error::{At, if_present};
use super::lock::{create, has_name, open_existing, try_lock};
use super::removal::{Removal, remove_plainly};

/// A directory and the held lock that says whose it is.
#[derive(Debug)]
pub(super) struct Lease {
    dir: PathBuf,
    _lock: File,
}

impl Lease {
    /// A fresh, empty directory below `parent`.
    pub(super) fn create(parent: &Path) -> Result<Self, Error> {
        loop {
            // RandomState is seeded by the system; a collision only costs another turn.
            let dir = parent.join(format!("{:016x}", RandomState::new().hash_one(0)));
            let path = lock_path(&dir);
            let Some(lock) = create(&path)? else { continue };
            lock.lock().map_err(|source| Error::Lock { path: path.clone(), source })?;
            // A sweep may have taken the file for a dead process's before it was locked.
            if has_name(&lock, &path)? {
                // What a step writes is no other user's to look at or run: its setuid bits are not theirs to use.
                DirBuilder::new().mode(0o700).create(&dir).at("create", &dir)?;
                return Ok(Self { dir, _lock: lock });
            }
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes over every lease below `parent` whose owner is dead.
    pub(super) fn claim_dead(parent: &Path) -> Result<Vec<Self>, Error> {
        let mut claimed = Vec::new();
        for dir in list(parent)? {
            claimed.extend(Self::claim(dir)?);
        }
        Ok(claimed)
    }

    /// The directories below `parent` whose owners live.
    pub(super) fn living(parent: &Path) -> Result<Vec<PathBuf>, Error> {
        let mut living = Vec::new();
        for dir in list(parent)? {
            let path = lock_path(&dir);
            if let Some(lock) = open_existing(&path)?
                && !try_lock(&lock, &path)?
            {
                living.push(dir);
            }
        }
        Ok(living)
    }

    /// Takes over one lease; `None` if its owner lives or it is gone.
    fn claim(dir: PathBuf) -> Result<Option<Self>, Error> {
        let path = lock_path(&dir);
        let lock = match open_existing(&path)? {
            Some(lock) => lock,
            // No lock file: nobody's, if it is still there at all. Of two that see this, one creates the file.
            None if !dir.try_exists().at("stat", &dir)? => return Ok(None),
            None => match create(&path)? {
                Some(lock) => lock,
                None => return Ok(None),
            },
        };
        let free = try_lock(&lock, &path)? && has_name(&lock, &path)?;
        Ok(free.then_some(Self { dir, _lock: lock }))
    }

    /// Removes the directory with all it holds, then the lease, as far as a plain removal goes.
    pub(super) fn remove_all(&self) -> Result<Removal, Error> {
        let removal = remove_plainly(&self.dir)?;
        if removal == Removal::Done {
            let path = lock_path(&self.dir);
            if_present(fs::remove_file(&path)).at("remove", &path)?;
        }
        Ok(removal)
    }

    /// Removes the directory if it is empty (or gone), then the lease. False if it is not empty.
    pub(super) fn remove_empty(&self) -> io::Result<bool> {
        match if_present(fs::remove_dir(&self.dir)) {
            Ok(_) => if_present(fs::remove_file(lock_path(&self.dir))).map(|_| true),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn lock_path(dir: &Path) -> PathBuf {
    dir.with_extension("lock")
}

/// Every lease below `parent`, by its directory; it may have lost that, or its lock file, in a crash.
fn list(parent: &Path) -> Result<BTreeSet<PathBuf>, Error> {
    let mut dirs = BTreeSet::new();
    for entry in fs::read_dir(parent).at("list", parent)? {
        let path = entry.at("list", parent)?.path();
        let lease = path.extension().is_some_and(|ext| ext == "lock") || path.is_dir();
        if lease {
            dirs.insert(path.with_extension(""));
        }
    }
    Ok(dirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_lease_is_claimed_once_and_a_living_one_never() {
        let parent = tempfile::tempdir().unwrap();
        let living = Lease::create(parent.path()).unwrap();
        // What a crash leaves: both; the directory alone; the lock file alone.
        fs::create_dir(parent.path().join("both")).unwrap();
        File::create(parent.path().join("both.lock")).unwrap();
        fs::create_dir(parent.path().join("dir")).unwrap();
        File::create(parent.path().join("lock.lock")).unwrap();

        let claimed = Lease::claim_dead(parent.path()).unwrap();
        let names: Vec<_> = claimed.iter().map(|lease| lease.dir().file_name().unwrap()).collect();
        assert_eq!(names, ["both", "dir", "lock"]);
        assert_eq!(Lease::claim_dead(parent.path()).unwrap().len(), 0, "claimed leases are held");
        assert_eq!(Lease::living(parent.path()).unwrap().len(), 4);

        for lease in &claimed {
            lease.remove_all().unwrap();
        }
        assert_eq!(list(parent.path()).unwrap().into_iter().collect::<Vec<_>>(), [living.dir()]);
        assert!(living.remove_empty().unwrap());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
