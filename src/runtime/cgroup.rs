//! The control group of a step: what all its processes may use together, by cgroup v2.
//!
//! An unprivileged user may make groups only beneath one that was delegated to them, and only with the controllers that
//! reach it (cgroups(7), "Delegation"). The coordinator makes `rbuild-<pid>-<n>` there, the step enters it before it
//! becomes the command, and the coordinator removes it. Should rbuild be killed, the group stays behind empty, because the
//! step dies with it; the next one that is made beside it clears it away.
//!
//! A group that passes controllers on holds no process itself. So where the group is our own, rbuild and its sandbox make
//! way into `rbuild-<pid>-itself`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::io::Errno;

use super::limits::Shared;

/// What every group of ours begins with.
const PREFIX: &str = "rbuild-";
/// How often the removal of a group is tried: its processes are gone, but the kernel may still be busy with one.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// Tells groups of one process apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Why the limits cannot be set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no cgroup v2, or this process is in none.
    #[error("limits of memory and processors need cgroup v2, and it is not mounted")]
    NotMounted,
    /// A controller does not reach the group.
    #[error("the control group {group:?} has no controller {controller:?}: {next}")]
    NoController {
        /// In which the step's group would be made.
        group: PathBuf,
        /// The one that a limit needs.
        controller: &'static str,
        /// What to try.
        next: &'static str,
    },
    /// Somebody else's processes are in the group that would have to be divided.
    #[error(
        "the control group {group:?} holds processes that are not rbuild's ({}), and only an empty one passes controllers \
         on: {NEXT_THING}",
        of_others.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
    )]
    Occupied {
        /// In which the step's group would be made.
        group: PathBuf,
        /// Their numbers.
        of_others: Vec<u32>,
    },
    /// The kernel does not take a limit.
    #[error("limit the control group by {value:?} in {path:?}")]
    Value {
        /// The file of the group.
        path: PathBuf,
        /// What it should hold.
        value: String,
        /// Why not.
        source: io::Error,
    },
    /// The group is not the user's to divide.
    #[error("{verb} {path:?} ({NEXT_THING})")]
    File {
        /// What was tried.
        verb: &'static str,
        /// With which file or directory of cgroup v2.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

const NEXT_THING: &str = "limits need a control group of one's own: start rbuild by systemd-run --user --scope \
                          -p Delegate=yes, or name a delegated one that this process is in with --cgroup-parent";
const V1: &str = "where the machine has it in cgroup v1, boot with systemd.unified_cgroup_hierarchy=1";

impl Error {
    fn no_controller(group: &Path, controller: &'static str) -> Self {
        let next = if Path::new("/sys/fs/cgroup").join(controller).exists() { V1 } else { NEXT_THING };
        Self::NoController { group: group.to_path_buf(), controller, next }
    }

    /// What the kernel said, or would say.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Self::NotMounted => Some(Errno::NOENT.raw_os_error()),
            Self::NoController { .. } => Some(Errno::OPNOTSUPP.raw_os_error()),
            Self::Occupied { .. } => Some(Errno::BUSY.raw_os_error()),
            Self::Value { source, .. } | Self::File { source, .. } => source.raw_os_error(),
        }
    }

    fn file(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { verb, path, source }
    }
}

/// A group that holds one step, to be removed after it.
#[derive(Debug)]
#[must_use]
pub(super) struct ControlGroup {
    path: PathBuf,
    memory: Option<u64>,
}

impl ControlGroup {
    /// Makes one for these limits; `None` if there are none.
    pub(super) fn make(limits: &Shared) -> Result<Option<Self>, Error> {
        let settings = settings(limits);
        if settings.is_empty() && limits.parent.is_none() {
            return Ok(None);
        }
        let (mount, own) = own()?;
        let parent = match limits.parent.as_deref() {
            Some(named) => named_group(named, &mount, &own)?,
            None => own.clone(),
        };
        for setting in &settings {
            pass_to_children(&parent, &own, setting.controller)?;
        }
        sweep(&parent)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        fs::create_dir(&path).map_err(Error::file("create the control group", &path))?;
        let group = Self { path, memory: limits.memory };
        match group.set(settings) {
            Ok(()) => Ok(Some(group)),
            // an empty group goes at once; if not, what was wrong first is what the user can mend
            Err(error) => group.remove().and(Err(error)),
        }
    }

