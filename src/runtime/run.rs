//! Running jobs, and the small requests beside them.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::cancel::Wake;
use super::cgroup::ControlGroup;
use super::input::{Feed, Stdin};
use super::start::pipe;
use super::wire::{Attempt, Channel, Interrupt, Reply, Request, Trials};
use super::{Error, Input, Job, LayerFiles, Network, Outcome, Owners, RootfsChoice, Sandbox, WindowSize};
use crate::fuse::{NoRings, Transport};
use crate::progress::Stream;

/// How much is read from a pipe at once, in bytes: what a pipe holds.
const CHUNK: usize = 64 << 10;
/// How long a cancelled job may take to end by itself; then the whole sandbox is ended.
const STOPPING: Duration = Duration::from_secs(10);

/// How often the size of a terminal is looked at. A signal tells of a change, but it would have to be blocked in every
/// thread before there is any.
const LOOK: Duration = Duration::from_millis(100);

/// What works in a sandbox.
#[derive(Debug, PartialEq, Eq)]
pub struct Probe {
    /// The drivers in the order in which they are preferred here.
    pub drivers: Vec<Probed>,
    /// How the kernel's FUSE requests come; `None` without FUSE.
    pub transport: Option<Transport>,
    /// Why they do not come through rings; `None` where they do, or without FUSE.
    pub no_rings: Option<NoRings>,
    /// Why nobody answers them on the caller's CPU; `None` where somebody does, or without FUSE.
    pub no_companions: Option<String>,
}

/// A driver, and its refusal if it does not work here.
pub type Probed = (RootfsChoice, Result<(), String>);

impl Sandbox {
    /// Runs one job that reads nothing. `tar` receives the frozen layer; `output` what the command writes. May be called from
    /// several threads.
    ///
    /// Errors with [`Error::Cancelled`] if cancelled before or meanwhile; the command is then gone. A command that fails is
    /// no error: see [`Outcome::exit`].
    pub fn run(
        &self,
        job: &Job,
        tar: File,
        output: &(dyn Fn(Stream, &[u8]) + Sync),
    ) -> Result<Outcome, Error> {
        self.run_with(job, tar, Input::Nothing, output)
    }

    /// The same, and it reads `input`.
    pub fn run_with(
        &self,
        job: &Job,
        tar: File,
        input: Input<'_>,
        output: &(dyn Fn(Stream, &[u8]) + Sync),
    ) -> Result<Outcome, Error> {
        let mut job = job.clone();
        let Some(group) = ControlGroup::make(&job.confinement.limits.shared)? else {
            return self.run_in_group(job, tar, input, output);
        };
        job.confinement.limits.group = Some(group.path().to_path_buf());
        let ran = self.run_in_group(job, tar, input, output);
        let out_of_memory = group.out_of_memory();
        match (ran, group.remove()) {
            (Ok(outcome), removed) => {
                removed?;
                Ok(Outcome { out_of_memory: out_of_memory?, ..outcome })
            }
            (Err(error), Ok(())) => Err(error),
            (Err(error), Err(group)) => Err(Error::AndGroup { error: Box::new(error), group }),
        }
    }

    /// The job is in its control group, if it has one.
    fn run_in_group(
        &self,
        job: Job,
        tar: File,
        input: Input<'_>,
        output: &(dyn Fn(Stream, &[u8]) + Sync),
    ) -> Result<Outcome, Error> {
        let wake = self.cancel.subscribe()?;
        let (stdout, stdout_writer) = pipe()?;
        let (stderr, stderr_writer) = pipe()?;
        let channel = self.connect(Some(&job.live), job.shelf.as_deref())?;
        let mut with = vec![OwnedFd::from(tar), stdout_writer, stderr_writer];
        let (stdin, feed) = match input {
            Input::Nothing => (Stdin::Null, Feed::nothing()),
            Input::Pipe(from) => {
                let (reader, writer) = pipe()?;
                with.push(reader);
                (Stdin::Pipe, Feed::pipe(from, writer)?)
            }
            // it begins when the terminal is there
            Input::Terminal { size, .. } => (Stdin::Terminal(size()), Feed::nothing()),
        };
        let descriptors: Vec<_> = with.iter().map(AsFd::as_fd).collect();
        channel.send(&Request::Run(Box::new(job), stdin), &descriptors)?;
        drop(with);
        let outputs = [
            Output { stream: Stream::Stdout, pipe: Some(stdout) },
            Output { stream: Stream::Stderr, pipe: Some(stderr) },
        ];
        let terminal = None;
        let mut watch =
            Watch { sandbox: self, channel, wake, input, feed, terminal, outputs, output, stopping: None };
        let reply = watch.until_reply()?;
        watch.drain()?;
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        outcome(reply)
    }

