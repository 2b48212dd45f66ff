//! Directories of `RUN --mount=type=cache`: `rbuild/mounts/<key>/<n>/`.
//!
//! ```text
//! <key>        a digest of the cache's id and of what it starts with: an id is no path, whatever it says
//!   <n>/       0, and one more for each build at once that shares with nobody
//!     lock     held while a step has it: shared, or alone; its time is that of the last use
//!     about    the id and what it starts with, as JSON
//!     data/    what steps see; the sandbox makes it, and it may belong to mapped ids
//! ```
//!
//! Who removes one holds its lock alone, and unlinks the lock file before the directory, so whoever waited for it finds
//! that its file has no name any more, and begins again.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::error::{At, if_present};
use super::lock::{has_name, try_lock};
use super::removal::remove_plainly;
use super::{Error, Store};
use crate::oci::Digest;

const LOCK: &str = "lock";
const ABOUT: &str = "about";
const DATA: &str = "data";

/// What tells one cache from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CacheMountId {
    /// As the Dockerfile has it.
    pub id: String,
    /// What it starts with, if with anything.
    pub seed: Option<String>,
}

/// How a step holds a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// With others.
    Shared,
    /// One that nobody else holds, made if need be.
    Private,
    /// Alone: the others wait.
    Locked,
}

/// A cache that is held; dropping it lets it go.
#[derive(Debug)]
pub struct CacheMount {
    dir: PathBuf,
    /// Closing it frees the lock.
    _lock: File,
}

/// A cache that is kept.
#[derive(Clone, Debug)]
pub struct KeptCacheMount {
    /// Which; `None`: its row is gone.
    pub id: Option<CacheMountId>,
    /// When a step had it last.
    pub used: SystemTime,
    dir: PathBuf,
}

impl CacheMount {
    /// The directory, without a symlink on the way.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Whether a step has had it before.
    pub fn is_made(&self) -> bool {
        self.dir.join(DATA).exists()
    }
}

impl Store {
    /// Takes a cache, made if there is none; `None` if others hold it and it cannot be shared with them.
    ///
    /// A caller that takes several takes them in the order of their ids, so that two of them never wait for each other.
    pub fn try_cache_mount(&self, id: &CacheMountId, hold: Hold) -> Result<Option<CacheMount>, Error> {
        let about = serde_json::to_vec(id).expect("strings alone");
        let room = self.cache_mounts_dir();
        fs::create_dir_all(&room).at("create", &room)?;
        // the store may lie behind a symlink; what is mounted may not
        let key = fs::canonicalize(&room).at("find", &room)?.join(Digest::of(&about).hex());
        let mut number = 0_u32;
        loop {
            let dir = key.join(number.to_string());
            let Some(lock) = acquire(&dir, hold)? else {
                if hold != Hold::Private {
                    return Ok(None);
                }
                number += 1;
                continue;
            };
            lock.set_modified(SystemTime::now()).at("touch", &dir.join(LOCK))?;
            let path = dir.join(ABOUT);
            if !path.exists() {
                self.tmp_file_of(&about)?.rename(&path)?;
            }
            return Ok(Some(CacheMount { dir, _lock: lock }));
        }
    }

    /// Every cache that is kept.
    pub fn cache_mounts(&self) -> Result<Vec<KeptCacheMount>, Error> {
        let mut kept = Vec::new();
        for key in list(&self.cache_mounts_dir())? {
            for dir in list(&key)? {
                let lock = dir.join(LOCK);
                let Some(used) = if_present(fs::metadata(&lock)).at("stat", &lock)? else { continue };
                let about = dir.join(ABOUT);
                let about = if_present(fs::read(&about)).at("read", &about)?.unwrap_or_default();
                let used = used.modified().at("stat", &lock)?;
                kept.push(KeptCacheMount { id: serde_json::from_slice(&about).ok(), used, dir });
            }
        }
        kept.sort_by(|a, b| (&a.id, &a.dir).cmp(&(&b.id, &b.dir)));
        Ok(kept)
    }

    /// Removes a cache; false if a step has it now. `clear` empties directories that hold files of mapped ids, which a
    /// plain removal cannot.
    pub fn remove_cache_mount<E: From<Error>>(
        &self,
        kept: &KeptCacheMount,
        clear: impl FnOnce(&[PathBuf]) -> Result<(), E>,
    ) -> Result<bool, E> {
        let dir = &kept.dir;
        let Some(lock) = open(dir, OpenOptions::new().read(true).write(true))? else { return Ok(true) };
        if !try_lock(&lock, &dir.join(LOCK))? || !has_name(&lock, dir)? {
            return Ok(false);
        }
        let contents = |dir: &Path| -> Result<Vec<PathBuf>, Error> {
            let inside = list(dir)?;
            Ok(inside.into_iter().filter(|path| path.is_dir()).collect())
        };
        for inside in contents(dir)? {
            remove_plainly(&inside)?;
        }
        let left = contents(dir)?;
        if !left.is_empty() {
            clear(&left)?;
        }
        for file in [ABOUT, LOCK] {
            let path = dir.join(file);
            if_present(fs::remove_file(&path)).at("remove", &path)?;
        }
        // not empty: who waited for it has begun again
        remove_if_empty(dir)?;
        remove_if_empty(dir.parent().unwrap_or(dir))?;
        Ok(true)
    }

    fn cache_mounts_dir(&self) -> PathBuf {
        self.root().join("rbuild/mounts")
    }
}

