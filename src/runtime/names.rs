//! The names that a command finds in `/etc`: its own, and those of other machines.

use serde::{Deserialize, Serialize};

/// The names of machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The name of its machine.
    pub hostname: String,
    /// Extra /etc/hosts rows `(address, name)`.
    pub hosts: Vec<(String, String)>,
}

impl Default for Names {
    fn default() -> Self {
        Self { hostname: "rbuild".to_owned(), hosts: Vec::new() }
    }
}
