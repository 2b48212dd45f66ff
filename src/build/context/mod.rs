//! A context: files to copy from, and what an ignore file hides of them.
//!
//! ```text
//! origin     the words of the command line → a directory, a stream, a file of the web, a repository
//! directory  of this machine, read where it is; a checkout of a repository is one
//! archive    a tar: it becomes a layer that only this build knows, and nothing is unpacked
//! read       the questions that COPY asks, whatever the files lie in
//! ```
//!
//! The main context, the named ones, and the root of a stage that COPY --from names are the same thing. What lies in a
//! directory or a tar belongs to root: whoever owns it elsewhere means nothing in an image. What lies in a stage keeps
//! its owner.

mod archive;
mod directory;
mod origin;
mod place;
mod read;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use tempfile::TempDir;

use super::StepError;
use super::elsewhere::Access;
use crate::dockerfile::{IgnoreError, IgnoreFile};
use crate::git::{self, Mtime};
use crate::layer::{EntryKind, Timestamp};
use crate::rootfs::Stack;
use crate::store::{self, Live, Store};

use directory::Directory;
pub(super) use directory::join;
pub use origin::{InvalidOrigin, Origin};

/// The longest Dockerfile or ignore file, in bytes.
pub const TEXT_LIMIT: u64 = 16 << 20;

/// Files to copy from.
pub struct Context {
    files: Files,
    ignore: IgnoreFile,
    name: String,
    /// What is removed with it: the directory, and what holds it, in this order.
    checkout: Option<(TempDir, Live)>,
}

enum Files {
    Directory(Directory),
    /// A tar, a stage, or nothing at all.
    Layers(Stack),
}

/// What a stream or a file of the web turned out to be.
pub enum Opened {
    /// Files.
    Context(Context),
    /// No archive but a text: a Dockerfile without a context.
    Dockerfile(String),
}

impl Context {
    /// What messages call the main context.
    pub const MAIN: &str = "the build context";

    fn of(files: Files, name: &str) -> Self {
        Self { files, ignore: IgnoreFile::default(), name: name.to_owned(), checkout: None }
    }

    /// The directory at `root`; `name` is what messages call it.
    pub fn of_directory(root: &Path, name: &str) -> io::Result<Self> {
        Ok(Self::of(Files::Directory(Directory::open(root)?), name))
    }

    /// A context without files.
    pub fn empty(name: &str) -> Self {
        Self::of_stack(Stack::new(Vec::new()), name)
    }

    /// The root of a stage or of an image.
    pub(super) fn of_stack(stack: Stack, name: &str) -> Self {
        Self::of(Files::Layers(stack), name)
    }

    /// The archive, or else the Dockerfile, that `source` gives.
    pub fn of_stream(
        access: &Access<'_>,
        source: Box<dyn Read + Send + '_>,
        name: &str,
    ) -> Result<Opened, StepError> {
        let file = archive::received(access, source, name)?;
        Self::of_file(access, file.file(), name)
    }

    /// The archive, or else the Dockerfile, at `url`.
    pub fn of_url(access: &Access<'_>, url: &str, name: &str) -> Result<Opened, StepError> {
        let body = access.download(url)?;
        Self::of_file(access, body.file(), name)
    }

    fn of_file(access: &Access<'_>, file: &File, name: &str) -> Result<Opened, StepError> {
        Ok(match archive::read(access, file, name)? {
            archive::Read::Stack(stack) => Opened::Context(Self::of(Files::Layers(stack), name)),
            archive::Read::Text(text) => Opened::Dockerfile(text),
        })
    }

    /// What `remote` has checked out, or the subdirectory that it names; without `.git` unless it asks for that.
    pub fn of_repository(access: &Access<'_>, remote: &git::Remote, name: &str) -> Result<Self, StepError> {
        let remote = &git::Remote { keep_git_dir: remote.keep.unwrap_or(false), ..remote.clone() };
        let commit = access.git(remote, &|git| git.resolve(remote))?;
        let mut context = Self::of_commit(access, remote, &commit)?;
        if let Some(path) = &remote.subdirectory {
            context = context.below(path)?;
        }
        name.clone_into(&mut context.name);
        Ok(context)
    }

