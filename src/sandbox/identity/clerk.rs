//! The clerk: a thread that answers the calls of one step, one after the other.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use rbuild_userns::caller;
use rbuild_userns::seccomp::notify::call::Call;
use rbuild_userns::seccomp::notify::{Answer, Listener, Waiting};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::Errno;
use super::execute::Executing;
use super::people::{Identity, People};
use super::view::View;
use crate::rootfs::{Inode, Owner, Ownership};
use crate::sandbox::Error;

/// A running clerk. It ends with the last process of its step; [`Clerk::end`] waits for that no longer.
pub struct Clerk {
    thread: JoinHandle<Result<(), Error>>,
    /// Readable once the clerk shall stop.
    stop: OwnedFd,
}

impl Clerk {
    /// Starts to answer what comes in at `listener`. `first`: whom the command begins as, within these capabilities.
    pub fn start(
        listener: OwnedFd,
        owners: Arc<dyn Ownership>,
        people: Arc<People>,
        first: Identity,
        bounding: u64,
    ) -> Result<Self, Error> {
        let stop =
            eventfd(0, EventfdFlags::CLOEXEC).map_err(Error::file("make an eventfd for", "the clerk"))?;
        let stopped = stop.try_clone().map_err(Error::file("copy an eventfd for", "the clerk"))?;
        let thread = std::thread::Builder::new().name("clerk's keeper".to_owned()).spawn(move || {
            // dropped by this thread, in whose table of descriptors they are
            let (listener, stopped) = (Listener::from_descriptor(listener), stopped);
            let serve = || {
                // It waits for answers of this same process, which serves the step's root.
                caller::leave_descriptors(&[listener.as_fd(), stopped.as_fd()])
                    .map_err(Error::file("leave the descriptors of", "the server"))?;
                let view = View::open().map_err(Error::file("open", "/proc"))?;
                let (elsewhere, executing) = (HashMap::new(), HashMap::new());
                listener.wake_in_turn();
                let mut desk =
                    Desk { view, owners, people, first: Some(first), bounding, elsewhere, executing };
                desk.serve(&listener, &stopped)
            };
            std::thread::scope(|scope| {
                let clerk = std::thread::Builder::new().name("clerk".to_owned()).spawn_scoped(scope, serve);
                let clerk = clerk.map_err(Error::file("start a thread for", "the clerk"))?;
                clerk.join().unwrap_or_else(|_| Err(Error::Refused("the clerk panicked".to_owned())))
            })
        });
        Ok(Self { thread: thread.map_err(Error::file("start a thread for", "the clerk"))?, stop })
    }

    /// Ends it. Its root and working directory, which keep the step's mounts busy, go with it.
    pub fn end(self) -> Result<(), Error> {
        rustix::io::write(&self.stop, &1_u64.to_ne_bytes()).map_err(Error::file("stop", "the clerk"))?;
        self.thread.join().unwrap_or_else(|_| Err(Error::Refused("the clerk panicked".to_owned())))
    }
}

/// What a clerk has before it.
pub(super) struct Desk {
    pub(super) view: View,
    pub(super) owners: Arc<dyn Ownership>,
    pub(super) people: Arc<People>,
    /// Until the command is executed, the step's own set-up passes unanswered.
    pub(super) first: Option<Identity>,
    /// The most capabilities that `execve` gives.
    pub(super) bounding: u64,
    /// Owners of files of other mounts.
    pub(super) elsewhere: HashMap<Inode, Owner>,
    /// Threads whose `execve` may yet fail.
    pub(super) executing: HashMap<i32, Executing>,
}

impl Desk {
    fn serve(&mut self, listener: &Listener, stop: &OwnedFd) -> Result<(), Error> {
        loop {
            let mut polled = [PollFd::new(listener, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
            match poll(&mut polled, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(Error::file("wait for", "system calls")(errno)),
            }
            let [calls, stop] = polled.map(|polled| polled.revents());
            if calls.contains(PollFlags::IN) {
                if let Some(waiting) = listener.receive()? {
                    let answer = self.answer(listener, &waiting);
                    listener.answer(&waiting, answer)?;
                }
            } else if !(calls.is_empty() && stop.is_empty()) {
                return Ok(());
            }
        }
    }

    fn answer(&mut self, listener: &Listener, waiting: &Waiting) -> Answer {
        let thread = waiting.thread;
        if self.first.is_some() {
            return match waiting.call {
                Call::Execute(file) => self.begin(thread, file),
                _ => Answer::Go,
            };
        }
        self.settle(thread);
        let still_waits = || listener.is_waiting(waiting);
        let answered = match waiting.call {
            Call::Status { file, into, form } => Ok(self.status(thread, file, into, form, &still_waits)),
            Call::ChangeOwner { file, user, group } => self.change_owner(thread, file, user, group),
            Call::MakeDevice { file, mode, device } => self.make_device(thread, file, mode, device),
            Call::Execute(file) => Ok(self.execute(thread, file)),
            Call::ChangeRoot => {
                self.view.roots_differ();
                Ok(Answer::Go)
            }
            Call::KeepCapabilities(keep) => self.keep_capabilities(thread, keep),
            Call::Id(kind, part) => Ok(self.id(thread, kind, part)),
            Call::AllIds(kind, into) => self.all_ids(thread, kind, into, &still_waits),
            Call::ChangeIds(kind, change) => self.change_ids(thread, kind, change),
            Call::Groups(room, into) => self.groups(thread, room, into, &still_waits),
            Call::ChangeGroups(count, from) => self.change_groups(thread, count, from),
            Call::Capabilities(header, data) => self.capabilities(thread, header, data, &still_waits),
            Call::Limit(into) => Self::limit(thread, into, &still_waits),
            Call::ChangeCapabilities(header, data) => self.change_capabilities(thread, header, data),
        };
        answered.unwrap_or_else(|errno| Answer::Errno(errno.raw_os_error()))
    }
}
