//! Init: the first process of the sandbox. It stays small and single-threaded, because its end is everybody's end.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::PathBuf;

use rbuild_userns::mount;
use rbuild_userns::process::{self, Child, Ended};
use rustix::event::{PollFd, PollFlags};

use super::{BROKEN, Error, ROOTS, SCRATCH, server, supervisor, sweep};
use crate::runtime::wire::{Birth, Channel, Connect, in_words};

struct Init {
    control: Channel,
    server: Child,
    /// Where the server takes its connections from.
    to_server: Channel,
    running: Vec<Running>,
    /// What to empty at the end.
    shelves: BTreeSet<PathBuf>,
}

/// A connection being served.
struct Running {
    supervisor: Child,
    /// What the coordinator would have cleared away.
    live: Option<PathBuf>,
}

/// Returns the exit code of the sandbox.
pub(super) fn run(control: Channel) -> i32 {
    let mut init = match start(control) {
        Ok(init) => init,
        Err(error) => {
            eprintln!("{}", in_words(&error));
            return BROKEN;
        }
    };
    let served = init.serve();
    let ended = init.end();
    match served.and(ended) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{}", in_words(&error));
            BROKEN
        }
    }
}

fn start(control: Channel) -> Result<Init, Error> {
    process::die_with_parent()?;
    let (to_server, theirs) = Channel::pair()?;
    // now, while nobody has started a thread
    let server = process::fork(|| server::run(&theirs))?;
    control.send(&Birth::Ready, &[])?;
    Ok(Init { control, server, to_server, running: Vec::new(), shelves: BTreeSet::new() })
}

impl Init {
    /// Until the coordinator is gone.
    fn serve(&mut self) -> Result<(), Error> {
        loop {
            self.wait()?;
            self.reap()?;
            if !self.control_is_ready()? {
                continue;
            }
            let Some((Connect { live, shelf }, mut connection)) = self.control.receive_with(1)? else {
                return Ok(());
            };
            self.shelves.extend(shelf);
            if let Some(connection) = connection.pop().and_then(Channel::from_descriptor) {
                self.take(&connection, live)?;
            }
        }
    }

    fn take(&mut self, connection: &Channel, live: Option<PathBuf>) -> Result<(), Error> {
        let (to_server, theirs) = Channel::pair()?;
        self.to_server.send(&(), &[theirs.as_fd()])?;
        drop(theirs);
        let supervisor = process::fork(|| supervisor::run(connection, &to_server))?;
        self.running.push(Running { supervisor, live });
        Ok(())
    }

    fn wait(&self) -> Result<(), Error> {
        let children = self.running.iter().map(|running| &running.supervisor).chain([&self.server]);
        let mut polled: Vec<_> = children.map(|child| PollFd::new(child, PollFlags::IN)).collect();
        polled.push(PollFd::new(&self.control, PollFlags::IN));
        poll(&mut polled, None)
    }

    fn control_is_ready(&self) -> Result<bool, Error> {
        let mut polled = [PollFd::new(&self.control, PollFlags::IN)];
        poll(&mut polled, Some(&rustix::event::Timespec::default()))?;
        Ok(!polled[0].revents().is_empty())
    }

    /// Takes note of everyone that has ended, orphans of the steps included.
    fn reap(&mut self) -> Result<(), Error> {
        while let Some((pid, ended)) = process::reap_ended()? {
            if pid == self.server.pid() {
                return Err(Error::ServerGone);
            }
            let Some(place) = self.running.iter().position(|running| running.supervisor.pid() == pid) else {
                continue;
            };
            let running = self.running.swap_remove(place);
            if ended != Ended::Code(0) {
                // its connection has closed, so the coordinator and the server both know
                eprintln!("supervisor of {:?}: {ended:?}", running.live);
            }
        }
        Ok(())
    }

    /// Leaves nothing behind: no process, no mount, nothing in the live directories.
    fn end(self) -> Result<(), Error> {
        process::kill_all_others()?;
        break_off_servers()?;
        while process::reap()?.is_some() {}
        // nobody uses a mount any more: none keeps a file of the live directories busy
        mount::detach(SCRATCH.as_ref())?;
        let live = self.running.iter().filter_map(|running| running.live.as_deref());
        live.chain(self.shelves.iter().map(PathBuf::as_path)).map(sweep::empty).fold(Ok(()), Result::and)
    }
}

/// Ends the connections of our file systems. A thread of the server that was killed while it waits for an answer of the
/// server itself (mounting overlayfs looks its lowers up) would never end otherwise: it holds the table of descriptors,
/// and with it the connection that it waits for.
fn break_off_servers() -> Result<(), Error> {
    for root in std::fs::read_dir(ROOTS).map_err(Error::file("read", ROOTS))? {
        let root = root.map_err(Error::file("read", ROOTS))?;
        mount::abort(&root.path())?;
    }
    Ok(())
}

fn poll(polled: &mut [PollFd<'_>], timeout: Option<&rustix::event::Timespec>) -> Result<(), Error> {
    match rustix::event::poll(polled, timeout) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(Error::file("wait for", "the coordinator")(errno)),
    }
}
