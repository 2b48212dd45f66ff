//! Processes by the numbers that the step has for them.

use std::ffi::CString;

use rbuild_userns::status::{Status, Wanted};
use rustix::fs::{Dir, FileType, Mode, OFlags, PROC_SUPER_MAGIC};

use super::caller::Caller;
use super::clerk::Desk;
use super::creation::Spot;
use super::view::{Place, View, field};
use crate::rootfs::Owner;

/// A process by the numbers of its own pid namespace.
pub struct Numbered {
    pub process: i32,
    pub group: i32,
    pub session: i32,
    /// The namespace.
    space: CString,
}

/// Of the topmost directory of a procfs (`PROC_ROOT_INO`).
const ROOT_OF_PROC: u64 = 1;

impl Desk<'_> {
    /// Whose the process is whose directory in a procfs this is: `ps`, `pkill -u` and `start-stop-daemon` ask that way.
    pub(super) fn whose_process(&self, caller: &Caller<'_>, place: &Place, status: &Status) -> Option<Owner> {
        let is_directory = FileType::from_raw_mode(status.mode()) == FileType::Directory;
        if !is_directory || self.books.people.are_uniform() {
            return None;
        }
        let spot = Spot::of_directory(place)?;
        let number: i32 = spot.name.to_str().ok()?.parse().ok()?;
        let above = self.view.status(&spot.directory, Wanted::BASIC)?;
        if (above.device(), above.number()) != (status.device(), ROOT_OF_PROC) {
            return None;
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let above = rustix::fs::openat(self.view.from(), &spot.directory.path, flags, Mode::empty()).ok()?;
        if rustix::fs::fstatfs(above).ok()?.f_type != PROC_SUPER_MAGIC {
            return None;
        }
        let process = self.view.process_of(&self.view.numbered(caller.thread)?, number)?;
        let identity = self.books.people.find(process)?;
        Some(Owner { uid: identity.user.effective, gid: identity.group.effective })
    }
}

impl View {
    /// The numbers of a thread's process. `None`: it is gone, or the procfs counts another way.
    pub fn numbered(&self, thread: i32) -> Option<Numbered> {
        let status = self.is_own().then(|| self.text(thread, "status")).flatten()?;
        let last = |name| field(&status, name)?.split_whitespace().next_back()?.parse().ok();
        let space = self.link(thread, "ns/pid")?;
        Some(Numbered { process: last("NStgid:")?, group: last("NSpgid:")?, session: last("NSsid:")?, space })
    }

    /// The processes of the same namespace, by the server's number.
    pub fn processes_beside(&self, here: &Numbered) -> impl Iterator<Item = (i32, Numbered)> {
        let numbered = |process| Some((process, self.numbered(process)?));
        self.processes().into_iter().filter_map(numbered).filter(|(_, other)| other.space == here.space)
    }

    /// The server's number of the process that its namespace calls `number`.
    pub fn process_of(&self, here: &Numbered, number: i32) -> Option<i32> {
        self.processes_beside(here).find(|(_, other)| other.process == number).map(|(process, _)| process)
    }

    /// All that the procfs shows.
    fn processes(&self) -> Vec<i32> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let list = rustix::fs::openat(self.from(), ".", flags, Mode::empty()).and_then(Dir::new);
        let entries = list.into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok()).collect()
    }
}
