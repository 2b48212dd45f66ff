//! What can go wrong on the way to a file.

use std::io;
use std::time::Duration;

/// Why a file did not come. URLs are told without user name and password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an address of a file.
    #[error("{url}: {why}")]
    Url {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A status that is not the hoped one.
    #[error("{url}: HTTP {status} {reason}")]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Its name.
        reason: &'static str,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// No connection, or one that broke.
    #[error("{url}: no answer, or not the whole of it")]
    Connection {
        /// What was asked for.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The certificate does not hold, or the server does not speak TLS.
    #[error("{url}: TLS; hint: --tls-verify=false takes any certificate")]
    Tls {
        /// What was asked for.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// A redirection that is not followed.
    #[error("{url}")]
    Redirect {
        /// What was asked for.
        url: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// The document goes on beyond [`super::Options::limit`].
    #[error("{url}: the file is longer than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The bound, in bytes.
        limit: u64,
    },
    /// The file cannot be written.
    #[error("write what was downloaded")]
    Write(#[source] io::Error),
    /// Nothing asynchronous can run.
    #[error("start the HTTP client")]
    Runtime(#[source] io::Error),
    /// It was asked to stop.
    #[error("interrupted")]
    Cancelled,
}

impl Error {
    pub(super) fn connection(url: &str, source: reqwest::Error) -> Self {
        // It would be told with its password.
        let (url, source) = (url.to_owned(), source.without_url());
        let mut causes = std::iter::successors(Some(&source as &(dyn std::error::Error + 'static)), inner);
        if source.is_redirect() {
            Self::Redirect { url, source }
        } else if causes.any(<dyn std::error::Error>::is::<rustls::Error>) {
            Self::Tls { url, source }
        } else {
            Self::Connection { url, source }
        }
    }

    /// Whether the same request may well succeed a little later.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Connection { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// How long the server asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What is below an error. `io::Error` hides the error it was made of from `source`, so it is opened here.
fn inner<'a>(error: &&'a (dyn std::error::Error + 'static)) -> Option<&'a (dyn std::error::Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(outer) => outer.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static)),
        None => error.source(),
    }
}
