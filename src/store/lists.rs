//! Image lists: an index of `index.json` that names images of this store, one for each platform, and what is attested of
//! them.
//!
//! A list takes the place of its images: as long as it is there, they need no entry of their own, and its names are theirs.
//! Who asks for a name gets the image for the platform that is asked for.

use super::images::MANIFEST_LIMIT;
use super::names::{Names, NamesEdit, name_of};
use super::{Error, Image, Store};
use crate::oci::{Descriptor, Digest, ImageIndex, Platform, Reference, media_type};

/// What tells an attestation's manifest from an image's (BuildKit, "Attestation storage").
pub const ATTESTATION: (&str, &str) = ("vnd.docker.reference.type", "attestation-manifest");

/// An index of this store.
#[derive(Clone, Debug)]
pub struct ImageList {
    /// The index's descriptor.
    pub descriptor: Descriptor,
    /// What it names.
    pub index: ImageIndex,
    /// What each of its entries points to, in their order. An attestation is one, too.
    pub images: Vec<Image>,
    /// The names it has, sorted.
    pub names: Vec<Reference>,
}

impl ImageList {
    /// Whether something is attested of its images, so that their digests may not change.
    pub fn is_attested(&self) -> bool {
        self.index.manifests.iter().any(is_attestation)
    }

    /// The images, without what is attested of them.
    pub fn platforms(&self) -> impl Iterator<Item = &Image> {
        let pairs = self.index.manifests.iter().zip(&self.images);
        pairs.filter(|(entry, _)| !is_attestation(entry)).map(|(_, image)| image)
    }
}

/// Whether an entry of an index is what is attested of another.
pub fn is_attestation(entry: &Descriptor) -> bool {
    let (name, value) = ATTESTATION;
    entry.annotations.get(name).is_some_and(|own| own == value)
}

/// Whether the entry points to an index, OCI's or Docker's.
pub(super) fn is_index(entry: &Descriptor) -> bool {
    [media_type::INDEX, media_type::DOCKER_INDEX].contains(&entry.media_type.as_str())
}

impl Store {
    /// Writes an index whose images are here, and lists it in their place, without a name.
    ///
    /// Errors with [`Error::Missing`] or [`Error::Size`] if anything of an image is not wholly here.
    pub fn put_list(&self, media_type: &str, index: &ImageIndex) -> Result<ImageList, Error> {
        let bytes = index.to_bytes();
        let descriptor = Descriptor::of(media_type, &bytes);
        self.put_blob(&bytes)?;
        let list = self.list_of(&descriptor, &self.names()?)?;
        for image in &list.images {
            self.keep(image)?;
            self.make_durable(image)?;
        }
        self.make_blob_durable(&descriptor)?;
        let mut edit = self.edit_names()?;
        edit.list(&descriptor);
        edit.replace_entries(&list.images);
        edit.save()?;
        Ok(list)
    }

    /// Gives a list a name, taking it from whoever has it. A short name is completed with `localhost`.
    pub fn tag_list(&self, list: &ImageList, name: &Reference) -> Result<(), Error> {
        let mut edit = self.edit_names()?;
        edit.name(&list.descriptor, &name.local().to_string());
        edit.replace_entries(&list.images);
        edit.save()
    }

    /// Puts what `merge` makes of the list called `name`, or of none, in its place: media type and index. Nobody else names
    /// anything meanwhile, so that no addition is lost. A list that has no name left goes; an image that was in it alone is
    /// listed by itself.
    ///
    /// Errors with what `merge` does, and with [`Error::Missing`] or [`Error::Size`] if anything of an image is not wholly
    /// here; the list is the old one then.
    pub fn edit_list<E: From<Error>>(
        &self,
        name: &Reference,
        merge: impl FnOnce(Option<&ImageList>) -> Result<(String, ImageIndex), E>,
    ) -> Result<ImageList, E> {
        // Before the lock of the names, as wherever both are held.
        let _gc = self.storing()?;
        let mut edit = self.edit_names()?;
        let known = edit.names().resolve(&name.local()).filter(|entry| is_index(entry)).cloned();
        let known = known.map(|entry| self.list_of(&entry, edit.names())).transpose()?;
        let (media_type, index) = merge(known.as_ref())?;
        let bytes = index.to_bytes();
        let descriptor = Descriptor::of(&media_type, &bytes);
        self.put_blob(&bytes)?;
        let list = self.list_of(&descriptor, edit.names())?;
        for image in &list.images {
            self.pin(&image.blobs())?;
            self.make_durable(image)?;
        }
        self.make_blob_durable(&descriptor)?;
        edit.name(&descriptor, &name.local().to_string());
        if let Some(old) = known.map(|list| list.descriptor)
            && old.digest != descriptor.digest
            && edit.names().of(old.digest).is_empty()
        {
            self.dissolve(&mut edit, &old)?;
        }
        edit.replace_entries(&list.images);
        edit.save()?;
        Ok(list)
    }

