//! The last step of a step: turning into the command.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

use crate::error::{Error, refused};

/// Replaces this process by `program`. Returns only the errno that prevented it.
pub fn execute(program: &CStr, arguments: &[CString], environment: &[CString]) -> std::io::Error {
    match nix::unistd::execve(program, arguments, environment) {
        Err(errno) => errno.into(),
    }
}

/// Strings for `execute`. Errors with [`Error::Nul`] naming the string.
pub fn c_strings(what: &'static str, texts: &[String]) -> Result<Vec<CString>, Error> {
    let convert =
        |text: &String| CString::new(text.as_str()).map_err(|_| Error::Nul { what, text: text.clone() });
    texts.iter().map(convert).collect()
}

/// Makes three open files the standard input, output and error of this process.
pub fn set_stdio(input: BorrowedFd<'_>, output: BorrowedFd<'_>, error: BorrowedFd<'_>) -> Result<(), Error> {
    rustix::stdio::dup2_stdin(input).map_err(refused("dup2(standard input)"))?;
    rustix::stdio::dup2_stdout(output).map_err(refused("dup2(standard output)"))?;
    rustix::stdio::dup2_stderr(error).map_err(refused("dup2(standard error)"))
}

/// Gives standard output and error to a user, who may then open them anew (`/dev/stdout`). Where the kernel refuses, they
/// stay usable as they are.
pub fn own_outputs(user: u32, group: u32) -> Result<(), Error> {
    let (owner, group) = (Some(rustix::fs::Uid::from_raw(user)), Some(rustix::fs::Gid::from_raw(group)));
    for output in [rustix::stdio::stdout(), rustix::stdio::stderr()] {
        match rustix::fs::fchown(output, owner, group) {
            Ok(()) | Err(rustix::io::Errno::PERM | rustix::io::Errno::INVAL) => {}
            Err(errno) => return Err(refused(format!("give the outputs to user {user}"))(errno)),
        }
    }
    Ok(())
}

/// Takes the socket that a parent passed as standard input; `/dev/null` takes its place.
pub fn take_stdin() -> Result<std::os::fd::OwnedFd, Error> {
    let taken = std::io::stdin().as_fd().try_clone_to_owned().map_err(refused("dup(standard input)"))?;
    let null = std::fs::File::open("/dev/null").map_err(refused("open /dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(refused("dup2(standard input)"))?;
    Ok(taken)
}
