//! A stage in the making: its config, its layers and its variables.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::StepError;
use super::bench::Piece;
use super::scope::Scope;
use crate::layer::Layer;
use crate::oci::{ChainId, Descriptor, DiffId, Digest, History, ImageConfig, Platform, media_type};
use crate::rootfs::Stack;
use crate::store::{CacheRecord, Image, Store};

/// The PATH of an image that sets none.
pub(super) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a stage has become so far.
pub(super) struct Stage {
    /// Its place in the Dockerfile, counted from 0: only earlier stages may be named.
    pub index: usize,
    /// The stages that it stands on, and its own place.
    pub lineage: Vec<usize>,
    /// Config, diff ids and history.
    pub image: ImageConfig,
    /// The layers as the manifest will name them, bottom first; as many as the config has diff ids.
    pub layers: Vec<Descriptor>,
    pub scope: Scope,
    /// What of it is the base image's.
    pub inherited: Inherited,
    /// CMD was set in this stage, so a later ENTRYPOINT keeps it.
    pub own_cmd: bool,
    /// Opened layers; a prefix of the diff ids.
    opened: Mutex<Vec<Arc<Layer>>>,
}

/// What a stage has of the image that it stands on, or that the stage below it stands on.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Inherited {
    /// How many of its layers, the lowest.
    pub layers: usize,
    /// How many entries of its history, the first.
    pub history: usize,
}

impl Stage {
    /// An empty root.
    pub(super) fn scratch(index: usize, platform: &Platform) -> Self {
        let mut image = ImageConfig {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone(),
            ..ImageConfig::default()
        };
        "/".clone_into(&mut image.config.working_dir);
        Self::with(index, image, Vec::new(), Scope::default())
    }

    /// On an image of the store. Its ONBUILD triggers are the caller's to run.
    pub(super) fn on_image(index: usize, image: &Image) -> Self {
        let Piece { image, layers, inherited } = Piece::on_image(image);
        Self { inherited, ..Self::with(index, image, layers, Scope::default()) }
    }

    /// On another stage: its layers, config and ARGs.
    pub(super) fn on_stage(index: usize, base: &Self) -> Self {
        let inherited = base.inherited;
        let mut stage = Self::with(index, base.image.clone(), base.layers.clone(), base.scope.clone());
        stage.lineage.extend_from_slice(&base.lineage);
        Self { inherited, ..stage }
    }

    fn with(index: usize, mut image: ImageConfig, layers: Vec<Descriptor>, scope: Scope) -> Self {
        if image.config.env("PATH").is_none() {
            image.config.set_env("PATH", DEFAULT_PATH);
        }
        let (inherited, opened, lineage) = (Inherited::default(), Mutex::default(), vec![index]);
        Self { index, lineage, image, layers, scope, inherited, own_cmd: false, opened }
    }

    /// On what was done so far, whose config stays as it is.
    pub(super) fn on_piece(piece: &Piece) -> Self {
        let Piece { image, layers, inherited } = piece.clone();
        let (scope, opened) = (Scope::default(), Mutex::default());
        Self { index: 0, lineage: vec![0], image, layers, scope, inherited, own_cmd: false, opened }
    }

    /// What there is of it, by itself.
    pub(super) fn to_piece(&self) -> Piece {
        Piece { image: self.image.clone(), layers: self.layers.clone(), inherited: self.inherited }
    }

    /// The same stage once more.
    pub(super) fn copy(&self) -> Self {
        Self::on_stage(self.index, self)
    }

    /// What it is for.
    pub(super) fn platform(&self) -> Platform {
        let ImageConfig { os, architecture, variant, .. } = &self.image;
        Platform { os: os.clone(), architecture: architecture.clone(), variant: variant.clone() }
    }

    /// The layers' names, bottom first.
    pub(super) fn diff_ids(&self) -> &[DiffId] {
        &self.image.rootfs.diff_ids
    }

    /// What the parent of the next step is called.
    pub(super) fn chain(&self) -> Option<ChainId> {
        ChainId::of(self.diff_ids())
    }

    /// What an image of it would be called.
    pub(super) fn id(&self) -> Digest {
        Digest::of(&self.image.to_bytes())
    }

    /// The root file system so far. Has `bring` bring here what is not open yet, and opens it; nothing is mounted.
    pub(super) fn stack(
        &self,
        store: &Store,
        bring: impl FnOnce(&[DiffId]) -> Result<(), StepError>,
    ) -> Result<Stack, StepError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = &self.diff_ids()[opened.len()..];
        bring(closed)?;
        for diff_id in closed {
            opened.push(store.layer(diff_id)?);
        }
        Ok(Stack::new(opened.clone()))
    }

    /// Takes over what a record says of the step called `created_by`: its layer and when it was done. The config
    /// proper was already changed by the instruction itself.
    pub(super) fn adopt(&mut self, record: CacheRecord, created_by: &str) {
        let CacheRecord { layer, created, .. } = record;
        if let Some(layer) = layer {
            self.image.rootfs.diff_ids.push(layer.diff_id);
            self.layers.push(Descriptor::new(media_type::LAYER, layer.diff_id.0, layer.size));
        }
        self.image.created = Some(created.clone());
        self.image.history.push(History {
            created: Some(created),
            created_by: Some(created_by.to_owned()),
            empty_layer: layer.is_none(),
            ..History::default()
        });
    }
}
