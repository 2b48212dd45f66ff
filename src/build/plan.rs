//! Which stages a target needs.
//!
//! Stages are named by FROM … AS, by their index, or not at all; a later stage hides an earlier one of the
//! same name. Only what the target reaches is built. Whatever this version cannot carry out is refused
//! here, by name, before the first step runs.

use std::collections::BTreeMap;

use super::StepError;
use crate::dockerfile::{Copy, Dockerfile, Instruction, MountSpec, Source, Step};

/// The index of the stage called `name` among the first `before` ones: the last of that name, or the one
/// with that number.
pub(super) fn find(dockerfile: &Dockerfile, name: &str, before: usize) -> Option<usize> {
    named(dockerfile, name, before).or_else(|| name.parse().ok().filter(|&index| index < before))
}

/// The last of the first `before` stages that has this name. FROM knows no numbers.
pub(super) fn named(dockerfile: &Dockerfile, name: &str, before: usize) -> Option<usize> {
    dockerfile.stages[..before]
        .iter()
        .rposition(|stage| stage.from.value.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name)))
}

/// The stages that `target` reaches, itself included, each with the stage that it stands on. `expand` is what FROM sees.
///
/// A COPY or a mount from something with a variable is not known yet: its stage is built when its name is.
pub(super) fn reachable(
    dockerfile: &Dockerfile,
    target: usize,
    expand: &dyn Fn(&str) -> String,
) -> BTreeMap<usize, Option<usize>> {
    let mut reached = BTreeMap::new();
    let mut needed = vec![false; target + 1];
    needed[target] = true;
    // Stages only refer to earlier ones, so one pass from the end sees every need.
    for index in (0..=target).rev() {
        if !needed[index] {
            continue;
        }
        let stage = &dockerfile.stages[index];
        let base = named(dockerfile, &expand(&stage.from.value.image), index);
        let sources = stage.steps.iter().flat_map(source_stages);
        for earlier in base.into_iter().chain(sources.filter_map(|name| find(dockerfile, &name, index))) {
            needed[earlier] = true;
        }
        reached.insert(index, base);
    }
    reached
}

fn source_stages(step: &Step) -> Vec<String> {
    match &step.instruction {
        Instruction::Copy(copy) | Instruction::Add(copy) => copy.from.iter().cloned().collect(),
        // what does not parse yet waits for its variables
        Instruction::Run(run) => {
            let specs = run.mounts.iter().filter_map(|mount| MountSpec::parse(&mount.value).ok());
            specs.filter_map(|spec| spec.from().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
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
    let flags = [
        (format!("{verb} --checksum"), copy.checksum.is_some()),
        (format!("{verb} --keep-git-dir"), copy.keep_git_dir.is_some()),
    ];
    refuse(&flags)?;
    supported_sources(verb, copy)
}

/// Refuses sources that are not files of a tree; asked again when variables have become words.
pub(super) fn supported_sources(verb: &str, copy: &Copy) -> Result<(), StepError> {
    let remote = copy.sources.iter().find_map(|source| match source {
        Source::Path(path) => remote_kind(path).map(|kind| (path, kind)),
        Source::Heredoc(_) => None,
    });
    match remote {
        Some((path, kind)) if verb == "COPY" => {
            Err(StepError::Invalid(format!("source can't be a {kind} for COPY: {path}")))
        }
        Some((path, kind)) => Err(StepError::Unsupported(format!("ADD of a {kind} ({path})"))),
        None => Ok(()),
    }
}

fn refuse(flags: &[(impl AsRef<str>, bool)]) -> Result<(), StepError> {
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(StepError::Unsupported(flag.as_ref().to_owned())),
        None => Ok(()),
    }
}

fn remote_kind(source: &str) -> Option<&'static str> {
    let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| source.starts_with(prefix));
    if is(&["git://", "ssh://", "git@"]) {
        return Some("git ref");
    }
    is(&["http://", "https://", "ftp://"]).then_some("URL")
}
