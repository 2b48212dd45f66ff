//! `rbuild mount`, and the hidden verb of the process that answers for what is mounted.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, PidfdFlags};

use super::failure::Failure;
use super::{Context, output, unshare};
use crate::container::{self, Serve};
use crate::store::Store;

/// The hidden verb.
pub(super) const SERVER: &str = "__mounted";

/// Mount the root of working containers and print where; without a name, list those that are mounted
///
/// Root may do this anywhere; others inside `rbuild unshare`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// As always: nothing is cut
    #[arg(long, hide = true)]
    notruncate: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Answers for a container that is mounted, until it is mounted no longer.
#[derive(clap::Args)]
pub(super) struct ServerArgs {
    /// Whose end is the mount's
    #[arg(long)]
    owner: Option<i32>,
    container: String,
}

#[derive(serde::Serialize)]
struct Shown {
    container: String,
    #[serde(rename = "mountPoint")]
    mount_point: PathBuf,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    let shown = if args.containers.is_empty() { list(&store)? } else { mount_all(args, &store, context)? };
    if args.json {
        let text = serde_json::to_string_pretty(&shown).map_err(Failure::new)?;
        return output::line(text);
    }
    match (&args.containers[..], &shown[..]) {
        ([_], [one]) => output::line(one.mount_point.display()),
        _ => shown
            .iter()
            .try_for_each(|one| output::line(format!("{} {}", one.container, one.mount_point.display()))),
    }
}

fn list(store: &Store) -> Result<Vec<Shown>, Failure> {
    let mut shown = Vec::new();
    for container in container::list(store).map_err(|error| Failure::of_container(&error))? {
        let mount = container::mounted(&container).map_err(|error| Failure::of_container(&error))?;
        shown.extend(
            mount.map(|mount| Shown { container: container.name.clone(), mount_point: mount.path.clone() }),
        );
    }
    Ok(shown)
}

fn mount_all(args: &Args, store: &Store, context: &Context) -> Result<Vec<Shown>, Failure> {
    if !rustix::process::geteuid().is_root() {
        let words = args.containers.join(" ");
        return Err(Failure::new("only root can mount, or who is root of a namespace of their own")
            .hint(format!("rbuild unshare rbuild mount {words}, or rbuild unshare for a shell to work in")));
    }
    let shown = args.containers.iter().map(|name| {
        let mount_point = mount(name, store.root(), context)?;
        Ok(Shown { container: name.clone(), mount_point })
    });
    shown.collect()
}

/// Starts a server and waits until it tells where.
fn mount(name: &str, root: &Path, context: &Context) -> Result<PathBuf, Failure> {
    let failed = |why: io::Error| Failure::new(format!("start the server of the mount: {why}"));
    let mut command = Command::new("/proc/self/exe");
    command.arg("--root").arg(root).args(["--rootfs", &context.global.rootfs.to_string(), SERVER]);
    if let Some(owner) = unshare::shell() {
        command.args(["--owner", &owner.to_string()]);
    }
    let mut server = command
        .args(["--", name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut told = Vec::new();
    server.stdout.take().expect("it is piped").read_to_end(&mut told).map_err(failed)?;
    if let Some(path) = told.strip_suffix(b"\n") {
        return Ok(PathBuf::from(std::ffi::OsStr::from_bytes(path)));
    }
    let mut why = String::new();
    server.stderr.take().expect("it is piped").read_to_string(&mut why).map_err(failed)?;
    server.wait().map_err(failed)?;
    let (message, hint) = why.trim_end().split_once("\nhint: ").unwrap_or((why.trim_end(), ""));
    let failure = Failure::new(message.strip_prefix("Error: ").unwrap_or(message));
    Err(if hint.is_empty() { failure } else { failure.hint(hint) })
}

/// The hidden verb. It is in no session and no directory of the caller's, so that neither waits for it.
pub(super) fn serve(args: &ServerArgs, context: &Context) -> Result<(), Failure> {
    let failed = |what: &'static str| move |why: io::Error| Failure::new(format!("{what}: {why}"));
    rustix::process::setsid().map_err(|errno| failed("setsid")(errno.into()))?;
    let store = context.store()?;
    rustix::process::chdir("/").map_err(|errno| failed("/")(errno.into()))?;
    let (stop, stopped) = io::pipe().map_err(failed("pipe"))?;
    let mut stopped = Some(stopped);
    rbuild_userns::interrupt::watch(move |_| drop(stopped.take())).map_err(failed("signals"))?;
    let owner = args.owner.and_then(Pid::from_raw);
    let owner = owner.map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
    let owner = owner.transpose().map_err(|errno| failed("whoever the mount is for")(errno.into()))?;
    let wanted = Serve {
        store: &store,
        container: &args.container,
        rootfs: context.global.rootfs,
        owner: owner.as_ref().map(|owner| owner.as_fd()),
        stop: stop.as_fd(),
    };
    container::serve(&wanted, &mut tell).map_err(|error| Failure::of_container(&error))
}

/// Says where, and that there is no more to come.
fn tell(path: &Path) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(path.as_os_str().as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()?;
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rbuild_userns::spawn::set_stdio(null.as_fd(), null.as_fd(), null.as_fd()).map_err(io::Error::other)
}
