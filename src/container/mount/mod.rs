//! `mount`: the root of a container as a directory, for programs of this machine.
//!
//! ```text
//! mount ──► server      a process in the mount namespace of the caller: makes the root, answers for it, waits (server)
//!   run, copy, commit ──control──► server     what was written so far becomes a layer of the store (line)
//! ```
//!
//! The container's record says where the root is shown and on which socket its server is asked. A command that wants the
//! container's files holds the container, asks, and lays the layer that comes back over those that the root was made of, in
//! the place of the one that came back before. As long as it holds the line, the server does nothing; then the server
//! looks into the record: if there are other layers now, the same place shows those.
//!
//! A server ends when the record says nothing of it any more; when whoever it works for is gone (the shell of an `unshare`)
//! or it is told to stop, it takes up by itself what was written, and then ends. Only one that was killed leaves something
//! behind: a record that names it, which the next command mends, and a live directory, which belongs to nobody.

mod line;
mod server;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Container, Error, Held, Means, State};
use crate::progress::Event;
use crate::store::LayerRecord;
use line::Answer;
pub(super) use line::Line;
pub use server::{Serve, serve};

/// Where a container's root is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The directory.
    pub path: PathBuf,
    /// The live directory of its server, with the socket on which that is asked.
    live: PathBuf,
    /// How many layers of the container the root is made of. The one above, if there is one, is what was written to it.
    below: usize,
}

impl Mount {
    /// To its server, if that lives.
    pub(super) fn line(&self) -> Result<Option<Line>, Error> {
        Line::open(&self.live)
    }
}

impl State {
    /// The root is made of all layers from here on.
    pub(super) fn show_all(&mut self) {
        if let Some(mount) = &mut self.mount {
            mount.below = self.piece.layers.len();
        }
    }

    /// Lays what was written to the root over what the root is made of.
    fn lay_over(&mut self, mount: &Mount, written: Option<LayerRecord>) {
        self.piece.layers.truncate(mount.below);
        self.piece.image.rootfs.diff_ids.truncate(mount.below);
        self.piece.add(written);
    }
}

/// Where the container is mounted: its server answers.
pub fn mounted(container: &Container) -> Result<Option<&Mount>, Error> {
    let Some(mount) = &container.state.mount else { return Ok(None) };
    Ok(line::is_there(&mount.live)?.then_some(mount))
}

/// Ends the mount of a container that is held, whose files are taken up. Returns whether it was mounted.
pub fn unmount(held: &mut Held) -> Result<bool, Error> {
    let mut state = held.container().state.clone();
    let was_mounted = state.mount.take().is_some();
    held.save(state)?;
    Ok(was_mounted)
}

/// What was written while a command was at work: it takes the place of what was taken up before the command, and what the
/// command made stays above it.
pub(super) fn catch_up(line: &Line, before: &State, state: &mut State) -> Result<(), Error> {
    let Some(mount) = state.mount.clone() else { return Ok(()) };
    let Some(Written(late)) = written(line, &mount)? else { return Ok(()) };
    let (layers, diff_ids) = (&mut state.piece.layers, &mut state.piece.image.rootfs.diff_ids);
    let above = before.piece.layers.len();
    let (own_layers, own_ids) = (layers.split_off(above), diff_ids.split_off(above));
    state.lay_over(&mount, late);
    state.piece.layers.extend(own_layers);
    state.piece.image.rootfs.diff_ids.extend(own_ids);
    Ok(())
}

/// The layer of what was written; none if nothing was.
struct Written(Option<LayerRecord>);

/// What was written; `None`: nobody is there to tell.
fn written(line: &Line, mount: &Mount) -> Result<Option<Written>, Error> {
    match line.ask()? {
        Some(Answer::Layer(layer)) => Ok(Some(Written(layer))),
        Some(Answer::Failed(why)) => {
            Err(Error::Mount(format!("take up what was written to {}: {why}", mount.path.display())))
        }
        None => Ok(None),
    }
}

/// Takes up what was written to the container's root. As long as the line is held, the root's server waits.
pub(super) fn take_up(means: &Means<'_>, held: &mut Held) -> Result<Option<Line>, Error> {
    let mut state = held.container().state.clone();
    let Some(mount) = state.mount.clone() else { return Ok(None) };
    let line = mount.line()?;
    let written = line.as_ref().map(|line| written(line, &mount)).transpose()?.flatten();
    if let Some(Written(layer)) = written {
        state.lay_over(&mount, layer);
    } else {
        means.sink.event(Event::Warning(format!(
            "{} was mounted at {}, and the program that answered for it was killed: what was written there since it was last taken up is lost",
            held.container().name,
            mount.path.display(),
        )));
        state.mount = None;
    }
    held.record.save(state)?;
    Ok(line)
}
