//! What can go wrong between a registry and the store.

use std::io;
use std::path::PathBuf;

use crate::oci::{DiffId, Digest, Platform};

/// An error of a pull or a push.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry, or the way to it.
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// A manifest or config that is none.
    #[error("{name}")]
    Document {
        /// The image.
        name: String,
        /// What is wrong with it.
        source: crate::oci::Error,
    },
    /// An image that is not one of files: a chart, a module, a signature.
    #[error("{name}: not a container image: its config is of type {media_type}")]
    Artifact {
        /// The image.
        name: String,
        /// The config's media type.
        media_type: String,
    },
    /// A layer of a kind that cannot be unpacked.
    #[error("{name}: layer {blob} is of type {media_type}, which is not supported")]
    LayerType {
        /// The image.
        name: String,
        /// The layer's blob.
        blob: Digest,
        /// Its media type.
        media_type: String,
    },
    /// A layer whose bytes are kept by someone else (media types "foreign" and "nondistributable").
    #[error("{name}: layer {blob} is not in the registry ({media_type}) and is not fetched from elsewhere")]
    ForeignLayer {
        /// The image.
        name: String,
        /// The layer's blob.
        blob: Digest,
        /// Its media type.
        media_type: String,
    },
    /// There is something, and it is no build cache.
    #[error("{name}: not a build cache: {why}")]
    NoCache {
        /// Where.
        name: String,
        /// What it is.
        why: String,
    },
    /// The document of a build cache is wrong.
    #[error("{name}: malformed build cache: {why}")]
    CacheDocument {
        /// Where.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A config larger than any config.
    #[error("{name}: config {blob} has {size} bytes, more than the {limit} a config may have")]
    ConfigSize {
        /// The image.
        name: String,
        /// The config's digest.
        blob: Digest,
        /// Its announced length, in bytes.
        size: u64,
        /// The bound, in bytes.
        limit: u64,
    },
    /// Config and manifest tell of different images.
    #[error("{name}: the config has {diff_ids} diff ids, the manifest {layers} layers")]
    LayerCount {
        /// The image.
        name: String,
        /// How many the config has.
        diff_ids: usize,
        /// How many the manifest has.
        layers: usize,
    },
    /// A layer's blob arrived as announced, but is no layer.
    #[error("{name}: layer {blob}")]
    Unpack {
        /// The image.
        name: String,
        /// The layer's blob.
        blob: Digest,
        /// What is wrong with it.
        source: Box<crate::layer::Error>,
    },
    /// A layer unpacks to something else than the config says.
    #[error("{name}: layer {blob} unpacks to {actual}, the config says {expected}")]
    DiffId {
        /// The image.
        name: String,
        /// The layer's blob.
        blob: Digest,
        /// The config's diff id.
        expected: DiffId,
        /// The digest of the tar that came out.
        actual: DiffId,
    },
    /// Not in the store, and it was forbidden to look elsewhere.
    #[error("{name}: no image for {platform} in the store, and pulling is forbidden (--pull=never)")]
    NotHere {
        /// The image.
        name: String,
        /// The platform that was asked for.
        platform: Platform,
    },
    /// A blob of the image is not in the store, or cut short.
    #[error("blob {blob} of the image is not in the store; hint: pull or build the image again")]
    Missing {
        /// The blob.
        blob: Digest,
    },
    /// A layer in the store is not what its name says.
    #[error(
        "layer {diff_id} is damaged in the store: its tar is {actual}; hint: remove the image and pull or build it again"
    )]
    Damaged {
        /// The layer.
        diff_id: DiffId,
        /// The digest of the file's bytes.
        actual: Digest,
    },
    /// A layer in the store cannot be packed.
    #[error("compress layer {diff_id}")]
    Pack {
        /// The layer.
        diff_id: DiffId,
        /// Why.
        source: Box<crate::layer::Error>,
    },
    /// A directory that is no OCI layout.
    #[error("{path:?} is no OCI image layout: {why}")]
    Layout {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Files that are no image of another tool's.
    #[error("{path:?} is nothing for {transport}: {why}")]
    Archive {
        /// What they should be, in the words of containers-transports(5).
        transport: &'static str,
        /// Where.
        path: PathBuf,
        /// What is wrong with them.
        why: String,
    },
    /// An OCI layout without the image that was asked for.
    #[error("{path:?}: no image {wanted} in the layout; it has: {has}")]
    NotInLayout {
        /// Where.
        path: PathBuf,
        /// The tag, the digest or the platform.
        wanted: String,
        /// The tags that it has, or the platforms.
        has: String,
    },
    /// A blob of an OCI layout that is not what its name says.
    #[error("{path:?}: {actual} bytes of {found}, expected {size}; the layout is damaged")]
    LayoutBlob {
        /// Where.
        path: PathBuf,
        /// The digest of what is there.
        found: Digest,
        /// How much is there, in bytes.
        actual: u64,
        /// How much there should be, in bytes.
        size: u64,
    },
    /// A file of the store.
    #[error("{path:?}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Images of two platforms that are to share a directory have different things at one path.
    #[error("{path:?}: {first} and {second} both have it")]
    Shared {
        /// Where.
        path: PathBuf,
        /// The platform that is written first.
        first: String,
        /// The other.
        second: String,
    },
    /// What an export would write over is of another kind.
    #[error("{path:?}: {new} is to go where {old} is")]
    InTheWay {
        /// Where.
        path: PathBuf,
        /// What is to go there.
        new: &'static str,
        /// What is there.
        old: &'static str,
    },
    /// A layout is not mixed with what is there.
    #[error("{0:?}: the directory is not empty")]
    NotEmpty(PathBuf),
    /// An archive that has room for one image.
    #[error("an archive for docker holds one platform alone")]
    SeveralPlatforms,
    /// The tree of an image cannot be read.
    #[error(transparent)]
    Rootfs(#[from] crate::rootfs::Error),
    /// An archive cannot be written.
    #[error(transparent)]
    Layer(#[from] crate::layer::Error),
    /// Another layer failed; what it failed of is the error that counts.
    #[error("stopped because of another layer's error")]
    Stopped,
}

impl Error {
    /// For `map_err`: the error of reading or writing `path`.
    /// The same about an archive at `place`, where it is about the layout that the archive's members are.
    pub(super) fn about(self, place: &std::path::Path) -> Self {
        let place = place.to_owned();
        match self {
            Self::Layout { path, why } => {
                let why = why.replace(&format!("{}/", path.display()), "");
                Self::Archive { transport: "oci-archive", path: place, why }
            }
            Self::NotInLayout { wanted, has, .. } => Self::NotInLayout { path: place, wanted, has },
            Self::LayoutBlob { found, actual, size, .. } => {
                Self::LayoutBlob { path: place, found, actual, size }
            }
            other => other,
        }
    }

    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
