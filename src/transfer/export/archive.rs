//! An image as an archive: an OCI image layout, as a tar or a directory, or that with what `docker load` reads beside it.
//!
//! Layers travel as in a push: packed once, and kept packed in the store. For Docker they are plain tars, which every
//! version of `docker load` takes. Everything in the archive has the same time, so that it depends on the image alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde_json::json;

use super::{Destination, whole};
use crate::layer::{Compression, Content, LayerWriter, Metadata};
use crate::oci::{Descriptor, Digest, ImageIndex, Manifest, Reference, media_type};
use crate::store::{Image, Store};
use crate::transfer::parcel::{self, Parcel};
use crate::transfer::{Error, PushOptions, Subject};

/// The annotation that names an entry (OCI image-spec v1.1, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation by which containerd's `ctr image import` names an image in full.
const FULL_NAME: &str = "io.containerd.image.name";

/// For whom an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveKind {
    /// An OCI image layout (image-spec v1.1, image-layout.md).
    Oci,
    /// The same, in Docker's media types, with the `manifest.json` of `docker save`: one platform alone.
    Docker,
}

/// What an image is called in an archive or a layout.
#[derive(Clone, Copy, Debug)]
pub enum Names<'a> {
    /// Names of images: `docker load` and `ctr image import` know them; a layout has their tags.
    Images(&'a [Reference]),
    /// One word of the layout's own, as `oci:PATH:WORD` has it.
    Word(&'a str),
}

/// Writes `subject` as a tar. `names` are what it is called in there.
pub fn archive(
    store: &Store,
    subject: &Subject,
    names: Names<'_>,
    kind: ArchiveKind,
    to: &Destination,
    options: PushOptions,
) -> Result<(), Error> {
    let contents = Contents::of(store, subject, names, kind, options)?;
    whole(store, to, |file| {
        let mut writer = LayerWriter::create(file);
        for directory in ["blobs", "blobs/sha256"] {
            let meta = Metadata { mode: 0o755, ..Metadata::default() };
            writer.append(directory.as_bytes(), &meta, Content::Directory)?;
        }
        contents.each(store, &mut |path, size, data| {
            let meta = Metadata { mode: 0o644, ..Metadata::default() };
            Ok(writer.append(path.as_bytes(), &meta, Content::File { size, data })?)
        })?;
        writer.finish()?;
        Ok(())
    })
}

/// Writes `subject` as an OCI layout into the directory `to`, which must be empty or absent.
pub fn layout(
    store: &Store,
    subject: &Subject,
    names: Names<'_>,
    to: &Path,
    options: PushOptions,
) -> Result<(), Error> {
    let contents = Contents::of(store, subject, names, ArchiveKind::Oci, options)?;
    laid_out(to, |top| {
        fs::create_dir_all(top.join("blobs/sha256")).map_err(Error::file(top))?;
        contents.each(store, &mut |path, _, data| put(&top.join(path), data))
    })
}

/// Writes an image as `dir:` has it (containers-transports(5)) into the directory `to`, which must be empty or absent.
pub fn directory(store: &Store, subject: &Subject, to: &Path, options: PushOptions) -> Result<(), Error> {
    if subject.only_image().is_none() {
        return Err(Error::SeveralPlatforms);
    }
    let contents = Contents::of(store, subject, Names::Images(&[]), ArchiveKind::Oci, options)?;
    let manifest = contents.index.manifests.first().map(|top| top.digest.hex()).unwrap_or_default();
    laid_out(to, |top| {
        fs::create_dir_all(top).map_err(Error::file(top))?;
        contents.each(store, &mut |path, _, data| match path.strip_prefix("blobs/sha256/") {
            Some(blob) if *blob == manifest => put(&top.join("manifest.json"), data),
            Some(blob) => put(&top.join(blob), data),
            None => Ok(()),
        })?;
        put(&top.join("version"), &mut &b"Directory Transport Version: 1.1\n"[..])
    })
}

fn put(path: &Path, data: &mut dyn Read) -> Result<(), Error> {
    let mut file = File::create_new(path).map_err(Error::file(path))?;
    io::copy(data, &mut file).map(drop).map_err(Error::file(path))
}

/// Has `write` fill a directory, which takes its name `to` when it is whole.
fn laid_out(to: &Path, write: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
    let is_taken = fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some());
    if is_taken {
        return Err(Error::NotEmpty(to.to_owned()));
    }
    let to = std::path::absolute(to).map_err(Error::file(to))?;
    let parent = to.parent().unwrap_or(Path::new("/"));
    let staging =
        tempfile::Builder::new().prefix(".rbuild-").tempdir_in(parent).map_err(Error::file(parent))?;
    let top = staging.path().join("layout");
    write(&top)?;
    fs::rename(&top, &to).map_err(Error::file(&to))
}

/// Takes a file: its path, its length in bytes, and its bytes.
type Put<'a> = dyn FnMut(&str, u64, &mut dyn Read) -> Result<(), Error> + 'a;

/// What an archive holds.
struct Contents {
    blobs: BTreeMap<Digest, Blob>,
    index: ImageIndex,
    /// `manifest.json` of `docker save`.
    docker: Option<Vec<u8>>,
}

enum Blob {
    Stored,
    Bytes(Vec<u8>),
}

