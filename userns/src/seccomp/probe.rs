//! Whether this process may have a filter that asks a supervisor.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use crate::error::{Error, refused};

/// Installs a filter that allows everything and has a listener, which is closed again. For good: try it in a child.
///
/// Without `no_new_privs` this needs `CAP_SYS_ADMIN` in the user namespace.
pub fn try_listener() -> Result<(), Error> {
    let allow = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }; // return
    let program = libc::sock_fprog { len: 1, filter: std::ptr::from_ref(&allow).cast_mut() };
    // SAFETY: `program` points to one live instruction, which the kernel only reads.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            std::ptr::from_ref(&program),
        )
    };
    let Ok(listener @ 0..) = i32::try_from(listener) else {
        return Err(refused("install a seccomp filter with a listener")(io::Error::last_os_error()));
    };
    // SAFETY: the kernel has just made this descriptor, and nothing else knows it.
    drop(unsafe { OwnedFd::from_raw_fd(listener) });
    Ok(())
}
