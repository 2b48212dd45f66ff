//! Removal: an image leaves `index.json`, then every blob that nothing reaches leaves the disk.
//!
//! Roots are the entries of `index.json`, the layers of cache records, working containers, and the pins of
//! living sessions. Whatever cannot be read stops the collection before anything is deleted: what a damaged
//! manifest reaches is unknown.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::blobs::read_bounded;
use super::error::{At, if_present};
use super::images::{CONFIG_LIMIT, MANIFEST_LIMIT};
use super::{CacheRecord, Error, Image, ImageList, Store};
use crate::oci::{Descriptor, Digest, ImageConfig, ImageIndex, Manifest, media_type};

/// Characters of `sha256:<hex>`.
const DIGEST_LENGTH: usize = 71;

impl Store {
    /// Deletes an image without names left, and blobs nobody reaches; returns those, sorted. A list that it is in goes with
    /// it, and the list's other images are listed by themselves.
    ///
    /// Other processes are not waited for: what they rely upon stays, and goes with a later removal. This
    /// handle's own claim on the image ends here. Layers that the build cache names stay with it. Errors
    /// with [`Error::StillNamed`] if the image or a list that it is in has names.
    pub fn remove(&self, image: &Image) -> Result<Vec<Digest>, Error> {
        let _gc = self.collecting()?;
        let mut edit = self.edit_names()?;
        let lists = self.lists_with(edit.names(), image.descriptor.digest)?;
        for list in &lists {
            self.dissolve(&mut edit, list)?;
        }
        edit.forget(image.descriptor.digest)?;
        edit.save()?;
        self.unpin(&image.blobs())?;
        self.unpin(&lists.iter().map(|list| list.digest).collect::<Vec<_>>())?;
        self.collect()
    }

    /// Deletes a list without names left, with those of its images that have no name and are in no other list. The rest is as
    /// with [`Store::remove`].
    pub fn remove_list(&self, list: &ImageList) -> Result<Vec<Digest>, Error> {
        let _gc = self.collecting()?;
        let mut edit = self.edit_names()?;
        edit.forget(list.descriptor.digest)?;
        edit.replace_entries(&list.images);
        edit.save()?;
        self.unpin(&[list.descriptor.digest])?;
        for image in &list.images {
            self.unpin(&image.blobs())?;
        }
        self.collect()
    }

    /// Forgets every record of the build cache and of builds, and what is known of context files. What only records reached goes with
    /// the next collection.
    pub fn forget_cached(&self) -> Result<(), Error> {
        let _gc = self.collecting()?;
        for dir in list(&self.root().join("rbuild/cache"))? {
            for path in list(&dir)? {
                remove(&path)?;
            }
        }
        let digests = self.root().join("rbuild/filehash");
        for path in if_present(fs::read_dir(&digests)).at("list", &digests)?.into_iter().flatten() {
            remove(&path.at("list", &digests)?.path())?;
        }
        self.forget_builds()?;
        self.forget_traces()
    }

    /// Deletes blobs that nobody reaches; returns those, sorted.
    pub fn collect_garbage(&self) -> Result<Vec<Digest>, Error> {
        let _gc = self.collecting()?;
        self.collect()
    }

    /// Deletes what no root reaches. Call it while `collecting`.
    fn collect(&self) -> Result<Vec<Digest>, Error> {
        let reached = self.reached()?;
        let mut deleted = Vec::new();
        for (digest, path) in digests_in(&self.root().join("blobs/sha256"))? {
            if !reached.contains(&digest) {
                remove(&path)?;
                deleted.push(digest);
            }
        }
        for (digest, path) in digests_in(&self.root().join("index/sha256"))? {
            if !self.has_blob(&digest) {
                remove(&path)?;
            }
        }
        // A record outlives its packed blob: it says whose tar is here already. Without the tar it says nothing.
        for (digest, path) in digests_in(&self.root().join("rbuild/diffids"))? {
            if self.diff_id_of(&digest)?.is_none_or(|diff_id| !self.has_blob(&diff_id.0)) {
                remove(&path)?;
            }
        }
        deleted.sort();
        Ok(deleted)
    }

    fn reached(&self) -> Result<HashSet<Digest>, Error> {
        let mut reached = self.pinned()?;
        for entry in self.names()?.entries() {
            self.mark(entry, &mut reached)?;
        }
        self.mark_cache(&mut reached)?;
        self.mark_containers(&mut reached)?;
        self.mark_last_build(&mut reached)?;
        Ok(reached)
    }

