//! The way of a build: stages as the graph lets them, their steps in order, then the names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::absent::Absent;
use super::attest::{Material, Ran};
use super::checks::Checks;
use super::context::Context;
use super::copy::told;
use super::finish::{self, Saving};
use super::graph::{Claim, Graph, Stopped};
use super::journal::Journal;
use super::mounts::Written;
use super::panic::caught;
use super::plan;
use super::remote_cache::{Parcel, Used};
use super::roots::Opened;
use super::scope::Global;
use super::shared::SharedSandbox;
use super::stage::Stage;
use super::{Error, Options, Place, StepError, chain};
use crate::dockerfile::{self, Dockerfile, Instruction, Span};
use crate::oci::{Platform, Reference};
use crate::progress::{Event, Outcome, Sink, StagePlace};
use crate::registry::Client;
use crate::runtime::Cancel;
use crate::store::{Image, Store};
use crate::transfer::{self, Found, Import};

/// An image, once it was looked for: who comes meanwhile waits.
type Wanted = Mutex<Option<Arc<Found>>>;

/// One build: what it was asked for, and what it has so far.
pub(super) struct Executor<'a> {
    pub store: &'a Store,
    pub client: &'a Client,
    pub options: &'a Options,
    /// Whoever cancels the build, or a stage of it that failed.
    pub cancel: Cancel,
    pub sink: &'a dyn Sink,
    pub dockerfile: Dockerfile,
    checks: Checks,
    pub global: Global,
    pub context: Arc<Context>,
    /// What the names of contexts have led to.
    pub named: Opened,
    pub sandbox: SharedSandbox<'a>,
    /// What binds of RUN have been shown of the context.
    pub written: Mutex<Written>,
    graph: Graph,
    /// Images that FROM and COPY --from named, by their text and platform.
    images: Mutex<BTreeMap<(String, String), Arc<Wanted>>>,
    /// Caches of other places.
    pub imports: &'a [Import],
    pub absent: Absent,
    pub used: Used,
    pub journal: Journal,
    target: usize,
    /// The number of instructions of the stages that it needs.
    steps: usize,
    /// What it has taken in so far.
    pub materials: Mutex<Vec<Material>>,
    began: jiff::Timestamp,
    /// Whether stages are built side by side, so that what they say has to tell them apart.
    is_parallel: bool,
}

impl<'a> Executor<'a> {
    /// Parses and plans. Nothing has been done yet when this errors.
    pub(super) fn new(
        store: &'a Store,
        client: &'a Client,
        context: &Arc<Context>,
        options: &'a Options,
        imports: &'a [Import],
        cancel: &Cancel,
        sink: &'a dyn Sink,
    ) -> Result<Self, Error> {
        let mut dockerfile = options
            .dockerfile
            .parse()
            .map_err(|diagnostics| Error::Dockerfile { diagnostics, script: options.dockerfile.clone() })?;
        if let (Some(base), Some(first)) = (&options.first_base, dockerfile.stages.first_mut()) {
            first.stand_on(base);
        }
        let last = dockerfile.stages.len() - 1;
        let target = match &options.target {
            None => last,
            Some(name) => {
                plan::find(&dockerfile, name, last + 1).ok_or_else(|| Error::NoTarget(name.clone()))?
            }
        };
        let global = global(&dockerfile, options)?;
        let checks = Checks::new(&dockerfile, options, context.ignore())?;
        // A name that does not expand is no stage's; its own FROM says what is wrong with it.
        let expand = |word: &str| global.expand(word).unwrap_or_default();
        let (contexts, platform) = (&options.contexts, &options.platform);
        let names = plan::Names { dockerfile: &dockerfile, contexts, platform };
        let reachable = plan::reachable(&names, target, &expand);
        for &index in reachable.keys() {
            supported(&dockerfile.stages[index], options)?;
        }
        let steps = reachable.keys().map(|&index| dockerfile.stages[index].steps.len() + 1).sum();
        let is_parallel = options.jobs.get() > 1 && branches(&reachable);
        let cancel = cancel.child();
        Ok(Self {
            store,
            client,
            options,
            sandbox: SharedSandbox::new(store, &options.sandbox, cancel.clone()),
            written: Mutex::default(),
            cancel,
            sink,
            dockerfile,
            checks,
            global,
            context: Arc::clone(context),
            named: Opened::default(),
            graph: Graph::new(reachable, options.jobs),
            images: Mutex::default(),
            imports,
            absent: Absent::default(),
            used: Used::default(),
            journal: Journal::default(),
            target,
            steps,
            materials: Mutex::default(),
            began: jiff::Timestamp::now(),
            is_parallel,
        })
    }

