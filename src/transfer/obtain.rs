//! Obtain: from the store or from a registry, as the policy says.

use super::{Error, pull};
use crate::oci::{Platform, Reference};
use crate::progress::Sink;
use crate::registry::Client;
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
    let local = match policy {
        PullPolicy::Always => None,
        _ => store.find_for(&reference.to_string(), platform)?.filter(|image| store.matches(image, platform)),
    };
    match (policy, local) {
        (PullPolicy::Missing | PullPolicy::Never, Some(image)) => Ok(image),
        (PullPolicy::Never, None) => {
            Err(Error::NotHere { name: reference.to_string(), platform: platform.clone() })
        }
        (PullPolicy::Newer, Some(image)) => newer(store, client, reference, platform, image, sink),
        (_, _) => pull::pull(store, client, reference, platform, sink),
    }
}

/// The registry's image if there is one and it is another than `local`.
fn newer(
    store: &Store,
    client: &Client,
    reference: &Reference,
    platform: &Platform,
    local: Image,
    sink: &dyn Sink,
) -> Result<Image, Error> {
    let name = reference.remote();
    match client.manifest_for(&name, platform) {
        Ok(fetched) if fetched.digest == local.descriptor.digest => Ok(local),
        Ok(fetched) => pull::named(store, client, &name, &fetched, platform, sink),
        // What the policy is for: the store's image will do.
        Err(_) => Ok(local),
    }
}
