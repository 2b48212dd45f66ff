//! The companion: a reader of the device that keeps to the CPU of its caller (see [`super::turns`]).

use std::fmt::Display;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use rbuild_userns::mount::{Attributes, Tree};
use rustix::fs::{Mode, OFlags, openat};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::device::{Reader, pending};
use super::filesystem::Filesystem;
use super::session::Shared;
use super::turns::Seat;
use super::{Error, refused};

/// How many requests of one caller, and of different ones, between two looks at where it runs.
const LOOK: u32 = 32;
const LOOK_AT_ANOTHER: u32 = 8;

/// How many requests between two looks at whether one more waits.
const CROWD: u32 = 8;

/// Fields of `/proc/PID/stat`, counted behind the name (`proc_pid_stat(5)` counts two more and begins with 1).
const STATE: usize = 0;
/// The CPU last run on.
const PROCESSOR: usize = 36;

/// A `proc` of this process's pid namespace: the one whose numbers requests bear, if this process has mounted the file
/// system.
#[derive(Clone, Debug)]
pub struct Processes(Arc<OwnedFd>);

impl Processes {
    /// Errors where `/proc` is of another pid namespace, and a new one is refused.
    pub fn new() -> Result<Self, Error> {
        let own = std::process::id().to_string();
        let fits = std::fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == own.as_str());
        let proc = if fits {
            File::open("/proc").map_err(refused("open /proc"))?.into()
        } else {
            let attributes = Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NODEV;
            let new = Tree::new("proc", &[], attributes)?;
            new.as_fd().try_clone_to_owned().map_err(refused("duplicate a proc"))?
        };
        Ok(Self(Arc::new(proc)))
    }

    /// Where the process or thread runs or has run. `None`: it is gone.
    fn cpu_of(&self, id: u32) -> Option<usize> {
        let cpu = field(&self.stat(id)?, PROCESSOR)?.parse().ok()?;
        (cpu < CpuSet::MAX_CPU).then_some(cpu)
    }

    /// Whether the thread runs or would run if there were a CPU for it.
    pub fn wants_cpu(&self, id: i32) -> bool {
        self.stat(id).is_some_and(|stat| field(&stat, STATE) == Some("R"))
    }

    fn stat(&self, id: impl Display) -> Option<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(self.0.as_fd(), format!("{id}/stat"), flags, Mode::empty()).ok()?;
        let mut stat = Vec::with_capacity(512);
        File::from(file).read_to_end(&mut stat).ok()?;
        Some(stat)
    }
}

/// A field of `/proc/PID/stat`, counted behind the process's name: that one, in parentheses, may hold anything.
fn field(stat: &[u8], number: usize) -> Option<&str> {
    let name_ends = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(&stat[name_ends + 1..]).ok()?;
    fields.split_ascii_whitespace().nth(number)
}

/// What keeps a companion on the CPU of its callers.
#[derive(Debug)]
pub struct Callers {
    processes: Processes,
    last: u32,
    /// Requests since the last look.
    since: u32,
    here: Option<usize>,
}

impl Callers {
    pub fn new(processes: Processes) -> Self {
        Self { processes, last: 0, since: 0, here: None }
    }

    /// Goes where the caller is. Not at every request, and not where we may not run: it is only a matter of speed.
    fn follow(&mut self, caller: u32) {
        self.since += 1;
        let often = if caller == self.last { LOOK } else { LOOK_AT_ANOTHER };
        if caller == 0 || self.since < often && self.here.is_some() {
            return;
        }
        (self.last, self.since) = (caller, 0);
        let Some(cpu) = self.processes.cpu_of(caller) else { return };
        if self.here != Some(cpu) {
            let mut there = CpuSet::new();
            there.set(cpu);
            self.here = sched_setaffinity(None, &there).is_ok().then_some(cpu);
        }
    }
}

/// Answers in its turns until the file system is unmounted, on a thread that has given way.
pub fn serve<F: Filesystem>(
    shared: &Shared<F>,
    device: &File,
    mut seat: Seat,
    mut callers: Callers,
) -> Result<(), Error> {
    let mut reader = Reader::new(device);
    let mut until_look = CROWD;
    while seat.await_turn() {
        let Some(request) = reader.read()? else { return Ok(()) };
        until_look = until_look.checked_sub(1).unwrap_or(CROWD);
        let crowded = (until_look == 0).then(|| pending(device));
        seat.answer(crowded, || {
            callers.follow(request.header.caller.pid);
            reader.answer(shared, &request)
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{PROCESSOR, STATE, field};

    #[test]
    fn fields_behind_the_name() {
        let fields = (3..=52).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        for name in ["tar", "a) R 1 2", "", "\u{fe}"] {
            let stat = format!("7 ({name}) {fields}\n");
            let found = [STATE, PROCESSOR].map(|number| field(stat.as_bytes(), number));
            assert_eq!(found, [Some("3"), Some("39")], "{name:?}");
        }
        for stat in ["", "7 (tar", "7 (tar) R 1 2\n"] {
            assert_eq!(field(stat.as_bytes(), PROCESSOR), None, "{stat:?}");
        }
        let own = std::fs::read("/proc/thread-self/stat").unwrap();
        assert_eq!(field(&own, STATE), Some("R"), "{own:?}");
        assert!(field(&own, PROCESSOR).is_some_and(|cpu| cpu.parse::<u16>().is_ok()), "{own:?}");
    }
}
