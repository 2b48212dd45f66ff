//! How much a command may use.

use std::path::PathBuf;

use rustix::process::Resource;
use serde::{Deserialize, Serialize};

/// How much a command may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The size of `/dev/shm`, in bytes; 0 sets no limit.
    pub shared_memory: u64,
    /// Per process or user (setrlimit(2)); what is not named is as on the host.
    pub resources: Vec<ResourceLimit>,
    /// By all its processes together.
    pub shared: Shared,
    /// The control group that holds it to them; [`Sandbox::run`](super::Sandbox::run) makes it.
    pub(crate) group: Option<PathBuf>,
}

/// What the processes of a command may use together, by a control group. `None` sets no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// Swap besides, in bytes; `Some(None)` as much as there is.
    pub swap: Option<Option<u64>>,
    /// The time that they may run in each period, in microseconds on one processor.
    pub cpu_quota: Option<u64>,
    /// The period, in microseconds.
    pub cpu_period: Option<u64>,
    /// The weight against others, 2 to 262144; 1024 is usual.
    pub cpu_shares: Option<u64>,
    /// The processors, as `0-3,7`.
    pub cpus: Option<String>,
    /// The nodes of memory, likewise.
    pub memory_nodes: Option<String>,
    /// The group in which theirs is made: absolute in the hierarchy, or beneath that of rbuild, which is also the default.
    pub parent: Option<PathBuf>,
}

/// A limit of one resource. `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimit {
    /// One of [`RESOURCES`].
    pub resource: String,
    /// What holds.
    pub soft: Option<u64>,
    /// As far as a process may raise it itself.
    pub hard: Option<u64>,
}

/// The resources by the names that they have on command lines.
pub const RESOURCES: [(&str, Resource); 16] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

impl Default for Limits {
    fn default() -> Self {
        Self { shared_memory: 64 << 20, resources: Vec::new(), shared: Shared::default(), group: None }
    }
}
