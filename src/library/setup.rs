//! How work is done, whatever it is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Error;
use crate::layer::Compression;
use crate::oci::{Descriptor, Platform, Reference};
use crate::progress::{Silent, Sink};
use crate::registry::{self, Client};
use crate::runtime::{self, Cancel, RootfsChoice};
use crate::store::{Image, Store};
use crate::transfer::{self, PullPolicy, PushOptions, Subject};
use crate::web;

/// How builds and containers go about their work. The usual way asks registries without credentials, three times again where
/// they do not answer, maps ids and mounts roots as the machine allows, and tells nobody.
#[derive(Clone)]
pub struct Setup {
    /// How registries are spoken to.
    pub registry: registry::Options,
    /// How files of the web are fetched.
    pub web: web::Options,
    /// How the sandbox of RUN is started.
    pub sandbox: runtime::Options,
    /// The root file system driver of RUN.
    pub rootfs: RootfsChoice,
    /// Ends the work, from any thread.
    pub cancel: Cancel,
    /// Is told the news, from several threads.
    pub sink: Arc<dyn Sink>,
}

impl Setup {
    /// The image called `name` for this machine, fetched if the store does not have it.
    pub fn pull(&self, store: &Store, name: &Reference) -> Result<Image, Error> {
        let (client, platform) = (self.client()?, Platform::host());
        let found = transfer::obtain(store, &client, name, &platform, PullPolicy::Missing, &*self.sink);
        Ok(found.map_err(Box::new)?)
    }

    /// Sends an image, or a list with all that it names, to where `to` says, its layers packed by gzip. Returns what the
    /// registry has then: its digest is not the store's, where layers are plain.
    pub fn push(&self, store: &Store, image: &Subject, to: &Reference) -> Result<Descriptor, Error> {
        let packed = PushOptions { compression: Compression::Gzip, force: false };
        let sent = image.push(store, &self.client()?, to, packed, &*self.sink);
        Ok(sent.map_err(Box::new)?)
    }

    /// A client of registries that speaks to them so.
    ///
    /// Errors with [`registry::Error::Thread`] if the thread of the network does not start.
    pub fn client(&self) -> Result<Client, registry::Error> {
        Client::new(self.registry.clone())
    }
}

impl Default for Setup {
    fn default() -> Self {
        let (retries, retry_delay) = (3, Duration::from_secs(2));
        Self {
            registry: registry::Options { retries, retry_delay, ..registry::Options::default() },
            web: web::Options { insecure: false, retries, retry_delay, limit: web::LIMIT },
            sandbox: runtime::Options::default(),
            rootfs: RootfsChoice::Auto,
            cancel: Cancel::default(),
            sink: Arc::new(Silent),
        }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("registry", &self.registry)
            .field("web", &self.web)
            .field("sandbox", &self.sandbox)
            .field("rootfs", &self.rootfs)
            .finish_non_exhaustive()
    }
}
