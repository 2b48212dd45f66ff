//! Recorded capabilities: what of root's power a process still has (capabilities(7)).

use super::Errno;
use super::ids::Ids;

/// `CAP_CHOWN` and the others that are asked for here, by their bits.
pub const CHOWN: u64 = 1 << 0;
pub const SET_GID: u64 = 1 << 6;
pub const SET_UID: u64 = 1 << 7;
const SET_PCAP: u64 = 1 << 8;

/// The capability sets of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sets {
    /// In effect.
    pub effective: u64,
    /// May be brought into effect.
    pub permitted: u64,
    /// Kept by root over `execve`, whatever the bounding set.
    pub inheritable: u64,
}

/// Whether permitted capabilities survive the change of all three user ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kept {
    /// They do (`PR_SET_KEEPCAPS`).
    Yes,
    /// They do not.
    No,
}

impl Sets {
    /// All of `bits` permitted and in effect.
    pub fn full(bits: u64) -> Self {
        Self { effective: bits, permitted: bits, inheritable: 0 }
    }

    /// Whether it is in effect.
    pub fn has(self, bit: u64) -> bool {
        self.effective & bit != 0
    }

    /// After user ids have changed.
    pub fn changing_user(mut self, before: Ids, after: Ids, kept: Kept) -> Self {
        let is_root = |ids: Ids| [ids.real, ids.effective, ids.saved].contains(&0);
        if is_root(before) && !is_root(after) && kept == Kept::No {
            (self.permitted, self.effective) = (0, 0);
        }
        match (before.effective, after.effective) {
            (0, 1..) => self.effective = 0,
            (1.., 0) => self.effective = self.permitted,
            _ => {}
        }
        self
    }

    /// After `execve`. `user`: the ids that the new program has.
    pub fn executing(self, user: Ids, bounding: u64) -> Self {
        let is_root = [user.real, user.effective].contains(&0);
        let permitted = if is_root { bounding | self.inheritable } else { 0 };
        let effective = if user.effective == 0 { permitted } else { 0 };
        Self { effective, permitted, inheritable: self.inheritable }
    }

    /// After `capset`. Errors with EPERM.
    pub fn changed(self, to: Self, bounding: u64) -> Result<Self, Errno> {
        let within = |set: u64, limit: u64| set & !limit == 0;
        let is_allowed = within(to.permitted, self.permitted)
            && within(to.effective, to.permitted)
            && within(to.inheritable, self.inheritable | bounding)
            && (self.has(SET_PCAP) || within(to.inheritable, self.inheritable | self.permitted));
        if is_allowed { Ok(to) } else { Err(Errno::PERM) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_goes_with_root() {
        let (root, user) = (Ids::all(0), Ids::all(7));
        let acting = Ids { real: 0, effective: 7, saved: 0, file_system: 7 };
        let full = Sets::full(0xff);
        let idle = Sets { effective: 0, ..full };
        let rows = [
            ("drops all", full, root, user, Kept::No, Sets::default()),
            ("keeps what is permitted", full, root, user, Kept::Yes, idle),
            ("acts as another", full, root, acting, Kept::No, idle),
            ("acts as root again", idle, acting, root, Kept::No, full),
            ("was nobody before", Sets::default(), user, user, Kept::No, Sets::default()),
        ];
        for (name, sets, before, after, kept, want) in rows {
            assert_eq!(sets.changing_user(before, after, kept), want, "{name}");
        }
        let setuid = Ids { real: 7, effective: 0, saved: 0, file_system: 0 };
        for (name, user, want) in
            [("root", root, full), ("user", user, Sets::default()), ("setuid", setuid, full)]
        {
            assert_eq!(Sets::default().executing(user, 0xff), want, "{name}");
        }
    }

    #[test]
    fn capset_only_ever_takes_away() {
        let held = Sets::full(0b11);
        let rows = [
            (Sets { effective: 0, permitted: 1, inheritable: 1 }, true),
            (Sets { effective: 0, permitted: 0b100, inheritable: 0 }, false),
            (Sets { effective: 0b10, permitted: 1, inheritable: 0 }, false),
            (Sets { effective: 0, permitted: 0, inheritable: 0b100 }, false),
        ];
        for (to, allowed) in rows {
            assert_eq!(held.changed(to, 0b111).is_ok(), allowed, "{to:?}");
        }
    }
}
