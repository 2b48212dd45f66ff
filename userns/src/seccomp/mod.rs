//! The seccomp filter of a step: a profile assembled into programs for the kernel.

mod assemble;
mod calls;
mod judge;
pub mod notify;
mod probe;
mod profile;

use std::io;

use seccompiler::sock_filter;

use crate::caps::Capabilities;
use crate::error::{Error, refused};

pub use judge::Call;
pub use probe::try_listener;
pub use profile::{Action, Condition, Operator, Profile, Rule};

/// A filter ready to be installed.
#[derive(Clone)]
pub struct Filter {
    programs: Vec<Vec<sock_filter>>,
    flags: libc::c_ulong,
}

impl Filter {
    /// Assembles a profile for a process that may use `capabilities`.
    pub fn new(profile: &Profile, capabilities: &Capabilities) -> Result<Self, Error> {
        let programs = assemble::programs(profile, capabilities).map_err(Error::Assemble)?;
        Ok(Self { programs, flags: if profile.log { libc::SECCOMP_FILTER_FLAG_LOG } else { 0 } })
    }

    /// What the kernel answers to a call of this architecture, by name; `None` if there is none of that name.
    pub fn answer(&self, name: &str, arguments: [u64; 6]) -> Option<Action> {
        let numbers = calls::numbers(calls::Abi::Native);
        let call =
            Call { arch: assemble::NATIVE, number: u32::try_from(*numbers.get(name)?).ok()?, arguments };
        Some(self.judge(&call))
    }

    /// Puts this process and its descendants under the filter for good.
    ///
    /// Without `no_new_privs` this needs `CAP_SYS_ADMIN` in the user namespace: do it before capabilities are dropped.
    pub fn install(&self) -> Result<(), Error> {
        self.programs.iter().try_for_each(|program| install(program, self.flags))
    }
}

fn install(program: &[sock_filter], flags: libc::c_ulong) -> Result<(), Error> {
    let request = || format!("install a seccomp filter of {} instructions", program.len());
    load(program, flags).map(drop).map_err(refused(request()))
}