    /// Builds the reachable stages and makes the target an image, which has no name yet.
    pub(super) fn build(&self) -> Result<((Image, Ran), Vec<Parcel>), Error> {
        let platform = self.options.platform.clone();
        self.sink.event(Event::BuildStarted { platform, steps: self.steps });
        self.checks.tell(self.sink)?;
        self.tell_unknown_filters();
        self.tell_leftovers()?;
        let executor = self;
        thread::scope(|scope| {
            while let Some((index, turn)) = executor.graph.next() {
                let work = move || {
                    let _turn = turn;
                    // whatever stops it is known to the graph
                    drop(executor.stage(index));
                };
                let name = format!("stage {}", index + 1);
                if let Err(source) = thread::Builder::new().name(name).spawn_scoped(scope, work) {
                    executor.graph.fail(Error::Thread(source));
                }
            }
        });
        let built = self.graph.finish(self.target);
        self.keep_digests();
        let built = built?;
        self.bring_all(&built)?;
        let unconsumed = self.global.unconsumed().join(" ");
        if !unconsumed.is_empty() {
            let text = format!("one or more build args were not consumed: [{unconsumed}]");
            self.sink.event(Event::Warning(text));
        }
        self.sandbox.close()?;
        let image = finish::finish(&built, self.store, self.options, |config| self.inline(&built, config))?;
        let mut materials = std::mem::take(&mut *lock(&self.materials));
        materials.sort();
        materials.dedup();
        let time = (self.began, jiff::Timestamp::now());
        let ran = Ran { materials, platform: self.options.platform.clone(), time };
        Ok(((image, ran), self.parcels(&built)))
    }

    /// Removes what a killed build left, and says what stays.
    pub(super) fn tell_leftovers(&self) -> Result<(), Error> {
        for path in self.sandbox.sweep()? {
            let text = format!("{}: a killed build left it, and it stays", path.display());
            self.sink.event(Event::Warning(text));
        }
        Ok(())
    }

    /// Has the store remember the digests of context files. Without them the next build reads the files again.
    fn keep_digests(&self) {
        for context in self.named.all().iter().chain([&self.context]) {
            if let Err(error) = context.keep(self.store) {
                let text = format!("the digests of context files are not remembered: {}", chain(&error));
                self.sink.event(Event::Warning(text));
            }
        }
    }

    /// Brings here what nobody has read of a stage that becomes an image: one of the store is whole.
    fn bring_all(&self, built: &Stage) -> Result<(), Error> {
        let source = &self.dockerfile.stages[built.index];
        self.bring(built.diff_ids()).map_err(|why| self.at(source.from.span, &source.text, why))
    }

    /// The finished stage `index`: built now if nobody has begun it, else waited for. Errors if the build has failed,
    /// there or elsewhere; the graph knows of what.
    pub(super) fn stage(&self, index: usize) -> Result<Arc<Stage>, Stopped> {
        let building = match self.graph.claim(index)? {
            Claim::Built(stage) => return Ok(stage),
            Claim::Ours(building) => building,
        };
        let (place, name) = (self.label(index), self.dockerfile.stages[index].from.value.name.clone());
        self.sink.event(Event::StageStarted { stage: place, name });
        let built = caught(index, || self.build_stage(index));
        let outcome = match &built {
            Ok(_) => Outcome::Done,
            Err(error) if error.is_consequence() => Outcome::Stopped,
            Err(error) => Outcome::Failed(chain(error)),
        };
        self.sink.event(Event::StageEnded { stage: place, outcome });
        self.journal.end(index, None);
        match built {
            Ok(stage) => Ok(building.done(stage)),
            Err(error) => {
                self.graph.fail(error);
                self.cancel.cancel();
                Err(Stopped)
            }
        }
    }

