//! What an image consists of, made durable before a name shows it.

use std::fs::File;

use super::error::{At, if_present};
use super::names::sync_directory;
use super::{Error, Image, Store};
use crate::oci::{Descriptor, Digest};

impl Store {
    /// Fsyncs an image's blobs that this handle has not fsynced yet, then the directory that names them.
    ///
    /// A packed layer may be absent if its plain tar is here. Errors with [`Error::Missing`] or
    /// [`Error::Size`] if anything else of the image is not wholly here.
    pub(super) fn make_durable(&self, image: &Image) -> Result<(), Error> {
        let manifest = &image.manifest;
        for blob in [&image.descriptor, &manifest.config] {
            self.require(blob)?;
        }
        let mut plain = image.config.rootfs.diff_ids.iter();
        for packed in &manifest.layers {
            // A layout that another tool wrote has no plain tars; an image that was pushed from here and
            // pulled again may lack the packed ones.
            let tar = plain.next().map(|diff_id| self.sync_blob(&diff_id.0)).transpose()?.flatten();
            if tar.is_none() || self.has_blob(&packed.digest) {
                self.require(packed)?;
            }
        }
        sync_directory(&self.root().join("blobs/sha256"))
    }

    /// Fsyncs a blob and the directory that names it. Errors as [`Store::make_durable`] does.
    pub(super) fn make_blob_durable(&self, blob: &Descriptor) -> Result<(), Error> {
        self.require(blob)?;
        sync_directory(&self.root().join("blobs/sha256"))
    }

    /// Fsyncs those of `digests` that are blobs here, and the directory that names them.
    pub(super) fn make_blobs_durable(&self, digests: &[Digest]) -> Result<(), Error> {
        digests.iter().try_for_each(|digest| self.sync_blob(digest).map(drop))?;
        sync_directory(&self.root().join("blobs/sha256"))
    }

    /// Fsyncs a blob that must be here with the length its descriptor says.
    fn require(&self, blob: &Descriptor) -> Result<(), Error> {
        let (path, expected) = (self.blob_path(&blob.digest), blob.size);
        match self.sync_blob(&blob.digest)? {
            Some(found) if found == expected => Ok(()),
            Some(found) => Err(Error::Size { path, expected, found }),
            None => Err(Error::Missing { digest: blob.digest, path }),
        }
    }

    /// Fsyncs a blob and returns its length, in bytes; `None` if it is not here.
    fn sync_blob(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let path = self.blob_path(digest);
        let Some(file) = if_present(File::open(&path)).at("open", &path)? else { return Ok(None) };
        let synced = || self.inner.durable.lock().expect("no code panics while holding it");
        if !synced().contains(digest) {
            file.sync_all().at("sync", &path)?;
            synced().insert(*digest);
        }
        Ok(Some(file.metadata().at("stat", &path)?.len()))
    }
}
