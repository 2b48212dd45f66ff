//! The server process: the one place of the sandbox with threads. It owns the served stacks and every mounted root.
//!
//! Each supervisor has a connection and a thread here. A connection that ends with a root still mounted takes it down.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::held::{Fault, First, Held, KeptBy};
use super::identity::People;
use super::{BROKEN, Error, ROOTS};
use crate::layer::{self, Layer, Written};
use crate::oci::DiffId;
use crate::rootfs::trace::Trace;
use crate::rootfs::{self, Driver, Ids, Room, Stack};
use crate::runtime::wire::{Channel, Summary, Told, Trials, in_words};
use crate::runtime::{LayerFiles, Owners, RootfsChoice, Traced, Tracing};

/// What a supervisor asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ask {
    /// Mount a root.
    Prepare { stack: Vec<LayerFiles>, rootfs: RootfsChoice, room: Room, tracing: Tracing },
    /// Mount another root beside it, gone with it.
    Show { stack: Vec<LayerFiles>, rootfs: RootfsChoice, room: Room },
    /// Unmount what is shown beside the root; the step is over.
    Hide,
    /// Answer the system calls that come in at the descriptor that comes along.
    Record { first: First },
    /// Unmount it and write what changed into the descriptor that comes along.
    Freeze { ignore: Vec<PathBuf> },
    /// Unmount it and forget it.
    Discard,
    /// Try every driver.
    Probe { live: PathBuf },
}

/// What the server answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer {
    /// It is mounted here, and the owners of its files are kept so.
    Prepared(PathBuf, KeptBy),
    /// It is mounted here.
    Shown(PathBuf),
    /// None of them is shown any more.
    Hidden,
    /// They are answered.
    Recording,
    /// The layer; its index comes along, and then what the step looked at.
    Frozen(Summary, Told),
    /// It is gone.
    Discarded,
    /// What works.
    Probed(Trials),
    /// It cannot be done.
    Refused(String),
}

/// Returns an exit code, but only when init does not take connections any more.
pub(super) fn run(connections: &Channel) -> i32 {
    let server = Arc::new(Server {
        rootfs: rootfs::Server::start(Path::new(ROOTS)),
        layers: Mutex::default(),
        taken: Mutex::default(),
    });
    loop {
        match connections.receive_with::<()>(1) {
            Ok(Some(((), mut connection))) => {
                let Some(connection) = connection.pop().and_then(Channel::from_descriptor) else { continue };
                let server = Arc::clone(&server);
                std::thread::spawn(move || {
                    if let Err(error) = server.serve(&connection) {
                        eprintln!("{}", in_words(&error));
                    }
                });
            }
            Ok(None) => return 0,
            Err(error) => {
                eprintln!("{}", in_words(&error));
                return BROKEN;
            }
        }
    }
}

struct Server {
    rootfs: rootfs::Server,
    /// Every layer seen so far: equal layers are served from the same inodes and stay in the page cache.
    layers: Mutex<HashMap<DiffId, Arc<Layer>>>,
    /// What [`RootfsChoice::Auto`] came to. It is not kept beyond the sandbox: to ask the kernel again costs a build less
    /// than a millisecond, and an answer kept for the boot would outlive its reason, a `/dev/fuse` that was since made
    /// accessible.
    taken: Mutex<Option<Driver>>,
}

/// Why a driver did not mount.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("open layer {diff_id}")]
    Layer { diff_id: DiffId, source: layer::Error },
    #[error("root file system driver {driver}")]
    Driver { driver: Driver, source: Fault },
    #[error("{0}")]
    Every(String),
}

