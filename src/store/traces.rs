//! Traces: what RUN steps looked at, `rbuild/traces/<key>/<step>`.
//!
//! `<key>` says what was run, whatever the parent; `<step>` is the key of the cache record that has the result. What a
//! file says is the build's business. None is needed: one that is gone, torn, or whose record is gone costs
//! running a step again. So they are no roots of a collection, and are not fsynced.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::blobs::read_bounded;
use super::error::{At, if_present};
use super::{CacheKey, Error, Store};

/// The longest trace, in bytes.
pub(super) const TRACE_LIMIT: u64 = 64 << 20;
/// How many traces of one command are kept; the oldest goes first.
const KEPT: usize = 8;

impl Store {
    /// The steps that ran what `key` says, each with what it looked at, the newest first.
    ///
    /// Errors with [`Error::TooLarge`] for one that [`Store::put_trace`] would not have written.
    pub fn traces(&self, key: &CacheKey) -> Result<Vec<(CacheKey, Vec<u8>)>, Error> {
        let dir = self.traces_of(key)?;
        let mut traces = Vec::new();
        for (_, path) in by_age(&dir)? {
            let Some(step) = named(&path) else { continue };
            // Another process may have taken it away meanwhile.
            let Some(file) = if_present(File::open(&path)).at("open", &path)? else { continue };
            traces.push((step, read_bounded(&file, &path, TRACE_LIMIT)?));
        }
        Ok(traces)
    }

    /// Keeps what the step behind the record `step` looked at. One that is too long to be read again is not kept.
    pub fn put_trace(&self, key: &CacheKey, step: &CacheKey, trace: &[u8]) -> Result<(), Error> {
        if trace.len() as u64 > TRACE_LIMIT {
            return Ok(());
        }
        let dir = self.traces_of(key)?;
        // The directory is not taken away meanwhile.
        let _gc = self.storing()?;
        fs::create_dir_all(&dir).at("create", &dir)?;
        self.tmp_file_of(trace)?.rename(&dir.join(step.checked()?))?;
        for (_, path) in by_age(&dir)?.into_iter().skip(KEPT) {
            if_present(fs::remove_file(&path)).at("remove", &path)?;
        }
        Ok(())
    }

    /// Removes all traces.
    pub(super) fn forget_traces(&self) -> Result<(), Error> {
        let all = self.root().join("rbuild/traces");
        if_present(fs::remove_dir_all(&all)).at("remove", &all).map(|_| ())
    }

    fn traces_of(&self, key: &CacheKey) -> Result<PathBuf, Error> {
        Ok(self.root().join("rbuild/traces").join(key.checked()?))
    }
}

/// The files of a directory, the youngest first; none where it is not there.
pub(super) fn by_age(dir: &Path) -> Result<Vec<(SystemTime, PathBuf)>, Error> {
    let mut files = Vec::new();
    for entry in if_present(fs::read_dir(dir)).at("list", dir)?.into_iter().flatten() {
        let path = entry.at("list", dir)?.path();
        let Some(metadata) = if_present(fs::metadata(&path)).at("stat", &path)? else { continue };
        files.push((metadata.modified().at("stat", &path)?, path));
    }
    files.sort();
    files.reverse();
    Ok(files)
}

fn named(path: &Path) -> Option<CacheKey> {
    let key = CacheKey(path.file_name()?.to_str()?.to_owned());
    key.checked().is_ok().then_some(key)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::scratch;
    use super::*;

    #[test]
    fn the_newest_traces_are_kept_and_come_first() {
        let (_dir, store) = scratch();
        let key = CacheKey("ab".repeat(32));
        let step = |number: usize| CacheKey(format!("{number:064}"));
        assert_eq!(store.traces(&key).unwrap(), []);
        for number in 0..KEPT + 2 {
            store.put_trace(&key, &step(number), &[u8::try_from(number).unwrap()]).unwrap();
            let path = store.traces_of(&key).unwrap().join(step(number).0);
            let age = SystemTime::UNIX_EPOCH + Duration::from_secs(number as u64);
            File::options().write(true).open(path).unwrap().set_modified(age).unwrap();
        }
        let found = store.traces(&key).unwrap();
        let numbers: Vec<usize> = found.iter().map(|(_, bytes)| bytes[0].into()).collect();
        assert_eq!(numbers, (2..KEPT + 2).rev().collect::<Vec<_>>());
        assert_eq!(found[0].0, step(KEPT + 1));
        assert!(store.traces(&CacheKey("../x".into())).is_err());
        store.forget_cached().unwrap();
        assert_eq!(store.traces(&key).unwrap(), []);
    }
}
