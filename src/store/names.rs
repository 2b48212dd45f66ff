//! Names: `index.json`, read as it is and changed under its lock.
//!
//! An image keeps exactly one entry without a name when it loses its last one, so that it is still listed,
//! found by its id, and kept until it is removed. An index that cannot be read is never written.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::blobs::read_bounded;
use super::error::At;
use super::{Error, Lock, Store};
use crate::oci::{Descriptor, Digest, ImageIndex, Reference};

/// The annotation that names an entry (OCI image-spec v1.1, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Bytes of `index.json`, about 200,000 names.
const LIMIT: u64 = 64 << 20;

/// `index.json` as it was at one moment.
pub(super) struct Names {
    index: ImageIndex,
}

/// `index.json` while it is being changed: dropped, nothing has changed; saved, everything has.
pub(super) struct NamesEdit<'a> {
    store: &'a Store,
    _lock: Lock,
    before: ImageIndex,
    names: Names,
}

impl Store {
    /// Gives an image a name, taking it from the image that had it. A short name is completed with `localhost`.
    pub fn tag(&self, image: &super::Image, name: &Reference) -> Result<(), Error> {
        self.keep(image)?;
        if !self.names()?.lists(image.descriptor.digest) {
            self.make_durable(image)?;
        }
        let mut edit = self.edit_names()?;
        edit.name(&image.descriptor, &name.local().to_string());
        edit.save()
    }

    /// Removes a name, completed as [`Store::find`] does; returns false if absent. The image stays.
    pub fn untag(&self, name: &Reference) -> Result<bool, Error> {
        let mut edit = self.edit_names()?;
        let entry = edit.names.resolve(name).cloned();
        let Some((name, digest)) = entry.and_then(|entry| Some((name_of(&entry)?.to_owned(), entry.digest)))
        else {
            return Ok(false);
        };
        edit.unname(&name);
        // A list that names the image stands for it.
        if !self.lists_with(edit.names(), digest)?.is_empty() {
            edit.retain(|entry| entry.digest != digest || name_of(entry).is_some());
        }
        edit.save()?;
        Ok(true)
    }

    /// Reads `index.json`.
    pub(super) fn names(&self) -> Result<Names, Error> {
        let path = self.names_path();
        let bytes = read_bounded(&File::open(&path).at("open", &path)?, &path, LIMIT)?;
        match serde_json::from_slice(&bytes) {
            Ok(index) => Ok(Names { index }),
            Err(source) => Err(Error::Malformed { path, why: source.to_string() }),
        }
    }

    /// Takes the lock of `index.json` and reads it.
    pub(super) fn edit_names(&self) -> Result<NamesEdit<'_>, Error> {
        let lock = self.naming()?;
        let names = self.names()?;
        Ok(NamesEdit { store: self, _lock: lock, before: names.index.clone(), names })
    }

    fn names_path(&self) -> PathBuf {
        self.root().join("index.json")
    }
}

impl Names {
    /// Every entry, in the order they were made.
    pub(super) fn entries(&self) -> &[Descriptor] {
        &self.index.manifests
    }

    /// Whether the image is listed, by a name or without one.
    pub(super) fn lists(&self, digest: Digest) -> bool {
        self.entries().iter().any(|entry| entry.digest == digest)
    }

    /// The names of an image that are references, sorted. (Another tool may have written any text.)
    pub(super) fn of(&self, digest: Digest) -> Vec<Reference> {
        let mut names: Vec<Reference> = self
            .entries()
            .iter()
            .filter(|entry| entry.digest == digest)
            .filter_map(|entry| name_of(entry)?.parse().ok())
            .collect();
        names.sort();
        names
    }

    /// The entry with exactly this name.
    pub(super) fn named(&self, name: &str) -> Option<&Descriptor> {
        self.entries().iter().find(|entry| name_of(entry) == Some(name))
    }

    /// The entry a reference means: its local completion, its remote one, or its text as it is. A reference
    /// with a digest also means an image of that digest under any tag of the same repository.
    pub(super) fn resolve(&self, name: &Reference) -> Option<&Descriptor> {
        let completed = [name.local(), name.remote()];
        completed
            .iter()
            .find_map(|name| self.named(&name.to_string()).or_else(|| self.pinned(name)))
            .or_else(|| self.named(&name.to_string()))
    }

    fn pinned(&self, name: &Reference) -> Option<&Descriptor> {
        let digest = name.digest()?;
        self.entries().iter().filter(|entry| entry.digest == digest).find(|entry| {
            name_of(entry).and_then(|text| text.parse::<Reference>().ok()).is_some_and(|other| {
                (other.registry(), other.repository()) == (name.registry(), name.repository())
            })
        })
    }
}

