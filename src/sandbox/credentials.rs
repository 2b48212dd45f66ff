//! Who the command is and what it may do.

use std::os::fd::{AsFd, BorrowedFd};

use rbuild_userns::caps::{self, Capabilities, Groups};
use rbuild_userns::seccomp::notify::Handover;
use rbuild_userns::seccomp::{Action, Filter};
use rbuild_userns::{process, spawn};

use super::Error;
use crate::runtime::seccomp::{self, Machine};
use crate::runtime::{ProcessSpec, Seccomp, Security};

/// Takes on the command's credentials. The order matters: a filter may be installed without `no_new_privs` only by
/// who still has `CAP_SYS_ADMIN`, the bounding set is lowered by `CAP_SETPCAP`, and the user comes last but one, because
/// with it everything goes that is not kept.
pub(super) fn assume(process: &ProcessSpec, security: &Security, groups: Groups) -> Result<(), Error> {
    let capabilities = restrict(security)?;
    capabilities.bound()?;
    spawn::own_outputs(process.uid, process.gid)?;
    caps::become_user(process.uid, process.gid, &process.groups, groups)?;
    if process.uid == 0 { capabilities } else { Capabilities::default() }.assume()?;
    // the kernel forgot it when the user changed
    process::die_with_parent()?;
    Ok(())
}

/// The same where one id is mapped: to the kernel the command stays root, and who it is otherwise gets recorded. From
/// here on the calls about it arrive at the listener, which `hand_over` passes on. What the profile refuses, stays refused:
/// to the kernel that answer is the stricter one.
pub(super) fn assume_recorded(
    security: &Security,
    hand_over: &dyn Fn(BorrowedFd<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let listener = Handover::new()?.install().map_err(Error::NotRecorded)?;
    hand_over(listener.as_fd())?;
    drop(listener);
    let capabilities = restrict(security)?;
    capabilities.bound()?;
    Ok(capabilities.assume()?)
}

/// Installs the filter. Returns the capabilities that are left.
fn restrict(security: &Security) -> Result<Capabilities, Error> {
    let capabilities = Capabilities::parse(&security.capabilities)?;
    if security.no_new_privileges {
        caps::forbid_new_privileges()?;
    }
    if let Some(filter) = filter(security, &capabilities)? {
        filter.install()?;
    }
    Ok(capabilities)
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
