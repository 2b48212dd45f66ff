//! Layers: a plain tar among the blobs and its index beside them.
//!
//! The index is a cache, so it is where damage shows: it carries its tar's length and its own checksum,
//! and where either disagrees, or the index is gone, the tar is read and hashed anew. A tar that turns out
//! not to be what its name says is removed, so that the next pull or build fetches it again.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::blobs::length;
use super::error::{At, if_present};
use super::tmp::TmpFile;
use super::{Error, Store};
use crate::layer::{self, Index, Layer, Limits, Written};
use crate::oci::{DiffId, Digest, Hasher, ImageConfig};

/// A layer of this store, by name and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The digest of its tar.
    pub diff_id: DiffId,
    /// The length of its tar, in bytes.
    pub size: u64,
}

impl Store {
    /// Where the layer's index is, or would be.
    pub fn index_path(&self, diff_id: &DiffId) -> PathBuf {
        self.root().join("index/sha256").join(diff_id.0.hex())
    }

    /// Commits a layer's tar and its index. Errors with [`Error::Size`] if `tmp` is not as long as `written` says.
    pub fn commit_layer(&self, tmp: TmpFile, written: &Written) -> Result<LayerRecord, Error> {
        let Written { diff_id, size, .. } = *written;
        let found = tmp.size()?;
        if found != size {
            return Err(Error::Size { path: tmp.path().to_owned(), expected: size, found });
        }
        let _gc = self.storing()?;
        // The index first: a crash in between leaves an orphan, not a layer that must be read again.
        let index = self.index_path(&diff_id);
        if length(&index)? != Some(written.index.len() as u64) {
            self.tmp_file_of(&written.index)?.rename(&index)?;
        }
        self.place(tmp, diff_id.0)?;
        Ok(LayerRecord { diff_id, size })
    }

    /// Opens a layer; a missing or stale index is rebuilt and rewritten.
    ///
    /// Errors with [`Error::Missing`] if the tar is not here, and with [`Error::CorruptLayer`] if its bytes
    /// are not those its name promises, as far as its index tells.
    pub fn layer(&self, diff_id: &DiffId) -> Result<Arc<Layer>, Error> {
        let opened = || self.inner.layers.lock().expect("no code panics while holding it");
        if let Some(layer) = opened().get(diff_id).and_then(std::sync::Weak::upgrade) {
            return Ok(layer);
        }
        let layer = Arc::new(self.open_layer(diff_id)?);
        opened().insert(*diff_id, Arc::downgrade(&layer));
        Ok(layer)
    }

    /// The layers of an image that is wholly here, bottom first.
    pub fn stack(&self, config: &ImageConfig) -> Result<Vec<Arc<Layer>>, Error> {
        config.rootfs.diff_ids.iter().map(|diff_id| self.layer(diff_id)).collect()
    }

    fn open_layer(&self, diff_id: &DiffId) -> Result<Layer, Error> {
        let path = self.blob_path(&diff_id.0);
        let tar = {
            let _gc = self.storing()?;
            self.pin(&[diff_id.0])?;
            if_present(File::open(&path)).at("open", &path)?
        };
        let Some(tar) = tar else { return Err(Error::Missing { digest: diff_id.0, path }) };
        let size = tar.metadata().at("stat", &path)?.len();
        let index = self.open_index(diff_id, size)?;
        let index = index.map_or_else(|| self.rebuild_index_once(diff_id, &tar, size), Ok)?;
        Ok(Layer { diff_id: *diff_id, size, index, tar })
    }

    /// Rebuilds the index, unless whoever had the lock has done it.
    fn rebuild_index_once(&self, diff_id: &DiffId, tar: &File, size: u64) -> Result<Index, Error> {
        let _turn = self.lock_index(&diff_id.0)?;
        match self.open_index(diff_id, size)? {
            Some(index) => Ok(index),
            None => self.rebuild_index(diff_id, tar),
        }
    }

    /// The layer's index, if it is here and fits a tar of `size` bytes.
    fn open_index(&self, diff_id: &DiffId, size: u64) -> Result<Option<Index>, Error> {
        let path = self.index_path(diff_id);
        let Some(file) = if_present(File::open(&path)).at("open", &path)? else { return Ok(None) };
        match Index::open(&file, *diff_id, size) {
            Ok(index) => Ok(Some(index)),
            Err(layer::Error::StaleIndex) => Ok(None),
            Err(source) => Err(Error::Layer { path, source }),
        }
    }

    fn rebuild_index(&self, diff_id: &DiffId, tar: &File) -> Result<Index, Error> {
        let path = self.blob_path(&diff_id.0);
        let written = match layer::reindex(tar, &Limits::default()) {
            Ok(written) if written.diff_id == *diff_id => written,
            Ok(written) => return self.discard(path, tar, written.diff_id.0),
            Err(source) => {
                // A tar that is cut short breaks off before its digest is known. Is it that, or was it never a tar?
                let found = hash(&path)?;
                return if found == diff_id.0 {
                    Err(Error::Layer { path, source })
                } else {
                    self.discard(path, tar, found)
                };
            }
        };
        self.tmp_file_of(&written.index)?.rename(&self.index_path(diff_id))?;
        Index::from_bytes(written.index).map_err(|source| Error::Layer { path, source })
    }

