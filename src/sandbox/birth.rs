//! Birth: from an ordinary child process to the first process of the sandbox's namespaces.
//!
//! The command of a step may be root of a user namespace in which the invoking user is mapped, and it can name the
//! program that started it (`/proc/self/exe`). So that it cannot write to that file, init runs from a read-only mount.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rbuild_userns::caps::{self, Groups};
use rbuild_userns::mount::{Attributes, Depth, Setting, Tree};
use rbuild_userns::namespace::{Namespace, unshare};
use rbuild_userns::process::{self, Ended};
use rbuild_userns::{mount, spawn};

use super::{BROKEN, Error, INIT, PROGRAM, ROOTS, SCRATCH, STEPS};
use crate::runtime;
use crate::runtime::wire::{Birth, Channel, Users, in_words};

/// Returns when the sandbox is over, with its exit code.
pub(super) fn run(control: Channel) -> i32 {
    let init = match enter_namespaces(&control) {
        Ok(Started::Yes) => process::fork(|| report(&control, &become_init(&control))).map_err(Error::from),
        Ok(Started::CoordinatorGone) => return BROKEN,
        Err(error) => Err(error),
    };
    let init = match init {
        Ok(init) => init,
        Err(error) => return report(&control, &error),
    };
    // the end of the connection tells the coordinator that init is gone: nobody else may hold it open
    drop(control);
    match init.wait() {
        Ok(Ended::Code(code)) => code,
        Ok(Ended::Signal(signal)) => 128 + signal,
        Err(error) => {
            eprintln!("{}", in_words(&error));
            BROKEN
        }
    }
}

enum Started {
    Yes,
    CoordinatorGone,
}

fn enter_namespaces(control: &Channel) -> Result<Started, Error> {
    // a terminal's signals are for the coordinator, which then ends the sandbox in order
    rustix::process::setsid().map_err(Error::file("start a session in", "."))?;
    let Some(Birth::Begin(users, groups)) = control.receive()? else { return Ok(Started::CoordinatorGone) };
    match users {
        Users::New => unshare(&[Namespace::User, Namespace::Mount])?,
        Users::Kept => unshare(&[Namespace::Mount])?,
    }
    control.send(&Birth::Unshared, &[])?;
    let Some(Birth::Mapped) = control.receive()? else { return Ok(Started::CoordinatorGone) };
    caps::become_user(
        0,
        0,
        &[],
        match groups {
            runtime::Groups::Dropped => Groups::of_this_namespace()?,
            runtime::Groups::Kept => Groups::Fixed,
        },
    )?;
    process::leave_session_keyring()?;
    // whatever the user's is: everybody inside may read what is made here
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    mount::make_all_private()?;
    lay_out_scratch()?;
    unshare(&[Namespace::Pid])?;
    Ok(Started::Yes)
}

/// The sandbox's own tmpfs, with the read-only copy of this program. It never shows in a step: a copy of `/proc` leaves
/// it out.
fn lay_out_scratch() -> Result<(), Error> {
    let quiet = Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NODEV;
    let scratch = Tree::new("tmpfs", &[Setting::Text("mode", "0700")], quiet)?;
    let place = open_path(Path::new(SCRATCH))?;
    scratch.attach(place.as_fd())?;
    for dir in [ROOTS, STEPS] {
        std::fs::create_dir(dir).map_err(Error::file("create", dir))?;
    }
    let program = this_program()?;
    std::fs::File::create(PROGRAM).map_err(Error::file("create", PROGRAM))?;
    program.attach(open_path(Path::new(PROGRAM))?.as_fd())?;
    Ok(())
}

/// A read-only mount of the file this process runs.
///
/// The file has to be found by its name: `/proc/self/exe` leads to the mount namespace that this process has left, and
/// mounts of another namespace cannot be copied.
fn this_program() -> Result<Tree, Error> {
    const EXE: &str = "/proc/self/exe";
    let name = std::fs::read_link(EXE).map_err(Error::file("read link", EXE))?;
    let running = std::fs::metadata(EXE).map_err(Error::file("stat", EXE))?;
    let program = Tree::copy_of(&name, Depth::One).map_err(|_| Error::Replaced(name.clone()))?;
    let found = rustix::fs::fstat(&program).map_err(Error::file("stat", &name))?;
    if (found.st_dev, found.st_ino) != (running.dev(), running.ino()) {
        return Err(Error::Replaced(name));
    }
    program.restrict(Attributes::MOUNT_ATTR_RDONLY | Attributes::MOUNT_ATTR_NOSUID, Depth::One)?;
    Ok(program)
}

fn open_path(path: &Path) -> Result<std::os::fd::OwnedFd, Error> {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(Error::file("open", path))
}

/// In the child: starts the program anew. Returns only why it could not.
fn become_init(control: &Channel) -> Error {
    let start = || -> Result<std::convert::Infallible, Error> {
        process::die_with_parent()?;
        let error = std::io::stderr();
        let null = std::fs::File::open("/dev/null").map_err(Error::file("open", "/dev/null"))?;
        spawn::set_stdio(control.as_fd(), null.as_fd(), error.as_fd())?;
        let arguments = ["rbuild", crate::runtime::VERB, INIT].map(str::to_owned);
        let arguments = spawn::c_strings("argument", &arguments)?;
        let program = CString::new(PROGRAM).expect("a constant without NUL");
        let source = spawn::execute(&program, &arguments, &[]);
        Err(Error::File { verb: "execute", path: PROGRAM.into(), source })
    };
    match start() {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

/// Tells the coordinator why there will be no sandbox.
fn report(control: &Channel, error: &Error) -> i32 {
    if let Err(unheard) = control.send(&Birth::Failed(in_words(error)), &[]) {
        eprintln!("{}; and {}", in_words(error), in_words(&unheard));
    }
    BROKEN
}
