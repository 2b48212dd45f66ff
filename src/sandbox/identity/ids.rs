//! The four ids of a process and the rules by which they change (credentials(7), setresuid(2)).

use rbuild_userns::seccomp::notify::call::Change;

use super::Errno;

/// The ids of one kind, users or groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ids {
    /// Who started the process.
    pub real: u32,
    /// In whose name it acts.
    pub effective: u32,
    /// Whom it may become again.
    pub saved: u32,
    /// In whose name it makes files.
    pub file_system: u32,
}

/// Whether a process may take any id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// It has `CAP_SETUID` or `CAP_SETGID`.
    Any,
    /// It may only choose among those it has.
    Own,
}

impl Ids {
    /// All the same.
    pub const fn all(id: u32) -> Self {
        Self { real: id, effective: id, saved: id, file_system: id }
    }

    /// After a change. Errors with EPERM or, for an id that is none, EINVAL.
    pub fn changed(self, change: Change, power: Power) -> Result<Self, Errno> {
        let may = |id: u32, among: &[u32]| {
            if power == Power::Any || among.contains(&id) { Ok(id) } else { Err(Errno::PERM) }
        };
        let Self { real, effective, saved, file_system } = self;
        match change {
            Change::All(u32::MAX) => Err(Errno::INVAL),
            Change::All(id) if power == Power::Any => Ok(Self::all(id)),
            Change::All(id) => Ok(self.acting_as(may(id, &[real, saved])?)),
            Change::RealEffective(to_real, to_effective) => {
                let new_real = to_real.map_or(Ok(real), |id| may(id, &[real, effective]))?;
                let new_effective =
                    to_effective.map_or(Ok(effective), |id| may(id, &[real, effective, saved]))?;
                let saves = to_real.is_some() || to_effective.is_some_and(|id| id != real);
                let new_saved = if saves { new_effective } else { saved };
                Ok(Self { real: new_real, saved: new_saved, ..self }.acting_as(new_effective))
            }
            Change::Each(ids) => {
                let [new_real, new_effective, new_saved] =
                    ids.map(|id| id.map_or(Ok(None), |id| may(id, &[real, effective, saved]).map(Some)));
                let (new_real, new_saved) = (new_real?.unwrap_or(real), new_saved?.unwrap_or(saved));
                Ok(Self { real: new_real, saved: new_saved, ..self }
                    .acting_as(new_effective?.unwrap_or(effective)))
            }
            // refused without a word: the call returns the old id either way
            Change::FileSystem(id) => Ok(match may(id, &[real, effective, saved, file_system]) {
                Ok(id) if id != u32::MAX => Self { file_system: id, ..self },
                _ => self,
            }),
        }
    }

    fn acting_as(self, id: u32) -> Self {
        Self { effective: id, file_system: id, ..self }
    }

    /// At `execve`; `owner`: of a program with the setuid (setgid) bit.
    pub fn executing(self, owner: Option<u32>) -> Self {
        let effective = owner.unwrap_or(self.effective);
        Self { saved: effective, ..self.acting_as(effective) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ids(real: u32, effective: u32, saved: u32, file_system: u32) -> Ids {
        Ids { real, effective, saved, file_system }
    }

    #[test]
    fn ids_change_as_the_manual_says() {
        use Change::{All, Each, FileSystem, RealEffective};
        use Power::{Any, Own};
        let (root, user) = (Ids::all(0), Ids::all(7));
        let set = ids(7, 0, 0, 0);
        let rows = [
            (root, All(7), Any, Ok(user)),
            (user, All(0), Own, Err(Errno::PERM)),
            (user, All(7), Own, Ok(user)),
            (set, All(7), Own, Ok(ids(7, 7, 0, 7))),
            (ids(7, 7, 0, 7), All(0), Own, Ok(set)),
            (root, All(u32::MAX), Any, Err(Errno::INVAL)),
            (root, RealEffective(Some(7), Some(7)), Any, Ok(user)),
            // a second thread makes the same call
            (user, RealEffective(Some(7), Some(7)), Own, Ok(user)),
            (set, RealEffective(Some(0), Some(7)), Own, Ok(ids(0, 7, 7, 7))),
            (ids(0, 7, 7, 7), RealEffective(Some(0), Some(7)), Own, Ok(ids(0, 7, 7, 7))),
            (set, RealEffective(None, Some(7)), Own, Ok(ids(7, 7, 0, 7))),
            (user, RealEffective(None, Some(0)), Own, Err(Errno::PERM)),
            (user, RealEffective(Some(0), None), Own, Err(Errno::PERM)),
            (root, RealEffective(None, None), Own, Ok(root)),
            (root, Each([None, Some(7), None]), Any, Ok(ids(0, 7, 0, 7))),
            (ids(0, 7, 0, 7), Each([None, Some(0), None]), Own, Ok(root)),
            (root, Each([Some(7), Some(8), Some(9)]), Any, Ok(ids(7, 8, 9, 8))),
            (ids(7, 8, 9, 8), Each([Some(9), Some(7), Some(8)]), Own, Ok(ids(9, 7, 8, 7))),
            (user, Each([Some(7), Some(7), Some(0)]), Own, Err(Errno::PERM)),
            (root, FileSystem(7), Any, Ok(ids(0, 0, 0, 7))),
            (user, FileSystem(0), Own, Ok(user)),
            (root, FileSystem(u32::MAX), Any, Ok(root)),
        ];
        for (before, change, power, want) in rows {
            assert_eq!(before.changed(change, power), want, "{before:?} {change:?} {power:?}");
        }
    }

    #[test]
    fn a_program_saves_its_effective_id() {
        assert_eq!(ids(7, 7, 0, 7).executing(None), Ids::all(7));
        assert_eq!(Ids::all(7).executing(Some(0)), ids(7, 0, 0, 0));
    }
}