/// The lock of a directory, which is made if need be; `None` if others hold it.
fn acquire(dir: &Path, hold: Hold) -> Result<Option<File>, Error> {
    loop {
        let parent = dir.parent().unwrap_or(dir);
        make(parent).at("create", parent)?;
        // whoever removes one may take the parent away in between
        if if_present(make(dir)).at("create", dir)?.is_none() {
            continue;
        }
        let Some(file) = open(dir, OpenOptions::new().read(true).write(true).create(true))? else { continue };
        let path = dir.join(LOCK);
        let taken = match hold {
            Hold::Shared => file.try_lock_shared(),
            Hold::Private | Hold::Locked => file.try_lock(),
        };
        match taken {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(Error::Lock { path, source }),
            Ok(()) if has_name(&file, &path)? => return Ok(Some(file)),
            Ok(()) => {}
        }
    }
}

/// Makes a directory unless it is there.
///
/// Not `create_dir_all`: that looks for what it was told is there, and errors if it is gone by then.
fn make(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Opens the lock of a directory; `None` if it, or the directory, is gone.
fn open(dir: &Path, options: &OpenOptions) -> Result<Option<File>, Error> {
    let path = dir.join(LOCK);
    if_present(options.open(&path)).at("open", &path)
}

/// What a directory holds, sorted; nothing if it is gone.
fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let Some(entries) = if_present(fs::read_dir(dir)).at("list", dir)? else { return Ok(Vec::new()) };
    let mut paths =
        entries.map(|entry| Ok(entry.at("list", dir)?.path())).collect::<Result<Vec<_>, Error>>()?;
    paths.sort();
    Ok(paths)
}

fn remove_if_empty(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir(dir) {
        Err(error) if !matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound) => {
            Err::<(), io::Error>(error).at("remove", dir)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::super::tests::scratch;
    use super::*;

    fn id(id: &str) -> CacheMountId {
        CacheMountId { id: id.to_owned(), seed: None }
    }

    fn remove(store: &Store, kept: &KeptCacheMount) -> bool {
        store.remove_cache_mount(kept, |left| -> Result<(), Error> { panic!("{left:?}") }).unwrap()
    }

    #[test]
    fn an_id_is_no_path() {
        let (dir, store) = scratch();
        let room = fs::canonicalize(dir.path()).unwrap().join("rbuild/mounts");
        for hostile in ["../../../x", "/etc", "..", "", "a/../../b", "\0", "é\n"] {
            let held = store.try_cache_mount(&id(hostile), Hold::Locked).unwrap().unwrap();
            let below = held.path().strip_prefix(&room).unwrap().to_str().unwrap();
            assert_eq!((below.len(), &below[64..]), (66, "/0"), "{hostile:?}");
        }
        let names: Vec<_> =
            store.cache_mounts().unwrap().into_iter().map(|kept| kept.id.unwrap().id).collect();
        assert_eq!(names.len(), 7);
        assert!(names.contains(&"../../../x".to_owned()));
    }

    #[test]
    fn sharing_is_what_it_says() {
        let (_dir, store) = scratch();
        let try_hold = |how| store.try_cache_mount(&id("a"), how).unwrap();
        let hold = |how| try_hold(how).expect("it is free");
        let (one, other) = (hold(Hold::Shared), hold(Hold::Shared));
        assert_eq!(one.path(), other.path());
        let (private, third) = (hold(Hold::Private), hold(Hold::Private));
        assert!(private.path().ends_with("1") && third.path().ends_with("2"));
        drop(private);
        assert!(hold(Hold::Private).path().ends_with("1"), "one that is free again is taken");
        let seeded = CacheMountId { seed: Some("s".to_owned()), ..id("a") };
        assert_ne!(store.try_cache_mount(&seeded, Hold::Locked).unwrap().unwrap().path(), one.path());
        // who wants it alone comes after all who have it
        assert!(try_hold(Hold::Locked).is_none());
        drop(one);
        assert!(try_hold(Hold::Locked).is_none());
        drop(other);
        let alone = hold(Hold::Locked);
        assert!(try_hold(Hold::Shared).is_none() && try_hold(Hold::Locked).is_none());
        drop(alone);
        hold(Hold::Shared);
    }

    #[test]
    fn what_is_in_use_is_not_removed() {
        let (dir, store) = scratch();
        let held = store.try_cache_mount(&id("a"), Hold::Shared).unwrap().unwrap();
        fs::create_dir(held.path().join(DATA)).unwrap();
        fs::write(held.path().join("data/f"), "").unwrap();
        assert!(held.is_made());
        let kept = store.cache_mounts().unwrap().remove(0);
        assert!(!remove(&store, &kept));
        assert!(held.path().join("data/f").exists());
        drop(held);
        assert!(remove(&store, &kept) && remove(&store, &kept));
        assert_eq!(fs::read_dir(dir.path().join("rbuild/mounts")).unwrap().count(), 0);
        assert!(!store.try_cache_mount(&id("a"), Hold::Shared).unwrap().unwrap().is_made());
    }

    #[test]
    fn builds_and_removals_at_once_do_not_meet() {
        let (_dir, store) = scratch();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let held = store.try_cache_mount(&id("a"), Hold::Locked).unwrap();
                        let Some(held) = held else { continue };
                        fs::create_dir_all(held.path().join(DATA)).unwrap();
                        fs::write(held.path().join("data/f"), "").unwrap();
                        fs::remove_file(held.path().join("data/f")).expect("nobody else has it");
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..1000 {
                    for kept in store.cache_mounts().unwrap() {
                        remove(&store, &kept);
                    }
                }
            });
        });
    }
}
