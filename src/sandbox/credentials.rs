//! Who the command is and what it may do.

use rbuild_userns::caps::{self, Capabilities, Groups};
use rbuild_userns::seccomp::{Action, Filter};
use rbuild_userns::{process, spawn};

use super::Error;
use crate::runtime::seccomp::{self, Machine};
use crate::runtime::{ProcessSpec, Seccomp, Security};

/// Takes on the command's credentials. The order matters: a filter may be installed without `no_new_privs` only by
/// who still has `CAP_SYS_ADMIN`, the bounding set is lowered by `CAP_SETPCAP`, and the user comes last but one, because
/// with it everything goes that is not kept.
pub(super) fn assume(process: &ProcessSpec, security: &Security, groups: Groups) -> Result<(), Error> {
    let capabilities = Capabilities::parse(&security.capabilities)?;
    if security.no_new_privileges {
        caps::forbid_new_privileges()?;
    }
    if let Some(filter) = filter(security, &capabilities)? {
        filter.install()?;
    }
    capabilities.bound()?;
    spawn::own_outputs(process.uid, process.gid)?;
    caps::become_user(process.uid, process.gid, &process.groups, groups)?;
    if process.uid == 0 { capabilities } else { Capabilities::default() }.assume()?;
    // the kernel forgot it when the user changed
    process::die_with_parent()?;
    Ok(())
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
