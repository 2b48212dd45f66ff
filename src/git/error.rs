//! What can go wrong with a repository.

use std::io;
use std::path::PathBuf;

/// Why a repository did not come. URLs are told without passwords.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is not there.
    #[error("git is not installed; hint: install the package git")]
    Missing,
    /// The program cannot be started.
    #[error("start git")]
    Start(#[source] io::Error),
    /// The program ended badly.
    #[error("git {command}: {said}")]
    Failed {
        /// What it was to do.
        command: String,
        /// The end of what it said.
        said: String,
    },
    /// The repository has no such ref.
    #[error(
        "{url}: the repository has no branch, tag or commit {reference:?}; a commit is named by its full id"
    )]
    NoRef {
        /// Which repository.
        url: String,
        /// What was looked for.
        reference: String,
    },
    /// The ref leads to another commit.
    #[error("{url}: checksum mismatch: expected commit {expected}, found {found}")]
    Checksum {
        /// Which repository.
        url: String,
        /// As asked for.
        expected: String,
        /// What the ref leads to.
        found: String,
    },
    /// The program said something that it does not say.
    #[error("git tells {found:?} as the {what}")]
    Answer {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        found: String,
    },
    /// A file of the checkout cannot be read or removed.
    #[error("{path:?}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The repository goes on beyond [`super::Git::limit`].
    #[error("git {command}: the repository takes more than {limit} bytes, or than {files} files")]
    TooLarge {
        /// What it was to do.
        command: String,
        /// The bound, in bytes.
        limit: u64,
        /// The bound on its files.
        files: u64,
    },
    /// It was asked to stop.
    #[error("interrupted")]
    Cancelled,
}
