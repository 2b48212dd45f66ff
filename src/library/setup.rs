//! How work is done, whatever it is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::progress::{Silent, Sink};
use crate::registry::{self, Client};
use crate::runtime::{self, Cancel, RootfsChoice};
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
    /// A client of registries that speaks to them so, to push with: [`Subject::push`](crate::transfer::Subject::push).
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
