//! From a profile to programs for the kernel.
//!
//! `seccompiler` assembles programs with one answer for what matches and one for the rest, for one architecture, and
//! kills what comes from another. So a profile becomes several programs one on another, of which the kernel takes the
//! strictest answer: a gate that lets only known architectures pass; for each of them one program that gives what no rule
//! names the default; and one for each further answer. In all but the gate a call of another architecture passes.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use super::calls::{self, Abi};
use super::profile::{Action, Condition, Operator, Profile};
use crate::caps::Capabilities;

/// As `struct seccomp_data` has it, in bytes.
const NUMBER_OFFSET: u32 = 0;
const ARCH_OFFSET: u32 = 4;
const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_NOT_BELOW: u16 = 0x35;
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;
// linux/audit.h
pub(super) const X86: u32 = 0x4000_0003;
// `__X32_SYSCALL_BIT`; no architecture has so many calls
const X32: u32 = 0x4000_0000;
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE: u32 = 0xc000_00b7;
#[cfg(target_arch = "riscv64")]
pub(super) const NATIVE: u32 = 0xc000_00f3;

impl Abi {
    /// `AUDIT_ARCH_*`
    const fn arch(self) -> u32 {
        match self {
            Self::Native => NATIVE,
            Self::X86 => X86,
        }
    }
}

type Program = Vec<sock_filter>;

/// What becomes of one call.
enum Fate {
    Always(Action),
    When(Vec<(Action, Vec<Condition>)>),
}

type Fates = BTreeMap<i64, Fate>;

/// The programs, first to be installed first.
pub(super) fn programs(profile: &Profile, capabilities: &Capabilities) -> Result<Vec<Program>, BackendError> {
    let abis: &[Abi] =
        if profile.x86 && cfg!(target_arch = "x86_64") { &[Abi::Native, Abi::X86] } else { &[Abi::Native] };
    let mut programs = vec![gate(abis)];
    for &abi in abis {
        let fates = fates(profile, capabilities, abi);
        if profile.default != Action::Allow {
            let named = select(&fates, |action| action != profile.default)?;
            programs.push(assemble(named, profile.default, Action::Allow, abi)?);
        }
        for action in answers(profile) {
            let answered = select(&fates, |other| other == action)?;
            if !answered.is_empty() {
                programs.push(assemble(answered, Action::Allow, action, abi)?);
            }
        }
    }
    Ok(programs)
}

/// The answers that need a program of their own, each once, in the order of the rules.
fn answers(profile: &Profile) -> Vec<Action> {
    let mut answers = Vec::new();
    for rule in &profile.rules {
        let plain = [Action::Allow, profile.default].contains(&rule.action);
        if !plain && !answers.contains(&rule.action) {
            answers.push(rule.action);
        }
    }
    answers
}

fn fates(profile: &Profile, capabilities: &Capabilities, abi: Abi) -> Fates {
    let numbers = calls::numbers(abi);
    let mut fates = Fates::new();
    for rule in profile.rules.iter().filter(|rule| rule.applies(capabilities)) {
        for &number in rule.names.iter().filter_map(|name| numbers.get(&**name)) {
            let fate = fates.entry(number).or_insert(Fate::When(Vec::new()));
            let Fate::When(alternatives) = fate else { continue };
            if rule.conditions.is_empty() {
                *fate = Fate::Always(rule.action);
            } else {
                alternatives
                    .extend(rule.alternatives().into_iter().map(|conditions| (rule.action, conditions)));
            }
        }
    }
    fates
}

pub(super) type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The calls with an answer that is wanted. No rule for a number: the number alone decides.
fn select(fates: &Fates, wanted: impl Fn(Action) -> bool) -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    for (&number, fate) in fates {
        match fate {
            Fate::Always(action) if wanted(*action) => {
                rules.insert(number, Vec::new());
            }
            Fate::Always(_) => {}
            Fate::When(alternatives) => {
                let alternatives = alternatives.iter().filter(|(action, _)| wanted(*action));
                let alternatives: Vec<_> = alternatives
                    .map(|(action, conditions)| rule(*action, conditions))
                    .collect::<Result<_, _>>()?;
                if !alternatives.is_empty() {
                    rules.insert(number, alternatives);
                }
            }
        }
    }
    Ok(rules)
}