/// Loads a program. Returns what the kernel does: with some flags a descriptor.
fn load(program: &[sock_filter], flags: libc::c_ulong) -> io::Result<i32> {
    let len = libc::c_ushort::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // the kernel only reads the program, whatever the type of its pointer says
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut() };
    // SAFETY: `program` points to `len` live instructions of the kernel's layout (`sock_filter` is repr(C) in both crates).
    let done = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::from_ref(&program))
    };
    i32::try_from(done).ok().filter(|done| *done >= 0).ok_or_else(io::Error::last_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Profile = Profile { default: Action::Allow, rules: Vec::new(), x86: false, log: false };

    fn rule(names: &[&str], action: Action, conditions: &[(u8, Operator, u64)]) -> Rule {
        let condition = |&(argument, operator, value): &_| Condition { argument, operator, value };
        Rule {
            names: names.iter().map(ToString::to_string).collect(),
            action,
            conditions: conditions.iter().map(condition).collect(),
            with_capabilities: Vec::new(),
            without_capabilities: Vec::new(),
        }
    }

    fn answer(profile: &Profile, name: &str, arguments: [u64; 2]) -> Action {
        let filter = Filter::new(profile, &Capabilities::default()).unwrap();
        let [a, b] = arguments;
        filter.answer(name, [a, b, 0, 0, 0, 0]).unwrap()
    }

    #[test]
    fn every_comparison_decides_as_it_says() {
        let high = 1 << 32;
        let rows = [
            (Operator::Eq, 7, [(7, true), (8, false), (high + 7, true)]),
            (Operator::Ne, 7, [(7, false), (8, true), (high + 7, true)]),
            (Operator::Lt, 7, [(6, true), (7, false), (high, false)]),
            (Operator::Le, 7, [(7, true), (8, false), (high, false)]),
            (Operator::Gt, 7, [(7, false), (8, true), (high, true)]),
            (Operator::Ge, 7, [(6, false), (7, true), (high, true)]),
            (Operator::MaskedEq(6), 4, [(5, true), (6, false), (high + 12, true)]),
            (Operator::Eq, high, [(high, true), (0, false), (high + 1, false)]),
        ];
        for (operator, value, calls) in rows {
            let refuse = rule(&["dup2"], Action::Errno(9), &[(1, operator, value)]);
            let profile = Profile { rules: vec![refuse], ..OPEN };
            for (argument, hit) in calls {
                let want = if hit { Action::Errno(9) } else { Action::Allow };
                assert_eq!(answer(&profile, "dup2", [0, argument]), want, "{operator:?} {value}: {argument}");
            }
        }
    }

    #[test]
    fn the_unused_half_of_an_argument_permits_nothing() {
        let high = 1 << 32;
        for (operator, calls) in [
            (Operator::Eq, [(7, true), (high + 7, false)]),
            (Operator::Ne, [(high + 8, true), (high + 7, false)]),
        ] {
            let permit = rule(&["dup2"], Action::Allow, &[(1, operator, 7)]);
            let profile = Profile { default: Action::Errno(1), rules: vec![permit], ..OPEN };
            for (argument, hit) in calls {
                let want = if hit { Action::Allow } else { Action::Errno(1) };
                assert_eq!(answer(&profile, "dup2", [0, argument]), want, "{operator:?}: {argument:#x}");
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn x32_finds_no_call() {
        const X32: u32 = 0x4000_0000;
        let refuse = rule(&["dup2"], Action::Errno(9), &[]);
        for x86 in [false, true] {
            let filter =
                Filter::new(&Profile { rules: vec![refuse.clone()], x86, ..OPEN }, &Capabilities::default())
                    .unwrap();
            let number = u32::try_from(libc::SYS_dup2).unwrap();
            let rows = [(number, 9), (X32 | number, libc::ENOSYS), (u32::MAX, libc::ENOSYS)];
            for (number, want) in rows {
                let call = Call { arch: assemble::NATIVE, number, arguments: [0; 6] };
                let want = Action::Errno(u16::try_from(want).unwrap());
                assert_eq!(filter.judge(&call), want, "{number:#x}");
            }
        }
    }

    #[test]
    fn rules_are_weighed() {
        use Action::{Allow, Errno, KillProcess, KillThread, Log, Trap};
        let eq = |argument, value| (argument, Operator::Eq, value);
        let rows = [
            ("nothing names it", Errno(38), vec![], Errno(38)),
            ("each default", KillProcess, vec![], KillProcess),
            ("each answer", Allow, vec![rule(&["dup2"], Trap, &[])], Trap),
            ("a weaker answer", KillThread, vec![rule(&["dup2"], Log, &[])], Log),
            (
                "the first decides",
                Allow,
                vec![rule(&["dup2"], Errno(1), &[]), rule(&["dup2"], Trap, &[])],
                Errno(1),
            ),
            (
                "one without conditions decides alone",
                Allow,
                vec![rule(&["dup2"], KillProcess, &[eq(0, 1)]), rule(&["dup2"], Errno(1), &[])],
                Errno(1),
            ),
            (
                "the strictest of those that hold",
                Errno(38),
                vec![rule(&["dup2"], Allow, &[eq(0, 1)]), rule(&["dup2"], Errno(1), &[eq(1, 2)])],
                Errno(1),
            ),
            ("all must hold", Allow, vec![rule(&["dup2"], Trap, &[eq(0, 1), eq(1, 3)])], Allow),
            (
                "one argument's are alternatives",
                Allow,
                vec![rule(&["dup2"], Trap, &[eq(0, 1), eq(0, 3)])],
                Trap,
            ),
            ("unknown names are passed over", Errno(1), vec![rule(&["nosuch", "dup2"], Allow, &[])], Allow),
        ];
        for (name, default, rules, want) in rows {
            assert_eq!(answer(&Profile { default, rules, ..OPEN }, "dup2", [1, 2]), want, "{name}");
        }
    }
}
