//! The store: an OCI image layout on disk, and what builds need beside it.
//!
//! ```text
//! <root>/oci-layout  index.json      an OCI image layout (image-spec v1.1, image-layout.md)
//!        blobs/sha256/<hex>          manifests, configs, layers: plain tars by diff id, pulled ones packed too
//!        index/sha256/<hex>          one per layer tar: a cache, rebuilt from the tar
//!        rbuild/version              format of what follows
//!        rbuild/diffids/<blob hex>   packed layer → diff id
//!        rbuild/cache/<2>/<key>      one file per build-cache record
//!        rbuild/traces/<key>/<step>  what RUN steps looked at (traced cache)
//!        rbuild/builds/<name>        what builds did, the newest; rbuild/tables/<key>  what their steps read
//!        rbuild/filehash/<id>        what files of a context are known to hold, one table for each context
//!        rbuild/containers/<id>.json working containers
//!        rbuild/live/<id>/           what running steps write, each with its lease
//!        rbuild/mounts/<key>/<n>/    what RUN keeps from build to build (--mount=type=cache)
//!        rbuild/locks/
//!        tmp/<session>/              files being written, one directory per process, with its lease
//! ```
//!
//! There are only plain files and directories of the invoking user, none read-only: `rm -rf` removes a
//! store at any time, `cp -a` copies it.
//!
//! # Names
//! `index.json` has one entry per name, whose `org.opencontainers.image.ref.name` is the full reference
//! (`localhost/img:latest`), and one entry without that annotation for each image that has no name. So
//! `skopeo inspect oci:<root>:localhost/img:latest` and
//! `umoci unpack --rootless --image <root>:localhost/img:latest` work. Both split at the first colon, so a
//! root with a colon in its path is out of their reach. Both (skopeo 1.9, umoci 0.4.7) refuse, before they
//! look into the store, a name outside image-spec's grammar for that annotation, which is narrower than a
//! registry's: `__` or `---` within a component, `_` at the end of a tag, `[::1]` as a host. And both read
//! only OCI media types, so that an image pulled in Docker's, kept verbatim for its digest, is listed but
//! not opened by them.
//!
//! # What a crash may leave
//! Every file is written in `tmp/` and renamed. A killed process leaves nothing but its session in `tmp/`,
//! which the next open removes. Power loss is another matter: a rename may reach the disk before the bytes
//! do. A build of 50 steps must not pay 150 fsyncs for that, so **only names are durable**: before an entry
//! enters `index.json`, all that its image consists of is fsynced, then the directory, then `index.json`
//! (measured on ext4: small files fsynced in one go share their journal commits, 0.2 ms each; one by one as
//! they are made, with their directory, 1.8 ms). Blobs and cache records that no name reaches yet may be lost or cut short,
//! and are not trusted: a cache record counts only if its layer has the recorded length, an existing blob
//! of another length is replaced when it is committed again, an index carries its tar's length and a
//! checksum, and a layer whose index is gone or stale is hashed anew.
//!
//! # Locks
//! In this order: **container → step → caches of RUN → blob → index of a layer → names of containers → gc → names**.
//! `container` is held while a command runs in one, and nobody who holds anything else waits for it; `step` and `blob` are
//! held while a step runs or a blob travels. So they come before `gc`: the other way round, every removal would wait for
//! the longest build. `gc` is held, shared, for the moment of one operation. What keeps the blobs
//! of a long build from a collection in between is its session: each blob that a process puts, or finds and
//! relies upon, is noted in `tmp/<session>/pins`, and the pins of living sessions are roots like names.
//! `index.json` is replaced by rename, so its readers need no lock. The locks of caches of RUN come after `step` and are
//! held while a command has the cache: that is what `sharing=locked` asks for. A build takes those of one RUN in the order
//! of their ids, and takes no other lock of that kind before it lets them go.

mod blobs;
mod builds;
mod cache;
mod containers;
mod diffids;
mod downloads;
mod durable;
mod error;
mod filehash;
mod find;
mod gc;
mod images;
mod layers;
mod layout;
mod lease;
mod lists;
mod live;
mod lock;
mod mounts;
mod names;
mod removal;
#[cfg(test)]
mod tests;
mod tmp;
mod traces;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

pub use cache::{CacheKey, CacheRecord, Cached};
pub use containers::{Container, HeldContainer};
pub use error::Error;
pub use filehash::{FileDigests, FileStamp, KnownFile};
pub use images::Image;
pub use layers::LayerRecord;
pub use lists::{ATTESTATION, ImageList, is_attestation};
pub use live::Live;
pub use lock::Lock;
pub use mounts::{CacheMount, CacheMountId, Hold, KeptCacheMount};
pub use tmp::TmpFile;

use crate::layer::Layer;
use crate::oci::{DiffId, Digest};

/// An open store. Clone is cheap; many processes may share one root.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    /// This handle's place in `tmp/`, made when first needed.
    session: Mutex<Option<Arc<tmp::Session>>>,
    /// Claimed leftovers in `live/` that a plain removal cannot remove.
    leftovers: Mutex<Vec<lease::Lease>>,
    /// Layers that are open already: one map and one descriptor each.
    layers: Mutex<HashMap<DiffId, Weak<Layer>>>,
    /// Blobs this handle has fsynced.
    durable: Mutex<HashSet<Digest>>,
}

impl Store {
    /// Opens or creates; sweeps `tmp/`, `live/` and `locks/` of dead processes.
    ///
    /// Errors with [`Error::NewerFormat`] or [`Error::LayoutVersion`] if a later program made it, and with
    /// [`Error::NotAStore`] if `root` is a directory in use for something else.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let root = layout::prepare(root)?;
        let store = Self {
            inner: Arc::new(Inner {
                root,
                session: Mutex::default(),
                leftovers: Mutex::default(),
                layers: Mutex::default(),
                durable: Mutex::default(),
            }),
        };
        store.sweep_tmp()?;
        store.sweep_live()?;
        store.sweep_locks()?;
        Ok(store)
    }

    /// The root directory, absolute.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }
}
