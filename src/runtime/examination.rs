//! What this machine can do for RUN: every capability really tried, in children, and what stands in the way of the rest.

use std::path::Path;
use std::process::{Command, Stdio};

use rbuild_userns::host::{self, Cause, Host, Request};
use rbuild_userns::idmap::{self, Choice, Mode};
use std::os::fd::AsFd;

use super::wire::{Attempt, Channel, Reply, in_words};
use super::{Cancel, Error, Groups, Options, Owners, Probe, Probed, RootfsChoice, Sandbox, TRIAL, VERB};
use crate::fuse::{NoRings, Transport};

/// Something of the machine that RUN makes use of, and what came of trying it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// A stable word for it.
    pub name: &'static str,
    /// What is lost without it.
    pub costs: &'static str,
    /// `None`: it works.
    pub missing: Option<Missing>,
}

/// What is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// In words.
    pub why: String,
    /// The command or setting that mends it; `None` if there is nothing to mend.
    pub remedy: Option<String>,
}

/// How RUN would work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// How ids are mapped.
    pub mode: Mode,
    /// What mounts the root.
    pub driver: RootfsChoice,
}

impl Taken {
    /// Whose the files of a RUN can be.
    pub fn owners(&self) -> Owners {
        if self.mode == Mode::Single { Owners::Recorded } else { Owners::Mapped }
    }
}

/// All that was found.
#[derive(Debug)]
pub struct Examination {
    /// In the order in which a build needs them.
    pub capabilities: Vec<Capability>,
    /// How ids are mapped, and why not by the ways before.
    pub plan: Result<idmap::Plan, String>,
    /// The drivers in the order in which they are preferred here, or why there is no sandbox to try them in.
    pub drivers: Result<Vec<Probed>, String>,
    /// How the kernel's FUSE requests come; `None` without FUSE.
    pub transport: Option<Transport>,
    /// What RUN gets; `None`: it does not work here.
    pub taken: Option<Taken>,
}

impl Examination {
    /// Tries everything. `live` is an empty directory of the store.
    ///
    /// Errors only where the trials themselves cannot be made; whatever is missing is a finding.
    pub fn of(options: &Options, rootfs: RootfsChoice, live: &Path, cancel: &Cancel) -> Result<Self, Error> {
        let host = Host::read();
        let outside = outside(live)?;
        let plan = idmap::plan(options.idmap).map_err(|error| in_words(&error));
        let (inside, drivers, transport, served) = match within(options, live, cancel) {
            Ok((inside, probe)) => {
                let served =
                    probe.transport.map(|_| [rings(probe.no_rings), companions(probe.no_companions)]);
                (inside, Ok(probe.drivers), probe.transport, served)
            }
            Err(why) => (Vec::new(), Err(why), None, None),
        };
        let mut capabilities = vec![user_namespace(&outside, &host)];
        capabilities.extend(Mode::ORDER.map(|mode| id_map(mode, cancel)));
        capabilities.extend(
            inside.iter().filter(|attempt| attempt.request == Request::Fuse).map(|one| row(*one, &host)),
        );
        let mode = plan.as_ref().ok().map(|plan| plan.mode);
        capabilities.extend(drivers.iter().flatten().map(|probed| driver(probed, mode)));
        capabilities.extend(served.into_iter().flatten());
        let rest = inside.iter().chain(&outside).filter(|attempt| {
            !matches!(attempt.request, Request::UserNamespace | Request::MountInside | Request::Fuse)
        });
        capabilities.extend(rest.map(|attempt| row(*attempt, &host)));
        let taken = plan.as_ref().ok().zip(drivers.as_ref().ok()).and_then(|(plan, drivers)| {
            let fits = |driver| rootfs == RootfsChoice::Auto || rootfs == driver;
            let driver = drivers.iter().find(|(driver, works)| fits(*driver) && works.is_ok())?.0;
            Some(Taken { mode: plan.mode, driver })
        });
        Ok(Self { capabilities, plan, drivers, transport, taken })
    }

    /// The one thing missing that would lift RUN most: from not at all, from copying every root, from
    /// one id, from a slower driver, from the outer `/proc`. `None`: nothing would.
    pub fn lift(&self) -> Option<&Capability> {
        let wanted: &[&str] = match self.taken.as_ref().map(|taken| (taken.owners(), taken.driver)) {
            None => &["user-namespace", "idmap-single", "fuse", "rootfs-fuse", "rootfs-kernel"],
            Some((Owners::Recorded, RootfsChoice::Plain)) => {
                &["fuse", "rootfs-fuse", "idmap-newuidmap", "idmap-helper"]
            }
            Some((Owners::Recorded, _)) => &["idmap-newuidmap", "idmap-helper"],
            Some((Owners::Mapped, RootfsChoice::Plain)) => &["fuse", "rootfs-fuse", "rootfs-kernel"],
            Some((Owners::Mapped, RootfsChoice::Kernel)) => &["proc"],
            Some((Owners::Mapped, _)) => &["fuse", "rootfs-kernel"],
        };
        let missing = |name: &&&str| {
            self.capabilities
                .iter()
                .find(|one| one.name == **name && one.missing.as_ref().is_some_and(|it| it.remedy.is_some()))
        };
        wanted.iter().find_map(|name| missing(&name))
    }
}

