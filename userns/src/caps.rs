//! Credentials of a step: capabilities, user, groups.

use std::io;

use caps::{Capability, CapsHashSet};
use rustix::process::{Gid, Uid};

use crate::error::{Error, refused};

/// A set of capabilities, by name (capabilities(7)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(CapsHashSet);

impl Capabilities {
    /// Reads names such as `CAP_CHOWN`.
    ///
    /// Errors with [`Error::Capability`] at the first unknown name.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<Self, Error> {
        let parse = |name: &S| {
            name.as_ref().parse::<Capability>().map_err(|_| Error::Capability(name.as_ref().to_owned()))
        };
        names.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// The names of all there are, sorted.
    pub fn names() -> Vec<String> {
        let mut names: Vec<_> = caps::all().iter().map(ToString::to_string).collect();
        names.sort();
        names
    }

    /// The names of those that this process may use, or would have in a user namespace of its own.
    pub fn obtainable() -> Result<Vec<String>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::names());
        }
        let held = permitted()?;
        let mut names: Vec<_> = caps::all().into_iter().filter(|one| held & one.bitmask() != 0).collect();
        names.sort_by_key(ToString::to_string);
        Ok(names.iter().map(ToString::to_string).collect())
    }

    /// Whether `name` is in it.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|capability| capability.to_string() == name)
    }

    /// Takes every other capability out of the bounding set: no setuid or capable file of the image can bring it back.
    pub fn bound(&self) -> Result<(), Error> {
        for capability in caps::all() {
            if self.0.contains(&capability) {
                continue;
            }
            let bit = rustix::thread::CapabilitySet::from_bits_retain(capability.bitmask());
            match rustix::thread::remove_capability_from_bounding_set(bit) {
                // EINVAL: this kernel is older than the capability
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(errno) => {
                    return Err(refused(format!("drop {capability} from the bounding set"))(errno));
                }
            }
        }
        Ok(())
    }

    /// As the kernel's sets: one bit each.
    pub fn bits(&self) -> u64 {
        self.0.iter().fold(0, |bits, capability| bits | capability.bitmask())
    }

    /// Makes it the permitted and effective set of this process; nothing is inheritable or ambient.
    pub fn assume(&self) -> Result<(), Error> {
        let bits = self.bits();
        let held = permitted()?;
        if let Some(missing) = self.0.iter().find(|capability| held & capability.bitmask() == 0) {
            return Err(Error::NotHeld(missing.to_string()));
        }
        let sets = rustix::thread::CapabilitySets {
            effective: rustix::thread::CapabilitySet::from_bits_retain(bits),
            permitted: rustix::thread::CapabilitySet::from_bits_retain(bits),
            inheritable: rustix::thread::CapabilitySet::empty(),
        };
        rustix::thread::set_capabilities(None, sets).map_err(refused("capset"))?;
        rustix::thread::clear_ambient_capability_set().map_err(refused("clear the ambient capabilities"))
    }
}

fn permitted() -> Result<u64, Error> {
    let sets = rustix::thread::capabilities(None).map_err(refused("capget"))?;
    Ok(sets.permitted.bits())
}

/// Whether this user namespace has groups to set: where its id map has one id alone, `setgroups` is denied for good
/// (`user_namespaces(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    /// `setgroups` works.
    Settable,
    /// Every process keeps those it has.
    Fixed,
}

impl Groups {
    /// Asks `/proc`, which must be the kernel's own: inside a root that an image made it may be anything.
    pub fn of_this_namespace() -> Result<Self, Error> {
        match std::fs::read_to_string("/proc/self/setgroups") {
            Ok(text) if text.trim() == "deny" => Ok(Self::Fixed),
            Ok(_) => Ok(Self::Settable),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Settable),
            Err(error) => Err(refused("read /proc/self/setgroups")(error)),
        }
    }
}

/// Becomes a user, its group and its further groups. From a user other than 0 on, the kernel clears every effective
/// capability.
pub fn become_user(user: u32, group: u32, groups: &[u32], settable: Groups) -> Result<(), Error> {
    let gids: Vec<nix::unistd::Gid> = groups.iter().copied().map(nix::unistd::Gid::from_raw).collect();
    if settable == Groups::Settable {
        nix::unistd::setgroups(&gids).map_err(refused(format!("setgroups({groups:?})")))?;
    }
    let gid = Gid::from_raw(group);
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .map_err(refused(format!("become group {group} (an id that is not mapped cannot be taken: install uidmap or rbuild-idmap; rbuild info tells which ids are)")))?;
    let uid = Uid::from_raw(user);
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .map_err(refused(format!("become user {user} (an id that is not mapped cannot be taken: install uidmap or rbuild-idmap; rbuild info tells which ids are)")))
}

/// From here on no file gives this process or its children more rights than it has.
pub fn forbid_new_privileges() -> Result<(), Error> {
    rustix::thread::set_no_new_privs(true).map_err(refused("prctl(NO_NEW_PRIVS)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_or_named_in_the_error() {
        let set = Capabilities::parse(&["CAP_CHOWN", "CAP_SETFCAP"]).unwrap();
        for (name, want) in [("CAP_CHOWN", true), ("CAP_SETFCAP", true), ("CAP_SYS_ADMIN", false)] {
            assert_eq!(set.has(name), want, "{name}");
        }
        for bad in ["", "chown", "CAP_CHWON", "CAP_CHOWN "] {
            match Capabilities::parse(&["CAP_KILL", bad]) {
                Err(Error::Capability(name)) => assert_eq!(name, bad),
                other => panic!("{bad:?}: {other:?}"),
            }
        }
    }
}