    /// Removes a damaged tar, unless someone has put another in its place meanwhile.
    fn discard<T>(&self, path: PathBuf, damaged: &File, found: Digest) -> Result<T, Error> {
        let _gc = self.collecting()?;
        let damaged = damaged.metadata().at("stat", &path)?;
        let named = if_present(fs::metadata(&path)).at("stat", &path)?;
        if named.is_some_and(|named| (named.dev(), named.ino()) == (damaged.dev(), damaged.ino())) {
            fs::remove_file(&path).at("remove", &path)?;
        }
        Err(Error::CorruptLayer { path, found })
    }
}

/// The digest of a file's bytes.
fn hash(path: &Path) -> Result<Digest, Error> {
    let mut file = File::open(path).at("open", path)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).at("read", path)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{put_layer, scratch};
    use super::*;
    use crate::layer::{Child, Content, LayerWriter, Metadata};

    /// A layer with one file, `hello`.
    fn hello(store: &Store) -> DiffId {
        let tmp = store.tmp_file().unwrap();
        let mut writer = LayerWriter::create(tmp.file().try_clone().unwrap());
        let content = Content::File { size: 5, data: &mut &b"world"[..] };
        writer.append(b"hello", &Metadata::default(), content).unwrap();
        store.commit_layer(tmp, &writer.finish().unwrap()).unwrap().diff_id
    }

    fn read_hello(store: &Store, diff_id: &DiffId) -> Result<Vec<u8>, Error> {
        let layer = store.layer(diff_id)?;
        let Some(Child::Node(ino)) = layer.index.lookup(Index::ROOT, b"hello") else { panic!("no hello") };
        let mut bytes = [0; 8];
        let read = layer.read_at(ino, &mut bytes, 0).unwrap();
        Ok(bytes[..read].to_vec())
    }

    #[test]
    fn an_index_that_is_gone_or_stale_is_rebuilt_and_rewritten() {
        let (_dir, store) = scratch();
        let diff_id = hello(&store);
        let path = store.index_path(&diff_id);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damaged in [None, Some(&b""[..]), Some(b"junk"), Some(&whole[..whole.len() / 2]), Some(&flipped)]
        {
            match damaged {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            assert_eq!(read_hello(&store, &diff_id).unwrap(), b"world", "{damaged:?}");
            assert!(fs::read(&path).unwrap() == whole, "{damaged:?} is rewritten");
        }
    }

    #[test]
    fn a_damaged_tar_is_found_out_removed_and_healed() {
        let (_dir, store) = scratch();
        let diff_id = hello(&store);
        let (tar, index) = (store.blob_path(&diff_id.0), store.index_path(&diff_id));
        let whole = fs::read(&tar).unwrap();
        let mut flipped = whole.clone();
        flipped[512] ^= 1;
        // With its index, a changed length shows; without, any change does.
        for damaged in [&b""[..], &whole[..600], &whole[..whole.len() - 512], &flipped] {
            fs::write(&tar, damaged).unwrap();
            if damaged.len() == whole.len() {
                fs::remove_file(&index).unwrap();
            }
            let error = read_hello(&store, &diff_id).unwrap_err();
            assert!(matches!(error, Error::CorruptLayer { .. }), "{} bytes: {error}", damaged.len());
            assert!(matches!(read_hello(&store, &diff_id), Err(Error::Missing { .. })));
            hello(&store);
            assert_eq!(read_hello(&store, &diff_id).unwrap(), b"world");
        }
    }

    #[test]
    fn what_is_not_a_tar_is_refused_but_kept() {
        let (_dir, store) = scratch();
        let junk = put_layer(&store, &[b'x'; 1024]);
        assert!(matches!(store.layer(&junk.diff_id), Err(Error::Layer { .. })));
        assert!(store.has_blob(&junk.diff_id.0));
    }

    #[test]
    fn a_layer_is_opened_once_and_a_stack_bottom_first() {
        let (_dir, store) = scratch();
        let diff_id = hello(&store);
        let first = store.layer(&diff_id).unwrap();
        assert!(Arc::ptr_eq(&first, &store.layer(&diff_id).unwrap()));
        let config = super::super::tests::config_of("a", &[LayerRecord { diff_id, size: first.size }; 2]);
        assert_eq!(store.stack(&config).unwrap().len(), 2);
    }

    #[test]
    fn a_tar_of_another_length_than_written_is_not_committed() {
        let (_dir, store) = scratch();
        let written = Written { diff_id: DiffId(Digest::of(b"tar")), size: 3, entries: 0, index: Vec::new() };
        let error = store.commit_layer(store.tmp_file_of(b"ta").unwrap(), &written).unwrap_err();
        assert!(matches!(error, Error::Size { expected: 3, found: 2, .. }), "{error}");
        assert!(!store.has_blob(&written.diff_id.0));
    }
}