/// What does not need a sandbox, tried by this program started again: children are made by a process with one thread.
fn outside(live: &Path) -> Result<Vec<Attempt>, Error> {
    let (control, theirs) = Channel::pair()?;
    let mut process = Command::new("/proc/self/exe")
        .args([VERB, TRIAL])
        .env_clear()
        .stdin(Stdio::from(theirs.as_fd().try_clone_to_owned()?))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::Spawn)?;
    drop(theirs);
    control.send(&live, &[])?;
    let reply = control.receive::<Reply>();
    let status = process.wait()?;
    match reply? {
        Some(Reply::Tried(attempts)) => Ok(attempts),
        Some(Reply::Refused(why)) => Err(Error::Refused(why)),
        _ => Err(Error::Protocol(format!("no answer from the trials ({status})"))),
    }
}

type Within = (Vec<Attempt>, Probe);

/// What a sandbox can do, from within it.
fn within(options: &Options, live: &Path, cancel: &Cancel) -> Result<Within, String> {
    let attempt = || {
        let sandbox = Sandbox::start(options, cancel.clone())?;
        let found = (sandbox.attempts()?, sandbox.probe(live)?);
        sandbox.close()?;
        Ok::<_, Error>(found)
    };
    attempt().map_err(|error| in_words(&error))
}

fn user_namespace(outside: &[Attempt], host: &Host) -> Capability {
    let tried = [Request::UserNamespace, Request::MountInside];
    let refused = outside.iter().find(|attempt| tried.contains(&attempt.request) && attempt.errno.is_some());
    let attempt = refused.copied().unwrap_or(Attempt { request: Request::UserNamespace, errno: None });
    row(attempt, host)
}

/// A sandbox is really started with this mode.
fn id_map(mode: Mode, cancel: &Cancel) -> Capability {
    let (name, costs) = match mode {
        Mode::Root => ("idmap-root", "RUN needs a user namespace"),
        Mode::Helper => ("idmap-helper", "ids are mapped by newuidmap, or not at all"),
        Mode::Newuidmap => ("idmap-newuidmap", "ids are mapped by rbuild-idmap, or not at all"),
        Mode::Single => ("idmap-single", "RUN needs one of the other ways"),
    };
    let start = Sandbox::start(
        &Options { idmap: Choice::Force(mode), groups: Groups::Dropped, maps: (None, None) },
        cancel.clone(),
    )
    .and_then(Sandbox::close);
    let missing = start.err().map(|error| match error {
        Error::Identity(idmap::Error::Unavailable { why, .. }) => said(&why),
        other => Missing { why: in_words(&other), remedy: None },
    });
    Capability { name, costs, missing }
}

/// A sentence that ends with the next thing to try.
fn said(text: &str) -> Missing {
    match text.split_once("; ") {
        Some((why, remedy)) => Missing { why: why.to_owned(), remedy: Some(remedy.to_owned()) },
        None => Missing { why: text.to_owned(), remedy: None },
    }
}

fn driver((driver, works): &Probed, mode: Option<Mode>) -> Capability {
    let (name, costs) = match driver {
        RootfsChoice::Kernel => ("rootfs-kernel", "writes of RUN go through rbuild's own server"),
        RootfsChoice::Fuse => {
            ("rootfs-fuse", "RUN works on a copy of the image's files where overlayfs cannot be mounted")
        }
        RootfsChoice::Plain => ("rootfs-plain", "RUN needs /dev/fuse"),
        RootfsChoice::Auto => unreachable!("a choice, no driver"),
    };
    Capability { name, costs, missing: works.as_ref().err().map(|why| remedied(*driver, mode, why)) }
}

fn remedied(driver: RootfsChoice, mode: Option<Mode>, why: &str) -> Missing {
    let remedy = match (driver, mode) {
        // Whatever the store lies on: it waits for a second id.
        (RootfsChoice::Kernel, Some(Mode::Single)) => Some("what mends idmap-newuidmap"),
        (RootfsChoice::Kernel, _) => {
            Some("put the store on ext4, xfs or btrfs: --root DIR; the kernel has to be 5.11 or newer")
        }
        _ => None,
    };
    Missing { why: why.to_owned(), remedy: remedy.map(str::to_owned) }
}

