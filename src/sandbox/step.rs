//! A step: from a copy of the supervisor to the command, inside namespaces and a root of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rbuild_userns::caps::Groups;
use rbuild_userns::namespace::{self, Namespace, unshare};
use rbuild_userns::process::{self, Child};
use rbuild_userns::seccomp::notify::Scope;
use rbuild_userns::spawn;
use serde::{Deserialize, Serialize};

use super::held::{KeptBy, Owned};
use super::names::Files;
use super::root::{Made, StepRoot};
use super::target::{Stray, Stub};
use super::{BROKEN, Error, credentials, exec, label, mounts, names, system, terminal};
use crate::runtime::wire::{Channel, in_words};
use crate::runtime::{self, Job, WindowSize};

/// What a command reads and writes.
pub(super) struct Streams {
    pub input: Input,
    /// The writing ends of the pipes that the coordinator reads; a terminal takes their place.
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// Where a command reads.
pub(super) enum Input {
    /// Nowhere.
    Null,
    /// From this pipe.
    Pipe(OwnedFd),
    /// At a terminal of its own, of this size.
    Terminal(WindowSize),
}

/// What a step tells the supervisor before it turns into the command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum News {
    /// This name in the directory that comes along was made for the sake of a mount, but not in the root itself.
    Stray(OsString, Stub),
    /// These files were made for the step, and are to be somebody's.
    Owned(Vec<Owned>),
    /// The root is complete. These paths were made in it for the sake of mounts.
    Complete(Vec<PathBuf>),
    /// The command has a terminal, whose other end comes along.
    Terminal,
    /// Some system calls are handed over: where they arrive comes along. Until they are answered the step waits.
    Listening,
    /// There will be no command.
    Failed(String),
}

/// What the supervisor has made ready for a step.
#[derive(Clone, Copy)]
pub(super) struct Ready<'a> {
    /// The mounted root.
    pub root: &'a Path,
    /// How the owners of its files are kept.
    pub owners: KeptBy,
    /// Files that are written for it.
    pub files: &'a Files<'a>,
    /// Roots that its mounts show, by the number of the mount.
    pub shown: &'a BTreeMap<usize, PathBuf>,
}

/// Has the calls answered that arrive at a descriptor, where some files are somebody's.
pub(super) type Record<'a> = dyn Fn(OwnedFd, &[Owned]) -> Result<(), Error> + 'a;

/// What is done with what a step sends while it begins.
pub(super) struct Heard<'a> {
    /// Has its calls answered.
    pub record: &'a Record<'a>,
    /// Gives the other end of its terminal to whoever types.
    pub show: &'a dyn Fn(OwnedFd) -> Result<(), Error>,
}

impl<'a> Ready<'a> {
    /// The root that the mount of this number shows.
    pub(super) fn shown(&self, mount: usize) -> Result<&'a Path, Error> {
        let shown = self.shown.get(&mount).map(PathBuf::as_path);
        shown.ok_or_else(|| Error::Refused(format!("mount {mount} shows a root that nobody mounted")))
    }
}

/// Starts the command. Returns when it runs (or could not be executed, which is an exit code of its own), with what was
/// made for the sake of mounts.
pub(super) fn start(
    job: &Job,
    ready: Ready<'_>,
    streams: Streams,
    heard: &Heard<'_>,
) -> Result<(Child, Made), Error> {
    let (news, theirs) = Channel::pair()?;
    // from here on the next child is the first process of a new pid namespace
    unshare(&[Namespace::Pid])?;
    let step = process::fork(|| become_command(job, ready, &streams, &theirs))?;
    drop((theirs, streams));
    let mut made = Made::default();
    // the connection ends when the command is executed
    while let Some((one, descriptors)) = news.receive_any()? {
        match one {
            News::Complete(stubs) => made.stubs = stubs,
            News::Stray(name, stub) => {
                made.strays.extend(descriptors.into_iter().map(|directory| Stray {
                    directory,
                    name: name.clone(),
                    stub,
                }));
            }
            News::Owned(owned) => made.owned = owned,
            News::Listening => {
                descriptors.into_iter().try_for_each(|listener| (heard.record)(listener, &made.owned))?;
            }
            News::Terminal => descriptors.into_iter().try_for_each(heard.show)?,
            News::Failed(why) => {
                step.wait()?;
                made.remove_strays()?;
                return Err(Error::Refused(why));
            }
        }
    }
    Ok((step, made))
}

/// In the child. Returns only if there will be no command, with its exit code.
fn become_command(job: &Job, ready: Ready<'_>, streams: &Streams, news: &Channel) -> i32 {
    match prepare(job, ready, streams, news) {
        Ok(()) => exec::command(&job.process),
        Err(error) => {
            if let Err(unheard) = news.send(&News::Failed(in_words(&error)), &[]) {
                eprintln!("{}", in_words(&unheard));
            }
            BROKEN
        }
    }
}

