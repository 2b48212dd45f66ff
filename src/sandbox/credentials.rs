//! Who the command is and what it may do.

use rbuild_userns::caps::{self, Capabilities, Groups};
use rbuild_userns::seccomp::Filter;
use rbuild_userns::{process, spawn};

use super::Error;
use crate::runtime::{ProcessSpec, Seccomp, Security};

/// Takes on the command's credentials. The order matters: a filter may be installed without `no_new_privs` only by
/// who still has `CAP_SYS_ADMIN`, the bounding set is lowered by `CAP_SETPCAP`, and the user comes last but one, because
/// with it everything goes that is not kept.
pub(super) fn assume(process: &ProcessSpec, security: &Security, groups: Groups) -> Result<(), Error> {
    let capabilities = Capabilities::parse(&security.capabilities)?;
    if security.no_new_privileges {
        caps::forbid_new_privileges()?;
    }
    if security.seccomp == Seccomp::Default {
        Filter::default_profile(&capabilities)?.install()?;
    }
    capabilities.bound()?;
    spawn::own_outputs(process.uid, process.gid)?;
    caps::become_user(process.uid, process.gid, &process.groups, groups)?;
    if process.uid == 0 { capabilities } else { Capabilities::default() }.assume()?;
    // the kernel forgot it when the user changed
    process::die_with_parent()?;
    Ok(())
}
