//! The programs that give a network namespace a way out: pasta (package passt), else slirp4netns.
//!
//! Both show the namespace the same picture, whatever the host's own network looks like, so that a step does not depend
//! on it: an interface `eth0` with the address 10.0.2.100, a gateway, and a resolver at 10.0.2.3 that asks the host's
//! own. Neither lets the namespace reach the host's loopback, and neither opens a port of the host.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, Mode, OFlags, access};
use rustix::io::Errno;

use super::Lack;
use crate::runtime::{Carrier, Private};

const ADDRESS: &str = "10.0.2.100";
const GATEWAY: &str = "10.0.2.2";
/// Where questions for names are carried to the host's resolver.
pub(super) const FORWARDER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
const INTERFACE: &str = "eth0";

/// How a program says that the network is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// It goes on in the background, and what was started exits with code 0.
    ByExiting,
    /// It writes a byte into the descriptor of this number.
    ByWriting,
}

/// A program that is installed.
#[derive(Debug)]
pub(super) struct Program {
    pub kind: Carrier,
    pub path: PathBuf,
}

impl Program {
    /// The one that is asked for, or the better one that is there.
    pub(super) fn find(private: &Private) -> Result<Self, Lack> {
        let find = |kind: Carrier| {
            let candidates = private.path.iter().map(|dir| dir.join(kind.name()));
            candidates.into_iter().find(|path| is_program(path)).map(|path| Self { kind, path })
        };
        let (found, absent, package) = match private.carrier {
            None => (
                find(Carrier::Pasta).or_else(|| find(Carrier::Slirp4netns)),
                "neither pasta nor slirp4netns is",
                "passt or slirp4netns",
            ),
            Some(Carrier::Pasta) => (find(Carrier::Pasta), "pasta is not", "passt"),
            Some(Carrier::Slirp4netns) => (find(Carrier::Slirp4netns), "slirp4netns is not", "slirp4netns"),
        };
        found.ok_or_else(|| {
            let path: Vec<_> = private.path.iter().map(|dir| dir.display().to_string()).collect();
            Lack::Program { absent, path: path.join(":"), package }
        })
    }

    pub(super) fn says_ready(&self) -> Says {
        match self.kind {
            Carrier::Pasta => Says::ByExiting,
            Carrier::Slirp4netns => Says::ByWriting,
        }
    }

    /// The command line that attaches it to the network namespace at a path.
    pub(super) fn command_line(&self, namespace: &str, ready: i32) -> Vec<String> {
        let (forwarder, ready) = (FORWARDER.to_string(), ready.to_string());
        let words: &[&str] = match self.kind {
            Carrier::Pasta => &[
                "pasta",
                "--quiet",
                "--config-net",
                // no address of the namespace leads to the host's loopback, and no port in either direction is open
                "--no-map-gw",
                "--tcp-ports",
                "none",
                "--udp-ports",
                "none",
                "--tcp-ns",
                "none",
                "--udp-ns",
                "none",
                "--ns-ifname",
                INTERFACE,
                "--address",
                ADDRESS,
                "--netmask",
                "24",
                "--gateway",
                GATEWAY,
                "--dns-forward",
                &forwarder,
                // it would change to nobody, who may not enter the namespace; its own sandbox it enters all the same
                "--runas",
                "0:0",
                "--no-netns-quit",
                "--netns",
                namespace,
            ],
            Carrier::Slirp4netns => &[
                "slirp4netns",
                "--configure",
                "--mtu=65520",
                "--disable-host-loopback",
                "--enable-sandbox",
                "--enable-seccomp",
                "--ready-fd",
                &ready,
                "--netns-type=path",
                namespace,
                INTERFACE,
            ],
        };
        words.iter().map(|&word| word.to_owned()).collect()
    }
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// Both make an interface of this device; neither says clearly that it is missing.
pub(super) fn open_tun() -> Result<(), Lack> {
    match rustix::fs::open("/dev/net/tun", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        Ok(_) => Ok(()),
        Err(source) => {
            let next = match source {
                Errno::NOENT | Errno::NOTDIR => {
                    "as root: modprobe tun; in a container: have its engine pass the device in"
                }
                Errno::NODEV | Errno::NXIO => "as root: modprobe tun",
                Errno::ACCESS => "as root: chmod 0666 /dev/net/tun",
                _ => "--network host and none need no such device",
            };
            Err(Lack::Tun { source, next })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    /// What is installed, what is asked for, and what is taken.
    type Row<'a> = (&'a [&'a str], Option<Carrier>, Result<Carrier, &'a str>);

    #[test]
    fn the_better_program_that_is_there_is_taken() {
        let (pasta, slirp) = (Carrier::Pasta, Carrier::Slirp4netns);
        let rows: &[Row<'_>] = &[
            (&["pasta", "slirp4netns"], None, Ok(pasta)),
            (&["slirp4netns"], None, Ok(slirp)),
            (&["pasta", "slirp4netns"], Some(slirp), Ok(slirp)),
            (&["slirp4netns"], Some(pasta), Err("pasta is not in PATH (")),
            (&["pasta"], Some(slirp), Err("install the package slirp4netns")),
            (&[], None, Err("install the package passt or slirp4netns")),
        ];
        for (installed, carrier, want) in rows {
            let dir = tempfile::tempdir().unwrap();
            for name in *installed {
                fs::write(dir.path().join(name), "").unwrap();
                fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
            }
            // neither a directory nor a file that cannot be executed is a program
            let other = tempfile::tempdir().unwrap();
            fs::create_dir(other.path().join("pasta")).unwrap();
            fs::write(other.path().join("slirp4netns"), "").unwrap();
            let path = vec![other.path().to_owned(), dir.path().to_owned()];
            let found = Program::find(&Private { carrier: *carrier, path }).map(|program| program.kind);
            match (found, want) {
                (Ok(found), Ok(want)) => assert_eq!(found, *want, "{installed:?} {carrier:?}"),
                (Err(lack), Err(want)) => {
                    assert!(lack.to_string().contains(want), "{installed:?} {carrier:?}: {lack}");
                }
                (found, _) => panic!("{installed:?} {carrier:?}: {found:?}"),
            }
        }
    }
}
