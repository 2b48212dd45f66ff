//! A socket of another process, and who is at its other end.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// Opens for this process what another has open as `number`. `process`: the one that the thread belongs to, where it is
/// known; before Linux 6.9 a thread that is not the first of its process cannot be asked itself.
pub fn borrow(thread: i32, process: Option<i32>, number: i32) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    let none = || io::Error::from_raw_os_error(libc::ESRCH);
    // `PIDFD_THREAD`
    let of_thread = PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned());
    let open = |number, flags| Ok(pidfd_open(Pid::from_raw(number).ok_or_else(none)?, flags)?);
    let pidfd: OwnedFd = open(thread, of_thread)
        .or_else(|_: io::Error| open(process.unwrap_or(thread), PidfdFlags::empty()))?;
    Ok(pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty())?)
}

/// What the kernel noted when a connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// By its number in this process's pid namespace; `None`: it has none there.
    pub process: Option<i32>,
    /// The effective user.
    pub user: u32,
    /// The effective group.
    pub group: u32,
}

impl Credentials {
    /// Of the other end of a unix socket. What no connection was made to has no process.
    pub fn of_peer(socket: &OwnedFd) -> io::Result<Self> {
        let mut credentials = MaybeUninit::<libc::ucred>::zeroed();
        let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or(0);
        // SAFETY: both are live; the kernel writes at most `length` bytes, which is the structure's size, and the length.
        let done = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                credentials.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: three plain numbers, zeroed before, filled by the kernel since.
        let libc::ucred { pid, uid, gid } = unsafe { credentials.assume_init() };
        Ok(Self { process: (pid > 0).then_some(pid), user: uid, group: gid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_of_a_borrowed_socket_is_known() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let here = std::process::id().cast_signed();
        let borrowed = borrow(here, None, one.as_raw_fd()).unwrap();
        let found = Credentials::of_peer(&borrowed).unwrap();
        assert_eq!((found.process, found.user), (Some(here), rustix::process::geteuid().as_raw()));
        let unconnected = OwnedFd::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        assert_eq!(Credentials::of_peer(&unconnected).unwrap().process, None);
        assert_eq!(borrow(here, None, -1).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
