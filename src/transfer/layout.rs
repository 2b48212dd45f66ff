//! An image in an OCI layout (OCI image-spec v1.1, image-layout.md), brought into the store as a pull would bring it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Error;
use super::pull::{Blobs, Pull};
use crate::oci::{Descriptor, Digest, Hasher, ImageIndex, Platform, media_type};
use crate::progress::Sink;
use crate::store::{Image, Store};

/// Manifests and indexes of real images have some kilobytes; the bound is the registries'.
const DOCUMENT_LIMIT: u64 = 4 << 20;
/// Indexes within indexes that are followed.
const MAX_DEPTH: u32 = 4;
/// What a layout calls its images by.
const NAME: &str = "org.opencontainers.image.ref.name";

/// An image in a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The layout's directory.
    pub path: PathBuf,
    /// The name within it; without one, and without a digest, `latest`, or the only image that there is.
    pub tag: Option<String>,
    /// The digest that its manifest or index must have.
    pub digest: Option<Digest>,
}

/// Why a text names no layout.
#[derive(Debug, thiserror::Error)]
pub enum InvalidLayout {
    /// It has another form.
    #[error("expected PATH[:TAG][@DIGEST]")]
    Form,
    /// What stands behind the `@`.
    #[error(transparent)]
    Digest(#[from] crate::oci::Error),
}

/// `PATH[:TAG][@DIGEST]`
impl std::str::FromStr for Layout {
    type Err = InvalidLayout;

    fn from_str(text: &str) -> Result<Self, InvalidLayout> {
        let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
        let (path, tag) = rest.split_once(':').map_or((rest, None), |(path, tag)| (path, Some(tag)));
        if path.is_empty() || tag == Some("") {
            return Err(InvalidLayout::Form);
        }
        let digest = digest.map(str::parse).transpose()?;
        Ok(Self { path: PathBuf::from(path), tag: tag.map(str::to_owned), digest })
    }
}

/// Brings the image for `platform` into the store, where it gets no name.
pub fn from_layout(
    store: &Store,
    layout: &Layout,
    platform: &Platform,
    sink: &dyn Sink,
) -> Result<Image, Error> {
    from_layout_called(store, layout, &format!("oci-layout://{}", layout.path.display()), platform, sink)
}

/// The same, and messages call the image `name`.
pub(super) fn from_layout_called(
    store: &Store,
    layout: &Layout,
    name: &str,
    platform: &Platform,
    sink: &dyn Sink,
) -> Result<Image, Error> {
    let (media_type, bytes) = layout.manifest(platform)?;
    let pull = Pull { store, source: layout, name: name.to_owned(), sink };
    let image = pull.look(&media_type, &bytes, platform)?;
    pull.take(&image, &bytes)
}

impl Layout {
    /// The manifest for `platform`, and its media type.
    pub(super) fn manifest(&self, platform: &Platform) -> Result<(String, Vec<u8>), Error> {
        let mut entry = self.entry()?;
        let mut depth = 0;
        while [media_type::INDEX, media_type::DOCKER_INDEX].contains(&entry.media_type.as_str()) {
            depth += 1;
            if depth > MAX_DEPTH {
                return Err(self.broken(&format!("more than {MAX_DEPTH} indexes within each other")));
            }
            let index = ImageIndex::parse(&self.document(&entry)?).map_err(|why| self.broken(&why))?;
            entry = self.select(index, platform)?;
        }
        if ![media_type::MANIFEST, media_type::DOCKER_MANIFEST].contains(&entry.media_type.as_str()) {
            return Err(self.broken(&format!("{} is of type {}", entry.digest, entry.media_type)));
        }
        let bytes = self.document(&entry)?;
        Ok((entry.media_type, bytes))
    }

