//! Trials: each thing that a build may need of the kernel, asked for in a child of its own, which ends with the errno.
//!
//! To add one: a word in `rbuild_userns::host::Request`, its causes beside it, and a row here, in [`OUTSIDE`] or in
//! [`INSIDE`]. `info` and `doctor` show what the rows come to: see `crate::runtime::Examination`.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rbuild_userns::host::Request;
use rbuild_userns::mount::{self, Attributes, Tree};
use rbuild_userns::namespace::{self, Namespace, unshare};
use rbuild_userns::process::{self, Ended};
use rbuild_userns::seccomp;
use rustix::io::Errno;

use super::{BROKEN, Error};
use crate::runtime;
use crate::runtime::wire::{Attempt, Channel, Reply, in_words};

type Trial = fn(&Path) -> Result<(), Error>;

/// Tried as the user, before there is a sandbox. Each gets an empty directory of the store.
const OUTSIDE: [(Request, Trial); 4] = [
    (Request::UserNamespace, |_| Ok(unshare(&[Namespace::User])?)),
    (Request::MountInside, mount_inside),
    (Request::Cgroup, |_| Ok(runtime::try_control_group().map_err(runtime::Error::from)?)),
    (Request::Reflink, share_blocks),
];

/// Tried where steps are made, as root of the sandbox.
const INSIDE: [(Request, Trial); 4] = [
    (Request::Fuse, open_fuse),
    (Request::Proc, new_proc),
    (Request::NetworkNamespace, make_network),
    (Request::SeccompNotify, |_| Ok(seccomp::try_listener()?)),
];

/// The hidden verb's other use. Returns an exit code.
pub(super) fn run(control: &Channel) -> i32 {
    let reply = match control.receive::<PathBuf>() {
        Ok(Some(dir)) => attempt_all(&OUTSIDE, &dir),
        // the coordinator thought better of it
        Ok(None) => return 0,
        Err(error) => Err(error.into()),
    };
    let reply = reply.map_or_else(|error| Reply::Refused(in_words(&error)), Reply::Tried);
    if control.send(&reply, &[]).is_ok() { 0 } else { BROKEN }
}

/// The trials of a running sandbox.
pub(super) fn inside() -> Result<Vec<Attempt>, Error> {
    attempt_all(&INSIDE, Path::new("/"))
}

fn attempt_all(trials: &[(Request, Trial)], dir: &Path) -> Result<Vec<Attempt>, Error> {
    trials.iter().map(|(request, trial)| attempt(*request, *trial, dir)).collect()
}

fn attempt(request: Request, trial: Trial, dir: &Path) -> Result<Attempt, Error> {
    let refused = Errno::PERM.raw_os_error();
    let child = process::fork(|| match trial(dir) {
        Ok(()) => 0,
        Err(error) => error.errno().unwrap_or(refused),
    })?;
    let errno = match child.wait()? {
        Ended::Code(0) => None,
        Ended::Code(errno) => Some(errno),
        // a filter may kill who asks
        Ended::Signal(_) => Some(refused),
    };
    Ok(Attempt { request, errno })
}

fn new_proc(_: &Path) -> Result<(), Error> {
    Tree::new("proc", &[], Attributes::empty())?;
    Ok(())
}

/// A namespace may be made and be worth nothing, where a security module takes its capabilities.
fn mount_inside(_: &Path) -> Result<(), Error> {
    unshare(&[Namespace::User, Namespace::Mount])?;
    mount::make_all_private()?;
    Tree::new("tmpfs", &[], Attributes::empty())?;
    Ok(())
}

fn make_network(_: &Path) -> Result<(), Error> {
    unshare(&[Namespace::Net])?;
    Ok(namespace::bring_loopback_up()?)
}

fn open_fuse(_: &Path) -> Result<(), Error> {
    const FUSE: &str = "/dev/fuse";
    File::options().read(true).write(true).open(FUSE).map(drop).map_err(Error::file("open", FUSE))
}

fn share_blocks(dir: &Path) -> Result<(), Error> {
    let file = || tempfile::tempfile_in(dir).map_err(Error::file("create a file in", dir));
    let (mut from, to) = (file()?, file()?);
    from.write_all(&[1; 4096]).map_err(Error::file("write in", dir))?;
    rustix::fs::ioctl_ficlone(&to, &from).map_err(Error::file("clone a file in", dir))
}
