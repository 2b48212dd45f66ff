//! Which calls are handed over, and what the registers of each say.

use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

use super::Scope;
use super::call::{Ambient, Call, Change, File, Form, Kind, NOFOLLOW, Part, Privilege, Receiver, low};
use super::creation;
use crate::seccomp::assemble::Rules;

const PRIVILEGES: &[libc::c_int] = &[
    libc::PR_GET_KEEPCAPS,
    libc::PR_SET_KEEPCAPS,
    libc::PR_CAPBSET_READ,
    libc::PR_CAPBSET_DROP,
    libc::PR_GET_SECUREBITS,
    libc::PR_SET_SECUREBITS,
    libc::PR_CAP_AMBIENT,
];
/// A `struct rlimit` that nobody set.
const UNLIMITED: &[u8] = &[0xff; 16];
const MARK: u32 = crate::caller::LIMIT;

/// Handed over whatever their arguments.
const WHOLE: &[libc::c_long] = &[
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    // its flags lie in memory
    libc::SYS_clone3,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_send_signal,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
];

/// What the filter hands over.
pub(super) fn rules(scope: Scope) -> Result<Rules, BackendError> {
    let mut rules: Rules = WHOLE.iter().map(|&number| (number, Vec::new())).collect();
    let when = |argument: u8, operator, value: u32| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value.into())?;
        SeccompRule::new(vec![condition])
    };
    let device = |argument| -> Result<_, BackendError> {
        let kind = SeccompCmpOp::MaskedEq(libc::S_IFMT.into());
        Ok(vec![when(argument, kind.clone(), libc::S_IFCHR)?, when(argument, kind, libc::S_IFBLK)?])
    };
    rules.insert(libc::SYS_mknodat, device(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_mknod, device(1)?);
    let of_the_mark = |argument| when(argument, SeccompCmpOp::Eq, MARK).map(|rule| vec![rule]);
    rules.insert(libc::SYS_getrlimit, of_the_mark(0)?);
    rules.insert(libc::SYS_setrlimit, of_the_mark(0)?);
    rules.insert(libc::SYS_prlimit64, of_the_mark(1)?);
    let of_mounts = |argument| {
        let mounts = libc::CLONE_NEWNS.cast_unsigned();
        when(argument, SeccompCmpOp::MaskedEq(mounts.into()), mounts).map(|rule| vec![rule])
    };
    rules.insert(libc::SYS_unshare, of_mounts(0)?);
    rules.insert(libc::SYS_clone, of_mounts(0)?);
    let privileges = PRIVILEGES.iter().map(|option| when(0, SeccompCmpOp::Eq, option.cast_unsigned()));
    rules.insert(libc::SYS_prctl, privileges.collect::<Result<_, _>>()?);
    let equals = |argument, value: i32| {
        let (width, value) = (SeccompCmpArgLen::Dword, u64::from(value.cast_unsigned()));
        SeccompCondition::new(argument, width, SeccompCmpOp::Eq, value)
    };
    let peers = SeccompRule::new(vec![equals(1, libc::SOL_SOCKET)?, equals(2, libc::SO_PEERCRED)?])?;
    rules.insert(libc::SYS_getsockopt, vec![peers]);
    if scope == Scope::OwnersAndCreations {
        creation::add_rules(&mut rules)?;
    }
    Ok(rules)
}

impl Privilege {
    fn decode([option, second, third, fourth, fifth]: [u64; 5]) -> Self {
        let known = PRIVILEGES.iter().find(|known| u64::from(known.cast_unsigned()) == option);
        match known.copied() {
            Some(libc::PR_GET_KEEPCAPS) => Self::IsKept,
            Some(libc::PR_SET_KEEPCAPS) => Self::Keep(second),
            Some(libc::PR_CAPBSET_READ) => Self::IsBounding(second),
            Some(libc::PR_CAPBSET_DROP) => Self::Unbound(second),
            Some(libc::PR_GET_SECUREBITS) => Self::Secure,
            Some(libc::PR_SET_SECUREBITS) => Self::SetSecure(second),
            Some(libc::PR_CAP_AMBIENT) if (fourth, fifth) == (0, 0) => match i32::try_from(second) {
                Ok(libc::PR_CAP_AMBIENT_IS_SET) => Self::Ambient(Ambient::Has, third),
                Ok(libc::PR_CAP_AMBIENT_RAISE) => Self::Ambient(Ambient::Raise, third),
                Ok(libc::PR_CAP_AMBIENT_LOWER) => Self::Ambient(Ambient::Lower, third),
                Ok(libc::PR_CAP_AMBIENT_CLEAR_ALL) => Self::Ambient(Ambient::Clear, third),
                _ => Self::Malformed,
            },
            _ => Self::Malformed,
        }
    }
}