    fn build_stage(&self, index: usize) -> Result<Stage, Error> {
        let source = &self.dockerfile.stages[index];
        // A name may turn out to be a stage's only now, by an ARG or by a trigger of the base image.
        supported(source, self.options)?;
        self.announce(index, 1, &source.text);
        let blamed = |why| self.at(source.from.span, &source.text, why);
        let (mut stage, steps) = match self.replaced(index).map_err(blamed)? {
            Some(stage) => (stage, &[][..]),
            None => (self.base(index).map_err(blamed)?, &source.steps[..]),
        };
        self.journal.stands_on(index, &stage);
        if index == self.target {
            self.begin_with(&mut stage, &self.options.finish.env).map_err(blamed)?;
        }
        self.triggers(&mut stage, source.from.span)?;
        for (number, step) in steps.iter().enumerate() {
            self.announce(index, number + 2, &step.text);
            self.step(&mut stage, step).map_err(|why| self.at(step.span, &step.text, why))?;
        }
        if index == self.target {
            self.end_with(&mut stage, &self.options.finish.labels).map_err(blamed)?;
        } else if self.options.finish.saving != Saving::None {
            self.save(&stage)?;
        }
        Ok(stage)
    }

    /// Makes an image of a stage that is not the target.
    fn save(&self, stage: &Stage) -> Result<(), Error> {
        let from = &self.dockerfile.stages[stage.index].from;
        let name = from.value.name.clone().unwrap_or_else(|| stage.index.to_string());
        let base = self.global.expand(&from.value.image).map_err(|why| self.at(from.span, &name, why))?;
        self.bring_all(stage)?;
        let image = finish::save(stage, self.store, self.options, &name, &base)?;
        self.sink.event(Event::StageSaved { stage: name, id: image.id() });
        Ok(())
    }

    /// The context that takes the place of the stage `index`, if there is one.
    fn replaced(&self, index: usize) -> Result<Option<Stage>, StepError> {
        let from = &self.dockerfile.stages[index].from.value;
        let Some(name) = &from.name else { return Ok(None) };
        let platform = self.platform_of(from)?;
        let root = self.context_named(index, name, &platform)?;
        root.map(|root| self.stage_on(index, name, &root, &platform)).transpose()
    }

    /// What FROM names: a context, an earlier stage, nothing, or an image.
    fn base(&self, index: usize) -> Result<Stage, StepError> {
        let from = &self.dockerfile.stages[index].from.value;
        let name = self.global.expand(&from.image)?;
        if name.trim().is_empty() {
            return Err(StepError::Invalid(format!("base name ({}) should not be blank", from.image)));
        }
        let platform = self.platform_of(from)?;
        if let Some(root) = self.context_named(index, &name, &platform)? {
            return self.stage_on(index, &name, &root, &platform);
        }
        if let Some(earlier) = plan::named(&self.dockerfile, &name, index) {
            return Ok(Stage::on_stage(index, &*self.stage(earlier)?));
        }
        if name == "scratch" {
            return Ok(Stage::scratch(index, &platform));
        }
        let image = self.image(&name.parse()?, &platform)?;
        self.checks.base(&name, &image, &platform, self.dockerfile.stages[index].from.span)?;
        Ok(self.on_image(index, &image))
    }

    /// A stage that stands on an image, with what is to be taken over of its config.
    pub(super) fn on_image(&self, index: usize, image: &Image) -> Stage {
        let mut stage = Stage::on_image(index, image);
        if self.options.finish.drop_labels {
            stage.image.config.labels.clear();
        }
        stage
    }

    fn platform_of(&self, from: &dockerfile::From) -> Result<Platform, StepError> {
        match &from.platform {
            Some(word) => Ok(self.global.expand(word)?.parse()?),
            None => Ok(self.options.platform.clone()),
        }
    }

