//! The clerks: threads that answer the calls of one step.
//!
//! One is enough, as long as what it asks the kernel is answered by others than the step. But a step may serve a file system
//! itself (FUSE), and a look-up in it waits for a process that may wait for its own answer here. So the keeper watches, and
//! where every clerk has been busy with one call for a while and somebody waits, it sends for another.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};
use std::time::Duration;

use rbuild_userns::caller as calling;
use rbuild_userns::seccomp::notify::call::Call;
use rbuild_userns::seccomp::notify::{Answer, Listener, Waiting};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::Errno;
use super::books::Books;
use super::caller::Caller;
use super::people::{Identity, People};
use super::recorded::Recorded;
use super::view::View;
use super::watch::{Seen, Watch};
use super::young::Young;
use crate::sandbox::Error;

/// How long a call may take until it is looked whether others wait.
const WHILE: Duration = Duration::from_millis(100);
/// More are of no use: so many of the step's threads would have to wait for each other.
const MOST: usize = 1024;

/// The running clerks of a step. They end with its last process; [`Clerk::end`] waits for that no longer.
pub struct Clerk {
    keeper: JoinHandle<Result<(), Error>>,
    /// Readable once they shall stop.
    stop: OwnedFd,
}

impl Clerk {
    /// Starts to answer what comes in at `listener`. `first`: whom the command begins as.
    pub fn start(
        listener: OwnedFd,
        recorded: Recorded,
        people: Arc<People>,
        first: Identity,
    ) -> Result<Self, Error> {
        let stop =
            eventfd(0, EventfdFlags::CLOEXEC).map_err(Error::file("make an eventfd for", "the clerk"))?;
        let stopped = stop.try_clone().map_err(Error::file("copy an eventfd for", "the clerk"))?;
        let books = Books::new(recorded, people, first);
        let keeper = Builder::new().name("clerk's keeper".to_owned()).spawn(move || {
            // dropped by this thread, in whose table of descriptors they are
            let office = Office {
                listener: Listener::from_descriptor(listener),
                stopped,
                books,
                bell: Mutex::new(()),
                watch: Watch::default(),
            };
            office.listener.wake_in_turn();
            std::thread::scope(|scope| office.keep(scope))
        });
        Ok(Self { keeper: keeper.map_err(Error::file("start a thread for", "the clerk"))?, stop })
    }

    /// Ends them. Their roots and working directories, which keep the step's mounts busy, go with them.
    pub fn end(self) -> Result<(), Error> {
        rustix::io::write(&self.stop, &1_u64.to_ne_bytes()).map_err(Error::file("stop", "the clerk"))?;
        self.keeper.join().unwrap_or_else(|_| Err(Error::Refused("the clerk panicked".to_owned())))
    }
}

/// What the clerks of a step share.
struct Office {
    listener: Listener,
    stopped: OwnedFd,
    books: Books,
    /// Held by the one who waits for the next call: what wakes all would be taken by one, and the others wait for ever.
    bell: Mutex<()>,
    watch: Watch,
}

type Served<'scope> = ScopedJoinHandle<'scope, Result<(), Error>>;

impl Office {
    /// Has as many clerks as are needed, until all have gone.
    fn keep<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Result<(), Error> {
        let mut clerks = vec![self.send_for_one(scope)?];
        loop {
            match self.watch.look(WHILE) {
                Seen::Gone => break,
                Seen::AllBusy if clerks.len() < MOST && self.somebody_waits()? => {
                    clerks.push(self.send_for_one(scope)?);
                }
                Seen::AllBusy | Seen::AllWell => {}
            }
        }
        clerks.into_iter().try_for_each(|clerk| {
            clerk.join().unwrap_or_else(|_| Err(Error::Refused("the clerk panicked".to_owned())))
        })
    }

