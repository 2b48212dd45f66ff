//! What can be built from a Dockerfile, and what it takes: for whoever has not read it.
//!
//! The comment right before `FROM … AS name` or `ARG name` that begins with that name describes it.

use std::collections::BTreeMap;

use super::globals::Globals;
use super::stages::{Needs, find_stage, named_stage, reachable_stages};
use super::written::{self, Written};
use super::{Dockerfile, Instruction, MountSpec, Span, Stage};

/// A stage that `--target` can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name; one without is named by its number.
    pub name: Option<String>,
    /// What a comment says of it.
    pub description: Option<String>,
    /// What it stands on, with what the arguments make of it.
    pub base: String,
    /// `FROM --platform`, likewise.
    pub platform: Option<String>,
    /// Whether it is built if no target is named.
    pub is_default: bool,
    /// Its FROM.
    pub span: Span,
}

/// What a target takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The target's name.
    pub name: Option<String>,
    /// What a comment says of it.
    pub description: Option<String>,
    /// The build arguments that count, in the order of the file, each once.
    pub args: Vec<Argument>,
    /// Secrets of RUN.
    pub secrets: Vec<Asked>,
    /// SSH agents of RUN.
    pub ssh: Vec<Asked>,
    /// The ids of caches of RUN.
    pub caches: Vec<Asked>,
}

/// An ARG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What a comment says of it.
    pub description: Option<String>,
    /// Its value in this build: what was given, else the default as written in a stage, expanded before the first FROM.
    pub value: Option<String>,
    /// Where it is declared.
    pub span: Span,
}

/// What a mount of RUN asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its id.
    pub id: String,
    /// Whether the RUN fails without.
    pub required: bool,
    /// The mount.
    pub span: Span,
}

/// The text and what is given to it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The text.
    pub source: &'a str,
    /// What it parsed to.
    pub dockerfile: &'a Dockerfile,
    /// `--build-arg`, by name.
    pub build_args: &'a BTreeMap<String, String>,
    /// The names that FROM sees without an ARG, with their values.
    pub predefined: &'a BTreeMap<&'static str, String>,
}

/// The stages of a file, in order.
pub fn targets(subject: &Subject) -> Vec<Target> {
    let written = Lines::new(subject);
    let globals = Globals::new(subject.dockerfile, subject.build_args, subject.predefined);
    let expanded = |word: &str| globals.expanded(word).unwrap_or_else(|| word.to_owned());
    let stages = &subject.dockerfile.stages;
    let target = |(index, stage): (usize, &Stage)| {
        let from = &stage.from.value;
        Target {
            name: from.name.clone(),
            description: from.name.as_deref().and_then(|name| description(written.from(index), name)),
            base: expanded(&from.image),
            platform: from.platform.as_deref().map(expanded),
            is_default: index + 1 == stages.len(),
            span: stage.from.span,
        }
    };
    stages.iter().enumerate().map(target).collect()
}

/// What the stage `target` takes, with all the stages that it needs; `None` if there is no such stage.
pub fn outline(subject: &Subject, target: usize) -> Option<Outline> {
    let stages = &subject.dockerfile.stages;
    let written = Lines::new(subject);
    let globals = Globals::new(subject.dockerfile, subject.build_args, subject.predefined);
    let name = stages.get(target)?.from.value.name.clone();
    let description = name.as_deref().and_then(|name| description(written.from(target), name));
    let mut outline = Outline { name, description, ..Outline::default() };
    for (index, step) in subject.dockerfile.global_args.iter().enumerate() {
        if let Instruction::Arg(args) = &step.instruction {
            for arg in args {
                outline.argument(&arg.name, globals.lookup(&arg.name), &written.all[index]);
            }
        }
    }
    for index in needed(subject.dockerfile, target, &globals) {
        for (number, step) in stages[index].steps.iter().enumerate() {
            match &step.instruction {
                Instruction::Arg(args) => {
                    for arg in args {
                        let given = subject.build_args.get(&arg.name).cloned();
                        let value = given.or_else(|| arg.value.clone()).or_else(|| globals.lookup(&arg.name));
                        outline.argument(&arg.name, value, written.step(index, number));
                    }
                }
                Instruction::Run(run) => {
                    // what holds variables is not known before the build
                    let specs = run.mounts.iter().filter_map(|mount| {
                        MountSpec::parse(&mount.value).ok().map(|spec| (spec, mount.span))
                    });
                    specs.for_each(|(spec, span)| outline.mount(&spec, span));
                }
                _ => {}
            }
        }
    }
    Some(outline)
}

impl Outline {
    fn argument(&mut self, name: &str, value: Option<String>, written: &Written) {
        if self.args.iter().all(|arg| arg.name != name) {
            let description = description(written, name);
            self.args.push(Argument { name: name.to_owned(), description, value, span: written.span });
        }
    }

    fn mount(&mut self, spec: &MountSpec, span: Span) {
        let (list, id, required) = match spec {
            MountSpec::Secret(secret) => (&mut self.secrets, &secret.id, secret.required),
            MountSpec::Ssh(ssh) => (&mut self.ssh, &ssh.id, ssh.required),
            MountSpec::Cache(cache) => (&mut self.caches, cache.id.as_ref().unwrap_or(&cache.target), false),
            _ => return,
        };
        match list.iter_mut().find(|asked| asked.id == *id) {
            Some(asked) => asked.required |= required,
            None => list.push(Asked { id: id.clone(), required, span }),
        }
    }
}

/// The stages that `target` needs, itself included, in the order of the file.
fn needed(dockerfile: &Dockerfile, target: usize, globals: &Globals) -> Vec<usize> {
    let needs = |index: usize| {
        let stage = &dockerfile.stages[index];
        let base = globals.expanded(&stage.from.value.image);
        let sources = stage.sources();
        Needs {
            base: base.and_then(|name| named_stage(dockerfile, &name, index)),
            sources: sources.iter().filter_map(|name| find_stage(dockerfile, name, index)).collect(),
        }
    };
    reachable_stages(target, &needs).into_keys().collect()
}

/// What the comments right before an instruction say of `name`.
fn description(written: &Written, name: &str) -> Option<String> {
    let of_name = |comment: &String| {
        let (word, text) = comment.split_once(char::is_whitespace)?;
        word.eq_ignore_ascii_case(name).then(|| text.trim().to_owned())
    };
    written.comments.iter().rev().find_map(of_name)
}

/// The instructions as written, found by stage and step.
struct Lines {
    all: Vec<Written>,
    /// Where each stage begins.
    starts: Vec<usize>,
}

impl Lines {
    fn new(subject: &Subject) -> Self {
        let mut next = subject.dockerfile.global_args.len();
        let mut starts = Vec::new();
        for stage in &subject.dockerfile.stages {
            starts.push(next);
            next += 1 + stage.steps.len();
        }
        Self { all: written::instructions(subject.source, subject.dockerfile.escape), starts }
    }

    fn from(&self, stage: usize) -> &Written {
        &self.all[self.starts[stage]]
    }

    fn step(&self, stage: usize, step: usize) -> &Written {
        &self.all[self.starts[stage] + 1 + step]
    }
}
