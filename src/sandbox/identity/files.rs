//! Calls about files: what they are, whom they belong to, new devices.

use std::os::fd::AsFd as _;

use rbuild_userns::seccomp::notify::Answer;
use rbuild_userns::seccomp::notify::call::{Address, File, Form};
use rbuild_userns::status::{Status, Wanted};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};

use super::caller::Caller;
use super::capabilities::CHOWN;
use super::clerk::{Desk, locked};
use super::creation::Spot;
use super::people::Identity;
use super::view::{Fresh, Place, field};
use super::{Errno, errno};
use crate::rootfs::{Device, Files, Inode, Owner, Ownership, Record};

/// Setuid and setgid.
const PRIVILEGED: u32 = 0o6000;
/// The kinds of devices.
const S_IFCHR: u32 = FileType::CharacterDevice.as_raw_mode();
const S_IFBLK: u32 = FileType::BlockDevice.as_raw_mode();

impl Desk<'_> {
    pub(super) fn status(&mut self, caller: &Caller<'_>, file: File, into: Address, form: Form) -> Answer {
        self.other_status(caller, file, form)
            // where it cannot be written the kernel finds the same fault
            .filter(|bytes| caller.write(into, bytes).is_ok())
            .map_or(Answer::Go, |_| Answer::Value(0))
    }

    /// The attributes of a file, if they are others than the kernel's.
    fn other_status(&mut self, caller: &Caller<'_>, file: File, form: Form) -> Option<Vec<u8>> {
        let wanted = match form {
            Form::Stat | Form::X86(_) => self.wanted(),
            Form::Statx(mask) => self.wanted().and(mask),
        };
        let (place, mut status) = match self.view.find(caller, file, wanted, Fresh::AsAsked) {
            None if !self.books.elsewhere().is_empty() => self.view.find_by_links(caller, file, wanted),
            found => found,
        }?;
        let process = self.whose_process(caller, &place, &status);
        let process = process.map(|owner| Record { owner, changed: None, device: None });
        let Record { owner, changed, device } = process.or_else(|| self.record(&place, &status))?;
        // later than what the kernel knows, if the owner changed behind its back
        let changed = changed.filter(|changed| *changed > status.changed());
        if (owner.uid, owner.gid) == status.owner() && changed.is_none() && device.is_none() {
            return None;
        }
        status.set_owner(owner.uid, owner.gid);
        if let Some(changed) = changed {
            status.set_changed(changed);
        }
        match device {
            Some(Device::Char { major, minor }) => status.set_device(S_IFCHR, major, minor),
            Some(Device::Block { major, minor }) => status.set_device(S_IFBLK, major, minor),
            None => {}
        }
        match form {
            Form::Stat => Some(status.to_stat()),
            Form::Statx(_) => Some(status.to_statx()),
            Form::X86(layout) => status.to_x86(layout),
        }
    }

    /// Whose the file at a place is.
    pub(super) fn owner(&self, place: &Place, status: &Status) -> Option<Owner> {
        self.record(place, status).map(|record| record.owner)
    }

    /// What is recorded of the file at a place, or what the kernel says if nothing is.
    fn record(&self, place: &Place, status: &Status) -> Option<Record> {
        let as_owned_by = |owner| Record { owner, changed: None, device: None };
        let (uid, gid) = status.owner();
        let as_shown = as_owned_by(Owner { uid, gid });
        if self.books.root(status.device()).is_some() {
            let inode = self.inode(place, status)?;
            // a file of another mount may lie on the same file system
            let elsewhere = || self.books.elsewhere().get(&inode).copied().map(as_owned_by);
            return Some(self.noted(&inode).or_else(elsewhere).unwrap_or(as_shown));
        }
        if self.books.elsewhere().is_empty() {
            return Some(as_shown);
        }
        let inode = self.inode(place, status)?;
        Some(self.books.elsewhere().get(&inode).copied().map_or(as_shown, as_owned_by))
    }

    /// What the root's table has of an inode. Another clerk may be about to note something.
    fn noted(&self, inode: &Inode) -> Option<Record> {
        let root = self.books.root_of(inode)?;
        let noted = root.record(inode);
        if noted.is_none() && matches!(root.files(), Files::Registered(_)) {
            drop(locked(&self.books.making));
            return root.record(inode);
        }
        noted
    }

    /// What is asked for of every file. FUSE would send a message for the time of birth.
    pub(super) fn wanted(&self) -> Wanted {
        match self.books.files() {
            Files::Served(_) => Wanted::BASIC,
            Files::Registered(_) => Wanted::BORN,
        }
    }

    /// Asks for the time of birth where it matters.
    pub(super) fn inode(&self, place: &Place, status: &Status) -> Option<Inode> {
        let born = match self.books.root(status.device()).map(Ownership::files) {
            Some(Files::Served(_)) => (0, 0),
            _ if status.knows_birth() => status.born(),
            _ => self.view.status(place, Wanted::BORN)?.born(),
        };
        Some(Inode { device: status.device(), number: status.number(), born })
    }

    pub(super) fn change_owner(
        &mut self,
        caller: &Caller<'_>,
        file: File,
        user: Option<u32>,
        group: Option<u32>,
    ) -> Result<Answer, Errno> {
        let wanted = self.wanted();
        let found = self.view.find(caller, file, wanted, Fresh::AsKnown);
        let found = found.or_else(|| self.view.find_by_links(caller, file, wanted));
        let Some((place, status)) = found else { return Ok(Answer::Go) };
        // what is not the invoking user's is the kernel's to judge
        if status.owner().0 != 0 {
            return Ok(Answer::Go);
        }
        let Some((inode, before)) = self.inode(&place, &status).zip(self.owner(&place, &status)) else {
            return Ok(Answer::Go);
        };
        let after = Owner { uid: user.unwrap_or(before.uid), gid: group.unwrap_or(before.gid) };
        let changes_nothing = user.is_none() && group.is_none();
        if !changes_nothing && !self.books.people.of(caller.thread).may_give(before, after) {
            return Err(Errno::PERM);
        }
        let root = self.books.root_of(&inode);
        caller.still_waits()?;
        let maker = match root.map(Ownership::files) {
            Some(Files::Served(maker)) => Some(maker),
            Some(Files::Registered(_)) => return self.register(&place, (before, after)),
            None => None,
        };
        if FileType::from_raw_mode(status.mode()) != FileType::Directory
            && (status.mode() & PRIVILEGED != 0 || maker.is_some_and(|maker| maker.has_capabilities(&inode)))
        {
            // the kernel takes setuid bits and capabilities away, as it would for any new owner
            let (root, roots) = (Some(Uid::ROOT), Some(Gid::ROOT));
            rustix::fs::chownat(self.view.from(), &place.path, root, roots, place.at_flags())?;
        }
        match root {
            Some(root) => root.set_owner(&inode, after)?,
            None => drop(self.books.elsewhere().insert(inode, after)),
        }
        Ok(Answer::Value(0))
    }

    pub(super) fn make_device(
        &mut self,
        caller: &Caller<'_>,
        file: File,
        mode: u32,
        device: u32,
    ) -> Result<Answer, Errno> {
        let Some(place) = self.view.place(caller, file) else { return Ok(Answer::Go) };
        let Some(spot) = Spot::of(&place).filter(|spot| spot.name.count_bytes() <= 255) else {
            return Ok(Answer::Go);
        };
        let directory = &spot.directory;
        let Some(above) = self.view.status(directory, self.wanted()) else { return Ok(Answer::Go) };
        // a node of a tmpfs or volume would be the host's: the kernel refuses it
        let Some(root) = self.books.root(above.device()).filter(|_| self.is_of_the_root(directory)) else {
            return Ok(Answer::Go);
        };
        let identity = self.books.people.of(caller.thread);
        if identity.user.effective != 0 {
            return Err(Errno::PERM);
        }
        let maker = match root.files() {
            Files::Served(maker) => maker,
            Files::Registered(_) => {
                let (major, minor) = numbers(device);
                let device = match FileType::from_raw_mode(mode) {
                    FileType::BlockDevice => Device::Block { major, minor },
                    _ => Device::Char { major, minor },
                };
                return self.stand_in(caller, &spot, Mode::from_raw_mode(mode), device);
            }
        };
        let parent = self.inode(directory, &above).ok_or(Errno::NOENT)?;
        let umask = self.umask(caller.thread).ok_or(Errno::SRCH)?;
        let owner = Owner { uid: identity.user.file_system, gid: identity.group.file_system };
        caller.still_waits()?;
        maker.make_device(&parent, spot.name.to_bytes(), (mode, umask), device, owner)?;
        self.show(&place)?;
        Ok(Answer::Value(0))
    }

    /// The kernel may remember that there is nothing of this name. Asked to make something there, it learns better.
    fn show(&self, place: &Place) -> Result<(), Errno> {
        let mode = Mode::from_raw_mode(0o600);
        match rustix::fs::mknodat(self.view.from(), &place.path, FileType::RegularFile, mode, 0) {
            Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno),
            // renamed away in the meantime
            Ok(()) => rustix::fs::unlinkat(self.view.from(), &place.path, rustix::fs::AtFlags::empty()),
        }
    }

    pub(super) fn umask(&self, thread: i32) -> Option<u32> {
        let status = self.view.text(thread, "status")?;
        u32::from_str_radix(field(&status, "Umask:")?, 8).ok()
    }

    /// Whether a directory lies in the root itself, and not in a volume on the same file system.
    fn is_of_the_root(&self, directory: &Place) -> bool {
        let mount = |place: &Place| self.view.status(place, Wanted::MOUNT)?.mount();
        match self.books.files() {
            Files::Served(_) => true,
            Files::Registered(_) => {
                let mount_of_root = mount(&Place { path: c"/".into(), flags: 0 });
                mount_of_root.is_some() && mount(directory) == mount_of_root
            }
        }
    }

    /// A new owner in the table beside the kernel's files. The kernel is asked to make root their owner, as they are: it
    /// moves the time of change and takes setuid bits and capabilities away, as it would for any new owner.
    fn register(&mut self, place: &Place, (before, after): (Owner, Owner)) -> Result<Answer, Errno> {
        const ROOT: Owner = Owner { uid: 0, gid: 0 };
        if (before, after) == (ROOT, ROOT) {
            return Ok(Answer::Go);
        }
        let flags = if place.at_flags().is_empty() { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.view.from(), &place.path, flags, Mode::empty())?;
        let empty = AtFlags::EMPTY_PATH;
        rustix::fs::chownat(&file, c"", Some(Uid::ROOT), Some(Gid::ROOT), empty)?;
        let status =
            Status::of(file.as_fd(), c"", empty.bits(), Wanted::BORN).map_err(|error| errno(&error))?;
        let inode = Inode { device: status.device(), number: status.number(), born: status.born() };
        self.books.root_of(&inode).ok_or(Errno::STALE)?.set_owner(&inode, after)?;
        self.books.elsewhere().remove(&inode);
        self.young.keep(inode.born, || Ok(file))?;
        Ok(Answer::Value(0))
    }
}

