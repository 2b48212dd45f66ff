//! Calls about the caller itself: its ids, groups and capabilities.

use rbuild_userns::caller;
use rbuild_userns::seccomp::notify::Answer;
use rbuild_userns::seccomp::notify::call::{Address, Change, Kind, Part};

use super::capabilities::{Kept, SET_GID, SET_UID, Sets};
use super::clerk::Desk;
use super::ids::{Ids, Power};
use super::people::Identity;
use super::view::field;
use super::{Errno, errno};

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
                let capabilities = self.capabilities.changing_user(self.user, ids, self.kept);
                Self { user: ids, capabilities, ..self.clone() }
            }
        })
    }
}

impl Desk {
    pub(super) fn id(&self, thread: i32, kind: Kind, part: Part) -> Answer {
        let ids = self.people.of(thread).ids(kind);
        Answer::Value(i64::from(match part {
            Part::Real => ids.real,
            Part::Effective => ids.effective,
        }))
    }

    pub(super) fn all_ids(
        &self,
        thread: i32,
        kind: Kind,
        into: [Address; 3],
        still_waits: &dyn Fn() -> bool,
    ) -> Result<Answer, Errno> {
        let ids = self.people.of(thread).ids(kind);
        if still_waits() {
            for (address, id) in into.into_iter().zip([ids.real, ids.effective, ids.saved]) {
                caller::write(thread, address, &id.to_ne_bytes()).map_err(|error| errno(&error))?;
            }
        }
        DONE
    }

    pub(super) fn change_ids(&self, thread: i32, kind: Kind, change: Change) -> Result<Answer, Errno> {
        let before = self.people.of(thread);
        let after = before.changed(kind, change)?;
        if after != *before {
            self.people.become_other(thread, after)?;
        }
        match change {
            Change::FileSystem(_) => Ok(Answer::Value(before.ids(kind).file_system.into())),
            _ => DONE,
        }
    }

    pub(super) fn groups(
        &self,
        thread: i32,
        room: i32,
        into: Address,
        still_waits: &dyn Fn() -> bool,
    ) -> Result<Answer, Errno> {
        let identity = self.people.of(thread);
        let count = i32::try_from(identity.groups.len()).unwrap_or(MOST_GROUPS);
        if room != 0 {
            if room < count {
                return Err(Errno::INVAL);
            }
            let bytes: Vec<u8> = identity.groups.iter().flat_map(|group| group.to_ne_bytes()).collect();
            if still_waits() {
                caller::write(thread, into, &bytes).map_err(|error| errno(&error))?;
            }
        }
        Ok(Answer::Value(count.into()))
    }

    pub(super) fn change_groups(&self, thread: i32, count: i32, from: Address) -> Result<Answer, Errno> {
        let before = self.people.of(thread);
        if !before.capabilities.has(SET_GID) {
            return Err(Errno::PERM);
        }
        let count = usize::try_from(count).ok().filter(|_| count <= MOST_GROUPS).ok_or(Errno::INVAL)?;
        let mut bytes = vec![0; count * size_of::<u32>()];
        caller::read(thread, from, &mut bytes).map_err(|error| errno(&error))?;
        let mut groups: Vec<u32> = words(&bytes).collect();
        groups.sort_unstable();
        self.people.become_other(thread, Identity { groups, ..Identity::clone(&before) })?;
        DONE
    }

    /// The kernel notes it too, to no effect but that the program is told what it expects.
    pub(super) fn keep_capabilities(&self, thread: i32, keep: bool) -> Result<Answer, Errno> {
        let kept = if keep { Kept::Yes } else { Kept::No };
        let before = self.people.of(thread);
        if before.kept != kept {
            self.people.become_other(thread, Identity { kept, ..Identity::clone(&before) })?;
        }
        Ok(Answer::Go)
    }

    pub(super) fn capabilities(
        &self,
        thread: i32,
        header: Address,
        data: Address,
        still_waits: &dyn Fn() -> bool,
    ) -> Result<Answer, Errno> {
        let Some(form) = self.form(thread, header).filter(|_| data != 0) else { return Ok(Answer::Go) };
        let sets = self.people.of(thread).capabilities;
        if still_waits() {
            caller::write(thread, data, &form.encode(sets)).map_err(|error| errno(&error))?;
        }
        DONE
    }

    pub(super) fn change_capabilities(
        &self,
        thread: i32,
        header: Address,
        data: Address,
    ) -> Result<Answer, Errno> {
        let Some(form) = self.form(thread, header) else { return Ok(Answer::Go) };
        let mut bytes = vec![0; form.size()];
        caller::read(thread, data, &mut bytes).map_err(|error| errno(&error))?;
        let before = self.people.of(thread);
        let capabilities = before.capabilities.changed(CapabilityForm::decode(&bytes), self.bounding)?;
        if capabilities != before.capabilities {
            self.people.become_other(thread, Identity { capabilities, ..Identity::clone(&before) })?;
        }
        DONE
    }

    /// The limit that carries the mark: to the program it is one that nobody set, and setting it is of no effect anyway.
    pub(super) fn limit(thread: i32, into: Address, still_waits: &dyn Fn() -> bool) -> Result<Answer, Errno> {
        if into != 0 && still_waits() {
            caller::write(thread, into, &caller::no_limit()).map_err(|error| errno(&error))?;
        }
        DONE
    }

    /// How the data behind a capability header is laid out, if it is about the caller. Anything else is the kernel's.
    fn form(&self, thread: i32, header: Address) -> Option<CapabilityForm> {
        let mut bytes = [0; 8];
        caller::read(thread, header, &mut bytes).ok()?;
        let mut header = words(&bytes);
        let (version, pid) = (header.next()?, header.next()?);
        let is_caller = pid == 0 || {
            let status = self.view.text(thread, "status")?;
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
        let Sets { effective, permitted, inheritable } = sets;
        let all = [effective, permitted, inheritable];
        let halves =
            [0, 32].into_iter().flat_map(|shift| all.map(|set| ((set >> shift) & 0xffff_ffff) as u32));
        halves.flat_map(u32::to_ne_bytes).take(self.size()).collect()
    }

    fn decode(bytes: &[u8]) -> Sets {
        let mut sets = [0_u64; 3];
        for (place, half) in words(bytes).enumerate() {
            sets[place % 3] |= u64::from(half) << (32 * (place / 3));
        }
        let [effective, permitted, inheritable] = sets;
        Sets { effective, permitted, inheritable }
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(4).map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_data_survives_both_forms() {
        let sets = Sets { effective: 1, permitted: 0x1_0000_0003, inheritable: 0x80_0000_0000 };
        assert_eq!(CapabilityForm::decode(&CapabilityForm::Two.encode(sets)), sets);
        let low = Sets { effective: 1, permitted: 3, inheritable: 0 };
        assert_eq!(CapabilityForm::decode(&CapabilityForm::One.encode(sets)), low);
        assert_eq!(CapabilityForm::of(0), None);
    }

    #[test]
    fn who_drops_root_cannot_take_it_back() {
        let root = Identity::new(0, 0, &[], Sets::full(SET_UID | SET_GID));
        let user =
            root.changed(Kind::Group, Change::All(7)).unwrap().changed(Kind::User, Change::All(7)).unwrap();
        assert_eq!(user.capabilities, Sets::default());
        for kind in [Kind::User, Kind::Group] {
            assert_eq!(user.changed(kind, Change::All(0)), Err(Errno::PERM), "{kind:?}");
        }
        let stripped = Identity { capabilities: Sets::default(), ..root };
        assert_eq!(stripped.changed(Kind::User, Change::All(7)), Err(Errno::PERM));
    }
}
