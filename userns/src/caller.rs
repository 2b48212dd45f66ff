//! Another process, looked at while it waits in a system call: its memory, and a mark that it hands down to its children.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// The most bytes of a path, the ending zero included.
pub const PATH_MAX: usize = 4096;
/// Memory is there or not there in pages.
const PAGE: u64 = 4096;

/// Reads `buffer.len()` bytes of the memory of a process. Errors with EFAULT if they are not all there.
pub fn read(thread: i32, from: u64, buffer: &mut [u8]) -> io::Result<()> {
    match read_some(thread, from, buffer)? {
        whole if whole == buffer.len() => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::EFAULT)),
    }
}

fn read_some(thread: i32, from: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: address(from)?, iov_len: buffer.len() };
    // SAFETY: `buffer` is live and of the length given; the other address is the other process's and judged by the kernel.
    let done = unsafe { libc::process_vm_readv(thread, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(done).map_err(|_| io::Error::last_os_error())
}

/// Writes into the memory of a process. Errors with EFAULT if it may not be written.
pub fn write(thread: i32, to: u64, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: address(to)?, iov_len: bytes.len() };
    // SAFETY: `bytes` is live, of the length given and only read; the other address is judged by the kernel.
    let done = unsafe { libc::process_vm_writev(thread, &raw const local, 1, &raw const remote, 1, 0) };
    match usize::try_from(done) {
        Ok(whole) if whole == bytes.len() => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EFAULT)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Reads the C string at an address into `path`, without its zero. Errors with EFAULT, or ENAMETOOLONG from
/// [`PATH_MAX`] on.
pub fn read_path(thread: i32, from: u64, path: &mut Vec<u8>) -> io::Result<()> {
    /// Most paths are shorter.
    const FIRST: usize = 256;
    let start = path.len();
    loop {
        let read = path.len() - start;
        let at = from.checked_add(read as u64).ok_or_else(|| io::Error::from_raw_os_error(libc::EFAULT))?;
        // up to the end of a page, since the next one may not be there
        let in_page = usize::try_from(PAGE - at % PAGE).unwrap_or(FIRST);
        let wanted = in_page.min(if read == 0 { FIRST } else { PATH_MAX });
        let mut chunk = [0; PATH_MAX];
        let count = read_some(thread, at, &mut chunk[..wanted])?;
        let end = chunk[..count].iter().position(|&byte| byte == 0);
        path.extend(&chunk[..end.unwrap_or(count)]);
        if path.len() - start >= PATH_MAX {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        if end.is_some() {
            return Ok(());
        }
        if count < wanted {
            return Err(io::Error::from_raw_os_error(libc::EFAULT));
        }
    }
}

fn address(value: u64) -> io::Result<*mut libc::c_void> {
    let value = usize::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EFAULT))?;
    Ok(std::ptr::without_provenance_mut(value))
}

/// Sends a process a signal, by its number.
pub fn signal(process: i32, number: i32) -> io::Result<()> {
    // SAFETY: plain numbers, which the kernel judges.
    if unsafe { libc::kill(process, number) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What a process carries and its children inherit, over `fork` and `execve` alike: the soft limit of file locks, which
/// Linux has not looked at since 2.4 (`setrlimit(2)`, `RLIMIT_LOCKS`).
///
/// The threads of a process share it. A program that sets all its limits (`pam_limits(8)`) would lose it: calls about this
/// one are handed over, too.
pub fn mark(thread: i32) -> io::Result<u64> {
    limits(thread, None).map(|limits| limits.rlim_cur)
}

/// Marks a process. Returns the mark that it had. Errors with EINVAL where its hard limit is below.
pub fn set_mark(thread: i32, mark: u64) -> io::Result<u64> {
    let hard = limits(thread, None)?.rlim_max;
    limits(thread, Some(libc::rlimit64 { rlim_cur: mark, rlim_max: hard })).map(|before| before.rlim_cur)
}

/// Its number.
#[cfg(target_env = "gnu")]
pub(crate) const LIMIT: u32 = libc::RLIMIT_LOCKS;
#[cfg(not(target_env = "gnu"))]
pub(crate) const LIMIT: u32 = libc::RLIMIT_LOCKS.unsigned_abs();

/// What stands in the place of a mark that was never set.
pub const NO_MARK: u64 = libc::RLIM64_INFINITY;

fn limits(thread: i32, new: Option<libc::rlimit64>) -> io::Result<libc::rlimit64> {
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `new` is null or points to a live limit that is only read; `old` is live, and the kernel writes one limit.
    let done = unsafe { libc::prlimit64(thread, libc::RLIMIT_LOCKS, new, &raw mut old) };
    if done == 0 { Ok(old) } else { Err(io::Error::last_os_error()) }
}

/// Leaves the root and working directory that the threads of this process share: from here on this thread has its own.
pub fn unshare_directories() -> io::Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).map_err(Into::into)
}

/// Gives the calling thread a table of descriptors of its own, with none in it but the first three and those that are kept.
///
/// A thread that waits for a file system of its own process and is killed there waits for ever if its table holds the
/// connection, which would end with it otherwise. Whatever owns a descriptor of the old table has to be dropped elsewhere.
pub fn leave_descriptors(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES)?;
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    kept.sort_unstable();
    let mut first = 3;
    for number in kept {
        if number > first {
            close_range(first, number - 1)?;
        }
        first = first.max(number + 1);
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: plain numbers. What is closed is closed in this thread's own new table; owners elsewhere keep theirs.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> i32 {
        std::process::id().cast_signed()
    }

    fn address_of(bytes: &[u8]) -> u64 {
        bytes.as_ptr().expose_provenance() as u64
    }

    #[test]
    fn memory_is_read_and_written_or_efault() {
        let text = b"one\0two".to_vec();
        let mut path = b"/proc/".to_vec();
        read_path(here(), address_of(&text), &mut path).unwrap();
        assert_eq!(path, b"/proc/one");
        let mut buffer = [0; 7];
        read(here(), address_of(&text), &mut buffer).unwrap();
        assert_eq!(&buffer, b"one\0two");
        for bad in [0, 8, u64::MAX] {
            let error = read_path(here(), bad, &mut path).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EFAULT), "{bad:#x}");
            assert_eq!(write(here(), bad, b"x").unwrap_err().raw_os_error(), Some(libc::EFAULT), "{bad:#x}");
        }
    }

    #[test]
    fn a_thread_keeps_what_it_asks_for() {
        use std::os::fd::AsFd as _;
        let files: Vec<_> = (0..5).map(|_| std::fs::File::open("/").unwrap()).collect();
        let is_open = |file: &std::fs::File| file.metadata().is_ok();
        std::thread::scope(|scope| {
            let apart = scope.spawn(|| {
                leave_descriptors(&[files[3].as_fd(), files[1].as_fd(), std::io::stderr().as_fd()]).unwrap();
                files.iter().map(is_open).collect::<Vec<_>>()
            });
            assert_eq!(apart.join().unwrap(), [false, true, false, true, false]);
        });
        assert!(files.iter().all(is_open), "the others' table");
    }

    #[test]
    fn a_path_ends_somewhere() {
        for (len, fits) in [(0, true), (255, true), (256, true), (4095, true), (4096, false), (9000, false)] {
            let mut text = vec![b'x'; len];
            text.push(0);
            let mut path = Vec::new();
            let read = read_path(here(), address_of(&text), &mut path);
            assert_eq!(read.is_ok(), fits, "{len}");
            assert!(!fits || path.len() == len, "{len}");
        }
    }
}
