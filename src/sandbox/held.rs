//! A root that the server holds for one step, and the clerk who answers for its owners.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rbuild_userns::caps::Capabilities;
use serde::{Deserialize, Serialize};

use super::Error;
use super::identity::{Clerk, Identity, People, Sets};
use crate::layer::Written;
use crate::rootfs::{self, Ids, Root};
use crate::runtime::Owners;

/// Whom a command begins as.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct First {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub capabilities: Vec<String>,
}

/// A mounted root.
pub(super) struct Held {
    root: Box<dyn Root>,
    people: Option<Arc<People>>,
    clerk: Option<Clerk>,
}

impl Held {
    /// Mounts a root that keeps these owners, or, where they are to be recorded, none if it cannot.
    pub(super) fn mount<E>(
        owners: Owners,
        mount: impl FnOnce(Ids) -> Result<Box<dyn Root>, E>,
    ) -> Result<Self, E> {
        let people = (owners == Owners::Recorded).then(|| Arc::new(People::new()));
        let ids = people.clone().map_or(Ids::Mapped, |people| Ids::Recorded(people));
        Ok(Self { root: mount(ids)?, people, clerk: None })
    }

    pub(super) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn owners(&self) -> Owners {
        match (&self.people, self.root.ownership()) {
            (None, _) => Owners::Mapped,
            (Some(_), Some(_)) => Owners::Recorded,
            (Some(_), None) => Owners::Root,
        }
    }

    /// From here on a clerk answers the calls that come in at `listener`.
    pub(super) fn record(&mut self, listener: OwnedFd, first: &First) -> Result<(), Error> {
        let owners = self.root.ownership().zip(self.people.clone());
        let (owners, people) =
            owners.ok_or_else(|| Error::Refused("this root records no owners".to_owned()))?;
        let bounding = Capabilities::parse(&first.capabilities)?.bits();
        let held = if first.uid == 0 { Sets::full(bounding) } else { Sets::bounded(bounding) };
        let identity = Identity::new(first.uid, first.gid, &first.groups, held);
        self.clerk = Some(Clerk::start(listener, owners, people, identity)?);
        Ok(())
    }

    pub(super) fn freeze(self, tar: File, ignore: &[PathBuf]) -> Result<Written, Fault> {
        Self::end(self.clerk)?;
        Ok(self.root.freeze(tar, ignore)?)
    }

    pub(super) fn discard(self) -> Result<(), Fault> {
        let ended = Self::end(self.clerk);
        self.root.discard()?;
        ended
    }

    fn end(clerk: Option<Clerk>) -> Result<(), Fault> {
        Ok(clerk.map_or(Ok(()), Clerk::end)?)
    }
}

/// What goes wrong at the end of a step.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// With its root.
    #[error(transparent)]
    Root(#[from] rootfs::Error),
    /// With its clerk.
    #[error(transparent)]
    Clerk(#[from] Error),
}
