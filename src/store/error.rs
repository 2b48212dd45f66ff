//! What can be wrong with a store. Each message says what, where, and the next thing to try.

use std::io;
use std::path::{Path, PathBuf};

use crate::oci::{self, DiffId, Digest};

/// What can be wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused an operation on a file of the store.
    #[error("{action} {}", path.display())]
    Io {
        /// A verb: `open`, `rename`, …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// `flock` was refused, or interrupted by a signal that this program handles.
    #[error("lock {} (the file system must support flock: try another --root if it does not)", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// The root holds files, and they are not a store.
    #[error("{} is neither empty nor an OCI layout: give an empty or new directory as --root", root.display())]
    NotAStore {
        /// The directory.
        root: PathBuf,
    },
    /// `rbuild/version` is from a later program.
    #[error("{} has store format {found}, this rbuild knows {known}: use a newer rbuild or another --root", path.display())]
    NewerFormat {
        /// `rbuild/version`.
        path: PathBuf,
        /// What it says.
        found: u32,
        /// The newest format this program knows.
        known: u32,
    },
    /// `oci-layout` is of another version (OCI image-spec v1.1, image-layout.md).
    #[error("{} is of image layout version {found:?}, only \"1.0.0\" is known: use another --root", path.display())]
    LayoutVersion {
        /// `oci-layout`.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// A file of the store does not say what it should. It is left as it is.
    #[error("{} is malformed: {why}; repair or remove it", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in it, and why.
        why: String,
    },
    /// A file is longer than its kind ever is.
    #[error("{} has {size} bytes, more than the {limit} allowed for its kind", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length, in bytes.
        size: u64,
        /// The bound, in bytes.
        limit: u64,
    },
    /// A blob is not in the store.
    #[error("blob {digest} is not in the store ({}): pull or build its image again", path.display())]
    Missing {
        /// Its name.
        digest: Digest,
        /// Where it would be.
        path: PathBuf,
    },
    /// A blob's bytes are not those its name promises.
    #[error("{} is damaged, its bytes hash to {found}: remove it, then pull or build its image again", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The digest of what is there.
        found: Digest,
    },
    /// A layer's tar was damaged; it has been removed, so that nothing trusts its name any more.
    #[error("{} was damaged, its bytes hashed to {found}, and has been removed: pull or build its image again", path.display())]
    CorruptLayer {
        /// Where it was.
        path: PathBuf,
        /// The digest of what was there.
        found: Digest,
    },
    /// A file about to be committed, or a blob of an image, does not have the promised length.
    #[error("{} has {found} bytes instead of {expected}: pull or build its image again", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// The promised length, in bytes.
        expected: u64,
        /// Its length, in bytes.
        found: u64,
    },
    /// A config names other layers than the image it is put with.
    #[error("the config names layer {position} as {config:?}, the image has {image:?}")]
    LayersDisagree {
        /// From the bottom, 0-based.
        position: usize,
        /// What the config says, if it goes so far.
        config: Option<DiffId>,
        /// What the caller gave, if it goes so far.
        image: Option<DiffId>,
    },
    /// A descriptor that does not point to an image manifest.
    #[error("{digest} is a {media_type}, not an image manifest")]
    NotAnImage {
        /// Its name.
        digest: Digest,
        /// What it is.
        media_type: String,
    },
    /// More than one image has an id or digest that starts so.
    #[error("{prefix:?} is ambiguous, it starts the ids of {}: give more digits", candidates.join(", "))]
    Ambiguous {
        /// As given.
        prefix: String,
        /// The image ids, shortened.
        candidates: Vec<String>,
    },
    /// An image that is still named cannot be removed.
    #[error("{digest} still has the names {}: untag them first", names.join(", "))]
    StillNamed {
        /// The manifest.
        digest: Digest,
        /// Its names.
        names: Vec<String>,
    },
    /// A container has this name already.
    #[error(
        "the container name {name:?} is already in use by container {id}: remove that one, or take another name"
    )]
    NameTaken {
        /// As given.
        name: String,
        /// Whose it is.
        id: String,
    },
    /// More than one container has an id that starts so.
    #[error("{0:?} is ambiguous, it starts the ids of several containers: give more digits")]
    AmbiguousContainer(String),
    /// Someone else changes the container, and whoever waited for them does no more.
    #[error("container {0:?} is in use by another command, and the wait for it was ended")]
    GaveUp(String),
    /// Not the 64 lower-case hex digits of a cache key.
    #[error("invalid cache key {0:?}: expected 64 lower-case hex digits")]
    Key(String),
    /// A layer cannot be read or indexed.
    #[error("layer {}", path.display())]
    Layer {
        /// Its tar or index.
        path: PathBuf,
        /// Why.
        source: crate::layer::Error,
    },
    /// What a step left cannot be removed.
    #[error(transparent)]
    Remove(#[from] crate::rootfs::Error),
    /// A name or JSON document that is not what it should be.
    #[error(transparent)]
    Oci(#[from] oci::Error),
}

/// Names the operation and the path that an errno belongs to.
pub(super) trait At<T> {
    /// `action` is a verb.
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { action, path: path.to_owned(), source })
    }
}

/// Turns "there is no such file" into `None`; every other errno stays an error.
pub(super) fn if_present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
