//! Sources of ADD that are elsewhere: a file of the web, a repository.
//!
//! Each is first *identified*: which bytes it stands for, in as few of them as possible. A file with a checksum is known
//! by that, one that the server says is unchanged by its digest, a repository by its commit. If all sources of an
//! instruction are known like this, its key is, and a step that is recorded fetches nothing. Only then it is *obtained*.

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::super::StepError;
use super::super::context::Context;
use super::super::executor::Executor;
use super::super::stage::Stage;
use super::path_of;
use super::tree::{Found, Item, Tree};
use crate::dockerfile::Copy;
use crate::git::{self, Git, Mtime};
use crate::layer::{EntryKind, Metadata, Timestamp};
use crate::oci::Digest;
use crate::store::{CacheKey, Live, TmpFile};
use crate::web::{self, Answer, Document};

/// Owner-only, as for whoever downloads it by hand.
const FILE_MODE: u32 = 0o600;

/// What a source word names, if that is elsewhere.
pub(in crate::build) enum Remote {
    Url(String),
    Git(git::Remote),
}

/// A source whose bytes are known, though perhaps not here.
pub(super) enum Identified {
    Url { url: String, name: Vec<u8>, digest: Digest, body: Option<Body> },
    Git { remote: git::Remote, commit: String },
}

/// A file of the web that has arrived.
pub(in crate::build) struct Body {
    file: TmpFile,
    name: Vec<u8>,
    digest: Digest,
    size: u64,
    modified: Timestamp,
}

/// A repository laid out in the store's directory of what runs now.
pub(in crate::build) struct Checkout {
    context: Context,
    name: String,
    // In this order: the directory goes before what holds it.
    _directory: TempDir,
    _live: Live,
}

/// What the store keeps of a URL.
#[derive(Serialize, Deserialize)]
struct Remembered {
    document: Document,
}

impl Remote {
    /// Errors if a flag does not go with the sources.
    pub(in crate::build) fn check_flags(verb: &str, copy: &Copy) -> Result<(), StepError> {
        let invalid = |why: &str| Err(StepError::Invalid(why.to_owned()));
        let mut words = copy.sources.iter().map(path_of);
        let is_remote = |word: &str| matches!(Self::of(verb, word, copy), Ok(Some(_)) | Err(_));
        match &copy.checksum {
            Some(_) if copy.sources.len() > 1 => invalid("checksum can't be specified for multiple sources"),
            Some(_) if !words.all(|word| word.is_some_and(is_remote)) => {
                invalid("checksum requires HTTP(S) or Git sources")
            }
            _ => Ok(()),
        }
    }

    /// What `word` names, if that is elsewhere. Errors if `verb` does not take it, or the flags do not go with it.
    pub(in crate::build) fn of(verb: &str, word: &str, copy: &Copy) -> Result<Option<Self>, StepError> {
        let only_add = |kind: &str| match verb {
            "ADD" => Ok(()),
            _ => {
                Err(StepError::Invalid(format!("source can't be a {kind} for COPY: {}", web::redacted(word))))
            }
        };
        if let Some(parsed) = git::Remote::parse(word) {
            only_add("git ref")?;
            return Ok(Some(Self::Git(with_flags(parsed?, copy)?)));
        }
        let scheme = word.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("http" | "https") => {
                only_add("URL")?;
                Ok(Some(Self::Url(word.to_owned())))
            }
            Some(scheme @ ("ftp" | "ftps" | "file" | "sftp" | "s3")) => {
                only_add("URL")?;
                let word = web::redacted(word);
                Err(StepError::Invalid(format!(
                    "{word}: the scheme {scheme:?} is not one of http, https, git, ssh"
                )))
            }
            _ => Ok(None),
        }
    }
}

fn with_flags(mut remote: git::Remote, copy: &Copy) -> Result<git::Remote, StepError> {
    match (copy.keep_git_dir, remote.keep) {
        (Some(flag), Some(query)) if flag != query => {
            return Err(StepError::Invalid("inconsistent keep-git-dir configuration".to_owned()));
        }
        (flag, query) => remote.keep_git_dir = flag.or(query).unwrap_or(false),
    }
    if let Some(checksum) = &copy.checksum {
        remote.expect(checksum)?;
    }
    Ok(remote)
}

