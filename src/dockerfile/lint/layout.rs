//! How the file is written: case of keywords, empty lines, comments.

use super::{File, Findings, Rule};
use crate::dockerfile::written::Written;
use crate::dockerfile::{Instruction, Step};

pub(super) fn check(file: &File, findings: &mut Findings) {
    for warning in &file.subject.dockerfile.warnings {
        findings.add(Rule::NoEmptyContinuation, warning.span, warning.message.clone());
    }
    casing(file, findings);
    for (step, written) in &file.global_args {
        argument(step, written, findings);
    }
    for stage in &file.stages {
        if let Some(name) = &stage.stage.from.value.name {
            let is_own = |comment: &String| word_of(comment).eq_ignore_ascii_case(name);
            description("build stage", name, stage.from, is_own, findings);
        }
        for (step, written) in &stage.steps {
            argument(step, written, findings);
        }
    }
}

fn word_of(comment: &str) -> &str {
    comment.split_whitespace().next().unwrap_or_default()
}

/// The comment before an ARG is that of one of its names.
fn argument(step: &Step, written: &Written, findings: &mut Findings) {
    if let Instruction::Arg(args) = &step.instruction
        && let Some(first) = args.first()
    {
        let is_own = |comment: &String| args.iter().any(|arg| arg.name == word_of(comment));
        description("build argument", &first.name, written, is_own, findings);
    }
}

fn description(
    what: &str,
    name: &str,
    written: &Written,
    is_own: impl Fn(&String) -> bool,
    findings: &mut Findings,
) {
    if !written.comments.is_empty() && !written.comments.iter().any(is_own) {
        let message = format!(
            "Comment for {what} should follow the format: `# {name} <description>`; an empty line behind it makes it \
             a comment of its own"
        );
        findings.add(Rule::InvalidDefinitionDescription, written.span, message);
    }
}

/// What the case of a keyword is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Upper,
    Lower,
    Mixed,
}

fn case_of(keyword: &str) -> Case {
    match (keyword.to_ascii_uppercase() == keyword, keyword.to_ascii_lowercase() == keyword) {
        (true, _) => Case::Upper,
        (_, true) => Case::Lower,
        _ => Case::Mixed,
    }
}

/// Most instructions decide; in doubt, capitals. The ARGs before the first FROM have no say, as with BuildKit.
fn casing(file: &File, findings: &mut Findings) {
    let mut all: Vec<&Written> = Vec::new();
    for stage in &file.stages {
        all.push(stage.from);
        all.extend(stage.steps.iter().map(|(_, written)| *written));
    }
    let count = |case| all.iter().filter(|written| case_of(&written.keyword) == case).count();
    let (majority, name) = if count(Case::Lower) > count(Case::Upper) {
        (Case::Lower, "lowercase")
    } else {
        (Case::Upper, "uppercase")
    };
    for written in all.iter().filter(|written| case_of(&written.keyword) != majority) {
        let message =
            format!("Command '{}' should match the case of the command majority ({name})", written.keyword);
        findings.add(Rule::ConsistentInstructionCasing, written.keyword_at, message);
    }
}
