//! What can go wrong with a container.

use crate::build::{self, StepError};
use crate::{oci, rootfs, store, transfer};

/// Why a command on a container came to nothing. The container is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No container has this name or id.
    #[error("{0:?}: container not known")]
    NotKnown(String),
    /// A name that would not do as a part of a path or of a command line.
    #[error(
        "container name {0:?}: expected letters, digits, dots, dashes and underscores, a letter or digit first"
    )]
    Name(String),
    /// A container that is to be called as it is.
    #[error("the container is called {0:?} already")]
    SameName(String),
    /// The failed state of the last build, where none is recorded.
    #[error("no build is recorded that failed")]
    NoBuild,
    /// The same, where it did not fail.
    #[error("the last build, of {0}, did not fail")]
    Succeeded(String),
    /// The same, where it failed of something else.
    #[error("the last build, of {0}, did not fail in a RUN: no command has left anything")]
    NoCommandFailed(String),
    /// The same, where the record is damaged.
    #[error("the record of the last build cannot be read")]
    Record(#[source] serde_json::Error),
    /// Whoever asked for it thought better of it.
    #[error("cancelled")]
    Cancelled,
    /// The user's terminal cannot be taken.
    #[error("standard input is a terminal that cannot be taken: {0}")]
    Terminal(#[source] std::io::Error),
    /// A setting that says nothing.
    #[error("{0}")]
    Setting(String),
    /// Something between a command and whoever shows a container's root.
    #[error("{0}")]
    Mount(String),
    /// The root that is shown.
    #[error(transparent)]
    Rootfs(#[from] rootfs::Error),
    /// The step itself.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Steps cannot be made here, or become no image.
    #[error(transparent)]
    Build(#[from] build::Error),
    /// The record, or the layers.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The image to begin with.
    #[error(transparent)]
    Transfer(#[from] Box<transfer::Error>),
    /// A name or a document.
    #[error(transparent)]
    Oci(#[from] oci::Error),
}

impl Error {
    /// Whether somebody wanted the end.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Cancelled | Self::Step(StepError::Cancelled) => true,
            Self::Build(error) => error.is_cancelled(),
            _ => false,
        }
    }
}
