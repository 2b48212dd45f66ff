//! The server side of the sandbox: joins `rootfs` and `runtime`, and asks the kernel through `rbuild_userns`.
//!
//! The coordinator starts its own program again with a hidden verb. What it becomes:
//!
//! ```text
//! birth         enters new user and mount namespaces, waits for its id map, lays a read-only copy of the
//!  │            program aside, and from then on only waits for
//!  └ init       the first process of a new pid namespace: takes connections from the coordinator. When the
//!     │         coordinator is gone, it kills all, empties the live directories and ends: the namespaces
//!     │         take every mount with them
//!     ├ server      mounts, freezes and discards roots; the only one with threads
//!     └ supervisor  one per connection: asks the server for a root, starts
//!        └ step     the command, as the first process of namespaces of its own
//! ```
//!
//! Every fork happens in a process with a single thread. Nobody but the step sees the command's descriptors, so its
//! outputs end when it does. Nothing here prints: errors travel to the coordinator as words; standard error is a file
//! that it reads only when the sandbox died.

mod birth;
mod credentials;
mod error;
mod exec;
mod init;
mod netfiles;
mod root;
mod server;
mod step;
mod stop;
mod supervisor;
mod sweep;
mod system;
mod target;

use std::ffi::OsString;

use rbuild_userns::{process, spawn};

use crate::runtime::wire::{Channel, in_words};

pub(crate) use error::Error;

/// Where the sandbox keeps its mount points: a tmpfs of its own mount namespace. The directory is in every procfs, and
/// nothing that a volume could name lies beneath it.
const SCRATCH: &str = "/proc/driver";
/// The part of it that the server of root file systems owns.
const ROOTS: &str = "/proc/driver/roots";
/// The part of it with files made for steps.
const STEPS: &str = "/proc/driver/steps";
/// An empty directory, to hide others.
const EMPTY: &str = "/proc/driver/empty";
/// The read-only copy of this program.
const PROGRAM: &str = "/proc/driver/rbuild";

/// The word behind the hidden verb that tells init from birth.
const INIT: &str = "init";

/// The exit code of a sandbox that could not do its work.
const BROKEN: i32 = 125;

/// The hidden verb: runs the sandbox and never returns.
pub fn main() -> ! {
    let stage = std::env::args_os().nth(2);
    std::process::exit(enter(stage.as_ref()))
}

fn enter(stage: Option<&OsString>) -> i32 {
    if let Err(error) = process::close_inherited() {
        eprintln!("{}", in_words(&error));
        return BROKEN;
    }
    match (spawn::take_stdin().map(Channel::from_descriptor), stage) {
        (Ok(None) | Err(_), _) => {
            eprintln!("{} is started by rbuild itself, not by hand", crate::runtime::VERB);
            BROKEN
        }
        (Ok(Some(control)), Some(stage)) if stage == INIT => init::run(control),
        (Ok(Some(control)), _) => birth::run(control),
    }
}