    /// The list called `name`, or whose digest starts so; `None` if there is none, or it is a single image's. What it names is
    /// kept from being collected as long as this handle lives. Errors with [`Error::Ambiguous`] if an id may be another's.
    pub fn find_list(&self, name: &str) -> Result<Option<ImageList>, Error> {
        self.find_list_as(name, Self::list_of)
    }

    /// The same with what is here of it alone: another tool may have left out images.
    pub fn find_list_in_part(&self, name: &str) -> Result<Option<ImageList>, Error> {
        self.find_list_as(name, Self::part_of)
    }

    fn find_list_as(
        &self,
        name: &str,
        read: impl Fn(&Self, &Descriptor, &Names) -> Result<ImageList, Error>,
    ) -> Result<Option<ImageList>, Error> {
        let _gc = self.storing()?;
        let names = self.names()?;
        let named = name.parse::<Reference>().ok().and_then(|reference| names.resolve(&reference));
        let entry = match named.or_else(|| names.named(name)) {
            Some(entry) => Some(entry).filter(|entry| is_index(entry)),
            None => self.list_by_prefix(&names, name)?,
        };
        let Some(entry) = entry else { return Ok(None) };
        let list = read(self, entry, &names)?;
        self.pin(&[list.descriptor.digest])?;
        for image in &list.images {
            self.pin(&image.blobs())?;
        }
        Ok(Some(list))
    }

    fn list_of(&self, entry: &Descriptor, names: &Names) -> Result<ImageList, Error> {
        let index = ImageIndex::parse(&self.read_blob(&entry.digest, MANIFEST_LIMIT)?)?;
        let images = index.manifests.iter().map(|child| self.image(child, names));
        let images = images.collect::<Result<_, _>>()?;
        let descriptor = Descriptor::new(&entry.media_type, entry.digest, entry.size);
        Ok(ImageList { descriptor, index, images, names: names.of(entry.digest) })
    }

    fn part_of(&self, entry: &Descriptor, names: &Names) -> Result<ImageList, Error> {
        let mut index = ImageIndex::parse(&self.read_blob(&entry.digest, MANIFEST_LIMIT)?)?;
        index.manifests.retain(|child| !is_index(child) && self.has_blob(&child.digest));
        let images = index.manifests.iter().map(|child| self.image(child, names));
        let images = images.collect::<Result<_, _>>()?;
        let descriptor = Descriptor::new(&entry.media_type, entry.digest, entry.size);
        Ok(ImageList { descriptor, index, images, names: names.of(entry.digest) })
    }

    /// The images that an index names and that are here, each under the index's names as well; none of what is attested.
    pub(super) fn listed_images(&self, entry: &Descriptor, names: &Names) -> Result<Vec<Image>, Error> {
        let index = ImageIndex::parse(&self.read_blob(&entry.digest, MANIFEST_LIMIT)?)?;
        let mut images = Vec::new();
        for child in index.manifests.iter().filter(|child| !is_attestation(child) && !is_index(child)) {
            if !self.has_blob(&child.digest) {
                continue;
            }
            let mut image = self.image(child, names)?;
            image.names.extend(names.of(entry.digest));
            image.names.sort();
            image.names.dedup();
            images.push(image);
        }
        Ok(images)
    }

