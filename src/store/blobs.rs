//! Blobs: files named by the digest of their bytes.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::{At, if_present};
use super::tmp::TmpFile;
use super::{Error, Store};
use crate::oci::Digest;

impl Store {
    /// Where the blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root().join("blobs/sha256").join(digest.hex())
    }

    /// Whether the blob is here. An empty file, as a power loss leaves it, is not a blob, and neither is
    /// what cannot be looked at. Where the length is known, ask [`Store::holds`].
    pub fn has_blob(&self, digest: &Digest) -> bool {
        fs::metadata(self.blob_path(digest))
            .is_ok_and(|file| file.is_file() && (file.len() > 0 || *digest == Digest::of(b"")))
    }

    /// Whether the blob is here with this length, in bytes. If so, it is kept as long as this handle lives.
    pub fn holds(&self, digest: &Digest, size: u64) -> Result<bool, Error> {
        let _gc = self.storing()?;
        let here = length(&self.blob_path(digest))? == Some(size);
        if here {
            self.pin(&[*digest])?;
        }
        Ok(here)
    }

    /// Reads a small blob (manifest, config), verified, at most `limit` bytes.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, Error> {
        let path = self.blob_path(digest);
        let Some(file) = if_present(File::open(&path)).at("open", &path)? else {
            return Err(Error::Missing { digest: *digest, path });
        };
        let bytes = read_bounded(&file, &path, limit)?;
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(Error::Corrupt { path, found }) }
    }

    /// Stores a small blob. One that is here but damaged is replaced.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let _gc = self.storing()?;
        let digest = Digest::of(bytes);
        self.pin(&[digest])?;
        match self.read_blob(&digest, bytes.len() as u64) {
            Ok(_) => return Ok(digest),
            Err(Error::Missing { .. } | Error::Corrupt { .. } | Error::TooLarge { .. }) => {}
            Err(error) => return Err(error),
        }
        self.tmp_file_of(bytes)?.rename(&self.blob_path(&digest))?;
        Ok(digest)
    }

    /// Renames a complete tmp file to its digest's name. The caller has hashed it. It is fsynced when the
    /// first image that consists of it enters `index.json`, not here (see the head of this module).
    pub fn commit_blob(&self, tmp: TmpFile, digest: Digest) -> Result<(), Error> {
        let _gc = self.storing()?;
        self.place(tmp, digest)
    }

    /// Pins a blob and gives it its name, unless it is here already. Call it while `storing`.
    pub(super) fn place(&self, tmp: TmpFile, digest: Digest) -> Result<(), Error> {
        self.pin(&[digest])?;
        let path = self.blob_path(&digest);
        if length(&path)? == Some(tmp.size()?) {
            return Ok(());
        }
        tmp.rename(&path)
    }
}

/// The file's length, in bytes; `None` if it is not there.
pub(super) fn length(path: &Path) -> Result<Option<u64>, Error> {
    Ok(if_present(fs::metadata(path)).at("stat", path)?.map(|file| file.len()))
}

/// All of a file that should be small. Errors with [`Error::TooLarge`] rather than read more than `limit` bytes.
pub(super) fn read_bounded(file: &File, path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let size = file.metadata().at("stat", path)?.len();
    let mut bytes = Vec::new();
    if size <= limit {
        file.take(limit + 1).read_to_end(&mut bytes).at("read", path)?;
    }
    let size = size.max(bytes.len() as u64);
    if size > limit {
        return Err(Error::TooLarge { path: path.to_owned(), size, limit });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;

    #[test]
    fn a_blob_is_read_only_as_what_its_name_promises() {
        let (_dir, store) = scratch();
        let digest = store.put_blob(b"hello").unwrap();
        let path = store.blob_path(&digest);
        for (content, limit, want) in [
            (Some("hello"), 5, ""),
            (Some("hello"), 4, "has 5 bytes, more than the 4"),
            (Some("hallo"), 5, "is damaged"),
            (Some("hell"), 5, "is damaged"),
            (Some(""), 5, "is damaged"),
            (None, 5, "is not in the store"),
        ] {
            match content {
                Some(content) => fs::write(&path, content).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let found = store.read_blob(&digest, limit).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(found.contains(want) && found.is_empty() == want.is_empty(), "{content:?}: {found}");
            assert_eq!(store.has_blob(&digest), content.is_some_and(|c| !c.is_empty()), "{content:?}");
            assert_eq!(
                store.holds(&digest, 5).unwrap(),
                content.is_some_and(|c| c.len() == 5),
                "{content:?}"
            );
        }
    }

    #[test]
    fn putting_again_heals_what_a_power_loss_cut_short() {
        let (_dir, store) = scratch();
        let digest = Digest::of(b"hello");
        for damaged in ["", "hel", "hello"] {
            fs::write(store.blob_path(&digest), damaged).unwrap();
            store.put_blob(b"hello").unwrap();
            assert_eq!(store.read_blob(&digest, 5).unwrap(), b"hello", "put over {damaged:?}");
            fs::write(store.blob_path(&digest), damaged).unwrap();
            store.commit_blob(store.tmp_file_of(b"hello").unwrap(), digest).unwrap();
            assert_eq!(store.read_blob(&digest, 5).unwrap(), b"hello", "committed over {damaged:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_committed_leaves_no_trace() {
        let (dir, store) = scratch();
        let tmp = store.tmp_file_of(b"hello").unwrap();
        let path = tmp.path().to_owned();
        assert!(path.exists());
        drop(tmp);
        assert!(!path.exists());
        drop(store);
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }
}