    fn set(&self, settings: Vec<Setting>) -> Result<(), Error> {
        for Setting { file, value, .. } in settings {
            let path = self.path.join(file);
            fs::write(&path, &value).map_err(|source| Error::Value { path, value, source })?;
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The limit of memory, in bytes, if the kernel ended a process for its sake.
    pub(super) fn out_of_memory(&self) -> Result<Option<u64>, Error> {
        let Some(memory) = self.memory else { return Ok(None) };
        let events = self.path.join("memory.events");
        let text = fs::read_to_string(&events).map_err(Error::file("read", &events))?;
        let killed = text.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count != "0");
        Ok(killed.then_some(memory))
    }

    /// Removes it. Errors if a process is in it for longer than its end takes; then the next group made beside it clears
    /// it away.
    pub(super) fn remove(self) -> Result<(), Error> {
        for _ in 1..TRIES {
            match fs::remove_dir(&self.path) {
                Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => std::thread::sleep(PAUSE),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => return other.map_err(Error::file("remove the control group", &self.path)),
            }
        }
        fs::remove_dir(&self.path).map_err(Error::file("remove the control group", &self.path))
    }
}

/// One file of a group.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    controller: &'static str,
    file: &'static str,
    value: String,
}

fn settings(limits: &Shared) -> Vec<Setting> {
    let amount = |bytes: Option<u64>| bytes.map_or("max".to_owned(), |bytes| bytes.to_string());
    let quota = (limits.cpu_quota.is_some() || limits.cpu_period.is_some())
        .then(|| format!("{} {}", amount(limits.cpu_quota), limits.cpu_period.unwrap_or(PERIOD)));
    let rows = [
        ("memory", "memory.max", limits.memory.map(|bytes| bytes.to_string())),
        ("memory", "memory.swap.max", limits.swap.map(amount)),
        ("cpu", "cpu.max", quota),
        ("cpu", "cpu.weight", limits.cpu_shares.map(|shares| weight(shares).to_string())),
        ("cpuset", "cpuset.cpus", limits.cpus.clone()),
        ("cpuset", "cpuset.mems", limits.memory_nodes.clone()),
    ];
    let given =
        |(controller, file, value): (_, _, Option<String>)| Some(Setting { controller, file, value: value? });
    rows.into_iter().filter_map(given).collect()
}

/// The kernel's own period, in microseconds.
const PERIOD: u64 = 100_000;

/// From shares, 2 to 262144, to a weight, 1 to 10000, by the line through both ends that container engines use.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// A path of the hierarchy, or one beneath our own group.
fn named_group(named: &Path, mount: &Path, own: &Path) -> Result<PathBuf, Error> {
    let path = named.strip_prefix("/").map_or_else(|_| own.join(named), |named| mount.join(named));
    fs::create_dir_all(&path).map_err(Error::file("create the control group", &path))?;
    Ok(path)
}

/// Where cgroup v2 is mounted, and in it the group that this process was started in.
fn own() -> Result<(PathBuf, PathBuf), Error> {
    const MOUNTS: &str = "/proc/self/mountinfo";
    const GROUPS: &str = "/proc/self/cgroup";
    let read = |path: &str| fs::read_to_string(path).map_err(Error::file("read", Path::new(path)));
    let mounts = read(MOUNTS)?;
    let mount =
        mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
    let groups = read(GROUPS)?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let (Some(mount), Some(own)) = (mount.map(PathBuf::from), own) else { return Err(Error::NotMounted) };
    let own = mount.join(own);
    // we may have made way since
    let started_in = if own.ends_with(itself()) { own.parent().map(Path::to_path_buf) } else { None };
    Ok((mount, started_in.unwrap_or(own)))
}

/// What our own processes are in when they have made way.
fn itself() -> String {
    format!("{PREFIX}{}-itself", std::process::id())
}

/// Whether limits could be set here: the group of this process is the user's to divide, and `cpu` and `memory` reach it.
///
/// The kernel's words: ENOENT without cgroup v2, EOPNOTSUPP without the controllers, and what it says to a new group.
pub(crate) fn attempt() -> Result<(), Error> {
    let (_, own) = own()?;
    let made = own.join(format!("{PREFIX}{}-trial", std::process::id()));
    fs::create_dir(&made).map_err(Error::file("create the control group", &made))?;
    fs::remove_dir(&made).map_err(Error::file("remove the control group", &made))?;
    let control = own.join("cgroup.subtree_control");
    rustix::fs::access(&control, rustix::fs::Access::WRITE_OK)
        .map_err(|errno| Error::file("write", &control)(errno.into()))?;
    let here = words(&own, "cgroup.controllers")?;
    match ["cpu", "memory"].into_iter().find(|wanted| !here.iter().any(|found| found == wanted)) {
        Some(controller) => Err(Error::no_controller(&own, controller)),
        None => Ok(()),
    }
}

/// Has a controller reach the groups in `group`. Beneath `own`, the group that is ours to divide, all on the way pass it on.
fn pass_to_children(group: &Path, own: &Path, controller: &'static str) -> Result<(), Error> {
    if let Some(above) = group.parent().filter(|above| above.starts_with(own)) {
        pass_to_children(above, own, controller)?;
    }
    let has = |name: &str| Ok::<_, Error>(words(group, name)?.iter().any(|word| word == controller));
    if !has("cgroup.controllers")? {
        return Err(Error::no_controller(group, controller));
    }
    make_way(group)?;
    if has("cgroup.subtree_control")? {
        return Ok(());
    }
    let control = group.join("cgroup.subtree_control");
    fs::write(&control, format!("+{controller}")).map_err(Error::file("write", &control))
}

