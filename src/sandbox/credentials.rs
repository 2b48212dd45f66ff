//! Who the command is and what it may do.

use std::os::fd::{AsFd, BorrowedFd};

use rbuild_userns::caps::{self, Capabilities, Groups};
use rbuild_userns::seccomp::notify::{Handover, Scope};
use rbuild_userns::seccomp::{Action, Filter};
use rbuild_userns::{process, spawn};

use super::Error;
use crate::runtime::seccomp::{self, Machine};
use crate::runtime::{Confinement, ProcessSpec, RESOURCES, ResourceLimit, Seccomp, Security};

/// Takes on the command's credentials. The order matters: a filter may be installed without `no_new_privs` only by
/// who still has `CAP_SYS_ADMIN`, the bounding set is lowered by `CAP_SETPCAP`, and the user comes last but one, because
/// with it everything goes that is not kept.
pub(super) fn assume(process: &ProcessSpec, confinement: &Confinement, groups: Groups) -> Result<(), Error> {
    let capabilities = restrict(confinement)?;
    capabilities.bound()?;
    spawn::own_outputs(process.uid, process.gid)?;
    match &process.groups {
        Some(further) => caps::become_user(process.uid, process.gid, further, groups)?,
        None => caps::become_user(process.uid, process.gid, &[], Groups::Fixed)?,
    }
    if process.uid == 0 { capabilities } else { Capabilities::default() }.assume()?;
    // the kernel forgot it when the user changed
    process::die_with_parent()?;
    Ok(())
}

/// The same where one id is mapped: to the kernel the command stays root, and who it is otherwise gets recorded. From
/// here on the calls about it arrive at the listener, which `hand_over` passes on. What the profile refuses, stays refused:
/// to the kernel that answer is the stricter one.
pub(super) fn assume_recorded(
    confinement: &Confinement,
    scope: Scope,
    hand_over: &dyn Fn(BorrowedFd<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let listener = Handover::new(scope)?.install().map_err(Error::NotRecorded)?;
    hand_over(listener.as_fd())?;
    drop(listener);
    let capabilities = restrict(confinement)?;
    capabilities.bound()?;
    Ok(capabilities.assume()?)
}

/// Sets the limits and installs the filter. Returns the capabilities that are left.
fn restrict(confinement: &Confinement) -> Result<Capabilities, Error> {
    confinement.limits.resources.iter().try_for_each(limit)?;
    let security = &confinement.security;
    let capabilities = Capabilities::parse(&security.capabilities)?;
    if security.no_new_privileges {
        caps::forbid_new_privileges()?;
    }
    if let Some(filter) = filter(security, &capabilities)? {
        filter.install()?;
    }
    Ok(capabilities)
}

fn limit(limit: &ResourceLimit) -> Result<(), Error> {
    let ResourceLimit { resource: name, soft, hard } = limit;
    let unknown = || Error::Refused(format!("there is no limit {name:?}"));
    let (_, resource) = RESOURCES.iter().find(|(known, _)| known == name).ok_or_else(unknown)?;
    let new = rustix::process::Rlimit { current: *soft, maximum: *hard };
    rustix::process::setrlimit(*resource, new).map_err(Error::file("set the limit", name))
}

/// What is still to be done under the filter until the command runs.
const NEEDED: [&str; 8] =
    ["execve", "write", "close", "prctl", "capset", "setresuid", "setresgid", "setgroups"];

/// The filter of the step. One under which no command could start is refused here, where it can still be said why.
fn filter(security: &Security, capabilities: &Capabilities) -> Result<Option<Filter>, Error> {
    let filter = match &security.seccomp {
        Seccomp::Default => Filter::new(&seccomp::default_profile(Machine::host()), capabilities)?,
        Seccomp::Profile(profile) => Filter::new(profile, capabilities)?,
        Seccomp::Unconfined => return Ok(None),
    };
    for name in NEEDED {
        if let Some(answer) = filter.answer(name, [0; 6])
            && !matches!(answer, Action::Allow | Action::Log)
        {
            return Err(Error::Refused(format!(
                "the seccomp profile refuses {name}, without which no command starts"
            )));
        }
    }
    Ok(Some(filter))
}
