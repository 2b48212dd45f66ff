//! A root that the server holds for one step, and the clerk who answers for its owners.

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rbuild_userns::caps::Capabilities;
use rbuild_userns::status::{Status, Wanted};
use rustix::fs::AtFlags;
use serde::{Deserialize, Serialize};

use super::Error;
use super::identity::{Clerk, Identity, People, Recorded, Sets};
use crate::layer::Written;
use crate::rootfs::trace::{self, Trace};
use crate::rootfs::{self, Files, Ids, Ownership, Root};
use crate::runtime::{Owners, Traced};

/// Whom a command begins as.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct First {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub capabilities: Vec<String>,
    /// Whose files of other mounts are at first.
    pub owned: Vec<Owned>,
}

/// A file that was made for the step, and whose it is to be.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Owned {
    pub device: u64,
    pub number: u64,
    pub born: (i64, u32),
    pub uid: u32,
    pub gid: u32,
}

impl Owned {
    /// What `file`, called `name`, is to the kernel.
    pub(super) fn of(file: BorrowedFd<'_>, name: &Path, (uid, gid): (u32, u32)) -> Result<Self, Error> {
        let status = Status::of(file, c"", AtFlags::EMPTY_PATH.bits(), Wanted::BORN);
        let status = status.map_err(Error::file("stat", name))?;
        Ok(Self { device: status.device(), number: status.number(), born: status.born(), uid, gid })
    }
}

/// Who keeps the owners of a root's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum KeptBy {
    /// The kernel, which has all of them.
    Kernel,
    /// The server of the root, which makes its files. A clerk tells it of changes.
    Server,
    /// A clerk alone, who has to hear of every new file.
    Clerk,
}

/// A mounted root.
pub(super) struct Held {
    root: Box<dyn Root>,
    /// Hears of what the step looks at.
    trace: Option<Arc<Trace>>,
    people: Option<Arc<People>>,
    clerk: Option<Clerk>,
}

impl Held {
    /// Mounts a root that keeps these owners, or, where they are to be recorded, none if it cannot. `people`: who works in
    /// the root that it is beside.
    pub(super) fn mount<E>(
        owners: Owners,
        people: Option<&Arc<People>>,
        trace: Option<Arc<Trace>>,
        mount: impl FnOnce(Ids) -> Result<Box<dyn Root>, E>,
    ) -> Result<Self, E> {
        let people =
            (owners == Owners::Recorded).then(|| people.cloned().unwrap_or_else(|| Arc::new(People::new())));
        let ids = people.clone().map_or(Ids::Mapped, |people| Ids::Recorded(people));
        Ok(Self { root: mount(ids)?, trace, people, clerk: None })
    }

    pub(super) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn people(&self) -> Option<Arc<People>> {
        self.people.clone()
    }

    pub(super) fn ownership(&self) -> Option<Arc<dyn Ownership>> {
        self.root.ownership()
    }

    pub(super) fn owners(&self) -> KeptBy {
        match self.root.ownership().as_deref().map(Ownership::files) {
            None => KeptBy::Kernel,
            Some(Files::Served(_)) => KeptBy::Server,
            Some(Files::Registered(_)) => KeptBy::Clerk,
        }
    }

    /// From here on a clerk answers the calls that come in at `listener`, also for the roots `beside`.
    pub(super) fn record(
        &mut self,
        listener: OwnedFd,
        beside: Vec<Arc<dyn Ownership>>,
        first: &First,
    ) -> Result<(), Error> {
        let owners = self.root.ownership().zip(self.people.clone());
        let (root, people) =
            owners.ok_or_else(|| Error::Refused("this root records no owners".to_owned()))?;
        let owners = Recorded::of(root, beside, &first.owned);
        let bounding = Capabilities::parse(&first.capabilities)?.bits();
        let held = if first.uid == 0 { Sets::full(bounding) } else { Sets::bounded(bounding) };
        let identity = Identity::new(first.uid, first.gid, &first.groups, held);
        self.clerk = Some(Clerk::start(listener, owners, people, identity)?);
        Ok(())
    }

    /// From here on nobody answers.
    pub(super) fn end_clerk(&mut self) -> Result<(), Fault> {
        Ok(self.clerk.take().map_or(Ok(()), Clerk::end)?)
    }

    /// The layer, and what the step looked at, what went into the layer included.
    pub(super) fn freeze(
        mut self,
        tar: File,
        ignore: &[PathBuf],
    ) -> Result<(Written, Option<Traced>), Fault> {
        self.end_clerk()?;
        let written = self.root.freeze(tar, ignore)?;
        let traced = self.trace.map(|trace| match trace.glances() {
            Ok(glances) => Traced::Seen(trace::encode(&glances)),
            Err(why) => Traced::Lost(why.to_string()),
        });
        Ok((written, traced))
    }

    pub(super) fn discard(mut self) -> Result<(), Fault> {
        let ended = self.end_clerk();
        self.root.discard()?;
        ended
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