impl Executor<'_> {
    /// Finds out which bytes `remote` stands for.
    pub(super) fn identify(
        &self,
        stage: &Stage,
        remote: Remote,
        checksum: Option<&str>,
    ) -> Result<Identified, StepError> {
        match remote {
            Remote::Git(remote) => {
                let commit = self.git(&|git| git.resolve(&remote))?;
                Ok(Identified::Git { remote, commit })
            }
            Remote::Url(url) => {
                let name = web::file_name(&url)?;
                if let Some(checksum) = checksum {
                    let digest = checksum.parse()?;
                    return Ok(Identified::Url { url, name, digest, body: None });
                }
                let body = self.ask(stage, &url)?;
                let (digest, body) = match body {
                    Asked::Unchanged(digest) => (digest, None),
                    Asked::Body(body) => (body.digest, Some(body)),
                };
                Ok(Identified::Url { url, name, digest, body })
            }
        }
    }

    /// Asks for `url`, if it was fetched before only for what has changed.
    fn ask(&self, stage: &Stage, url: &str) -> Result<Asked, StepError> {
        let key = url_key(url);
        let known = if self.is_ignored(stage) { None } else { self.store.remembered::<Remembered>(&key)? };
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
    fn download(&self, url: &str) -> Result<Body, StepError> {
        let file = self.store.tmp_file()?;
        match self.fetch(url, None, &file)? {
            Some(document) => self.arrived(url, document, file),
            None => Err(StepError::Invalid(format!(
                "{}: HTTP 304 to a request without conditions",
                web::redacted(url)
            ))),
        }
    }

    fn fetch(
        &self,
        url: &str,
        known: Option<&Document>,
        file: &TmpFile,
    ) -> Result<Option<Document>, StepError> {
        let validators = known.map(|document| &document.validators);
        let cancelled = || self.cancel.is_cancelled();
        match web::fetch(&self.options.web, url, validators, file.file(), &cancelled) {
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

    /// Brings what was identified here.
    pub(super) fn obtain(&self, identified: Identified) -> Result<Tree<'static>, StepError> {
        match identified {
            Identified::Url { body: Some(body), .. } => Ok(Tree::Body(body)),
            Identified::Url { url, digest, body: None, .. } => {
                let body = self.download(&url)?;
                if body.digest != digest {
                    let (url, found) = (web::redacted(&url), body.digest);
                    return Err(StepError::Checksum { url, expected: digest, found });
                }
                Ok(Tree::Body(body))
            }
            Identified::Git { remote, commit } => Ok(Tree::Checkout(self.check_out(&remote, &commit)?)),
        }
    }

    fn check_out(&self, remote: &git::Remote, commit: &str) -> Result<Checkout, StepError> {
        let live = self.store.lease_live()?;
        let at = |source| StepError::Read { path: live.path().display().to_string(), source };
        let directory = tempfile::Builder::new().prefix("git.").tempdir_in(live.path()).map_err(at)?;
        let time = self.git(&|git| git.checkout(remote, commit, directory.path()))?;
        let mtime = match remote.mtime {
            Mtime::Commit => Some(Timestamp { secs: time, nanos: 0 }),
            Mtime::Checkout => None,
        };
        let context = Context::of_checkout(directory.path(), mtime).map_err(at)?;
        Ok(Checkout { context, name: remote.shown(), _directory: directory, _live: live })
    }

    fn git<T>(&self, work: &dyn Fn(&Git<'_>) -> Result<T, git::Error>) -> Result<T, StepError> {
        let cancelled = || self.cancel.is_cancelled();
        work(&Git { cancelled: &cancelled }).map_err(|error| match error {
            git::Error::Cancelled => StepError::Cancelled,
            error => error.into(),
        })
    }
}

/// What came of asking for a URL.
enum Asked {
    Unchanged(Digest),
    Body(Body),
}

impl Identified {
    /// Says which bytes it stands for, and everything else of it that the layer depends on.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::Url { name, digest, .. } => format!("file {} {digest}", hex::encode(name)),
            Self::Git { remote, commit } => {
                let git::Remote { subdirectory, keep_git_dir, submodules, mtime, .. } = remote;
                format!("git {commit} {subdirectory:?} {keep_git_dir} {submodules} {mtime:?}")
            }
        }
    }

    /// The directory of a repository that is wanted.
    pub(super) fn subdirectory(&self) -> Option<String> {
        match self {
            Self::Git { remote, .. } => remote.subdirectory.clone(),
            Self::Url { .. } => None,
        }
    }
}

impl Body {
    pub(super) fn found(&self) -> Found {
        let meta = Metadata { mode: FILE_MODE, mtime: self.modified, ..Metadata::default() };
        let item = Item {
            path: self.name.clone(),
            kind: EntryKind::File { size: self.size },
            meta,
            link: None,
            stamp: None,
            node: None,
        };
        Found { name: self.name.clone(), item }
    }

    pub(super) fn open(&self) -> std::io::Result<std::fs::File> {
        std::fs::File::open(self.file.path())
    }
}

impl Checkout {
    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn name(&self) -> &str {
        &self.name
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
