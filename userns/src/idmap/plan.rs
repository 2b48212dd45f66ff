//! The choice among the four modes: pure judgement over [`Facts`].

use std::path::PathBuf;

use super::caps::Cap;
use super::facts::{Facts, Maps};
use super::tools::{Search, Shadow};
use super::{Choice, Error, HostId, IdMap, InsideId, Mode};

/// What rbuild asks of root: mount, take any id, own any file.
const ROOT_NEEDS: [Cap; 6] =
    [Cap::SysAdmin, Cap::Setuid, Cap::Setgid, Cap::Chown, Cap::DacOverride, Cap::Fowner];

/// How the ids of a sandbox will be mapped.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The mode taken.
    pub mode: Mode,
    /// User ids; under [`Mode::Root`] those of the namespace we are in, each as itself.
    pub uids: IdMap,
    /// Group ids, likewise.
    pub gids: IdMap,
    /// The modes before it in the order, each with what it lacks and the next thing to try.
    /// Empty if the mode was forced.
    pub passed_over: Vec<(Mode, String)>,
    pub(super) writer: Writer,
}

/// Who writes the maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    Nobody,
    Helper(PathBuf),
    Shadow(Shadow),
    Ourselves,
}

impl Plan {
    /// Whether the sandbox is to be cloned with `CLONE_NEWUSER`: in every mode but [`Mode::Root`].
    pub fn needs_user_namespace(&self) -> bool {
        self.mode != Mode::Root
    }
}

/// Chooses a mode for this process; the helpers are looked for where [`Search::of_this_process`] says.
///
/// Errors with [`Error::Unavailable`] if a forced mode cannot work, with [`Error::NoMode`] if none can.
pub fn plan(choice: Choice) -> Result<Plan, Error> {
    let search =
        Search::of_this_process().map_err(|source| Error::Read { path: "/proc/self/exe".into(), source })?;
    plan_in(choice, &search)
}

/// [`plan`], with the helpers looked for in `search`.
pub fn plan_in(choice: Choice, search: &Search) -> Result<Plan, Error> {
    choose(choice, &Facts::gather(search)?)
}

fn choose(choice: Choice, facts: &Facts) -> Result<Plan, Error> {
    let order = match &choice {
        Choice::Auto => &Mode::ORDER[..],
        Choice::Force(mode) => std::slice::from_ref(mode),
    };
    let mut passed_over = Vec::new();
    for &mode in order {
        match judge(mode, facts) {
            Ok((writer, Maps { uids, gids })) => return Ok(Plan { mode, uids, gids, passed_over, writer }),
            Err(why) => passed_over.push((mode, why)),
        }
    }
    match (choice, passed_over.pop()) {
        (Choice::Force(_), Some((mode, why))) => Err(Error::Unavailable { mode, why }),
        (_, last) => {
            passed_over.extend(last);
            Err(Error::NoMode { passed_over })
        }
    }
}

/// Who would write which maps in this mode, or what is missing.
fn judge(mode: Mode, facts: &Facts) -> Result<(Writer, Maps), String> {
    match mode {
        Mode::Root => root(facts).map(|maps| (Writer::Nobody, maps)),
        Mode::Helper => mapped(facts).and_then(|maps| Ok((Writer::Helper(facts.helper.clone()?), maps))),
        Mode::Newuidmap => mapped(facts).and_then(|maps| Ok((Writer::Shadow(facts.shadow.clone()?), maps))),
        Mode::Single => single(facts).map(|maps| (Writer::Ourselves, maps)),
    }
}

fn root(facts: &Facts) -> Result<Maps, String> {
    if facts.caller.uid != 0 {
        return Err(format!("running as {}, not as root", facts.caller));
    }
    if let Some(missing) = facts.effective.missing(&ROOT_NEEDS) {
        return Err(format!("running as root without {missing}; give the container these capabilities"));
    }
    for (file, map) in [("uid_map", &facts.here.uids), ("gid_map", &facts.here.gids)] {
        if map.len() <= 1 {
            return Err(format!(
                "/proc/self/{file} maps {} id into this user namespace; start rbuild outside of it",
                map.len()
            ));
        }
    }
    if !facts.setgroups {
        return Err("setgroups is denied in this user namespace; start rbuild outside of it".into());
    }
    Ok(Maps { uids: identity(&facts.here.uids)?, gids: identity(&facts.here.gids)? })
}

