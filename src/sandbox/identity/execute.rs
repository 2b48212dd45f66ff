//! `execve`: setuid and setgid bits take effect by the recorded owner.
//!
//! The new identity is noted before the kernel goes on, since the program's first calls are not to be waited for. Should
//! the kernel then refuse the program, the thread's next call shows that its memory is still the old one, and it is given
//! back who it was.

use std::os::fd::OwnedFd;

use rbuild_userns::caller;
use rbuild_userns::seccomp::notify::Answer;
use rbuild_userns::seccomp::notify::call::File;
use rustix::fs::{FileType, Mode, OFlags, StatVfsMountFlags};

use super::Errno;
use super::caller::Caller;
use super::capabilities::{OfFile, Secure};
use super::clerk::Desk;
use super::people::Identity;
use super::view::{Fresh, Place, field};
use crate::rootfs::Files;

/// A thread that is about to turn into a program.
pub(super) struct Executing {
    /// Who it was.
    before: Identity,
    /// What the kernel gave its memory alone.
    memory: Option<Vec<u8>>,
}

/// Whom a program's bits turn its process into, and what its file gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bits {
    user: Option<u32>,
    group: Option<u32>,
    capabilities: Option<OfFile>,
}

const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;
const GROUP_EXECUTES: u32 = 0o010;

impl Desk<'_> {
    /// The command itself: from here on the step is who it shall be.
    pub(super) fn begin(&mut self, caller: &Caller<'_>, first: Identity, file: File) -> Answer {
        self.books.people.begin(first);
        self.execute(caller, file)
    }

    pub(super) fn execute(&mut self, caller: &Caller<'_>, file: File) -> Answer {
        let bits = self.bits(caller, file).unwrap_or_default();
        let before = self.books.people.of(caller.thread);
        let user = before.user.executing(bits.user);
        let group = before.group.executing(bits.group);
        let acts_for_another = user.effective != user.real || group.effective != group.real;
        let after = Identity {
            user,
            group,
            capabilities: before.capabilities.executing(
                user,
                acts_for_another,
                bits.capabilities,
                before.secure,
            ),
            secure: before.secure.with(Secure::KEEP, false),
            groups: before.groups.clone(),
        };
        if after != *before {
            let memory = self.memory(caller.thread);
            // where it cannot be noted the program runs as who started it
            if self.change(caller, |_| Ok(after)).is_ok() {
                let executing = Executing { before: Identity::clone(&before), memory };
                self.books.executes(caller.thread, executing);
            }
        }
        Answer::Go
    }

    /// Makes good what a refused `execve` left.
    pub(super) fn settle(&mut self, caller: &Caller<'_>) -> Result<(), Errno> {
        let Some(Executing { before, memory }) = self.books.executed(caller.thread) else { return Ok(()) };
        if memory.is_some() && memory == self.memory(caller.thread) {
            self.change(caller, |_| Ok(before))?;
        }
        Ok(())
    }

    fn bits(&mut self, caller: &Caller<'_>, file: File) -> Option<Bits> {
        let (place, status) = self.view.find(caller, file, self.wanted(), Fresh::AsAsked)?;
        let mode = status.mode();
        let sets_group = mode & SET_GROUP != 0 && mode & GROUP_EXECUTES != 0;
        let is_file = FileType::from_raw_mode(mode) == FileType::RegularFile;
        let gives = self.books.root(status.device()).is_some_and(|root| match root.files() {
            Files::Served(maker) => {
                self.inode(&place, &status).is_some_and(|inode| maker.has_capabilities(&inode))
            }
            Files::Registered(_) => self.open_program(&place).is_some_and(|it| capabilities(&it).is_some()),
        });
        if !is_file || (mode & SET_USER == 0 && !sets_group && !gives) {
            return None;
        }
        let program = self.program(caller.thread, &place)?;
        let owner = self.owner(&place, &status)?;
        Some(Bits {
            user: (mode & SET_USER != 0).then_some(owner.uid),
            group: sets_group.then_some(owner.gid),
            capabilities: if gives { capabilities(&program) } else { None },
        })
    }

    /// A program whose bits count. They do not for a script, on a `nosuid` mount, or where the process gave it up.
    fn program(&self, thread: i32, place: &Place) -> Option<OwnedFd> {
        let status = self.view.text(thread, "status")?;
        if field(&status, "NoNewPrivs:") != Some("0") {
            return None;
        }
        let program = self.open_program(place)?;
        let mut start = [0; 2];
        let is_script = rustix::io::read(&program, &mut start) != Ok(2) || start == *b"#!";
        let mount = rustix::fs::fstatvfs(&program).ok()?;
        (!is_script && !mount.f_flag.contains(StatVfsMountFlags::NOSUID)).then_some(program)
    }

    fn open_program(&self, place: &Place) -> Option<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        rustix::fs::openat(self.view.from(), &place.path, flags, Mode::empty()).ok()
    }

    /// The random bytes that the kernel gives every program anew (`AT_RANDOM`, getauxval(3)). Where memory lies would not
    /// do: without randomisation it lies where it lay.
    fn memory(&self, thread: i32) -> Option<Vec<u8>> {
        let vector = self.view.bytes(thread, "auxv")?;
        let mut random = vec![0; 16];
        caller::read(thread, random_at(&vector)?, &mut random).ok()?;
        Some(random)
    }
}

/// What a program's file gives.
fn capabilities(program: &OwnedFd) -> Option<OfFile> {
    /// No form is longer.
    const MOST: usize = 24;
    let mut value = [0; MOST];
    let len = rustix::fs::fgetxattr(program, c"security.capability", &mut value).ok()?;
    OfFile::parse(&value[..len])
}

/// The address behind `AT_RANDOM` in an auxiliary vector: pairs of 64 bits, or of 32 of a 32-bit program.
fn random_at(vector: &[u8]) -> Option<u64> {
    const AT_RANDOM: u64 = 25;
    let long = |word: &[u8]| word.try_into().map(u64::from_ne_bytes).ok();
    let short = |word: &[u8]| word.try_into().map(u32::from_ne_bytes).ok().map(u64::from);
    let find = |size: usize, read: &dyn Fn(&[u8]) -> Option<u64>| {
        let pair = vector.chunks_exact(2 * size).find(|pair| read(&pair[..size]) == Some(AT_RANDOM))?;
        read(&pair[size..])
    };
    // read as 64 bits a pair of 32 has its value in the upper half, and it is not zero
    find(8, &long).or_else(|| find(4, &short))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_random_bytes_are_found_in_both_forms() {
        let pairs = [(33, 0x7000), (25, 0x8123), (0, 0)];
        let long =
            pairs.iter().flat_map(|&(key, value): &(u64, u64)| [key, value].map(u64::to_ne_bytes)).flatten();
        assert_eq!(random_at(&long.collect::<Vec<_>>()), Some(0x8123));
        let short = [33, 0x7000, 25, 0x8123, 0, 0].into_iter().flat_map(u32::to_ne_bytes);
        assert_eq!(random_at(&short.collect::<Vec<_>>()), Some(0x8123));
        assert_eq!(random_at(&[0; 32]), None);
    }
}
