//! The way of a build: stages in order, steps in order, then the names.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::context::Context;
use super::plan;
use super::scope::Global;
use super::stage::Stage;
use super::{Error, Options, Place, StepError};
use crate::dockerfile::{self, Dockerfile, Instruction, Span};
use crate::oci::{Manifest, Platform, Reference, media_type};
use crate::progress::{Event, Sink};
use crate::registry::Client;
use crate::runtime::{Cancel, Owners, Sandbox};
use crate::store::{Image, Live, Store};
use crate::transfer;

/// One build: what it was asked for, and what it has so far.
pub(super) struct Executor<'a> {
    pub store: &'a Store,
    pub client: &'a Client,
    pub options: &'a Options,
    pub cancel: &'a Cancel,
    pub sink: &'a dyn Sink,
    pub dockerfile: Rc<Dockerfile>,
    pub global: Global,
    pub context: Rc<Context>,
    /// Started by the first RUN that misses, kept for all that follow.
    sandbox: Option<Sandbox>,
    /// What it keeps from step to step. It goes after the sandbox, which empties it.
    shelf: Option<Live>,
    /// Whose the files of a RUN can be, once that was asked.
    owners: Option<Owners>,
    /// What was last told of that.
    told: Option<Owners>,
    /// Finished stages, by index.
    stages: BTreeMap<usize, Rc<Stage>>,
    /// Images that COPY --from named, by their text.
    images: BTreeMap<String, Rc<Stage>>,
    target: usize,
    reachable: Vec<usize>,
    /// The stage being built: only those before it may be named.
    current: usize,
}

impl<'a> Executor<'a> {
    /// Parses and plans. Nothing has been done yet when this errors.
    pub(super) fn new(
        store: &'a Store,
        client: &'a Client,
        options: &'a Options,
        cancel: &'a Cancel,
        sink: &'a dyn Sink,
    ) -> Result<Self, Error> {
        let dockerfile = dockerfile::parse(&options.dockerfile).map_err(|diagnostics| Error::Dockerfile {
            diagnostics,
            source_text: options.dockerfile.clone(),
            file: options.dockerfile_name.clone(),
        })?;
        let last = dockerfile.stages.len() - 1;
        let target = match &options.target {
            None => last,
            Some(name) => {
                plan::find(&dockerfile, name, last + 1).ok_or_else(|| Error::NoTarget(name.clone()))?
            }
        };
        let stage_name = options.target.as_deref().unwrap_or("default");
        let global = Global::new(dockerfile.escape, &options.build_args, &options.platform, stage_name);
        let context = Context::open(&options.context, options.ignore.as_deref())?;
        let mut executor = Self {
            store,
            client,
            options,
            cancel,
            sink,
            dockerfile: Rc::new(dockerfile),
            global,
            context: Rc::new(context),
            sandbox: None,
            shelf: None,
            owners: None,
            told: None,
            stages: BTreeMap::new(),
            images: BTreeMap::new(),
            target,
            reachable: Vec::new(),
            current: 0,
        };
        executor.plan()?;
        Ok(executor)
    }

    /// Gives the global ARGs their values, finds the stages to build, and refuses what cannot be done.
    fn plan(&mut self) -> Result<(), Error> {
        let dockerfile = Rc::clone(&self.dockerfile);
        for step in &dockerfile.global_args {
            let Instruction::Arg(args) = &step.instruction else { continue };
            self.global.declare(args).map_err(|source| self.at(step.span, &step.text, source))?;
        }
        // A name that does not expand is no stage's; its own FROM says what is wrong with it.
        let base = |word: &str| self.global.expand(word).unwrap_or_default();
        self.reachable = plan::reachable(&dockerfile, self.target, &base);
        self.reachable.iter().try_for_each(|&index| self.check_support(index))
    }

    /// Tells what the Dockerfile says in vain.
    fn warn(&self) {
        let warn = |text: String| self.sink.event(Event::Warning(text));
        for warning in &self.dockerfile.warnings {
            let (file, line) = (&self.options.dockerfile_name, warning.span.first_line);
            warn(format!("{file}:{line}: {}", warning.message));
        }
        if let Some(check) = &self.dockerfile.check {
            warn(format!("the directive check={check} has no effect: build checks are not supported yet"));
        }
    }

