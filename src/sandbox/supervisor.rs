//! A supervisor: one process per connection of the coordinator, which it serves once.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rbuild_userns::process::Ended;

use super::held::{First, KeptBy, Owned};
use super::names::Files;
use super::server::{Answer, Ask};
use super::step::{self, Ready, Streams};
use super::stop::{Watched, until_end};
use super::{Error, STEPS, caches, mounts, network, sweep, trial};
use crate::rootfs::Room;
use crate::runtime::wire::{Channel, Reply, Request, Summary, Told, in_words};
use crate::runtime::{Exit, Job, Keep, LayerFiles, RootfsChoice, Stdin, Tracing};

/// The directory of a live directory for the roots that mounts show.
const SHOWN: &str = "shown";

/// Returns an exit code: other than 0 only if the coordinator could not be answered.
pub(super) fn run(connection: &Channel, server: &Channel) -> i32 {
    let served = match connection.receive_any::<Request>() {
        Ok(Some((request, descriptors))) => serve(request, descriptors, connection, &Server(server)),
        // the coordinator thought better of it
        Ok(None) => return 0,
        Err(error) => Err(error.into()),
    };
    let (reply, files) = served.unwrap_or_else(|error| (Reply::Refused(in_words(&error)), Vec::new()));
    let with: Vec<_> = files.iter().map(AsFd::as_fd).collect();
    i32::from(connection.send(&reply, &with).is_err())
}

/// A reply, the index of a layer, and what the step looked at.
type Served = (Reply, Vec<OwnedFd>);

fn serve(
    request: Request,
    descriptors: Vec<OwnedFd>,
    connection: &Channel,
    server: &Server<'_>,
) -> Result<Served, Error> {
    match request {
        Request::Run(job, stdin) => run_job(&job, stdin, descriptors, connection, server),
        Request::Probe(live) => match server.ask(&Ask::Probe { live }, &[])?.0 {
            Answer::Probed(trials) => Ok((Reply::Probed(trials), Vec::new())),
            other => Err(unexpected(other)),
        },
        Request::Try => Ok((Reply::Tried(trial::inside()?), Vec::new())),
        Request::ProbeNetwork(network) => {
            let entered = network::enter(&network)?;
            let program = entered.program().map(str::to_owned);
            entered.leave(&network)?;
            Ok((Reply::ProbedNetwork(program), Vec::new()))
        }
        Request::Pack(directory) => {
            let [tar] = given(descriptors)?;
            caches::pack(&directory, tar)?;
            Ok((Reply::Packed, Vec::new()))
        }
        Request::Fill { directory, layer, live } => {
            let root = server.prepare_bare(vec![layer], live)?;
            let filled = caches::fill(&directory, &root);
            let gone = server.discard();
            filled.and(gone).map(|()| (Reply::Filled, Vec::new()))
        }
        Request::Sweep(dirs) => {
            dirs.iter().try_for_each(|dir| sweep::remove(dir))?;
            Ok((Reply::Swept, Vec::new()))
        }
    }
}

fn run_job(
    job: &Job,
    stdin: Stdin,
    mut descriptors: Vec<OwnedFd>,
    connection: &Channel,
    server: &Server<'_>,
) -> Result<Served, Error> {
    let input = match stdin {
        Stdin::Null => step::Input::Null,
        Stdin::Pipe => step::Input::Pipe(descriptors.pop().ok_or_else(|| out_of_place("a pipe"))?),
        Stdin::Terminal(size) => step::Input::Terminal(size),
    };
    let [tar, stdout, stderr] = given(descriptors)?;
    let (root, owners) = server.prepare(job)?;
    let streams = Streams { input, stdout, stderr };
    let ended = server
        .show_all(job)
        .and_then(|shown| step_ends(job, (&root, owners), &shown, streams, connection, server));
    // the server finds only what is its own
    let hidden = server.hide_all(job);
    let swept = sweep::remove(&job.live.join(mounts::WRITTEN));
    let ended = ended.and_then(|ended| hidden.and(swept).map(|()| ended));
    freeze_or_discard(ended, job.keep, &tar, server)
}

/// The descriptors that belong to a request.
fn given<const N: usize>(descriptors: Vec<OwnedFd>) -> Result<[OwnedFd; N], Error> {
    <[OwnedFd; N]>::try_from(descriptors)
        .map_err(|found| Error::Refused(format!("{} descriptors came with a request, not {N}", found.len())))
}

fn out_of_place(what: &str) -> Error {
    Error::Refused(format!("{what} did not come with its request"))
}

/// What comes of a step that has ended.
fn freeze_or_discard(
    ended: Result<(Watched, Vec<PathBuf>), Error>,
    keep: Keep,
    tar: &OwnedFd,
    server: &Server<'_>,
) -> Result<Served, Error> {
    match ended {
        Ok((Watched::Ended(ended), ignore)) => {
            let exit = match ended {
                Ended::Code(code) => Exit::Code(code),
                Ended::Signal(signal) => Exit::Signal(signal),
            };
            if keep == Keep::Success && exit != Exit::Code(0) {
                server.discard()?;
                return Ok((Reply::Ran { exit, layer: None, trace: Told::Nothing }, Vec::new()));
            }
            match freeze(ignore, tar, server) {
                Ok((summary, trace, files)) => Ok((Reply::Ran { exit, layer: Some(summary), trace }, files)),
                Err(_) if keep == Keep::Offered && exit != Exit::Code(0) => {
                    Ok((Reply::Ran { exit, layer: None, trace: Told::Nothing }, Vec::new()))
                }
                Err(error) => Err(error),
            }
        }
        Ok((Watched::Stopped, _)) => {
            server.discard()?;
            Ok((Reply::Stopped, Vec::new()))
        }
        Err(error) => match server.discard() {
            Ok(()) => Err(error),
            Err(besides) => {
                Err(Error::Refused(format!("{}; besides, {}", in_words(&error), in_words(&besides))))
            }
        },
    }
}

