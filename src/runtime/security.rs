//! What a command may do.

use rbuild_userns::seccomp::Profile;
use serde::{Deserialize, Serialize};

/// The capabilities that containers.conf gives by default.
pub const DEFAULT_CAPABILITIES: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// What a command may do; the default is that of container engines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Names such as `CAP_CHOWN`; the process's bounding, permitted, effective set (effective only for uid 0).
    pub capabilities: Vec<String>,
    /// Whether setuid bits and file capabilities are without effect.
    pub no_new_privileges: bool,
    /// Which system calls it may make.
    pub seccomp: Seccomp,
    /// Which parts of `/proc` and `/sys` are hidden or readable only.
    pub masks: Masks,
    /// What of the host's mandatory access control is laid on it besides.
    pub label: Option<Label>,
}

/// Which system calls a command may make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seccomp {
    /// Those of the default profile.
    Default,
    /// Those of this one.
    Profile(Box<Profile>),
    /// All.
    Unconfined,
}

/// Changes to the parts of `/proc` and `/sys` that containers do not see or change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masks {
    /// Hidden too, where they exist; absolute.
    pub hidden: Vec<String>,
    /// Patterns of those that are as on the host: `*` stands for any part of one name.
    pub shown: Vec<String>,
}

impl Masks {
    /// Whether nothing is hidden or write-protected at `path`.
    pub(crate) fn shows(&self, path: &str) -> bool {
        self.shown.iter().any(|pattern| {
            let (pattern, path) = (pattern.split('/'), path.split('/'));
            pattern.clone().count() == path.clone().count()
                && pattern.zip(path).all(|(p, name)| fits(p, name))
        })
    }
}

/// Whether a name fits a pattern in which `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| fits(rest, &name[at..]))
        }),
    }
}

/// A confinement by the host's security module, taken on with `execve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// An `AppArmor` profile that is loaded.
    AppArmor(String),
    /// An `SELinux` context.
    SeLinux(String),
}

impl Default for Security {
    fn default() -> Self {
        Self {
            capabilities: DEFAULT_CAPABILITIES.map(str::to_owned).to_vec(),
            no_new_privileges: false,
            seccomp: Seccomp::Default,
            masks: Masks::default(),
            label: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_show_what_they_name() {
        for (pattern, path, want) in [
            ("/proc/kcore", "/proc/kcore", true),
            ("/proc/*", "/proc/kcore", true),
            ("/proc/*", "/sys/firmware", false),
            ("/*/*", "/sys/firmware", true),
            ("/proc/*", "/proc/a/b", false),
            ("/proc/t*r_*t", "/proc/timer_list", true),
            ("/proc", "/proc/kcore", false),
        ] {
            let masks = Masks { shown: vec![pattern.to_owned()], ..Masks::default() };
            assert_eq!(masks.shows(path), want, "{pattern} {path}");
        }
    }
}
