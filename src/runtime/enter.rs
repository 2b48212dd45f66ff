//! Becoming what a sandbox is: root of a user namespace, with mounts of its own. For a person who wants to work there.

use std::io::{Read as _, Write as _};

use rbuild_userns::caps::{self, Groups};
use rbuild_userns::idmap::{self, Mode};
use rbuild_userns::mount;
use rbuild_userns::namespace::{Namespace, unshare};
use rbuild_userns::process;

use super::wire::in_words;
use super::{Error, Options};

/// Makes this process root of a new user namespace, whose ids are mapped as a sandbox's are, and of a new mount namespace.
/// Whoever is root already only gets the mounts. This process must have one thread.
///
/// Errors with [`Error::Identity`] if the ids cannot be mapped, and with [`Error::Refused`] if whoever maps them says no;
/// this process is then of no further use.
pub fn enter(options: &Options) -> Result<Mode, Error> {
    let plan = idmap::plan(options.idmap)?;
    if !plan.needs_user_namespace() {
        unshare(&[Namespace::Mount])?;
        mount::make_all_private()?;
        return Ok(plan.mode);
    }
    // The map of a namespace is written from outside: a child stays there until it is done.
    let this = rustix::process::getpid();
    let (mut unshared, mut go) = std::io::pipe()?;
    let (mut verdict, mut tell) = std::io::pipe()?;
    let child = process::fork(|| {
        let mut is_unshared = [0];
        let mut map = || -> Result<(), Error> {
            process::die_with_parent()?;
            unshared.read_exact(&mut is_unshared)?;
            if is_unshared == [1] { Ok(plan.apply(this)?) } else { Ok(()) }
        };
        match map() {
            Ok(()) => 0,
            // should nobody listen, the exit code tells it
            Err(error) => i32::from(tell.write_all(in_words(&error).as_bytes()).is_err()) + 1,
        }
    })?;
    drop(tell);
    let is_unshared = unshare(&[Namespace::User, Namespace::Mount]);
    go.write_all(&[u8::from(is_unshared.is_ok())])?;
    is_unshared?;
    let mut refused = String::new();
    verdict.read_to_string(&mut refused)?;
    if child.wait()? != process::Ended::Code(0) {
        return Err(Error::Refused(format!("map the ids: {refused}")));
    }
    caps::become_user(0, 0, &[], Groups::of_this_namespace()?)?;
    mount::make_all_private()?;
    Ok(plan.mode)
}
