//! Locks: `flock` on files of `rbuild/locks/`, freed by the kernel when their owner dies.
//!
//! A lock file is made by whoever needs it first and unlinked by its last owner, so that one build does
//! not leave one file per step behind. That makes a race: a waiter may get the lock of a file that has
//! just lost its name, while a newcomer locks the new file of that name. So whoever gets a lock looks
//! whether the file still has its name, and starts again if not.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{At, if_present};
use super::{CacheKey, Error, Store};
use crate::oci::Digest;

/// A held flock; dropping frees it.
#[derive(Debug)]
pub struct Lock {
    /// Closing it frees the lock.
    _file: File,
    /// Unlinked when dropped, unless every process uses this file.
    transient: Option<PathBuf>,
}

/// How to take a lock.
#[derive(Clone, Copy)]
enum Wait {
    Forever,
    Never,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(path) = &self.transient {
            // What cannot be unlinked is an empty file that the next owner takes over: nothing to report.
            drop(fs::remove_file(path));
        }
    }
}

impl Store {
    /// Waits for whoever does this step now; hold it while doing the step, look again after getting it.
    ///
    /// Errors with [`Error::Lock`] if a handled signal interrupts the wait.
    pub fn lock_step(&self, key: &CacheKey) -> Result<Lock, Error> {
        transient(&self.lock_path(&format!("step-{}", key.checked()?)))
    }

    /// The same without waiting: `None` if someone does this step now.
    pub fn try_lock_step(&self, key: &CacheKey) -> Result<Option<Lock>, Error> {
        acquire(&self.lock_path(&format!("step-{}", key.checked()?)), Wait::Never)
    }

    /// Waits for whoever fetches or makes this blob now; look again after getting it.
    pub fn lock_blob(&self, digest: &Digest) -> Result<Lock, Error> {
        transient(&self.lock_path(&format!("blob-{}", digest.hex())))
    }

    /// Held while a container is changed; `None` if someone does that now.
    pub(super) fn try_lock_container(&self, id: &str) -> Result<Option<Lock>, Error> {
        acquire(&self.lock_path(&format!("container-{id}")), Wait::Never)
    }

    /// Held while the names of containers are looked at and one is given out.
    pub(super) fn naming_containers(&self) -> Result<Lock, Error> {
        permanent(&self.lock_path("containers"), File::lock)
    }

    /// Held while one layer's index is rebuilt. Not [`Store::lock_blob`]: its owner may open layers.
    pub(super) fn lock_index(&self, digest: &Digest) -> Result<Lock, Error> {
        transient(&self.lock_path(&format!("index-{}", digest.hex())))
    }

    /// Held, shared, by every operation that puts or pins blobs: none is collected meanwhile.
    pub(super) fn storing(&self) -> Result<Lock, Error> {
        permanent(&self.lock_path("gc"), File::lock_shared)
    }

    /// Held alone by the collection of unreachable blobs.
    pub(super) fn collecting(&self) -> Result<Lock, Error> {
        permanent(&self.lock_path("gc"), File::lock)
    }

    /// Held by whoever changes `index.json`.
    pub(super) fn naming(&self) -> Result<Lock, Error> {
        permanent(&self.lock_path("names"), File::lock)
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        self.root().join("rbuild/locks").join(name)
    }

    /// Unlinks the lock files of dead processes.
    pub(super) fn sweep_locks(&self) -> Result<(), Error> {
        let dir = self.root().join("rbuild/locks");
        for entry in fs::read_dir(&dir).at("list", &dir)? {
            let name = entry.at("list", &dir)?.file_name();
            if ["step-", "blob-", "index-", "container-"]
                .iter()
                .any(|kind| name.as_encoded_bytes().starts_with(kind.as_bytes()))
            {
                drop(acquire(&dir.join(name), Wait::Never)?);
            }
        }
        Ok(())
    }
}

/// Locks a file that stays: every process uses it.
pub(super) fn permanent(path: &Path, how: fn(&File) -> io::Result<()>) -> Result<Lock, Error> {
    let file = open(path, OpenOptions::new().create(true))?;
    how(&file).map_err(|source| Error::Lock { path: path.to_owned(), source })?;
    Ok(Lock { _file: file, transient: None })
}

fn transient(path: &Path) -> Result<Lock, Error> {
    Ok(acquire(path, Wait::Forever)?.expect("a wait without end ends with the lock or an error"))
}

fn acquire(path: &Path, wait: Wait) -> Result<Option<Lock>, Error> {
    loop {
        let file = open(path, OpenOptions::new().create(true))?;
        match wait {
            Wait::Forever => file.lock().map_err(|source| Error::Lock { path: path.to_owned(), source })?,
            Wait::Never if !try_lock(&file, path)? => return Ok(None),
            Wait::Never => {}
        }
        if has_name(&file, path)? {
            return Ok(Some(Lock { _file: file, transient: Some(path.to_owned()) }));
        }
    }
}

/// Opens a lock file. For reading and writing: NFS grants exclusive locks only to writers.
fn open(path: &Path, options: &mut OpenOptions) -> Result<File, Error> {
    options.read(true).write(true).truncate(false).open(path).at("open", path)
}

/// Takes the lock if it is free; false if someone holds it.
pub(super) fn try_lock(file: &File, path: &Path) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(Error::Lock { path: path.to_owned(), source }),
    }
}

/// Whether a locked file was not unlinked between its opening and its locking.
pub(super) fn has_name(file: &File, path: &Path) -> Result<bool, Error> {
    Ok(file.metadata().at("stat", path)?.nlink() > 0)
}

/// Opens the lock file of someone else; `None` if it is gone.
pub(super) fn open_existing(path: &Path) -> Result<Option<File>, Error> {
    if_present(OpenOptions::new().read(true).write(true).open(path)).at("open", path)
}

/// Makes a lock file; `None` if there is one.
pub(super) fn create(path: &Path) -> Result<Option<File>, Error> {
    match OpenOptions::new().read(true).write(true).create_new(true).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error).at("create", path),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::super::tests::scratch;
    use super::*;

    #[test]
    fn one_owner_at_a_time_and_no_file_left_behind() {
        let (dir, store) = scratch();
        let key = CacheKey("0".repeat(64));
        let counter = Mutex::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let _step = store.lock_step(&key).unwrap();
                        assert!(store.try_lock_step(&key).unwrap().is_none(), "two owners");
                        // Nobody else may be here, not even to wait.
                        *counter.try_lock().expect("two owners") += 1;
                    }
                });
            }
        });
        assert_eq!(counter.into_inner().unwrap(), 800);
        assert_eq!(fs::read_dir(dir.path().join("rbuild/locks")).unwrap().count(), 1, "only init");
    }

    #[test]
    fn locks_of_different_kinds_do_not_meet() {
        let (_dir, store) = scratch();
        let digest = Digest::of(b"x");
        let _step = store.lock_step(&CacheKey(digest.hex())).unwrap();
        let _blob = store.lock_blob(&digest).unwrap();
        let _index = store.lock_index(&digest).unwrap();
        let _gc = store.storing().unwrap();
        let _names = store.naming().unwrap();
    }
}