impl Server {
    fn serve(&self, connection: &Channel) -> Result<(), Error> {
        let (mut root, mut shown): (Option<Held>, Vec<Held>) = (None, Vec::new());
        while let Some((ask, descriptors)) = connection.receive_any::<Ask>()? {
            let mut files = Vec::new();
            let answer = match ask {
                Ask::Prepare { stack, rootfs, room, tracing } => {
                    match self.prepare(&stack, rootfs, &room, None, tracing) {
                        Ok(prepared) => {
                            let root = root.insert(prepared);
                            Answer::Prepared(root.path().to_path_buf(), root.owners())
                        }
                        Err(refusal) => Answer::Refused(in_words(&refusal)),
                    }
                }
                Ask::Show { stack, rootfs, room } => match self.show(root.as_ref(), &stack, rootfs, &room) {
                    Ok(beside) => {
                        let path = beside.path().to_path_buf();
                        shown.push(beside);
                        Answer::Shown(path)
                    }
                    Err(refusal) => Answer::Refused(in_words(&refusal)),
                },
                Ask::Hide => match hide(root.as_mut(), &mut shown) {
                    Ok(()) => Answer::Hidden,
                    Err(fault) => Answer::Refused(in_words(&fault)),
                },
                Ask::Record { first } => match record(root.as_mut(), &shown, descriptors, &first) {
                    Ok(()) => Answer::Recording,
                    Err(error) => Answer::Refused(in_words(&error)),
                },
                Ask::Freeze { ignore } => match freeze(root.take(), descriptors, &ignore) {
                    Ok((written, traced)) => {
                        let (summary, index) = Summary::divide(&written)?;
                        let (told, trace) = Told::divide(traced.as_ref())?;
                        files.extend([Some(index), trace].into_iter().flatten());
                        Answer::Frozen(summary, told)
                    }
                    Err(refusal) => Answer::Refused(refusal),
                },
                Ask::Discard => match discard(root.take(), &mut shown) {
                    Ok(()) => Answer::Discarded,
                    Err(error) => Answer::Refused(in_words(&error)),
                },
                Ask::Probe { live } => {
                    let drivers = self.probe(&Room { live, shelf: None });
                    // who asked counts on the answer: where it later fails the step fails, and takes no other silently
                    let mut taken = lock(&self.taken);
                    *taken = taken.or_else(|| first_that_works(&drivers));
                    drop(taken);
                    let (transport, no_rings) = (self.rootfs.transport(), self.rootfs.no_rings());
                    let no_companions = self.rootfs.no_companions().map(|error| in_words(error));
                    Answer::Probed(Trials { drivers, transport, no_rings, no_companions })
                }
            };
            let with: Vec<_> = files.iter().map(AsFd::as_fd).collect();
            connection.send(&answer, &with)?;
        }
        // the supervisor is gone without a word
        discard(root, &mut shown).map_err(|error| Error::Refused(in_words(&error)))
    }

    /// What `prepare` does, for whoever `root` belongs to.
    fn show(
        &self,
        root: Option<&Held>,
        stack: &[LayerFiles],
        choice: RootfsChoice,
        room: &Room,
    ) -> Result<Held, Refusal> {
        let people = root.and_then(Held::people);
        // what it shows is in the key of the step
        self.prepare(stack, choice, room, people.as_ref(), Tracing::Off)
    }