    fn send_for_one<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Result<Served<'scope>, Error> {
        self.watch.comes();
        let work = || {
            let _going = self.watch.going();
            self.work()
        };
        let clerk = Builder::new().name("clerk".to_owned()).spawn_scoped(scope, work);
        clerk.map_err(Error::file("start a thread for", "the clerk"))
    }

    fn somebody_waits(&self) -> Result<bool, Error> {
        let mut polled = [PollFd::new(&self.listener, PollFlags::IN)];
        match poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(_) => Ok(polled[0].revents().contains(PollFlags::IN)),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(Error::file("look for", "system calls")(errno)),
        }
    }

    fn work(&self) -> Result<(), Error> {
        // It waits for answers of this same process, which serves the step's root.
        calling::leave_descriptors(&[self.listener.as_fd(), self.stopped.as_fd()])
            .map_err(Error::file("leave the descriptors of", "the server"))?;
        let view = View::open(Arc::clone(&self.books.roots_differ)).map_err(Error::file("open", "/proc"))?;
        let mut desk = Desk { view, books: &self.books, young: Young::default() };
        while let Some(waiting) = self.next()? {
            self.watch.begins();
            let answer = desk.answer(&Caller::new(&self.listener, &waiting), waiting.call);
            let answered = self.listener.answer(&waiting, answer);
            self.watch.ends();
            answered?;
        }
        Ok(())
    }

    /// The next call; `None` when there will be none.
    fn next(&self) -> Result<Option<Waiting>, Error> {
        let _bell = locked(&self.bell);
        loop {
            let mut polled =
                [PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&self.stopped, PollFlags::IN)];
            match poll(&mut polled, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(Error::file("wait for", "system calls")(errno)),
            }
            let [calls, stop] = polled.map(|polled| polled.revents());
            if calls.contains(PollFlags::IN) {
                if let Some(waiting) = self.listener.receive()? {
                    return Ok(Some(waiting));
                }
            } else if !(calls.is_empty() && stop.is_empty()) {
                return Ok(None);
            }
        }
    }
}

/// What holds of a thing of the step is true however a thread that had it ended.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a clerk has before it.
pub(super) struct Desk<'a> {
    pub(super) view: View,
    pub(super) books: &'a Books,
    /// Inodes whose numbers are not to be given again yet.
    pub(super) young: Young,
}

impl Desk<'_> {
    fn answer(&mut self, caller: &Caller<'_>, call: Call) -> Answer {
        if self.books.has_begun() {
            return self.answered(caller, call).unwrap_or_else(|errno| Answer::Errno(errno.raw_os_error()));
        }
        match (call, self.books.first(call)) {
            (Call::Execute(file), Some(first)) => self.begin(caller, first, file),
            _ => Answer::Go,
        }
    }

    fn answered(&mut self, caller: &Caller<'_>, call: Call) -> Result<Answer, Errno> {
        self.settle(caller)?;
        self.young.let_go();
        match call {
            Call::Status { file, into, form } => Ok(self.status(caller, file, into, form)),
            Call::ChangeOwner { file, user, group } => self.change_owner(caller, file, user, group),
            Call::MakeDevice { file, mode, device } => self.make_device(caller, file, mode, device),
            Call::Create { file, new } => self.create(caller, file, new),
            Call::Bind { socket, address, size } => self.bind(caller, socket, address, size),
            Call::Execute(file) => Ok(self.execute(caller, file)),
            Call::ChangeRoot => Ok(self.roots_differ()),
            Call::Copy(arguments) => Ok(self.copy(caller, arguments)),
            Call::Privilege(asked) => self.privilege(caller, asked),
            Call::Id(kind, part) => Ok(self.id(caller, kind, part)),
            Call::AllIds(kind, into) => self.all_ids(caller, kind, into),
            Call::ChangeIds(kind, change) => self.change_ids(caller, kind, change),
            Call::Groups(room, into) => self.groups(caller, room, into),
            Call::ChangeGroups(count, from) => self.change_groups(caller, count, from),
            Call::Capabilities(header, data) => self.capabilities(caller, header, data),
            Call::ChangeCapabilities(header, data) => self.change_capabilities(caller, header, data),
            Call::Limit { into, unlimited } => Self::limit(caller, into, unlimited),
            Call::Peer { socket, into, length } => self.peer(caller, socket, into, length),
            Call::Sockets(asked, arguments) => self.sockets(caller, asked, arguments),
            Call::Signal { to, number } => self.signal(caller, to, number),
            Call::Obsolete => Err(Errno::NOSYS),
        }
    }
}
