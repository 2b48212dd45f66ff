//! The distribution client: manifests and blobs to and from a registry (OCI distribution-spec v1.1).
//!
//! The interface is blocking and may be used from several threads at once. Behind it one thread runs
//! everything asynchronous (`runtime`); connections are kept there, so that the layers of an image share
//! them. `oci-client` shakes hands with the registry (challenge, token, scope), asks whether a blob is there
//! and uploads; `wire` adds what it lacks: retries, tokens renewed when the registry stops taking them,
//! pushes in one request, errors that keep the HTTP status. Manifests and blobs are fetched by requests of
//! our own, because theirs are read whole before anyone may look at their length.
//!
//! Nothing that comes over the wire is believed: a manifest and a blob must have the digest and the length
//! they are known by, every answer has a bound, and a registry's words are stripped of control characters
//! before a person sees them.

mod access;
mod auth_file;
mod blob;
mod credentials;
mod endpoint;
mod error;
mod login;
mod manifest;
mod runtime;
mod sources;
mod tags;
#[cfg(test)]
pub(crate) mod tests;
mod upload;
mod wire;

use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::oci::{Descriptor, Digest, Platform, Reference};
pub use auth_file::AuthFile;
pub use error::{Error, Refusal};
pub use sources::Sources;
use wire::Wire;

/// How to speak to registries. Filled by whoever knows the command line and the environment.
#[derive(Clone, Default)]
pub struct Options {
    /// Auth files (containers-auth.json(5), Docker's config.json), the most wanted first. Those that do not
    /// exist are passed over.
    pub auth_files: Vec<PathBuf>,
    /// User and password that go before every auth file (`--creds`).
    pub credentials: Option<(String, String)>,
    /// Whether certificates go unchecked and plain HTTP is taken where there is no TLS (`--tls-verify=false`).
    /// Loopback registries are tried over plain HTTP anyway.
    pub insecure: bool,
    /// Which registries may be spoken to.
    pub sources: Sources,
    /// How often a request is repeated after a lost connection, 408, 429, 500, 502, 503 or 504.
    pub retries: u32,
    /// The wait before the first repetition; each further one waits twice as long. A `Retry-After` from the
    /// registry takes its place. No wait is longer than a minute.
    pub retry_delay: Duration,
}

impl Options {
    /// Whether `registry` may go without TLS. Errors with [`Error::Blocked`] if it must not be spoken to.
    fn is_insecure(&self, subject: &str, registry: &str) -> Result<bool, Error> {
        Ok(self.sources.is_insecure(subject, registry)? || self.insecure)
    }
}

impl fmt::Debug for Options {
    /// Everything but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("auth_files", &self.auth_files)
            .field("user", &self.credentials.as_ref().map(|(user, _)| user))
            .field("insecure", &self.insecure)
            .field("sources", &self.sources)
            .field("retries", &self.retries)
            .field("retry_delay", &self.retry_delay)
            .finish()
    }
}

/// A client of any number of registries. Connections, tokens and the way to each registry are kept while it lives.
pub struct Client {
    wire: Arc<Wire>,
}

/// A manifest or index as the registry served it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Which of the four types of [`crate::oci::media_type`] it is.
    pub media_type: String,
    /// The document, byte for byte.
    pub bytes: Vec<u8>,
    /// The digest of `bytes`.
    pub digest: Digest,
}

impl Client {
    /// A client that has not spoken to anyone yet. Errors with [`Error::Thread`] if its thread does not start.
    pub fn new(options: Options) -> Result<Self, Error> {
        Ok(Self { wire: Arc::new(Wire::new(options)?) })
    }

    /// Whether `registry` takes user and password. Errors with [`Error::Unauthorized`] if it does not; one that lets
    /// everyone in takes them all.
    pub fn check_login(&self, registry: &str, user: &str, password: &str) -> Result<(), Error> {
        login::check(&self.wire, registry, user, password)
    }

    /// The login for `registry`, or for a repository's beginning behind a slash; `None` where nobody has logged in. Errors
    /// with [`Error::AuthFile`] or [`Error::Credentials`] if one cannot be had.
    pub fn login(&self, key: &str) -> Result<Option<(String, String)>, Error> {
        let (registry, path) = key.split_once('/').unwrap_or((key, ""));
        credentials::find(&self.wire.options, registry, path)
    }

    /// The tags of the repository of `reference`, in the registry's order (distribution-spec v1.1, "Listing Tags").
    pub fn tags(&self, reference: &Reference) -> Result<Vec<String>, Error> {
        tags::list(&self.wire, &reference.remote())
    }

    /// The manifest or index at `reference`, at most 4 MiB long, of one of the types of
    /// [`crate::oci::media_type`]. A digest in the reference, and one in the answer's header, are compared
    /// with the bytes.
    pub fn manifest(&self, reference: &Reference) -> Result<Fetched, Error> {
        manifest::fetch(&self.wire, &reference.remote())
    }

    /// The manifest at `reference`; where there is an index, the manifest it has for `platform`. Errors with
    /// [`Error::NoPlatform`], naming what there is, if it has none.
    pub fn manifest_for(&self, reference: &Reference, platform: &Platform) -> Result<Fetched, Error> {
        manifest::fetch_for(&self.wire, &reference.remote(), platform)
    }

    /// The bytes of blob `descriptor` in the repository of `reference`, streamed. A lost connection is taken
    /// up where it broke. The reader never yields more than the descriptor's size, and its end is an error
    /// ([`Error::Length`] or [`Error::Digest`] within the `io::Error`) unless length and digest are the
    /// descriptor's.
    pub fn blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
    ) -> Result<Box<dyn Read + Send>, Error> {
        Ok(Box::new(blob::BlobReader::open(&self.wire, &reference.remote(), descriptor)?))
    }

    /// Whether the repository of `reference` has blob `digest` already. Asked with the right to push, since
    /// only a push needs to know.
    pub fn has_blob(&self, reference: &Reference, digest: &Digest) -> Result<bool, Error> {
        upload::has_blob(&self.wire, &reference.remote(), digest)
    }

    /// Uploads a blob in one request. `open` yields the file, again for each repetition; `advanced` is told
    /// how many bytes more have been sent, each byte once. Both are called on this thread.
    pub fn push_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        open: &(dyn Fn() -> std::io::Result<std::fs::File> + Sync),
        advanced: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Error> {
        upload::push_blob(&self.wire, &reference.remote(), descriptor, open, advanced)
    }

    /// Uploads a manifest or index of type `media_type` to the tag of `reference`, or under its digest if it
    /// has no tag. Returns the digest.
    pub fn push_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Digest, Error> {
        manifest::push(&self.wire, &reference.remote(), media_type, bytes)
    }
}
