//! How much a command may use.

use rustix::process::Resource;
use serde::{Deserialize, Serialize};

/// How much a command may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The size of `/dev/shm`, in bytes; 0 sets no limit.
    pub shared_memory: u64,
    /// Per process or user (setrlimit(2)); what is not named is as on the host.
    pub resources: Vec<ResourceLimit>,
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
        Self { shared_memory: 64 << 20, resources: Vec::new() }
    }
}