/// What the root has become, as a layer in `tar`.
fn freeze(
    ignore: Vec<PathBuf>,
    tar: &OwnedFd,
    server: &Server<'_>,
) -> Result<(Summary, Told, Vec<OwnedFd>), Error> {
    let (answer, files) = server.ask(&Ask::Freeze { ignore }, &[tar.as_fd()])?;
    let Answer::Frozen(summary, trace) = answer else { return Err(unexpected(answer)) };
    Ok((summary, trace, files))
}

/// Runs the command to its end. The paths were made in the root for its sake.
fn step_ends(
    job: &Job,
    (root, owners): (&Path, KeptBy),
    shown: &BTreeMap<usize, PathBuf>,
    streams: Streams,
    connection: &Channel,
    server: &Server<'_>,
) -> Result<(Watched, Vec<PathBuf>), Error> {
    let files = Path::new(STEPS).join(std::process::id().to_string());
    std::fs::create_dir(&files).map_err(Error::file("create", &files))?;
    let confinement = &job.confinement;
    let network = network::enter(&confinement.network)?;
    let etc = Files::write(&files, &confinement.names, &network)?;
    let ready = Ready { root, owners, files: &etc, shown };
    let record = |listener: OwnedFd, owned: &[Owned]| server.record(job, &listener, owned);
    let show = |terminal: OwnedFd| Ok(connection.send(&Reply::Terminal, &[terminal.as_fd()])?);
    let (step, made) = step::start(job, ready, streams, &step::Heard { record: &record, show: &show })?;
    let watched = until_end(&step, connection)?;
    let left = network.leave(&confinement.network);
    made.remove_strays()?;
    // what happens to the files on a failure above does not matter: they are a few bytes of the sandbox's own tmpfs
    sweep::remove(&files)?;
    left?;
    Ok((watched, made.stubs))
}

/// This connection's end of the server.
struct Server<'a>(&'a Channel);

impl Server<'_> {
    fn ask(&self, ask: &Ask, with: &[std::os::fd::BorrowedFd<'_>]) -> Result<(Answer, Vec<OwnedFd>), Error> {
        self.0.send(ask, with)?;
        self.0.receive_any()?.ok_or(Error::ServerGone)
    }

    fn prepare(&self, job: &Job) -> Result<(PathBuf, KeptBy), Error> {
        let room = Room { live: job.live.clone(), shelf: job.shelf.clone() };
        let (stack, rootfs, tracing) = (job.stack.clone(), job.rootfs, job.tracing);
        let ask = Ask::Prepare { stack, rootfs, room, tracing };
        match self.ask(&ask, &[])?.0 {
            Answer::Prepared(root, owners) => Ok((root, owners)),
            other => Err(unexpected(other)),
        }
    }

    /// Mounts a root in which nothing runs.
    fn prepare_bare(&self, stack: Vec<LayerFiles>, live: PathBuf) -> Result<PathBuf, Error> {
        let room = Room { live, shelf: None };
        let ask = Ask::Prepare { stack, rootfs: RootfsChoice::Auto, room, tracing: Tracing::Off };
        match self.ask(&ask, &[])?.0 {
            Answer::Prepared(root, _) => Ok(root),
            other => Err(unexpected(other)),
        }
    }

    /// Mounts the roots that the job's mounts show, each in a directory of its own.
    fn show_all(&self, job: &Job) -> Result<BTreeMap<usize, PathBuf>, Error> {
        let mut shown = BTreeMap::new();
        for (number, mount) in job.confinement.mounts.iter().enumerate() {
            let Some(layers) = mount.source.layers() else { continue };
            let live = job.live.join(SHOWN).join(number.to_string());
            std::fs::create_dir_all(&live).map_err(Error::file("create", &live))?;
            let room = Room { live, shelf: None };
            let ask = Ask::Show { stack: layers.stack.clone(), rootfs: job.rootfs, room };
            match self.ask(&ask, &[])?.0 {
                Answer::Shown(root) => shown.insert(number, root),
                other => return Err(unexpected(other)),
            };
        }
        Ok(shown)
    }

    /// Unmounts them, and removes their directories.
    fn hide_all(&self, job: &Job) -> Result<(), Error> {
        if job.confinement.mounts.iter().all(|mount| mount.source.layers().is_none()) {
            return Ok(());
        }
        match self.ask(&Ask::Hide, &[])?.0 {
            Answer::Hidden => sweep::remove(&job.live.join(SHOWN)),
            other => Err(unexpected(other)),
        }
    }

    /// Has the system calls of a step answered that come in at `listener`.
    fn record(&self, job: &Job, listener: &OwnedFd, owned: &[Owned]) -> Result<(), Error> {
        let (process, security) = (&job.process, &job.confinement.security);
        let first = First {
            uid: process.uid,
            gid: process.gid,
            groups: process.groups.clone().unwrap_or_default(),
            capabilities: security.capabilities.clone(),
            owned: owned.to_vec(),
        };
        match self.ask(&Ask::Record { first }, &[listener.as_fd()])?.0 {
            Answer::Recording => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    fn discard(&self) -> Result<(), Error> {
        match self.ask(&Ask::Discard, &[])?.0 {
            Answer::Discarded => Ok(()),
            other => Err(unexpected(other)),
        }
    }
}

fn unexpected(answer: Answer) -> Error {
    match answer {
        Answer::Refused(why) => Error::Refused(why),
        other => Error::Refused(format!("{other:?} out of turn")),
    }
}