    fn prepare(
        &self,
        stack: &[LayerFiles],
        choice: RootfsChoice,
        room: &Room,
        people: Option<&Arc<People>>,
        tracing: Tracing,
    ) -> Result<Held, Refusal> {
        let stack = self.stack(stack)?;
        let drivers = match (choice, *lock(&self.taken)) {
            (RootfsChoice::Kernel, _) => vec![Driver::Kernel],
            (RootfsChoice::Fuse, _) => vec![Driver::Fuse],
            (RootfsChoice::Plain, _) => vec![Driver::Plain],
            (RootfsChoice::Auto, Some(taken)) => vec![taken],
            (RootfsChoice::Auto, None) => by_preference().into(),
        };
        let mut refusals = Vec::new();
        for driver in drivers {
            match self.mount(stack.clone(), driver, room, people, tracing) {
                Ok(root) => {
                    if choice == RootfsChoice::Auto {
                        *lock(&self.taken) = Some(driver);
                    }
                    return Ok(root);
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        match <[Refusal; 1]>::try_from(refusals) {
            Ok([refusal]) => Err(refusal),
            Err(refusals) => {
                let words: Vec<_> = refusals.iter().map(|refusal| in_words(refusal)).collect();
                Err(Refusal::Every(words.join("; ")))
            }
        }
    }

    fn mount(
        &self,
        stack: Stack,
        driver: Driver,
        room: &Room,
        people: Option<&Arc<People>>,
        tracing: Tracing,
    ) -> Result<Held, Refusal> {
        let trace = (tracing == Tracing::On).then(|| Arc::new(Trace::new(stack.clone())));
        let heard = trace.clone();
        let prepare = |ids: Ids| self.rootfs.prepare_traced(stack, driver, room, ids, heard);
        Held::mount(owners(), people, trace, prepare)
            .map_err(|source| Refusal::Driver { driver, source: source.into() })
    }

    fn stack(&self, files: &[LayerFiles]) -> Result<Stack, Refusal> {
        let mut layers = lock(&self.layers);
        let mut open = |files: &LayerFiles| {
            let diff_id = files.diff_id;
            if let Some(layer) = layers.get(&diff_id) {
                return Ok(Arc::clone(layer));
            }
            let layer = Layer::open(diff_id, &files.tar, &files.index)
                .map_err(|source| Refusal::Layer { diff_id, source })?;
            Ok(Arc::clone(layers.entry(diff_id).or_insert(Arc::new(layer))))
        };
        files.iter().map(&mut open).collect::<Result<_, _>>().map(Stack::new)
    }

    /// Really mounts each driver over an empty stack, and takes it down again.
    fn probe(&self, room: &Room) -> Vec<(RootfsChoice, Option<String>)> {
        let attempt = |driver| {
            let root = self.mount(Stack::new(Vec::new()), driver, room, None, Tracing::Off)?;
            root.discard().map_err(|source| Refusal::Driver { driver, source })
        };
        let tried = by_preference().into_iter().map(|driver| {
            let choice = match driver {
                Driver::Kernel => RootfsChoice::Kernel,
                Driver::Fuse => RootfsChoice::Fuse,
                Driver::Plain => RootfsChoice::Plain,
            };
            (choice, attempt(driver).err().map(|refusal| in_words(&refusal)))
        });
        tried.collect()
    }
}

fn freeze(
    root: Option<Held>,
    mut descriptors: Vec<OwnedFd>,
    ignore: &[PathBuf],
) -> Result<(Written, Option<Traced>), String> {
    let (Some(root), Some(tar)) = (root, descriptors.pop()) else {
        return Err("a freeze needs a mounted root and a tar".to_owned());
    };
    root.freeze(File::from(tar), ignore).map_err(|error| in_words(&error))
}

/// Takes down what is shown beside a root. Its clerk, whose own root is the step's with all that is mounted there, goes
/// first.
fn hide(root: Option<&mut Held>, shown: &mut Vec<Held>) -> Result<(), Fault> {
    let ended = root.map_or(Ok(()), Held::end_clerk);
    shown.drain(..).map(Held::discard).fold(ended, Result::and)
}

/// Takes a root and all beside it down.
fn discard(mut root: Option<Held>, shown: &mut Vec<Held>) -> Result<(), Fault> {
    let hidden = hide(root.as_mut(), shown);
    hidden.and(root.map_or(Ok(()), Held::discard))
}

fn record(
    root: Option<&mut Held>,
    shown: &[Held],
    mut descriptors: Vec<OwnedFd>,
    first: &First,
) -> Result<(), Error> {
    let (Some(root), Some(listener)) = (root, descriptors.pop()) else {
        return Err(Error::Refused("a record needs a mounted root and a listener".to_owned()));
    };
    let beside = shown.iter().filter_map(Held::ownership).collect();
    root.record(listener, beside, first)
}

/// The kernel's overlay is the fastest, and a copy of everything the last resort. Where one id alone is mapped, the kernel's
/// cannot record any other owner: it could not copy such a file up.
fn by_preference() -> [Driver; 3] {
    match owners() {
        Owners::Recorded => [Driver::Fuse, Driver::Plain, Driver::Kernel],
        Owners::Mapped => [Driver::Kernel, Driver::Fuse, Driver::Plain],
    }
}

/// What [`RootfsChoice::Auto`] comes to after a trial of every driver, in the order of preference.
fn first_that_works(tried: &[(RootfsChoice, Option<String>)]) -> Option<Driver> {
    let (choice, _) = tried.iter().find(|(_, why)| why.is_none())?;
    match choice {
        RootfsChoice::Kernel => Some(Driver::Kernel),
        RootfsChoice::Fuse => Some(Driver::Fuse),
        RootfsChoice::Plain => Some(Driver::Plain),
        RootfsChoice::Auto => None,
    }
}

/// The owners that a root is to keep. With one mapped id the kernel knows no other.
fn owners() -> Owners {
    if one_id_is_mapped() { Owners::Recorded } else { Owners::Mapped }
}

fn one_id_is_mapped() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let mut extents = map.lines().map(|line| line.split_whitespace().nth(2));
    (extents.next(), extents.next()) == (Some(Some("1")), None)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // both hold what can be found out again; neither is ever half changed
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_decides_for_the_steps_to_come() {
        use RootfsChoice::{Fuse, Kernel, Plain};
        let no = || Some("why".to_owned());
        for (tried, want) in [
            (vec![(Kernel, None), (Fuse, None), (Plain, None)], Some(Driver::Kernel)),
            (vec![(Kernel, no()), (Fuse, None), (Plain, None)], Some(Driver::Fuse)),
            (vec![(Fuse, no()), (Plain, None), (Kernel, no())], Some(Driver::Plain)),
            (vec![(Fuse, no()), (Plain, no()), (Kernel, no())], None),
        ] {
            assert_eq!(first_that_works(&tried), want, "{tried:?}");
        }
    }
}
