//! A profile: which system calls get which answer. Read from JSON elsewhere; the names are resolved when it is assembled.

use serde::{Deserialize, Serialize};

use crate::caps::Capabilities;

/// Which system calls get which answer.
///
/// A rule without conditions decides its calls, the first of several alone. Of rules with conditions that hold, the
/// strictest decides. What no rule decides gets the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// What a call gets that no rule names.
    pub default: Action,
    /// In the order of the file.
    pub rules: Vec<Rule>,
    /// Whether the rules hold for programs of 32-bit x86 too; otherwise those find no system call.
    pub x86: bool,
    /// Whether the kernel logs every answer that is no permission (`SECCOMP_FILTER_FLAG_LOG`).
    pub log: bool,
}

/// What a call gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is done.
    Allow,
    /// It is done, and a line goes to the kernel's log.
    Log,
    /// It ends with this errno.
    Errno(u16),
    /// The thread gets SIGSYS.
    Trap,
    /// The thread ends.
    KillThread,
    /// The process ends.
    KillProcess,
}

/// Calls and what they get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// By name; one that this architecture does not have is passed over.
    pub names: Vec<String>,
    /// What they get.
    pub action: Action,
    /// When. On one argument several are alternatives, each by itself (as container engines read them); otherwise all
    /// have to hold.
    pub conditions: Vec<Condition>,
    /// The rule counts only for a process that may have all of these.
    pub with_capabilities: Vec<String>,
    /// And for one that may have none of these.
    pub without_capabilities: Vec<String>,
}

/// A comparison of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Which, counted from 0; at most 5.
    pub argument: u8,
    /// How.
    pub operator: Operator,
    /// With what.
    pub value: u64,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operator {
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Equal.
    Eq,
    /// Greater or equal.
    Ge,
    /// Greater.
    Gt,
    /// Equal after the argument is masked with this.
    MaskedEq(u64),
}

impl Rule {
    pub(super) fn applies(&self, capabilities: &Capabilities) -> bool {
        self.with_capabilities.iter().all(|name| capabilities.has(name))
            && !self.without_capabilities.iter().any(|name| capabilities.has(name))
    }

    /// The alternatives: conditions that have to hold together.
    pub(super) fn alternatives(&self) -> Vec<Vec<Condition>> {
        let twice = |one: &Condition| {
            self.conditions.iter().filter(|other| other.argument == one.argument).count() > 1
        };
        if self.conditions.iter().any(twice) {
            return self.conditions.iter().map(|condition| vec![*condition]).collect();
        }
        vec![self.conditions.clone()]
    }
}
