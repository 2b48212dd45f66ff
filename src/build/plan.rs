//! Which stages a target needs.
//!
//! Only what the target reaches is built. Whatever this version cannot carry out is refused
//! here, by name, before the first step runs.

use std::collections::BTreeMap;

use super::StepError;
use super::copy::path_of;
use super::copy::remote::Remote;
use super::named::{Contexts, Named};
use crate::dockerfile::{Copy, Dockerfile, Instruction, Needs, Step, reachable_stages};
use crate::oci::Platform;

pub(super) use crate::dockerfile::{find_stage as find, named_stage as named};

/// What names lead to: a context of the name goes before a stage.
pub(super) struct Names<'a> {
    pub dockerfile: &'a Dockerfile,
    pub contexts: &'a Contexts,
    pub platform: &'a Platform,
}

impl Names<'_> {
    /// The stage that FROM of the stage `before` finds under `name`; `None` if it finds something else.
    fn base(&self, name: &str, before: usize) -> Option<usize> {
        match self.context(name, before) {
            Some(context) => context.stage(),
            None => named(self.dockerfile, name, before),
        }
    }

    /// The same for COPY --from and mounts, which know the numbers of stages too.
    fn source(&self, name: &str, before: usize) -> Option<usize> {
        match self.context(name, before) {
            Some(context) => context.stage(),
            None => find(self.dockerfile, name, before),
        }
    }

    /// The context that is called `name`.
    fn context(&self, name: &str, before: usize) -> Option<Leads> {
        match self.contexts.find(name, self.platform)? {
            (_, Named::Stage(stage)) => {
                Some(find(self.dockerfile, stage, before).map_or(Leads::Elsewhere, Leads::To))
            }
            _ => Some(Leads::Elsewhere),
        }
    }
}

/// Where a context leads.
enum Leads {
    /// To a stage.
    To(usize),
    Elsewhere,
}

impl Leads {
    fn stage(self) -> Option<usize> {
        match self {
            Self::To(stage) => Some(stage),
            Self::Elsewhere => None,
        }
    }
}

/// The stages that `target` reaches, itself included, each with the stage that it stands on. `expand` is what FROM sees.
///
/// A COPY or a mount from something with a variable is not known yet: its stage is built when its name is.
pub(super) fn reachable(
    names: &Names<'_>,
    target: usize,
    expand: &dyn Fn(&str) -> String,
) -> BTreeMap<usize, Option<usize>> {
    let needs = |index: usize| {
        let stage = &names.dockerfile.stages[index];
        let from = &stage.from.value;
        // A context in its place: what it would need, nobody does.
        if let Some(context) = from.name.as_deref().and_then(|own| names.context(own, index)) {
            return Needs { base: context.stage(), sources: Vec::new() };
        }
        let sources = stage.sources();
        Needs {
            base: names.base(&expand(&from.image), index),
            sources: sources.iter().filter_map(|name| names.source(name, index)).collect(),
        }
    };
    reachable_stages(target, &needs)
}

/// Refuses what the language has and this version does not carry out.
pub(super) fn supported(step: &Step) -> Result<(), StepError> {
    match &step.instruction {
        Instruction::Copy(copy) => supported_copy("COPY", copy),
        Instruction::Add(add) => supported_copy("ADD", add),
        _ => Ok(()),
    }
}

fn supported_copy(verb: &str, copy: &Copy) -> Result<(), StepError> {
    // What a variable brings is judged when it has its value.
    let is_variable = |word: &str| word.contains('$');
    let words = || copy.sources.iter().filter_map(path_of);
    if words().any(is_variable) || copy.checksum.as_deref().is_some_and(is_variable) {
        return Ok(());
    }
    Remote::check_flags(verb, copy)?;
    words().try_for_each(|word| Remote::of(verb, word, copy).map(drop))
}
