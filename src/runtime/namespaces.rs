//! Which of its surroundings a command has to itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which of its surroundings a command has to itself. A user namespace it shares with the rest of the sandbox, a pid and a
/// mount namespace it always has: the kernel lets no process back into a pid namespace around its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// System V and POSIX message queues, and `/dev/shm`.
    pub ipc: Namespace,
    /// The host name.
    pub uts: Namespace,
    /// The view of the control groups.
    pub cgroup: Namespace,
}

/// Whose namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// Its own, new.
    #[default]
    Private,
    /// The host's.
    Host,
    /// This one.
    Of(PathBuf),
}
