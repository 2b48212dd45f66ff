//! What can go wrong with a build or a container.

use std::io;
use std::path::PathBuf;

use crate::{build, container, dockerfile, registry, store, transfer};

/// Why no image or container came of it. The store has its names as before.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The build, and where in the Dockerfile.
    #[error(transparent)]
    Build(#[from] build::Error),
    /// A working container.
    #[error(transparent)]
    Container(#[from] container::Error),
    /// The directory that files are copied from.
    #[error("{}: {source}", .path.display())]
    Context {
        /// Which.
        path: PathBuf,
        /// Why it cannot be opened.
        source: io::Error,
    },
    /// The Dockerfile of a context, or its ignore file.
    #[error(transparent)]
    Text(#[from] build::StepError),
    /// A context with no Dockerfile, where none was given.
    #[error("no Dockerfile: {} has neither Containerfile nor Dockerfile", .0.display())]
    NoDockerfile(PathBuf),
    /// Neither a Dockerfile nor a context was given.
    #[error("nothing to build: neither a Dockerfile nor a context is given")]
    Nothing,
    /// A line of the ignore file.
    #[error("{name}: {source}")]
    Ignore {
        /// The ignore file.
        name: &'static str,
        /// What is wrong.
        source: dockerfile::IgnoreError,
    },
    /// The client of registries.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// An image on its way.
    #[error(transparent)]
    Transfer(#[from] Box<transfer::Error>),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Whether [`Setup::cancel`](super::Setup::cancel) was the reason.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Build(error) => error.is_cancelled(),
            Self::Container(error) => error.is_cancelled(),
            _ => false,
        }
    }
}
