//! The keeper: the processes behind a private network.
//!
//! ```text
//! supervisor                     enters the namespace, and starts the step there
//!  └ keeper                      waits for the supervisor's word that the step is over
//!     └ init                     the first process of a pid namespace, alone in the new network namespace
//!        └ pasta | slirp4netns   in the host's network; carries the packets of the other
//! ```
//!
//! However often the program forks, it ends with its init, which ends with the keeper, which ends with the supervisor:
//! whoever is killed, nothing is left.
//!
//! The program finds the namespace as `/proc/PID/ns/net` of the init: of a name there, confined programs (`AppArmor`) may
//! always open it. The kernel lets them look at a process only if it can do no more than they; so the init gives up
//! every capability before the program starts.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rbuild_userns::caps::Capabilities;
use rbuild_userns::namespace::{self, Namespace, unshare};
use rbuild_userns::process::{self, Child, Ended};
use rbuild_userns::spawn;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::MemfdFlags;
use rustix::io::{Errno, FdFlags};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::super::BROKEN;
use super::Lack;
use super::program::{Program, Says};
use crate::runtime::wire::{Channel, in_words};

/// How much of what a program says is repeated, in bytes.
const WORDS: u64 = 2000;

/// What the init says to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum News {
    /// The network is there; the descriptor of its namespace comes along.
    Ready,
    /// There will be none.
    Failed(String),
}

/// Keeps a private network up.
pub(super) struct Keeper {
    process: Child,
    channel: Channel,
    program: &'static str,
}

impl Keeper {
    /// Starts the program. Returns when the network is there, with the descriptor of its namespace.
    pub(super) fn start(program: &Program) -> Result<(Self, OwnedFd), Lack> {
        let (channel, theirs) = Channel::pair()?;
        let process = process::fork(|| keep(program, &theirs))?;
        drop(theirs);
        let keeper = Self { process, channel, program: program.kind.name() };
        match keeper.channel.receive_any()? {
            Some((News::Ready, mut namespace)) if namespace.len() == 1 => {
                Ok((keeper, namespace.pop().expect("there is one")))
            }
            Some((News::Failed(why), _)) => {
                keeper.process.wait()?;
                Err(Lack::Refused(why))
            }
            _ => {
                keeper.process.wait()?;
                Err(Lack::Ended { program: keeper.program, words: "it ended without a word".to_owned() })
            }
        }
    }

    /// Ends the program. Errors with [`Lack::Lost`] if it had ended before.
    pub(super) fn end(self) -> Result<(), Lack> {
        self.channel.shut_down()?;
        match self.process.wait()? {
            Ended::Code(0) => Ok(()),
            _ => Err(Lack::Lost(self.program)),
        }
    }

    pub(super) fn program(&self) -> &'static str {
        self.program
    }
}

/// In the keeper. Returns its exit code.
fn keep(program: &Program, supervisor: &Channel) -> i32 {
    let start = || {
        process::die_with_parent()?;
        // it alone sees what the program becomes
        unshare(&[Namespace::Pid])?;
        process::fork(|| hold(program, supervisor))
    };
    let kept = start().map_err(Lack::from).and_then(|init| until_over(&init, supervisor));
    match kept {
        Ok(code) => code,
        Err(lack) => report(supervisor, &lack),
    }
}

/// Waits until the supervisor has enough, and ends the init and all that it started.
fn until_over(init: &Child, supervisor: &Channel) -> Result<i32, Lack> {
    let mut polled = [PollFd::new(init, PollFlags::IN), PollFd::new(supervisor, PollFlags::IN)];
    while let Err(Errno::INTR) = rustix::event::poll(&mut polled, None) {}
    let [ended, _] = polled.map(|one| !one.revents().is_empty());
    init.signal(Signal::KILL)?;
    init.wait()?;
    Ok(if ended { BROKEN } else { 0 })
}

/// In the init. Returns only if the network is lost, or there never was one.
fn hold(program: &Program, supervisor: &Channel) -> i32 {
    let held = attach(program).and_then(|namespace| {
        supervisor.send(&News::Ready, &[namespace.as_fd()])?;
        // every process of the program falls to this one when its parent has ended
        while process::reap()?.is_some() {}
        Ok(())
    });
    match held {
        Ok(()) => BROKEN,
        Err(lack) => report(supervisor, &lack),
    }
}

