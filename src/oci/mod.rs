//! The nouns of OCI: digests, references, platforms, descriptors, manifests and image configs.
//!
//! This room is pure: no file, no network, no clock, no environment. Text and bytes come in, values
//! go out. Everything that is hashed is serialised with sorted keys and keeps the fields it does not
//! know, so that the bytes of a manifest or config survive a round trip.

mod base64;
mod config;
mod digest;
mod manifest;
mod platform;
mod reference;

pub use base64::base64;
pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
pub use digest::{ChainId, DiffId, Digest, Hasher};
pub use manifest::{Descriptor, ImageIndex, Manifest, media_type};
pub use platform::Platform;
pub use reference::Reference;

/// What can be wrong with an OCI noun.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not `sha256:` and 64 lower-case hex digits.
    #[error("invalid digest {0:?}: expected sha256:<64 lower-case hex digits>")]
    Digest(String),
    /// Not `[registry/]repository[:tag][@digest]`.
    #[error("invalid image reference {text:?}: {why}")]
    Reference {
        /// The text as given.
        text: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// Not `os[/architecture[/variant]]`.
    #[error("invalid platform {0:?}: expected os/architecture[/variant]")]
    Platform(String),
    /// A JSON document that is not what its media type says.
    #[error("invalid {what}: {source}")]
    Json {
        /// `manifest`, `index` or `config`.
        what: &'static str,
        /// Where in the text, and why.
        source: serde_json::Error,
    },
}