/// Whether FUSE requests come through rings, for which root has to set a parameter.
fn rings(no_rings: Option<NoRings>) -> Capability {
    let missing = no_rings.map(|why| {
        let (why, remedy) = match why {
            NoRings::NotOffered => match std::fs::read_to_string(ENABLE_URING).as_deref().map(str::trim) {
                Ok("Y") => ("the kernel does not offer them for this mount".to_owned(), None),
                Ok(_) => (
                    format!("{ENABLE_URING} says N"),
                    Some(format!("as root: echo Y >{ENABLE_URING}; in /etc/modprobe.d: options fuse enable_uring=Y")),
                ),
                Err(_) => (
                    format!("this kernel has no {ENABLE_URING}"),
                    Some("Linux 6.14 or later with CONFIG_FUSE_IO_URING".to_owned()),
                ),
            },
            NoRings::TooManyCpus(cpus) => (format!("{cpus} CPUs would each take a thread and memory"), None),
            NoRings::Uncounted => ("sysfs does not say how many CPUs there can be".to_owned(), None),
            NoRings::Refused(why) => (
                format!("io_uring is refused: {why}"),
                Some("as root: sysctl kernel.io_uring_disabled=0; in a container: a seccomp profile that lets io_uring pass".to_owned()),
            ),
        };
        Missing { why, remedy }
    });
    Capability {
        name: "fuse-rings",
        costs: "each look at a file's name or attributes through FUSE takes longer",
        missing,
    }
}

/// Whether FUSE requests that come one after the other are answered on the CPU of whoever asks.
fn companions(no_companions: Option<String>) -> Capability {
    Capability {
        name: "fuse-companions",
        costs: "a command that asks for one file after the other wakes another CPU each time",
        missing: no_companions.map(|why| Missing { why, remedy: None }),
    }
}

/// What root sets.
const ENABLE_URING: &str = "/sys/module/fuse/parameters/enable_uring";

fn row(attempt: Attempt, host: &Host) -> Capability {
    let (name, costs) = match attempt.request {
        Request::UserNamespace | Request::MountInside => ("user-namespace", "RUN works as root alone"),
        Request::Proc => ("proc", "RUN sees the processes around it, as far as they are its user's"),
        Request::NetworkNamespace => ("network-namespace", "RUN has the host's network alone"),
        Request::SeccompNotify => ("seccomp-notify", "RUN needs a range of ids: no owner can be recorded"),
        Request::Fuse => ("fuse", "RUN works on a copy of the image's files"),
        Request::Cgroup => ("cgroup", "no limits of memory and processors for RUN"),
        Request::Reflink => ("reflink", "copies within the store take room and time"),
    };
    let missing = attempt.errno.map(|errno| {
        let Cause { why, remedy } = host::judge(attempt.request, errno, host);
        Missing { why, remedy: Some(remedy) }
    });
    Capability { name, costs, missing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_lifts_the_mode() {
        let ids = ["user-namespace", "idmap-root", "idmap-helper", "idmap-newuidmap", "idmap-single"];
        let names = [&ids[..], &["fuse", "rootfs-kernel", "rootfs-fuse", "proc", "cgroup"]].concat();
        let taken = |mode, driver| Some(Taken { mode, driver });
        for (row, taken, missing, want) in [
            (
                "all is well",
                taken(Mode::Newuidmap, RootfsChoice::Kernel),
                &["idmap-root", "idmap-helper"][..],
                None,
            ),
            ("cgroups lift no mode", taken(Mode::Root, RootfsChoice::Kernel), &["cgroup"], None),
            ("masked", taken(Mode::Root, RootfsChoice::Kernel), &["proc", "cgroup"], Some("proc")),
            (
                "one id",
                taken(Mode::Single, RootfsChoice::Fuse),
                &["idmap-helper", "idmap-newuidmap"],
                Some("idmap-newuidmap"),
            ),
            (
                "an old kernel",
                taken(Mode::Helper, RootfsChoice::Fuse),
                &["rootfs-kernel", "proc"],
                Some("rootfs-kernel"),
            ),
            ("a pod", None, &ids, Some("user-namespace")),
            (
                "no device",
                taken(Mode::Single, RootfsChoice::Plain),
                &["fuse", "idmap-newuidmap"],
                Some("fuse"),
            ),
            (
                "a copy was asked for where one id is mapped",
                taken(Mode::Single, RootfsChoice::Plain),
                &["rootfs-kernel", "idmap-newuidmap"],
                Some("idmap-newuidmap"),
            ),
            ("no driver at all", None, &["fuse", "rootfs-kernel", "rootfs-fuse"], Some("fuse")),
        ] {
            let capability = |name: &&'static str| Capability {
                name,
                costs: "",
                missing: missing.contains(name).then(|| said("it is not there; put it there")),
            };
            let found = Examination {
                capabilities: names.iter().map(capability).collect(),
                plan: Err(String::new()),
                drivers: Err(String::new()),
                transport: None,
                taken,
            };
            assert_eq!(found.lift().map(|one| one.name), want, "{row}");
        }
    }
}
