//! `commit`: a container becomes an image.
//!
//! The pending layers become one, above the layers of the base. The container stays as it is: it can be changed and
//! committed again.

use super::{Error, Means, State};
use crate::build::{Context, Finish, Options};
use crate::oci::History;
use crate::store::Image;

/// What is asked of the image beyond what the container says.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Format, layers, times, annotations.
    pub finish: Finish,
}

/// How a layer came to be of which nobody said anything.
const CREATED_BY: &str = "/bin/sh";

/// Makes an image of the container, without a name.
pub fn commit(means: &Means<'_>, state: &State, wanted: &Commit) -> Result<Image, Error> {
    let mut finish = wanted.finish.clone();
    let given = std::mem::take(&mut finish.annotations);
    finish.annotations = state.annotations.clone();
    finish.annotations.extend(given);
    let options = Options { finish, ..means.options() };
    let bench = means.bench(Context::empty("no context"), &options)?;
    let mut piece = state.piece.clone();
    let created = Some(jiff::Timestamp::now().to_string());
    piece.image.created.clone_from(&created);
    piece.image.history.push(History {
        created,
        created_by: Some(state.history.created_by.clone().unwrap_or_else(|| CREATED_BY.to_owned())),
        author: piece.image.author.clone(),
        comment: state
            .history
            .comment
            .clone()
            .or_else(|| state.base.as_ref().map(|base| format!("FROM {}", base.name))),
        empty_layer: piece.own_layers() == 0,
        ..History::default()
    });
    Ok(bench.finish(&piece)?)
}
