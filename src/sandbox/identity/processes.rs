//! Calls about the caller itself: its ids, groups and capabilities.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rbuild_userns::seccomp::notify::Answer;
use rbuild_userns::seccomp::notify::call::{Address, Change, Kind, Part, Width};

use super::Errno;
use super::caller::Caller;
use super::capabilities::{SET_GID, SET_UID, Sets};
use super::clerk::Desk;
use super::ids::{Ids, Power};
use super::people::Identity;
use super::view::field;

/// The most further groups of a process (`NGROUPS_MAX`).
const MOST_GROUPS: i32 = 65_536;

const DONE: Result<Answer, Errno> = Ok(Answer::Value(0));

impl Identity {
    fn ids(&self, kind: Kind) -> Ids {
        match kind {
            Kind::User => self.user,
            Kind::Group => self.group,
        }
    }

    /// After a change of ids. Errors with what the call fails with.
    fn changed(&self, kind: Kind, change: Change) -> Result<Self, Errno> {
        let key = match kind {
            Kind::User => SET_UID,
            Kind::Group => SET_GID,
        };
        let power = if self.capabilities.has(key) { Power::Any } else { Power::Own };
        let ids = self.ids(kind).changed(change, power)?;
        Ok(match kind {
            Kind::Group => Self { group: ids, ..self.clone() },
            Kind::User => {
                let capabilities = self.capabilities.changing_user(self.user, ids, self.secure);
                Self { user: ids, capabilities, ..self.clone() }
            }
        })
    }
}

impl Desk<'_> {
    pub(super) fn id(&self, caller: &Caller<'_>, kind: Kind, part: Part) -> Answer {
        let ids = self.books.people.of(caller.thread).ids(kind);
        let id = match part {
            Part::Real => ids.real,
            Part::Effective => ids.effective,
        };
        Answer::Value(caller.ids.shown(id).into())
    }

    pub(super) fn all_ids(
        &self,
        caller: &Caller<'_>,
        kind: Kind,
        into: [Address; 3],
    ) -> Result<Answer, Errno> {
        let ids = self.books.people.of(caller.thread).ids(kind);
        for (address, id) in into.into_iter().zip([ids.real, ids.effective, ids.saved]) {
            caller.write(address, &caller.ids.encode(id))?;
        }
        DONE
    }

    pub(super) fn change_ids(
        &self,
        caller: &Caller<'_>,
        kind: Kind,
        change: Change,
    ) -> Result<Answer, Errno> {
        let before = self.change(caller, |before| before.changed(kind, change))?;
        match change {
            Change::FileSystem(_) => Ok(Answer::Value(caller.ids.shown(before.ids(kind).file_system).into())),
            _ => DONE,
        }
    }

    /// The caller's process becomes another. Returns who it was.
    pub(super) fn change(
        &self,
        caller: &Caller<'_>,
        change: impl FnOnce(&Identity) -> Result<Identity, Errno>,
    ) -> Result<Arc<Identity>, Errno> {
        self.books.people.change(caller.thread, &|| caller.still_waits(), change)
    }

    pub(super) fn groups(&self, caller: &Caller<'_>, room: i32, into: Address) -> Result<Answer, Errno> {
        let identity = self.books.people.of(caller.thread);
        let count = i32::try_from(identity.groups.len()).map_err(|_| Errno::INVAL)?;
        if room != 0 {
            if room < count {
                return Err(Errno::INVAL);
            }
            let bytes: Vec<u8> = identity.groups.iter().flat_map(|group| caller.ids.encode(*group)).collect();
            caller.write(into, &bytes)?;
        }
        Ok(Answer::Value(count.into()))
    }

    pub(super) fn change_groups(
        &self,
        caller: &Caller<'_>,
        count: i32,
        from: Address,
    ) -> Result<Answer, Errno> {
        if !self.books.people.of(caller.thread).capabilities.has(SET_GID) {
            return Err(Errno::PERM);
        }
        let count = usize::try_from(count).ok().filter(|_| count <= MOST_GROUPS).ok_or(Errno::INVAL)?;
        let mut groups = caller.ids.decode(&caller.read(from, count * caller.ids.size())?);
        groups.sort_unstable();
        self.change(caller, |before| Ok(Identity { groups, ..before.clone() }))?;
        DONE
    }

    pub(super) fn capabilities(
        &self,
        caller: &Caller<'_>,
        header: Address,
        data: Address,
    ) -> Result<Answer, Errno> {
        let Some(form) = self.form(caller, header).filter(|_| data != 0) else { return Ok(Answer::Go) };
        caller.write(data, &form.encode(self.books.people.of(caller.thread).capabilities))?;
        DONE
    }

    pub(super) fn change_capabilities(
        &self,
        caller: &Caller<'_>,
        header: Address,
        data: Address,
    ) -> Result<Answer, Errno> {
        let Some(form) = self.form(caller, header) else { return Ok(Answer::Go) };
        let wanted = CapabilityForm::decode(&caller.read(data, form.size())?);
        self.change(caller, |before| {
            let Sets { effective, permitted, inheritable, .. } = wanted;
            let capabilities = before.capabilities.changed(effective, permitted, inheritable)?;
            Ok(Identity { capabilities, ..before.clone() })
        })?;
        DONE
    }

    /// The limit that carries the mark: to the program it is one that nobody set, and setting it is of no effect anyway.
    pub(super) fn limit(caller: &Caller<'_>, into: Address, unlimited: &[u8]) -> Result<Answer, Errno> {
        if into != 0 {
            caller.write(into, unlimited)?;
        }
        DONE
    }

    /// From now on each call has to look whose root it is about.
    pub(super) fn roots_differ(&self) -> Answer {
        self.books.roots_differ.store(true, Ordering::Release);
        Answer::Go
    }

    /// A new process or thread, with mounts of its own perhaps.
    pub(super) fn copy(&self, caller: &Caller<'_>, arguments: Address) -> Answer {
        /// `CLONE_NEWNS`
        const MOUNTS: u64 = 0x2_0000;
        // the flags come first; where they cannot be read the kernel finds the same fault
        let flags = caller.read(arguments, 8).ok().and_then(|bytes| bytes.try_into().ok());
        if flags.is_some_and(|flags| u64::from_ne_bytes(flags) & MOUNTS != 0) {
            return self.roots_differ();
        }
        Answer::Go
    }

    /// How the data behind a capability header is laid out, if it is about the caller. Anything else is the kernel's.
    fn form(&self, caller: &Caller<'_>, header: Address) -> Option<CapabilityForm> {
        let [version, pid] = Width::Wide.decode(&caller.read(header, 8).ok()?)[..] else { return None };
        let is_caller = pid == 0 || {
            let status = self.view.text(caller.thread, "status")?;
            field(&status, "NSpid:")?.split_whitespace().next_back()? == pid.to_string()
        };
        is_caller.then(|| CapabilityForm::of(version)).flatten()
    }
}