    /// Marks what a descriptor reaches. An index may name manifests that were never fetched.
    fn mark(&self, entry: &Descriptor, reached: &mut HashSet<Digest>) -> Result<(), Error> {
        reached.insert(entry.digest);
        match entry.media_type.as_str() {
            media_type::INDEX | media_type::DOCKER_INDEX => {
                let index = ImageIndex::parse(&self.read_blob(&entry.digest, MANIFEST_LIMIT)?)?;
                for child in index.manifests.iter().filter(|child| self.has_blob(&child.digest)) {
                    self.mark(child, reached)?;
                }
            }
            media_type::MANIFEST | media_type::DOCKER_MANIFEST => {
                let manifest = Manifest::parse(&self.read_blob(&entry.digest, MANIFEST_LIMIT)?)?;
                reached.extend(manifest.layers.iter().map(|layer| layer.digest));
                self.mark(&manifest.config, reached)?;
            }
            media_type::CONFIG | media_type::DOCKER_CONFIG => {
                let config = ImageConfig::parse(&self.read_blob(&entry.digest, CONFIG_LIMIT)?)?;
                reached.extend(config.rootfs.diff_ids.iter().map(|diff_id| diff_id.0));
            }
            _ => {}
        }
        Ok(())
    }

    /// A record reaches the layer its step made; those below have records or names of their own.
    fn mark_cache(&self, reached: &mut HashSet<Digest>) -> Result<(), Error> {
        for dir in list(&self.root().join("rbuild/cache"))? {
            for path in list(&dir)? {
                let bytes = fs::read(&path).at("read", &path)?;
                // One that cannot be read is a miss (see `Cached::Malformed`): it reaches nothing.
                if let Ok(CacheRecord { layer: Some(layer), .. }) = serde_json::from_slice(&bytes) {
                    reached.insert(layer.diff_id.0);
                }
            }
        }
        Ok(())
    }

    /// A working container reaches every digest its record mentions, and what those reach as manifests.
    fn mark_containers(&self, reached: &mut HashSet<Digest>) -> Result<(), Error> {
        for path in list(&self.root().join("rbuild/containers"))? {
            // one that is removed meanwhile reaches nothing
            let Some(file) = if_present(File::open(&path)).at("open", &path)? else { continue };
            let text = String::from_utf8_lossy(&read_bounded(&file, &path, CONFIG_LIMIT)?).into_owned();
            for digest in digests_in_text(&text) {
                reached.insert(digest);
                self.mark_if_manifest(digest, reached)?;
            }
        }
        Ok(())
    }

    /// What a command left that failed in the last build: digests among the record's `failed`.
    fn mark_last_build(&self, reached: &mut HashSet<Digest>) -> Result<(), Error> {
        let Some(last) = self.builds()?.next() else { return Ok(()) };
        // One that cannot be read reaches nothing: nobody can begin with it either.
        let Ok(record) = serde_json::from_slice::<serde_json::Value>(&last?) else { return Ok(()) };
        let failed = record.get("failed").map(ToString::to_string).unwrap_or_default();
        for (at, _) in failed.match_indices("sha256:") {
            reached
                .extend(failed.get(at..at + DIGEST_LENGTH).and_then(|digest| digest.parse::<Digest>().ok()));
        }
        Ok(())
    }

