//! What can go wrong between here and a registry.
//!
//! Every message starts with the thing that was asked for: `host/repository:tag`, or `blob sha256:… of
//! host/repository`. That string is called `subject` throughout.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::oci::{Digest, Platform};

/// The most of a registry's message that is repeated to a person, in characters.
const LONGEST_MESSAGE: usize = 300;

/// An HTTP status that is not the hoped one, and what the registry says about it (distribution-spec v1.1,
/// "Error Codes").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The registry's code (`MANIFEST_UNKNOWN`), if it sent one.
    pub code: Option<String>,
    /// The registry's message, or the start of whatever else it sent.
    pub message: String,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Reads the body that came with `status`.
    pub(super) fn new(status: u16, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Envelope {
            errors: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            code: String,
            #[serde(default)]
            message: String,
        }
        let entry =
            serde_json::from_slice::<Envelope>(body).ok().and_then(|all| all.errors.into_iter().next());
        let (code, message) = match entry {
            Some(entry) => (Some(printable(&entry.code)), printable(&entry.message)),
            None => (None, describe(body)),
        };
        Self { status, code, message, retry_after: None }
    }

    /// Whether the same request may well succeed a little later.
    fn passes(&self) -> bool {
        matches!(self.status, 408 | 429 | 500 | 502 | 503 | 504)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        self.code.iter().try_for_each(|code| write!(f, " {code}"))?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

/// The start of a body that is not the error document of the specification.
fn describe(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let start = text.trim_start();
    if start.starts_with('<') { "(a web page)".to_owned() } else { printable(start) }
}

/// A stranger's words on one line, without what a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|c| !c.is_control()).take(LONGEST_MESSAGE).collect()
}

