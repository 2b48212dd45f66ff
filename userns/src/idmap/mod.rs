//! Identity: who maps the ids of the user namespace that a build step runs in.
//!
//! A process may always create a user namespace, and may always map *one* id into it, its own. To map
//! more, somebody with `CAP_SETUID` and `CAP_SETGID` over the namespace around it has to write the maps
//! and to judge whether the caller may have these ids. There are four ways, tried in this order:
//!
//! | mode | who writes | needs |
//! |---|---|---|
//! | [`Mode::Root`] | nobody, no new namespace | root with its capabilities, over more than one id |
//! | [`Mode::Helper`] | `rbuild-idmap` | its file capabilities, a range in `/etc/subuid` and `/etc/subgid` |
//! | [`Mode::Newuidmap`] | shadow's `newuidmap`, `newgidmap` | the same ranges; setuid or file capabilities |
//! | [`Mode::Single`] | we ourselves | nothing; `setgroups` is then denied for good |
//!
//! [`plan`] looks at the facts and chooses, and says for every mode it passed over what was missing.
//! [`Plan::apply`] maps a child that was cloned with `CLONE_NEWUSER` and waits. Inside, id 0 is the
//! caller's own; from 1 on follow the subordinate ranges, one after the other in the order of the file.
//!
//! Programs with file capabilities or a setuid bit get nothing under `no_new_privs`, on a `nosuid`
//! mount, and where the bounding set lacks what they ask for; so all three are among the facts.

mod apply;
mod caps;
mod facts;
mod grant;
mod map;
mod own;
mod plan;
mod tools;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

pub use grant::grant;
pub use map::{Extent, Fault, HostId, IdMap, InsideId};
pub use plan::{Plan, plan, plan_in};
pub use tools::Search;

pub(crate) use map::ranges_overlap;

/// How ids are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Already privileged over this namespace: no new one.
    Root,
    /// By `rbuild-idmap`.
    Helper,
    /// By shadow's `newuidmap` and `newgidmap`.
    Newuidmap,
    /// The caller's own id alone.
    Single,
}

/// What the user asked for with `--idmap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Choice {
    /// The first mode of [`Mode::ORDER`] that can work.
    #[default]
    Auto,
    /// This one or an error.
    Force(Mode),
}

/// Why ids cannot be mapped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A map, or a line of one, that the kernel would refuse.
    #[error("id map line {line}: {fault}")]
    Map {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// A subordinate range that does not go together with the user's own id.
    #[error("{origin}:{line}: {len} ids from {first} on, beside the own id {own}: {fault}")]
    Grant {
        /// File or command the range is from.
        origin: String,
        /// Its line there.
        line: usize,
        /// First id of the range.
        first: u32,
        /// Its length.
        len: u32,
        /// The own id, which the map has as 0.
        own: u32,
        /// What is wrong.
        fault: Fault,
    },
    /// A map of the user's own choice has an id that nobody granted.
    #[error(
        "line {line} of the {kind} map, {range}: id {id} is not this user's (rbuild info tells which are)"
    )]
    NotGranted {
        /// `user` or `group`.
        kind: &'static str,
        /// Counted from 1.
        line: usize,
        /// The line.
        range: String,
        /// The first such id.
        id: u32,
    },
    /// A map of the user's own choice has another id as 0.
    #[error("the {kind} map must have 0:{own}:1: the sandbox is id 0, and the store belongs to {own}")]
    OwnIdElsewhere {
        /// `user` or `group`.
        kind: &'static str,
        /// The user's own.
        own: u32,
    },
    /// Maps without anything to map.
    #[error(
        "rbuild runs as root and makes no user namespace, so there are no ids to map: start it as another user"
    )]
    NoNamespace,
    /// The mode that was forced cannot work here.
    #[error("id map mode {mode}: {why}")]
    Unavailable {
        /// The mode.
        mode: Mode,
        /// What is missing and the next thing to try.
        why: String,
    },
    /// No mode can work here.
    #[error("no id map mode works: {}", list(.passed_over))]
    NoMode {
        /// Each mode and what it lacks.
        passed_over: Vec<(Mode, String)>,
    },
    /// A word that is no mode.
    #[error("{0:?} is no id map mode: use auto, root, helper, newuidmap or single")]
    UnknownMode(String),
    /// The facts about this process could not be read.
    #[error("read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of `/proc` does not have the line it has had on every kernel.
    #[error("{path}: no {field} line that can be read", path = .path.display())]
    Proc {
        /// The file.
        path: PathBuf,
        /// The line's key.
        field: &'static str,
    },
    /// Who the caller is could not be looked up.
    #[error(transparent)]
    Subid(#[from] crate::subid::Error),
    /// A map file of the child did not take what was written.
    #[error("write {text:?} to {path}", path = .path.display())]
    Write {
        /// `/proc/PID/uid_map`, `setgroups` or `gid_map`.
        path: PathBuf,
        /// The text.
        text: String,
        /// Why.
        source: io::Error,
    },
    /// The child's directory of `/proc` could not be opened.
    #[error("open {path}", path = .path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The helper did not start.
    #[error("run {program}", program = .program.display())]
    Run {
        /// The helper.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The helper refused.
    #[error("{program}: {message} ({status})", program = .program.display())]
    Refused {
        /// The helper.
        program: PathBuf,
        /// What it wrote to its standard error.
        message: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
}

impl Mode {
    /// The order in which [`Choice::Auto`] tries them.
    pub const ORDER: [Self; 4] = [Self::Root, Self::Helper, Self::Newuidmap, Self::Single];

    /// The word for it on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Helper => "helper",
            Self::Newuidmap => "newuidmap",
            Self::Single => "single",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let mode = Self::ORDER.into_iter().find(|mode| mode.as_str() == word);
        mode.ok_or_else(|| Error::UnknownMode(word.to_owned()))
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Force(mode) => mode.fmt(f),
        }
    }
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        if word == "auto" { Ok(Self::Auto) } else { word.parse().map(Self::Force) }
    }
}

fn list(passed_over: &[(Mode, String)]) -> String {
    let lines: Vec<_> = passed_over.iter().map(|(mode, why)| format!("{mode}: {why}")).collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_as_they_are_written() {
        for choice in [Choice::Auto].into_iter().chain(Mode::ORDER.map(Choice::Force)) {
            assert_eq!(choice.to_string().parse::<Choice>().unwrap(), choice);
        }
        for word in ["", "Root", "auto ", "setuid"] {
            let error = word.parse::<Choice>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{word:?} is no id map mode")), "{word:?}: {error}");
        }
        assert!("auto".parse::<Mode>().is_err());
    }
}