    /// Of the images that an index names, the one for `platform`; else the first.
    pub(super) fn chosen(
        &self,
        entry: &Descriptor,
        names: &Names,
        platform: &Platform,
    ) -> Result<Option<Image>, Error> {
        let mut images = self.listed_images(entry, names)?;
        let wanted = images.iter().position(|image| self.matches(image, platform)).unwrap_or(0);
        Ok((wanted < images.len()).then(|| images.swap_remove(wanted)))
    }

    /// Adds the names of the lists that `image` is in.
    pub(super) fn with_names_of_lists(&self, mut image: Image, names: &Names) -> Result<Image, Error> {
        for list in self.lists_with(names, image.descriptor.digest)? {
            image.names.extend(names.of(list.digest));
        }
        image.names.sort();
        image.names.dedup();
        Ok(image)
    }

    /// The other images of the lists that `image` is in, each under the names of such a list as well.
    pub fn siblings(&self, image: &Image) -> Result<Vec<Image>, Error> {
        let _gc = self.storing()?;
        let names = self.names()?;
        let mut siblings = Vec::new();
        for list in self.lists_with(&names, image.descriptor.digest)? {
            siblings.extend(self.listed_images(&list, &names)?);
        }
        siblings.retain(|other| other.descriptor.digest != image.descriptor.digest);
        Ok(siblings)
    }

    /// Lists a list no more, but each of its images that is here. What is attested of them goes with the list.
    pub(super) fn dissolve(&self, edit: &mut NamesEdit<'_>, list: &Descriptor) -> Result<(), Error> {
        edit.forget(list.digest)?;
        let index = ImageIndex::parse(&self.read_blob(&list.digest, MANIFEST_LIMIT)?)?;
        for child in
            index.manifests.iter().filter(|child| !is_attestation(child) && self.has_blob(&child.digest))
        {
            edit.list(&Descriptor::new(&child.media_type, child.digest, child.size));
        }
        Ok(())
    }

    /// The indexes that name the image `digest`.
    pub(super) fn lists_with(&self, names: &Names, digest: Digest) -> Result<Vec<Descriptor>, Error> {
        let mut lists = Vec::new();
        for entry in names.entries().iter().filter(|entry| is_index(entry)) {
            let index = ImageIndex::parse(&self.read_blob(&entry.digest, MANIFEST_LIMIT)?)?;
            if index.manifests.iter().any(|child| child.digest == digest) {
                lists.push(entry.clone());
            }
        }
        Ok(lists)
    }
}

