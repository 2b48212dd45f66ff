//! What appears inside the root besides the image's files.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
