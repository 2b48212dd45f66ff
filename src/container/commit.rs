//! `commit`: a container becomes an image.
//!
//! The pending layers become one, above the layers of the base. The container stays as it is: it can be changed and
//! committed again. What is asked of the image alone, a file or an instruction, never reaches the container.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Error, Means, State};
use crate::build::{Bench, Context, Finish, Layering, Options, Piece};
use crate::dockerfile::{Copy, Source};
use crate::oci::{History, Reference};
use crate::store::Image;

/// What is asked of the image beyond what the container says.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Format, layers, times, annotations, variables that it is not to have.
    pub finish: Finish,
    /// Annotations that it is not to have.
    pub unset_annotations: Vec<String>,
    /// Files of this machine, each with its path in the image.
    pub files: Vec<(PathBuf, String)>,
    /// Fields of its config, under the config's own names.
    pub config: Map<String, Value>,
    /// Instructions of a Dockerfile that make no layer.
    pub changes: Vec<String>,
    /// Whether it tells how it came to be.
    pub told: Telling,
    /// The list that it is added to.
    pub list: Option<Reference>,
}

impl Commit {
    /// The usual: the layers of `state` that are its own become one, in the format that it has.
    pub fn of(state: &State) -> Self {
        let finish = Finish { layering: Layering::New, format: state.format, ..Finish::default() };
        Self { finish, ..Self::default() }
    }
}

/// Whether an image tells how it came to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Telling {
    /// In its history.
    #[default]
    History,
    /// It does not.
    Nothing,
}

/// How a layer came to be of which nobody said anything.
const CREATED_BY: &str = "/bin/sh";

/// Makes an image of the container, without a name.
pub fn commit(means: &Means<'_>, state: &State, wanted: &Commit) -> Result<Image, Error> {
    let mut finish = wanted.finish.clone();
    let given = std::mem::take(&mut finish.annotations);
    finish.annotations = state.annotations.clone();
    finish.annotations.retain(|name, _| !wanted.unset_annotations.contains(name));
    finish.annotations.extend(given);
    let options = Options { finish, ..means.options() };
    let files = Context::of_directory("/".as_ref(), "this machine");
    let bench = means.bench(files.map_err(|why| Error::Setting(format!("/: {why}")))?, &options)?;
    let mut piece = state.piece.clone();
    wanted.files.iter().try_for_each(|(from, to)| add_file(&bench, &mut piece, from, to))?;
    merge(&mut piece, &wanted.config)?;
    wanted.changes.iter().try_for_each(|change| bench.change(&mut piece, change))?;
    tell(&mut piece, state, wanted.told);
    let image = bench.finish(&piece)?;
    if let Some(list) = &wanted.list {
        bench.add_to_list(list, &image)?;
    }
    Ok(image)
}

fn add_file(bench: &Bench<'_>, piece: &mut Piece, from: &Path, to: &str) -> Result<(), Error> {
    let copy = Copy {
        sources: vec![Source::Path(from.to_string_lossy().into_owned())],
        dest: to.to_owned(),
        chmod: Some("0644".to_owned()),
        unpack: Some(false),
        ..Copy::default()
    };
    bench.copy(piece, &copy, None)?;
    Ok(())
}

/// Takes over fields of a config: variables one by one, entries of maps likewise, anything else as a whole.
fn merge(piece: &mut Piece, fields: &Map<String, Value>) -> Result<(), Error> {
    let config = &mut piece.image.config;
    let wrong = |why: serde_json::Error| Error::Setting(format!("the config to merge: {why}"));
    let mut merged = serde_json::to_value(&*config).map_err(wrong)?;
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        match (&mut merged[name], value) {
            (Value::Object(known), Value::Object(more)) => known.extend(more.clone()),
            (Value::Array(known), Value::Array(more)) if name == "Env" => {
                let variable = |row: &Value| row.as_str().map(|row| row.split('=').next().map(str::to_owned));
                known.retain(|row| more.iter().all(|other| variable(other) != variable(row)));
                known.extend(more.clone());
            }
            (place, value) => *place = value.clone(),
        }
    }
    *config = serde_json::from_value(merged).map_err(wrong)?;
    Ok(())
}

/// Has the history tell of the layer to be.
fn tell(piece: &mut Piece, state: &State, telling: Telling) {
    let created = Some(jiff::Timestamp::now().to_string());
    piece.image.created.clone_from(&created);
    if telling == Telling::Nothing {
        piece.image.history.clear();
        return;
    }
    let base = || state.base.as_ref().map(|base| format!("FROM {}", base.name));
    piece.image.history.push(History {
        created,
        created_by: Some(state.history.created_by.clone().unwrap_or_else(|| CREATED_BY.to_owned())),
        author: piece.image.author.clone(),
        comment: state.history.comment.clone().or_else(base),
        empty_layer: piece.own_layers() == 0,
        ..History::default()
    });
}
