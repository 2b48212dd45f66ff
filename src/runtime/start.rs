//! Starting and ending a sandbox.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rbuild_userns::idmap::{self, Mode};
use rustix::fs::MemfdFlags;

use super::wire::{Birth, Channel, Connect, Users};
use super::{Cancel, Error, Options};

/// How long a dying sandbox may take until its exit status is known.
const DYING: Duration = Duration::from_secs(5);
/// How much of what a dead sandbox wrote is repeated, in bytes.
const LAST_WORDS: usize = 4096;

/// A running sandbox: one per build. Dropping it ends it (and waits).
pub struct Sandbox {
    pub(super) control: Channel,
    pub(super) cancel: Cancel,
    mode: Mode,
    /// How many users it has.
    pub(super) ids: u32,
    process: Mutex<Child>,
    /// Its standard error, a memory file: empty unless something went wrong that could not be reported otherwise.
    log: File,
}

/// Whether `main` has begun with [`crate::init`].
static READY: AtomicBool = AtomicBool::new(false);

/// Says that this program, started again, would be a sandbox.
pub(crate) fn ready() {
    READY.store(true, Ordering::Relaxed);
}

impl Sandbox {
    /// Starts a sandbox: this program again, through `/proc/self/exe`, so its `main` must call [`crate::init`] first.
    ///
    /// `cancel` stops every job of it.
    pub fn start(options: &Options, cancel: Cancel) -> Result<Self, Error> {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        // Without it the sandbox would be this program at its beginning, which starts a sandbox.
        if !READY.load(Ordering::Relaxed) {
            return Err(Error::NotReady);
        }
        let mut plan = idmap::plan(options.idmap)?;
        let (uids, gids) = options.maps.clone();
        if uids.is_some() || gids.is_some() {
            plan = plan.with_maps(uids, gids)?;
        }
        let (control, theirs) = Channel::pair()?;
        let log = File::from(rustix::fs::memfd_create("sandbox-stderr", MemfdFlags::CLOEXEC)?);
        let process = Command::new("/proc/self/exe")
            .arg0("rbuild")
            .arg(crate::runtime::VERB)
            .env_clear()
            // the working directory is inherited: a relative path of a job means the same on both sides
            .stdin(Stdio::from(theirs.as_fd().try_clone_to_owned()?))
            .stdout(Stdio::null())
            .stderr(Stdio::from(log.try_clone()?))
            .spawn()
            .map_err(Error::Spawn)?;
        drop(theirs);
        let pid = rustix::process::Pid::from_child(&process);
        let sandbox = Self {
            control,
            cancel,
            mode: plan.mode,
            ids: plan.uids.len(),
            process: Mutex::new(process),
            log,
        };
        let users = if plan.needs_user_namespace() { Users::New } else { Users::Kept };
        sandbox.control.send(&Birth::Begin(users, options.groups), &[])?;
        sandbox.expect_birth(|news| matches!(news, Birth::Unshared))?;
        if users == Users::New {
            plan.apply(pid)?;
        }
        sandbox.control.send(&Birth::Mapped, &[])?;
        sandbox.expect_birth(|news| matches!(news, Birth::Ready))?;
        Ok(sandbox)
    }

    fn expect_birth(&self, expected: impl Fn(&Birth) -> bool) -> Result<(), Error> {
        match self.control.receive::<Birth>()? {
            Some(news) if expected(&news) => Ok(()),
            Some(Birth::Failed(why)) => Err(Error::Refused(why)),
            Some(other) => Err(Error::Protocol(format!("{other:?} out of turn"))),
            None => Err(self.died()),
        }
    }

    /// The way the ids were mapped, for `info`.
    pub fn idmap(&self) -> Mode {
        self.mode
    }

    /// Ends it and waits until no process of it is left.
    ///
    /// Errors with [`Error::Died`] if it had not been in good health.
    pub fn close(self) -> Result<(), Error> {
        self.end()
    }

    /// A new connection. Should this process die, the sandbox empties `live`; at its end it empties `shelf`.
    pub(super) fn connect(&self, live: Option<&Path>, shelf: Option<&Path>) -> Result<Channel, Error> {
        let (here, there) = Channel::pair()?;
        let (live, shelf) = (live.map(Path::to_path_buf), shelf.map(Path::to_path_buf));
        match self.control.send(&Connect { live, shelf }, &[there.as_fd()]) {
            Ok(()) => Ok(here),
            // EPIPE: nobody is there to read
            Err(Error::Kernel(error)) if error.errno() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {
                Err(self.died())
            }
            Err(error) => Err(error),
        }
    }

    /// The sandbox is gone or out of order: how it ended and what it said last.
    pub(super) fn died(&self) -> Error {
        let status = match self.wait_at_most(DYING) {
            Ok(Some(status)) => in_words(status),
            Ok(None) => "a part of it only".to_owned(),
            Err(error) => format!("its status cannot be told: {error}"),
        };
        Error::Died { status, last_words: self.last_words() }
    }

    fn end(&self) -> Result<(), Error> {
        self.control.shut_down()?;
        let status = self.process().wait()?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Died { status: in_words(status), last_words: self.last_words() })
    }

    fn wait_at_most(&self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + patience;
        loop {
            match self.process().try_wait()? {
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                status => return Ok(status),
            }
        }
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Child> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last_words(&self) -> String {
        let mut bytes = vec![0; LAST_WORDS];
        let start = self.log.metadata().map_or(0, |log| log.len()).saturating_sub(LAST_WORDS as u64);
        match self.log.read_at(&mut bytes, start) {
            Ok(0) => String::new(),
            Ok(len) => format!(":\n{}", String::from_utf8_lossy(&bytes[..len]).trim_end()),
            Err(error) => format!("; its last words cannot be read: {error}"),
        }
    }
}

/// An error has nobody to go to here: `close` tells it.
impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.end());
    }
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) if code > 128 => format!("killed by signal {}", code - 128),
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// What both sides of a pipe are.
pub(super) fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    let (reader, writer) = io::pipe()?;
    Ok((reader.into(), writer.into()))
}
