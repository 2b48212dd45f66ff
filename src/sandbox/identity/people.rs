//! Who each process is: rows of identities, and a mark on the process that says which row.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rbuild_userns::caller;

use super::Errno;
use super::capabilities::{Secure, Sets};
use super::ids::Ids;
use crate::rootfs::{Creators, Owner};

/// Everything that a process is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub user: Ids,
    pub group: Ids,
    /// The further groups, in order.
    pub groups: Vec<u32>,
    pub capabilities: Sets,
    pub secure: Secure,
}

impl Identity {
    /// A user, its group and its further groups.
    pub fn new(user: u32, group: u32, groups: &[u32], capabilities: Sets) -> Self {
        let mut groups = groups.to_vec();
        groups.sort_unstable();
        let (user, group) = (Ids::all(user), Ids::all(group));
        Self { user, group, groups, capabilities, secure: Secure::default() }
    }

    /// Whether it acts in a group's name.
    pub fn is_in(&self, group: u32) -> bool {
        self.group.file_system == group || self.groups.binary_search(&group).is_ok()
    }
}

/// What a mark of ours starts with: no limit that anybody would set.
const FIRST: u64 = 0x7262_0000_0000;
/// The most different identities of one step.
const MOST: usize = 1 << 16;

/// The identities of a step. A process without a mark is the first: whom the step began as.
pub struct People {
    rows: RwLock<Rows>,
    /// Nobody has become anybody else so far, so no mark has to be looked at.
    is_uniform: AtomicBool,
}

struct Rows {
    list: Vec<Arc<Identity>>,
    places: HashMap<Arc<Identity>, usize>,
}

impl People {
    /// While a step is put together everything in it is root's.
    pub fn new() -> Self {
        let rows =
            Rows { list: vec![Arc::new(Identity::new(0, 0, &[], Sets::full(!0)))], places: HashMap::new() };
        Self { rows: RwLock::new(rows), is_uniform: AtomicBool::new(true) }
    }

    /// The command begins, as this one.
    pub fn begin(&self, first: Identity) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let first = Arc::new(first);
        rows.list = vec![Arc::clone(&first)];
        rows.places = HashMap::from([(first, 0)]);
    }

    /// Who a thread's process is.
    pub fn of(&self, thread: i32) -> Arc<Identity> {
        let place = self.place(thread);
        self.rows.read().unwrap_or_else(PoisonError::into_inner).at(place)
    }

    /// A thread's process becomes another. Returns who it was. Errors with what `change` says, or EAGAIN where it cannot be
    /// noted. `still_waits`: as [`super::caller::Caller::still_waits`].
    pub fn change(
        &self,
        thread: i32,
        still_waits: &dyn Fn() -> Result<(), Errno>,
        change: impl FnOnce(&Identity) -> Result<Identity, Errno>,
    ) -> Result<Arc<Identity>, Errno> {
        // held over all of it: two threads of a process may change it at once
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let before = rows.at(self.place(thread));
        let after = change(&before)?;
        if after != *before {
            let place = rows.place(after)?;
            self.is_uniform.store(false, Ordering::Release);
            mark(thread, place, still_waits)?;
        }
        Ok(before)
    }

    /// Whether everybody is still who the step began as.
    pub fn are_uniform(&self) -> bool {
        self.is_uniform.load(Ordering::Acquire)
    }

    /// The same of a process that may be gone.
    pub fn find(&self, process: i32) -> Option<Arc<Identity>> {
        caller::mark(process).is_ok().then(|| self.of(process))
    }

    fn place(&self, thread: i32) -> usize {
        if self.is_uniform.load(Ordering::Acquire) { 0 } else { place(thread) }
    }
}

impl Rows {
    fn at(&self, place: usize) -> Arc<Identity> {
        Arc::clone(self.list.get(place).unwrap_or(&self.list[0]))
    }

    /// The row of an identity. Errors with EAGAIN where there are too many.
    fn place(&mut self, identity: Identity) -> Result<usize, Errno> {
        if let Some(&place) = self.places.get(&identity) {
            return Ok(place);
        }
        if self.list.len() >= MOST {
            return Err(Errno::AGAIN);
        }
        let (place, identity) = (self.list.len(), Arc::new(identity));
        self.list.push(Arc::clone(&identity));
        self.places.insert(identity, place);
        Ok(place)
    }
}

/// Marks the process of a thread that waits. If it was gone when the mark was set, whoever has its number now is given its
/// own mark back.
fn mark(thread: i32, place: usize, still_waits: &dyn Fn() -> Result<(), Errno>) -> Result<(), Errno> {
    still_waits()?;
    let before = caller::set_mark(thread, FIRST + place as u64).map_err(|_| Errno::AGAIN)?;
    still_waits().inspect_err(|_| {
        // nobody has the number: nobody to make it good to
        if let Err(error) = caller::set_mark(thread, before) {
            debug_assert_eq!(error.raw_os_error(), Some(Errno::SRCH.raw_os_error()));
        }
    })
}

/// The row that a thread's mark names. Whoever is gone, or has set the limit to something else, is the first again.
fn place(thread: i32) -> usize {
    let mark = caller::mark(thread).unwrap_or(caller::NO_MARK);
    mark.checked_sub(FIRST)
        .and_then(|place| usize::try_from(place).ok())
        .filter(|place| *place < MOST)
        .unwrap_or(0)
}

impl Creators for People {
    fn owner(&self, thread: u32) -> Owner {
        let identity = self.of(thread.cast_signed());
        Owner { uid: identity.user.file_system, gid: identity.group.file_system }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_again_and_inherited() {
        let people = People::new();
        let here = std::process::id().cast_signed();
        assert_eq!(people.of(here).user.real, 0);
        people.begin(Identity::new(5, 5, &[], Sets::default()));
        assert_eq!(people.of(here).user.real, 5);
        let other = Identity::new(7, 8, &[10, 9], Sets::default());
        let become_other =
            |thread, other: &Identity| people.change(thread, &|| Ok(()), |_| Ok(other.clone()));
        assert_eq!(become_other(here, &other).unwrap().user.real, 5);
        assert_eq!(*people.of(here), other);
        assert_eq!(people.of(here).groups, [9, 10]);
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        assert_eq!(people.owner(child.id()), Owner { uid: 7, gid: 8 });
        become_other(child.id().cast_signed(), &Identity::new(5, 5, &[], Sets::default())).unwrap();
        assert_eq!((people.of(child.id().cast_signed()).user.real, people.of(here).user.real), (5, 7));
        // its number became another's in the very moment
        let asked = std::cell::Cell::new(0);
        let gone = || if asked.replace(asked.get() + 1) == 0 { Ok(()) } else { Err(Errno::SRCH) };
        assert_eq!(
            people.change(here, &gone, |_| Ok(Identity::new(6, 6, &[], Sets::default()))),
            Err(Errno::SRCH)
        );
        assert_eq!(people.of(here).user.real, 7);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