    /// What `index.json` has under the tag or the digest.
    fn entry(&self) -> Result<Descriptor, Error> {
        let path = self.path.join("oci-layout");
        self.read(&path, DOCUMENT_LIMIT)?;
        let index = self.read(&self.path.join("index.json"), DOCUMENT_LIMIT)?;
        let index = ImageIndex::parse(&index).map_err(|why| self.broken(&why))?;
        let tag = |entry: &Descriptor| entry.annotations.get(NAME).cloned();
        let wanted = self.tag.as_deref().unwrap_or("latest");
        let found = match (self.digest, &self.tag, &index.manifests[..]) {
            (Some(digest), ..) => index.manifests.iter().find(|entry| entry.digest == digest),
            (None, None, [only]) => Some(only),
            _ => index.manifests.iter().find(|entry| tag(entry).as_deref() == Some(wanted)),
        };
        let wanted = self.digest.map_or_else(|| format!("{wanted:?}"), |digest| digest.to_string());
        let has = index.manifests.iter().map(|entry| tag(entry).unwrap_or_else(|| entry.digest.to_string()));
        let has = has.collect::<Vec<_>>().join(", ");
        found.cloned().ok_or(Error::NotInLayout { path: self.path.clone(), wanted, has })
    }

    /// The entry for `platform`; the only one, where nothing is said of platforms.
    fn select(&self, index: ImageIndex, platform: &Platform) -> Result<Descriptor, Error> {
        if let Some(entry) = index.select(platform) {
            return Ok(entry.clone());
        }
        if let [Descriptor { platform: None, .. }] = &index.manifests[..] {
            return Ok(index.manifests.into_iter().next().expect("there is one"));
        }
        let has = index.manifests.iter().filter_map(|entry| Some(entry.platform.as_ref()?.to_string()));
        let (wanted, has) = (format!("for {platform}"), has.collect::<Vec<_>>().join(", "));
        Err(Error::NotInLayout { path: self.path.clone(), wanted, has })
    }

    /// The bytes of a manifest or an index.
    fn document(&self, entry: &Descriptor) -> Result<Vec<u8>, Error> {
        if entry.size > DOCUMENT_LIMIT {
            return Err(self.broken(&format!("{} has {} bytes", entry.digest, entry.size)));
        }
        let mut bytes = Vec::new();
        self.blob(entry)?.read_to_end(&mut bytes).map_err(super::fetch::blob_error)?;
        Ok(bytes)
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) if bytes.len() as u64 > limit => {
                Err(self.broken(&format!("{} is longer than {limit} bytes", path.display())))
            }
            Ok(_) => Ok(bytes),
            Err(why) => Err(self.broken(&format!("{}: {why}", path.display()))),
        }
    }

    fn broken(&self, why: &dyn std::fmt::Display) -> Error {
        Error::Layout { path: self.path.clone(), why: why.to_string() }
    }
}

impl Blobs for Layout {
    fn blob(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, Error> {
        let path = self.path.join("blobs/sha256").join(blob.digest.hex());
        Ok(Box::new(Verified::open(path, blob)?))
    }
}

/// A blob that is compared with its name while it is read.
pub(super) struct Verified {
    file: File,
    path: PathBuf,
    blob: Descriptor,
    /// `None` once it has been.
    hasher: Option<Hasher>,
    read: u64,
}

impl Verified {
    /// The blob that lies in the file `path`.
    pub(super) fn open(path: PathBuf, blob: &Descriptor) -> Result<Self, Error> {
        let file = File::open(&path).map_err(Error::file(&path))?;
        Ok(Self { file, path, blob: blob.clone(), hasher: Some(Hasher::default()), read: 0 })
    }
}

impl Read for Verified {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(hasher) = &mut self.hasher else { return Ok(0) };
        let length = self.file.read(buf)?;
        hasher.update(&buf[..length]);
        self.read += length as u64;
        if length > 0 && self.read <= self.blob.size || buf.is_empty() {
            return Ok(length);
        }
        let found = self.hasher.take().expect("it was there").finish();
        if self.read == self.blob.size && found == self.blob.digest {
            return Ok(0);
        }
        let (path, actual, size) = (self.path.clone(), self.read, self.blob.size);
        Err(io::Error::other(Error::LayoutBlob { path, found, actual, size }))
    }
}
