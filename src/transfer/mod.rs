//! Images on their way between a registry and the store: pull, obtain, push; from an OCI layout into the store; and build
//! caches, to and from either (`cache`).
//!
//! A pulled layer is read once: while its packed blob streams in, it is hashed and kept, unpacked, hashed
//! again as the plain tar, written and indexed. Nothing enters the store before both digests are what manifest
//! and config say. The packed blob stays beside the tar, so that the manifest is true in the store as well and
//! a push sends what was pulled, byte for byte.
//!
//! Two processes that want the same layer fetch it once: whoever comes second waits for the first one's lock
//! and finds it. A failed pull leaves the names as they were; whole blobs that had arrived stay.

mod archived;
mod cache;
mod convert;
mod error;
pub mod export;
mod fetch;
mod layout;
mod obtain;
mod pack;
mod parallel;
mod parcel;
mod pull;
mod push;
#[cfg(test)]
mod tests;

pub use archived::{Archive, from_archive};
pub use cache::{CacheDocument, CachePlace, Export, INLINE, Import, Keep, is_needed};
pub use convert::{MediaTypes, in_media_types};
pub use error::Error;
pub use layout::{InvalidLayout, Layout, from_layout};
pub use obtain::{Found, Offer, PullPolicy, find, obtain};
pub use pack::pack_layers;
pub use pull::pull;
pub use push::{PushOptions, push, push_list};

use crate::oci::{Descriptor, Digest, Reference};
use crate::progress::Sink;
use crate::registry::Client;
use crate::store::{Image, ImageList, Store};

/// What leaves the store under one name.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An image.
    Image(Box<Image>),
    /// Several, and what is attested of them.
    Index(Box<ImageList>),
}

impl From<Image> for Subject {
    fn from(image: Image) -> Self {
        Self::Image(Box::new(image))
    }
}

impl Subject {
    /// The image, if there is one alone, whatever is attested of it.
    pub fn only_image(&self) -> Option<&Image> {
        let mut images = self.images().into_iter();
        images.next().filter(|_| images.next().is_none())
    }

    /// What it is known by: the image's id if there is one alone, else the digest of the index.
    pub fn id(&self) -> Digest {
        match (self, self.only_image()) {
            (_, Some(image)) => image.id(),
            (Self::Index(list), None) => list.descriptor.digest,
            (Self::Image(image), None) => image.id(),
        }
    }

    /// The descriptor of its manifest or index.
    pub fn descriptor(&self) -> &Descriptor {
        match self {
            Self::Image(image) => &image.descriptor,
            Self::Index(list) => &list.descriptor,
        }
    }

    /// Gives it a name in the store.
    pub fn tag(&self, store: &Store, name: &Reference) -> Result<(), Error> {
        match self {
            Self::Image(image) => store.tag(image, name)?,
            Self::Index(list) => store.tag_list(list, name)?,
        }
        Ok(())
    }

    /// Pushes it, as [`push()`] or [`push_list`] do.
    pub fn push(
        &self,
        store: &Store,
        client: &Client,
        to: &Reference,
        options: PushOptions,
        sink: &dyn Sink,
    ) -> Result<Descriptor, Error> {
        match self {
            Self::Image(image) => push(store, client, image, to, options, sink),
            Self::Index(list) => push_list(store, client, list, to, options, sink),
        }
    }

    /// The images, without what is attested of them.
    pub fn images(&self) -> Vec<&Image> {
        match self {
            Self::Image(image) => vec![image],
            Self::Index(list) => list.platforms().collect(),
        }
    }
}