    /// Builds the reachable stages and names the target's image.
    pub(super) fn build(mut self) -> Result<Image, Error> {
        self.warn();
        self.sweep()?;
        for index in std::mem::take(&mut self.reachable) {
            self.stage(index)?;
        }
        let unconsumed = self.global.unconsumed().join(" ");
        if !unconsumed.is_empty() {
            let text = format!("one or more build args were not consumed: [{unconsumed}]");
            self.sink.event(Event::Warning(text));
        }
        let built = self.stage(self.target)?;
        if let Some(sandbox) = self.sandbox.take() {
            sandbox.close()?;
        }
        self.shelf.take().map_or(Ok(()), Live::close)?;
        self.commit(&built)
    }

    /// Config and layers become a manifest, the manifest gets its names.
    fn commit(&self, stage: &Stage) -> Result<Image, Error> {
        let config = stage.image.to_bytes();
        self.store.put_blob(&config)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            config: crate::oci::Descriptor::of(media_type::CONFIG, &config),
            layers: stage.layers.clone(),
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        };
        let image = self.store.put_manifest(media_type::MANIFEST, &manifest.to_bytes())?;
        for tag in &self.options.tags {
            let name = tag.local();
            self.store.tag(&image, &name)?;
            self.sink.event(Event::Tagged { name: name.to_string() });
        }
        Ok(image)
    }

    /// The finished stage `index`, built now if it was not yet.
    pub(super) fn stage(&mut self, index: usize) -> Result<Rc<Stage>, Error> {
        if let Some(stage) = self.stages.get(&index) {
            return Ok(Rc::clone(stage));
        }
        // A name may turn out to be a stage's only now, by an ARG or by a trigger of the base image.
        self.check_support(index)?;
        let dockerfile = Rc::clone(&self.dockerfile);
        let source = &dockerfile.stages[index];
        let outer = std::mem::replace(&mut self.current, index);
        self.announce(index, 1, &source.text);
        let mut stage = self.base(index).map_err(|why| self.at(source.from.span, &source.text, why))?;
        self.triggers(&mut stage, source.from.span)?;
        for (number, step) in source.steps.iter().enumerate() {
            self.announce(index, number + 2, &step.text);
            self.step(&mut stage, step).map_err(|why| self.at(step.span, &step.text, why))?;
        }
        self.current = outer;
        let stage = Rc::new(stage);
        self.stages.insert(index, Rc::clone(&stage));
        Ok(stage)
    }

    /// What FROM names: an earlier stage, nothing, or an image.
    fn base(&mut self, index: usize) -> Result<Stage, StepError> {
        let dockerfile = Rc::clone(&self.dockerfile);
        let from = &dockerfile.stages[index].from.value;
        let name = self.global.expand(&from.image)?;
        if name.trim().is_empty() {
            return Err(StepError::Invalid(format!("base name ({}) should not be blank", from.image)));
        }
        let platform = match &from.platform {
            Some(word) => self.global.expand(word)?.parse()?,
            None => self.options.platform.clone(),
        };
        if let Some(earlier) = plan::named(&dockerfile, &name, index) {
            let base = self.stage(earlier).map_err(|error| StepError::Stage(Box::new(error)))?;
            return Ok(Stage::on_stage(&base));
        }
        if name == "scratch" {
            return Ok(Stage::scratch(&platform));
        }
        Ok(Stage::on_image(&self.image(&name, &platform)?))
    }

    /// The root that COPY --from names: an earlier stage by name or index, or an image.
    pub(super) fn source(&mut self, name: &str) -> Result<Rc<Stage>, StepError> {
        let dockerfile = Rc::clone(&self.dockerfile);
        if let Some(earlier) = plan::find(&dockerfile, name, self.current) {
            return self.stage(earlier).map_err(|error| StepError::Stage(Box::new(error)));
        }
        if plan::find(&dockerfile, name, dockerfile.stages.len()).is_some() {
            return Err(StepError::Invalid(format!(
                "cannot copy from stage {name:?}, it needs to be defined before the current stage"
            )));
        }
        if let Some(image) = self.images.get(name) {
            return Ok(Rc::clone(image));
        }
        let image = self.image(name, &self.options.platform)?;
        let source = Rc::new(Stage::on_image(&image));
        self.images.insert(name.to_owned(), Rc::clone(&source));
        Ok(source)
    }

    fn image(&self, name: &str, platform: &Platform) -> Result<Image, StepError> {
        let reference: Reference = name.parse()?;
        let policy = self.options.pull;
        let image = transfer::obtain(self.store, self.client, &reference, platform, policy, self.sink);
        Ok(image.map_err(Box::new)?)
    }

    /// Runs the ONBUILD triggers that the base left, and forgets them.
    fn triggers(&mut self, stage: &mut Stage, from: Span) -> Result<(), Error> {
        for trigger in std::mem::take(&mut stage.image.config.on_build) {
            // The bodies of its heredocs follow the first line.
            let text = format!("ONBUILD {}", trigger.lines().next().unwrap_or_default());
            self.sink.event(Event::Step { stage: None, index: 0, total: 0, text: text.clone() });
            self.trigger(stage, &trigger).map_err(|why| self.at(from, &text, why))?;
        }
        Ok(())
    }

    fn trigger(&mut self, stage: &mut Stage, trigger: &str) -> Result<(), StepError> {
        let step = dockerfile::parse_onbuild(trigger, self.dockerfile.escape).map_err(StepError::Trigger)?;
        plan::supported(&step)?;
        self.step(stage, &step)
    }

    /// The sandbox of this build.
    pub(super) fn sandbox(&mut self) -> Result<&Sandbox, StepError> {
        if self.sandbox.is_none() {
            let started = Sandbox::start(&self.options.sandbox, self.cancel.clone());
            self.sandbox = Some(started.map_err(StepError::Runtime)?);
        }
        Ok(self.sandbox.as_ref().expect("it was just started"))
    }

    /// Whose the files of a RUN can be.
    pub(super) fn owners(&mut self) -> Result<Owners, StepError> {
        if let Some(owners) = self.owners {
            return Ok(owners);
        }
        let live = self.store.lease_live()?;
        let rootfs = self.options.rootfs;
        let owners = self.sandbox()?.owners(rootfs, live.path()).map_err(StepError::Runtime)?;
        live.close()?;
        Ok(*self.owners.insert(owners))
    }

    /// Warns, once, if RUN could not have the owners that the image and the Dockerfile may ask for: a command that does
    /// not check would never tell.
    pub(super) fn tell_owners(&mut self) {
        if self.owners == Some(Owners::Root) && self.told.replace(Owners::Root).is_none() {
            let text = "one id is mapped, and the plain driver keeps no other: to RUN every file is root's, and chown to \
                anybody else fails; take --rootfs fuse, or map a range of ids (rbuild doctor tells how)";
            self.sink.event(Event::Warning(text.to_owned()));
        }
    }

    /// The directory for what the sandbox keeps.
    pub(super) fn shelf(&mut self) -> Result<PathBuf, StepError> {
        if self.shelf.is_none() {
            self.shelf = Some(self.store.lease_live()?);
        }
        Ok(self.shelf.as_ref().expect("it was just leased").path().to_owned())
    }

    /// Removes what a killed build left in `live/`. Files of mapped ids need a sandbox; others do not.
    fn sweep(&mut self) -> Result<(), Error> {
        let left = self.store.abandoned()?;
        if left.is_empty() {
            return Ok(());
        }
        let sandbox = Sandbox::start(&self.options.sandbox, self.cancel.clone())?;
        sandbox.sweep(&left)?;
        self.sandbox = Some(sandbox);
        // The sandbox emptied them; the store takes the rest away, and their leases.
        for path in self.store.abandoned()? {
            self.sink
                .event(Event::Warning(format!("{}: a killed build left it, and it stays", path.display())));
        }
        Ok(())
    }

    /// Refuses, by name, what a stage asks for and this version does not carry out.
    fn check_support(&self, stage: usize) -> Result<(), Error> {
        for step in &self.dockerfile.stages[stage].steps {
            plan::supported(step).map_err(|why| self.at(step.span, &step.text, why))?;
        }
        Ok(())
    }

    fn announce(&self, stage: usize, index: usize, text: &str) {
        let stages = self.dockerfile.stages.len();
        let total = self.dockerfile.stages[stage].steps.len() + 1;
        let stage = (stages > 1).then_some((stage + 1, stages));
        self.sink.event(Event::Step { stage, index, total, text: text.to_owned() });
    }

    fn at(&self, span: Span, text: &str, source: StepError) -> Error {
        // The instruction to blame is the one in that stage, not the one that needs it.
        if let StepError::Stage(inner) = source {
            return *inner;
        }
        let (span, source) = match source {
            StepError::Word { word, source } => (span.narrowed(&self.options.dockerfile, &word), source),
            source => (span, Box::new(source)),
        };
        let place = Place { file: self.options.dockerfile_name.clone(), span, text: text.to_owned() };
        Error::Step { place: Box::new(place), source }
    }
}