/// The ids of this namespace, each as itself.
fn identity(here: &IdMap) -> Result<IdMap, String> {
    let extents = here.extents().iter().map(|extent| super::Extent { host: extent.inside, ..*extent });
    IdMap::new(extents).map_err(|error| error.to_string())
}

/// What every new user namespace needs.
fn new_namespace(facts: &Facts) -> Result<(), String> {
    facts.user_namespaces.clone()?;
    // Since Linux 5.12 the id 0 around a namespace is mapped into it only by who might also write file
    // capabilities for it.
    match facts.effective.missing(&[Cap::Setfcap]) {
        Some(missing) if facts.caller.uid == 0 => {
            Err(format!("root without {missing} cannot map its id; give the container this capability"))
        }
        _ => Ok(()),
    }
}

/// The conditions that the helper and shadow's programs share.
fn mapped(facts: &Facts) -> Result<Maps, String> {
    new_namespace(facts)?;
    if facts.no_new_privs {
        return Err("no_new_privs is set, under which no program gains privileges; start rbuild without it \
                    (containers: allowPrivilegeEscalation)"
            .into());
    }
    if let Some(missing) = facts.bounding.missing(&[Cap::Setuid, Cap::Setgid]) {
        return Err(format!(
            "the capability bounding set lacks {missing}; give the container these capabilities"
        ));
    }
    if facts.here.uids.len() <= 1 {
        return Err("this user namespace has one id alone; start rbuild outside of it".into());
    }
    let maps = facts.granted.clone()?;
    for (kind, map, here) in [("user", &maps.uids, &facts.here.uids), ("group", &maps.gids, &facts.here.gids)]
    {
        for extent in map.extents() {
            if let Some(InsideId(id)) = here.first_unmapped(InsideId(extent.host), extent.len) {
                return Err(format!(
                    "this user namespace does not have {kind} id {id} of the range {}:{}; correct /etc/sub{}id",
                    extent.host,
                    extent.len,
                    &kind[..1]
                ));
            }
        }
    }
    Ok(maps)
}

