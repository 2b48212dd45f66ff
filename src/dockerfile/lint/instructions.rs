//! One instruction, and its neighbours in the stage.

use std::collections::BTreeMap;

use super::{File, Findings, Rule, Subject, WrittenStage};
use crate::dockerfile::written::Written;
use crate::dockerfile::{Command, Copy, Instruction, Source, Span, Step};

/// Words in a name that tell of a secret.
const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];

pub(super) fn check(file: &File, findings: &mut Findings) {
    for (step, _) in &file.global_args {
        secrets(file.subject, step, findings);
    }
    let mut ends: BTreeMap<&str, Below> = BTreeMap::new();
    for stage in &file.stages {
        let below =
            ends.get(stage.stage.from.value.image.to_lowercase().as_str()).copied().unwrap_or_default();
        let end = check_stage(file.subject, stage, below, findings);
        if let Some(name) = &stage.stage.from.value.name {
            ends.insert(name, end);
        }
    }
}

/// What a stage leaves to the stages upon it.
#[derive(Clone, Copy, Default)]
struct Below {
    has_workdir: bool,
    has_shell: bool,
}

fn check_stage(
    subject: &Subject,
    stage: &WrittenStage<'_>,
    mut below: Below,
    findings: &mut Findings,
) -> Below {
    let mut last: BTreeMap<&str, Span> = BTreeMap::new();
    for (step, written) in &stage.steps {
        secrets(subject, step, findings);
        match &step.instruction {
            Instruction::Cmd(command) => {
                once("CMD", step, &mut last, findings);
                json("CMD", command, step, below, findings);
            }
            Instruction::Entrypoint(command) => {
                once("ENTRYPOINT", step, &mut last, findings);
                json("ENTRYPOINT", command, step, below, findings);
            }
            Instruction::Healthcheck(_) => once("HEALTHCHECK", step, &mut last, findings),
            Instruction::Shell(_) => below.has_shell = true,
            Instruction::Workdir(path) => {
                workdir(path, step, below, findings);
                below.has_workdir = true;
            }
            Instruction::Maintainer(_) => {
                let message = "Maintainer instruction is deprecated in favor of using label";
                findings.add(Rule::MaintainerDeprecated, step.span, message);
            }
            Instruction::Env(_) => legacy("ENV", written, findings),
            Instruction::Label(_) => legacy("LABEL", written, findings),
            Instruction::Expose(_) => expose(written, findings),
            Instruction::Copy(copy) => ignored(subject, "Copy", copy, step, findings),
            Instruction::Add(copy) => ignored(subject, "Add", copy, step, findings),
            _ => {}
        }
    }
    below
}

/// Only the last one counts, so the place is that of the one before.
fn once(name: &'static str, step: &Step, last: &mut BTreeMap<&str, Span>, findings: &mut Findings) {
    if let Some(before) = last.insert(name, step.span) {
        let message = format!(
            "Multiple {name} instructions should not be used in the same stage because only the last one will be used"
        );
        findings.add(Rule::MultipleInstructionsDisallowed, before, message);
    }
}

/// Whoever chose a shell wants one.
fn json(name: &str, command: &Command, step: &Step, below: Below, findings: &mut Findings) {
    if matches!(command, Command::Shell(_)) && !below.has_shell {
        let message = format!(
            "JSON arguments recommended for {name} to prevent unintended behavior related to OS signals"
        );
        findings.add(Rule::JSONArgsRecommended, step.span, message);
    }
}

/// A path that begins with a variable is not judged.
fn workdir(path: &str, step: &Step, below: Below, findings: &mut Findings) {
    let unquoted = path.trim_start_matches(['"', '\'']);
    if !below.has_workdir && !unquoted.starts_with(['/', '$']) {
        let message =
            format!("Relative workdir {path:?} can have unexpected results if the base image changes");
        findings.add(Rule::WorkdirRelativePath, step.span, message);
    }
}

fn legacy(name: &str, written: &Written, findings: &mut Findings) {
    if written.words.first().is_some_and(|(word, _)| !word.contains('='))
        && !written.args.starts_with(['"', '\''])
    {
        let message =
            format!("\"{name} key=value\" should be used instead of legacy \"{name} key value\" format");
        findings.add(Rule::LegacyKeyValueFormat, written.span, message);
    }
}

fn expose(written: &Written, findings: &mut Findings) {
    for (word, at) in &written.words {
        let (port, protocol) = word.split_once('/').unwrap_or((word, ""));
        if !word.contains('$') && protocol != protocol.to_ascii_lowercase() {
            let message = format!("Defined protocol '{word}' in EXPOSE instruction should be lowercase");
            findings.add(Rule::ExposeProtoCasing, *at, message);
        }
        if !word.contains('$') && port.contains(':') {
            let message = format!(
                "EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'"
            );
            findings.add(Rule::ExposeInvalidFormat, *at, message);
        }
    }
}

/// Names that look like those of secrets.
fn secrets(subject: &Subject, step: &Step, findings: &mut Findings) {
    let (verb, names): (_, Vec<&str>) = match &step.instruction {
        Instruction::Arg(args) => ("ARG", args.iter().map(|arg| arg.name.as_str()).collect()),
        Instruction::Env(pairs) => ("ENV", pairs.iter().map(|(key, _)| key.as_str()).collect()),
        _ => return,
    };
    for name in names.into_iter().filter(|name| is_secret(name)) {
        let message = format!("Do not use ARG or ENV instructions for sensitive data ({verb} {name:?})");
        findings.add(Rule::SecretsUsedInArgOrEnv, step.span.narrowed(subject.source, name), message);
    }
}

fn is_secret(name: &str) -> bool {
    let has =
        |words: &[&str]| name.split('_').any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)));
    has(&SECRET) && !has(&["public"])
}

/// Sources of the context that its ignore file hides. Wildcards and variables are the build's to judge.
fn ignored(subject: &Subject, verb: &str, copy: &Copy, step: &Step, findings: &mut Findings) {
    let Some(ignore) = subject.ignore.filter(|_| copy.from.is_none()) else { return };
    for source in &copy.sources {
        let Source::Path(path) = source else { continue };
        let is_plain = !path.contains(['$', '*', '?', '[', '\\', '"', '\'']) && !path.contains("://");
        if is_plain && ignore.ignores_source(path) {
            let message = format!("Attempting to {verb} file {path:?} that is excluded by .dockerignore");
            findings.add(Rule::CopyIgnoredFile, step.span.narrowed(subject.source, path), message);
        }
    }
}
