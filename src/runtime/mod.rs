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
mod cgroup;
mod device;
mod enter;
mod error;
mod examination;
mod input;
mod limits;
mod mount;
mod names;
mod namespaces;
mod network;
mod run;
pub mod seccomp;
mod security;
mod start;
pub(crate) mod wire;

use std::path::PathBuf;

use rbuild_userns::idmap::IdMap;
use serde::{Deserialize, Serialize};

use crate::layer::Written;
use crate::oci::DiffId;

pub use cancel::Cancel;
pub use cgroup::Error as ControlGroupError;
pub(crate) use cgroup::attempt as try_control_group;
pub use device::Device;
pub use enter::enter;
pub use error::Error;
pub use examination::{Capability, Examination, Missing, Taken};
pub(crate) use input::Stdin;
pub use input::{Input, WindowSize};
pub use limits::{Limits, RESOURCES, ResourceLimit, Shared};
pub use mount::{
    Access, Attributes, Bind, CacheDirectory, Content, Layers, Mount, Overlay, Owner, Propagation, Reach,
    Right, Secret, SecretFile, Socket, Source, Tmpfs, Upper,
};
pub use names::{Address, File, Host, Names, Resolvers};
pub use namespaces::{Namespace, Namespaces};
pub use network::{Carrier, Network, Private};
pub use run::{Probe, Probed};
pub use security::{DEFAULT_CAPABILITIES, Label, Masks, Seccomp, Security};
pub use start::Sandbox;
pub(crate) use start::ready;

/// The hidden verb that starts a sandbox.
pub(crate) const VERB: &str = "__sandbox";
/// The word behind it that starts no sandbox, but tries what one would need.
pub(crate) const TRIAL: &str = "trial";

/// One layer of a job's stack, by its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerFiles {
    /// The digest of the tar.
    pub diff_id: DiffId,
    /// The uncompressed tar.
    pub tar: PathBuf,
    /// Its index; may be absent or stale.
    pub index: PathBuf,
}

/// Which driver. `Auto` lets the sandbox try them: `Kernel` first, but where one id is mapped `Fuse`, which records
/// owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootfsChoice {
    /// The first that mounts.
    Auto,
    /// Kernel overlayfs over the served stack.
    Kernel,
    /// The overlay is our own server.
    Fuse,
    /// The stack materialised into a directory.
    Plain,
}

/// As `--rootfs` has it.
impl std::fmt::Display for RootfsChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Kernel => "kernel",
            Self::Fuse => "fuse",
            Self::Plain => "plain",
        })
    }
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
    /// A directory of the store where the `plain` driver leaves what serves the next job; the sandbox empties it when it
    /// ends.
    pub shelf: Option<PathBuf>,
    /// The command.
    pub process: ProcessSpec,
    /// What it runs in.
    pub confinement: Confinement,
    /// Whether it is noted what the command looks at.
    pub tracing: Tracing,
    /// After which ends there is a layer.
    pub keep: Keep,
}

/// After which ends of a command what it changed becomes a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// After exit code 0.
    #[default]
    Success,
    /// After any, unless it was stopped.
    Always,
    /// The same, but where a command failed and its layer cannot be made, there is none: it failed, which is what counts.
    Offered,
}

/// Whether it is noted what a command looks at in its root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tracing {
    /// No.
    #[default]
    Off,
    /// Yes: its root shares nothing with those before it.
    On,
}

/// What a command looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traced {
    /// This, as the server of root file systems encodes it.
    Seen(Vec<u8>),
    /// Nobody can tell, and why.
    Lost(String),
}

/// What a command runs in, whatever the command is: chosen once for a build or a working container. The default is what
/// container engines do, on the host's network.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Confinement {
    /// What it may do.
    pub security: Security,
    /// How much it may use.
    pub limits: Limits,
    /// Which of its surroundings it has to itself.
    pub namespaces: Namespaces,
    /// Devices of the host that it may use besides the usual ones.
    pub devices: Vec<Device>,
    /// Which network it sees.
    pub network: Network,
    /// The names it finds in `/etc`.
    pub names: Names,
    /// Host files and directories to show, in this order.
    pub mounts: Vec<Mount>,
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
    /// Its further groups; `None`: those that the sandbox was started with.
    pub groups: Option<Vec<u32>>,
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

/// Whom a command can be, and whose its files can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owners {
    /// Every id that is mapped: the kernel keeps them.
    Mapped,
    /// Everybody: one id is mapped, and the sandbox keeps the others.
    Recorded,
}

/// What a job came to.
#[derive(Debug)]
pub struct Outcome {
    /// How the command ended.
    pub exit: Exit,
    /// What it changed; present if and only if [`Job::keep`] wants it after such an end.
    pub layer: Option<Written>,
    /// What it looked at; present if and only if that was asked for and there is a layer.
    pub traced: Option<Traced>,
    /// The limit of memory, in bytes, if the kernel ended a process for its sake.
    pub out_of_memory: Option<u64>,
}

/// How to start a sandbox.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which way of mapping ids to take.
    pub idmap: rbuild_userns::idmap::Choice,
    /// What becomes of the groups of the user.
    pub groups: Groups,
    /// Other maps of user and group ids than those of `idmap`, of ids that it grants.
    pub maps: (Option<IdMap>, Option<IdMap>),
}

/// What becomes of the further groups of the user that starts a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Groups {
    /// No command has them, where the kernel lets them be left.
    #[default]
    Dropped,
    /// Every command has them, and no others.
    Kept,
}
