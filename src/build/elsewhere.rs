//! What is elsewhere, brought here: files of the web and repositories, for ADD and for contexts.
//!
//! Who may have them is said by secrets of the build, under the names that BuildKit gives them. They go to the host that
//! they are for, into no message and onto no command line.

use std::collections::BTreeMap;
use std::fs::File;

use serde::{Deserialize, Serialize};

use super::StepError;
use super::copy::tree::{Found, Item};
use crate::git::{self, Authorization, Git, Login};
use crate::layer::{EntryKind, Metadata, Timestamp};
use crate::oci::Digest;
use crate::progress::Sink;
use crate::runtime::{Cancel, Secret};
use crate::store::{CacheKey, Store, TmpFile};
use crate::web::{self, Answer, Document};

/// Owner-only, as for whoever downloads it by hand.
const FILE_MODE: u32 = 0o600;
/// Whose password a token for a repository is, as with BuildKit.
const TOKEN_USER: &str = "x-access-token";

/// How what is elsewhere is reached.
pub struct Access<'a> {
    /// Holds what arrives, and remembers what has.
    pub store: &'a Store,
    /// How files of the web are fetched.
    pub web: &'a web::Options,
    /// The secrets of the build, by id.
    pub secrets: &'a BTreeMap<String, Secret>,
    /// Ends the waiting.
    pub cancel: Cancel,
    /// Is told of what was left out.
    pub sink: &'a dyn Sink,
}

/// A file of the web that has arrived.
pub(super) struct Body {
    file: TmpFile,
    name: Vec<u8>,
    pub digest: Digest,
    size: u64,
    modified: Timestamp,
}

/// Whether what is remembered of a URL counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// The server is asked for what changed.
    Use,
    /// It is asked for all of it.
    Ignore,
}

/// What came of asking for a URL.
pub(super) enum Asked {
    /// It is as it was when this was its digest.
    Unchanged(Digest),
    Body(Body),
}

/// What the store keeps of a URL.
#[derive(Serialize, Deserialize)]
struct Remembered {
    document: Document,
}

