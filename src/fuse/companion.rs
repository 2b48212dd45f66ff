//! The companion: a reader of the device that keeps to the CPU of its caller (see [`super::turns`]).

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};

use rbuild_userns::mount::{Attributes, Tree};
use rustix::fs::{Mode, OFlags, openat};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::Error;
use super::device::{Reader, pending};
use super::filesystem::Filesystem;
use super::pace::{Pace, Sight};
use super::session::Shared;
use super::turns::{End, Turns};

/// How many requests of one caller, and of different ones, between two looks at where it runs.
const LOOK: u32 = 32;
const LOOK_AT_ANOTHER: u32 = 8;

/// How many requests between two looks at whether one more waits.
const CROWD: u32 = 8;

/// The field of `/proc/PID/stat` that is the CPU last run on, counted behind the name (proc_pid_stat(5): 39 of all).
const PROCESSOR: usize = 36;

/// Where callers run.
#[derive(Debug)]
pub struct Callers {
    /// A `proc` of the pid namespace whose numbers requests bear.
    processes: Tree,
    last: u32,
    /// Requests since the last look.
    since: u32,
    here: Option<usize>,
}

impl Callers {
    /// Of this process's pid namespace, which must be the one that mounted.
    ///
    /// Errors where this namespace may mount no `proc`.
    pub fn new() -> Result<Self, Error> {
        let attributes = Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NODEV;
        Ok(Self { processes: Tree::new("proc", &[], attributes)?, last: 0, since: 0, here: None })
    }

    /// Goes where the caller is. Not at every request, and not where we may not run: it is only a matter of speed.
    fn follow(&mut self, caller: u32) {
        self.since += 1;
        let often = if caller == self.last { LOOK } else { LOOK_AT_ANOTHER };
        if caller == 0 || self.since < often && self.here.is_some() {
            return;
        }
        (self.last, self.since) = (caller, 0);
        let Some(cpu) = self.cpu_of(caller) else { return };
        if self.here != Some(cpu) {
            let mut there = CpuSet::new();
            there.set(cpu);
            self.here = sched_setaffinity(None, &there).is_ok().then_some(cpu);
        }
    }

    /// `None`: it is gone.
    fn cpu_of(&self, process: u32) -> Option<usize> {
        let path = format!("{process}/stat");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file: OwnedFd = openat(self.processes.as_fd(), path, flags, Mode::empty()).ok()?;
        let mut stat = Vec::with_capacity(512);
        File::from(file).read_to_end(&mut stat).ok()?;
        processor(&stat)
    }
}

/// The CPU that a `/proc/PID/stat` names. The process's name, in parentheses, may hold anything.
fn processor(stat: &[u8]) -> Option<usize> {
    let name_ends = stat.iter().rposition(|byte| *byte == b')')?;
    let field =
        stat[name_ends + 1..].split(|byte| *byte == b' ').filter(|field| !field.is_empty()).nth(PROCESSOR)?;
    let cpu = std::str::from_utf8(field).ok()?.trim_end().parse().ok()?;
    (cpu < CpuSet::MAX_CPU).then_some(cpu)
}

/// Answers in its turns until the file system is unmounted. The calling thread runs from then on only where nobody else
/// wants to.
pub fn serve<F: Filesystem>(
    shared: &Shared<F>,
    device: &File,
    turns: &Turns,
    mut callers: Callers,
) -> Result<(), Error> {
    let mut reader = Reader::new(device);
    let mut pace = Pace::new();
    let mut until_look = CROWD;
    while turns.await_companion() {
        let Some(request) = reader.read()? else { return Ok(()) };
        until_look -= 1;
        let crowded = (until_look == 0).then(|| pending(device));
        if crowded.is_some() {
            until_look = CROWD;
        }
        let bytes = turns.by_companion(|| {
            callers.follow(request.header.caller.pid);
            reader.answer(shared, &request)
        })?;
        if pace.count(bytes, crowded) == Some(Sight::Crowd) {
            turns.pass_to_crew(End::Crowd);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::processor;

    #[test]
    fn the_cpu_of_a_process() {
        let fields = (3..=52).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        for (name, expected) in [("tar", Some(39)), ("a) R 1 2", Some(39)), ("", Some(39))] {
            assert_eq!(processor(format!("7 ({name}) {fields}\n").as_bytes()), expected, "{name:?}");
        }
        for stat in ["", "7 (tar", "7 (tar) R 1 2\n", &format!("7 (tar) {}", fields.replace("39", "x"))] {
            assert_eq!(processor(stat.as_bytes()), None, "{stat:?}");
        }
        let own = std::fs::read("/proc/self/stat").unwrap();
        assert!(processor(&own).is_some_and(|cpu| cpu < 4096), "{own:?}");
    }
}