impl NamesEdit<'_> {
    /// Lists an image without a name, unless it is listed already.
    pub(super) fn list(&mut self, image: &Descriptor) {
        if !self.names.lists(image.digest) {
            self.names.index.manifests.push(image.clone());
        }
    }

    /// Keeps the entries that `is_kept` wants.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&Descriptor) -> bool) {
        self.names.index.manifests.retain(is_kept);
    }

    /// What the names are by now.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Gives `image` the name, taking it from whoever has it.
    pub(super) fn name(&mut self, image: &Descriptor, name: &str) {
        if self.names.named(name).is_some_and(|entry| entry.digest == image.digest) {
            return;
        }
        self.unname(name);
        let entries = &mut self.names.index.manifests;
        entries.retain(|entry| entry.digest != image.digest || name_of(entry).is_some());
        let mut entry = image.clone();
        entry.annotations.insert(REF_NAME.to_owned(), name.to_owned());
        entries.push(entry);
    }

    /// Takes the name away. The image stays listed.
    fn unname(&mut self, name: &str) {
        while let Some(at) = self.names.entries().iter().position(|entry| name_of(entry) == Some(name)) {
            let mut entry = self.names.index.manifests.remove(at);
            entry.annotations.remove(REF_NAME);
            self.list(&entry);
        }
    }

    /// Lists an image no more. Errors with [`Error::StillNamed`] if it has names.
    pub(super) fn forget(&mut self, digest: Digest) -> Result<(), Error> {
        let names: Vec<String> = self
            .names
            .entries()
            .iter()
            .filter(|entry| entry.digest == digest)
            .filter_map(|entry| name_of(entry).map(str::to_owned))
            .collect();
        if !names.is_empty() {
            return Err(Error::StillNamed { digest, names });
        }
        self.names.index.manifests.retain(|entry| entry.digest != digest);
        Ok(())
    }

    /// Replaces `index.json`, durably, if anything has changed.
    pub(super) fn save(self) -> Result<(), Error> {
        let Self { store, before, names: Names { index }, .. } = &self;
        if index == before {
            return Ok(());
        }
        let bytes = serde_json::to_vec(index).expect("an index holds only strings, numbers and maps");
        let tmp = store.tmp_file_of(&bytes)?;
        tmp.file().sync_all().at("sync", tmp.path())?;
        tmp.rename(&store.names_path())?;
        sync_directory(store.root())
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).at("sync", dir)
}

/// The entry's name, if it has one.
pub(super) fn name_of(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(REF_NAME).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::{put, scratch};
    use super::*;

    /// `index.json` as `name=digest` rows; `-` for no name.
    fn rows(store: &Store) -> Vec<String> {
        let names = store.names().unwrap();
        let row = |entry: &Descriptor| format!("{}={}", name_of(entry).unwrap_or("-"), entry.digest.short());
        names.entries().iter().map(row).collect()
    }

    #[test]
    fn names_move_and_the_image_they_leave_stays_listed() {
        let (_dir, store) = scratch();
        let (a, b) = (put(&store, "a"), put(&store, "b"));
        let (id_a, id_b) = (a.descriptor.digest.short(), b.descriptor.digest.short());
        let reference = |text: &str| text.parse::<Reference>().unwrap();
        assert_eq!(rows(&store), [format!("-={id_a}"), format!("-={id_b}")]);
        store.tag(&a, &reference("img")).unwrap();
        store.tag(&a, &reference("quay.io/x:1")).unwrap();
        let (img_a, x_a) = (format!("localhost/img:latest={id_a}"), format!("quay.io/x:1={id_a}"));
        assert_eq!(rows(&store), [format!("-={id_b}"), img_a.clone(), x_a.clone()]);
        store.tag(&b, &reference("img")).unwrap();
        let img_b = format!("localhost/img:latest={id_b}");
        assert_eq!(rows(&store), [x_a, img_b.clone()], "a has another name");
        assert!(store.untag(&reference("quay.io/x:1")).unwrap());
        assert_eq!(rows(&store), [img_b.clone(), format!("-={id_a}")]);
        assert!(!store.untag(&reference("quay.io/x:1")).unwrap());
        put(&store, "a");
        assert_eq!(rows(&store), [img_b, format!("-={id_a}")], "listed once");
    }

    #[test]
    fn a_malformed_index_is_never_overwritten() {
        let (dir, store) = scratch();
        let image = put(&store, "a");
        let path = dir.path().join("index.json");
        for text in
            ["", "{", "[]", r#"{"schemaVersion":2}"#, r#"{"schemaVersion":2,"manifests":[{"digest":1}]}"#]
        {
            fs::write(&path, text).unwrap();
            let name = "img".parse().unwrap();
            for (verb, error) in [
                ("tag", store.tag(&image, &name).err()),
                ("untag", store.untag(&name).err()),
                ("find", store.find("img").err()),
                ("images", store.images().err()),
                ("remove", store.remove(&image).err()),
                ("put", store.put_manifest(&image.descriptor.media_type, &image.manifest.to_bytes()).err()),
            ] {
                let error = error.unwrap_or_else(|| panic!("{verb} of {text:?} must be refused")).to_string();
                assert!(error.contains("index.json is malformed"), "{verb} {text:?}: {error}");
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn what_other_tools_wrote_into_the_index_survives() {
        let (dir, store) = scratch();
        let image = put(&store, "a");
        let path = dir.path().join("index.json");
        let mut index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        index["annotations"] = serde_json::json!({ "k": "v" });
        index["later"] = 1.into();
        index["manifests"][0]["annotations"] = serde_json::json!({ "x": "y", REF_NAME: "Not A Reference" });
        fs::write(&path, index.to_string()).unwrap();
        assert_eq!(store.images().unwrap()[0].names, []);
        assert!(matches!(store.remove(&image), Err(Error::StillNamed { .. })));
        store.tag(&image, &"img".parse().unwrap()).unwrap();
        let after: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!((&after["annotations"], &after["later"]), (&index["annotations"], &index["later"]));
        assert_eq!(after["manifests"][0], index["manifests"][0]);
    }
}
