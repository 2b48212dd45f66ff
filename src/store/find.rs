//! Finding an image by what a person types: a name first, then an id or digest, full or shortened.

use super::images::{MANIFEST_LIMIT, is_manifest};
use super::lists::is_index;
use super::names::Names;
use super::{Error, Image, Store};
use crate::oci::{Descriptor, Manifest, Platform, Reference};

/// Fewer hex digits are not taken for an id.
const SHORTEST: usize = 3;

impl Store {
    /// By name (local, then remote completion), by full or shortened image id or manifest digest.
    ///
    /// The image is kept from being collected as long as this handle lives. Errors with
    /// [`Error::Ambiguous`] if several images have ids that start so, and with [`Error::Oci`] if `name` is
    /// neither a reference nor an id.
    pub fn find(&self, name: &str) -> Result<Option<Image>, Error> {
        self.find_for(name, &Platform::host())
    }

    /// The same; of a list, the image for `platform`, or its first if it has none.
    pub fn find_for(&self, name: &str, platform: &Platform) -> Result<Option<Image>, Error> {
        let _gc = self.storing()?;
        let names = self.names()?;
        let reference = name.parse::<Reference>();
        let entry = reference
            .as_ref()
            .ok()
            .and_then(|reference| names.resolve(reference))
            .or_else(|| names.named(name));
        let image = match (entry, digits(name)) {
            (Some(entry), _) if is_index(entry) => self.chosen(entry, &names, platform)?,
            (Some(entry), _) => Some(self.image(entry, &names)?),
            (None, Some(prefix)) => self.by_prefix(&names, prefix, platform)?,
            (None, None) => {
                reference?;
                None
            }
        };
        let Some(image) = image else { return Ok(None) };
        self.pin(&image.blobs())?;
        self.with_names_of_lists(image, &names).map(Some)
    }

    /// The list whose digest starts with what `name` says, if no image is meant by it.
    pub(super) fn list_by_prefix<'n>(
        &self,
        names: &'n Names,
        name: &str,
    ) -> Result<Option<&'n Descriptor>, Error> {
        let Some(prefix) = digits(name) else { return Ok(None) };
        let mut lists = names.entries().iter().filter(|entry| is_index(entry));
        let Some(list) = lists.find(|entry| entry.digest.hex().starts_with(prefix)) else { return Ok(None) };
        let image = self.by_prefix(names, prefix, &Platform::host())?;
        Ok(image.is_none_or(|image| !starts(&image, prefix)).then_some(list))
    }

    /// The image whose id or manifest digest starts with `prefix`, or whose list's does. Several manifests of one image id
    /// (packed and plain layers) are one image: the first of them is it.
    fn by_prefix(&self, names: &Names, prefix: &str, platform: &Platform) -> Result<Option<Image>, Error> {
        let mut found: Vec<Image> = Vec::new();
        let mut take = |image: Image| {
            if found.iter().all(|other| other.id() != image.id()) {
                found.push(image);
            }
        };
        for entry in names.entries() {
            if is_index(entry) {
                let images = self.listed_images(entry, names)?;
                let hits = images.into_iter().filter(|image| starts(image, prefix));
                hits.for_each(&mut take);
                if entry.digest.hex().starts_with(prefix) {
                    self.chosen(entry, names, platform)?.into_iter().for_each(&mut take);
                }
            } else if is_manifest(entry) {
                let id = Manifest::parse(&self.read_blob(&entry.digest, MANIFEST_LIMIT)?)?.config.digest;
                if [id, entry.digest].iter().any(|digest| digest.hex().starts_with(prefix)) {
                    take(self.image(entry, names)?);
                }
            }
        }
        match &found[..] {
            [] | [_] => Ok(found.pop()),
            _ => Err(Error::Ambiguous {
                prefix: prefix.to_owned(),
                candidates: found.iter().map(|image| image.id().short()).collect(),
            }),
        }
    }
}

fn starts(image: &Image, prefix: &str) -> bool {
    [image.id(), image.descriptor.digest].iter().any(|digest| digest.hex().starts_with(prefix))
}