/// An error of a registry, or on the way to it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 401: the registry does not know who asks, or does not take these credentials.
    #[error("{subject}: {refusal}; hint: log in to the registry, or pass --creds USER:PASSWORD")]
    Unauthorized {
        /// What was asked for.
        subject: String,
        /// The registry's answer.
        refusal: Refusal,
    },
    /// 403: the registry knows who asks and says no.
    #[error("{subject}: {refusal}; hint: these credentials do not allow it")]
    Forbidden {
        /// What was asked for.
        subject: String,
        /// The registry's answer.
        refusal: Refusal,
    },
    /// 404: it is not there. Many registries say so of a private repository, too.
    #[error("{subject}: {refusal}; hint: check the name, or log in if the repository is private")]
    NotFound {
        /// What was asked for.
        subject: String,
        /// The registry's answer.
        refusal: Refusal,
    },
    /// Any other status that is not a success.
    #[error("{subject}: {refusal}")]
    Refused {
        /// What was asked for.
        subject: String,
        /// The registry's answer.
        refusal: Refusal,
    },
    /// The token server did not give a token.
    #[error("{subject}: the registry's token server refuses: {message}; hint: check the credentials")]
    Token {
        /// What was asked for.
        subject: String,
        /// The token server's answer.
        message: String,
    },
    /// The connection failed or broke.
    #[error("{subject}: no answer from the registry")]
    Connection {
        /// What was asked for.
        subject: String,
        /// Why.
        source: reqwest::Error,
    },
    /// A blob's connection broke for good before its end.
    #[error("{subject}: the connection broke after {received} of {expected} bytes")]
    Cut {
        /// What was asked for.
        subject: String,
        /// How many bytes came.
        received: u64,
        /// The descriptor's size.
        expected: u64,
        /// Why.
        source: Box<Self>,
    },
    /// Nothing listens at an address of this machine.
    #[error("{subject}: nothing listens at {registry}")]
    NobodyThere {
        /// What was asked for.
        subject: String,
        /// The address.
        registry: String,
    },
    /// The environment forbids to speak to it.
    #[error("{subject}: the registry {registry} {why}, by BUILD_REGISTRY_SOURCES")]
    Blocked {
        /// What was asked for.
        subject: String,
        /// Its address.
        registry: String,
        /// Which list says so.
        why: &'static str,
    },
    /// The registry's certificate does not hold, or it does not speak TLS.
    #[error("{subject}: TLS with {registry}; hint: --tls-verify=false takes any certificate and plain HTTP")]
    Tls {
        /// What was asked for.
        subject: String,
        /// Whom the connection was to.
        registry: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The bytes are not what the digest says.
    #[error("{subject}: expected {expected}, the registry sent {actual}")]
    Digest {
        /// What was asked for.
        subject: String,
        /// The digest that was asked for, or that the answer's header promised.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// More or fewer bytes than announced.
    #[error("{subject}: expected {expected} bytes, {actual} {verb}")]
    Length {
        /// What was asked for.
        subject: String,
        /// The descriptor's size.
        expected: u64,
        /// How many there are.
        actual: u64,
        /// `came`, `are announced`, …
        verb: &'static str,
    },
    /// A document larger than its kind may be.
    #[error("{subject}: the document is longer than the {limit} bytes a manifest may have")]
    TooLarge {
        /// What was asked for.
        subject: String,
        /// The bound, in bytes.
        limit: u64,
    },
    /// Image manifest version 2, schema 1, which distribution-spec has never had.
    #[error(
        "{subject}: the manifest is of Docker's schema 1, which is obsolete and not supported; hint: push the image again with a current tool"
    )]
    Schema1 {
        /// What was asked for.
        subject: String,
    },
    /// Neither an image manifest nor an index.
    #[error("{subject}: not an image manifest: {why}")]
    NotManifest {
        /// What was asked for.
        subject: String,
        /// What it is instead.
        why: String,
    },
    /// An index without a manifest for the platform.
    #[error("{subject}: no image for {wanted}; there is {}", list(available))]
    NoPlatform {
        /// What was asked for.
        subject: String,
        /// The platform that was asked for.
        wanted: Platform,
        /// The platforms there are.
        available: Vec<Platform>,
    },
    /// The registry breaks the protocol.
    #[error("{subject}: unexpected answer from the registry: {what}")]
    Protocol {
        /// What was asked for.
        subject: String,
        /// What is wrong with it.
        what: String,
    },
    /// An auth file that cannot be read.
    #[error("auth file {path:?}")]
    AuthFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An auth file, or the credential helper it names, that yields no credentials for the registry.
    #[error("auth file {path:?}: credentials for {registry}: {why}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Whose credentials were looked for.
        registry: String,
        /// What went wrong. Never the secret.
        why: String,
    },
    /// The stored login is an identity token (OAuth 2), which this client cannot exchange.
    #[error(
        "auth file {path:?}: the login for {registry} is an identity token, which is not supported; hint: log in with a user name and password or access token"
    )]
    IdentityToken {
        /// The file.
        path: PathBuf,
        /// Whose.
        registry: String,
    },
    /// The HTTP client does not start.
    #[error("{subject}: no HTTP client")]
    Setup {
        /// What was asked for.
        subject: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The thread of the client does not start.
    #[error("start the registry client's thread")]
    Thread(#[source] io::Error),
    /// A local file that was to be sent.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// The error for a status that is not a success.
    pub(super) fn refused(subject: &str, refusal: Refusal) -> Self {
        let subject = subject.to_owned();
        match refusal.status {
            401 => Self::Unauthorized { subject, refusal },
            403 => Self::Forbidden { subject, refusal },
            404 => Self::NotFound { subject, refusal },
            _ => Self::Refused { subject, refusal },
        }
    }

    /// The error for a request that got no answer.
    pub(super) fn unanswered(subject: &str, registry: &str, source: reqwest::Error) -> Self {
        // The address may carry a signature that is as good as a password.
        let source = source.without_url();
        let (subject, registry) = (subject.to_owned(), registry.to_owned());
        if causes(&source).any(<dyn std::error::Error>::is::<rustls::Error>) {
            return Self::Tls { subject, registry, source };
        }
        let refused = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
        };
        if super::endpoint::is_loopback(&registry) && causes(&source).any(refused) {
            return Self::NobodyThere { subject, registry };
        }
        Self::Connection { subject, source }
    }

    /// Whether the same request may well succeed a little later.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Connection { .. } => true,
            Self::Refused { refusal, .. } => refusal.passes(),
            _ => false,
        }
    }

    /// How long the registry asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { refusal, .. } => refusal.retry_after,
            _ => None,
        }
    }
}

/// An error and everything below it. `io::Error` hides the error it was made of from `source`, so it is opened here.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| match error.downcast_ref::<io::Error>() {
        Some(outer) => outer.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static)),
        None => error.source(),
    })
}

fn list(platforms: &[Platform]) -> String {
    match platforms {
        [] => "none with a platform".to_owned(),
        _ => platforms.iter().map(Platform::to_string).collect::<Vec<_>>().join(", "),
    }
}
