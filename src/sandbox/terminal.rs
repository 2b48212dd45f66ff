//! The terminal of a command: one of its own pseudo terminals, so that its programs find it in their `/dev/pts`. Whoever
//! types has the other end of it, and no way into the user's own.

use std::os::fd::{AsFd, OwnedFd};

use rbuild_userns::spawn;
use rustix::fs::{Mode, OFlags, Uid};
use rustix::pty::OpenptFlags;

use super::Error;
use super::held::KeptBy;
use crate::runtime::{Job, WindowSize};

/// Where pseudo terminals come from, in a root that was entered.
const MULTIPLEXER: &str = "/dev/pts/ptmx";

/// Makes a terminal that is the standard streams of this process, which leads its session, and that controls it. Returns its
/// outer end.
pub(super) fn take(size: WindowSize, job: &Job, owners: KeptBy) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open(MULTIPLEXER, flags, Mode::empty()).map_err(failed("open"))?;
    rustix::pty::unlockpt(&master).map_err(failed("unlock a terminal of"))?;
    // by the descriptor: a name might lead elsewhere
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = rustix::pty::ioctl_tiocgptpeer(&master, flags).map_err(failed("open a terminal of"))?;
    size.set(&master).map_err(failed("set the size of a terminal of"))?;
    if let KeptBy::Kernel = owners {
        let user = Some(Uid::from_raw(job.process.uid));
        rustix::fs::fchown(&terminal, user, None).map_err(failed("give away a terminal of"))?;
    }
    rustix::process::ioctl_tiocsctty(&terminal).map_err(failed("be controlled by a terminal of"))?;
    spawn::set_stdio(terminal.as_fd(), terminal.as_fd(), terminal.as_fd())?;
    Ok(master)
}

fn failed(verb: &'static str) -> impl FnOnce(rustix::io::Errno) -> Error {
    Error::file(verb, MULTIPLEXER)
}
