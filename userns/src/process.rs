//! Processes: fork, how they end, and what they must not inherit.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions};

use crate::error::{Error, refused};

/// The exit code of a child that panicked, as Rust's own.
const PANICKED: i32 = 101;

/// A child of this process, held by a descriptor: its number cannot be mistaken for a later process's.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

/// Runs `child` in a copy of this process, which exits with the code it returns.
///
/// Errors with [`Error::Threads`] where a second thread exists.
pub fn fork(child: impl FnOnce() -> i32) -> Result<Child, Error> {
    match threads()? {
        1 => {}
        threads => return Err(Error::Threads(threads)),
    }
    // SAFETY: this process has one thread (counted above), so no lock is held by a thread the child would not have.
    match unsafe { nix::unistd::fork() }.map_err(refused("fork"))? {
        nix::unistd::ForkResult::Child => {
            let code = catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANICKED);
            // SAFETY: `_exit` takes a plain number and never returns; the parent's exit handlers must not run here.
            unsafe { libc::_exit(code) }
        }
        nix::unistd::ForkResult::Parent { child } => Child::adopt(child.as_raw()),
    }
}

/// The number of threads of this process: every thread is a directory in `/proc/self/task`.
fn threads() -> Result<u64, Error> {
    let tasks = rustix::fs::stat("/proc/self/task").map_err(refused("stat /proc/self/task"))?;
    #[expect(clippy::useless_conversion, reason = "st_nlink is 32 bits wide on some architectures")]
    Ok(u64::from(tasks.st_nlink).saturating_sub(2))
}

/// Has the calling thread run only where nobody else wants the CPU (`SCHED_IDLE`, sched(7)). Without a privilege this
/// cannot be taken back.
pub fn give_way() -> Result<(), Error> {
    let parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread; the parameter is live for the call and only read.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameter) } {
        0 => Ok(()),
        _ => Err(refused("sched_setscheduler(SCHED_IDLE)")(io::Error::last_os_error())),
    }
}

impl Child {
    /// `pid` is an unreaped child of this process, so the number is still its own.
    fn adopt(pid: i32) -> Result<Self, Error> {
        let pid = Pid::from_raw(pid).ok_or(Error::Threads(0))?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .map_err(refused(format!("pidfd_open({})", pid.as_raw_nonzero())))?;
        Ok(Self { pid, pidfd })
    }

    /// Its number in this process's pid namespace.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal. A child that has ended already takes it silently.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        match rustix::process::pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(refused(format!("signal process {}", self.pid.as_raw_nonzero()))(errno)),
        }
    }

    /// Waits for its end.
    pub fn wait(&self) -> Result<Ended, Error> {
        loop {
            match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Ok(Some(status)) => return Ok(Ended::of(&status)),
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => {
                    return Err(refused(format!("wait for process {}", self.pid.as_raw_nonzero()))(errno));
                }
            }
        }
    }

    /// Whether it has a handler of its own for `signal`: without one, the first process of a pid namespace never sees it.
    ///
    /// A child that has ended already handles nothing.
    pub fn handles(&self, signal: Signal) -> Result<bool, Error> {
        let Some(pid) = self.pid_in_proc()? else { return Ok(false) };
        let status = match std::fs::read_to_string(format!("/proc/{pid}/status")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other.map_err(refused(format!("read /proc/{pid}/status")))?,
        };
        let caught = field(&status, "SigCgt:").and_then(|mask| u64::from_str_radix(mask, 16).ok());
        Ok(caught.is_some_and(|caught| caught & (1 << (signal.as_raw() - 1)) != 0))
    }

    /// Its number in the pid namespace that `/proc` shows, which need not be this process's. `None`: it has ended.
    fn pid_in_proc(&self) -> Result<Option<u32>, Error> {
        let path = format!("/proc/self/fdinfo/{}", self.pidfd.as_raw_fd());
        let text = std::fs::read_to_string(&path).map_err(refused(format!("read {path}")))?;
        Ok(field(&text, "Pid:").and_then(|pid| pid.parse().ok()))
    }
}

/// The value of a line `name value`, as files of /proc have them.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// Readable once the child has ended.
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Ended {
    fn of(status: &rustix::process::WaitIdStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Code(PANICKED),
        }
    }
}