impl NamesEdit<'_> {
    /// Takes away the entries without a name of images that a list names.
    pub(super) fn replace_entries(&mut self, images: &[Image]) {
        let named = |entry: &Descriptor| images.iter().any(|image| image.descriptor.digest == entry.digest);
        self.retain(|entry| name_of(entry).is_some() || !named(entry));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::{config_of, put_layer, scratch};
    use super::*;
    use crate::oci::ImageConfig;

    /// An image for `architecture` with a layer of its own.
    fn put(store: &Store, architecture: &str) -> Image {
        let layer = put_layer(store, architecture.as_bytes());
        let config = ImageConfig { architecture: architecture.to_owned(), ..config_of("a", &[layer]) };
        store.put_image(&config, &[layer], &BTreeMap::new()).unwrap()
    }

    fn index_of(images: &[&Image]) -> ImageIndex {
        let manifests = images.iter().map(|image| {
            let platform = format!("linux/{}", image.config.architecture).parse().unwrap();
            Descriptor { platform: Some(platform), ..image.descriptor.clone() }
        });
        ImageIndex {
            schema_version: 2,
            media_type: Some(media_type::INDEX.to_owned()),
            manifests: manifests.collect(),
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        }
    }

    #[test]
    fn a_name_of_a_list_means_the_image_for_the_platform() {
        let (_dir, store) = scratch();
        let (arm, s390x) = (put(&store, "arm64"), put(&store, "s390x"));
        let list = store.put_list(media_type::INDEX, &index_of(&[&s390x, &arm])).unwrap();
        store.tag_list(&list, &"img".parse().unwrap()).unwrap();
        for (platform, want) in [("linux/arm64", &arm), ("linux/s390x", &s390x), ("linux/riscv64", &s390x)] {
            let found = store.find_for("img", &platform.parse().unwrap()).unwrap().unwrap();
            assert_eq!(found.id(), want.id(), "{platform}");
            assert_eq!(found.names, ["localhost/img:latest".parse().unwrap()], "{platform}");
        }
        assert_eq!(store.find(&arm.id().hex()[..12]).unwrap().unwrap().id(), arm.id());
        assert_eq!(store.images().unwrap().len(), 2, "each once");
        let found = store.find_list("img").unwrap().unwrap();
        assert_eq!((found.index, found.names.len()), (list.index.clone(), 1));
        assert!(store.find_list(&list.descriptor.digest.to_string()).unwrap().is_some());
        assert!(store.find_list(&arm.id().to_string()).unwrap().is_none());
    }

    #[test]
    fn a_list_is_removed_with_the_last_of_its_names_and_takes_its_images_along() {
        let (dir, store) = scratch();
        let (arm, s390x) = (put(&store, "arm64"), put(&store, "s390x"));
        let list = store.put_list(media_type::INDEX, &index_of(&[&s390x, &arm])).unwrap();
        store.tag_list(&list, &"img".parse().unwrap()).unwrap();
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert!(matches!(store.remove_list(&list), Err(Error::StillNamed { .. })));
        assert!(store.untag(&"img".parse().unwrap()).unwrap());
        assert_eq!(store.images().unwrap().len(), 2);
        let gone = store.remove_list(&list).unwrap();
        assert_eq!(gone.len(), 7, "an index, two manifests, configs and layers: {gone:?}");
        assert!(store.images().unwrap().is_empty());
    }

    #[test]
    fn an_image_that_is_removed_leaves_the_others_of_its_list() {
        let (dir, store) = scratch();
        let (arm, s390x) = (put(&store, "arm64"), put(&store, "s390x"));
        let list = store.put_list(media_type::INDEX, &index_of(&[&s390x, &arm])).unwrap();
        store.tag_list(&list, &"img".parse().unwrap()).unwrap();
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        let siblings: Vec<_> = store.siblings(&arm).unwrap().iter().map(Image::id).collect();
        assert_eq!(siblings, [s390x.id()]);
        assert!(matches!(store.remove(&arm), Err(Error::StillNamed { .. })));
        assert!(store.untag(&"img".parse().unwrap()).unwrap());
        let gone = store.remove(&arm).unwrap();
        assert_eq!(gone.len(), 4, "an index, a manifest, a config and a layer: {gone:?}");
        let left: Vec<_> = store.images().unwrap().iter().map(Image::id).collect();
        assert_eq!(left, [s390x.id()]);
        assert!(store.find_list(&list.descriptor.digest.hex()).unwrap().is_none());
    }

    #[test]
    fn a_list_is_found_by_a_name_or_by_the_beginning_of_its_digest() {
        let (_dir, store) = scratch();
        let (arm, s390x) = (put(&store, "arm64"), put(&store, "s390x"));
        let list = store.put_list(media_type::INDEX, &index_of(&[&s390x, &arm])).unwrap();
        store.tag_list(&list, &"img".parse().unwrap()).unwrap();
        let hex = list.descriptor.digest.hex();
        for (name, is_found) in [
            ("img", true),
            (&hex[..], true),
            (&hex[..16], true),
            (&format!("sha256:{}", &hex[..16]), true),
            (&arm.id().hex(), false),
            (&s390x.descriptor.digest.hex(), false),
            ("absent", false),
        ] {
            assert_eq!(store.find_list(name).unwrap().is_some(), is_found, "{name}");
        }
        std::fs::remove_file(store.blob_path(&arm.descriptor.digest)).unwrap();
        assert!(matches!(store.find_list("img"), Err(Error::Missing { .. })));
        assert_eq!(store.find_list_in_part("img").unwrap().unwrap().images.len(), 1);
    }

    #[test]
    fn a_list_of_what_is_not_here_is_refused() {
        let (_dir, store) = scratch();
        let arm = put(&store, "arm64");
        std::fs::remove_file(store.blob_path(&arm.config.rootfs.diff_ids[0].0)).unwrap();
        let refused = store.put_list(media_type::INDEX, &index_of(&[&arm])).unwrap_err();
        assert!(matches!(refused, Error::Missing { .. }), "{refused}");
        assert!(store.find_list("img").unwrap().is_none());
    }
}
