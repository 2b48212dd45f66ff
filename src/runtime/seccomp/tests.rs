use rbuild_userns::caps::Capabilities;
use rbuild_userns::seccomp::{Action, Call, Filter};

use super::*;

const MACHINE: Machine = Machine { arch: std::env::consts::ARCH, kernel: (6, 1) };
const EPERM: Action = Action::Errno(1);
const EINVAL: Action = Action::Errno(22);
const ENOSYS: Action = Action::Errno(38);

#[test]
fn the_default_profile_by_name() {
    use Action::Allow;
    let none = Capabilities::default();
    let chroot = Capabilities::parse(&["CAP_SYS_CHROOT"]).unwrap();
    let admin = Capabilities::parse(&["CAP_SYS_ADMIN", "CAP_AUDIT_WRITE"]).unwrap();
    let rows = [
        ("read", &none, [0, 0, 0], Allow),
        ("execve", &none, [0, 0, 0], Allow),
        ("mseal", &none, [0, 0, 0], Allow),
        // a fork, as the C library makes one
        ("clone", &none, [0x0120_0011, 0, 0], Allow),
        ("clone", &none, [0x1000_0011, 0, 0], EPERM),
        ("clone", &none, [0x2000_0000, 0, 0], EPERM),
        ("clone", &none, [0x0002_0000, 0, 0], EPERM),
        ("clone", &admin, [0x2000_0000, 0, 0], Allow),
        ("clone3", &none, [0, 0, 0], ENOSYS),
        ("clone3", &admin, [0, 0, 0], Allow),
        ("unshare", &none, [0, 0, 0], EPERM),
        ("unshare", &admin, [0, 0, 0], Allow),
        ("fanotify_init", &none, [0, 0, 0], EPERM),
        ("fanotify_init", &admin, [0, 0, 0], Allow),
        ("setns", &none, [0, 0, 0], EPERM),
        ("mount", &none, [0, 0, 0], EPERM),
        ("mount_setattr", &none, [0, 0, 0], EPERM),
        ("chroot", &none, [0, 0, 0], EPERM),
        ("chroot", &chroot, [0, 0, 0], Allow),
        ("bpf", &none, [0, 0, 0], EPERM),
        ("bpf", &admin, [0, 0, 0], Allow),
        ("keyctl", &admin, [0, 0, 0], EPERM),
        ("io_uring_setup", &none, [0, 0, 0], EPERM),
        ("userfaultfd", &admin, [0, 0, 0], EPERM),
        ("lsm_list_modules", &none, [0, 0, 0], ENOSYS),
        ("personality", &none, [0, 0, 0], Allow),
        ("personality", &none, [0xffff_ffff, 0, 0], Allow),
        // no randomization of addresses
        ("personality", &none, [0x0004_0000, 0, 0], ENOSYS),
        // inet; vsock; the kernel's cryptography; netlink to routes and to the audit system
        ("socket", &none, [2, 1, 0], Allow),
        ("socket", &none, [40, 1, 0], EPERM),
        ("socket", &none, [38, 5, 0], EPERM),
        ("socket", &none, [16, 3, 0], Allow),
        ("socket", &none, [16, 3, 9], EINVAL),
        ("socket", &none, [(1 << 32) + 16, 3, 9], EINVAL),
        ("socket", &none, [2, 1, 9], Allow),
        ("socket", &admin, [16, 3, 9], Allow),
    ];
    for (name, capabilities, [a, b, c], want) in rows {
        let filter = Filter::new(&default_profile(MACHINE), capabilities).unwrap();
        assert_eq!(filter.answer(name, [a, b, c, 0, 0, 0]), Some(want), "{name} {a:#x} {c} {capabilities:?}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_default_profile_by_architecture() {
    const X86_64: u32 = 0xc000_003e;
    const X86: u32 = 0x4000_0003;
    const AARCH64: u32 = 0xc000_00b7;
    const X32: u32 = 0x4000_0000;
    let filter = Filter::new(&default_profile(MACHINE), &Capabilities::default()).unwrap();
    let rows = [
        ("a number of the future", X86_64, 5000, 0, ENOSYS),
        ("read the x32 way", X86_64, X32, 0, ENOSYS),
        ("i386 read", X86, 3, 0, Action::Allow),
        ("i386 mount", X86, 21, 0, EPERM),
        ("i386 umount", X86, 22, 0, EPERM),
        ("i386 clone", X86, 120, 0x11, Action::Allow),
        ("i386 clone with a namespace", X86, 120, 0x4000_0000, EPERM),
        ("i386 clone3", X86, 435, 0, ENOSYS),
        ("i386 vm86", X86, 166, 0, EPERM),
        ("i386, a number of the future", X86, 5000, 0, ENOSYS),
        ("another architecture", AARCH64, 63, 0, ENOSYS),
    ];
    for (name, arch, number, argument, want) in rows {
        let call = Call { arch, number, arguments: [argument, 0, 0, 0, 0, 0] };
        assert_eq!(filter.judge(&call), want, "{name}");
    }
}

/// A profile around some rules that allows everything else.
fn profile(rules: &str) -> Result<Profile, String> {
    let text = format!("{{\"defaultAction\": \"SCMP_ACT_ALLOW\",\n\"syscalls\": [\n{rules}\n]}}");
    parse(&text, MACHINE).map_err(|error| error.to_string())
}

#[test]
fn rules_are_read_as_container_engines_write_them() {
    let refuse = r#""action": "SCMP_ACT_ERRNO""#;
    let on_this_arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let rows = [
        (format!(r#"{{"names": ["dup3"], {refuse}}}"#), EPERM),
        (format!(r#"{{"name": "dup3", {refuse}, "args": null, "comment": "old"}}"#), EPERM),
        (format!(r#"{{"names": ["dup3"], {refuse}, "errnoRet": 9}}"#), Action::Errno(9)),
        (r#"{"names": ["dup3"], "action": "SCMP_ACT_KILL"}"#.to_owned(), Action::KillThread),
        (format!(r#"{{"names": ["dup3"], {refuse}, "includes": {{"arches": ["{on_this_arch}"]}}}}"#), EPERM),
        (format!(r#"{{"names": ["dup3"], {refuse}, "includes": {{"arches": ["s390x"]}}}}"#), Action::Allow),
        (
            format!(r#"{{"names": ["dup3"], {refuse}, "excludes": {{"arches": ["{on_this_arch}"]}}}}"#),
            Action::Allow,
        ),
        (format!(r#"{{"names": ["dup3"], {refuse}, "includes": {{"minKernel": "6.1"}}}}"#), EPERM),
        (format!(r#"{{"names": ["dup3"], {refuse}, "includes": {{"minKernel": "6.2"}}}}"#), Action::Allow),
        (format!(r#"{{"names": ["dup3"], {refuse}, "excludes": {{"minKernel": "5.10"}}}}"#), Action::Allow),
        (format!(r#"{{"names": ["dup3"], {refuse}, "includes": {{"caps": ["CAP_BPF"]}}}}"#), Action::Allow),
        (
            format!(
                r#"{{"names": ["dup3"], {refuse}, "args": [{{"index": 2, "value": 1, "op": "SCMP_CMP_GE"}}]}}"#
            ),
            Action::Allow,
        ),
        (
            format!(
                r#"{{"names": ["dup3"], {refuse}, "args": [{{"index": 2, "value": 1, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}}]}}"#
            ),
            EPERM,
        ),
    ];
    for (rule, want) in rows {
        let filter = Filter::new(&profile(&rule).unwrap(), &Capabilities::default()).unwrap();
        assert_eq!(filter.answer("dup3", [0; 6]), Some(want), "{rule}");
    }
}

#[test]
fn mistakes_are_refused_with_their_place() {
    let rows = [
        (
            r#"{"names": ["a"], "action": "SCMP_ACT_NOTIFY"}"#,
            "SCMP_ACT_NOTIFY needs an agent, and a build has none at line 3",
        ),
        (
            r#"{"names": ["a"], "action": "SCMP_ACT_TRACE"}"#,
            "SCMP_ACT_TRACE needs a tracer, and a build has none at line 3",
        ),
        (r#"{"names": ["a"], "action": "ALLOW"}"#, "there is no action \"ALLOW\" at line 3"),
        (r#"{"names": ["a"]}"#, "missing field `action` at line 3"),
        (
            r#"{"names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5000}"#,
            "there is no errno 5000 at line 3",
        ),
        (
            r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}"#,
            "a call has no argument 6: they are 0 to 5 at line 3",
        ),
        (
            r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "EQ"}]}"#,
            "there is no comparison \"EQ\" at line 3",
        ),
        (
            r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "new"}}"#,
            "is no version of a kernel",
        ),
        ("{", "key must be a string at line 4"),
    ];
    for (rule, want) in rows {
        let error = profile(rule).unwrap_err();
        assert!(error.contains(want), "{rule}\n{error}");
    }
}
