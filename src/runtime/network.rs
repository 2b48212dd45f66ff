//! Which network a command sees.

use serde::{Deserialize, Serialize};

/// Which network a command sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// That of the host.
    #[default]
    Host,
    /// A loopback interface of its own.
    None,
}