/// The words of one of a group's files.
fn words(group: &Path, name: &str) -> Result<Vec<String>, Error> {
    let path = group.join(name);
    let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// Has our own processes leave a group that is to pass controllers on: it may hold none, the root of the hierarchy excepted.
///
/// The kernel refuses only `memory` to one that holds some (EBUSY). It passes `cpu` and `cpuset` on, and then lets no process
/// enter the groups beneath (EOPNOTSUPP): they are for threads.
fn make_way(group: &Path) -> Result<(), Error> {
    if !group.join("cgroup.type").exists() {
        return Ok(());
    }
    // a process that is forked while we look is seen the next time
    for _ in 0..TRIES {
        let pids = words(group, "cgroup.procs")?;
        if pids.is_empty() {
            return Ok(());
        }
        move_aside(group, &pids)?;
    }
    Err(Error::file("empty", group)(Errno::BUSY.into()))
}

fn move_aside(parent: &Path, pids: &[String]) -> Result<(), Error> {
    let pids = pids.iter().filter_map(|word| word.parse::<u32>().ok());
    let (ours, of_others): (Vec<u32>, Vec<u32>) = pids.partition(|pid| descends(*pid));
    if !of_others.is_empty() {
        return Err(Error::Occupied { group: parent.to_path_buf(), of_others });
    }
    let aside = parent.join(itself());
    fs::create_dir_all(&aside).map_err(Error::file("create the control group", &aside))?;
    let procs = aside.join("cgroup.procs");
    for pid in ours {
        match fs::write(&procs, pid.to_string()) {
            // it has ended
            Err(error) if Errno::from_io_error(&error) == Some(Errno::SRCH) => {}
            other => other.map_err(Error::file("move rbuild by", &procs))?,
        }
    }
    Ok(())
}

/// Whether a process is this one or comes from it. One that has ended in the meantime counts as ours: there is nothing to
/// move.
fn descends(pid: u32) -> bool {
    let mut pid = pid;
    while pid > 1 {
        if pid == std::process::id() {
            return true;
        }
        let stat = match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat,
            Err(error) => return error.kind() == io::ErrorKind::NotFound,
        };
        // the name in parentheses may hold anything; behind it come the state and the parent
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        let Some(parent) = parent.and_then(|word| word.parse().ok()) else { return false };
        pid = parent;
    }
    false
}

/// Removes what killed builds left.
fn sweep(parent: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(parent).map_err(Error::file("read", parent))? {
        let entry = entry.map_err(Error::file("read", parent))?;
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(of_process) else { continue };
        if Path::new("/proc").join(pid.to_string()).exists() {
            continue;
        }
        match fs::remove_dir(entry.path()) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(Error::file("remove the control group", &entry.path()))?,
        }
    }
    Ok(())
}

/// The process that made the group of this name.
fn of_process(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_become_files_of_the_group() {
        let none = Shared::default();
        let rows = [
            (none.clone(), vec![]),
            (Shared { memory: Some(1 << 20), ..none.clone() }, vec![("memory.max", "1048576")]),
            (
                Shared { memory: Some(4096), swap: Some(Some(0)), ..none.clone() },
                vec![("memory.max", "4096"), ("memory.swap.max", "0")],
            ),
            (Shared { swap: Some(None), ..none.clone() }, vec![("memory.swap.max", "max")]),
            (Shared { cpu_quota: Some(50_000), ..none.clone() }, vec![("cpu.max", "50000 100000")]),
            (Shared { cpu_period: Some(10_000), ..none.clone() }, vec![("cpu.max", "max 10000")]),
            (Shared { cpu_shares: Some(1024), ..none.clone() }, vec![("cpu.weight", "39")]),
            (Shared { cpus: Some("0-1".to_owned()), ..none.clone() }, vec![("cpuset.cpus", "0-1")]),
        ];
        for (limits, want) in rows {
            let got = settings(&limits);
            let got: Vec<_> = got.iter().map(|setting| (setting.file, setting.value.as_str())).collect();
            assert_eq!(got, want, "{limits:?}");
        }
    }

    #[test]
    fn shares_become_weights() {
        for (shares, want) in [(0, 1), (2, 1), (1024, 39), (262_144, 10_000), (u64::MAX, 10_000)] {
            assert_eq!(weight(shares), want, "{shares}");
        }
    }

    #[test]
    fn a_group_names_its_process() {
        for (name, want) in
            [("rbuild-12-3", Some(12)), ("rbuild-12-itself", Some(12)), ("rbuild-x-1", None), ("user", None)]
        {
            assert_eq!(of_process(name), want, "{name}");
        }
    }
}