    /// Which root file system drivers work here, each with its refusal (`info`): `live` is a scratch directory of the
    /// store.
    pub fn probe(&self, live: &Path) -> Result<Probe, Error> {
        match self.ask(Some(live), &Request::Probe(live.to_path_buf()))? {
            Reply::Probed(Trials { drivers, transport, no_rings, no_companions }) => {
                let drivers = drivers.into_iter().map(|(driver, why)| (driver, why.map_or(Ok(()), Err)));
                Ok(Probe { drivers: drivers.collect(), transport, no_rings, no_companions })
            }
            other => Err(unexpected(other)),
        }
    }

    /// Whose the files of its jobs can be.
    pub fn owners(&self) -> Owners {
        if self.ids > 1 { Owners::Mapped } else { Owners::Recorded }
    }

    /// What else works in this sandbox.
    pub(super) fn attempts(&self) -> Result<Vec<Attempt>, Error> {
        match self.ask(None, &Request::Try)? {
            Reply::Tried(attempts) => Ok(attempts),
            other => Err(unexpected(other)),
        }
    }

    /// Brings a network up and takes it down again (`info`). Returns the program that carried its packets, if it takes one.
    ///
    /// Errors with [`Error::Refused`] saying why it does not work here.
    pub fn probe_network(&self, network: &Network) -> Result<Option<String>, Error> {
        match self.ask(None, &Request::ProbeNetwork(network.clone()))? {
            Reply::ProbedNetwork(program) => Ok(program),
            other => Err(unexpected(other)),
        }
    }

