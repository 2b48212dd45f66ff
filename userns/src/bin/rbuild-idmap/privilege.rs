//! What this program keeps of its privileges, and what a child of it gets.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, set_capabilities, set_no_new_privs,
};

use crate::Failure;

/// Drops all but `CAP_SETUID` and `CAP_SETGID`; root also keeps `CAP_SETFCAP`, without which the kernel
/// lets nobody map host id 0. Then nothing that runs from here on can gain any.
pub fn keep_setid_only() -> Result<(), Failure> {
    let keep = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::SETFCAP;
    let drop = || {
        let held = capabilities(None)?.permitted & keep;
        let inheritable = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: held, permitted: held, inheritable })?;
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        set_no_new_privs(true)
    };
    drop().map_err(|errno| Failure::system("drop privileges", errno))
}

/// Runs `ask`, which may start `getsubids`, so that the caller cannot put words into that child's mouth.
///
/// The child would run as the caller with no privileges, and the caller may trace such a process and
/// write its answer. With one capability that the caller lacks (an ambient one, kept by `execve`) the
/// kernel refuses: `ptrace(2)` wants all the target's capabilities.
pub fn lend_to_child<T>(ask: impl FnOnce() -> T) -> Result<T, Failure> {
    let failed = |errno| Failure::system("lend a capability", errno);
    let sets = capabilities(None).map_err(failed)?;
    if !sets.permitted.contains(CapabilitySet::SETGID) {
        return Ok(ask()); // Not installed with capabilities: it will not write any map either.
    }
    raise(sets).map_err(failed)?;
    let answer = ask();
    clear_ambient_capability_set().and_then(|()| set_capabilities(None, sets)).map_err(failed)?;
    Ok(answer)
}

fn raise(sets: CapabilitySets) -> Result<(), Errno> {
    set_capabilities(None, CapabilitySets { inheritable: CapabilitySet::SETGID, ..sets })?;
    configure_capability_in_ambient_set(CapabilitySet::SETGID, true)
}
