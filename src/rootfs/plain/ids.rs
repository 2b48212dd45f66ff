//! Which owners a file can be given here.

use std::path::Path;

use rbuild_userns::idmap::{IdMap, InsideId};
use rustix::fs::{Gid, Uid};

use crate::rootfs::{Error, Named as _};

/// The ids of this user namespace.
pub(super) struct Ids {
    uids: IdMap,
    gids: IdMap,
}

impl Ids {
    /// Those of this process.
    pub(super) fn here() -> Result<Self, Error> {
        let map = |path: &Path| {
            let text = std::fs::read_to_string(path).named("read", path)?;
            IdMap::parse(&text).map_err(std::io::Error::other).named("read", path)
        };
        Ok(Self { uids: map("/proc/self/uid_map".as_ref())?, gids: map("/proc/self/gid_map".as_ref())? })
    }

    /// The user, if it has a place here.
    pub(super) fn user(&self, uid: u32) -> Option<Uid> {
        self.uids.to_host(InsideId(uid)).map(|_| Uid::from_raw(uid))
    }

    /// The group, if it has a place here.
    pub(super) fn group(&self, gid: u32) -> Option<Gid> {
        self.gids.to_host(InsideId(gid)).map(|_| Gid::from_raw(gid))
    }

    /// The mode for a file of that owner. A setuid bit whose owner has no place here would lend root's rights, which its
    /// file does not have; where root is the only user there is, it lends nothing, and stays to be seen.
    pub(super) fn mode(&self, mode: u32, uid: u32, gid: u32) -> u32 {
        let is_lent = |map: &IdMap, id| map.to_host(InsideId(id)).is_some() || map.len() == 1;
        let setuid = if is_lent(&self.uids, uid) { 0 } else { 0o4000 };
        let setgid = if is_lent(&self.gids, gid) { 0 } else { 0o2000 };
        mode & 0o7777 & !setuid & !setgid
    }
}