/// The data of `capget` and `capset`: one triple of 32 bits, or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CapabilityForm {
    One,
    Two,
}

impl CapabilityForm {
    /// By the versions of linux/capability.h.
    fn of(version: u32) -> Option<Self> {
        match version {
            0x1998_0330 => Some(Self::One),
            0x2007_1026 | 0x2008_0522 => Some(Self::Two),
            _ => None,
        }
    }

    fn size(self) -> usize {
        match self {
            Self::One => 12,
            Self::Two => 24,
        }
    }

    fn encode(self, sets: Sets) -> Vec<u8> {
        let Sets { effective, permitted, inheritable, .. } = sets;
        let all = [effective, permitted, inheritable];
        let halves =
            [0, 32].into_iter().flat_map(|shift| all.map(|set| ((set >> shift) & 0xffff_ffff) as u32));
        halves.flat_map(u32::to_ne_bytes).take(self.size()).collect()
    }

    fn decode(bytes: &[u8]) -> Sets {
        let mut sets = [0_u64; 3];
        for (place, half) in Width::Wide.decode(bytes).into_iter().enumerate() {
            sets[place % 3] |= u64::from(half) << (32 * (place / 3));
        }
        let [effective, permitted, inheritable] = sets;
        Sets { effective, permitted, inheritable, ..Sets::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_data_survives_both_forms() {
        let sets =
            Sets { effective: 1, permitted: 0x1_0000_0003, inheritable: 0x80_0000_0000, ..Sets::default() };
        assert_eq!(CapabilityForm::decode(&CapabilityForm::Two.encode(sets)), sets);
        let low = Sets { effective: 1, permitted: 3, ..Sets::default() };
        assert_eq!(CapabilityForm::decode(&CapabilityForm::One.encode(sets)), low);
        assert_eq!(CapabilityForm::of(0), None);
    }

    #[test]
    fn who_drops_root_cannot_take_it_back() {
        let root = Identity::new(0, 0, &[], Sets::full(SET_UID | SET_GID));
        let user =
            root.changed(Kind::Group, Change::All(7)).unwrap().changed(Kind::User, Change::All(7)).unwrap();
        assert_eq!(user.capabilities, Sets::bounded(SET_UID | SET_GID));
        for kind in [Kind::User, Kind::Group] {
            assert_eq!(user.changed(kind, Change::All(0)), Err(Errno::PERM), "{kind:?}");
        }
        let stripped = Identity { capabilities: Sets::default(), ..root };
        assert_eq!(stripped.changed(Kind::User, Change::All(7)), Err(Errno::PERM));
    }
}
