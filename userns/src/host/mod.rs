//! What stands in the way: from the errno of a request that was really made, and a few facts about the machine, to the
//! one cause and the command that mends it.
//!
//! An errno alone says little. EPERM for a new user namespace is a sysctl on old Debian, a container engine's filter under
//! Docker, and a chroot on a build server; on Ubuntu the namespace is made and is worth nothing. [`judge`] is pure, over
//! [`Host`]; [`Host::read`] is the edge.

mod facts;
mod judge;

pub use facts::{Container, Host};
pub use judge::judge;

/// What was asked of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// A new user namespace.
    UserNamespace,
    /// A mount, inside a new user namespace.
    MountInside,
    /// A new procfs.
    Proc,
    /// A network namespace, with its loopback up.
    NetworkNamespace,
    /// A seccomp filter that asks a supervisor.
    SeccompNotify,
    /// A file system served through `/dev/fuse`.
    Fuse,
    /// A control group of its own beneath that of this process.
    Cgroup,
    /// A file that shares its blocks with another one.
    Reflink,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What is in the way.
    pub why: String,
    /// What to do about it: a command, or a setting of the container.
    pub remedy: String,
}