fn rule(action: Action, conditions: &[Condition]) -> Result<SeccompRule, BackendError> {
    let condition = |condition: &Condition| {
        let operator = match condition.operator {
            Operator::Ne => SeccompCmpOp::Ne,
            Operator::Lt => SeccompCmpOp::Lt,
            Operator::Le => SeccompCmpOp::Le,
            Operator::Eq => SeccompCmpOp::Eq,
            Operator::Ge => SeccompCmpOp::Ge,
            Operator::Gt => SeccompCmpOp::Gt,
            Operator::MaskedEq(mask) => SeccompCmpOp::MaskedEq(mask),
        };
        SeccompCondition::new(condition.argument, width(action, condition), operator, condition.value)
    };
    SeccompRule::new(conditions.iter().map(condition).collect::<Result<_, _>>()?)
}

/// How much of the argument counts. Where the kernel takes an `int`, the upper half may hold anything: it must not make a
/// refusal miss, nor a permission hit. Where values are ordered all 64 bits count, as container engines compare them by
/// libseccomp: half of a length or an offset would say nothing.
fn width(action: Action, condition: &Condition) -> SeccompCmpArgLen {
    let permits = matches!(action, Action::Allow | Action::Log);
    let fits = u32::try_from(condition.value).is_ok();
    match condition.operator {
        Operator::Eq if fits && !permits => SeccompCmpArgLen::Dword,
        Operator::Ne if fits && permits => SeccompCmpArgLen::Dword,
        _ => SeccompCmpArgLen::Qword,
    }
}

fn assemble(rules: Rules, otherwise: Action, matched: Action, abi: Abi) -> Result<Program, BackendError> {
    assembled(rules, to_seccompiler(otherwise), to_seccompiler(matched), abi)
}

/// Hands the calls that are named over to a listener, whose only program this is: one for each way to make calls.
pub(super) fn handover(native: Rules, x86: Option<Rules>) -> Result<Program, BackendError> {
    // the assembler knows no such answer: a trace takes its place
    let trace = SeccompAction::Trace(0);
    let stands_for = u32::from(trace.clone());
    let parts: Vec<_> = [(Abi::Native, Some(native)), (Abi::X86, x86)]
        .into_iter()
        .filter_map(|(abi, rules)| Some((abi, rules?)))
        .collect();
    let mut program = gate(&parts.iter().map(|(abi, _)| *abi).collect::<Vec<_>>());
    // what it lets pass goes on to the parts
    program.pop();
    for (abi, rules) in parts {
        let mut part = assembled(rules, SeccompAction::Allow, trace.clone(), abi)?;
        // a jump on a condition is too short for the way to the next part
        part[2] =
            sock_filter { code: JUMP, jt: 0, jf: 0, k: u32::try_from(part.len() - 3).expect("bounded") };
        program.extend(part);
    }
    program.push(sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW });
    for step in program.iter_mut().filter(|step| step.code == RETURN && step.k == stands_for) {
        step.k = libc::SECCOMP_RET_USER_NOTIF;
    }
    Ok(program)
}

/// A program in which a call of another architecture passes.
fn assembled(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
    abi: Abi,
) -> Result<Program, BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let mut program: Program = SeccompFilter::new(rules, otherwise, matched, arch)?.try_into()?;
    // every program begins `load arch; if it is ours skip one; kill`
    let [_, ours, kill, ..] = &mut program[..] else { return Ok(program) };
    assert_eq!((ours.code, kill.code), (JUMP_IF_EQUAL, RETURN), "seccompiler's preamble");
    kill.k = libc::SECCOMP_RET_ALLOW;
    ours.k = abi.arch();
    Ok(program)
}

/// Other architectures than these find no system call, nor does x32, which passes for 64-bit x86 by other numbers: no rule
/// would know them.
fn gate(abis: &[Abi]) -> Program {
    let step = |code, jt, k| sock_filter { code, jt, jf: 0, k };
    // past the look at the architecture
    let refusal = u8::try_from(abis.len() + 1).expect("two at most");
    let mut gate = vec![
        step(LOAD_WORD, 0, NUMBER_OFFSET),
        step(JUMP_IF_NOT_BELOW, refusal, X32),
        step(LOAD_WORD, 0, ARCH_OFFSET),
    ];
    for (place, abi) in abis.iter().enumerate() {
        let ahead = u8::try_from(abis.len() - place).expect("two at most");
        gate.push(step(JUMP_IF_EQUAL, ahead, abi.arch()));
    }
    gate.push(step(RETURN, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()));
    gate.push(step(RETURN, 0, libc::SECCOMP_RET_ALLOW));
    gate
}

fn to_seccompiler(action: Action) -> SeccompAction {
    match action {
        Action::Allow => SeccompAction::Allow,
        Action::Log => SeccompAction::Log,
        Action::Errno(errno) => SeccompAction::Errno(errno.into()),
        Action::Trap => SeccompAction::Trap,
        Action::KillThread => SeccompAction::KillThread,
        Action::KillProcess => SeccompAction::KillProcess,
    }
}
