//! `rbuild unshare`.

use std::env;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::failure::Failure;
use super::{Global, environment};
use crate::runtime;

/// Tells the number of the process that an `unshare` became.
const SHELL: &str = "RBUILD_UNSHARED_PID";

/// Run a command as root of a user namespace, with the ids that steps have, and with mounts of its own
#[derive(clap::Args)]
pub(super) struct Args {
    /// Mount a container, and tell the command where in this variable [default: called like the container]
    #[arg(short, long, value_name = "[NAME=]CONTAINER")]
    mount: Vec<String>,
    /// The command and its arguments [default: `$SHELL`, else `/bin/sh`]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// The process that the `unshare` around this one became.
pub(super) fn shell() -> Option<i32> {
    env::var(SHELL).ok()?.parse().ok()
}

/// Becomes the command; returns only if it cannot. Must be called while there is one thread.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    let root = match &global.root {
        Some(root) => root.clone(),
        None => environment::store_root()?,
    };
    let root =
        std::path::absolute(&root).map_err(|why| Failure::new(format!("{}: {why}", root.display())))?;
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    runtime::enter(&global.sandbox())?;
    let command = match &args.command[..] {
        [] => {
            let shell = env::var_os("SHELL").filter(|shell| !shell.is_empty());
            vec![shell.unwrap_or_else(|| "/bin/sh".into())]
        }
        command => command.iter().map(Into::into).collect(),
    };
    let mut program = Command::new(&command[0]);
    program
        .args(&command[1..])
        .env("RBUILD_ROOT", &root)
        .env(environment::ROOTFS, global.rootfs.to_string())
        .env(SHELL, std::process::id().to_string())
        // what other programs of the field look for
        .env("_CONTAINERS_USERNS_CONFIGURED", "done")
        .env("_CONTAINERS_ROOTLESS_UID", uid.as_raw().to_string())
        .env("_CONTAINERS_ROOTLESS_GID", gid.as_raw().to_string());
    for wanted in &args.mount {
        let (name, container) = wanted.split_once('=').unwrap_or((wanted, wanted));
        program.env(name, mounted(container, &root, global)?);
    }
    let why = program.exec();
    let code = if why.kind() == ErrorKind::NotFound { 127 } else { 126 };
    Err(Failure::new(format!("{}: {why}", command[0].display())).code(code))
}

/// Has `rbuild mount` do it, which says itself what goes wrong.
fn mounted(container: &str, root: &std::path::Path, global: &Global) -> Result<PathBuf, Failure> {
    let done = Command::new("/proc/self/exe")
        .arg("--root")
        .arg(root)
        .args(["--rootfs", &global.rootfs.to_string(), "mount", "--", container])
        .env(SHELL, std::process::id().to_string())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|why| Failure::new(format!("mount {container}: {why}")))?;
    let path = String::from_utf8_lossy(&done.stdout).trim_end().to_owned();
    if done.status.success() {
        Ok(path.into())
    } else {
        Err(Failure::new(format!("{container} is not mounted")))
    }
}
