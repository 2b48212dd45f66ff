//! The server of a mounted root: a process that lives from `mount` to `umount`.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rbuild_userns::idmap::IdMap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::line::{self, Answer, Line};
use super::{Container, Error, Mount, State};
use crate::build::chain;
use crate::oci::DiffId;
use crate::rootfs::{self, Creators, Driver, Ids, Owner, Root, Stack};
use crate::runtime::RootfsChoice;
use crate::store::{self, LayerRecord, Live, Store};

/// How a root is shown.
pub struct Serve<'a> {
    /// Where the container is.
    pub store: &'a Store,
    /// Its name or id.
    pub container: &'a str,
    /// `Plain`, or else by FUSE, which every other choice stands for here; `Auto` takes `Plain` where there is no `/dev/fuse`.
    pub rootfs: RootfsChoice,
    /// Whoever it works for: a descriptor (pidfd) that becomes readable when that process is gone. A root by the `plain`
    /// driver, which everybody sees, outlives it.
    pub owner: Option<BorrowedFd<'a>>,
    /// Becomes readable when it is to stop.
    pub stop: BorrowedFd<'a>,
}

/// Every file that is made belongs to root: no other id is there to make one.
struct RootAlone;

impl Creators for RootAlone {
    fn owner(&self, _: u32) -> Owner {
        Owner { uid: 0, gid: 0 }
    }
}

/// The kernel's word on owners counts where it has more than one id.
fn ids() -> Result<Ids, Error> {
    const MAP: &str = "/proc/self/uid_map";
    let read = std::fs::read_to_string(MAP);
    let map = read.and_then(|text| IdMap::parse(&text).map_err(io::Error::other));
    let map = map.map_err(line::failed("read", MAP.as_ref()))?;
    Ok(if map.len() > 1 { Ids::Mapped } else { Ids::Recorded(Arc::new(RootAlone)) })
}

impl Serve<'_> {
    fn driver(&self) -> Driver {
        match self.rootfs {
            RootfsChoice::Plain => Driver::Plain,
            RootfsChoice::Auto if std::fs::metadata("/dev/fuse").is_err() => Driver::Plain,
            RootfsChoice::Auto | RootfsChoice::Kernel | RootfsChoice::Fuse => Driver::Fuse,
        }
    }
}

/// Shows the root of a container, tells `ready` where, and answers for it to the end. Where it is shown already, that is
/// told, and there is nothing to answer for.
///
/// Must run inside the user namespace and the mount namespace that are to see it, with the right to mount there.
pub fn serve(wanted: &Serve<'_>, ready: &mut dyn FnMut(&Path) -> io::Result<()>) -> Result<(), Error> {
    let held = wanted.store.hold_container(wanted.container, &|| false)?;
    let mut held = held.ok_or_else(|| Error::NotKnown(wanted.container.to_owned()))?;
    let container: &Container = held.container();
    if let Some(Mount { path, live, .. }) = super::mounted(container)? {
        if !is_shown_here(path, live) {
            return Err(Error::Mount(format!(
                "{} is mounted at {} of another mount namespace: unmount it first, or work there",
                container.name,
                path.display()
            )));
        }
        return ready(path).map_err(line::failed("tell of", path));
    }
    let mut state = container.state.clone();
    let live = wanted.store.lease_live()?;
    let layers = state.piece.image.rootfs.diff_ids.clone();
    let server = Server {
        wanted,
        id: container.id.clone(),
        root: make(wanted, live.path(), 0, &layers)?,
        layers,
        listener: line::listen(live.path())?,
        live,
        turn: 0,
    };
    let path = server.root.path().to_owned();
    let below = server.layers.len();
    state.mount = Some(Mount { path: path.clone(), live: server.live.path().to_owned(), below });
    let told = held.save(state).map_err(Error::from);
    drop(held);
    if let Err(error) = told.and_then(|()| ready(&path).map_err(line::failed("tell of", &path))) {
        server.end()?;
        return Err(error);
    }
    server.work()
}

struct Server<'a> {
    wanted: &'a Serve<'a>,
    id: String,
    root: Box<dyn Root>,
    /// What the root is made of, bottom first.
    layers: Vec<DiffId>,
    listener: UnixListener,
    live: Live,
    /// How many roots there have been.
    turn: u32,
}

/// What woke the server.
enum News {
    Line(UnixStream),
    End,
}

/// The mount point in the live directory.
const ROOT: &str = "root";

