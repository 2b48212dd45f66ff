//! Recorded identity: who a process is and whom a file belongs to, where the kernel has one id for all.
//!
//! With one mapped id the kernel refuses `chown`, `setuid`, `setgroups` and `mknod`. A step then runs under a seccomp
//! filter that hands these calls over, and `stat` and `get*id` with them, so that a program sees what it set. A thread of
//! the server answers:
//!
//! ```text
//! step ── chown("/f", 33, 33) ──► clerk ── whose call? ──► people     identities, found by a mark on the process
//!      ◄────────── 0 ───────────        ── which inode? ─► Ownership  owners, devices: rows of the root's own tree
//! ```
//!
//! - **Processes.** An identity is a row; a process carries the row's number as a mark that its children inherit
//!   ([`rbuild_userns::caller`]). So no fork has to be seen, no parent to be found, and an orphan stays who it was. The
//!   threads of a process share one identity, as POSIX has it; a raw `setfsuid` of one thread is everybody's.
//! - **Files** belong to whom the table of their root says ([`crate::rootfs::Ownership`]): the step's, or one that a mount
//!   shows. For a file of another mount (a tmpfs, a volume) the clerk keeps a table of its own, which is forgotten with the
//!   step.
//! - **New files** are the maker's: a root that is a server knows its maker; for one that is a directory the clerk makes
//!   what is not root's ([`creation`]).
//! - **Programs.** At `execve` setuid and setgid bits take effect by the recorded owner, unless `no_new_privs` is set or
//!   the mount is `nosuid`.
//! - **Rights.** Who may change which id or owner, and who may send whom a signal ([`signals`]), is judged by the kernel's
//!   rules, on recorded ids and capabilities. Who may open, remove or change which file is not.
//!
//! Nothing here guards the host: a call that is let through is judged by the kernel as ever, and the kernel knows nobody
//! but the invoking user. What the image gets wrong by lying about itself, it gets wrong for itself.
//!
//! Calls the way of 32-bit x86 are answered like the native ones. To every other way, x32 among them, there is no system
//! call: what nobody answers would show the kernel's ids.
//!
//! # Who may open a file
//! To the kernel every file is the one user's own, as under other fake roots: `nobody` reads root's file of mode 0600, and
//! access(2) says beforehand that it will. What is promised is one direction: a step that all ids let succeed is not
//! refused here. That a step is refused what all ids would refuse it is not promised; few rely on it. To judge it, every
//! `open` of every process would have to be handed over, since a filter cannot know who calls: that would slow down the
//! steps of root, which are nearly all. Judged by halves (the `fuse` server sees names made and removed, but no file that
//! is opened; the clerks of `plain` see what is made) the drivers would differ. `tests/e2e/suites.rs` lists what of
//! pjdfstest tells.
//!
//! # Not answered
//! - What travels with a message (`SCM_CREDENTIALS`): the receiver is told root, and a sender that names another id than 0,
//!   its own recorded one included, gets EINVAL. To answer the receiver a clerk would have to wait for a message in its
//!   stead. Who asks for the peer (`SO_PEERCRED`) is answered.
//! - What a procfs has in `/proc/PID`, so `Uid:`, `Gid:`, `Groups:` and `Cap…:` of `status`: root's, by the kernel's
//!   numbers. To answer it `open` would have to be handed over. The owner of the directory `/proc/PID` is answered, which is
//!   what `ps`, `pkill -u` and `start-stop-daemon --user` go by.
//! - Whose priority, affinity or limits may be changed, and who may trace whom: everybody may.
//! - User namespaces within the step: to them the ids stay those of the step.
//! - A handler without `SA_RESTART` that runs before a clerk has taken a call ends it with EINTR, also calls that otherwise
//!   never do (lstat(2)); the kernel has no other way to wait there.

mod books;
mod caller;
mod capabilities;
mod clerk;
mod creation;
mod execute;
mod files;
mod ids;
mod numbered;
mod peers;
mod people;
mod privileges;
mod processes;
mod recorded;
mod signals;
mod view;
mod watch;
mod young;

pub(super) use capabilities::Sets;
pub(super) use clerk::Clerk;
pub(super) use people::{Identity, People};
pub(super) use recorded::Recorded;

type Errno = rustix::io::Errno;

/// What the kernel would say, by its number.
fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
