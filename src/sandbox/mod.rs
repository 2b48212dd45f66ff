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
//!     ├ server      mounts, freezes and discards roots, and answers for recorded owners (`identity`); the only one
//!     │             with threads
//!     └ supervisor  one per connection: asks the server for a root, enters the network, starts
//!        ├ keeper   of a private network (`network`): the program that carries its packets
//!        └ step     the command, as the first process of namespaces of its own
//! ```
//!
//! Every fork happens in a process with a single thread. Nobody but the step sees the command's descriptors, so its
//! outputs end when it does. Nothing here prints: errors travel to the coordinator as words; standard error is a file
//! that it reads only when the sandbox died.
//!
//! # Ways out, and why they fail
//! The image and the command are hostile. In mode `root` no user namespace stands behind what follows, so nothing relies
//! on one. `tests/sandbox/escapes.rs` and `tests/e2e/escapes.rs` try each of these for real.
//!
//! | published as | the attack | why it fails |
//! |---|---|---|
//! | CVE-2024-21626 | WORKDIR or the program is `/proc/self/fd/N`, a directory of the host that was left open | No path of the root is followed by the kernel: `target` reads each link and walks its text beneath the root. No descriptor of a host directory is open when the root is entered; what is open from 3 on closes at `execve`; the kernel is asked whether the working directory lies in the root |
//! | CVE-2019-5736 | the container runs `/proc/self/exe`, keeps it open and overwrites it | `birth` runs from a read-only mount of the program: EROFS, whoever runs it |
//! | CVE-2019-19921, CVE-2023-27561 | `/proc` of the image is a link | The kernel's file systems are mounted on directories of the root itself, or the step is refused; masks are found from the root of the procfs or sysfs that was mounted, never by a path of the root |
//! | CVE-2025-31133, CVE-2025-52565 | `/dev/null` or `/dev/console` of the image takes the place of a mask or a device | Masks and devices are the host's, looked up before the root is entered, and are compared by device number; there is no `/dev/console` |
//! | CVE-2025-52881, CVE-2019-16884 | a mount over procfs turns a write elsewhere, or a volume is led there by a link | What is written to procfs for a step (a label) goes to the sandbox's own before the root is entered, and nothing is read from the root's; a mount that would hide something of procfs, or of sysfs and devices by a link, is refused |
//! | CVE-2021-30465, CVE-2024-45310 | the target of a mount is swapped for a link while it is mounted, or climbs | Targets are walked descriptor by descriptor, made with `mkdirat`, and mounted on by descriptor: there is no second look-up |
//! | CVE-2024-23651 | the source of a mount is swapped for a link | The source of a cache is walked as targets are, and mounted by the descriptor that was found. A volume's source that has a link on its way when it is mounted is refused (`RESOLVE_NO_SYMLINKS`), and mounted by the descriptor that was found |
//! | CVE-2024-23652 | stubs of mounts are removed by a path that the step has led outside | Stubs in the root are not removed: the freeze leaves them out of the layer, the upper directory goes as a whole, beneath a descriptor. One made in a volume goes by its name in the directory that was held open since, if it is as empty as it was made |
//! | CVE-2022-27651 | inheritable capabilities | The inheritable and ambient sets are empty |
//! | CVE-2022-0492 | a new user namespace brings capabilities back | `unshare` and `clone` with a namespace are refused by the filter, the bounding set is lowered |
//! | CVE-2023-25809 | `/sys/fs/cgroup` can be written to | It is mounted read-only, with all beneath it |
//! | CVE-2020-15257 | abstract sockets of the host | Only a network of the step's own keeps them away; the host's does not |
//! | CVE-2024-9675 | the id or the source of a cache climbs, or a step left a link in it | An id is hashed before it is a name; a source is walked beneath the descriptor of the cache, link by link; a bind shows layers, never a path of the host |
//! | CVE-2024-1753, CVE-2024-9676 | links of a stage, a context or `/etc/passwd` lead to the host, or to an endless file | Stages and `/etc/passwd` are read in the stack, which has no way to the host ([`crate::rootfs::Stack`]); what is read whole is a regular file of bounded length |
//! | CVE-2021-41091 | setuid programs in the directory of a running step are run by other users of the host | `live/<id>` is closed to all but its owner |
//! | - | a device node in a layer | The root is mounted `nodev` |

mod birth;
mod caches;
mod credentials;
mod error;
mod exec;
mod held;
mod identity;
mod init;
mod label;
mod mounts;
mod names;
mod network;
mod root;
mod server;
mod step;
mod stop;
mod supervisor;
mod sweep;
mod system;
mod target;
mod terminal;
mod trial;

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
        (Ok(Some(control)), Some(stage)) if stage == crate::runtime::TRIAL => trial::run(&control),
        (Ok(Some(control)), _) => birth::run(control),
    }
}
