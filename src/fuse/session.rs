//! The threads that answer for a mounted file system.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{Builder, available_parallelism};
use std::time::{Duration, Instant};

use rustix::thread::gettid;

use super::companion::{self, Callers, Processes};
use super::handshake::{Greeting, Rings};
use super::ring::{CpuQueue, Part};
use super::turns::{Seat, Turns};
use super::{Errno, Error, Features, Filesystem, device, refused, ring};

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Transport {
    /// By read(2) and write(2) on `/dev/fuse`.
    #[serde(rename = "device")]
    Device,
    /// Through a ring on every CPU.
    #[serde(rename = "io_uring")]
    Ring,
}

/// Why requests do not come through rings.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NoRings {
    /// The kernel cannot, or root has not set `enable_uring`.
    NotOffered,
    /// So many CPUs would each take a thread and memory.
    TooManyCpus(u16),
    /// Sysfs does not say how many CPUs there can be.
    Uncounted,
    /// The kernel's answer to making one.
    Refused(String),
}

/// A file system being served. Dropped, its threads go on until the last user is gone.
pub struct Session {
    /// `Ok`: through rings.
    rings: Result<(), NoRings>,
    /// `Err`: why there are none. Not there: `joined` tells.
    companions: OnceLock<Result<(), Error>>,
    /// Where each companion tells whether it could give way, while its start is not waited for.
    joined: Mutex<Vec<Joined>>,
    turns: Arc<Turns>,
    threads: usize,
    ended: Mutex<Receiver<Result<(), Error>>>,
    panicked: Arc<AtomicBool>,
}

/// What all threads of a session share.
pub struct Shared<F> {
    filesystem: F,
    pub agreed: Features,
    panicked: Arc<AtomicBool>,
}

impl<F: Filesystem> Shared<F> {
    /// Calls the file system. A panic is a bug of ours in one request: the others must still be answered, or whoever
    /// waits for them hangs. The session's end tells.
    pub fn guarded<T>(&self, call: impl FnOnce(&F) -> Result<T, Errno>) -> Result<T, Errno> {
        catch_unwind(AssertUnwindSafe(|| call(&self.filesystem))).unwrap_or_else(|_| {
            self.panicked.store(true, Ordering::Relaxed);
            Err(Errno::IO)
        })
    }
}

impl Session {
    /// Agrees with the kernel and starts to answer. `device`: an open `/dev/fuse` that has been mounted.
    pub fn start<F: Filesystem + 'static>(mut filesystem: F, device: OwnedFd) -> Result<Self, Error> {
        let device = File::from(device);
        let greeting = Greeting::read(&device)?;
        let (rings, queues) = match ring::prepare(greeting.offered(), &device) {
            Ok(queues) => (Ok(()), queues),
            Err(why) => (Err(why), Vec::new()),
        };
        let ready = if rings.is_ok() { Rings::Ready } else { Rings::None };
        let agreed = greeting.answer(&mut filesystem, ready, &device)?;

        let panicked = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared { filesystem, agreed, panicked: Arc::clone(&panicked) });
        let (report, ended) = channel();
        let turns = Arc::new(Turns::new());
        let mut staff = Staff { shared, turns: Arc::clone(&turns), report, threads: 0, joined: Vec::new() };
        let companions = match ready {
            Rings::Ready => staff.at_rings(queues, device)?,
            Rings::None => staff.at_device(device)?,
        };
        let companions = companions.map_or_else(|error| OnceLock::from(Err(error)), |()| OnceLock::new());
        let (threads, joined) = (staff.threads, Mutex::new(staff.joined));
        Ok(Self { rings, companions, joined, turns, threads, ended: Mutex::new(ended), panicked })
    }

    /// How requests come.
    pub fn transport(&self) -> Transport {
        if self.rings.is_ok() { Transport::Ring } else { Transport::Device }
    }

    /// Whether they come through rings, or why they do not.
    pub fn rings(&self) -> Result<(), NoRings> {
        self.rings.clone()
    }

    /// Whether there are companions, or why there are none.
    pub fn companions(&self) -> Result<(), &Error> {
        let joined = || {
            let joined = self.joined.lock().unwrap_or_else(PoisonError::into_inner);
            joined.iter().try_for_each(|one| Ok(one.recv().map_err(|_| Error::Panicked)??))
        };
        self.companions.get_or_init(joined).as_ref().copied()
    }

    /// How many requests companions have answered.
    pub fn by_companions(&self) -> u64 {
        self.turns.by_companions()
    }

    /// Waits until every thread has answered its last request, which is some time after the file system was unmounted:
    /// a mount namespace that a process left behind keeps it until that one is taken down.
    ///
    /// `None`: threads still serve somebody after `patience`.
    pub fn join(self, patience: Duration) -> Option<Result<(), Error>> {
        let end = Instant::now() + patience;
        let ended = self.ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..self.threads {
            match ended.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Some(Err(error)),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => return Some(Err(Error::Panicked)),
            }
        }
        Some(if self.panicked.load(Ordering::Relaxed) { Err(Error::Panicked) } else { Ok(()) })
    }
}

