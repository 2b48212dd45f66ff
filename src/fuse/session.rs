//! The threads that answer for a mounted file system.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, available_parallelism};
use std::time::{Duration, Instant};

use super::companion::{self, Callers};
use super::handshake::{Greeting, Rings};
use super::turns::{End, Turns};
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
    /// `Err`: why there is none. Where there are rings, none is needed.
    companion: Result<(), Error>,
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
        let turns = Arc::new(Turns::new());
        let (report, ended) = channel();
        let mut threads = Threads { report, count: 0 };
        // With rings, the device brings only what nobody waits for (and everything, should the kernel refuse a ring).
        let crew = match ready {
            Rings::Ready => 1,
            Rings::None => available_parallelism().map_or(2, |cores| cores.get().max(2)),
        };
        for ring in queues {
            let shared = Arc::clone(&shared);
            threads.start("fuse ring", move || ring::serve(&shared, ring))?;
        }
        let companion = match ready {
            Rings::Ready => Ok(()),
            Rings::None => accompany(&shared, &device, &turns, &mut threads),
        };
        let mut devices = vec![device];
        while devices.len() < crew {
            let clone = rbuild_userns::fuse::clone_device(&devices[0])?;
            devices.push(clone);
        }
        for device in devices {
            let (shared, turns) = (Arc::clone(&shared), Arc::clone(&turns));
            threads.start("fuse", move || {
                let served = device::serve(&shared, &device, &turns);
                if served.is_ok() {
                    turns.over();
                }
                served
            })?;
        }
        let threads = threads.count;
        Ok(Self { rings, companion, turns, threads, ended: Mutex::new(ended), panicked })
    }

    /// How requests come.
    pub fn transport(&self) -> Transport {
        if self.rings.is_ok() { Transport::Ring } else { Transport::Device }
    }

    /// Whether they come through rings, or why they do not.
    pub fn rings(&self) -> Result<(), NoRings> {
        self.rings.clone()
    }

    /// Whether a thread keeps to the CPU of a caller that asks one thing after the other, or why none does.
    pub fn companion(&self) -> Result<(), &Error> {
        self.companion.as_ref().copied()
    }

    /// How many requests the companion has answered.
    pub fn answered_by_companion(&self) -> u64 {
        self.turns.answered()
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

/// The threads of a session, and where each tells how it ended.
struct Threads {
    report: Sender<Result<(), Error>>,
    count: usize,
}

impl Threads {
    fn start(
        &mut self,
        name: &str,
        serve: impl FnOnce() -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let report = self.report.clone();
        let run = move || {
            // The other end is gone only if nobody waits for the session's end.
            report.send(serve()).unwrap_or_default();
        };
        Builder::new().name(name.to_owned()).spawn(run).map_err(refused("start a thread"))?;
        self.count += 1;
        Ok(())
    }
}

/// Starts the companion. Errors where it could not tell where its callers are, or could not give way to them.
fn accompany<F: Filesystem + 'static>(
    shared: &Arc<Shared<F>>,
    device: &File,
    turns: &Arc<Turns>,
    threads: &mut Threads,
) -> Result<(), Error> {
    let callers = Callers::new()?;
    let device = rbuild_userns::fuse::clone_device(device)?;
    let (shared, turns) = (Arc::clone(shared), Arc::clone(turns));
    let (tell, told) = channel();
    threads.start("fuse companion", move || {
        let gives_way = rbuild_userns::process::give_way();
        let goes_on = gives_way.is_ok();
        if goes_on {
            turns.companion_joins();
        }
        // Somebody waits for it below.
        tell.send(gives_way).unwrap_or_default();
        if !goes_on {
            return Ok(());
        }
        let served = companion::serve(&shared, &device, &turns, callers);
        match served {
            Ok(()) => turns.over(),
            Err(_) => turns.pass_to_crew(End::Gone),
        }
        served
    })?;
    Ok(told.recv().map_err(|_| Error::Panicked)??)
}