impl Access<'_> {
    /// Asks for `url`, if it was fetched before only for what has changed.
    pub(super) fn ask(&self, url: &str, memory: Memory) -> Result<Asked, StepError> {
        let known = match memory {
            Memory::Use => self.store.remembered::<Remembered>(&url_key(url))?,
            Memory::Ignore => None,
        };
        if let Some(Remembered { document }) = known
            && document.validators != web::Validators::default()
        {
            let file = self.store.tmp_file()?;
            return match self.fetch(url, Some(&document), &file)? {
                None => Ok(Asked::Unchanged(document.digest)),
                Some(document) => Ok(Asked::Body(self.arrived(url, document, file)?)),
            };
        }
        Ok(Asked::Body(self.download(url)?))
    }

    /// Fetches `url` whatever is known of it.
    pub(super) fn download(&self, url: &str) -> Result<Body, StepError> {
        let file = self.store.tmp_file()?;
        match self.fetch(url, None, &file)? {
            Some(document) => self.arrived(url, document, file),
            None => Err(StepError::Invalid(format!(
                "{}: HTTP 304 to a request without conditions",
                web::redacted(url)
            ))),
        }
    }

    /// The text at `url`: a Dockerfile.
    pub fn text(&self, url: &str) -> Result<String, StepError> {
        let body = self.download(url)?;
        let read = body.open().and_then(std::io::read_to_string);
        read.map_err(|source| StepError::Read { path: web::redacted(url), source })
    }

    fn fetch(
        &self,
        url: &str,
        known: Option<&Document>,
        file: &TmpFile,
    ) -> Result<Option<Document>, StepError> {
        let known = known.map(|document| &document.validators);
        let authorization = self.authorization_of_file(url)?;
        let request = web::Request { url, known, authorization: authorization.as_deref() };
        let cancelled = || self.cancel.is_cancelled();
        match web::fetch(self.web, request, file.file(), &cancelled) {
            Ok(Answer::Unchanged) => Ok(None),
            Ok(Answer::Document(document)) => Ok(Some(document)),
            Err(web::Error::Cancelled) => Err(StepError::Cancelled),
            Err(error) => Err(error.into()),
        }
    }

    /// Remembers what arrived.
    fn arrived(&self, url: &str, document: Document, file: TmpFile) -> Result<Body, StepError> {
        let modified = document.validators.last_modified.as_deref().and_then(time).unwrap_or_default();
        let (name, digest, size) = (web::file_name(url)?, document.digest, document.size);
        self.store.remember(&url_key(url), &Remembered { document })?;
        Ok(Body { file, name, digest, size, modified })
    }

    /// Has git do `work` about `remote`.
    pub(super) fn git<T>(
        &self,
        remote: &git::Remote,
        work: &dyn Fn(&Git<'_>) -> Result<T, git::Error>,
    ) -> Result<T, StepError> {
        let cancelled = || self.cancel.is_cancelled();
        let authorization = self.authorization_of_repository(&remote.url)?;
        work(&Git { cancelled: &cancelled, authorization, limit: self.web.limit }).map_err(
            |error| match error {
                git::Error::Cancelled => StepError::Cancelled,
                error => error.into(),
            },
        )
    }

    /// What the secrets `HTTP_AUTH_HEADER_HOST` and `HTTP_AUTH_TOKEN_HOST` say of the host of `url`.
    fn authorization_of_file(&self, url: &str) -> Result<Option<String>, StepError> {
        for host in hosts(url) {
            if let Some(header) = self.secret(&format!("HTTP_AUTH_HEADER_{host}"))? {
                return Ok(Some(header));
            }
            if let Some(token) = self.secret(&format!("HTTP_AUTH_TOKEN_{host}"))? {
                return Ok(Some(format!("Bearer {token}")));
            }
        }
        Ok(None)
    }

    /// What the secrets `GIT_AUTH_HEADER.HOST`, `GIT_AUTH_TOKEN.HOST`, `GIT_AUTH_HEADER` and `GIT_AUTH_TOKEN` say, in this
    /// order.
    fn authorization_of_repository(&self, url: &str) -> Result<Option<Authorization>, StepError> {
        let hosts = hosts(url);
        if hosts.is_empty() {
            return Ok(None);
        }
        for suffix in hosts.iter().map(|host| format!(".{host}")).chain([String::new()]) {
            if let Some(header) = self.secret(&format!("GIT_AUTH_HEADER{suffix}"))? {
                return Ok(Some(Authorization::Header(header)));
            }
            if let Some(token) = self.secret(&format!("GIT_AUTH_TOKEN{suffix}"))? {
                let login = Login { user: TOKEN_USER.to_owned(), password: Some(token) };
                return Ok(Some(Authorization::Login(login)));
            }
        }
        Ok(None)
    }

    /// The secret `id` as one line, without the blanks around it.
    fn secret(&self, id: &str) -> Result<Option<String>, StepError> {
        let Some(secret) = self.secrets.get(id) else { return Ok(None) };
        match std::str::from_utf8(secret.as_bytes()).map(str::trim) {
            Ok(line) if !line.contains(char::is_control) => Ok(Some(line.to_owned())),
            _ => Err(StepError::Invalid(format!("secret {id:?} is no line of text, and so no header"))),
        }
    }
}

/// What a secret for `url` may be called by: its host with the port that is written, and without.
fn hosts(url: &str) -> Vec<String> {
    let Some(host) = web::host(url) else { return Vec::new() };
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => vec![host.clone(), name.to_owned()],
        _ => vec![host],
    }
}

impl Body {
    /// What COPY asks of it.
    pub(super) fn found(&self) -> Found {
        let meta = Metadata { mode: FILE_MODE, mtime: self.modified, ..Metadata::default() };
        let item = Item {
            path: self.name.clone(),
            kind: EntryKind::File { size: self.size },
            meta,
            link: None,
            stamp: None,
            digest: None,
            node: None,
        };
        Found { name: self.name.clone(), item }
    }

    pub(super) fn open(&self) -> std::io::Result<File> {
        File::open(self.file.path())
    }

    /// For reading at offsets.
    pub(super) fn file(&self) -> &File {
        self.file.file()
    }
}

/// Where the store keeps what it knows of `url`. The URL itself may hold a password.
fn url_key(url: &str) -> CacheKey {
    CacheKey(blake3::hash(url.as_bytes()).to_hex().to_string())
}

/// An HTTP date; what is none is no time (RFC 9110, section 5.6.7).
fn time(text: &str) -> Option<Timestamp> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Timestamp { secs: time.as_second(), nanos: 0 })
}
