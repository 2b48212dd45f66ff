//! Calls made the way of 32-bit x86: each is like a native one, but for the width of ids and the layout of what is told.

#[cfg(target_arch = "x86_64")]
mod table {
    use super::super::call::Width::{self, Narrow, Wide};

    /// A name, the native call with the same arguments, and how wide its ids are.
    pub const LIKE: &[(&str, libc::c_long, Width)] = &[
        ("bind", libc::SYS_bind, Wide),
        ("capget", libc::SYS_capget, Wide),
        ("capset", libc::SYS_capset, Wide),
        ("chown", libc::SYS_chown, Narrow),
        ("chown32", libc::SYS_chown, Wide),
        ("chroot", libc::SYS_chroot, Wide),
        ("clone", libc::SYS_clone, Wide),
        ("clone3", libc::SYS_clone3, Wide),
        ("creat", libc::SYS_creat, Wide),
        ("execve", libc::SYS_execve, Wide),
        ("execveat", libc::SYS_execveat, Wide),
        ("fchown", libc::SYS_fchown, Narrow),
        ("fchown32", libc::SYS_fchown, Wide),
        ("fchownat", libc::SYS_fchownat, Wide),
        ("fstat", libc::SYS_fstat, Narrow),
        ("fstat64", libc::SYS_fstat, Wide),
        ("fstatat64", libc::SYS_newfstatat, Wide),
        ("getegid", libc::SYS_getegid, Narrow),
        ("getegid32", libc::SYS_getegid, Wide),
        ("geteuid", libc::SYS_geteuid, Narrow),
        ("geteuid32", libc::SYS_geteuid, Wide),
        ("getgid", libc::SYS_getgid, Narrow),
        ("getgid32", libc::SYS_getgid, Wide),
        ("getgroups", libc::SYS_getgroups, Narrow),
        ("getgroups32", libc::SYS_getgroups, Wide),
        ("getresgid", libc::SYS_getresgid, Narrow),
        ("getresgid32", libc::SYS_getresgid, Wide),
        ("getresuid", libc::SYS_getresuid, Narrow),
        ("getresuid32", libc::SYS_getresuid, Wide),
        // the first of its kind: infinity was signed
        ("getrlimit", libc::SYS_getrlimit, Narrow),
        ("getsockopt", libc::SYS_getsockopt, Wide),
        ("getuid", libc::SYS_getuid, Narrow),
        ("getuid32", libc::SYS_getuid, Wide),
        ("kill", libc::SYS_kill, Wide),
        ("lchown", libc::SYS_lchown, Narrow),
        ("lchown32", libc::SYS_lchown, Wide),
        ("lstat", libc::SYS_lstat, Narrow),
        ("lstat64", libc::SYS_lstat, Wide),
        ("mkdir", libc::SYS_mkdir, Wide),
        ("mkdirat", libc::SYS_mkdirat, Wide),
        ("mknod", libc::SYS_mknod, Wide),
        ("mknodat", libc::SYS_mknodat, Wide),
        ("open", libc::SYS_open, Wide),
        ("openat", libc::SYS_openat, Wide),
        ("openat2", libc::SYS_openat2, Wide),
        ("pidfd_send_signal", libc::SYS_pidfd_send_signal, Wide),
        ("pivot_root", libc::SYS_pivot_root, Wide),
        ("prctl", libc::SYS_prctl, Wide),
        ("prlimit64", libc::SYS_prlimit64, Wide),
        ("rt_sigqueueinfo", libc::SYS_rt_sigqueueinfo, Wide),
        ("rt_tgsigqueueinfo", libc::SYS_rt_tgsigqueueinfo, Wide),
        ("setfsgid", libc::SYS_setfsgid, Narrow),
        ("setfsgid32", libc::SYS_setfsgid, Wide),
        ("setfsuid", libc::SYS_setfsuid, Narrow),
        ("setfsuid32", libc::SYS_setfsuid, Wide),
        ("setgid", libc::SYS_setgid, Narrow),
        ("setgid32", libc::SYS_setgid, Wide),
        ("setgroups", libc::SYS_setgroups, Narrow),
        ("setgroups32", libc::SYS_setgroups, Wide),
        ("setns", libc::SYS_setns, Wide),
        ("setregid", libc::SYS_setregid, Narrow),
        ("setregid32", libc::SYS_setregid, Wide),
        ("setresgid", libc::SYS_setresgid, Narrow),
        ("setresgid32", libc::SYS_setresgid, Wide),
        ("setresuid", libc::SYS_setresuid, Narrow),
        ("setresuid32", libc::SYS_setresuid, Wide),
        ("setreuid", libc::SYS_setreuid, Narrow),
        ("setreuid32", libc::SYS_setreuid, Wide),
        ("setrlimit", libc::SYS_setrlimit, Wide),
        ("setuid", libc::SYS_setuid, Narrow),
        ("setuid32", libc::SYS_setuid, Wide),
        ("stat", libc::SYS_stat, Narrow),
        ("stat64", libc::SYS_stat, Wide),
        ("statx", libc::SYS_statx, Wide),
        ("symlink", libc::SYS_symlink, Wide),
        ("symlinkat", libc::SYS_symlinkat, Wide),
        ("tgkill", libc::SYS_tgkill, Wide),
        ("tkill", libc::SYS_tkill, Wide),
        ("ugetrlimit", libc::SYS_getrlimit, Wide),
        ("unshare", libc::SYS_unshare, Wide),
    ];
    /// Older than any C library in use: they would show the kernel's owners, and so they are not there.
    pub const OBSOLETE: &[&str] = &["oldfstat", "oldlstat", "oldstat"];
}