impl Call {
    /// Reads a number and its arguments. `None`: a call that was not asked for.
    pub(super) fn decode(number: i32, arguments: [u64; 6]) -> Option<Self> {
        let [first, second, third, fourth, fifth, _] = arguments;
        let signed = |value| low(value).cast_signed();
        let (ids, user, group) = (|value| optional(low(value)), Kind::User, Kind::Group);
        Some(match libc::c_long::from(number) {
            libc::SYS_fstat => Self::Status { file: File::open(first), into: second, form: Form::Stat },
            libc::SYS_newfstatat => {
                Self::Status { file: File::at(first, second, low(fourth)), into: third, form: Form::Stat }
            }
            libc::SYS_statx => Self::Status {
                file: File::at(first, second, low(third)),
                into: fifth,
                form: Form::Statx(low(fourth)),
            },
            libc::SYS_fchown => {
                Self::ChangeOwner { file: File::open(first), user: ids(second), group: ids(third) }
            }
            libc::SYS_fchownat => Self::ChangeOwner {
                file: File::at(first, second, low(fifth)),
                user: ids(third),
                group: ids(fourth),
            },
            libc::SYS_mknodat => creation::node(File::at(first, second, NOFOLLOW), low(third), low(fourth)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_stat => Self::Status { file: File::named(first, 0), into: second, form: Form::Stat },
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lstat => {
                Self::Status { file: File::named(first, NOFOLLOW), into: second, form: Form::Stat }
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chown => {
                Self::ChangeOwner { file: File::named(first, 0), user: ids(second), group: ids(third) }
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lchown => {
                Self::ChangeOwner { file: File::named(first, NOFOLLOW), user: ids(second), group: ids(third) }
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mknod => creation::node(File::named(first, NOFOLLOW), low(second), low(third)),
            libc::SYS_execve => Self::Execute(File::named(first, 0)),
            libc::SYS_execveat => Self::Execute(File::at(first, second, low(fifth))),
            libc::SYS_chroot
            | libc::SYS_pivot_root
            | libc::SYS_setns
            | libc::SYS_unshare
            | libc::SYS_clone => Self::ChangeRoot,
            libc::SYS_clone3 => Self::Copy(first),
            libc::SYS_prctl => {
                Self::Privilege(Privilege::decode([low(first).into(), second, third, fourth, fifth]))
            }
            libc::SYS_getrlimit => Self::Limit { into: second, unlimited: UNLIMITED },
            libc::SYS_setrlimit => Self::Limit { into: 0, unlimited: UNLIMITED },
            libc::SYS_prlimit64 => Self::Limit { into: fourth, unlimited: UNLIMITED },
            libc::SYS_getuid => Self::Id(user, Part::Real),
            libc::SYS_geteuid => Self::Id(user, Part::Effective),
            libc::SYS_getgid => Self::Id(group, Part::Real),
            libc::SYS_getegid => Self::Id(group, Part::Effective),
            libc::SYS_getresuid => Self::AllIds(user, [first, second, third]),
            libc::SYS_getresgid => Self::AllIds(group, [first, second, third]),
            libc::SYS_setuid => Self::ChangeIds(user, Change::All(low(first))),
            libc::SYS_setgid => Self::ChangeIds(group, Change::All(low(first))),
            libc::SYS_setreuid => Self::ChangeIds(user, Change::RealEffective(ids(first), ids(second))),
            libc::SYS_setregid => Self::ChangeIds(group, Change::RealEffective(ids(first), ids(second))),
            libc::SYS_setresuid => Self::ChangeIds(user, Change::Each([first, second, third].map(ids))),
            libc::SYS_setresgid => Self::ChangeIds(group, Change::Each([first, second, third].map(ids))),
            libc::SYS_setfsuid => Self::ChangeIds(user, Change::FileSystem(low(first))),
            libc::SYS_setfsgid => Self::ChangeIds(group, Change::FileSystem(low(first))),
            libc::SYS_getgroups => Self::Groups(low(first).cast_signed(), second),
            libc::SYS_setgroups => Self::ChangeGroups(low(first).cast_signed(), second),
            libc::SYS_getsockopt => {
                Self::Peer { socket: low(first).cast_signed(), into: fourth, length: fifth }
            }
            libc::SYS_capget => Self::Capabilities(first, second),
            libc::SYS_capset => Self::ChangeCapabilities(first, second),
            libc::SYS_kill => Self::Signal { to: Receiver::of_kill(signed(first)), number: signed(second) },
            libc::SYS_tkill | libc::SYS_rt_sigqueueinfo => {
                Self::Signal { to: Receiver::Process(signed(first)), number: signed(second) }
            }
            libc::SYS_tgkill | libc::SYS_rt_tgsigqueueinfo => {
                Self::Signal { to: Receiver::Process(signed(first)), number: signed(third) }
            }
            libc::SYS_pidfd_send_signal => {
                Self::Signal { to: Receiver::Descriptor(signed(first)), number: signed(second) }
            }
            number => return creation::decode(number, arguments),
        })
    }
}

/// -1 stands for "leave it".
fn optional(id: u32) -> Option<u32> {
    (id != u32::MAX).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::super::call::From;
    use super::*;

    #[test]
    fn whatever_is_handed_over_is_understood() {
        for number in rules(Scope::OwnersAndCreations).unwrap().into_keys() {
            let number = i32::try_from(number).unwrap();
            assert!(Call::decode(number, [0; 6]).is_some(), "system call {number}");
        }
        assert_eq!(Call::decode(i32::try_from(libc::SYS_read).unwrap(), [0; 6]), None);
    }

    #[test]
    fn arguments_mean_what_the_manual_says() {
        let here = |path, flags| File { from: From::Here, path, flags };
        let minus_one = u64::from(u32::MAX);
        let cwd = u64::from(libc::AT_FDCWD.cast_unsigned());
        let rows = [
            (
                libc::SYS_fchownat,
                [7, 0x10, 33, minus_one, u64::from(NOFOLLOW), 0],
                Call::ChangeOwner {
                    file: File { from: From::Descriptor(7), path: 0x10, flags: NOFOLLOW },
                    user: Some(33),
                    group: None,
                },
            ),
            (
                libc::SYS_statx,
                [cwd, 0x10, 0, 0x7ff, 0x20, 0],
                Call::Status { file: here(0x10, 0), into: 0x20, form: Form::Statx(0x7ff) },
            ),
            (
                libc::SYS_fstat,
                [3, 0x20, 0, 0, 0, 0],
                Call::Status { file: File::open(3), into: 0x20, form: Form::Stat },
            ),
            (
                libc::SYS_setresuid,
                [minus_one, 5, 6, 0, 0, 0],
                Call::ChangeIds(Kind::User, Change::Each([None, Some(5), Some(6)])),
            ),
            (libc::SYS_kill, [minus_one, 15, 0, 0, 0, 0], Call::Signal { to: Receiver::All, number: 15 }),
            (
                libc::SYS_kill,
                [minus_one - 41, 0, 0, 0, 0, 0],
                Call::Signal { to: Receiver::Group(42), number: 0 },
            ),
            (libc::SYS_tgkill, [42, 43, 9, 0, 0, 0], Call::Signal { to: Receiver::Process(42), number: 9 }),
            (
                libc::SYS_pidfd_send_signal,
                [5, 9, 0, 0, 0, 0],
                Call::Signal { to: Receiver::Descriptor(5), number: 9 },
            ),
            (
                libc::SYS_mknodat,
                [cwd, 0x10, 0o20_644, 0x103, 0, 0],
                Call::MakeDevice { file: here(0x10, NOFOLLOW), mode: 0o20_644, device: 0x103 },
            ),
        ];
        for (number, arguments, want) in rows {
            assert_eq!(Call::decode(i32::try_from(number).unwrap(), arguments), Some(want));
        }
    }
}
