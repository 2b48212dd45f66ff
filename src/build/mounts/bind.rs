//! `type=bind`: a directory or file of the context, a stage or an image.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::super::StepError;
use super::super::copy::Snapshot;
use super::super::copy::tree::Tree;
use super::super::executor::{Executor, lock};
use super::super::plan;
use super::super::roots::Root;
use super::super::stage::Stage;
use crate::dockerfile::BindSpec;
use crate::runtime::{LayerFiles, Layers, Source};
use crate::store::TmpFile;

/// A bind mount whose source is known.
pub(super) struct Bind {
    pub spec: BindSpec,
    origin: Origin,
}

/// Where what it shows is.
enum Origin {
    /// In a context: its layer is still to be written.
    Files(Snapshot),
    /// In layers, which are not looked at before they have to be; `name` is what they were asked for as.
    Layers { stage: Arc<Stage>, name: String, snapshot: OnceLock<Snapshot> },
}

/// Layers of the context that this build has written, by the digest of what they hold. They are gone with the build.
pub(in crate::build) type Written = HashMap<[u8; 32], Layer>;

/// A layer in `tmp/`.
pub(in crate::build) struct Layer {
    files: LayerFiles,
    _tar: TmpFile,
    _index: TmpFile,
}

impl Bind {
    pub(super) fn is_writable(&self) -> bool {
        self.spec.writable.unwrap_or(false)
    }

    /// What the key says of it besides its digest, which tells what is shown and not whose it is.
    pub(super) fn setting(&self) -> String {
        format!("{:?}", BindSpec { from: None, source: None, target: String::new(), ..self.spec.clone() })
    }

    /// Whether it shows files of layers, so that its name says what it shows.
    pub(super) fn has_name(&self) -> bool {
        matches!(self.origin, Origin::Layers { .. })
    }

    /// A digest of the name of what it shows, else of that itself.
    pub(super) fn named(&self) -> Result<[u8; 32], StepError> {
        match &self.origin {
            Origin::Files(snapshot) => snapshot.content(),
            Origin::Layers { stage, .. } => {
                let text = format!("layers {:?} {:?}", stage.chain(), self.spec.source);
                Ok(blake3::hash(text.as_bytes()).into())
            }
        }
    }
}

impl Executor<'_> {
    pub(super) fn plan_bind(&self, stage: &Stage, spec: &BindSpec, target: &str) -> Result<Bind, StepError> {
        if let Some(word) = host_only(spec) {
            return Err(StepError::Invalid(format!(
                "{word} belongs to a mount of the host (--mount, --volume): a bind of RUN shows layers"
            )));
        }
        let root = match &spec.from {
            None => Root::Context(Arc::clone(&self.context)),
            Some(name) => self.mount_source(stage, name, target)?,
        };
        let origin = match root {
            Root::Context(context) => Origin::Files(Snapshot::of(Tree::Context(context), source_of(spec))?),
            Root::Stage(stage) => {
                let name = spec.from.clone().unwrap_or_default();
                Origin::Layers { stage, name, snapshot: OnceLock::new() }
            }
        };
        Ok(Bind { spec: spec.clone(), origin })
    }

    /// What a bind shows, looked at now if it was not yet.
    pub(super) fn snapshot<'b>(&self, bind: &'b Bind) -> Result<&'b Snapshot, StepError> {
        match &bind.origin {
            Origin::Files(snapshot) => Ok(snapshot),
            Origin::Layers { stage, name, snapshot } => {
                if let Some(known) = snapshot.get() {
                    return Ok(known);
                }
                let files = self.files(&Root::Stage(Arc::clone(stage)), name)?;
                let found = Snapshot::of(Tree::Context(files), source_of(&bind.spec))?;
                Ok(snapshot.get_or_init(|| found))
            }
        }
    }

    /// The context, stage or image that a mount of `stage` names.
    pub(super) fn mount_source(&self, stage: &Stage, name: &str, target: &str) -> Result<Root, StepError> {
        if name == "scratch" {
            return Ok(Root::Stage(Arc::new(Stage::scratch(stage.index, &self.options.platform))));
        }
        if let Some(root) = self.context_named(stage.index, name, &self.options.platform)? {
            return Ok(root);
        }
        let known = |before| plan::find(&self.dockerfile, name, before).is_some();
        if !known(stage.index) && known(self.dockerfile.stages.len()) {
            return Err(StepError::Invalid(format!(
                "cannot mount from stage {name:?} to {target:?}, stage needs to be defined before current command"
            )));
        }
        self.root(stage, name)
    }

    /// What the sandbox is to show.
    pub(super) fn ready_bind(&self, bind: &Bind) -> Result<Source, StepError> {
        let snapshot = self.snapshot(bind)?;
        if let Origin::Layers { stage, .. } = &bind.origin {
            let path = PathBuf::from(OsString::from_vec(snapshot.path().to_vec()));
            return Ok(Source::Layers(Layers { stack: self.layer_files(stage)?, path }));
        }
        let content = snapshot.content()?;
        // who needs the same meanwhile waits for it
        let mut written = lock(&self.written);
        let layer = match written.entry(content) {
            Entry::Occupied(layer) => layer.into_mut(),
            Entry::Vacant(place) => place.insert(self.write_snapshot(snapshot)?),
        };
        let stack = vec![layer.files.clone()];
        Ok(Source::Layers(Layers { stack, path: Snapshot::PATH.into() }))
    }

    fn write_snapshot(&self, snapshot: &Snapshot) -> Result<Layer, StepError> {
        let (tar, index) = (self.store.tmp_file()?, self.store.tmp_file()?);
        let unwritable =
            |file: &TmpFile, source| StepError::Read { path: file.path().display().to_string(), source };
        let written = snapshot.write(tar.file().try_clone().map_err(|source| unwritable(&tar, source))?)?;
        index.file().write_all(&written.index).map_err(|source| unwritable(&index, source))?;
        let (diff_id, tar_path, index_path) =
            (written.diff_id, tar.path().to_owned(), index.path().to_owned());
        let files = LayerFiles { diff_id, tar: tar_path, index: index_path };
        Ok(Layer { files, _tar: tar, _index: index })
    }
}

fn source_of(spec: &BindSpec) -> &str {
    spec.source.as_deref().unwrap_or("/")
}

/// The first field that only a mount of the host has.
fn host_only(spec: &BindSpec) -> Option<&'static str> {
    let words = [
        ("bind-propagation", spec.propagation.as_deref().is_some_and(|word| word.contains("shared"))),
        ("chown", spec.chown),
    ];
    words.into_iter().find_map(|(word, given)| given.then_some(word))
}