/// Major and minor of the kernel's 32-bit encoding (`new_decode_dev` in `linux/kdev_t.h`).
fn numbers(device: u32) -> (u32, u32) {
    ((device & 0xf_ff00) >> 8, (device & 0xff) | ((device >> 12) & 0xf_ff00))
}

impl Identity {
    /// Whether it may make `after` the owner of what belongs to `before` (chown(2)).
    fn may_give(&self, before: Owner, after: Owner) -> bool {
        self.capabilities.has(CHOWN)
            || (self.user.file_system == before.uid
                && after.uid == before.uid
                && (after.gid == before.gid || self.is_in(after.gid)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sets;
    use super::*;

    #[test]
    fn files_are_given_away_by_root_alone() {
        let root = Identity::new(0, 0, &[], Sets::full(CHOWN));
        let user = Identity::new(7, 8, &[9], Sets::default());
        let powerless = Identity::new(0, 0, &[], Sets::default());
        let owner = |uid, gid| Owner { uid, gid };
        let rows = [
            ("root gives anything", &root, owner(0, 0), owner(7, 8), true),
            ("root takes anything", &root, owner(7, 8), owner(0, 0), true),
            ("a user gives nothing away", &user, owner(7, 8), owner(0, 8), false),
            ("a user takes nothing", &user, owner(0, 0), owner(7, 8), false),
            ("to a group of one's own", &user, owner(7, 8), owner(7, 9), true),
            ("to another group", &user, owner(7, 8), owner(7, 10), false),
            ("to whom it belongs already", &user, owner(7, 10), owner(7, 10), true),
            ("root without the capability", &powerless, owner(0, 0), owner(7, 0), false),
        ];
        for (name, identity, before, after, want) in rows {
            assert_eq!(identity.may_give(before, after), want, "{name}");
        }
    }
}
