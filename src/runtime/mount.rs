//! What appears inside the root besides the image's files.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::LayerFiles;

/// Something shown inside the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute, inside the container.
    pub target: String,
    /// What is shown.
    pub source: Source,
    /// Whether it can be written to.
    pub access: Access,
    /// What else may be done with it; of two that contradict each other, the later holds.
    pub rights: Vec<Right>,
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A directory, a file or a socket of the host.
    Bind(Bind),
    /// A directory of the host; what is written goes elsewhere.
    Overlay(Overlay),
    /// A file system in memory.
    Tmpfs(Tmpfs),
    /// A directory or a file of layers; what is written goes nowhere.
    Layers(Layers),
    /// A file that only memory has.
    Secret(SecretFile),
    /// A directory of the host that is kept from one step to others.
    Cache(CacheDirectory),
    /// A socket of the host that was made for the step.
    Socket(Socket),
}

/// A socket of the host that was made for the step, to which it is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// On the host.
    pub path: PathBuf,
    /// Whose it becomes.
    pub attributes: Attributes,
}

/// A file that only memory has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFile {
    /// What is in it.
    pub secret: Secret,
    /// Whose it is.
    pub attributes: Attributes,
}

/// Bytes that are shown to nobody: they travel to the sandbox in a message, and are in no debug output.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The most that a secret has, in bytes.
    pub const LIMIT: usize = 500 << 10;

    /// Takes the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Permission bits, owner and group of a file, as the command sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// The permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// A directory of the host that is kept from one step to others. The sandbox makes what the steps see in it, `data`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheDirectory {
    /// On the host.
    pub path: PathBuf,
    /// What it starts with; `None`: nothing.
    pub seed: Option<Layers>,
    /// What of it is shown, made if it is missing; empty: all. Symlinks stay within the directory.
    pub shown: PathBuf,
    /// What `data` is given when it is made. With a seed, only if one was asked for.
    pub attributes: Option<Attributes>,
}

/// A directory or a file of layers: of the build context, a stage or an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// Bottom first.
    pub stack: Vec<LayerFiles>,
    /// In the root that they add up to; symlinks stay in that root.
    pub path: PathBuf,
}

/// A directory, a file or a socket of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// On the host.
    pub path: PathBuf,
    /// With or without what is mounted beneath it.
    pub reach: Reach,
    /// Whose it is.
    pub owner: Owner,
    /// Whether mounts made beneath it show in other namespaces.
    pub propagation: Propagation,
}

/// How much a bind mount shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// The file system at the path alone.
    One,
    /// Also what is mounted beneath it.
    All,
}

/// Whom the files of a mount belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// As on the host.
    Kept,
    /// They are given to the user and group of the command; those of a bind mount on the host.
    Command,
}

/// Whether mounts made beneath a bind mount show in the further mount namespaces that the command makes
/// (`mount_namespaces(7)`). What is mounted on the host while it runs never shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// They do not.
    Private,
    /// They do.
    Shared,
}

/// A directory of the host under an overlay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// The directory on the host, never written to.
    pub lower: PathBuf,
    /// Where to write; `None`: somewhere that is removed with the step.
    pub upper: Option<Upper>,
    /// Whose the files are in the overlay. Those of `lower` stay as they are.
    pub owner: Owner,
}

/// Directories of the host that an overlay writes to. They stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upper {
    /// What was written.
    pub dir: PathBuf,
    /// What overlayfs needs for its work; on the same file system.
    pub work: PathBuf,
}

/// A file system in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// The most it holds, in bytes; `None`: the kernel's own limit, half of the memory.
    pub size: Option<u64>,
    /// The permission bits of its root.
    pub mode: u32,
    /// What is in it at first.
    pub content: Content,
}

/// What is in a file system in memory at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Nothing.
    Empty,
    /// A copy of what the image has at the target.
    Image,
}

/// Whether a mount can be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// It cannot, nor can what is mounted beneath it.
    ReadOnly,
    /// As on the host.
    ReadWrite,
}

/// What may be done with the files of a mount. None is given that the host's own mount does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Programs run.
    Exec,
    /// No program runs.
    NoExec,
    /// Setuid bits and file capabilities work.
    Suid,
    /// Setuid bits and file capabilities do not.
    NoSuid,
    /// Devices can be opened.
    Dev,
    /// Devices cannot.
    NoDev,
}

impl Right {
    /// The right of this name, as `mount(8)` has it.
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "exec" => Some(Self::Exec),
            "noexec" => Some(Self::NoExec),
            "suid" => Some(Self::Suid),
            "nosuid" => Some(Self::NoSuid),
            "dev" => Some(Self::Dev),
            "nodev" => Some(Self::NoDev),
            _ => None,
        }
    }
}

impl Source {
    /// The layers that a root has to be mounted of for it.
    pub(crate) fn layers(&self) -> Option<&Layers> {
        match self {
            Self::Layers(layers) => Some(layers),
            Self::Cache(cache) => cache.seed.as_ref(),
            Self::Bind(_) | Self::Overlay(_) | Self::Tmpfs(_) | Self::Secret(_) | Self::Socket(_) => None,
        }
    }
}

impl Mount {
    /// Shows a file or directory of the host as it is.
    pub fn bind(path: impl Into<PathBuf>, target: impl Into<String>, access: Access) -> Self {
        let bind = Bind {
            path: path.into(),
            reach: Reach::All,
            owner: Owner::Kept,
            propagation: Propagation::Private,
        };
        Self { target: target.into(), source: Source::Bind(bind), access, rights: Vec::new() }
    }
}
