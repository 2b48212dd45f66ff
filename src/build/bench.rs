//! The bench: steps done by hand, one at a time, to an image in the making. There is no Dockerfile around them: nothing is
//! expanded, no key is made, nothing is recorded or taken from a record. A working container is a [`Piece`] between two
//! commands.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::context::Context;
use super::executor::Executor;
use super::run::{Program, Work};
use super::stage::{Inherited, Stage};
use super::{Error, Options, StepError, assemble, finish};
use crate::dockerfile::{self, Copy};
use crate::oci::{Descriptor, ImageConfig, Platform, Reference, media_type};
use crate::progress::Sink;
use crate::registry::Client;
use crate::runtime::{Cancel, Exit, Input, Keep, Tracing};
use crate::store::{Image, LayerRecord, Store};
use crate::transfer::{INLINE, Subject};

/// An image in the making: what is known of a stage after some steps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Piece {
    /// Config, diff ids and history.
    pub image: ImageConfig,
    /// The layers as a manifest would name them, bottom first; as many as the config has diff ids.
    pub layers: Vec<Descriptor>,
    /// What of it is the base image's.
    pub inherited: Inherited,
}

/// Where steps are done by hand.
pub struct Bench<'a> {
    executor: Executor<'a>,
}

/// A command to run by hand.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// `user[:group]` in place of the config's.
    pub user: Option<String>,
    /// The working directory in place of the config's.
    pub cwd: Option<String>,
    /// Variables besides those of the config, the stronger ones.
    pub env: Vec<(String, String)>,
    /// Variables where the config says nothing of them.
    pub fallback_env: Vec<(String, String)>,
    /// What `--mount` says that shows something of an image, a cache, a secret or an agent.
    pub mounts: Vec<String>,
}

/// What a copy by hand came to.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    /// Over path, type, mode, owner, extended attributes and bytes of what was copied, never its times.
    pub content: [u8; 32],
}

impl Piece {
    /// An empty root.
    pub fn scratch(platform: &Platform) -> Self {
        let image = ImageConfig {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone(),
            ..ImageConfig::default()
        };
        Self { image, layers: Vec::new(), inherited: Inherited::default() }
    }

    /// On an image of the store.
    pub fn on_image(image: &Image) -> Self {
        let layers = image.manifest.layers.iter().map(|layer| Descriptor {
            media_type: oci_layer_type(&layer.media_type).to_owned(),
            ..layer.clone()
        });
        let inherited =
            Inherited { layers: image.manifest.layers.len(), history: image.config.history.len() };
        let mut config = image.config.clone();
        // The cache that an image carries is its own.
        config.extra.remove(INLINE);
        Self { image: config, layers: layers.collect(), inherited }
    }

    /// How many layers are not the base image's.
    pub fn own_layers(&self) -> usize {
        self.layers.len() - self.inherited.layers
    }

    /// Lays a layer over it. The history says nothing of it.
    pub fn add(&mut self, layer: Option<LayerRecord>) {
        if let Some(layer) = layer {
            self.image.rootfs.diff_ids.push(layer.diff_id);
            self.layers.push(Descriptor::new(media_type::LAYER, layer.diff_id.0, layer.size));
        }
    }
}

impl<'a> Bench<'a> {
    /// A bench with these options, as far as they are not about a Dockerfile; `files` are what copies are made from.
    pub fn new(
        store: &'a Store,
        client: &'a Client,
        files: Context,
        options: &'a Options,
        cancel: &Cancel,
        sink: &'a dyn Sink,
    ) -> Result<Self, Error> {
        let executor = Executor::new(store, client, &Arc::new(files), options, &[], cancel, sink)?;
        Ok(Self { executor })
    }

    /// Copies files, which `from` has if it is given, into the root of `piece`. `copy.from` is what messages call it.
    pub fn copy(&self, piece: &mut Piece, copy: &Copy, from: Option<&Piece>) -> Result<Copied, StepError> {
        let stage = Stage::on_piece(piece);
        let files = match from {
            None => Arc::clone(&self.executor.context),
            Some(from) => {
                let name = format!("{:?}", copy.from.as_deref().unwrap_or_default());
                Arc::new(Context::of_stack(self.executor.stack(&Stage::on_piece(from))?, &name))
            }
        };
        let (layer, content) = self.executor.copy_by_hand(&stage, copy, files)?;
        piece.add(layer);
        Ok(Copied { content })
    }

    /// Runs a command on the root of `piece`, where what it changes stays however it ends. It reads `input`.
    pub fn run(&self, piece: &mut Piece, command: &Command, input: Input<'_>) -> Result<Exit, StepError> {
        let executor = &self.executor;
        let mut stage = Stage::on_piece(piece);
        let config = &mut stage.image.config;
        config.user = command.user.clone().unwrap_or(std::mem::take(&mut config.user));
        config.working_dir = command.cwd.clone().unwrap_or(std::mem::take(&mut config.working_dir));
        if config.env("PATH").is_none() {
            config.set_env("PATH", super::stage::DEFAULT_PATH);
        }
        for (name, value) in &command.fallback_env {
            if config.env(name).is_none() {
                config.set_env(name, value);
            }
        }
        command.env.iter().for_each(|(name, value)| config.set_env(name, value));
        let words = command.mounts.iter().map(String::as_str);
        let mounts = executor.plan_words(&stage, words, &|value| Ok(value.to_owned()))?;
        let work = Work {
            program: Program { args: command.args.clone(), script: None },
            network: executor.options.confinement.network.clone(),
            security: None,
            mounts,
            tracing: Tracing::Off,
        };
        let ended = executor.carry_out(&stage, &work, input, Keep::Always)?;
        piece.add(ended.layer);
        Ok(ended.exit)
    }

    /// Changes the config of `piece` as an instruction of a Dockerfile would that makes no layer.
    pub fn change(&self, piece: &mut Piece, instruction: &str) -> Result<(), StepError> {
        let step = dockerfile::parse_onbuild(instruction, '\\').map_err(StepError::Trigger)?;
        let mut stage = Stage::on_piece(piece);
        self.executor.change_by_hand(&mut stage, &step)?;
        piece.image = stage.image;
        Ok(())
    }

    /// Adds an image to the list called `name`, which is made if it is not there.
    pub fn add_to_list(&self, name: &Reference, image: &Image) -> Result<(), Error> {
        let (subject, format) =
            (Subject::Image(Box::new(image.clone())), self.executor.options.finish.format);
        assemble::add_to_list(self.executor.store, name, &subject, format).map(drop)
    }

    /// Removes what a killed command left, and says what stays.
    pub fn sweep(&self) -> Result<(), Error> {
        self.executor.tell_leftovers()
    }

    /// Makes an image of `piece`, without a name.
    pub fn finish(&self, piece: &Piece) -> Result<Image, Error> {
        let executor = &self.executor;
        finish::finish(&Stage::on_piece(piece), executor.store, executor.options, |_| {})
    }

    /// Ends whatever a command was run in.
    pub fn close(self) -> Result<(), Error> {
        self.executor.sandbox.close()
    }
}

/// A built manifest is OCI's; the layers of a Docker base are the same bytes under another name.
fn oci_layer_type(media_type: &str) -> &str {
    match media_type {
        media_type::DOCKER_LAYER => media_type::LAYER,
        media_type::DOCKER_LAYER_GZIP => media_type::LAYER_GZIP,
        media_type::DOCKER_LAYER_ZSTD => media_type::LAYER_ZSTD,
        other => other,
    }
}