fn prepare(job: &Job, ready: Ready<'_>, streams: &Streams, news: &Channel) -> Result<(), Error> {
    // asked of the sandbox's own /proc: inside the step's root a file of the image might answer
    let groups = Groups::of_this_namespace()?;
    let mut made = Made::default();
    let completed = complete(job, ready, streams, news, &mut made);
    tell_strays(&made, news)?;
    completed?;
    if !made.owned.is_empty() {
        news.send(&News::Owned(made.owned), &[])?;
    }
    news.send(&News::Complete(made.stubs), &[])?;
    let confinement = &job.confinement;
    let listening = |listener: BorrowedFd<'_>| Ok(news.send(&News::Listening, &[listener])?);
    let scope = match ready.owners {
        KeptBy::Kernel => return credentials::assume(&job.process, confinement, groups),
        KeptBy::Server => Scope::Owners,
        KeptBy::Clerk => Scope::OwnersAndCreations,
    };
    credentials::assume_recorded(confinement, scope, &listening)
}

/// Has the supervisor remove them in the end: while they are mounted over, nobody can.
fn tell_strays(made: &Made, news: &Channel) -> Result<(), Error> {
    for stray in &made.strays {
        news.send(&News::Stray(stray.name.clone(), stray.stub), &[stray.directory.as_fd()])?;
    }
    Ok(())
}

/// Makes the namespaces and the root, and enters them.
fn complete(
    job: &Job,
    ready: Ready<'_>,
    streams: &Streams,
    news: &Channel,
    made: &mut Made,
) -> Result<(), Error> {
    let confinement = &job.confinement;
    process::die_with_parent()?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    if let Some(group) = &confinement.limits.group {
        // before the cgroup namespace, whose root is then this group
        let procs = group.join("cgroup.procs");
        std::fs::write(&procs, "0").map_err(Error::file("enter the control group by", procs))?;
    }
    unshare(&[Namespace::Mount])?;
    let namespaces = &confinement.namespaces;
    for (kind, of) in [
        (Namespace::Ipc, &namespaces.ipc),
        (Namespace::Uts, &namespaces.uts),
        (Namespace::Cgroup, &namespaces.cgroup),
    ] {
        enter(kind, of)?;
    }
    if let Some(label) = &confinement.security.label {
        label::at_exec(label)?;
    }
    if namespaces.uts == runtime::Namespace::Private {
        namespace::set_host_name(&confinement.names.hostname)?;
    }

    let mut step_root = StepRoot::over(ready.root, made)?;
    system::mount_all(&mut step_root, confinement)?;
    names::mount_all(&mut step_root, ready.files)?;
    for device in &confinement.devices {
        step_root.mount_device(device)?;
    }
    mounts::mount_all(&mut step_root, job, ready)?;
    let null = system::null(&step_root)?;
    system::mask_more(&step_root, &confinement.security.masks)?;
    // a working directory is no stub: one that was missing belongs to the layer
    let cwd = step_root.open_or_create(Path::new(&job.process.cwd), Stub::Directory)?;
    step_root.enter()?;
    rustix::process::fchdir(&cwd.fd).map_err(Error::file("enter", &job.process.cwd))?;
    is_in_root(&job.process.cwd)?;

    rustix::process::setsid().map_err(Error::file("start a session in", &job.process.cwd))?;
    let (stdout, stderr) = (streams.stdout.as_fd(), streams.stderr.as_fd());
    match &streams.input {
        Input::Null => spawn::set_stdio(null.as_fd(), stdout, stderr)?,
        Input::Pipe(pipe) => spawn::set_stdio(pipe.as_fd(), stdout, stderr)?,
        Input::Terminal(size) => {
            let master = terminal::take(*size, job, ready.owners)?;
            news.send(&News::Terminal, &[master.as_fd()])?;
        }
    }
    process::reset_signals()?;
    process::close_at_exec()?;
    Ok(())
}

/// Enters a namespace of this kind.
fn enter(kind: Namespace, of: &runtime::Namespace) -> Result<(), Error> {
    match of {
        runtime::Namespace::Private => Ok(unshare(&[kind])?),
        runtime::Namespace::Host => Ok(()),
        runtime::Namespace::Of(path) => {
            let file = std::fs::File::open(path).map_err(Error::file("open the namespace", path))?;
            namespace::enter(kind, file.as_fd()).map_err(|source| Error::Enter { path: path.clone(), source })
        }
    }
}

/// Asks the kernel once more: it does not name a directory outside of the root from `/` on.
fn is_in_root(cwd: &str) -> Result<(), Error> {
    let found = rustix::process::getcwd(Vec::new()).map_err(Error::file("find the way to", cwd))?;
    if found.to_bytes().starts_with(b"/") { Ok(()) } else { Err(Error::OutsideRoot(cwd.into())) }
}
