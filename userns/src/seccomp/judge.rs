//! What the kernel will answer, worked out beforehand: the same programs, run here.

use seccompiler::sock_filter;

use super::Filter;
use super::profile::Action;

/// A system call, as a filter sees it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// `AUDIT_ARCH_*` (linux/audit.h).
    pub arch: u32,
    /// Its number there.
    pub number: u32,
    /// What it was given.
    pub arguments: [u64; 6],
}

impl Filter {
    /// The answer to a call, by the kernel's rule for programs one on another: the strictest, of two refusals the one
    /// installed last.
    pub fn judge(&self, call: &Call) -> Action {
        let answers = self.programs.iter().rev().map(|program| run(program, call));
        // as signed numbers the answers stand in the order of strictness, KILL_PROCESS at the very bottom
        let rank = |answer: u32| (answer & libc::SECCOMP_RET_ACTION_FULL).cast_signed();
        let strictest = answers.reduce(|kept, next| if rank(next) < rank(kept) { next } else { kept });
        to_action(strictest.unwrap_or(libc::SECCOMP_RET_ALLOW))
    }
}

fn to_action(answer: u32) -> Action {
    match answer & libc::SECCOMP_RET_ACTION_FULL {
        libc::SECCOMP_RET_ALLOW => Action::Allow,
        libc::SECCOMP_RET_LOG => Action::Log,
        libc::SECCOMP_RET_ERRNO => {
            Action::Errno(u16::try_from(answer & libc::SECCOMP_RET_DATA).expect("the mask is 16 bits"))
        }
        libc::SECCOMP_RET_TRAP => Action::Trap,
        libc::SECCOMP_RET_KILL_THREAD => Action::KillThread,
        _ => Action::KillProcess,
    }
}

/// Runs one program; of the kernel's instructions it knows those that `seccompiler` emits, and ends the process at any
/// other.
fn run(program: &[sock_filter], call: &Call) -> u32 {
    let data = in_memory(call);
    let (mut at, mut accumulator) = (0, 0_u32);
    while let Some(sock_filter { code, jt, jf, k }) = program.get(at).cloned() {
        at += 1;
        let mut jump = |taken: bool| at += usize::from(if taken { jt } else { jf });
        match code {
            0x20 => {
                let word = data.get(k as usize..).and_then(|rest| rest.first_chunk::<4>());
                accumulator = word.map_or(0, |word| u32::from_ne_bytes(*word));
            }
            0x05 => at += k as usize,
            0x06 => return k,
            0x15 => jump(accumulator == k),
            0x25 => jump(accumulator > k),
            0x35 => jump(accumulator >= k),
            0x45 => jump(accumulator & k != 0),
            0x54 => accumulator &= k,
            _ => break,
        }
    }
    libc::SECCOMP_RET_KILL_PROCESS
}

/// `struct seccomp_data`: number, architecture, instruction pointer, six arguments.
fn in_memory(call: &Call) -> [u8; 64] {
    let mut data = [0; 64];
    data[..4].copy_from_slice(&call.number.to_ne_bytes());
    data[4..8].copy_from_slice(&call.arch.to_ne_bytes());
    for (place, argument) in data[16..].chunks_exact_mut(8).zip(call.arguments) {
        place.copy_from_slice(&argument.to_ne_bytes());
    }
    data
}
