//! What becomes of system calls made the way of another architecture.

use seccompiler::sock_filter;

const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;
const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

const fn step(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn refuse(errno: i32) -> sock_filter {
    step(RETURN, libc::SECCOMP_RET_ERRNO | errno.unsigned_abs())
}

/// Every program begins `load arch; if it is ours skip one; kill`. Replaces the third.
fn replace_kill(program: &mut [sock_filter], by: sock_filter) {
    let kill = &mut program[2];
    assert_eq!((kill.code, kill.k), (RETURN, libc::SECCOMP_RET_KILL_PROCESS), "seccompiler's preamble");
    *kill = by;
}

/// Leaves the judgement to the program beneath.
pub(super) fn allow(mut program: Vec<sock_filter>) -> Vec<sock_filter> {
    replace_kill(&mut program, step(RETURN, ALLOW));
    program
}

/// 32-bit x86 by its own list; any other architecture finds no system call.
pub(super) fn judge(mut program: Vec<sock_filter>) -> Vec<sock_filter> {
    replace_kill(&mut program, refuse(libc::ENOSYS));
    let mut judged = i386();
    judged.append(&mut program);
    judged
}

#[cfg(not(target_arch = "x86_64"))]
fn i386() -> Vec<sock_filter> {
    Vec::new()
}

/// `if the architecture is not i386, jump behind this part`, then one comparison per refused number.
#[cfg(target_arch = "x86_64")]
fn i386() -> Vec<sock_filter> {
    const JUMP: u16 = 0x05;
    const ARCH_I386: u32 = 0x4000_0003;
    const NUMBER_OFFSET: u32 = 0;
    const ARCH_OFFSET: u32 = 4;
    const FIRST_ARGUMENT_OFFSET: u32 = 16;
    const CLONE: u32 = 120;
    const CLONE3: u32 = 435;

    let when = |code, k, then: &[sock_filter]| {
        let past = u8::try_from(then.len()).expect("a few instructions");
        [&[sock_filter { code, jt: 0, jf: past, k }], then].concat()
    };
    let mut body = vec![step(LOAD_WORD, NUMBER_OFFSET)];
    for &number in super::profile::DENIED_I386 {
        body.extend(when(JUMP_IF_EQUAL, number, &[refuse(libc::EPERM)]));
    }
    body.extend(when(JUMP_IF_EQUAL, CLONE3, &[refuse(libc::ENOSYS)]));
    let namespaces = super::profile::NAMESPACE_FLAGS.iter().fold(0, |all, flag| all | flag);
    let mut clone = vec![step(LOAD_WORD, FIRST_ARGUMENT_OFFSET)];
    clone.extend(when(JUMP_IF_ANY_BIT, namespaces, &[refuse(libc::EPERM)]));
    body.extend(when(JUMP_IF_EQUAL, CLONE, &clone));
    body.push(step(RETURN, ALLOW));

    let past = u32::try_from(body.len()).expect("far below the kernel's 4096 instructions");
    let mut part = vec![
        step(LOAD_WORD, ARCH_OFFSET),
        sock_filter { code: JUMP_IF_EQUAL, jt: 1, jf: 0, k: ARCH_I386 },
        step(JUMP, past),
    ];
    part.append(&mut body);
    part
}
