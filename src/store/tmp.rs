//! Files being written, and the session they belong to: `tmp/<session>/`.
//!
//! A session is one handle's lease in `tmp/`. It also notes the blobs its owner relies upon (its pins), so
//! that a collection by another process keeps them until they are reachable by a name or a cache record.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::error::{At, if_present};
use super::lease::Lease;
use super::{Error, Store};
use crate::oci::Digest;

const PINS: &str = "pins";

/// One handle's place in `tmp/`.
pub(super) struct Session {
    lease: Lease,
    next: AtomicU64,
    pins: Mutex<Pins>,
}

/// What a session relies upon: in memory for its owner, in a file for everyone else.
struct Pins {
    digests: HashSet<Digest>,
    file: File,
}

impl Session {
    fn create(parent: &Path) -> Result<Self, Error> {
        let lease = Lease::create(parent)?;
        let path = lease.dir().join(PINS);
        let file = OpenOptions::new().append(true).create_new(true).open(&path).at("create", &path)?;
        let pins = Mutex::new(Pins { digests: HashSet::new(), file });
        Ok(Self { lease, next: AtomicU64::new(0), pins })
    }

    fn pin(&self, digests: &[Digest]) -> Result<(), Error> {
        let mut pins = self.pins.lock().expect("no code panics while holding it");
        let mut lines = String::new();
        for digest in digests {
            if pins.digests.insert(*digest) {
                lines.push_str(&digest.to_string());
                lines.push('\n');
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        // One write: O_APPEND keeps the lines of several threads whole, and a reader sees all or none.
        pins.file.write_all(lines.as_bytes()).at("write", &self.lease.dir().join(PINS))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What cannot be removed is swept by the next open, because the lease ends here.
        drop(self.lease.remove_all());
    }
}

/// A file in `tmp/`, removed on drop unless committed.
pub struct TmpFile {
    file: File,
    path: PathBuf,
    /// Keeps the directory.
    _session: Arc<Session>,
}

impl TmpFile {
    /// The open file, for reading and writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it is now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length, in bytes.
    pub(super) fn size(&self) -> Result<u64, Error> {
        Ok(self.file.metadata().at("stat", &self.path)?.len())
    }

    /// Gives the file its name, replacing what had it.
    pub(super) fn rename(self, to: &Path) -> Result<(), Error> {
        fs::rename(&self.path, to).at("rename", &self.path)
    }
}

impl Drop for TmpFile {
    fn drop(&mut self) {
        // After a rename there is nothing to remove. What cannot be removed goes with the session.
        drop(fs::remove_file(&self.path));
    }
}

impl Store {
    /// A new file in `tmp/`, removed on drop unless committed.
    pub fn tmp_file(&self) -> Result<TmpFile, Error> {
        let session = self.session()?;
        let path = session.lease.dir().join(session.next.fetch_add(1, Ordering::Relaxed).to_string());
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        Ok(TmpFile { file: file.at("create", &path)?, path, _session: session })
    }

    /// A file in `tmp/` that holds `bytes`.
    pub(super) fn tmp_file_of(&self, bytes: &[u8]) -> Result<TmpFile, Error> {
        let tmp = self.tmp_file()?;
        tmp.file().write_all(bytes).at("write", tmp.path())?;
        Ok(tmp)
    }

    /// Keeps these blobs from being collected as long as this handle lives. Call it while `storing`.
    pub(super) fn pin(&self, digests: &[Digest]) -> Result<(), Error> {
        self.session()?.pin(digests)
    }

    /// Takes back this handle's own pins.
    pub(super) fn unpin(&self, digests: &[Digest]) -> Result<(), Error> {
        let session = self.session()?;
        let mut pins = session.pins.lock().expect("no code panics while holding it");
        pins.digests.retain(|digest| !digests.contains(digest));
        Ok(())
    }

    /// What living sessions rely upon, this one included. Call it while `collecting`.
    pub(super) fn pinned(&self) -> Result<HashSet<Digest>, Error> {
        let own = self.session()?;
        let mut pinned = own.pins.lock().expect("no code panics while holding it").digests.clone();
        for dir in Lease::living(&self.tmp_dir())?.iter().filter(|dir| *dir != own.lease.dir()) {
            let path = dir.join(PINS);
            // A session that is being born has no pins yet, one that is ending needs none.
            let text = if_present(fs::read_to_string(&path)).at("read", &path)?.unwrap_or_default();
            for line in text.lines() {
                pinned.insert(line.parse()?);
            }
        }
        Ok(pinned)
    }

    /// Removes the sessions of dead processes.
    pub(super) fn sweep_tmp(&self) -> Result<(), Error> {
        for lease in Lease::claim_dead(&self.tmp_dir())? {
            lease.remove_all()?;
        }
        Ok(())
    }

    fn session(&self) -> Result<Arc<Session>, Error> {
        let mut session = self.inner.session.lock().expect("no code panics while holding it");
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        Ok(Arc::clone(session.insert(Arc::new(Session::create(&self.tmp_dir())?))))
    }

    fn tmp_dir(&self) -> PathBuf {
        self.root().join("tmp")
    }
}
