//! What the names of FROM, COPY --from and mounts lead to: a named context, a stage, an image.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::StepError;
use super::context::{self, Context, Origin};
use super::elsewhere::{Access, Memory};
use super::executor::{Executor, lock};
use super::named::{self, Named};
use super::plan;
use super::stage::Stage;
use crate::oci::Platform;
use crate::transfer;

/// Files to copy from, and whether they are layers already.
#[derive(Clone)]
pub(super) enum Root {
    /// A stage, or an image as one.
    Stage(Arc<Stage>),
    /// The files of a named context.
    Context(Arc<Context>),
}

impl Root {
    /// The name of the layers that it is, if it is layers: they need not be here to have it.
    pub(super) fn layers(&self) -> Option<String> {
        match self {
            Self::Stage(stage) => Some(format!("{:?}", stage.chain())),
            Self::Context(_) => None,
        }
    }
}

/// The files of named contexts, opened by whoever came first: who comes meanwhile waits.
#[derive(Default)]
pub(super) struct Opened(Mutex<BTreeMap<String, Arc<Slot>>>);

type Slot = Mutex<Option<Arc<Context>>>;

impl Opened {
    /// Those that were opened.
    pub(super) fn all(&self) -> Vec<Arc<Context>> {
        let slots: Vec<Arc<Slot>> = lock(&self.0).values().cloned().collect();
        slots.iter().filter_map(|slot| lock(slot).clone()).collect()
    }
}

/// The ignore files of a named directory, in the order in which they count.
const IGNORE_FILES: [&str; 2] = [".containerignore", ".dockerignore"];

impl Executor<'_> {
    /// How this build reaches what is elsewhere.
    pub(super) fn access(&self) -> Access<'_> {
        Access {
            store: self.store,
            web: &self.options.web,
            secrets: &self.options.secrets,
            cancel: self.cancel.clone(),
            sink: self.sink,
        }
    }

    /// Whether what is remembered of a URL counts for a step of `stage`.
    pub(super) fn memory(&self, stage: &Stage) -> Memory {
        if self.is_ignored(stage) { Memory::Ignore } else { Memory::Use }
    }

    /// What COPY --from or a mount of `stage` names: a context, an earlier stage by name or index, or an image.
    pub(super) fn root(&self, stage: &Stage, name: &str) -> Result<Root, StepError> {
        let platform = &self.options.platform;
        if let Some(root) = self.context_named(stage.index, name, platform)? {
            return Ok(root);
        }
        if let Some(earlier) = plan::find(&self.dockerfile, name, stage.index) {
            return Ok(Root::Stage(self.stage(earlier)?));
        }
        if plan::find(&self.dockerfile, name, self.dockerfile.stages.len()).is_some() {
            return Err(StepError::Invalid(format!(
                "cannot copy from stage {name:?}, it needs to be defined before the current stage"
            )));
        }
        let image = self.image(&name.parse()?, platform)?;
        Ok(Root::Stage(Arc::new(Stage::on_image(stage.index, &image))))
    }

    /// The files of `root`, which was asked for as `name`.
    pub(super) fn files(&self, root: &Root, name: &str) -> Result<Arc<Context>, StepError> {
        match root {
            Root::Context(context) => Ok(Arc::clone(context)),
            Root::Stage(stage) => Ok(Arc::new(Context::of_stack(self.stack(stage)?, &format!("{name:?}")))),
        }
    }

    /// A stage that begins with `root`, which was asked for as `name`. The files of a context become its first layer.
    pub(super) fn stage_on(
        &self,
        index: usize,
        name: &str,
        root: &Root,
        platform: &Platform,
    ) -> Result<Stage, StepError> {
        match root {
            Root::Stage(stage) => Ok(Stage::on_stage(index, stage)),
            Root::Context(context) => {
                let mut stage = Stage::scratch(index, platform);
                self.copy_all(&mut stage, name, Arc::clone(context))?;
                Ok(stage)
            }
        }
    }

    /// What the context called `name` is for the stage `before`; `None` if there is none.
    pub(super) fn context_named(
        &self,
        before: usize,
        name: &str,
        platform: &Platform,
    ) -> Result<Option<Root>, StepError> {
        let Some((key, named)) = self.options.contexts.find(name, platform) else { return Ok(None) };
        let root = match named {
            Named::Files(origin) => Root::Context(self.opened(key, origin)?),
            Named::Image(reference) => {
                Root::Stage(Arc::new(self.on_image(before, &self.image(reference, platform)?)))
            }
            Named::Layout(layout) => {
                let image = transfer::from_layout(self.store, layout, platform, self.sink);
                Root::Stage(Arc::new(self.on_image(before, &image.map_err(Box::new)?)))
            }
            Named::Stage(stage) => {
                let earlier = plan::find(&self.dockerfile, stage, before);
                let missing = || {
                    StepError::Invalid(format!(
                        "the context {key:?} is target:{stage}, and no stage of that name stands before this one"
                    ))
                };
                Root::Stage(self.stage(earlier.ok_or_else(missing)?)?)
            }
        };
        Ok(Some(root))
    }

    /// The files of the context `key`, opened once.
    fn opened(&self, key: &str, origin: &Origin) -> Result<Arc<Context>, StepError> {
        let slot = Arc::clone(lock(&self.named.0).entry(key.to_owned()).or_default());
        let mut slot = lock(&slot);
        if let Some(context) = &*slot {
            return Ok(Arc::clone(context));
        }
        let context = open(&self.access(), &named::shown(key, origin), origin)?;
        Ok(Arc::clone(slot.insert(Arc::new(context))))
    }
}

fn open(access: &Access<'_>, name: &str, origin: &Origin) -> Result<Context, StepError> {
    match origin {
        Origin::Path(path) => {
            let at = |source| StepError::Read { path: name.to_owned(), source };
            let mut context = Context::of_directory(path, name).map_err(at)?.remembered_by(access.store)?;
            for file in IGNORE_FILES {
                if let Some(text) = context.text(file)? {
                    let wrong = |why| StepError::Invalid(format!("{file} of {name}: {why}"));
                    context.hide(&text).map_err(wrong)?;
                    break;
                }
            }
            Ok(context)
        }
        Origin::Git(remote) => Context::of_repository(access, remote, name),
        Origin::Url(url) => match Context::of_url(access, url, name)? {
            context::Opened::Context(context) => Ok(context),
            context::Opened::Dockerfile(_) => Err(StepError::Invalid(format!("{name} is no tar archive"))),
        },
        Origin::Stdin => unreachable!("only the main context is standard input"),
    }
}
