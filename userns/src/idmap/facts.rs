//! What is true of this process and this machine, read once, judged elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use super::caps::CapSet;
use super::tools::{Search, Shadow};
use super::{Error, HostId, IdMap, grant};
use crate::subid::{self, Kind, Owner, Source};

/// Everything that [`super::plan`] judges by. A fact that is itself a judgement carries its reason.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub caller: Owner,
    pub gid: u32,
    pub effective: CapSet,
    pub bounding: CapSet,
    pub no_new_privs: bool,
    /// The maps of the user namespace we are in.
    pub here: Maps,
    /// Whether `setgroups` is allowed in it.
    pub setgroups: bool,
    /// The maps the administrator grants: own id, then the subordinate ranges.
    pub granted: Result<Maps, String>,
    pub helper: Result<PathBuf, String>,
    pub shadow: Result<Shadow, String>,
    /// Whether the machine lets us create user namespaces.
    pub user_namespaces: Result<(), String>,
}

/// A map of user ids and one of group ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Maps {
    pub uids: IdMap,
    pub gids: IdMap,
}

impl Facts {
    pub fn gather(search: &Search) -> Result<Self, Error> {
        let caller = Owner::of(rustix::process::geteuid().as_raw())?;
        let gid = rustix::process::getegid().as_raw();
        let status = Status::parse(&read("/proc/thread-self/status")?)?;
        Ok(Self {
            gid,
            effective: status.effective,
            bounding: status.bounding,
            no_new_privs: status.no_new_privs,
            here: Maps {
                uids: IdMap::parse(&read("/proc/self/uid_map")?)?,
                gids: IdMap::parse(&read("/proc/self/gid_map")?)?,
            },
            setgroups: read("/proc/self/setgroups")?.trim() == "allow",
            granted: granted(&caller, gid, &Source::system()),
            helper: search.helper(),
            shadow: search.shadow(),
            user_namespaces: user_namespaces(),
            caller,
        })
    }
}

/// The lines of `/proc/thread-self/status` that matter here.
struct Status {
    effective: CapSet,
    bounding: CapSet,
    no_new_privs: bool,
}

impl Status {
    fn parse(text: &str) -> Result<Self, Error> {
        let field = |name: &'static str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.map(str::trim).ok_or(name)
        };
        let set = |name| u64::from_str_radix(field(name)?, 16).map(CapSet).map_err(|_| name);
        let read = || {
            Ok(Self {
                effective: set("CapEff")?,
                bounding: set("CapBnd")?,
                no_new_privs: field("NoNewPrivs")? != "0",
            })
        };
        read().map_err(|field| Error::Proc { path: "/proc/thread-self/status".into(), field })
    }
}

fn read(path: &str) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })
}

/// The caller's maps by the databases, or why there are none.
fn granted(caller: &Owner, gid: u32, source: &Source) -> Result<Maps, String> {
    let map = |kind, own| {
        let ranges = source.ranges(kind, caller).map_err(|error| with_cause(&error))?;
        if ranges.ranges.is_empty() {
            let first = source.first_free().map_err(|error| with_cause(&error))?;
            return Err(format!("{} has no range for {caller}; {}", ranges.origin, add_range(first, caller)));
        }
        grant(HostId(own), &ranges).map_err(|error| error.to_string())
    };
    Ok(Maps { uids: map(Kind::Uid, caller.uid)?, gids: map(Kind::Gid, gid)? })
}

/// The command that gives `caller` ids from `first` on, which nobody else has: shared ids would let two
/// users into each other's files.
fn add_range(first: u32, caller: &Owner) -> String {
    let name = caller.name.as_deref().unwrap_or("USER");
    let last = first.saturating_add(65_535);
    format!("as root: usermod --add-subuids {first}-{last} --add-subgids {first}-{last} {name}")
}

fn with_cause(error: &subid::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Two switches by which an administrator forbids user namespaces; absent on kernels without them.
fn user_namespaces() -> Result<(), String> {
    for path in ["/proc/sys/user/max_user_namespaces", "/proc/sys/kernel/unprivileged_userns_clone"] {
        let privileged = rustix::process::geteuid().is_root() && path.ends_with("_clone");
        if Path::new(path).exists() && !privileged {
            let value = fs::read_to_string(path).map_err(|error| format!("read {path}: {error}"))?;
            if value.trim() == "0" {
                return Err(format!(
                    "{path} is 0: user namespaces are switched off; as root: set it to 1 or more"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_lines_of_status() {
        let text = "Name:\tx\nCapEff:\t0000000000000080\nCapBnd:\t000001ffffffffff\nNoNewPrivs:\t1\n";
        let status = Status::parse(text).unwrap();
        assert_eq!(
            (status.effective.0, status.bounding.0, status.no_new_privs),
            (0x80, 0x1ff_ffff_ffff, true)
        );
        for (cut, field) in [("CapEff", "CapEff"), ("CapBnd", "CapBnd"), ("NoNewPrivs", "NoNewPrivs")] {
            let error = Status::parse(&text.replace(cut, "X")).err().unwrap().to_string();
            assert_eq!(error, format!("/proc/thread-self/status: no {field} line that can be read"));
        }
    }

    #[test]
    fn no_range_says_how_to_add_one_and_a_bad_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let source = Source {
            subuid: at("subuid"),
            subgid: at("subgid"),
            nsswitch: at("nsswitch.conf"),
            getsubids: at("getsubids"),
        };
        let caller = Owner { name: Some("builder".into()), uid: 1001 };
        for (subuid, subgid, why) in [
            ("", "", "subuid has no range for builder (uid 1001); as root: usermod"),
            ("other:100000:65536\n", "", "--add-subuids 165536-231071 --add-subgids 165536-231071 builder"),
            ("builder:100000:65536\n", "#\n", "subgid has no range for builder (uid 1001)"),
            ("builder:1:5\nbuilder:3:5\n", "", "subuid:2: 5 ids from 3 on overlap line 1"),
        ] {
            fs::write(&source.subuid, subuid).unwrap();
            fs::write(&source.subgid, subgid).unwrap();
            let found = granted(&caller, 1001, &source).unwrap_err();
            assert!(found.contains(why), "{subuid:?}, {subgid:?}: {found}");
        }
    }
}