impl Contents {
    fn of(
        store: &Store,
        subject: &Subject,
        names: Names<'_>,
        kind: ArchiveKind,
        options: PushOptions,
    ) -> Result<Self, Error> {
        let mut contents = Self { blobs: BTreeMap::new(), index: index_of(Vec::new()), docker: None };
        let top = match (kind, subject) {
            (ArchiveKind::Docker, subject) => {
                let image = subject.only_image().ok_or(Error::SeveralPlatforms)?;
                contents.docker = Some(docker_manifest(image, names));
                let parcel = as_docker(store, image)?;
                contents.add(parcel)
            }
            (ArchiveKind::Oci, Subject::Image(image)) => contents.add(parcel::of(store, image, options)?),
            (ArchiveKind::Oci, Subject::Index(list)) => {
                let (parcels, index) = parcel::of_index(store, list, options)?;
                for parcel in parcels {
                    contents.add(parcel);
                }
                let bytes = index.to_bytes();
                let top = Descriptor::of(&list.descriptor.media_type, &bytes);
                contents.blobs.insert(top.digest, Blob::Bytes(bytes));
                top
            }
        };
        contents.index = index_of(named(&top, names));
        Ok(contents)
    }

    fn add(&mut self, parcel: Parcel) -> Descriptor {
        self.blobs.extend(parcel.blobs.iter().map(|blob| (blob.digest, Blob::Stored)));
        self.blobs.insert(parcel.descriptor.digest, Blob::Bytes(parcel.bytes));
        parcel.descriptor
    }

    /// Calls `put` with each file: its path, its length in bytes, and its bytes.
    fn each(&self, store: &Store, put: &mut Put<'_>) -> Result<(), Error> {
        for (digest, blob) in &self.blobs {
            let path = format!("blobs/sha256/{}", digest.hex());
            match blob {
                Blob::Bytes(bytes) => put(&path, bytes.len() as u64, &mut &bytes[..])?,
                Blob::Stored => {
                    let stored = store.blob_path(digest);
                    let mut file = File::open(&stored).map_err(Error::file(&stored))?;
                    let size = file.metadata().map_err(Error::file(&stored))?.len();
                    put(&path, size, &mut file)?;
                }
            }
        }
        let layout = br#"{"imageLayoutVersion":"1.0.0"}"#;
        let index = self.index.to_bytes();
        put("index.json", index.len() as u64, &mut &index[..])?;
        if let Some(manifest) = &self.docker {
            put("manifest.json", manifest.len() as u64, &mut &manifest[..])?;
        }
        put("oci-layout", layout.len() as u64, &mut &layout[..])
    }
}

fn index_of(manifests: Vec<Descriptor>) -> ImageIndex {
    ImageIndex {
        schema_version: 2,
        media_type: Some(media_type::INDEX.to_owned()),
        manifests,
        annotations: BTreeMap::new(),
        extra: BTreeMap::new(),
    }
}

/// An entry for each name; one without a name if there is none.
fn named(top: &Descriptor, names: Names<'_>) -> Vec<Descriptor> {
    let called = |rows: &[(&str, String)]| {
        let mut entry = top.clone();
        entry.annotations.extend(rows.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        entry
    };
    match names {
        Names::Images([]) => vec![top.clone()],
        Names::Images(names) => {
            let names = names.iter().map(Reference::local);
            let entry = |name: Reference| {
                let tag = name.tag().map(|tag| (REF_NAME, tag.to_owned()));
                called(&[(FULL_NAME, name.to_string())].into_iter().chain(tag).collect::<Vec<_>>())
            };
            names.map(entry).collect()
        }
        Names::Word(word) => vec![called(&[(REF_NAME, word.to_owned())])],
    }
}

/// What `docker load` looks for (Docker image-spec v1.2, "Combined Image JSON + Filesystem Changeset Format").
fn docker_manifest(image: &Image, names: Names<'_>) -> Vec<u8> {
    let path = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let layers: Vec<String> = image.config.rootfs.diff_ids.iter().map(|diff_id| path(&diff_id.0)).collect();
    let tags: Vec<String> = match names {
        Names::Images(names) => names.iter().map(|name| name.local().to_string()).collect(),
        Names::Word(_) => Vec::new(),
    };
    json!([{ "Config": path(&image.id()), "RepoTags": tags, "Layers": layers }]).to_string().into_bytes()
}

/// The image in Docker's media types, its layers plain.
fn as_docker(store: &Store, image: &Image) -> Result<Parcel, Error> {
    let mut layers = Vec::new();
    for diff_id in &image.config.rootfs.diff_ids {
        layers.push(Descriptor::new(media_type::DOCKER_LAYER, diff_id.0, store.layer(diff_id)?.size));
    }
    let config =
        Descriptor { media_type: media_type::DOCKER_CONFIG.to_owned(), ..image.manifest.config.clone() };
    let blobs = layers.iter().chain([&config]).cloned().collect();
    let manifest = Manifest {
        media_type: Some(media_type::DOCKER_MANIFEST.to_owned()),
        config,
        layers,
        annotations: BTreeMap::new(),
        ..image.manifest.clone()
    };
    Ok(Parcel::new(media_type::DOCKER_MANIFEST, manifest.to_bytes(), blobs))
}

/// How an archive's layers are packed, as the words of `compression=` say; `None`: unknown.
pub fn compression(word: &str) -> Option<Compression> {
    match word {
        "uncompressed" => Some(Compression::None),
        "gzip" => Some(Compression::Gzip),
        "zstd" => Some(Compression::Zstd),
        _ => None,
    }
}
