//! Writing the maps of a child that waits for them.
//!
//! The child is ours and not yet reaped, so its number cannot have passed to another process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Pid;

use super::plan::Writer;
use super::tools::Shadow;
use super::{Error, IdMap, Plan};

impl Plan {
    /// Maps the ids of `child`, which was cloned with `CLONE_NEWUSER` by this process and waits.
    ///
    /// Does nothing under [`super::Mode::Root`]. On an error the child may be left half mapped: kill it.
    /// A helper that refuses is an [`Error::Refused`] with the helper's own words. The caller must not
    /// have `SIGCHLD` ignored nor another thread that waits for any child.
    pub fn apply(&self, child: Pid) -> Result<(), Error> {
        let proc = PathBuf::from(format!("/proc/{}", child.as_raw_nonzero()));
        match &self.writer {
            Writer::Nobody => Ok(()),
            Writer::Helper(program) => self.by_helper(program, proc),
            Writer::Shadow(Shadow { newuidmap, newgidmap }) => {
                let pid = child.as_raw_nonzero().to_string();
                run(shadow_command(newuidmap, &pid, &self.uids), newuidmap)?;
                run(shadow_command(newgidmap, &pid, &self.gids), newgidmap)
            }
            Writer::Ourselves => {
                write(proc.join("uid_map"), self.uids.to_string())?;
                // Without it the kernel does not let an unprivileged process map its group: whoever may
                // drop groups may pass a permission that is *denied* to one of them.
                write(proc.join("setgroups"), "deny".to_owned())?;
                write(proc.join("gid_map"), self.gids.to_string())
            }
        }
    }

    /// The helper takes the process by a descriptor, as its standard input: no number, no race.
    fn by_helper(&self, program: &Path, proc: PathBuf) -> Result<(), Error> {
        let target = File::open(&proc).map_err(|source| Error::Open { path: proc, source })?;
        let mut command = Command::new(program);
        command.args(["0", &self.uids.to_string(), &self.gids.to_string()]).stdin(target);
        run(command, program)
    }
}

fn shadow_command(program: &Path, pid: &str, map: &IdMap) -> Command {
    let mut command = Command::new(program);
    command.arg(pid).stdin(Stdio::null());
    for extent in map.extents() {
        command.args([extent.inside, extent.host, extent.len].map(|number| number.to_string()));
    }
    command
}

fn run(mut command: Command, program: &Path) -> Result<(), Error> {
    let output =
        command.env_clear().output().map_err(|source| Error::Run { program: program.to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let name = program.file_name().unwrap_or_default().display().to_string();
    let message = stderr.trim().trim_start_matches(&format!("{name}: ")).to_owned();
    Err(Error::Refused { program: program.to_owned(), message, status: output.status })
}

/// One write: the kernel takes a map whole or not at all.
fn write(path: PathBuf, text: String) -> Result<(), Error> {
    fs::write(&path, &text).map_err(|source| Error::Write { path, text, source })
}
