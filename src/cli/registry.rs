//! The options of verbs that talk to a registry.

use std::path::PathBuf;
use std::time::Duration;

use super::environment;
use super::failure::Failure;
use crate::registry::{Client, Options};
use crate::web;

/// Registry access.
#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Registry")]
pub(super) struct Args {
    /// Credentials from this file instead of the usual places
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Credentials
    #[arg(long, value_name = "USER[:PASSWORD]")]
    creds: Option<String>,
    /// Require HTTPS and verify certificates; a registry on a loopback address may always speak HTTP
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true",
          require_equals = true, action = clap::ArgAction::Set)]
    tls_verify: bool,
    /// How often a request is tried again
    #[arg(long, value_name = "N", default_value_t = 3)]
    retry: u32,
    /// How long to wait before that, in seconds; doubled each time
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    retry_delay: u64,
}

/// Those of nobody.
impl Default for Args {
    fn default() -> Self {
        Self { authfile: None, creds: None, tls_verify: true, retry: 3, retry_delay: 2 }
    }
}

impl Args {
    /// How files of the web are fetched: with the same patience.
    pub(super) fn web(&self) -> web::Options {
        web::Options {
            insecure: !self.tls_verify,
            retries: self.retry,
            retry_delay: Duration::from_secs(self.retry_delay),
            limit: web::LIMIT,
        }
    }

    /// A client with these options.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let credentials = self.creds.as_deref().map(|creds| {
            let (user, password) = creds.split_once(':').unwrap_or((creds, ""));
            (user.to_owned(), password.to_owned())
        });
        let auth_files = self.authfile.clone().map_or_else(environment::auth_files, |file| vec![file]);
        Ok(Client::new(Options {
            auth_files,
            credentials,
            insecure: !self.tls_verify,
            sources: environment::registry_sources()?,
            retries: self.retry,
            retry_delay: Duration::from_secs(self.retry_delay),
        })?)
    }
}