/// Waits for any child, also an orphan that fell to this process. `None`: there is no child left.
pub fn reap() -> Result<Option<(Pid, Ended)>, Error> {
    reap_with(WaitOptions::empty())
}

/// The same without waiting. `None`: no child has ended.
pub fn reap_ended() -> Result<Option<(Pid, Ended)>, Error> {
    reap_with(WaitOptions::NOHANG)
}

fn reap_with(options: WaitOptions) -> Result<Option<(Pid, Ended)>, Error> {
    loop {
        match rustix::process::wait(options) {
            Ok(Some((pid, status))) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => return Ok(Some((pid, Ended::Code(code)))),
                (None, Some(signal)) => return Ok(Some((pid, Ended::Signal(signal)))),
                (None, None) => {}
            },
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(None),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(refused("wait for any process")(errno)),
        }
    }
}

/// Kills every process of this pid namespace but the caller, which must be its first.
pub fn kill_all_others() -> Result<(), Error> {
    // kill(-1) of an ordinary process would take the whole session of the user with it
    assert!(rustix::process::getpid().is_init(), "only the first process of a pid namespace may do this");
    match nix::sys::signal::kill(nix::unistd::Pid::from_raw(-1), nix::sys::signal::Signal::SIGKILL) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(errno) => Err(refused("kill every process of the sandbox")(errno)),
    }
}

/// Has the kernel kill this process when its parent ends. Lost at a change of credentials: ask again after it.
pub fn die_with_parent() -> Result<(), Error> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(refused("prctl(PDEATHSIG)"))
}

/// The kernel's own `struct sigaction`; all zeros is the default action. The order of the fields between handler and mask
/// does not matter for that.
#[repr(C)]
#[derive(Default)]
struct KernelSigaction {
    handler: usize,
    flags: libc::c_ulong,
    restorer: usize,
    mask: u64,
}

/// Gives every signal its default action and unblocks all: Rust's runtime ignores SIGPIPE, and an ignored signal stays
/// ignored over `execve`.
pub fn reset_signals() -> Result<(), Error> {
    // not by the C library: it keeps two real-time signals to itself, which may be ignored all the same
    let default = KernelSigaction::default();
    for number in 1..=libc::SIGRTMAX() {
        if [libc::SIGKILL, libc::SIGSTOP].contains(&number) {
            continue;
        }
        // SAFETY: `default` is live and of the kernel's layout, with the true size of its mask; no handler is installed.
        let done = unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                std::ptr::from_ref(&default),
                std::ptr::null_mut::<KernelSigaction>(),
                size_of_val(&default.mask),
            )
        };
        if done != 0 {
            return Err(refused(format!("sigaction({number}, default)"))(io::Error::last_os_error()));
        }
    }
    nix::sys::signal::SigSet::empty().thread_set_mask().map_err(refused("unblock all signals"))
}

/// Closes every descriptor from 3 on: what the caller's parent forgot to close is none of ours.
pub fn close_inherited() -> Result<(), Error> {
    close_range(0)
}

/// Marks every descriptor from 3 on to be closed by `execve`.
pub fn close_at_exec() -> Result<(), Error> {
    close_range(libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(flags: libc::c_uint) -> Result<(), Error> {
    // SAFETY: plain numbers; no descriptor from 3 on is owned by anything when this process starts, and marking
    // descriptors close-on-exec takes none away.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, flags) };
    if done == 0 { Ok(()) } else { Err(refused("close_range(3..)")(io::Error::last_os_error())) }
}

/// Leaves the keyring of the user's session for an empty one, so that no step finds the user's keys.
pub fn leave_session_keyring() -> Result<(), Error> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring; the kernel reads no memory of ours.
    let keyring = unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>())
    };
    if keyring >= 0 {
        return Ok(());
    }
    let errno = io::Error::last_os_error();
    match errno.raw_os_error() {
        // no keyrings in this kernel, forbidden by an outer seccomp filter, or the user's quota of keys is used up
        Some(libc::ENOSYS | libc::EPERM | libc::EDQUOT) => Ok(()),
        _ => Err(refused("keyctl(join a new session keyring)")(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fork_is_refused_beside_other_threads() {
        // the test harness itself is a second thread
        match fork(|| 0) {
            Err(Error::Threads(threads)) => assert!(threads >= 2, "{threads}"),
            other => panic!("{other:?}"),
        }
    }
}
