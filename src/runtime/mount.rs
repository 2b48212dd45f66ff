//! What of the host appears inside the root.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A host file or directory shown inside the container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mount {
    /// On the host: a directory, a file or a socket.
    pub source: PathBuf,
    /// Absolute, inside the container.
    pub target: String,
    /// Whether it can be written to.
    pub access: Access,
}

/// Whether a mount can be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// It cannot, nor can what is mounted beneath it.
    ReadOnly,
    /// As on the host.
    ReadWrite,
}
