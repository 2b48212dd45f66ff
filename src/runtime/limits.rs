//! How much a command may use.

use serde::{Deserialize, Serialize};

/// How much a command may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The size of `/dev/shm`, in bytes; 0 sets no limit.
    pub shared_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { shared_memory: 64 << 20 }
    }
}
