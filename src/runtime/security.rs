//! What a command may do.

use serde::{Deserialize, Serialize};

/// The capabilities that containers.conf gives by default.
pub const DEFAULT_CAPABILITIES: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// What a command may do; the default is that of container engines.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Security {
    /// Names such as `CAP_CHOWN`; the process's bounding, permitted, effective set (effective only for uid 0).
    pub capabilities: Vec<String>,
    /// Whether setuid bits and file capabilities are without effect.
    pub no_new_privileges: bool,
    /// Which system calls it may make.
    pub seccomp: Seccomp,
}

/// Which system calls a command may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seccomp {
    /// Those of the default profile of container engines.
    Default,
    /// All.
    Unconfined,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            capabilities: DEFAULT_CAPABILITIES.map(str::to_owned).to_vec(),
            no_new_privileges: false,
            seccomp: Seccomp::Default,
        }
    }
}
