//! What can go wrong inside the sandbox.

use std::io;
use std::path::PathBuf;

use super::network::Lack;
use crate::runtime::Network;

/// Why the sandbox, or one step of it, does not work. It reaches the coordinator as words.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a request.
    #[error(transparent)]
    Kernel(#[from] rbuild_userns::Error),
    /// The connection to another process of the sandbox.
    #[error(transparent)]
    Connection(#[from] crate::runtime::Error),
    /// The kernel does not know an `AppArmor` profile.
    #[error("the AppArmor profile {0:?} is not loaded (aa-status lists those that are)")]
    NotLoaded(String),
    /// What a step left could not be removed.
    #[error(transparent)]
    Leftover(#[from] crate::rootfs::Error),
    /// The filter that hands calls over could not be installed.
    #[error(
        "one id is mapped, and recording the others needs a seccomp listener (Linux 5.0, and none around rbuild itself): map a range of ids, see rbuild info"
    )]
    NotRecorded(#[source] rbuild_userns::Error),
    /// A file could not be read or written.
    #[error("{verb} {path:?}")]
    File {
        /// What was tried.
        verb: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something does not appear where it should in the step's root.
    #[error("mount {what} at {target:?}")]
    Mount {
        /// What.
        what: String,
        /// Where, inside the root.
        target: PathBuf,
        /// Why not.
        source: Box<Error>,
    },
    /// Somebody else's namespace.
    #[error(
        "enter the namespace {path:?} (one that the user namespace of rbuild does not own can only be entered by root)"
    )]
    Enter {
        /// By its file.
        path: PathBuf,
        /// Why not.
        source: rbuild_userns::Error,
    },
    /// What was to be shown as a device is none.
    #[error("{0:?} is no device")]
    NoDevice(PathBuf),
    /// A path of the step's root does not resolve.
    #[error("resolve {path:?} in the root")]
    Resolve {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A mount over `/` would hide the root.
    #[error("mount target {0:?} is no place beneath /")]
    Target(PathBuf),
    /// The image leads a mount of the kernel's somewhere else.
    #[error("/{name} of the image leads to {path:?}: what the kernel shows is mounted on a directory alone")]
    Redirected {
        /// `proc`, `sys` or `dev`.
        name: &'static str,
        /// Where it leads, inside the root.
        path: PathBuf,
    },
    /// A link of the image leads a mount over what the kernel shows.
    #[error(
        "mount {what} at {target:?}: {path:?} of the step is part of a file system of the kernel or a device"
    )]
    OfKernel {
        /// What.
        what: String,
        /// Where, as it was asked for.
        target: PathBuf,
        /// Where that leads, inside the root.
        path: PathBuf,
    },
    /// A path of the host has changed since it was chosen.
    #[error("{0:?} has a symbolic link on the way now: somebody changed it after it was chosen")]
    Swapped(PathBuf),
    /// A name of `/dev` stands for something else.
    #[error("{0:?} is not the character device {1}:{2}")]
    NotTheDevice(PathBuf, u32, u32),
    /// The working directory lies outside of the root.
    #[error("the working directory {0:?} is not in the root")]
    OutsideRoot(PathBuf),
    /// A right that the host's mount does not give cannot be given here.
    #[error(
        "the host's mount does not allow {0:?}, and a user namespace cannot lift that: leave the option out"
    )]
    Locked(&'static str),
    /// A file of the host cannot be given to a user.
    #[error("give {path:?} to {uid}:{gid}")]
    Owner {
        /// Which.
        path: PathBuf,
        /// The user, as the command sees it.
        uid: u32,
        /// The group.
        gid: u32,
        /// Why not.
        source: io::Error,
    },
    /// The step does not get the network that it is to have.
    #[error("network {network}")]
    Network {
        /// Which.
        network: String,
        /// Why not.
        #[source]
        lack: Lack,
    },
    /// A row of /etc/hosts needs an address that the network does not have.
    #[error(
        "the address of {0}: this network has no way to the host; host-gateway needs one of host or private"
    )]
    NoGateway(String),
    /// The server of root file systems is gone.
    #[error("the server of root file systems ended")]
    ServerGone,
    /// The server of root file systems refused, in its words.
    #[error("{0}")]
    Refused(String),
    /// The running program cannot be found on disk.
    #[error("the program {0:?} was replaced while it runs: start the build again")]
    Replaced(PathBuf),
}

impl Error {
    /// The kernel's errno behind it, if there is one.
    pub(super) fn errno(&self) -> Option<i32> {
        match self {
            Self::Kernel(error) => error.errno(),
            Self::Connection(crate::runtime::Error::ControlGroup(error)) => error.errno(),
            Self::File { source, .. } | Self::Resolve { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Names the file behind an error of `std::io` or `rustix`.
    pub(super) fn file<E: Into<io::Error>>(
        verb: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::File { verb, path: path.into(), source: source.into() }
    }

    /// Names the network.
    pub(super) fn network(network: &Network) -> impl FnOnce(Lack) -> Self {
        let network = network.to_string();
        move |lack| Self::Network { network, lack }
    }

    /// Names what was to be mounted where.
    pub(super) fn mounting(what: &str, target: impl Into<PathBuf>) -> impl FnOnce(Self) -> Self {
        move |source| Self::Mount { what: what.to_owned(), target: target.into(), source: Box::new(source) }
    }
}