    /// Removes directory trees that hold mapped ids (leftovers of a killed build). One that is gone already is fine.
    pub fn sweep(&self, dirs: &[PathBuf]) -> Result<(), Error> {
        match self.ask(None, &Request::Sweep(dirs.to_vec()))? {
            Reply::Swept => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Writes what the cache of RUN in `directory` holds into `tar`, owners as steps see them.
    pub fn pack_cache(&self, directory: &Path, tar: &File) -> Result<(), Error> {
        match self.ask_with(None, &Request::Pack(directory.to_path_buf()), &[tar.as_fd()])? {
            Reply::Packed => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Gives the cache of RUN in `directory`, which nobody else has, what `layer` holds in place of what it held. `live`:
    /// an empty directory of the store. Where it errors the cache is as it was.
    pub fn fill_cache(&self, directory: &Path, layer: &LayerFiles, live: &Path) -> Result<(), Error> {
        let (directory, layer) = (directory.to_path_buf(), layer.clone());
        let request = Request::Fill { directory, layer, live: live.to_path_buf() };
        match self.ask(Some(live), &request)? {
            Reply::Filled => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    fn ask(&self, live: Option<&Path>, request: &Request) -> Result<Reply, Error> {
        self.ask_with(live, request, &[])
    }

    fn ask_with(
        &self,
        live: Option<&Path>,
        request: &Request,
        with: &[BorrowedFd<'_>],
    ) -> Result<Reply, Error> {
        let channel = self.connect(live, None)?;
        channel.send(request, with)?;
        channel.receive()?.ok_or_else(|| self.died())
    }
}

fn outcome((reply, mut descriptors): (Reply, Vec<OwnedFd>)) -> Result<Outcome, Error> {
    match reply {
        Reply::Ran { exit, layer: None, .. } => {
            Ok(Outcome { exit, layer: None, traced: None, out_of_memory: None })
        }
        Reply::Ran { exit, layer: Some(summary), trace } => {
            let traced = trace.join(&mut descriptors)?;
            let index = descriptors
                .pop()
                .ok_or_else(|| Error::Protocol("a layer came without its index".to_owned()))?;
            Ok(Outcome { exit, layer: Some(summary.join(index)?), traced, out_of_memory: None })
        }
        other => Err(unexpected(other)),
    }
}

fn unexpected(reply: Reply) -> Error {
    match reply {
        Reply::Refused(why) => Error::Refused(why),
        Reply::Stopped => Error::Cancelled,
        other => Error::Protocol(format!("{other:?} out of turn")),
    }
}

/// One of the command's outputs. `None`: it has ended.
struct Output {
    stream: Stream,
    pipe: Option<OwnedFd>,
}

/// The terminal of a command.
struct Terminal {
    /// Its outer end.
    master: OwnedFd,
    size: WindowSize,
}

/// A job being watched.
struct Watch<'a> {
    sandbox: &'a Sandbox,
    channel: Channel,
    wake: Wake,
    input: Input<'a>,
    feed: Feed<'a>,
    terminal: Option<Terminal>,
    outputs: [Output; 2],
    output: &'a (dyn Fn(Stream, &[u8]) + Sync),
    /// Until when a cancelled job may take.
    stopping: Option<Instant>,
}

/// What a poll found ready.
struct Ready {
    reply: bool,
    wake: bool,
    input: bool,
    outputs: [bool; 2],
}

impl Watch<'_> {
    fn until_reply(&mut self) -> Result<(Reply, Vec<OwnedFd>), Error> {
        loop {
            let ready = self.poll(self.timeout())?;
            self.copy(ready.outputs)?;
            if ready.input {
                self.feed.advance()?;
            }
            self.resize()?;
            if ready.reply {
                match self.channel.receive_any()?.ok_or_else(|| self.lost())? {
                    (Reply::Terminal, descriptors) => self.take_terminal(descriptors)?,
                    answer => return Ok(answer),
                }
            }
            match self.stopping {
                None if ready.wake => self.stop()?,
                Some(deadline) if Instant::now() >= deadline => {
                    // it does not answer: its init kills every process as soon as the control connection ends
                    self.sandbox.control.shut_down()?;
                    self.stopping = Some(Instant::now() + STOPPING);
                }
                _ => {}
            }
        }
    }

    /// Begins to type and to read at the terminal of the command: it has no other streams.
    fn take_terminal(&mut self, mut descriptors: Vec<OwnedFd>) -> Result<(), Error> {
        let (Some(master), Input::Terminal { from, size }) = (descriptors.pop(), self.input) else {
            return Err(Error::Protocol("a terminal that nobody asked for".to_owned()));
        };
        self.feed = Feed::terminal(from, master.try_clone()?)?;
        self.outputs[0].pipe = Some(master.try_clone()?);
        self.terminal = Some(Terminal { master, size: size() });
        Ok(())
    }

    /// Makes the command's terminal as large as the user's by now.
    fn resize(&mut self) -> Result<(), Error> {
        let (Some(terminal), Input::Terminal { size, .. }) = (&mut self.terminal, self.input) else {
            return Ok(());
        };
        let now = size();
        if now != terminal.size {
            now.set(&terminal.master)?;
            terminal.size = now;
        }
        Ok(())
    }

    /// No process of the command is left, so whatever it wrote is in the pipes. A descriptor that it gave away to a
    /// process of the host would keep a pipe open: its end is not waited for.
    fn drain(&mut self) -> Result<(), Error> {
        self.feed = Feed::nothing();
        loop {
            let ready = self.poll(Some(Timespec::default()))?.outputs;
            if ready == [false; 2] {
                return Ok(());
            }
            self.copy(ready)?;
        }
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.stopping = Some(Instant::now() + STOPPING);
        match self.channel.send(&Interrupt::Stop, &[]) {
            // it has ended in the meantime: the reply is on its way
            Err(Error::Kernel(error)) if error.errno() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {
                Ok(())
            }
            other => other,
        }
    }

    /// The connection ended without a reply.
    fn lost(&self) -> Error {
        if self.stopping.is_some() { Error::Cancelled } else { self.sandbox.died() }
    }

    fn timeout(&self) -> Option<Timespec> {
        let left = match (self.stopping, &self.terminal) {
            (Some(deadline), _) => deadline.saturating_duration_since(Instant::now()),
            (None, Some(_)) => LOOK,
            (None, None) => return None,
        };
        Some(Timespec::try_from(left).expect("a few seconds"))
    }

    fn poll(&self, timeout: Option<Timespec>) -> Result<Ready, Error> {
        let mut polled = vec![PollFd::new(&self.channel, PollFlags::IN)];
        // the wake descriptor stays readable for good: it is waited for once
        let wake =
            place(&mut polled, self.stopping.is_none().then(|| PollFd::new(&self.wake, PollFlags::IN)));
        let input = place(&mut polled, self.feed.polled());
        let outputs = self.outputs.each_ref().map(|output| {
            place(&mut polled, output.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)))
        });
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let is_ready = |place: Option<usize>| place.is_some_and(|at| !polled[at].revents().is_empty());
        Ok(Ready {
            reply: is_ready(Some(0)),
            wake: is_ready(wake),
            input: is_ready(input),
            outputs: outputs.map(is_ready),
        })
    }

    fn copy(&mut self, ready: [bool; 2]) -> Result<(), Error> {
        for (output, _) in self.outputs.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            let Some(pipe) = &output.pipe else { continue };
            let mut chunk = vec![0; CHUNK];
            match rustix::io::read(pipe, &mut chunk) {
                // EIO: nobody has the terminal open any more
                Ok(0) | Err(rustix::io::Errno::IO) => output.pipe = None,
                Ok(len) => (self.output)(output.stream, &chunk[..len]),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// Adds what is to be waited for, if anything is, and says where.
fn place<'p>(polled: &mut Vec<PollFd<'p>>, one: Option<PollFd<'p>>) -> Option<usize> {
    polled.push(one?);
    Some(polled.len() - 1)
}
