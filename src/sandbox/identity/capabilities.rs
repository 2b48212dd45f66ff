//! Recorded capabilities: what of root's power a process still has (capabilities(7)).

use super::Errno;
use super::ids::Ids;

/// `CAP_CHOWN` and the others that are asked for here, by their bits.
pub const CHOWN: u64 = 1 << 0;
pub const KILL: u64 = 1 << 5;
pub const SET_GID: u64 = 1 << 6;
pub const SET_UID: u64 = 1 << 7;
pub const SET_PCAP: u64 = 1 << 8;

/// The capability sets of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sets {
    /// In effect.
    pub effective: u64,
    /// May be brought into effect.
    pub permitted: u64,
    /// Kept by root over `execve`, whatever the bounding set.
    pub inheritable: u64,
    /// Kept by everybody over `execve`.
    pub ambient: u64,
    /// The most that `execve` gives.
    pub bounding: u64,
}

/// What a program's file gives (`security.capability`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfFile {
    permitted: u64,
    inheritable: u64,
    is_effective: bool,
}

/// How root is treated (`PR_SET_SECUREBITS`), a bit each, followed by one that locks it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Secure(pub u32);

impl Secure {
    /// `execve` by root gives nothing.
    pub const NO_ROOT: u32 = 1;
    /// A change of user takes nothing away.
    pub const NO_FIX_UP: u32 = 1 << 2;
    /// Permitted capabilities survive the change of all three user ids.
    pub const KEEP: u32 = 1 << 4;
    /// Nothing becomes ambient.
    pub const NO_RAISE: u32 = 1 << 6;
    const ALL: u32 = 0xff;
    const LOCKS: u32 = 0xaa;

    pub fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    /// Whether what this bit says may not be changed any more.
    pub fn locks(self, bit: u32) -> bool {
        self.has(bit << 1)
    }

    /// Errors with EPERM for what is locked or unknown.
    pub fn changed(self, to: u32) -> Result<Self, Errno> {
        let locked = (self.0 & Self::LOCKS) >> 1;
        let is_allowed =
            locked & (self.0 ^ to) == 0 && self.0 & Self::LOCKS & !to == 0 && to & !Self::ALL == 0;
        if is_allowed { Ok(Self(to)) } else { Err(Errno::PERM) }
    }

    #[must_use]
    pub fn with(self, bit: u32, is_set: bool) -> Self {
        Self(if is_set { self.0 | bit } else { self.0 & !bit })
    }
}

impl Sets {
    /// All of `bits` permitted and in effect, and no more to be had.
    pub fn full(bits: u64) -> Self {
        Self { effective: bits, permitted: bits, ..Self::bounded(bits) }
    }

    /// None of `bits`, which a program may still give.
    pub fn bounded(bits: u64) -> Self {
        Self { bounding: bits, ..Self::default() }
    }

    /// Whether it is in effect.
    pub fn has(self, bit: u64) -> bool {
        self.effective & bit != 0
    }

    /// After user ids have changed.
    pub fn changing_user(mut self, before: Ids, after: Ids, secure: Secure) -> Self {
        if secure.has(Secure::NO_FIX_UP) {
            return self;
        }
        let is_root = |ids: Ids| [ids.real, ids.effective, ids.saved].contains(&0);
        if is_root(before) && !is_root(after) {
            self.ambient = 0;
            if !secure.has(Secure::KEEP) {
                (self.permitted, self.effective) = (0, 0);
            }
        }
        match (before.effective, after.effective) {
            (0, 1..) => self.effective = 0,
            (1.., 0) => self.effective = self.permitted,
            _ => {}
        }
        self
    }

    /// After `execve`. `user`: the ids that the new program has; `bits`: whether it got them by setuid or setgid bits.
    pub fn executing(self, user: Ids, bits: bool, file: Option<OfFile>, secure: Secure) -> Self {
        let is_root = |id| id == 0 && !secure.has(Secure::NO_ROOT);
        let ambient = if bits || file.is_some() { 0 } else { self.ambient };
        let given =
            file.map_or(0, |file| (self.inheritable & file.inheritable) | (file.permitted & self.bounding));
        let of_root =
            if is_root(user.real) || is_root(user.effective) { self.bounding | self.inheritable } else { 0 };
        let permitted = given | of_root | ambient;
        let is_effective = is_root(user.effective) || file.is_some_and(|file| file.is_effective);
        Self { effective: if is_effective { permitted } else { ambient }, permitted, ambient, ..self }
    }

    /// After `capset`. Errors with EPERM.
    pub fn changed(self, effective: u64, permitted: u64, inheritable: u64) -> Result<Self, Errno> {
        let within = |set: u64, limit: u64| set & !limit == 0;
        let is_allowed = within(permitted, self.permitted)
            && within(effective, permitted)
            && within(inheritable, self.inheritable | self.bounding)
            && (self.has(SET_PCAP) || within(inheritable, self.inheritable | self.permitted));
        let ambient = self.ambient & permitted & inheritable;
        let after = Self { effective, permitted, inheritable, ambient, ..self };
        if is_allowed { Ok(after) } else { Err(Errno::PERM) }
    }

    /// With one more that is ambient. Errors with EPERM.
    pub fn raised(self, bit: u64, secure: Secure) -> Result<Self, Errno> {
        let may = self.permitted & self.inheritable & bit != 0 && !secure.has(Secure::NO_RAISE);
        if may { Ok(Self { ambient: self.ambient | bit, ..self }) } else { Err(Errno::PERM) }
    }
}

