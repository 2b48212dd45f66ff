//! An image in files of another tool's, brought into the store as a pull would bring it: an OCI layout as a tar, what
//! `docker save` writes, and the directory of `dir:` (containers-transports(5)).
//!
//! A tar may be packed, and is read once: its members are laid out in the store's `tmp/`, which goes with this process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use tempfile::TempDir;

use super::Error;
use super::layout::{Layout, Verified, from_layout_called};
use super::pull::{Blobs, Pull};
use crate::layer::{EntryKind, Limits, TarReader, decompress_archive};
use crate::oci::{Descriptor, Digest, Hasher, ImageConfig, Manifest, Platform, Reference, media_type};
use crate::progress::Sink;
use crate::store::{Image, Store};

/// Manifests and configs of real images have some kilobytes.
const DOCUMENT_LIMIT: u64 = 4 << 20;
/// Links within an archive that are followed.
const MAX_LINKS: usize = 8;

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Archive {
    /// A tar of an OCI layout: its path, and which image of it.
    Oci(Layout),
    /// A tar of `docker save`, and which image of it; without a name the only one.
    Docker(PathBuf, Option<Reference>),
    /// A directory with `manifest.json` and blobs named by their digests.
    Directory(PathBuf),
}

impl Archive {
    /// The file or the directory.
    pub fn path(&self) -> &Path {
        match self {
            Self::Oci(layout) => &layout.path,
            Self::Docker(path, _) | Self::Directory(path) => path,
        }
    }

    fn transport(&self) -> &'static str {
        match self {
            Self::Oci(_) => "oci-archive",
            Self::Docker(..) => "docker-archive",
            Self::Directory(_) => "dir",
        }
    }

    fn broken(&self, why: &dyn std::fmt::Display) -> Error {
        let (transport, path) = (self.transport(), self.path().to_owned());
        Error::Archive { transport, path, why: why.to_string() }
    }
}

impl std::fmt::Display for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.transport(), self.path().display())
    }
}

/// Brings the image for `platform` into the store, where it gets no name.
///
/// Errors with [`Error::Archive`] if it is no such archive, and with [`Error::NotInLayout`] if it has no such image.
pub fn from_archive(
    store: &Store,
    archive: &Archive,
    platform: &Platform,
    sink: &dyn Sink,
) -> Result<Image, Error> {
    let name = archive.to_string();
    let (media_type, bytes, source) = match archive {
        Archive::Oci(layout) => {
            let members = Members::of(store, archive)?;
            let inside = Layout { path: members.directory.path().to_owned(), ..layout.clone() };
            // The person knows the archive, and not where its members lie for the moment.
            return from_layout_called(store, &inside, &name, platform, sink)
                .map_err(|error| error.about(&layout.path));
        }
        Archive::Docker(_, wanted) => docker(archive, wanted.as_ref(), Members::of(store, archive)?)?,
        Archive::Directory(path) => {
            let bytes = read(&path.join("manifest.json"));
            let bytes = bytes.map_err(|why| archive.broken(&format!("manifest.json: {why}")))?;
            let manifest = Manifest::parse(&bytes).map_err(|why| archive.broken(&why))?;
            let media_type = manifest.media_type.unwrap_or_else(|| media_type::MANIFEST.to_owned());
            (media_type, bytes, Source::Directory(path.clone()))
        }
    };
    let pull = Pull { store, source: &source, name, sink };
    let image = pull.look(&media_type, &bytes, platform)?;
    pull.take(&image, &bytes)
}

/// One image of `manifest.json`, as `docker save` has it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Saved {
    fn names(&self) -> impl Iterator<Item = &String> {
        self.repo_tags.iter().flatten()
    }

    fn is_called(&self, wanted: &Reference) -> bool {
        let names = self.names().filter_map(|name| name.parse::<Reference>().ok());
        names.into_iter().any(|name| name.remote() == wanted.remote() || name.local() == wanted.local())
    }
}