/// How 32-bit x86 lays out the attributes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `struct stat64`
    Wide,
    /// `struct stat` with 16-bit ids.
    Narrow,
}

#[cfg(target_arch = "x86_64")]
pub(super) use on_x86_64::{decode, rules};

#[cfg(target_arch = "x86_64")]
mod on_x86_64 {
    use std::collections::HashMap;
    use std::sync::LazyLock;

    use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

    use super::super::Scope;
    use super::super::call::{Call, Change, Form, Sockets, Width, low};
    use super::super::decode::rules as native_rules;
    use super::Layout;
    use super::table::{LIKE, OBSOLETE};
    use crate::seccomp::assemble::Rules;
    use crate::seccomp::calls::{self, Abi};

    /// What is handed over.
    pub fn rules(scope: Scope) -> Result<Rules, BackendError> {
        let (native, numbers) = (native_rules(scope)?, calls::numbers(Abi::X86));
        let rule = |(name, like, _): &(&str, _, _)| Some((numbers[name], native.get(like)?.clone()));
        let like = LIKE.iter().filter_map(rule);
        let obsolete = OBSOLETE.iter().map(|name| (numbers[name], Vec::new()));
        let asked = ASKED.iter().filter(|(_, _, needed)| *needed == Scope::Owners || *needed == scope);
        let rule = |&(number, ..): &(u32, _, _)| {
            let equal = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, number.into())?;
            SeccompRule::new(vec![equal])
        };
        let sockets = (numbers[SOCKETS], asked.map(rule).collect::<Result<_, _>>()?);
        Ok(like.chain(obsolete).chain([sockets]).collect())
    }

    /// The one call for all about sockets, and what of it is handed over (`linux/net.h`), at least in which scope.
    const SOCKETS: &str = "socketcall";
    const ASKED: [(u32, Sockets, Scope); 2] =
        [(2, Sockets::Bind, Scope::OwnersAndCreations), (15, Sockets::Option, Scope::Owners)];

    /// By the number: the native call that it is like, `None` for an obsolete one.
    static NATIVE: LazyLock<HashMap<i64, Option<(libc::c_long, Width)>>> = LazyLock::new(|| {
        let numbers = calls::numbers(Abi::X86);
        let like = LIKE.iter().map(|&(name, like, width)| (numbers[name], Some((like, width))));
        like.chain(OBSOLETE.iter().map(|name| (numbers[name], None))).collect()
    });

    static SOCKET_CALL: LazyLock<i64> = LazyLock::new(|| calls::numbers(Abi::X86)[SOCKETS]);

    /// Reads a number and its arguments. `None`: a call that was not asked for.
    pub fn decode(number: i32, arguments: [u64; 6]) -> Option<(Call, Width)> {
        if i64::from(number) == *SOCKET_CALL {
            let &(_, sockets, _) = ASKED.iter().find(|(number, ..)| *number == low(arguments[0]))?;
            return Some((Call::Sockets(sockets, low(arguments[1]).into()), Width::Wide));
        }
        let Some((like, width)) = *NATIVE.get(&i64::from(number))? else {
            return Some((Call::Obsolete, Width::Wide));
        };
        let native = i32::try_from(like).ok()?;
        let call = Call::decode(native, arguments.map(|argument| argument & u64::from(u32::MAX)))?;
        let shorter = match width {
            Width::Wide => call,
            Width::Narrow => call.narrow(),
        };
        Some((laid_out(shorter, like, width), width))
    }

    fn laid_out(call: Call, like: libc::c_long, width: Width) -> Call {
        match call {
            Call::Status { file, into, form: Form::Stat } => {
                let layout = match width {
                    Width::Wide => Layout::Wide,
                    Width::Narrow => Layout::Narrow,
                };
                Call::Status { file, into, form: Form::X86(layout) }
            }
            Call::Limit { into, .. } if like != libc::SYS_prlimit64 => {
                let unlimited: &[u8] = match width {
                    Width::Wide => &[0xff; 8],
                    Width::Narrow => &[0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f],
                };
                Call::Limit { into, unlimited }
            }
            other => other,
        }
    }

    impl Call {
        /// The same with ids of 16 bits, of which 65535 stands for -1.
        fn narrow(self) -> Self {
            let narrow = |id: u32| id & 0xffff;
            let optional = |id: Option<u32>| id.map(narrow).filter(|&id| id != 0xffff);
            let whole = |id| optional(Some(id)).unwrap_or(u32::MAX);
            match self {
                Self::ChangeOwner { file, user, group } => {
                    Self::ChangeOwner { file, user: optional(user), group: optional(group) }
                }
                Self::ChangeIds(kind, change) => Self::ChangeIds(
                    kind,
                    match change {
                        Change::All(id) => Change::All(whole(id)),
                        Change::FileSystem(id) => Change::FileSystem(whole(id)),
                        Change::RealEffective(real, effective) => {
                            Change::RealEffective(optional(real), optional(effective))
                        }
                        Change::Each(ids) => Change::Each(ids.map(optional)),
                    },
                ),
                other => other,
            }
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::super::Scope;
    use super::super::call::{Call, Change, File, Form, From, Kind, Part, Width};
    use super::*;

    #[test]
    fn whatever_is_handed_over_is_understood() {
        let rules = rules(Scope::OwnersAndCreations).unwrap();
        assert_eq!(rules.len(), table::LIKE.len() + table::OBSOLETE.len() + 1);
        for number in rules.into_keys() {
            // a number that `socketcall` knows; to the others it is as good as any
            let arguments = [15, 0, 0, 0, 0, 0];
            assert!(decode(i32::try_from(number).unwrap(), arguments).is_some(), "system call {number}");
        }
        assert_eq!(decode(3, [0; 6]), None, "read");
    }

    #[test]
    fn arguments_mean_what_the_manual_says() {
        let file = |flags| File { from: From::Here, path: 0x10, flags };
        let owner = |user, group| Call::ChangeOwner { file: file(0), user, group };
        let status = |form| Call::Status { file: file(0), into: 0x20, form };
        let rows: [(i32, [u64; 3], Call, Width); 9] = [
            (212, [0x10, 70_000, 0xffff_ffff], owner(Some(70_000), None), Width::Wide),
            (182, [0x10, 0xffff, 0x1_0021], owner(None, Some(33)), Width::Narrow),
            (195, [0x10, 0x20, 0], status(Form::X86(Layout::Wide)), Width::Wide),
            (106, [0x10, 0x20, 0], status(Form::X86(Layout::Narrow)), Width::Narrow),
            (24, [0; 3], Call::Id(Kind::User, Part::Real), Width::Narrow),
            (23, [0xffff, 0, 0], Call::ChangeIds(Kind::User, Change::All(u32::MAX)), Width::Narrow),
            (
                164,
                [7, 0xffff, 0x1_0009],
                Call::ChangeIds(Kind::User, Change::Each([Some(7), None, Some(9)])),
                Width::Narrow,
            ),
            (
                76,
                [10, 0x20, 0],
                Call::Limit { into: 0x20, unlimited: &[255, 255, 255, 127, 255, 255, 255, 127] },
                Width::Narrow,
            ),
            (18, [0x10, 0x20, 0], Call::Obsolete, Width::Wide),
        ];
        for (number, [first, second, third], want, width) in rows {
            assert_eq!(decode(number, [first, second, third, 0, 0, 0]), Some((want, width)), "{number}");
        }
    }
}