impl Server<'_> {
    fn work(mut self) -> Result<(), Error> {
        loop {
            match self.wait()? {
                News::Line(stream) => {
                    // A command that was killed has closed its line as well, and that is all there is to know of it.
                    drop(Line::answer(&stream, || self.changes()));
                    match self.shown_by_record()? {
                        Some(layers) if layers == self.layers => {}
                        Some(layers) => self = self.show_anew(layers)?,
                        None => return self.end(),
                    }
                }
                News::End => {
                    if self.take_leave()? {
                        return self.end();
                    }
                }
            }
        }
    }

    /// A command comes before the end: it may hold the container and wait.
    fn wait(&self) -> Result<News, Error> {
        let mut watched = vec![PollFd::new(&self.listener, PollFlags::IN)];
        let owner = self.wanted.owner.filter(|_| self.wanted.driver() != Driver::Plain);
        let ends = [Some(self.wanted.stop), owner].into_iter().flatten();
        watched.extend(ends.map(|end| PollFd::from_borrowed_fd(end, PollFlags::IN)));
        while let Err(errno) = poll(&mut watched, None) {
            if errno != Errno::INTR {
                return Err(line::failed("wait in", self.live.path())(errno.into()));
            }
        }
        // The end of a pipe is told as HUP.
        if watched[0].revents().is_empty() {
            return Ok(News::End);
        }
        let (stream, _) = self.listener.accept().map_err(line::failed("accept in", self.live.path()))?;
        Ok(News::Line(stream))
    }

    fn is_called(&self) -> bool {
        let mut watched = [PollFd::new(&self.listener, PollFlags::IN)];
        poll(&mut watched, Some(&Timespec::default())).is_ok_and(|count| count > 0)
    }

    fn changes(&self) -> Answer {
        self.snapshot().map_or_else(|error| Answer::Failed(chain(&error)), Answer::Layer)
    }

    fn snapshot(&self) -> Result<Option<LayerRecord>, Error> {
        let tar = self.wanted.store.tmp_file()?;
        let file = tar.file().try_clone().map_err(line::failed("write", tar.path()))?;
        let written = self.root.snapshot(file)?;
        if written.entries == 0 {
            return Ok(None);
        }
        Ok(Some(self.wanted.store.commit_layer(tar, &written)?))
    }

    /// The layers of which the record says that the root is made; `None`: it says nothing of this server.
    fn shown_by_record(&self) -> Result<Option<Vec<DiffId>>, Error> {
        let container: Option<Container> = self.wanted.store.find_container(&self.id)?;
        let Some(state) = container.map(|container| container.state) else { return Ok(None) };
        let mount = state.mount.filter(|mount| mount.live == self.live.path());
        Ok(mount.map(|mount| state.piece.image.rootfs.diff_ids[..mount.below].to_vec()))
    }

    /// Shows other layers at the same place. Whoever is in the old root still goes on there; nobody hears of it.
    fn show_anew(self, layers: Vec<DiffId>) -> Result<Self, Error> {
        let Self { wanted, id, root, layers: _, listener, live, turn } = self;
        hide(root)?;
        let root = make(wanted, live.path(), turn + 1, &layers)?;
        Ok(Self { wanted, id, root, layers, listener, live, turn: turn + 1 })
    }

    /// Takes up what was written, for nobody else will. `false`: a command has come first.
    fn take_leave(&self) -> Result<bool, Error> {
        let held = match self.wanted.store.hold_container::<State>(&self.id, &|| self.is_called()) {
            Err(store::Error::GaveUp(_)) => return Ok(false),
            held => held?,
        };
        let Some(mut held) = held else { return Ok(true) };
        let mut state = held.container().state.clone();
        if let Some(mount) = state.mount.take_if(|mount| mount.live == self.live.path()) {
            state.lay_over(&mount, self.snapshot()?);
            held.save(state)?;
        }
        Ok(true)
    }

    fn end(self) -> Result<(), Error> {
        hide(self.root)?;
        line::hang_up(self.live.path())?;
        // One that somebody still uses stays, and goes with the next start of a command.
        for turn in 0..=self.turn {
            std::fs::remove_dir(data(self.live.path(), self.wanted.driver(), turn)).unwrap_or_default();
        }
        Ok(self.live.close()?)
    }
}

/// The `turn`-th root in `live`. All are at the same place.
fn make(wanted: &Serve<'_>, live: &Path, turn: u32, layers: &[DiffId]) -> Result<Box<dyn Root>, Error> {
    let data = data(live, wanted.driver(), turn);
    std::fs::create_dir_all(&data).map_err(line::failed("make", &data))?;
    let layers = layers.iter().map(|diff_id| wanted.store.layer(diff_id)).collect::<Result<_, _>>()?;
    Ok(rootfs::show(Stack::new(layers), wanted.driver(), &live.join(ROOT), &data, ids()?)?)
}

/// What a root keeps. That of the `plain` driver is the root itself, and has one place; an old one of the `fuse` driver may
/// still be used when the next one is made.
fn data(live: &Path, driver: Driver, turn: u32) -> PathBuf {
    match driver {
        Driver::Plain => live.join("files"),
        Driver::Fuse | Driver::Kernel => live.join(turn.to_string()),
    }
}

fn hide(root: Box<dyn Root>) -> Result<(), Error> {
    match root.discard() {
        // What they do there was not asked for again.
        Err(rootfs::Error::Busy { .. }) => Ok(()),
        discarded => Ok(discarded?),
    }
}

/// Whether the directory is a mount of this process's mount namespace, or none at all and so everywhere.
fn is_shown_here(path: &Path, live: &Path) -> bool {
    let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    path.file_name() != Some(ROOT.as_ref()) || path.parent() != Some(live) || device(path) != device(live)
}
