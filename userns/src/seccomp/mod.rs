//! The seccomp filter of a step.
//!
//! `seccompiler` assembles one action per program and kills what comes from another architecture. So the filter is three
//! programs one on another, and the kernel takes the strictest answer, of two refusals the one installed last:
//! everything not allowed is ENOSYS, what is known and withheld is EPERM, an audit socket is EINVAL (programs then go on
//! as on a kernel without auditing). In each program the fate of the other architectures is replaced: 32-bit x86 gets a
//! list of its own, any other finds no system call at all.

mod foreign;
mod profile;

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
    sock_filter,
};

use crate::caps::Capabilities;
use crate::error::{Error, refused};

/// A filter ready to be installed.
#[derive(Clone)]
pub struct Filter {
    programs: Vec<Vec<sock_filter>>,
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

impl Filter {
    /// The default profile for a process that may use `capabilities`.
    pub fn default_profile(capabilities: &Capabilities) -> Result<Self, Error> {
        let mut allowed = Rules::new();
        let mut withheld = Rules::new();
        permit(&mut allowed, profile::ALLOWED);
        permit(&mut withheld, profile::DENIED);
        for (capability, numbers) in profile::BY_CAPABILITY {
            let list = if capabilities.has(capability) { &mut allowed } else { &mut withheld };
            permit(list, &[numbers]);
        }
        let may_make_namespaces = capabilities.has("CAP_SYS_ADMIN");
        withheld.extend(judged_by_argument(may_make_namespaces).map_err(Error::Assemble)?);
        let mut programs = vec![
            assemble(allowed, errno(libc::ENOSYS), SeccompAction::Allow, foreign::judge)?,
            assemble(withheld, SeccompAction::Allow, errno(libc::EPERM), foreign::allow)?,
        ];
        if !capabilities.has("CAP_AUDIT_WRITE") {
            let audit = audit_socket().map_err(Error::Assemble)?;
            programs.push(assemble(audit, SeccompAction::Allow, errno(libc::EINVAL), foreign::allow)?);
        }
        Ok(Self { programs })
    }

    /// Puts this process and its descendants under the filter for good.
    ///
    /// Without `no_new_privs` this needs `CAP_SYS_ADMIN` in the user namespace: do it before capabilities are dropped.
    pub fn install(&self) -> Result<(), Error> {
        self.programs.iter().try_for_each(|program| install(program))
    }
}

fn errno(errno: libc::c_int) -> SeccompAction {
    SeccompAction::Errno(errno.unsigned_abs())
}

fn permit(rules: &mut Rules, lists: &[profile::Numbers]) {
    // no rule: the number alone decides
    rules.extend(lists.iter().copied().flatten().map(|&number| (number, Vec::new())));
}

/// Calls whose arguments decide. Rules of one call are alternatives; the conditions of one rule hold together.
fn judged_by_argument(may_make_namespaces: bool) -> Result<Rules, seccompiler::BackendError> {
    let mut rules = Rules::new();
    if !may_make_namespaces {
        let makes = |flag: u32| one(0, SeccompCmpOp::MaskedEq(flag.into()), flag);
        let clone = profile::NAMESPACE_FLAGS.into_iter().map(makes).collect::<Result<_, _>>()?;
        rules.insert(libc::SYS_clone, clone);
    }
    let unlike = |known: u32| condition(0, SeccompCmpOp::Ne, known);
    let personality = profile::PERSONALITIES.into_iter().map(unlike).collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_personality, vec![SeccompRule::new(personality)?]);
    // vsock speaks to the hypervisor past every network namespace
    rules.insert(libc::SYS_socket, vec![one(0, SeccompCmpOp::Eq, libc::AF_VSOCK.unsigned_abs())?]);
    Ok(rules)
}