impl OfFile {
    /// Reads the extended attribute: flags, then permitted and inheritable in one or two halves (`linux/capability.h`).
    /// `None`: not what the kernel would take for one.
    pub fn parse(value: &[u8]) -> Option<Self> {
        const EFFECTIVE: u32 = 1;
        let words: Vec<u32> = value
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect();
        let (flags, halves) = words.split_first()?;
        // the third form has the root of its user namespace at the end
        let (permitted, inheritable, higher) = match (flags >> 24, halves) {
            (1, &[permitted, inheritable]) => (permitted, inheritable, [0, 0]),
            (2, &[permitted, inheritable, third, fourth])
            | (3, &[permitted, inheritable, third, fourth, _]) => (permitted, inheritable, [third, fourth]),
            _ => return None,
        };
        let whole = |low: u32, high: u32| u64::from(low) | (u64::from(high) << 32);
        let [permitted, inheritable] = [whole(permitted, higher[0]), whole(inheritable, higher[1])];
        Some(Self { permitted, inheritable, is_effective: flags & EFFECTIVE != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_goes_with_root() {
        let (root, user) = (Ids::all(0), Ids::all(7));
        let acting = Ids { real: 0, effective: 7, saved: 0, file_system: 7 };
        let full = Sets { ambient: 1, ..Sets::full(0xff) };
        let idle = Sets { effective: 0, ..full };
        let (no, keep, no_fix_up) = (Secure(0), Secure(Secure::KEEP), Secure(Secure::NO_FIX_UP));
        let rows = [
            ("drops all", full, root, user, no, Sets::bounded(0xff)),
            ("keeps what is permitted", full, root, user, keep, Sets { ambient: 0, ..idle }),
            ("keeps all", full, root, user, no_fix_up, full),
            ("acts as another", full, root, acting, no, idle),
            ("acts as root again", idle, acting, root, no, full),
            ("was nobody before", Sets::default(), user, user, no, Sets::default()),
        ];
        for (name, sets, before, after, secure, want) in rows {
            assert_eq!(sets.changing_user(before, after, secure), want, "{name}");
        }
    }

    #[test]
    fn programs_give_power() {
        let (root, user) = (Ids::all(0), Ids::all(7));
        let setuid = Ids { real: 7, effective: 0, saved: 0, file_system: 0 };
        let (none, full) = (Sets::bounded(0xff), Sets::full(0xff));
        let ambient = Sets { ambient: 1, inheritable: 1, ..none };
        let file = |is_effective| Some(OfFile { permitted: 0x102, inheritable: 4, is_effective });
        let no_root = Secure(Secure::NO_ROOT);
        let rows = [
            ("root", none, root, false, None, Secure(0), full),
            ("a user", none, user, false, None, Secure(0), none),
            ("a setuid program", none, setuid, true, None, Secure(0), full),
            ("root without its power", full, root, false, None, no_root, none),
            (
                "what is ambient",
                ambient,
                user,
                false,
                None,
                Secure(0),
                Sets { effective: 1, permitted: 1, ..ambient },
            ),
            (
                "not for a setuid program",
                ambient,
                user,
                true,
                None,
                Secure(0),
                Sets { ambient: 0, ..ambient },
            ),
            (
                "a file's, within bounds",
                none,
                user,
                false,
                file(true),
                Secure(0),
                Sets { effective: 2, permitted: 2, ..none },
            ),
            (
                "a file's, to be brought into effect",
                none,
                user,
                false,
                file(false),
                Secure(0),
                Sets { permitted: 2, ..none },
            ),
        ];
        for (name, sets, user, bits, file, secure, want) in rows {
            assert_eq!(sets.executing(user, bits, file, secure), want, "{name}");
        }
    }

    #[test]
    fn capset_only_ever_takes_away() {
        let held = Sets { bounding: 0b111, ambient: 1, ..Sets::full(0b11) };
        let rows = [((0, 1, 1), true), ((0, 0b100, 0), false), ((0b10, 1, 0), false), ((0, 0, 0b100), false)];
        for ((effective, permitted, inheritable), allowed) in rows {
            let after = held.changed(effective, permitted, inheritable);
            assert_eq!(after.is_ok(), allowed, "{effective} {permitted} {inheritable}");
            assert!(after.is_err() || after.unwrap().ambient == permitted & inheritable);
        }
    }

    #[test]
    fn what_is_locked_stays() {
        let locked = Secure(0b1100);
        for (to, allowed) in
            [(0b1100, true), (0b1101, true), (0b1000, false), (0b0100, false), (0x10c, false)]
        {
            assert_eq!(locked.changed(to).is_ok(), allowed, "{to:#x}");
        }
    }

    #[test]
    fn the_forms_of_a_files_capabilities() {
        let bytes = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        let of = |permitted, is_effective| Some(OfFile { permitted, inheritable: 2, is_effective });
        let rows = [
            (&[0x0100_0001, 1, 2][..], of(1, true)),
            (&[0x0200_0000, 1, 2, 1, 0], of(0x1_0000_0001, false)),
            (&[0x0300_0001, 1, 2, 0, 0, 1000], of(1, true)),
            (&[0x0200_0000, 1, 2], None),
            (&[], None),
        ];
        for (words, want) in rows {
            assert_eq!(OfFile::parse(&bytes(words)), want, "{words:x?}");
        }
    }
}