    /// All of a commit, laid out in the store's directory of what runs now.
    pub(super) fn of_commit(
        access: &Access<'_>,
        remote: &git::Remote,
        commit: &str,
    ) -> Result<Self, StepError> {
        let live = access.store.lease_live()?;
        let at = |source| StepError::Read { path: live.path().display().to_string(), source };
        let directory = tempfile::Builder::new().prefix("git.").tempdir_in(live.path()).map_err(at)?;
        let time = access.git(remote, &|git| git.checkout(remote, commit, directory.path()))?;
        let mtime = match remote.mtime {
            Mtime::Commit => Some(Timestamp { secs: time, nanos: 0 }),
            Mtime::Checkout => None,
        };
        let files = Files::Directory(Directory::of_checkout(directory.path(), mtime).map_err(at)?);
        let checkout = Some((directory, live));
        Ok(Self { checkout, ..Self::of(files, &remote.shown()) })
    }

    /// Its directory `path`.
    fn below(mut self, path: &str) -> Result<Self, StepError> {
        let Files::Directory(root) = &self.files else { return Ok(self) };
        let below = root.below(path.as_bytes()).map_err(|source| self.unreadable(path.as_bytes(), source))?;
        let none = || StepError::Invalid(format!("{} has no directory {path:?}", self.name));
        self.files = Files::Directory(below.ok_or_else(none)?);
        Ok(self)
    }

    /// Hides what the ignore file `text` says.
    pub fn hide(&mut self, text: &str) -> Result<(), IgnoreError> {
        self.ignore = IgnoreFile::parse(text)?;
        Ok(())
    }

    /// The text of the file that `path` leads to, hidden or not; `None` if there is none. Errors if it is no regular
    /// file, no text, or longer than [`TEXT_LIMIT`].
    pub fn text(&self, path: &str) -> Result<Option<String>, StepError> {
        let at = |source| StepError::Read { path: format!("{path} of {}", self.name), source };
        let Some(item) = self.resolve(path.as_bytes())? else { return Ok(None) };
        if !matches!(item.kind, EntryKind::File { .. }) {
            return Err(at(io::Error::other("not a regular file")));
        }
        text_of(self.open(&item)?).map(Some).map_err(at)
    }

    /// What it hides.
    pub(super) fn ignore(&self) -> &IgnoreFile {
        &self.ignore
    }

    /// What messages call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The same, with what `store` remembers of its files. Of a repository that is checked out there is nothing: its files
    /// are as old as this build.
    pub(super) fn remembered_by(mut self, store: &Store) -> Result<Self, store::Error> {
        if self.checkout.is_none()
            && let Files::Directory(directory) = self.files
        {
            self.files = Files::Directory(directory.remembered_by(store)?);
        }
        Ok(self)
    }

    /// Has `store` remember what was found.
    pub(super) fn keep(&self, store: &Store) -> Result<(), store::Error> {
        match &self.files {
            Files::Directory(directory) => directory.keep(store),
            Files::Layers(_) => Ok(()),
        }
    }

    /// Whether the ignore file hides `path`.
    pub(super) fn ignores(&self, path: &[u8]) -> bool {
        self.ignore.ignores(&String::from_utf8_lossy(path))
    }

    /// Whether nothing below the hidden directory `path` can be seen.
    pub(super) fn hides_all(&self, path: &[u8]) -> bool {
        self.ignore.can_skip_dir(&String::from_utf8_lossy(path))
    }
}

/// A text that is not too long.
fn text_of(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    if source.take(TEXT_LIMIT + 1).read_to_string(&mut text)? as u64 > TEXT_LIMIT {
        return Err(io::Error::other(format!("longer than {TEXT_LIMIT} bytes")));
    }
    Ok(text)
}
