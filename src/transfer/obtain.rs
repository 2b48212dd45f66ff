//! Obtain: from the store or from a registry, as the policy says; at once, or when somebody needs the layers.

use super::Error;
use super::pull::{Pull, Remote};
use crate::oci::{Platform, Reference};
use crate::progress::Sink;
use crate::registry::{Client, Fetched};
use crate::store::{Image, Store};

/// When to look at the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// Each time; an image in the store does not count.
    Always,
    /// If the store has no image of this name for the platform.
    Missing,
    /// Never: an image that is not in the store is an error.
    Never,
    /// Each time, and the registry's image is taken if it differs. An unreachable registry is no error as long
    /// as the store has an image.
    Newer,
}

/// The image that a name stands for.
pub enum Found {
    /// It is in the store.
    Here(Image),
    /// It is in a registry.
    There(Offer),
}

/// An image of a registry of which manifest and config are known, and no layer is here.
pub struct Offer {
    name: Reference,
    fetched: Fetched,
    image: Image,
}

impl Offer {
    /// What it is. The store does not have it yet.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Pulls it: layers that are here already are not fetched.
    pub fn take(&self, store: &Store, client: &Client, sink: &dyn Sink) -> Result<Image, Error> {
        let source = Remote { client, name: &self.name };
        let pull = Pull { store, source: &source, name: self.name.to_string(), sink };
        let image = pull.take(&self.image, &self.fetched.bytes)?;
        store.tag(&image, &self.name)?;
        Ok(image)
    }
}

/// The image called `reference`: of the store, under its local, then its remote name, or pulled. Errors with
/// [`Error::NotHere`] if only a pull could bring it and `policy` is [`PullPolicy::Never`].
pub fn obtain(
    store: &Store,
    client: &Client,
    reference: &Reference,
    platform: &Platform,
    policy: PullPolicy,
    sink: &dyn Sink,
) -> Result<Image, Error> {
    match find(store, client, reference, platform, policy, sink)? {
        Found::Here(image) => Ok(image),
        Found::There(offer) => offer.take(store, client, sink),
    }
}

/// The same without fetching a layer.
pub fn find(
    store: &Store,
    client: &Client,
    reference: &Reference,
    platform: &Platform,
    policy: PullPolicy,
    sink: &dyn Sink,
) -> Result<Found, Error> {
    let local = match policy {
        PullPolicy::Always => None,
        _ => store.find_for(&reference.to_string(), platform)?.filter(|image| store.matches(image, platform)),
    };
    let name = reference.remote();
    let source = Remote { client, name: &name };
    let pull = Pull { store, source: &source, name: name.to_string(), sink };
    let offer = |fetched: Fetched| {
        let image = pull.look(&fetched.media_type, &fetched.bytes, platform)?;
        Ok(Found::There(Offer { name: name.clone(), fetched, image }))
    };
    match (policy, local) {
        (PullPolicy::Missing | PullPolicy::Never, Some(image)) => Ok(Found::Here(image)),
        (PullPolicy::Never, None) => {
            Err(Error::NotHere { name: reference.to_string(), platform: platform.clone() })
        }
        (PullPolicy::Newer, Some(local)) => match client.manifest_for(&name, platform) {
            Ok(fetched) if fetched.digest != local.descriptor.digest => offer(fetched),
            // It is the same; or nobody answers, and what the policy is for: the store's image will do.
            Ok(_) | Err(_) => Ok(Found::Here(local)),
        },
        (_, _) => offer(client.manifest_for(&name, platform)?),
    }
}