/// The hex digits of a full or shortened digest, without the algorithm.
fn digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let hex = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (hex && (SHORTEST..=64).contains(&digits.len())).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config_of, put, scratch};
    use super::*;
    use crate::oci::Digest;

    #[test]
    fn names_are_tried_before_ids_and_local_before_remote() {
        let (_dir, store) = scratch();
        let (local, hub, pinned) = (put(&store, "local"), put(&store, "hub"), put(&store, "pinned"));
        let tag = |image: &Image, name: &str| store.tag(image, &name.parse().unwrap()).unwrap();
        tag(&local, "both");
        tag(&hub, "docker.io/library/both");
        tag(&hub, "docker.io/library/hub");
        tag(&pinned, "quay.io/x:1");
        // An image whose name looks like the start of another's id.
        let hexlike = &hub.id().hex()[..6];
        let hexlike = if hexlike.parse::<Reference>().is_ok() { hexlike } else { "abcdef" };
        tag(&local, hexlike);
        let index = Digest::of(b"an index that was pulled by its digest");
        tag(&pinned, &format!("quay.io/y@{index}"));
        let digest = pinned.descriptor.digest;
        for (name, want) in [
            ("both", Some(&local)),
            ("localhost/both:latest", Some(&local)),
            ("docker.io/library/both", Some(&hub)),
            ("hub", Some(&hub)),
            ("hub:2", None),
            ("absent", None),
            (hexlike, Some(&local)),
            (&format!("quay.io/x@{digest}"), Some(&pinned)),
            (&format!("quay.io/x:2@{digest}"), Some(&pinned)),
            (&format!("quay.io/y@{index}"), Some(&pinned)),
            (&format!("quay.io/z@{digest}"), None),
            (&format!("x@{digest}"), None),
        ] {
            let found = store.find(name).unwrap().map(|image| image.id());
            assert_eq!(found, want.map(Image::id), "{name}");
        }
        for name in ["UPPER", "", "a b", "sha512:00/"] {
            assert!(matches!(store.find(name), Err(Error::Oci(_))), "{name:?} must be refused");
        }
    }

    /// Two authors whose images have ids with the same first four digits.
    fn twins() -> (String, String) {
        let mut seen = std::collections::HashMap::new();
        for author in (0..).map(|n: u32| n.to_string()) {
            let id = Digest::of(&config_of(&author, &[]).to_bytes()).hex();
            if let Some(twin) = seen.insert(id[..4].to_owned(), author.clone()) {
                return (twin, author);
            }
        }
        unreachable!("65,537 ids cannot all differ in four digits")
    }

    #[test]
    fn ids_may_be_shortened_as_long_as_they_are_unambiguous() {
        let (_dir, store) = scratch();
        let (one, other) = twins();
        let (one, other) = (put(&store, &one), put(&store, &other));
        let (id, manifest) = (one.id().hex(), one.descriptor.digest.hex());
        let unique = (5..64).find(|&n| id[..n] != other.id().hex()[..n]).unwrap();
        for (digits, want) in [
            (&id[..2], "none"),
            (&id[..3], "ambiguous"),
            (&id[..4], "ambiguous"),
            (&id[..unique], "one"),
            (&id[..], "one"),
            (&manifest[..12], "one"),
            (&manifest[..], "one"),
            (&"0".repeat(64), "none"),
            (&"0".repeat(65), "none"),
        ] {
            for name in [digits.to_owned(), format!("sha256:{digits}")] {
                let found = match store.find(&name) {
                    Ok(None) => "none",
                    Ok(Some(found)) if found.id() == one.id() => "one",
                    Ok(Some(_)) => "other",
                    Err(Error::Ambiguous { candidates, .. }) if candidates.len() == 2 => "ambiguous",
                    Err(error) => panic!("{name}: {error}"),
                };
                assert_eq!(found, want, "{name}");
            }
        }
    }

    #[test]
    fn one_image_id_in_two_manifests_is_not_ambiguous() {
        let (_dir, store) = scratch();
        let plain = put(&store, "a");
        let pretty = serde_json::to_vec_pretty(&plain.manifest).unwrap();
        let packed = store.put_manifest(&plain.descriptor.media_type, &pretty).unwrap();
        let find = |digest: Digest| store.find(&digest.to_string()).unwrap().unwrap().descriptor.digest;
        assert_eq!(find(plain.id()), plain.descriptor.digest, "the first");
        assert_eq!(find(packed.descriptor.digest), packed.descriptor.digest);
    }
}
