//! Calls that another process answers (`seccomp_unotify(2)`).
//!
//! What the caller asked for is only as true as its memory stays, so nothing here may guard anything: whoever lets a call
//! through ([`Answer::Go`]) lets the kernel judge it as if nobody had looked.

pub mod call;
pub mod creation;
mod decode;
mod x86;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use seccompiler::sock_filter;

use super::assemble;
use crate::error::{Error, refused};
use call::{Call, Width};
pub use x86::Layout;

/// Which calls are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those about identities and owners.
    Owners,
    /// And those that make an inode.
    OwnersAndCreations,
}

/// The program that hands calls over, ready to be installed.
pub struct Handover(Vec<sock_filter>);

/// Where the handed-over calls arrive. It outlives the processes that make them and tells when the last is gone.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// A call that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// Names it to the kernel.
    id: u64,
    /// The thread that makes it, by its number in this process's pid namespace.
    pub thread: i32,
    /// What it asks for.
    pub call: Call,
    /// How wide ids are to it.
    pub ids: Width,
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The kernel does it, as if it had not been handed over.
    Go,
    /// It returns this.
    Value(i64),
    /// It fails with this number of an error.
    Errno(i32),
}

/// What becomes of a descriptor when its process turns into a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtExec {
    /// `O_CLOEXEC`
    Closes,
    /// It is the program's.
    Stays,
}

impl Handover {
    /// Hands over what [`Call`] knows of this scope, be it made the native way or, on 64-bit x86, that of 32-bit x86; everything else is
    /// as before. To other ways, x32 among them, there is no system call: nobody would answer.
    pub fn new(scope: Scope) -> Result<Self, Error> {
        #[cfg(target_arch = "x86_64")]
        let program = decode::rules(scope)
            .and_then(|native| x86::rules(scope).and_then(|x86| assemble::handover(native, Some(x86))));
        #[cfg(not(target_arch = "x86_64"))]
        let program = decode::rules(scope).and_then(|native| assemble::handover(native, None));
        program.map(Self).map_err(Error::Assemble)
    }

    /// Puts this process and its descendants under the program for good.
    ///
    /// Errors with EBUSY where an outer program has a listener already: the kernel allows one.
    pub fn install(&self) -> Result<Listener, Error> {
        let request = || "install a seccomp filter with a listener".to_owned();
        // once a call is taken, only a deadly signal interrupts it: nothing is done twice. Linux 5.19
        let preferred = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        let descriptor = match super::load(&self.0, preferred) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                super::load(&self.0, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER).map_err(refused(request()))?
            }
            other => other.map_err(refused(request()))?,
        };
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows its number.
        Ok(Listener(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }
}

/// The size of what travels is the kernel's business; ours must be no smaller.
type Notification = libc::seccomp_notif;
type Response = libc::seccomp_notif_resp;

impl Listener {
    /// Takes a descriptor that should be one.
    pub fn from_descriptor(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// Lets the caller and us hand the processor to each other. Linux 6.6; without it everything is only slower.
    pub fn wake_in_turn(&self) {
        const SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: libc::c_ulong = 1;
        // SAFETY: the request takes a plain number; an older kernel answers EINVAL and changes nothing.
        unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP,
            )
        };
    }

    /// Takes the next call. `None`: it is gone again, or there is none.
    pub fn receive(&self) -> Result<Option<Waiting>, Error> {
        let mut notification = MaybeUninit::<Notification>::zeroed();
        // SAFETY: all zeros is what the kernel wants to find there, and it writes at most this structure.
        let done = unsafe {
            libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, notification.as_mut_ptr())
        };
        if done != 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOENT | libc::EINTR) => Ok(None),
                _ => Err(refused("receive a system call")(error)),
            };
        }
        // SAFETY: plain old data, zeroed before, filled by the kernel since.
        let notification = unsafe { notification.assume_init() };
        let (id, data) = (notification.id, notification.data);
        match decode(data.arch, data.nr, data.args) {
            Some((call, ids)) => Ok(Some(Waiting { id, thread: notification.pid.cast_signed(), call, ids })),
            None => self.answer_id(id, Answer::Go).map(|()| None),
        }
    }

    /// Whether the caller still waits, and so whether its number still means the same thread.
    pub fn is_waiting(&self, waiting: &Waiting) -> bool {
        // SAFETY: the id is live for the call and only read.
        let done = unsafe {
            libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const waiting.id)
        };
        done == 0
    }

    /// Lets the caller go on. One that is gone is fine.
    pub fn answer(&self, waiting: &Waiting, answer: Answer) -> Result<(), Error> {
        self.answer_id(waiting.id, answer)
    }

    /// Gives the caller, who goes on waiting, a descriptor of its own. Returns its number there. Errors with EMFILE where it
    /// may have no more, and with ENOENT if it is gone. Linux 5.9.
    pub fn hand(&self, waiting: &Waiting, descriptor: BorrowedFd<'_>, at_exec: AtExec) -> io::Result<i32> {
        let newfd_flags = match at_exec {
            AtExec::Closes => libc::O_CLOEXEC.unsigned_abs(),
            AtExec::Stays => 0,
        };
        let srcfd = descriptor.as_raw_fd().cast_unsigned();
        let request = libc::seccomp_notif_addfd { id: waiting.id, flags: 0, srcfd, newfd: 0, newfd_flags };
        // SAFETY: the request is live for the call and only read.
        let number =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const request) };
        if number < 0 { Err(io::Error::last_os_error()) } else { Ok(number) }
    }

    fn answer_id(&self, id: u64, answer: Answer) -> Result<(), Error> {
        let (val, error, flags) = match answer {
            Answer::Go => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE),
            Answer::Value(value) => (value, 0, 0),
            Answer::Errno(errno) => (0, -errno, 0),
        };
        #[expect(clippy::cast_possible_truncation, reason = "one flag, bit 0")]
        let response = Response { id, val, error, flags: flags as u32 };
        // SAFETY: the response is live for the call and only read.
        let done =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response) };
        if done == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ENOENT) => Ok(()),
            _ => Err(refused("answer a system call")(error)),
        }
    }
}

/// Reads a call by the architecture whose way it was made. `None`: one that was not asked for.
fn decode(arch: u32, number: i32, arguments: [u64; 6]) -> Option<(Call, Width)> {
    match arch {
        assemble::NATIVE => Call::decode(number, arguments).map(|call| (call, Width::Wide)),
        #[cfg(target_arch = "x86_64")]
        assemble::X86 => x86::decode(number, arguments),
        _ => None,
    }
}

/// Readable when a call waits; hung up when the last process under the program is gone.
impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