    /// The image called `reference`, looked for once in a build. Its layers may still be in a registry.
    pub(super) fn image(&self, reference: &Reference, platform: &Platform) -> Result<Image, StepError> {
        let key = (reference.to_string(), platform.to_string());
        let slot = Arc::clone(lock(&self.images).entry(key).or_default());
        let mut slot = lock(&slot);
        if slot.is_none() {
            let policy = self.options.pull;
            let found = transfer::find(self.store, self.client, reference, platform, policy, self.sink);
            let found = Arc::new(found.map_err(Box::new)?);
            self.absent.offer(&found);
            *slot = Some(found);
        }
        let image = match slot.as_deref().expect("it was just looked for") {
            Found::Here(image) => image,
            Found::There(offer) => offer.image(),
        };
        lock(&self.materials).push(Material::image(reference, platform, image.descriptor.digest));
        Ok(image.clone())
    }

    /// Runs the ONBUILD triggers that the base left, and forgets them.
    fn triggers(&self, stage: &mut Stage, from: Span) -> Result<(), Error> {
        for trigger in std::mem::take(&mut stage.image.config.on_build) {
            // The bodies of its heredocs follow the first line.
            let text = format!("ONBUILD {}", trigger.lines().next().unwrap_or_default());
            self.journal.begin(stage.index, (0, 0), &told(&text));
            let label = self.label(stage.index);
            self.sink.event(Event::Step { stage: label, index: 0, total: 0, text: text.clone() });
            self.trigger(stage, &trigger).map_err(|why| self.at(from, &text, why))?;
        }
        Ok(())
    }

    fn trigger(&self, stage: &mut Stage, trigger: &str) -> Result<(), StepError> {
        let step = dockerfile::parse_onbuild(trigger, self.dockerfile.escape).map_err(StepError::Trigger)?;
        plan::supported(&step)?;
        self.step(stage, &step)
    }

    fn announce(&self, stage: usize, index: usize, text: &str) {
        let total = self.dockerfile.stages[stage].steps.len() + 1;
        let text = told(text);
        self.journal.begin(stage, (index, total), &text);
        self.sink.event(Event::Step { stage: self.label(stage), index, total, text });
    }

    /// What tells the news of stage `index` from those of others.
    pub(super) fn label(&self, index: usize) -> StagePlace {
        let total = self.dockerfile.stages.len();
        StagePlace { number: index + 1, total, is_accompanied: self.is_parallel }
    }

    fn at(&self, span: Span, text: &str, source: StepError) -> Error {
        at(self.options, span, text, source)
    }
}

/// Whether not all stages stand upon each other, so that two can be built at a time.
fn branches(stages: &BTreeMap<usize, Option<usize>>) -> bool {
    let bases: BTreeSet<_> = stages.values().collect();
    bases.len() < stages.len()
}

/// The global ARGs with their values.
fn global(dockerfile: &Dockerfile, options: &Options) -> Result<Global, Error> {
    let stage_name = options.target.as_deref().unwrap_or("default");
    let mut global = Global::new(dockerfile.escape, &options.build_args, &options.platform, stage_name);
    for step in &dockerfile.global_args {
        let Instruction::Arg(args) = &step.instruction else { continue };
        global.declare(args).map_err(|source| at(options, step.span, &step.text, source))?;
    }
    Ok(global)
}

/// Refuses, by name, what a stage asks for and this version does not carry out.
fn supported(stage: &dockerfile::Stage, options: &Options) -> Result<(), Error> {
    for step in &stage.steps {
        plan::supported(step).map_err(|why| at(options, step.span, &step.text, why))?;
    }
    Ok(())
}

fn at(options: &Options, span: Span, text: &str, source: StepError) -> Error {
    let (span, source) = match source {
        StepError::Word { word, source } => (span.narrowed(options.dockerfile.text(), &word), source),
        source => (span, Box::new(source)),
    };
    let (file, line) = options.dockerfile.place(&span);
    let place = Place { file: file.to_owned(), line, span, text: told(text) };
    Error::Step { place: Box::new(place), source }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
