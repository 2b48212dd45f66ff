//! What the kernel refused, with the request that it refused.

use std::io;

/// A request to the kernel that went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel said no.
    #[error("{request}")]
    Kernel {
        /// The request with its operands.
        request: String,
        /// The errno.
        source: io::Error,
    },
    /// `fork` was asked for where a second thread runs: the child would inherit locks that nobody holds.
    #[error("fork: this process has {0} threads, and only a single-threaded one may fork")]
    Threads(u64),
    /// A capability has a name that nobody knows.
    #[error("capability {0:?} is unknown")]
    Capability(String),
    /// Nobody can give what he does not have.
    #[error("capability {0} cannot be given to a command: rbuild itself does not have it")]
    NotHeld(String),
    /// A seccomp profile that does not assemble.
    #[error("assemble the seccomp filter")]
    Assemble(#[source] seccompiler::BackendError),
    /// A string for the kernel holds a NUL byte.
    #[error("{what} {text:?} holds a NUL byte")]
    Nul {
        /// What the string is.
        what: &'static str,
        /// The string.
        text: String,
    },
}

impl Error {
    /// The errno behind this error, if the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Kernel { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

/// Names the request that failed: `.map_err(refused("unshare(mount)"))`.
pub(crate) fn refused<E: Into<io::Error>>(request: impl Into<String>) -> impl FnOnce(E) -> Error {
    move |source| Error::Kernel { request: request.into(), source: source.into() }
}