fn audit_socket() -> Result<Rules, seccompiler::BackendError> {
    let rule = SeccompRule::new(vec![
        condition(0, SeccompCmpOp::Eq, libc::AF_NETLINK.unsigned_abs())?,
        condition(2, SeccompCmpOp::Eq, libc::NETLINK_AUDIT.unsigned_abs())?,
    ])?;
    Ok(Rules::from([(libc::SYS_socket, vec![rule])]))
}

fn one(argument: u8, operator: SeccompCmpOp, value: u32) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![condition(argument, operator, value)?])
}

fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: u32,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value.into())
}

fn assemble(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
    foreign: fn(Vec<sock_filter>) -> Vec<sock_filter>,
) -> Result<Vec<sock_filter>, Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(Error::Assemble)?;
    let filter = SeccompFilter::new(rules, otherwise, matched, arch).map_err(Error::Assemble)?;
    filter.try_into().map(foreign).map_err(Error::Assemble)
}

fn install(program: &[sock_filter]) -> Result<(), Error> {
    let request = || format!("install a seccomp filter of {} instructions", program.len());
    let len = libc::c_ushort::try_from(program.len())
        .map_err(|_| refused(request())(io::Error::from(io::ErrorKind::InvalidInput)))?;
    // the kernel only reads the program, whatever the type of its pointer says
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut() };
    // SAFETY: `program` points to `len` live instructions of the kernel's layout (`sock_filter` is repr(C) in both crates).
    let done = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0_u32, std::ptr::from_ref(&program))
    };
    if done == 0 { Ok(()) } else { Err(refused(request())(io::Error::last_os_error())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would (the instructions `seccompiler` and this file emit).
    fn run(program: &[sock_filter], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = [0_u8; 64];
        data[..4].copy_from_slice(&number.to_ne_bytes());
        data[4..8].copy_from_slice(&arch.to_ne_bytes());
        for (place, argument) in data[16..].chunks_exact_mut(8).zip(arguments) {
            place.copy_from_slice(&argument.to_ne_bytes());
        }
        let (mut at, mut accumulator) = (0, 0_u32);
        loop {
            let sock_filter { code, jt, jf, k } = program[at].clone();
            at += 1;
            let mut jump = |taken: bool| at += usize::from(if taken { jt } else { jf });
            match code {
                0x20 => {
                    let offset = k as usize;
                    accumulator = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
                }
                0x05 => at += k as usize,
                0x06 => return k,
                0x15 => jump(accumulator == k),
                0x25 => jump(accumulator > k),
                0x35 => jump(accumulator >= k),
                0x45 => jump(accumulator & k != 0),
                0x54 => accumulator &= k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    /// The errno a call gets (0: allowed), by the kernel's rule for stacked programs.
    fn verdict(filter: &Filter, arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let newest_first = filter.programs.iter().rev();
        let answers = newest_first.map(|program| run(program, arch, number, arguments));
        let strictest = answers.reduce(|kept, next| {
            if next & libc::SECCOMP_RET_ACTION_FULL < kept & libc::SECCOMP_RET_ACTION_FULL {
                next
            } else {
                kept
            }
        });
        match strictest.unwrap() {
            libc::SECCOMP_RET_ALLOW => 0,
            answer => {
                assert_eq!(answer & libc::SECCOMP_RET_ACTION_FULL, libc::SECCOMP_RET_ERRNO, "{answer:#x}");
                answer & libc::SECCOMP_RET_DATA
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_default_profile_by_rows() {
        const X86_64: u32 = 0xc000_003e;
        const I386: u32 = 0x4000_0003;
        const AARCH64: u32 = 0xc000_00b7;
        const X32: u32 = 0x4000_0000;
        let (ok, eperm, enosys, einval) = (0, libc::EPERM, libc::ENOSYS, libc::EINVAL);
        let none = Capabilities::default();
        let chroot = Capabilities::parse(&["CAP_SYS_CHROOT"]).unwrap();
        let admin = Capabilities::parse(&["CAP_SYS_ADMIN", "CAP_AUDIT_WRITE"]).unwrap();
        let nr = |number: libc::c_long| u32::try_from(number).unwrap();
        let rows = [
            ("read", &none, X86_64, nr(libc::SYS_read), [0, 0, 0], ok),
            ("execve", &none, X86_64, nr(libc::SYS_execve), [0, 0, 0], ok),
            ("mseal", &none, X86_64, 462, [0, 0, 0], ok),
            ("fork by clone", &none, X86_64, nr(libc::SYS_clone), [0x0120_0011, 0, 0], ok),
            (
                "clone with a new user namespace",
                &none,
                X86_64,
                nr(libc::SYS_clone),
                [0x1000_0011, 0, 0],
                eperm,
            ),
            (
                "clone with a new pid namespace",
                &none,
                X86_64,
                nr(libc::SYS_clone),
                [0x2000_0000, 0, 0],
                eperm,
            ),
            ("the same with the capability", &admin, X86_64, nr(libc::SYS_clone), [0x2000_0000, 0, 0], ok),
            ("clone3", &none, X86_64, nr(libc::SYS_clone3), [0, 0, 0], enosys),
            ("unshare", &none, X86_64, nr(libc::SYS_unshare), [0, 0, 0], eperm),
            ("unshare with the capability", &admin, X86_64, nr(libc::SYS_unshare), [0, 0, 0], ok),
            ("mount", &none, X86_64, nr(libc::SYS_mount), [0, 0, 0], eperm),
            ("chroot", &none, X86_64, nr(libc::SYS_chroot), [0, 0, 0], eperm),
            ("chroot with the capability", &chroot, X86_64, nr(libc::SYS_chroot), [0, 0, 0], ok),
            ("keyctl", &admin, X86_64, nr(libc::SYS_keyctl), [0, 0, 0], eperm),
            ("io_uring_setup", &none, X86_64, nr(libc::SYS_io_uring_setup), [0, 0, 0], eperm),
            ("a number of the future", &none, X86_64, 5000, [0, 0, 0], enosys),
            ("read the x32 way", &none, X86_64, X32, [0, 0, 0], enosys),
            ("personality(0)", &none, X86_64, nr(libc::SYS_personality), [0, 0, 0], ok),
            ("personality(query)", &none, X86_64, nr(libc::SYS_personality), [0xffff_ffff, 0, 0], ok),
            (
                "personality(no randomize)",
                &none,
                X86_64,
                nr(libc::SYS_personality),
                [0x0004_0000, 0, 0],
                eperm,
            ),
            ("socket(inet)", &none, X86_64, nr(libc::SYS_socket), [2, 1, 0], ok),
            ("socket(vsock)", &none, X86_64, nr(libc::SYS_socket), [40, 1, 0], eperm),
            ("socket(netlink, route)", &none, X86_64, nr(libc::SYS_socket), [16, 3, 0], ok),
            ("socket(netlink, audit)", &none, X86_64, nr(libc::SYS_socket), [16, 3, 9], einval),
            ("the same with the capability", &admin, X86_64, nr(libc::SYS_socket), [16, 3, 9], ok),
            ("i386 read", &none, I386, 3, [0, 0, 0], ok),
            ("i386 mount", &none, I386, 21, [0, 0, 0], eperm),
            ("i386 clone", &none, I386, 120, [0x11, 0, 0], ok),
            ("i386 clone with a namespace", &none, I386, 120, [0x4000_0000, 0, 0], eperm),
            ("i386 clone3", &none, I386, 435, [0, 0, 0], enosys),
            ("another architecture", &none, AARCH64, 63, [0, 0, 0], enosys),
        ];
        for (name, capabilities, arch, number, [a, b, c], want) in rows {
            let filter = Filter::default_profile(capabilities).unwrap();
            assert_eq!(verdict(&filter, arch, number, [a, b, c, 0, 0, 0]), want.unsigned_abs(), "{name}");
        }
    }
}
