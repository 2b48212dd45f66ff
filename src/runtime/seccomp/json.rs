//! The format: `defaultAction`, `archMap`, and rules with names, an action, comparisons, and what they depend on.

use rbuild_userns::seccomp::{Action, Condition, Operator, Profile, Rule};
use serde::{Deserialize, Deserializer, de};

use super::Machine;

/// What a refusal is without an errno of its own.
const EPERM: u16 = 1;
/// The highest errno that the kernel passes on.
const HIGHEST_ERRNO: u16 = 4095;
/// The last argument of a call.
const LAST_ARGUMENT: u8 = 5;

pub(super) fn parse(text: &str, machine: Machine) -> Result<Profile, serde_json::Error> {
    let file: File = serde_json::from_str(text)?;
    let own = match machine.arch {
        "x86_64" => "SCMP_ARCH_X86_64",
        "aarch64" => "SCMP_ARCH_AARCH64",
        _ => "SCMP_ARCH_RISCV64",
    };
    let subordinate = file.arch_map.iter().filter(|map| map.architecture == own);
    let mut architectures = subordinate.flat_map(|map| &map.sub_architectures).chain(&file.architectures);
    Ok(Profile {
        default: file.default_action.with(file.default_errno_ret),
        x86: architectures.any(|name| name == "SCMP_ARCH_X86"),
        log: file.flags.contains(&Flag::Log),
        rules: file
            .syscalls
            .into_iter()
            .filter(|rule| rule.is_for(machine))
            .map(FileRule::into_rule)
            .collect(),
    })
}

/// The first two numbers of a kernel's release.
pub(super) fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    default_action: Kind,
    #[serde(default, deserialize_with = "errno")]
    default_errno_ret: Option<u16>,
    #[serde(default)]
    arch_map: Vec<ArchMap>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    flags: Vec<Flag>,
    #[serde(default)]
    syscalls: Vec<FileRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    #[serde(default)]
    sub_architectures: Vec<String>,
}

/// Those without effect here are accepted: a step starts with one thread, and speculation is the kernel's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Flag {
    #[serde(rename = "SECCOMP_FILTER_FLAG_LOG")]
    Log,
    #[serde(rename = "SECCOMP_FILTER_FLAG_TSYNC")]
    Threads,
    #[serde(rename = "SECCOMP_FILTER_FLAG_SPEC_ALLOW")]
    Speculation,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileRule {
    /// The oldest files have one name a rule.
    #[serde(default, alias = "name", deserialize_with = "one_or_more")]
    names: Vec<String>,
    action: Kind,
    #[serde(default, deserialize_with = "errno")]
    errno_ret: Option<u16>,
    #[serde(default, deserialize_with = "null_is_none")]
    args: Vec<Comparison>,
    #[serde(default)]
    includes: Filter,
    #[serde(default)]
    excludes: Filter,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    #[serde(deserialize_with = "null_is_none")]
    caps: Vec<String>,
    #[serde(deserialize_with = "null_is_none")]
    arches: Vec<String>,
    #[serde(deserialize_with = "kernel")]
    min_kernel: Option<(u32, u32)>,
}

/// An action without its errno.
#[derive(Clone, Copy)]
enum Kind {
    Plain(Action),
    Errno,
}

impl Kind {
    fn with(self, errno: Option<u16>) -> Action {
        match self {
            Self::Plain(action) => action,
            Self::Errno => Action::Errno(errno.unwrap_or(EPERM)),
        }
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Ok(match &*name {
            "SCMP_ACT_ALLOW" => Self::Plain(Action::Allow),
            "SCMP_ACT_LOG" => Self::Plain(Action::Log),
            "SCMP_ACT_TRAP" => Self::Plain(Action::Trap),
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Self::Plain(Action::KillThread),
            "SCMP_ACT_KILL_PROCESS" => Self::Plain(Action::KillProcess),
            "SCMP_ACT_ERRNO" => Self::Errno,
            "SCMP_ACT_NOTIFY" => {
                return Err(de::Error::custom("SCMP_ACT_NOTIFY needs an agent, and a build has none"));
            }
            "SCMP_ACT_TRACE" => {
                return Err(de::Error::custom("SCMP_ACT_TRACE needs a tracer, and a build has none"));
            }
            other => return Err(de::Error::custom(format!("there is no action {other:?}"))),
        })
    }
}

struct Comparison(Condition);

impl<'de> Deserialize<'de> for Comparison {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Words {
            index: u8,
            value: u64,
            #[serde(default)]
            value_two: u64,
            op: String,
        }
        let Words { index, value, value_two, op } = Words::deserialize(from)?;
        if index > LAST_ARGUMENT {
            return Err(de::Error::custom(format!(
                "a call has no argument {index}: they are 0 to {LAST_ARGUMENT}"
            )));
        }
        let (operator, value) = match &*op {
            "SCMP_CMP_NE" => (Operator::Ne, value),
            "SCMP_CMP_LT" => (Operator::Lt, value),
            "SCMP_CMP_LE" => (Operator::Le, value),
            "SCMP_CMP_EQ" => (Operator::Eq, value),
            "SCMP_CMP_GE" => (Operator::Ge, value),
            "SCMP_CMP_GT" => (Operator::Gt, value),
            "SCMP_CMP_MASKED_EQ" => (Operator::MaskedEq(value), value_two),
            other => return Err(de::Error::custom(format!("there is no comparison {other:?}"))),
        };
        Ok(Self(Condition { argument: index, operator, value }))
    }
}

impl FileRule {
    fn is_for(&self, machine: Machine) -> bool {
        let arch = match machine.arch {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let names = |filter: &Filter| filter.arches.iter().any(|name| name == arch);
        (self.includes.arches.is_empty() || names(&self.includes))
            && !names(&self.excludes)
            && self.includes.min_kernel.is_none_or(|least| machine.kernel >= least)
            && self.excludes.min_kernel.is_none_or(|least| machine.kernel < least)
    }

    fn into_rule(self) -> Rule {
        Rule {
            names: self.names,
            action: self.action.with(self.errno_ret),
            conditions: self.args.into_iter().map(|comparison| comparison.0).collect(),
            with_capabilities: self.includes.caps,
            without_capabilities: self.excludes.caps,
        }
    }
}

fn errno<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    let Some(errno) = Option::<u64>::deserialize(from)? else { return Ok(None) };
    match u16::try_from(errno) {
        Ok(errno) if errno <= HIGHEST_ERRNO => Ok(Some(errno)),
        _ => Err(de::Error::custom(format!("there is no errno {errno}"))),
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(String),
        More(Vec<String>),
    }
    Ok(match Names::deserialize(from)? {
        Names::One(name) => vec![name],
        Names::More(names) => names,
    })
}

/// `null`, as Go writes an empty list.
fn null_is_none<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn kernel<'de, D: Deserializer<'de>>(from: D) -> Result<Option<(u32, u32)>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    version(&text).map(Some).ok_or_else(|| de::Error::custom(format!("{text:?} is no version of a kernel")))
}
