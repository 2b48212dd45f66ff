//! Which diff id a packed layer unpacks to: `rbuild/diffids/<blob hex>`.
//!
//! A pull that finds the record here, and the tar, need not unpack the layer again.

use std::fs;
use std::path::PathBuf;

use super::error::{At, if_present};
use super::{Error, Store};
use crate::oci::{DiffId, Digest};

impl Store {
    /// Remembers that compressed blob `blob` unpacks to `diff_id`.
    pub fn record_diff_id(&self, blob: &Digest, diff_id: &DiffId) -> Result<(), Error> {
        let path = self.diff_id_path(blob);
        let text = format!("{diff_id}\n");
        if if_present(fs::read_to_string(&path)).at("read", &path)?.as_ref() == Some(&text) {
            return Ok(());
        }
        self.tmp_file_of(text.as_bytes())?.rename(&path)
    }

    /// What compressed blob `blob` unpacks to, if that was recorded. A record that a power loss left empty
    /// counts as none; errors with [`Error::Malformed`] on any other that is not a digest.
    pub fn diff_id_of(&self, blob: &Digest) -> Result<Option<DiffId>, Error> {
        let path = self.diff_id_path(blob);
        let text = if_present(fs::read_to_string(&path)).at("read", &path)?.unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        match text.trim_end().parse() {
            Ok(digest) => Ok(Some(DiffId(digest))),
            Err(error) => Err(Error::Malformed { path, why: error.to_string() }),
        }
    }

    /// The packed blobs, here, of which it is recorded that they unpack to `diff_id`; sorted.
    pub fn packed(&self, diff_id: &DiffId) -> Result<Vec<Digest>, Error> {
        let dir = self.root().join("rbuild/diffids");
        let mut packed = Vec::new();
        for entry in fs::read_dir(&dir).at("list", &dir)? {
            let name = entry.at("list", &dir)?.file_name();
            // A file of another name is not a record of ours.
            let Ok(blob) = format!("sha256:{}", name.to_string_lossy()).parse::<Digest>() else { continue };
            if self.diff_id_of(&blob)? == Some(*diff_id) && self.has_blob(&blob) {
                packed.push(blob);
            }
        }
        packed.sort();
        Ok(packed)
    }

    fn diff_id_path(&self, blob: &Digest) -> PathBuf {
        self.root().join("rbuild/diffids").join(blob.hex())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;

    #[test]
    fn records_are_kept_and_checked() {
        let (_dir, store) = scratch();
        let (blob, diff_id) = (Digest::of(b"packed"), DiffId(Digest::of(b"plain")));
        assert_eq!(store.diff_id_of(&blob).unwrap(), None);
        store.record_diff_id(&blob, &diff_id).unwrap();
        assert_eq!(store.diff_id_of(&blob).unwrap(), Some(diff_id));
        assert_eq!(store.packed(&diff_id).unwrap(), [], "the blob itself is not here");
        store.put_blob(b"packed").unwrap();
        assert_eq!(store.packed(&diff_id).unwrap(), [blob]);
        assert_eq!(store.packed(&DiffId(blob)).unwrap(), []);
        fs::write(store.diff_id_path(&blob), "").unwrap();
        assert_eq!(store.diff_id_of(&blob).unwrap(), None, "an empty record is none");
        fs::write(store.diff_id_path(&blob), "sha256:12").unwrap();
        assert!(matches!(store.diff_id_of(&blob), Err(Error::Malformed { .. })));
        store.record_diff_id(&blob, &diff_id).unwrap();
        assert_eq!(store.diff_id_of(&blob).unwrap(), Some(diff_id), "recording repairs");
    }
}