fn report(supervisor: &Channel, lack: &Lack) -> i32 {
    if let Err(unheard) = supervisor.send(&News::Failed(in_words(lack)), &[]) {
        eprintln!("{}; and {}", in_words(lack), in_words(&unheard));
    }
    BROKEN
}

/// Makes the namespace around this process and has the program, which stays outside, attached to it.
fn attach(program: &Program) -> Result<OwnedFd, Lack> {
    process::die_with_parent()?;
    let (go, theirs) = Channel::pair()?;
    let (mut ready, ready_writer) = std::io::pipe().map_err(Lack::Open)?;
    let mut words = memory_file()?;
    let starter = process::fork(|| start(program, &theirs, ready_writer.as_fd(), words.as_fd()))?;
    drop((theirs, ready_writer));
    unshare(&[Namespace::Net])?;
    namespace::bring_loopback_up()?;
    Capabilities::default().assume()?;
    let namespace = File::open("/proc/self/ns/net").map_err(Lack::Open)?;
    // the number of this process in the /proc that the program sees
    let this = std::fs::read_link("/proc/self").map_err(Lack::Open)?;
    go.send(&format!("/proc/{}/ns/net", this.display()), &[])?;
    let is_ready = match program.says_ready() {
        Says::ByWriting => ready.read(&mut [0]).map_err(Lack::Open)? == 1,
        Says::ByExiting => starter.wait()? == Ended::Code(0),
    };
    if is_ready { Ok(namespace.into()) } else { Err(ended(program, &mut words)) }
}

/// What the program said, without its complaints about a log that no sandbox has.
fn ended(program: &Program, words: &mut File) -> Lack {
    let mut said = Vec::new();
    let read = words.rewind().and_then(|()| words.take(WORDS).read_to_end(&mut said));
    let words = match read {
        Ok(_) => sense(&String::from_utf8_lossy(&said)),
        Err(error) => format!("what it said cannot be read: {error}"),
    };
    Lack::Ended { program: program.kind.name(), words }
}

fn sense(said: &str) -> String {
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains("syslog"));
    let lines: Vec<&str> = lines.collect();
    if lines.is_empty() { "it says nothing".to_owned() } else { lines.join("; ") }
}

/// In the child that turns into the program.
fn start(
    program: &Program,
    go: &Channel,
    ready: std::os::fd::BorrowedFd<'_>,
    words: std::os::fd::BorrowedFd<'_>,
) -> i32 {
    let execute = || -> Result<std::io::Error, Lack> {
        let Some(namespace) = go.receive::<String>()? else {
            return Ok(std::io::Error::other("its namespace did not come to be"));
        };
        let null = File::open("/dev/null").map_err(Lack::Open)?;
        spawn::set_stdio(null.as_fd(), words, words)?;
        process::reset_signals()?;
        process::close_at_exec()?;
        if program.says_ready() == Says::ByWriting {
            rustix::io::fcntl_setfd(ready, FdFlags::empty()).map_err(|errno| Lack::Open(errno.into()))?;
        }
        let arguments = spawn::c_strings("argument", &program.command_line(&namespace, ready.as_raw_fd()))?;
        let path = spawn::c_strings("program", &[program.path.display().to_string()])?;
        Ok(spawn::execute(&path[0], &arguments, &[]))
    };
    let why = match execute() {
        Ok(error) => format!("{}: {error}", program.path.display()),
        Err(lack) => in_words(&lack),
    };
    match rustix::io::write(words, why.as_bytes()) {
        Ok(_) | Err(_) => BROKEN,
    }
}

fn memory_file() -> Result<File, Lack> {
    rustix::fs::memfd_create("network-words", MemfdFlags::CLOEXEC)
        .map(File::from)
        .map_err(|errno| Lack::Open(errno.into()))
}

#[cfg(test)]
mod tests {
    use super::sense;

    #[test]
    fn what_a_program_says_is_repeated_without_noise() {
        let rows = [
            (
                "Failed to send 47 bytes to syslog\nCouldn't open\nFailed to send 1 bytes to syslog\n",
                "Couldn't open",
            ),
            ("one\n\n  two\n", "one; two"),
            ("\n", "it says nothing"),
        ];
        for (said, want) in rows {
            assert_eq!(sense(said), want, "{said:?}");
        }
    }
}
