//! Waiting for a command, and ending it before its time.

use rbuild_userns::process::{Child, Ended};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use super::Error;
use crate::runtime::wire::{Channel, Interrupt};

/// How long a command that handles SIGTERM may take to end.
const GRACE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// It ended by itself.
    Ended(Ended),
    /// The coordinator had it stopped.
    Stopped,
}

/// Waits until the command has ended, or the coordinator wants it to, or closes the connection.
pub(super) fn until_end(command: &Child, connection: &Channel) -> Result<Watched, Error> {
    loop {
        let [ended, word] =
            ready([PollFd::new(command, PollFlags::IN), PollFd::new(connection, PollFlags::IN)], None)?;
        if word {
            match connection.receive()? {
                Some(Interrupt::Stop) | None => return stop(command),
            }
        }
        if ended {
            return Ok(Watched::Ended(command.wait()?));
        }
    }
}

/// The command is the first process of its pid namespace: the kernel shields it from every signal that it does not
/// handle, SIGKILL excepted, and when it is gone kills all the others and waits for them.
fn stop(command: &Child) -> Result<Watched, Error> {
    if command.handles(Signal::TERM)? {
        command.signal(Signal::TERM)?;
        ready([PollFd::new(command, PollFlags::IN)], Some(&GRACE))?;
    }
    command.signal(Signal::KILL)?;
    command.wait()?;
    Ok(Watched::Stopped)
}

fn ready<const N: usize>(
    mut polled: [PollFd<'_>; N],
    timeout: Option<&Timespec>,
) -> Result<[bool; N], Error> {
    match rustix::event::poll(&mut polled, timeout) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(polled.map(|one| !one.revents().is_empty())),
        Err(errno) => Err(Error::file("wait for", "the command")(errno)),
    }
}