/// The manifest that an image of `docker save` has none of: its layers are plain tars, named by their diff ids, or packed.
fn docker(
    archive: &Archive,
    wanted: Option<&Reference>,
    members: Members,
) -> Result<(String, Vec<u8>, Source), Error> {
    let broken = |why: &dyn std::fmt::Display| archive.broken(why);
    let document = |name: &str| {
        let path = members.path(name).ok_or_else(|| archive.broken(&format!("{name} is missing")))?;
        read(&path).map_err(|why| archive.broken(&format!("{name}: {why}")))
    };
    let saved: Vec<Saved> =
        serde_json::from_slice(&document("manifest.json")?).map_err(|why| broken(&why))?;
    let found = match wanted {
        Some(wanted) => saved.iter().find(|one| one.is_called(wanted)),
        None if saved.len() == 1 => saved.first(),
        None => None,
    };
    let saved = found.ok_or_else(|| Error::NotInLayout {
        path: archive.path().to_owned(),
        wanted: wanted.map_or_else(|| "without a name".to_owned(), ToString::to_string),
        has: saved.iter().flat_map(Saved::names).cloned().collect::<Vec<_>>().join(", "),
    })?;
    let bytes = document(&saved.config)?;
    let diff_ids = ImageConfig::parse(&bytes).map_err(|why| broken(&why))?.rootfs.diff_ids;
    let config = Descriptor::of(media_type::DOCKER_CONFIG, &bytes);
    let config_path = members.path(&saved.config).expect("it was read");
    let mut blobs = BTreeMap::from([(config.digest, config_path)]);
    let mut layers = Vec::new();
    for (place, name) in saved.layers.iter().enumerate() {
        let path = members.path(name).ok_or_else(|| archive.broken(&format!("{name} is missing")))?;
        let layer = layer(&path, diff_ids.get(place).map(|id| id.0)).map_err(Error::file(&path))?;
        blobs.insert(layer.digest, path);
        layers.push(layer);
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::DOCKER_MANIFEST.to_owned()),
        config,
        layers,
        annotations: BTreeMap::new(),
        extra: BTreeMap::new(),
    };
    Ok((
        media_type::DOCKER_MANIFEST.to_owned(),
        manifest.to_bytes(),
        Source::Members { blobs, _members: members },
    ))
}

/// The descriptor of the layer in the file `path`. A plain tar has its diff id for its digest, which is compared when it is
/// taken.
fn layer(path: &Path, diff_id: Option<Digest>) -> io::Result<Descriptor> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut magic = Vec::new();
    file.by_ref().take(2).read_to_end(&mut magic)?;
    let is_packed = magic == [0x1f, 0x8b];
    if let (false, Some(digest)) = (is_packed, diff_id) {
        return Ok(Descriptor::new(media_type::DOCKER_LAYER, digest, size));
    }
    let mut hasher = Hasher::default();
    hasher.update(&magic);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    let kind = if is_packed { media_type::DOCKER_LAYER_GZIP } else { media_type::DOCKER_LAYER };
    Ok(Descriptor::new(kind, hasher.finish(), size))
}

/// Where the blobs are.
enum Source {
    /// In a directory, named by their digests.
    Directory(PathBuf),
    /// In files that were laid out.
    Members { blobs: BTreeMap<Digest, PathBuf>, _members: Members },
}

impl Blobs for Source {
    fn blob(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, Error> {
        let path = match self {
            Self::Directory(path) => path.join(blob.digest.hex()),
            Self::Members { blobs, .. } => blobs.get(&blob.digest).cloned().unwrap_or_default(),
        };
        Ok(Box::new(Verified::open(path, blob)?))
    }
}

/// The members of a tar, laid out.
struct Members {
    directory: TempDir,
    /// Links, as `docker save` once had for layers that it had written before.
    links: BTreeMap<PathBuf, PathBuf>,
}

impl Members {
    fn of(store: &Store, archive: &Archive) -> Result<Self, Error> {
        let path = archive.path();
        let file = File::open(path).map_err(Error::file(path))?;
        // Beside it lies what goes with this process.
        let beside = store.tmp_file()?;
        let place = beside.path().parent().unwrap_or(Path::new("."));
        let directory = TempDir::new_in(place).map_err(Error::file(place))?;
        let broken = |why: &dyn std::fmt::Display| archive.broken(why);
        let plain = decompress_archive(Box::new(file)).map_err(|why| broken(&why))?;
        let mut tar = TarReader::new(plain, Limits::default());
        let mut links = BTreeMap::new();
        while let Some(entry) = tar.next_entry().map_err(|why| broken(&why))? {
            let name = PathBuf::from(String::from_utf8_lossy(&entry.path).into_owned());
            let text = |bytes: &[u8]| PathBuf::from(String::from_utf8_lossy(bytes).into_owned());
            match entry.kind {
                EntryKind::File { .. } => {
                    let to = directory.path().join(&name);
                    let parent = to.parent().unwrap_or(directory.path());
                    fs::create_dir_all(parent).map_err(Error::file(parent))?;
                    let mut file = File::create(&to).map_err(Error::file(&to))?;
                    io::copy(&mut tar, &mut file).map_err(|why| broken(&why))?;
                }
                EntryKind::Symlink(target) => {
                    let parent = name.parent().unwrap_or(Path::new("")).to_owned();
                    drop(links.insert(name, clean(&parent.join(text(&target)))));
                }
                EntryKind::Hardlink(target) => drop(links.insert(name, text(&target))),
                _ => {}
            }
        }
        Ok(Self { directory, links })
    }

    /// Where the member called `name` lies.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let mut name = clean(Path::new(name));
        for _ in 0..MAX_LINKS {
            match self.links.get(&name) {
                Some(target) => name.clone_from(target),
                None => break,
            }
        }
        Some(self.directory.path().join(name)).filter(|path| path.is_file())
    }
}

/// The path without `.` and `..`, and never above where it begins.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => drop(clean.pop()),
            _ => {}
        }
    }
    clean
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        return Err(io::Error::other(format!("longer than {DOCUMENT_LIMIT} bytes")));
    }
    Ok(bytes)
}
