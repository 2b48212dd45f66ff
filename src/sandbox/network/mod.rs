//! The network of a step.
//!
//! The supervisor enters the network namespace before it starts the step, which inherits it:
//!
//! | network | namespace |
//! |---|---|
//! | `host` | stays where it is |
//! | `none` | a new one, its loopback up |
//! | `ns:PATH` | one that somebody else made, owned by a user namespace in which the sandbox has power |
//! | `private` | a new one, with a program attached that carries its packets to sockets of the host |

mod keeper;
mod program;

use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rbuild_userns::namespace::{self, Namespace, unshare};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::Error;
use crate::runtime::{Network, Private};
use keeper::Keeper;
use program::Program;

/// Why a step does not get the network it is to have.
#[derive(Debug, thiserror::Error)]
pub enum Lack {
    /// No program that could carry packets is installed.
    #[error("{absent} in PATH ({path}); install the package {package}")]
    Program {
        /// Its name or both names, and that it is not.
        absent: &'static str,
        /// Where it was looked for.
        path: String,
        /// Where it comes from.
        package: &'static str,
    },
    /// The program needs a device that cannot be opened.
    #[error("open /dev/net/tun: {source}; {next}")]
    Tun {
        /// Why not.
        source: Errno,
        /// What to try.
        next: &'static str,
    },
    /// The program ended before the network was there.
    #[error("{program} does not work here: {words}")]
    Ended {
        /// Its name.
        program: &'static str,
        /// What it said.
        words: String,
    },
    /// The program ended while the command ran.
    #[error("{0} ended before the command did, which lost its network")]
    Lost(&'static str),
    /// The namespace belongs to somebody else.
    #[error(
        "it belongs to a user namespace over which this sandbox has no power; run rbuild as root in that one \
         (as root: nsenter --user --target PID)"
    )]
    Foreign,
    /// The file is something else.
    #[error("it is no network namespace")]
    NoNamespace,
    /// The file of the namespace cannot be opened.
    #[error(transparent)]
    Open(io::Error),
    /// The kernel refused something.
    #[error(transparent)]
    Kernel(#[from] rbuild_userns::Error),
    /// The process that keeps the namespace said why not.
    #[error("{0}")]
    Refused(String),
    /// The connection to it.
    #[error(transparent)]
    Connection(#[from] crate::runtime::Error),
}

/// A network that this process has entered.
#[derive(Default)]
pub(super) struct Entered {
    keeper: Option<Keeper>,
    /// Who answers there in the place of the host's resolvers, where these are out of reach.
    pub forwarder: Option<IpAddr>,
    /// By which address the host is reached from there.
    pub host: Option<IpAddr>,
}

/// Moves this process, and all it starts from now on, into the network.
pub(super) fn enter(network: &Network) -> Result<Entered, Error> {
    let entered = match network {
        Network::Host => Ok(Entered { host: Some(Ipv4Addr::LOCALHOST.into()), ..Entered::default() }),
        Network::None => unshare(&[Namespace::Net])
            .and_then(|()| namespace::bring_loopback_up())
            .map_or_else(|error| Err(error.into()), |()| Ok(Entered::default())),
        Network::Namespace(path) => join_path(path).map(|()| Entered::default()),
        Network::Private(private) => enter_private(private),
    };
    entered.map_err(Error::network(network))
}

impl Entered {
    /// Takes the network down after the command's end. Errors with [`Lack::Lost`] if it had gone before.
    pub(super) fn leave(self, network: &Network) -> Result<(), Error> {
        self.keeper.map_or(Ok(()), Keeper::end).map_err(Error::network(network))
    }

    /// The program that carries its packets.
    pub(super) fn program(&self) -> Option<&'static str> {
        self.keeper.as_ref().map(Keeper::program)
    }
}

fn enter_private(private: &Private) -> Result<Entered, Lack> {
    let program = Program::find(private)?;
    program::open_tun()?;
    let host = outbound_address();
    let (keeper, namespace) = Keeper::start(&program)?;
    join(namespace.as_fd())?;
    Ok(Entered { keeper: Some(keeper), forwarder: Some(program::FORWARDER.into()), host })
}

fn join_path(path: &Path) -> Result<(), Lack> {
    match rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(namespace) => join(namespace.as_fd()),
        // /proc/PID/ns/net of a process that has more power than this one
        Err(Errno::ACCESS | Errno::PERM) => Err(Lack::Foreign),
        Err(errno) => Err(Lack::Open(errno.into())),
    }
}

fn join(namespace: BorrowedFd<'_>) -> Result<(), Lack> {
    namespace::enter(Namespace::Net, namespace).map_err(|error| {
        match error.errno().map(Errno::from_raw_os_error) {
            Some(Errno::PERM) => Lack::Foreign,
            Some(Errno::INVAL) => Lack::NoNamespace,
            _ => Lack::Kernel(error),
        }
    })
}

/// The address with which this machine appears to others: that of the way to an address nobody has (RFC 5737). Nothing
/// is sent. `None`: there is no way out.
fn outbound_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
