//! `kill` and its kin: who may send whom a signal (kill(2), `kill_ok_by_cred` of Linux).
//!
//! To the kernel every process of the step is the one user's own, and all signals arrive. So a signal that a recorded user
//! may not send is refused here, and any other is the kernel's. One to a group reaches those of it that may be reached: where
//! that is not all, the clerk sends it in the caller's stead, and the receivers are told of no sender.
//!
//! What is not found is the kernel's, too: processes of a pid namespace within the step's, and all of them where the
//! sandbox has no procfs of its own.

use std::os::fd::AsFd as _;

use rbuild_userns::caller as calling;
use rbuild_userns::peer::borrow;
use rbuild_userns::seccomp::notify::Answer;
use rbuild_userns::seccomp::notify::call::Receiver;

use super::Errno;
use super::caller::Caller;
use super::capabilities::KILL;
use super::clerk::Desk;
use super::numbered::Numbered;
use super::people::Identity;

/// Who shall get a signal, by the server's numbers of processes.
enum Found {
    One(i32),
    Several(Vec<i32>),
}

impl Desk<'_> {
    pub(super) fn signal(&self, caller: &Caller<'_>, to: Receiver, signal: i32) -> Result<Answer, Errno> {
        // what is no signal is the kernel's to say first
        if self.books.people.are_uniform() || !(0..=LAST).contains(&signal) {
            return Ok(Answer::Go);
        }
        let sender = self.books.people.of(caller.thread);
        if sender.capabilities.has(KILL) {
            return Ok(Answer::Go);
        }
        let Some(here) = self.view.numbered(caller.thread) else { return Ok(Answer::Go) };
        let found = match to {
            Receiver::Process(number) if number == here.process => None,
            Receiver::Process(number) => self.view.process_of(&here, number).map(Found::One),
            Receiver::Descriptor(number) => self.behind(caller, number).map(Found::One),
            Receiver::Group(group) => {
                let group = if group == 0 { here.group } else { group };
                let others = self.view.processes_beside(&here);
                Some(Found::Several(others.filter(|(_, other)| other.group == group).map(first).collect()))
            }
            Receiver::All => {
                let others = self.view.processes_beside(&here);
                let meant = |(_, other): &(i32, Numbered)| ![1, here.process].contains(&other.process);
                Some(Found::Several(others.filter(meant).map(first).collect()))
            }
        };
        let may = |process: &i32| self.may_signal((&sender, &here), *process, signal);
        match found {
            None => Ok(Answer::Go),
            Some(Found::One(process)) if may(&process) => Ok(Answer::Go),
            Some(Found::One(_)) => Err(Errno::PERM),
            Some(Found::Several(all)) => {
                let reached: Vec<i32> = all.iter().copied().filter(may).collect();
                if reached.len() == all.len() {
                    return Ok(Answer::Go);
                }
                caller.still_waits()?;
                let sent = |process: &&i32| calling::signal(**process, signal).is_ok();
                // of those that have gone nothing is said
                if reached.iter().filter(sent).count() > 0 { Ok(Answer::Value(0)) } else { Err(Errno::PERM) }
            }
        }
    }

    fn may_signal(&self, (sender, here): (&Identity, &Numbered), process: i32, signal: i32) -> bool {
        let Some(receiver) = self.books.people.find(process) else { return true };
        sender.may_signal(&receiver) || {
            let there = self.view.numbered(process);
            there.is_some_and(|there| {
                there.process == here.process || (signal == CONTINUE && there.session == here.session)
            })
        }
    }

    /// The process behind a descriptor of it.
    fn behind(&self, caller: &Caller<'_>, number: i32) -> Option<i32> {
        let pidfd = borrow(caller.thread, self.view.process(caller.thread), number).ok()?;
        self.view.is_own().then(|| self.view.behind(pidfd.as_fd())).flatten()
    }
}

/// `_NSIG`
const LAST: i32 = 64;
/// `SIGCONT`, which whoever is of the same session may send.
const CONTINUE: i32 = rustix::process::Signal::CONT.as_raw();

fn first((process, _): (i32, Numbered)) -> i32 {
    process
}

impl Identity {
    fn may_signal(&self, receiver: &Self) -> bool {
        let (own, theirs) = (self.user, receiver.user);
        [own.effective, own.real].iter().any(|id| [theirs.saved, theirs.real].contains(id))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sets;
    use super::super::ids::Ids;
    use super::*;

    #[test]
    fn signals_reach_ones_own() {
        let user = |real, effective, saved| Identity {
            user: Ids { real, effective, saved, file_system: effective },
            ..Identity::new(0, 0, &[], Sets::default())
        };
        let rows = [
            ("one's own", user(7, 7, 7), user(7, 7, 7), true),
            ("another's", user(7, 7, 7), user(8, 8, 8), false),
            ("root's", user(7, 7, 7), user(0, 0, 0), false),
            ("a setuid program that one started", user(7, 7, 7), user(7, 0, 0), true),
            ("who acts as one for a while", user(7, 7, 7), user(0, 7, 0), false),
            ("by the real id", user(7, 8, 8), user(7, 7, 7), true),
            ("whom it may become again", user(7, 7, 7), user(8, 8, 7), true),
            ("the saved id of the sender is no matter", user(7, 7, 8), user(8, 8, 8), false),
        ];
        for (name, sender, receiver, want) in rows {
            assert_eq!(sender.may_signal(&receiver), want, "{name}");
        }
    }
}