/// Whether a companion could give way.
type Joined = Receiver<Result<(), rbuild_userns::Error>>;

/// The threads of a session.
struct Staff<F> {
    shared: Arc<Shared<F>>,
    turns: Arc<Turns>,
    /// Where each tells how it ended.
    report: Sender<Result<(), Error>>,
    threads: usize,
    joined: Vec<Joined>,
}

impl<F: Filesystem + 'static> Staff<F> {
    /// `Ok(Err(_))`: without a companion.
    fn at_device(&mut self, device: File) -> Result<Result<(), Error>, Error> {
        let companions = self.processes().and_then(|processes| {
            let device = rbuild_userns::fuse::clone_device(&device)?;
            let polled = device.try_clone().map_err(refused("duplicate /dev/fuse"))?;
            let serve = move |shared: &Shared<F>, seat| {
                companion::serve(shared, &device, seat, Callers::new(processes))
            };
            self.accompany(move |_| move || device::pending(&polled), serve)
        });
        let crew = available_parallelism().map_or(2, |cores| cores.get().max(2));
        let mut devices = vec![device];
        while devices.len() < crew {
            let clone = rbuild_userns::fuse::clone_device(&devices[0])?;
            devices.push(clone);
        }
        for device in devices {
            let crew = self.turns.enlist();
            self.start("fuse", move |shared| device::serve(shared, &device, &crew))?;
        }
        Ok(companions)
    }

    /// The same, each ring with one of the crew and a companion.
    fn at_rings(&mut self, rings: Vec<CpuQueue>, device: File) -> Result<Result<(), Error>, Error> {
        let rings: Vec<_> = rings.into_iter().map(Arc::new).collect();
        for ring in &rings {
            let (ring, crew) = (Arc::clone(ring), Part::Crew(self.turns.enlist()));
            self.start("fuse ring", move |shared| ring::serve(shared, &ring, crew))?;
        }
        let companions = self.processes().and_then(|processes| {
            rings.into_iter().try_for_each(|ring| {
                let processes = processes.clone();
                let pending = move |thread| move || processes.wants_cpu(thread);
                self.accompany(pending, move |shared, seat| ring::serve(shared, &ring, Part::Companion(seat)))
            })
        });
        // The device brings only what nobody waits for (and everything, should the kernel refuse a ring), at every turn.
        let crew = Arc::new(Turns::new()).enlist();
        self.start("fuse", move |shared| device::serve(shared, &device, &crew))?;
        Ok(companions)
    }

    /// What companions find their callers by. Errors where there should be none.
    fn processes(&self) -> Result<Processes, Error> {
        if self.shared.filesystem.is_asked_by_one() { Processes::new() } else { Err(Error::AskedByMore) }
    }

    /// Starts a companion, which joins if it can give way. `pending` gets the number of its thread.
    fn accompany<P: Fn() -> bool + Send + Sync + 'static>(
        &mut self,
        pending: impl FnOnce(i32) -> P + Send + 'static,
        serve: impl FnOnce(&Shared<F>, Seat) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let turns = Arc::clone(&self.turns);
        let (tell, told) = channel();
        self.start("fuse companion", move |shared| {
            let gives_way = rbuild_userns::process::give_way();
            let seat = gives_way.is_ok().then(|| turns.join(pending(gettid().as_raw_nonzero().get())));
            // The session may be gone already.
            tell.send(gives_way).unwrap_or_default();
            seat.map_or(Ok(()), |seat| serve(shared, seat))
        })?;
        self.joined.push(told);
        Ok(())
    }

    fn start(
        &mut self,
        name: &str,
        serve: impl FnOnce(&Shared<F>) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let (shared, report) = (Arc::clone(&self.shared), self.report.clone());
        let run = move || {
            let served = serve(&shared);
            // What is served is let go of before the end is told.
            drop(shared);
            // The other end is gone only if nobody waits for the session's end.
            report.send(served).unwrap_or_default();
        };
        Builder::new().name(name.to_owned()).spawn(run).map_err(refused("start a thread"))?;
        self.threads += 1;
        Ok(())
    }
}
