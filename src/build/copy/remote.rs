//! Sources of ADD that are elsewhere: a file of the web, a repository.
//!
//! Each is first *identified*: which bytes it stands for, in as few of them as possible. A file with a checksum is known
//! by that, one that the server says is unchanged by its digest, a repository by its commit. If all sources of an
//! instruction are known like this, its key is, and a step that is recorded fetches nothing. Only then it is *obtained*.

use super::super::StepError;
use super::super::attest::Material;
use super::super::context::Context;
use super::super::elsewhere::{Access, Asked, Body, Memory};
use super::path_of;
use super::tree::Tree;
use crate::dockerfile::Copy;
use crate::git;
use crate::oci::Digest;
use crate::web;

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

impl Identified {
    /// What of it is told of the image's origin.
    pub(super) fn material(&self) -> Material {
        match self {
            Self::Url { url, digest, .. } => Material::file(url, *digest),
            Self::Git { remote, commit } => Material::commit(&remote.url, commit),
        }
    }
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

impl Access<'_> {
    /// Finds out which bytes `remote` stands for.
    pub(super) fn identify(
        &self,
        remote: Remote,
        checksum: Option<&str>,
        memory: Memory,
    ) -> Result<Identified, StepError> {
        match remote {
            Remote::Git(remote) => {
                let commit = self.git(&remote, &|git| git.resolve(&remote))?;
                Ok(Identified::Git { remote, commit })
            }
            Remote::Url(url) => {
                let name = web::file_name(&url)?;
                if let Some(checksum) = checksum {
                    let digest = checksum.parse()?;
                    return Ok(Identified::Url { url, name, digest, body: None });
                }
                let (digest, body) = match self.ask(&url, memory)? {
                    Asked::Unchanged(digest) => (digest, None),
                    Asked::Body(body) => (body.digest, Some(body)),
                };
                Ok(Identified::Url { url, name, digest, body })
            }
        }
    }

    /// Brings what was identified here.
    pub(super) fn obtain(&self, identified: Identified) -> Result<Tree, StepError> {
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
            Identified::Git { remote, commit } => {
                Ok(Tree::Checkout(Context::of_commit(self, &remote, &commit)?))
            }
        }
    }
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
