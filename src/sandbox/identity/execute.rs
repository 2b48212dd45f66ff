//! `execve`: setuid and setgid bits take effect by the recorded owner.
//!
//! The new identity is noted before the kernel goes on, since the program's first calls are not to be waited for. Should
//! the kernel then refuse the program, the thread's next call shows that its memory is still the old one, and it is given
//! back who it was.

use rbuild_userns::seccomp::notify::Answer;
use rbuild_userns::seccomp::notify::call::File;
use rbuild_userns::status::Wanted;
use rustix::fs::{FileType, Mode, OFlags, StatVfsMountFlags};

use super::capabilities::Kept;
use super::clerk::Desk;
use super::people::Identity;
use super::view::{Place, field};

/// A thread that is about to turn into a program.
pub(super) struct Executing {
    /// Who it was.
    before: Identity,
    /// Where its memory lay.
    memory: Option<String>,
}

/// Whom a program's bits turn its process into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bits {
    user: Option<u32>,
    group: Option<u32>,
}

const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;
const GROUP_EXECUTES: u32 = 0o010;

impl Desk {
    /// The command itself: from here on the step is who it shall be.
    pub(super) fn begin(&mut self, thread: i32, file: File) -> Answer {
        if let Some(first) = self.first.take() {
            self.people.begin(first);
        }
        self.execute(thread, file)
    }

    pub(super) fn execute(&mut self, thread: i32, file: File) -> Answer {
        let bits = self.bits(thread, file);
        let before = self.people.of(thread);
        let user = before.user.executing(bits.user);
        let after = Identity {
            user,
            group: before.group.executing(bits.group),
            capabilities: before.capabilities.executing(user, self.bounding),
            kept: Kept::No,
            groups: before.groups.clone(),
        };
        if after != *before {
            let memory = self.memory(thread);
            // where it cannot be noted the program runs as who started it
            if self.people.become_other(thread, after).is_ok() {
                self.executing.insert(thread, Executing { before: Identity::clone(&before), memory });
            }
        }
        Answer::Go
    }

    /// Makes good what a refused `execve` left.
    pub(super) fn settle(&mut self, thread: i32) {
        if self.executing.is_empty() {
            return;
        }
        let Some(Executing { before, memory }) = self.executing.remove(&thread) else { return };
        if memory.is_some() && memory == self.memory(thread) {
            self.people.become_other(thread, before).unwrap_or_default();
        }
    }

    fn bits(&mut self, thread: i32, file: File) -> Bits {
        self.bits_of(thread, file).unwrap_or_default()
    }

    fn bits_of(&mut self, thread: i32, file: File) -> Option<Bits> {
        let place = self.view.place(thread, file)?;
        let status = self.view.status(&place, Wanted::BASIC)?;
        let mode = status.mode();
        let sets_group = mode & SET_GROUP != 0 && mode & GROUP_EXECUTES != 0;
        let is_file = FileType::from_raw_mode(mode) == FileType::RegularFile;
        if !is_file || (mode & SET_USER == 0 && !sets_group) || !self.bits_count(thread, &place) {
            return None;
        }
        let owner = self.owner(&place, &status)?;
        Some(Bits {
            user: (mode & SET_USER != 0).then_some(owner.uid),
            group: sets_group.then_some(owner.gid),
        })
    }

    /// Not for a script, on a `nosuid` mount, or where the process gave it up.
    fn bits_count(&self, thread: i32, place: &Place) -> bool {
        let Some(status) = self.view.text(thread, "status") else { return false };
        if field(&status, "NoNewPrivs:") != Some("0") {
            return false;
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let Ok(program) = rustix::fs::openat(self.view.from(), &place.path, flags, Mode::empty()) else {
            return false;
        };
        let mut start = [0; 2];
        let is_script = rustix::io::read(&program, &mut start) != Ok(2) || start == *b"#!";
        let mount = rustix::fs::fstatvfs(&program);
        !is_script && mount.is_ok_and(|mount| !mount.f_flag.contains(StatVfsMountFlags::NOSUID))
    }

    /// Where a thread's memory lies: chosen anew at every `execve`.
    fn memory(&self, thread: i32) -> Option<String> {
        let stat = self.view.text(thread, "stat")?;
        // the name in parentheses may hold anything; field 3 follows it
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
        // startcode endcode startstack, start_data … env_end (proc_pid_stat(5))
        Some((26..=28).chain(45..=51).map(field).collect::<Vec<_>>().join(" "))
    }
}
