//! Shows the plan for `auto` or one mode, and maps a child cloned with `CLONE_NEWUSER` by it:
//! `cargo run -p rbuild-userns --example idmap -- [MODE] [COMMAND...]`.

use std::error::Error;
use std::io::{Read, Write, pipe};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::sched::{CloneFlags, clone};
use rbuild_userns::idmap::{Choice, plan};
use rustix::process::Pid;

const LOOK: &str = "id; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; \
    touch /tmp/$$ && chown 33:44 /tmp/$$; stat -c 'owner %u:%g' /tmp/$$; rm /tmp/$$";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let choice: Choice = arguments.next().as_deref().unwrap_or("auto").parse()?;
    let mut command: Vec<String> = arguments.collect();
    if command.is_empty() {
        command = ["sh", "-c", LOOK].map(str::to_owned).to_vec();
    }
    let plan = plan(choice)?;
    for (mode, why) in &plan.passed_over {
        println!("not {mode}: {why}");
    }
    println!("taken: {}", plan.mode);

    let (mut wait, mut go) = pipe()?;
    let mut stack = vec![0; 1 << 20];
    let flags = if plan.needs_user_namespace() { CloneFlags::CLONE_NEWUSER } else { CloneFlags::empty() };
    let child = Box::new(|| {
        // One byte says that the maps are written.
        if wait.read_exact(&mut [0]).is_err() {
            return 125;
        }
        eprintln!("{}", Command::new(&command[0]).args(&command[1..]).exec());
        126
    });
    // SAFETY: this process has one thread, so that the child may allocate and lock.
    let child = unsafe { clone(child, &mut stack, flags, Some(libc::SIGCHLD)) }?;
    let applied = plan.apply(Pid::from_raw(child.as_raw()).ok_or("no pid")?);
    if let Err(error) = applied {
        nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL)?;
        return Err(error.into());
    }
    go.write_all(b".")?;
    println!("{:?}", nix::sys::wait::waitpid(child, None)?);
    Ok(ExitCode::SUCCESS)
}
