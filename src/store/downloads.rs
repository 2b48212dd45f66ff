//! What is remembered of a URL: `rbuild/downloads/<key>`, one small file each.
//!
//! Not the bytes, which are in the layers that were made of them: only what tells that they are still the same. A
//! record is not fsynced; one that a power loss left torn counts as none, and the file is fetched again.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{At, if_present};
use super::{CacheKey, Error, Store};

impl Store {
    /// What [`Store::remember`] was last given under `key`; `None` if that was nothing, or something else.
    pub fn remembered<T: DeserializeOwned>(&self, key: &CacheKey) -> Result<Option<T>, Error> {
        let path = self.download_path(key)?;
        let text = if_present(fs::read(&path)).at("read", &path)?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Remembers `record`, which is about the URL behind `key`.
    pub fn remember<T: Serialize>(&self, key: &CacheKey, record: &T) -> Result<(), Error> {
        let path = self.download_path(key)?;
        let parent = path.parent().expect("a record lies in a directory");
        match fs::create_dir(parent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).at("create", parent);
            }
            _ => {}
        }
        let bytes = serde_json::to_vec(record).expect("a record holds only strings, numbers and maps");
        self.tmp_file_of(&bytes)?.rename(&path)
    }

    /// Forgets every URL; tells how many they were.
    pub fn forget_downloads(&self) -> Result<usize, Error> {
        let room = self.root().join("rbuild/downloads");
        let Some(entries) = if_present(fs::read_dir(&room)).at("list", &room)? else { return Ok(0) };
        let mut forgotten = 0;
        for entry in entries {
            let path = entry.at("list", &room)?.path();
            if if_present(fs::remove_file(&path)).at("remove", &path)?.is_some() {
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }

    fn download_path(&self, key: &CacheKey) -> Result<PathBuf, Error> {
        Ok(self.root().join("rbuild/downloads").join(key.checked()?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;

    #[test]
    fn a_record_is_what_was_last_remembered_or_nothing() {
        let (_dir, store) = scratch();
        let key = CacheKey("ab".repeat(32));
        assert_eq!(store.remembered::<String>(&key).unwrap(), None);
        for text in ["one", "two"] {
            store.remember(&key, &text).unwrap();
            assert_eq!(store.remembered::<String>(&key).unwrap().as_deref(), Some(text));
        }
        assert_eq!(store.forget_downloads().unwrap(), 1);
        assert_eq!(store.forget_downloads().unwrap(), 0);
        assert_eq!(store.remembered::<String>(&key).unwrap(), None);
        for torn in ["", "\"tw", "7"] {
            fs::write(store.download_path(&key).unwrap(), torn).unwrap();
            assert_eq!(store.remembered::<String>(&key).unwrap(), None, "{torn:?}");
        }
        assert!(matches!(store.remember(&CacheKey("../x".into()), &""), Err(Error::Key(_))));
    }
}
