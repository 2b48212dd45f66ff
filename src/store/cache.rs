//! Build-cache records: `rbuild/cache/<2>/<key>`, one small file for what a step produced.
//!
//! A record is not fsynced, so after a power loss it may be empty, torn, or name a layer that did not reach
//! the disk. None of these may fail a build, and none should pass unseen: [`Store::lookup`] tells a record
//! that is absent from one that is not good. [`Store::put_cached`] replaces either.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::blobs::{length, read_bounded};
use super::error::{At, if_present};
use super::{Error, LayerRecord, Store};

/// Bytes of a record. One has less than 200.
const RECORD_LIMIT: u64 = 4 << 10;

/// One build-cache record: what a step produced. Everything else of the step's image follows from its instruction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheRecord {
    /// The layer, if the step made one.
    pub layer: Option<LayerRecord>,
    /// When the step was really done, RFC 3339: what says how old the record is.
    pub created: String,
    /// The key over the content of what the step read, if this record is behind another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<CacheKey>,
}

impl CacheRecord {
    /// Of a step that made `layer` at the time `created`, RFC 3339.
    pub fn new(layer: Option<LayerRecord>, created: String) -> Self {
        Self { layer, created, alias_of: None }
    }
}

/// 64 lower-case hex digits (blake3, made by the build).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CacheKey(pub String);

impl CacheKey {
    /// The digits. Errors with [`Error::Key`] rather than let a key become a path.
    pub(super) fn checked(&self) -> Result<&str, Error> {
        let digits = self.0.len() == 64 && self.0.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if digits { Ok(&self.0) } else { Err(Error::Key(self.0.clone())) }
    }
}

/// What the cache says of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Cached {
    /// The step need not run.
    Hit(Box<CacheRecord>),
    /// Nobody has recorded it.
    Absent,
    /// It was recorded, but its layer is not wholly here any more: removed, or cut short by a power loss.
    LayerGone {
        /// What the record names.
        layer: LayerRecord,
        /// The length of what is there, in bytes.
        found: Option<u64>,
    },
    /// The record cannot be read.
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in it, and why.
        why: String,
    },
}

impl Store {
    /// The step's record, if it is good: [`Store::lookup`] tells why not.
    pub fn cached(&self, key: &CacheKey) -> Result<Option<CacheRecord>, Error> {
        match self.lookup(key)? {
            Cached::Hit(record) => Ok(Some(*record)),
            Cached::Absent | Cached::LayerGone { .. } | Cached::Malformed { .. } => Ok(None),
        }
    }

    /// Looks a step up. The layer of a hit is kept from being collected as long as this handle lives.
    pub fn lookup(&self, key: &CacheKey) -> Result<Cached, Error> {
        let path = self.record_path(key)?;
        let _gc = self.storing()?;
        let Some(file) = if_present(File::open(&path)).at("open", &path)? else { return Ok(Cached::Absent) };
        let record: Box<CacheRecord> =
            match serde_json::from_slice(&read_bounded(&file, &path, RECORD_LIMIT)?) {
                Ok(record) => record,
                Err(source) => return Ok(Cached::Malformed { path, why: source.to_string() }),
            };
        if let Some(layer) = record.layer {
            let found = length(&self.blob_path(&layer.diff_id.0))?;
            if found != Some(layer.size) {
                return Ok(Cached::LayerGone { layer, found });
            }
            self.pin(&[layer.diff_id.0])?;
        }
        Ok(Cached::Hit(record))
    }

    /// Records what a step produced. Its layer is committed already.
    pub fn put_cached(&self, key: &CacheKey, record: &CacheRecord) -> Result<(), Error> {
        let path = self.record_path(key)?;
        let bytes = serde_json::to_vec(record).expect("a record holds only strings, numbers and maps");
        // Replacing a file costs a flush on ext4 (auto_da_alloc), comparing it costs nothing.
        if if_present(fs::read(&path)).at("read", &path)?.as_ref() == Some(&bytes) {
            return Ok(());
        }
        let parent = path.parent().expect("a record lies in a directory");
        match fs::create_dir(parent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error).at("create", parent)?,
            _ => {}
        }
        self.tmp_file_of(&bytes)?.rename(&path)
    }

    fn record_path(&self, key: &CacheKey) -> Result<PathBuf, Error> {
        let digits = key.checked()?;
        Ok(self.root().join("rbuild/cache").join(&digits[..2]).join(digits))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{put_layer, scratch};
    use super::*;

    #[test]
    fn a_record_counts_only_while_it_and_its_layer_are_whole() {
        let (_dir, store) = scratch();
        let key = CacheKey("ab".repeat(32));
        assert_eq!(store.lookup(&key).unwrap(), Cached::Absent);
        let layer = put_layer(&store, b"tar");
        let record = CacheRecord::new(Some(layer), "2026-01-01T00:00:00Z".to_owned());
        store.put_cached(&key, &record).unwrap();
        assert_eq!(store.cached(&key).unwrap().as_ref(), Some(&record));

        let path = store.record_path(&key).unwrap();
        let whole = fs::read(&path).unwrap();
        let mut holed = whole.clone();
        holed[20..30].fill(0);
        for torn in [&b""[..], &whole[..40], &holed, b"{}", b"[]"] {
            fs::write(&path, torn).unwrap();
            let found = store.lookup(&key).unwrap();
            assert!(matches!(found, Cached::Malformed { .. }), "{torn:?}: {found:?}");
            assert_eq!(store.cached(&key).unwrap(), None);
            store.put_cached(&key, &record).unwrap();
            assert_eq!(
                store.lookup(&key).unwrap(),
                Cached::Hit(Box::new(record.clone())),
                "replaces {torn:?}"
            );
        }

        let tar = store.blob_path(&layer.diff_id.0);
        for (content, found) in [(Some("ta"), Some(2)), (Some(""), Some(0)), (None, None)] {
            match content {
                Some(content) => fs::write(&tar, content).unwrap(),
                None => fs::remove_file(&tar).unwrap(),
            }
            assert_eq!(store.lookup(&key).unwrap(), Cached::LayerGone { layer, found });
        }
        put_layer(&store, b"tar");
        assert_eq!(store.lookup(&key).unwrap(), Cached::Hit(Box::new(record)));
    }

    #[test]
    fn a_key_is_not_a_path() {
        let (_dir, store) = scratch();
        for key in ["", "../../x", &"AB".repeat(32), &"ab".repeat(31), &"é".repeat(32)] {
            let key = CacheKey(key.to_owned());
            assert!(matches!(store.cached(&key), Err(Error::Key(_))), "{key:?}");
            assert!(matches!(store.lock_step(&key), Err(Error::Key(_))), "{key:?}");
        }
    }
}
