//! Records of builds, `rbuild/builds/<name>`, and tables of what steps read, `rbuild/tables/<key>`.
//!
//! What they say is the build's business, and none is needed: one that is gone costs an explanation. So they are no roots of
//! a collection, and are not fsynced. The newest are kept.

use std::fs::{self, File};
use std::path::Path;

use super::blobs::read_bounded;
use super::error::{At, if_present};
use super::traces::by_age;
use super::{CacheKey, Error, Store};

/// How many records are kept; their names sort by time.
const BUILDS_KEPT: usize = 64;
/// How many tables are kept.
const TABLES_KEPT: usize = 512;
/// The longest record, and the longest table, in bytes.
const LIMIT: u64 = 4 << 20;

impl Store {
    /// Keeps the record of a build. `name` is of digits and `-`, and sorts after those of earlier builds. One that is longer
    /// than 4 MiB is not kept.
    pub fn put_build(&self, name: &str, record: &[u8]) -> Result<(), Error> {
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if name.is_empty() || !is_name(name) {
            return Err(Error::Key(name.to_owned()));
        }
        if record.len() as u64 > LIMIT {
            return Ok(());
        }
        let dir = self.root().join("rbuild/builds");
        // The directory is not taken away meanwhile.
        let _gc = self.storing()?;
        self.put_in(&dir, name, record)?;
        let mut names = names(&dir)?;
        names.sort();
        for old in names.iter().rev().skip(BUILDS_KEPT) {
            let path = dir.join(old);
            if_present(fs::remove_file(&path)).at("remove", &path)?;
        }
        Ok(())
    }

    /// The records of builds, the newest first. One that vanishes meanwhile is left out.
    pub fn builds(&self) -> Result<impl Iterator<Item = Result<Vec<u8>, Error>>, Error> {
        let dir = self.root().join("rbuild/builds");
        let mut names = names(&dir)?;
        names.sort();
        Ok(names.into_iter().rev().filter_map(move |name| read(&dir.join(name)).transpose()))
    }

    /// Keeps the table of what the step behind `key` read. One that is longer than 4 MiB is not kept.
    pub fn put_table(&self, key: &CacheKey, table: &[u8]) -> Result<(), Error> {
        if table.len() as u64 > LIMIT {
            return Ok(());
        }
        let dir = self.root().join("rbuild/tables");
        let _gc = self.storing()?;
        self.put_in(&dir, key.checked()?, table)?;
        for (_, path) in by_age(&dir)?.into_iter().skip(TABLES_KEPT) {
            if_present(fs::remove_file(&path)).at("remove", &path)?;
        }
        Ok(())
    }

    /// The table of what the step behind `key` read, if it is kept.
    pub fn table(&self, key: &CacheKey) -> Result<Option<Vec<u8>>, Error> {
        read(&self.root().join("rbuild/tables").join(key.checked()?))
    }

    /// Removes all of both.
    pub(super) fn forget_builds(&self) -> Result<(), Error> {
        for dir in ["rbuild/builds", "rbuild/tables"] {
            let all = self.root().join(dir);
            if_present(fs::remove_dir_all(&all)).at("remove", &all)?;
        }
        Ok(())
    }

    fn put_in(&self, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
        fs::create_dir_all(dir).at("create", dir)?;
        self.tmp_file_of(bytes)?.rename(&dir.join(name))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = if_present(File::open(path)).at("open", path)? else { return Ok(None) };
    read_bounded(&file, path, LIMIT).map(Some)
}

fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let entries = if_present(fs::read_dir(dir)).at("list", dir)?.into_iter().flatten();
    let name =
        |entry: std::io::Result<fs::DirEntry>| Ok(entry.at("list", dir)?.file_name().into_string().ok());
    entries.filter_map(|entry| name(entry).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;

    #[test]
    fn the_newest_records_are_kept_and_come_first() {
        let (_dir, store) = scratch();
        assert_eq!(store.builds().unwrap().count(), 0);
        for number in 0..BUILDS_KEPT + 3 {
            store.put_build(&format!("{number:06}-1"), number.to_string().as_bytes()).unwrap();
        }
        store.put_build("9-9", &vec![b'x'; 5 << 20]).unwrap();
        let found: Vec<_> = store.builds().unwrap().map(Result::unwrap).collect();
        let want: Vec<_> = (3..BUILDS_KEPT + 3).rev().map(|number| number.to_string().into_bytes()).collect();
        assert_eq!(found, want);
        for name in ["", "../x", "a"] {
            assert!(matches!(store.put_build(name, b""), Err(Error::Key(_))), "{name:?}");
        }
        let key = CacheKey("ab".repeat(32));
        assert_eq!(store.table(&key).unwrap(), None);
        store.put_table(&key, b"t").unwrap();
        assert_eq!(store.table(&key).unwrap(), Some(b"t".to_vec()));
        assert!(store.table(&CacheKey("../x".into())).is_err());
        store.forget_cached().unwrap();
        assert_eq!(store.builds().unwrap().count(), 0);
        assert_eq!(store.table(&key).unwrap(), None);
    }
}
