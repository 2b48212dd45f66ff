//! Devices of the host that a command may use.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A device node of the host shown inside the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// On the host, without symlinks.
    pub source: PathBuf,
    /// Absolute, inside the container.
    pub target: String,
}