fn single(facts: &Facts) -> Result<Maps, String> {
    new_namespace(facts)?;
    Ok(Maps {
        uids: IdMap::single(InsideId(0), HostId(facts.caller.uid)),
        gids: IdMap::single(InsideId(0), HostId(facts.gid)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::caps::CapSet;
    use super::*;
    use crate::subid::Owner;

    fn maps(text: &str) -> Maps {
        Maps { uids: IdMap::parse(text).unwrap(), gids: IdMap::parse(text).unwrap() }
    }

    /// An ordinary user for whom everything is installed.
    fn builder() -> Facts {
        Facts {
            caller: Owner { name: Some("builder".into()), uid: 1001 },
            gid: 1001,
            effective: CapSet(0),
            bounding: CapSet(u64::MAX),
            no_new_privs: false,
            here: maps("0 0 4294967295"),
            setgroups: true,
            granted: Ok(maps("0 1001 1\n1 100000 65536")),
            helper: Ok("/usr/libexec/rbuild/rbuild-idmap".into()),
            shadow: Ok(Shadow {
                newuidmap: "/usr/bin/newuidmap".into(),
                newgidmap: "/usr/bin/newgidmap".into(),
            }),
            user_namespaces: Ok(()),
        }
    }

    fn root_user() -> Facts {
        let caller = Owner { name: Some("root".into()), uid: 0 };
        Facts { caller, gid: 0, effective: CapSet(u64::MAX), granted: Err("no range".into()), ..builder() }
    }

    #[test]
    fn auto_takes_the_first_that_works_and_says_why_not_the_others() {
        let none = || Err::<PathBuf, _>("not installed".to_owned());
        let rows: Vec<(&str, Facts, Mode, &[&str])> = vec![
            ("root", root_user(), Mode::Root, &[]),
            ("user, all installed", builder(), Mode::Helper, &["running as builder (uid 1001), not as root"]),
            (
                "no helper",
                Facts { helper: none(), ..builder() },
                Mode::Newuidmap,
                &["not as root", "not installed"],
            ),
            (
                "no helper, no shadow",
                Facts { helper: none(), shadow: Err("no shadow".into()), ..builder() },
                Mode::Single,
                &["not as root", "not installed", "no shadow"],
            ),
            (
                "no new privileges",
                Facts { no_new_privs: true, ..builder() },
                Mode::Single,
                &["not as root", "no_new_privs is set", "no_new_privs is set"],
            ),
            (
                "no range",
                Facts { granted: Err("no range".into()), ..builder() },
                Mode::Single,
                &["not as root", "no range", "no range"],
            ),
            (
                "bounding set without CAP_SETUID",
                Facts { bounding: CapSet(1 << 6), ..builder() },
                Mode::Single,
                &["not as root", "bounding set lacks CAP_SETUID;", "bounding set lacks CAP_SETUID;"],
            ),
            (
                "root of a container without SYS_ADMIN",
                Facts { effective: CapSet(!(1 << 21)), ..root_user() },
                Mode::Single,
                &["running as root without CAP_SYS_ADMIN;", "no range", "no range"],
            ),
            (
                "unshare -r",
                Facts { here: maps("0 1001 1"), setgroups: false, ..root_user() },
                Mode::Single,
                &["/proc/self/uid_map maps 1 id", "has one id alone; start", "has one id alone; start"],
            ),
            (
                "setgroups denied",
                Facts { setgroups: false, ..root_user() },
                Mode::Single,
                &["setgroups is denied", "no range", "no range"],
            ),
            (
                "range outside of the container's ids",
                Facts { here: maps("0 1000 1\n1 100000 65536"), ..builder() },
                Mode::Single,
                &["not as root", "does not have user id 100000 of the range 100000:65536", "/etc/subuid"],
            ),
        ];
        for (row, facts, mode, passed_over) in rows {
            let plan = choose(Choice::Auto, &facts).unwrap_or_else(|error| panic!("{row}: {error}"));
            assert_eq!(plan.mode, mode, "{row}");
            assert_eq!(plan.needs_user_namespace(), mode != Mode::Root, "{row}");
            let modes: Vec<_> = plan.passed_over.iter().map(|(mode, _)| *mode).collect();
            assert_eq!(modes, Mode::ORDER[..passed_over.len()], "{row}");
            for ((_, why), part) in plan.passed_over.iter().zip(passed_over) {
                assert!(why.contains(part), "{row}: {why:?} does not say {part:?}");
            }
        }
    }

    #[test]
    fn forced_is_that_or_what_is_missing() {
        for (mode, facts, expected) in [
            (Mode::Root, root_user(), Ok("0 0 4294967295\n")),
            (Mode::Root, Facts { here: maps("0 1000 1\n1 100000 9"), ..root_user() }, Ok("0 0 1\n1 1 9\n")),
            (Mode::Helper, builder(), Ok("0 1001 1\n1 100000 65536\n")),
            (Mode::Newuidmap, builder(), Ok("0 1001 1\n1 100000 65536\n")),
            (Mode::Single, builder(), Ok("0 1001 1\n")),
            (Mode::Single, root_user(), Ok("0 0 1\n")),
            (Mode::Root, builder(), Err("id map mode root: running as builder (uid 1001), not as root")),
            (Mode::Helper, root_user(), Err("id map mode helper: no range")),
            (
                Mode::Single,
                Facts { effective: CapSet(!(1 << 31)), ..root_user() },
                Err(
                    "id map mode single: root without CAP_SETFCAP cannot map its id; give the container this capability",
                ),
            ),
            (
                Mode::Single,
                Facts { user_namespaces: Err("switched off".into()), ..builder() },
                Err("id map mode single: switched off"),
            ),
        ] {
            let plan = choose(Choice::Force(mode), &facts);
            if let Ok(plan) = &plan {
                assert_eq!((plan.mode, plan.passed_over.len()), (mode, 0));
            }
            let found = plan.map(|plan| plan.uids.to_string()).map_err(|error| error.to_string());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{mode}");
        }
    }

    #[test]
    fn where_no_mode_works_each_says_why() {
        let facts = Facts { user_namespaces: Err("switched off".into()), ..builder() };
        let error = choose(Choice::Auto, &facts).unwrap_err().to_string();
        assert_eq!(
            error,
            "no id map mode works: root: running as builder (uid 1001), not as root; helper: switched off; \
             newuidmap: switched off; single: switched off"
        );
    }
}
