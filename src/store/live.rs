//! Live directories: where steps that run now keep what they change, `rbuild/live/<id>/`.
//!
//! What a step leaves there may belong to mapped ids, which only a sandbox may remove. So a leftover of a
//! killed build is removed in two attempts: plainly, by the next open; what refuses that is listed by
//! [`Store::abandoned`] for a sandbox to sweep.

use std::mem;
use std::path::{Path, PathBuf};

use super::error::At;
use super::lease::Lease;
use super::removal::Removal;
use super::{Error, Store};

/// A live directory and its lease. Dropping removes the directory if empty; one that is not is a leftover.
#[derive(Debug)]
pub struct Live {
    lease: Lease,
}

impl Live {
    /// The directory.
    pub fn path(&self) -> &Path {
        self.lease.dir()
    }

    /// Removes the empty directory and reports what `drop` cannot.
    pub fn close(self) -> Result<(), Error> {
        self.lease.remove_empty().at("remove", self.path()).map(|_| ())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Whatever stays is found by the next open, because the lease ends here: see `Store::abandoned`.
        drop(self.lease.remove_empty());
    }
}

impl Store {
    /// A fresh `live/<id>` with a held lease.
    pub fn lease_live(&self) -> Result<Live, Error> {
        Ok(Live { lease: Lease::create(&self.live_dir())? })
    }

    /// Directories in `live/` whose lease nobody holds: leftovers of killed builds.
    ///
    /// What can be removed plainly is removed here. The rest is returned, for a sandbox to remove, and is
    /// claimed by this handle: no other process sees it as long as this handle lives.
    pub fn abandoned(&self) -> Result<Vec<PathBuf>, Error> {
        let mut leftovers = self.inner.leftovers.lock().expect("no code panics while holding it");
        let mut claimed = mem::take(&mut *leftovers);
        claimed.extend(Lease::claim_dead(&self.live_dir())?);
        for lease in claimed {
            if lease.remove_all()? == Removal::Refused {
                leftovers.push(lease);
            }
        }
        Ok(leftovers.iter().map(|lease| lease.dir().to_owned()).collect())
    }

    /// Removes what killed builds left in `live/`, as far as a plain removal goes.
    pub(super) fn sweep_live(&self) -> Result<(), Error> {
        for lease in Lease::claim_dead(&self.live_dir())? {
            lease.remove_all()?;
        }
        Ok(())
    }

    fn live_dir(&self) -> PathBuf {
        self.root().join("rbuild/live")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::super::tests::scratch;
    use super::*;

    #[test]
    fn a_live_directory_goes_when_empty_and_is_a_leftover_when_not() {
        let (dir, store) = scratch();
        let (empty, full) = (store.lease_live().unwrap(), store.lease_live().unwrap());
        fs::write(full.path().join("upper"), "x").unwrap();
        assert_eq!(store.abandoned().unwrap(), Vec::<PathBuf>::new(), "both are leased");
        let (empty_path, full_path) = (empty.path().to_owned(), full.path().to_owned());
        drop((empty, full));
        assert!(!empty_path.exists() && full_path.exists());
        Store::open(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("rbuild/live")).unwrap().count(), 0);
    }

    /// CVE-2021-41091: programs that a step makes setuid are not there for other users of the host to run.
    #[test]
    fn a_live_directory_is_its_owners_alone() {
        let (_dir, store) = scratch();
        let live = store.lease_live().unwrap();
        assert_eq!(fs::metadata(live.path()).unwrap().permissions().mode() & 0o7777, 0o700);
    }

    #[test]
    fn a_leftover_that_refuses_is_listed_to_one_handle_until_it_is_gone() {
        if rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs an unprivileged user, root removes anything");
            return;
        }
        let (dir, store) = scratch();
        let live = store.lease_live().unwrap();
        let (path, closed) = (live.path().to_owned(), live.path().join("work"));
        // As overlayfs leaves its work directory: even the owner cannot look into it.
        fs::create_dir_all(closed.join("work")).unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
        drop(live);
        let other = Store::open(dir.path()).unwrap();
        for _ in 0..2 {
            assert_eq!(store.abandoned().unwrap(), [path.as_path()]);
            assert_eq!(other.abandoned().unwrap(), Vec::<PathBuf>::new(), "claimed by the first");
        }
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap(); // a sandbox has been here
        assert_eq!(store.abandoned().unwrap(), Vec::<PathBuf>::new());
        assert_eq!(fs::read_dir(dir.path().join("rbuild/live")).unwrap().count(), 0);
    }
}
