//! `prctl` about capabilities: what is kept when users change, and what is handed down to programs (capabilities(7)).

use rbuild_userns::seccomp::notify::Answer;
use rbuild_userns::seccomp::notify::call::{Ambient, Privilege};

use super::Errno;
use super::caller::Caller;
use super::capabilities::{SET_PCAP, Secure, Sets};
use super::clerk::Desk;
use super::people::Identity;

impl Desk<'_> {
    pub(super) fn privilege(&self, caller: &Caller<'_>, asked: Privilege) -> Result<Answer, Errno> {
        let Identity { capabilities, secure, .. } = *self.books.people.of(caller.thread);
        let yes = |is_so: bool| Ok(Answer::Value(is_so.into()));
        match asked {
            Privilege::IsKept => yes(secure.has(Secure::KEEP)),
            Privilege::Keep(is_set @ (0 | 1)) => self.secure(caller, |before| {
                let may = !before.secure.locks(Secure::KEEP);
                may.then(|| before.secure.with(Secure::KEEP, is_set == 1)).ok_or(Errno::PERM)
            }),
            Privilege::Secure => Ok(Answer::Value(secure.0.into())),
            Privilege::SetSecure(bits) => self.secure(caller, |before| {
                let bits = u32::try_from(bits).map_err(|_| Errno::PERM)?;
                let after = before.secure.changed(bits)?;
                before.capabilities.has(SET_PCAP).then_some(after).ok_or(Errno::PERM)
            }),
            Privilege::IsBounding(number) => match bit(number) {
                Some(bit) => yes(capabilities.bounding & bit != 0),
                None => Ok(Answer::Go),
            },
            // the kernel, too: what it does for real is bounded with it
            Privilege::Unbound(number) => {
                let Some(bit) = bit(number) else { return Ok(Answer::Go) };
                self.sets(caller, |before, _| {
                    let after = Sets { bounding: before.bounding & !bit, ..before };
                    before.has(SET_PCAP).then_some(after).ok_or(Errno::PERM)
                })?;
                Ok(Answer::Go)
            }
            Privilege::Ambient(ambient, number) => match (ambient, bit(number)) {
                (Ambient::Has, Some(bit)) => yes(capabilities.ambient & bit != 0),
                (Ambient::Raise, Some(bit)) => self.sets(caller, |before, secure| before.raised(bit, secure)),
                (Ambient::Lower, Some(bit)) => {
                    self.sets(caller, |before, _| Ok(Sets { ambient: before.ambient & !bit, ..before }))
                }
                (Ambient::Clear, _) if number == 0 => {
                    self.sets(caller, |before, _| Ok(Sets { ambient: 0, ..before }))
                }
                _ => Err(Errno::INVAL),
            },
            Privilege::Keep(_) | Privilege::Malformed => Err(Errno::INVAL),
        }
    }

    fn secure(
        &self,
        caller: &Caller<'_>,
        change: impl FnOnce(&Identity) -> Result<Secure, Errno>,
    ) -> Result<Answer, Errno> {
        self.change(caller, |before| Ok(Identity { secure: change(before)?, ..before.clone() }))?;
        Ok(Answer::Value(0))
    }

    fn sets(
        &self,
        caller: &Caller<'_>,
        change: impl FnOnce(Sets, Secure) -> Result<Sets, Errno>,
    ) -> Result<Answer, Errno> {
        self.change(caller, |before| {
            Ok(Identity { capabilities: change(before.capabilities, before.secure)?, ..before.clone() })
        })?;
        Ok(Answer::Value(0))
    }
}

/// The bit of a capability, by its number. `None`: there is none of that number.
fn bit(number: u64) -> Option<u64> {
    /// `CAP_CHECKPOINT_RESTORE`, the last that Linux has (6.18).
    const LAST: u64 = 40;
    (number <= LAST).then(|| 1 << number)
}
