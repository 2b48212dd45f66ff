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
        for torn in ["", "\"tw", "7"] {
            fs::write(store.download_path(&key).unwrap(), torn).unwrap();
            assert_eq!(store.remembered::<String>(&key).unwrap(), None, "{torn:?}");
        }
        assert!(matches!(store.remember(&CacheKey("../x".into()), &""), Err(Error::Key(_))));
    }
}
