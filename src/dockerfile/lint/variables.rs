//! Variables that are expanded and were never declared.

use std::collections::{BTreeMap, BTreeSet};

use super::{Certainty, File, Findings, Rule, WrittenStage};
use crate::dockerfile::expand::{missing, missing_in_heredoc};
use crate::dockerfile::{Copy, Instruction, Source, Step, did_you_mean};

/// Declared everywhere: the proxies by the builder, PATH by its default.
const EVERYWHERE: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY", "PATH"];

/// What a stage has declared, for itself and for those upon it.
#[derive(Clone)]
struct Names<'a> {
    declared: BTreeSet<&'a str>,
    /// Whether all of it is in the file: the stage stands upon nothing.
    certainty: Certainty,
}

pub(super) fn check(file: &File, findings: &mut Findings) {
    let mut ends: BTreeMap<&str, Names> = BTreeMap::new();
    for stage in &file.stages {
        let from = &stage.stage.from.value;
        let mut names = match ends.get(from.image.to_lowercase().as_str()) {
            Some(names) => names.clone(),
            None if from.image == "scratch" => {
                Names { declared: BTreeSet::new(), certainty: Certainty::Certain }
            }
            None => Names { declared: BTreeSet::new(), certainty: Certainty::UnlessInBase },
        };
        check_stage(file, stage, &mut names, findings);
        if let Some(name) = &from.name {
            ends.insert(name, names);
        }
    }
}

fn check_stage<'a>(
    file: &File<'a>,
    stage: &WrittenStage<'a>,
    names: &mut Names<'a>,
    findings: &mut Findings,
) {
    for (step, _) in &stage.steps {
        let known = |name: &str| {
            let everywhere = EVERYWHERE.iter().any(|other| other.eq_ignore_ascii_case(name));
            (everywhere || names.declared.contains(name)).then(|| "x".to_owned())
        };
        let mut told = BTreeSet::new();
        let undeclared = match &step.instruction {
            Instruction::Arg(args) => {
                let escape = file.subject.dockerfile.escape;
                let mut undeclared = Vec::new();
                for arg in args {
                    let known =
                        |name: &str| known(name).or_else(|| told.contains(name).then(|| "x".to_owned()));
                    undeclared.extend(missing(arg.value.as_deref().unwrap_or_default(), escape, &known));
                    told.insert(arg.name.as_str()); // the next one sees it
                }
                undeclared
            }
            _ => of_step(file, step, &known),
        };
        let mut once = BTreeSet::new();
        for name in undeclared.iter().filter(|name| once.insert(name.as_str())) {
            let candidates: Vec<&str> = names.declared.iter().copied().collect();
            let message = format!("Usage of undefined variable '${name}'{}", did_you_mean(name, &candidates));
            findings.add_if(names.certainty, Rule::UndefinedVar, file.variable(step.span, name), message);
        }
        match &step.instruction {
            Instruction::Arg(args) => names.declared.extend(args.iter().map(|arg| arg.name.as_str())),
            Instruction::Env(pairs) => names.declared.extend(pairs.iter().map(|(key, _)| key.as_str())),
            _ => {}
        }
    }
}

/// What the words of a step take for granted. RUN, CMD, ENTRYPOINT and HEALTHCHECK leave theirs to the shell.
fn of_step(file: &File, step: &Step, known: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let escape = file.subject.dockerfile.escape;
    let words: Vec<&str> = match &step.instruction {
        Instruction::Env(pairs) | Instruction::Label(pairs) => {
            pairs.iter().flat_map(|(key, value)| [key.as_str(), value]).collect()
        }
        Instruction::Expose(words) | Instruction::Volume(words) => words.iter().map(String::as_str).collect(),
        Instruction::Workdir(word) | Instruction::User(word) | Instruction::Stopsignal(word) => vec![word],
        Instruction::Run(run) => run.mounts.iter().map(|mount| mount.value.as_str()).collect(),
        Instruction::Copy(copy) | Instruction::Add(copy) => copy_words(copy),
        _ => Vec::new(),
    };
    let mut undeclared: Vec<String> = words.iter().flat_map(|word| missing(word, escape, known)).collect();
    if let Instruction::Copy(copy) | Instruction::Add(copy) = &step.instruction {
        let heredocs = copy.sources.iter().filter_map(|source| match source {
            Source::Heredoc(heredoc) if heredoc.expand => Some(heredoc),
            _ => None,
        });
        undeclared.extend(heredocs.flat_map(|heredoc| missing_in_heredoc(&heredoc.body, known)));
    }
    undeclared
}

fn copy_words(copy: &Copy) -> Vec<&str> {
    let sources = copy.sources.iter().filter_map(|source| match source {
        Source::Path(path) => Some(path),
        Source::Heredoc(_) => None,
    });
    let flags = [&copy.from, &copy.chown, &copy.chmod, &copy.checksum];
    let words = sources.chain([&copy.dest]).chain(flags.into_iter().flatten()).chain(&copy.exclude);
    words.map(String::as_str).collect()
}
