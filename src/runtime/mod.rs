//! The client of the sandbox: what a job is, and how one is run.
//!
//! The coordinator has no privilege and enters no namespace. It starts one [`Sandbox`] per build, hands it jobs over a
//! socket, and holds the reading ends of each command's standard output and error. Every job has a connection of its
//! own, so jobs run side by side, and a connection that closes, for whatever reason, ends its job:
//!
//! ```text
//! coordinator ──control──► init            new connection, the job's live directory
//!      └────────job──────► supervisor      Request → Reply, Stop, and the descriptors that go with them
//! ```
//!
//! The messages stand in `wire`; the other side is `crate::sandbox`.

mod cancel;
mod error;
mod run;
mod start;
pub(crate) mod wire;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::layer::Written;
use crate::oci::DiffId;

pub use cancel::Cancel;
pub use error::Error;
pub use run::Probed;
pub use start::Sandbox;

/// The hidden verb that starts a sandbox.
pub(crate) const VERB: &str = "__sandbox";

/// One layer of a job's stack, by its files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayerFiles {
    /// The digest of the tar.
    pub diff_id: DiffId,
    /// The uncompressed tar.
    pub tar: PathBuf,
    /// Its index; may be absent or stale.
    pub index: PathBuf,
}

/// Which driver; `Auto` lets the sandbox try `Kernel` first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootfsChoice {
    /// The first that mounts.
    Auto,
    /// Kernel overlayfs over the served stack.
    Kernel,
    /// The overlay is our own server.
    Fuse,
}

/// A command to run and the root it runs in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Bottom first.
    pub stack: Vec<LayerFiles>,
    /// Which driver mounts the root.
    pub rootfs: RootfsChoice,
    /// An empty directory of the store, `live/<id>`; the sandbox removes what it puts there.
    pub live: PathBuf,
    /// The command.
    pub process: ProcessSpec,
    /// Host files and directories to show, in this order.
    pub mounts: Vec<Mount>,
    /// Which network it sees.
    pub network: Network,
    /// The name of its machine.
    pub hostname: String,
    /// Extra /etc/hosts rows `(address, name)`.
    pub hosts: Vec<(String, String)>,
}

/// A process, its names resolved to numbers by the coordinator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// The program, looked up in the `PATH` of `env` inside the root, and its arguments.
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Created (root-owned, 0755) if missing.
    pub cwd: String,
    /// The user, as the container sees it.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its further groups.
    pub groups: Vec<u32>,
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

/// Which network a command sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// That of the host.
    Host,
    /// A loopback interface of its own.
    None,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

/// What a job came to.
#[derive(Debug)]
pub struct Outcome {
    /// How the command ended.
    pub exit: Exit,
    /// What it changed; present if and only if it exited with code 0.
    pub layer: Option<Written>,
}

/// How to start a sandbox.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which way of mapping ids to take.
    pub idmap: rbuild_userns::idmap::Choice,
}