    fn mark_if_manifest(&self, digest: Digest, reached: &mut HashSet<Digest>) -> Result<(), Error> {
        let bytes = match self.read_blob(&digest, MANIFEST_LIMIT) {
            Ok(bytes) => bytes,
            Err(Error::Missing { .. } | Error::TooLarge { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        if Manifest::parse(&bytes).is_ok() {
            self.mark(&Descriptor::of(media_type::MANIFEST, &bytes), reached)?;
        }
        Ok(())
    }
}

/// Every digest that a text mentions.
pub(super) fn digests_in_text(text: &str) -> Vec<Digest> {
    let words = text.match_indices("sha256:").filter_map(|(at, _)| text.get(at..at + DIGEST_LENGTH));
    words.filter_map(|word| word.parse().ok()).collect()
}

/// The files of a directory that are named by a digest. Others are not ours.
fn digests_in(dir: &Path) -> Result<Vec<(Digest, PathBuf)>, Error> {
    let named = |path: PathBuf| {
        let digest = format!("sha256:{}", path.file_name()?.to_str()?).parse().ok()?;
        Some((digest, path))
    };
    Ok(list(dir)?.into_iter().filter_map(named).collect())
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).at("list", dir)?;
    entries.map(|entry| Ok(entry.at("list", dir)?.path())).collect()
}

fn remove(path: &Path) -> Result<(), Error> {
    if_present(fs::remove_file(path)).at("remove", path).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::{config_of, put_layer, scratch};
    use super::super::{CacheKey, LayerRecord};
    use super::*;

    fn put(store: &Store, name: &str, layers: &[LayerRecord]) -> Image {
        store.put_image(&config_of(name, layers), layers, &BTreeMap::new()).unwrap()
    }

    #[test]
    fn removal_deletes_what_nothing_else_reaches() {
        let (dir, store) = scratch();
        // Everything is put by sessions that have ended, so that no pin is left but what a row makes.
        let [base, top, other, cached, held, orphan] =
            [&b"base"[..], b"top", b"other", b"cached", b"held", b"orphan"].map(|tar| put_layer(&store, tar));
        let image = put(&store, "image", &[base, top]);
        let sibling = put(&store, "sibling", &[base, other]);
        store.tag(&image, &"img".parse().unwrap()).unwrap();
        let record = CacheRecord::new(Some(cached), "2026-01-01T00:00:00Z".to_owned());
        store.put_cached(&CacheKey("0".repeat(64)), &record).unwrap();
        store.record_diff_id(&Digest::of(b"packed top"), &top.diff_id).unwrap();
        store.record_diff_id(&Digest::of(b"packed base"), &base.diff_id).unwrap();
        let container = format!(r#"{{"layers":["{}"]}}"#, held.diff_id);
        fs::write(dir.path().join("rbuild/containers/c.json"), container).unwrap();
        drop(store);

        let store = Store::open(dir.path()).unwrap();
        assert!(matches!(store.remove(&image), Err(Error::StillNamed { .. })));
        assert!(store.untag(&"img".parse().unwrap()).unwrap());
        let mut want = vec![image.descriptor.digest, image.id(), top.diff_id.0, orphan.diff_id.0];
        want.sort();
        assert_eq!(store.remove(&image).unwrap(), want);
        for (layer, stays) in
            [(base, true), (top, false), (other, true), (cached, true), (held, true), (orphan, false)]
        {
            assert_eq!(store.has_blob(&layer.diff_id.0), stays, "{layer:?}");
            assert_eq!(store.index_path(&layer.diff_id).exists(), stays, "{layer:?}");
        }
        assert_eq!(store.diff_id_of(&Digest::of(b"packed top")).unwrap(), None);
        assert_eq!(store.diff_id_of(&Digest::of(b"packed base")).unwrap(), Some(base.diff_id));
        assert_eq!(store.images().unwrap().len(), 1);
        assert!(store.find(&sibling.id().to_string()).unwrap().is_some());
    }

    #[test]
    fn what_another_living_session_relies_upon_stays_until_it_ends() {
        let (dir, store) = scratch();
        let layer = put_layer(&store, b"tar");
        let image = put(&store, "image", &[layer]);
        drop(store);
        let (builder, remover) = (Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap());
        builder.find(&image.id().to_string()).unwrap().unwrap();
        let fresh = put_layer(&builder, b"not yet named");
        assert_eq!(remover.remove(&image).unwrap(), []);
        assert!(builder.has_blob(&layer.diff_id.0) && builder.has_blob(&fresh.diff_id.0));
        builder.tag(&image, &"img".parse().unwrap()).unwrap();
        drop(builder);
        assert!(remover.untag(&"img".parse().unwrap()).unwrap());
        assert_eq!(remover.remove(&image).unwrap().len(), 4, "manifest, config and both layers");
    }

    #[test]
    fn an_unreadable_manifest_stops_the_collection() {
        let (_dir, store) = scratch();
        let layer = put_layer(&store, b"tar");
        let (image, broken) = (put(&store, "image", &[]), put(&store, "broken", &[layer]));
        fs::write(store.blob_path(&broken.descriptor.digest), "{").unwrap();
        assert!(matches!(store.remove(&image), Err(Error::Corrupt { .. })));
        assert!(store.has_blob(&layer.diff_id.0) && store.has_blob(&image.id()));
        assert!(store.remove(&broken).unwrap().len() >= 3, "the broken one itself can go");
    }
}
