//! What can go wrong between the coordinator and its sandbox.

use std::io;

/// Why a sandbox did not start or a job did not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ids cannot be mapped.
    #[error("map the ids of the sandbox")]
    Identity(#[from] rbuild_userns::idmap::Error),
    /// The program has not begun as one that is started again must.
    #[error("start the sandbox: this program does not call rbuild::init() first of all in its main")]
    NotReady,
    /// The sandbox's process could not be started.
    #[error("start the sandbox")]
    Spawn(#[source] io::Error),
    /// The limits cannot be set.
    #[error(transparent)]
    ControlGroup(#[from] super::cgroup::Error),
    /// A job went wrong, and its control group stays behind.
    #[error("{error}; besides, {group}")]
    AndGroup {
        /// What went wrong with the job.
        error: Box<Error>,
        /// What went wrong with its group.
        #[source]
        group: super::cgroup::Error,
    },
    /// The sandbox reports why it cannot do what it was asked. Its own words, causes included.
    #[error("{0}")]
    Refused(String),
    /// The sandbox's process is gone.
    #[error("the sandbox ended unexpectedly ({status}){last_words}")]
    Died {
        /// How its process ended.
        status: String,
        /// What it wrote last, on a new line; empty if nothing.
        last_words: String,
    },
    /// The job was stopped by [`Cancel`](super::Cancel).
    #[error("cancelled")]
    Cancelled,
    /// The message does not say what it should.
    #[error("message of the sandbox")]
    Message(#[from] serde_json::Error),
    /// A message, or a descriptor with it, is missing or too large.
    #[error("message of the sandbox: {0}")]
    Protocol(String),
    /// The kernel refused something.
    #[error(transparent)]
    Kernel(#[from] rbuild_userns::Error),
    /// Reading or writing one of the sandbox's pipes and files.
    #[error("talk to the sandbox")]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for Error {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}
