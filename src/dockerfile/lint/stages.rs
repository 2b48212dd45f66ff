//! FROM: names of stages, base images, platforms.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::{Certainty, File, Finding, Findings, Rule, Subject, WrittenStage};
use crate::dockerfile::expand::missing;
use crate::dockerfile::globals::Globals;
use crate::dockerfile::{Span, did_you_mean};

/// Names that `--build-context` and FROM use for something else.
const RESERVED: [&str; 2] = ["scratch", "context"];

/// An image's name with an optional tag and digest (distribution's reference grammar).
const IMAGE: &str = r"(?x) \A
    (?: (?: [A-Za-z0-9] [A-Za-z0-9.-]* | \[ [0-9A-Fa-f:]+ \] ) (?: : [0-9]+ )? / )?
    [a-z0-9]+ (?: (?: \. | __? | -+ ) [a-z0-9]+ )*
    (?: / [a-z0-9]+ (?: (?: \. | __? | -+ ) [a-z0-9]+ )* )*
    (?: : [0-9A-Za-z_] [0-9A-Za-z_.-]{0,127} )?
    (?: @ [A-Za-z0-9.+_-]+ : [0-9A-Fa-f]{32,128} )?
    \z";

pub(super) fn check(file: &File, findings: &mut Findings) {
    // What counts is what the file says by itself.
    let none = BTreeMap::new();
    let globals = Globals::new(file.subject.dockerfile, &none, file.subject.predefined);
    let image = Regex::new(IMAGE).expect("the pattern is fixed");
    let mut names = BTreeSet::new();
    for stage in &file.stages {
        name(stage, &mut names, findings);
        arguments(file, stage, &globals, findings);
        default_image(file.subject, stage, &globals, &image, findings);
        platform(stage, &globals, findings);
    }
}

/// The names in `word` that nothing declares.
fn undeclared(word: &str, escape: char, globals: &Globals) -> Vec<String> {
    let declared = |name: &str| globals.knows(name).then(|| "x".to_owned());
    missing(word, escape, &declared)
}

fn name(stage: &WrittenStage<'_>, names: &mut BTreeSet<String>, findings: &mut Findings) {
    let [_, (keyword, keyword_at), (name, at)] = stage.from.words.as_slice() else { return };
    let from = stage.from.keyword.as_str();
    let lower = name.to_lowercase();
    if *name != lower {
        findings.add(Rule::StageNameCasing, *at, format!("Stage name '{name}' should be lowercase"));
    }
    // FROM in mixed case is another rule's
    let fits = match from {
        _ if from == from.to_ascii_uppercase() => *keyword == keyword.to_ascii_uppercase(),
        _ if from == from.to_ascii_lowercase() => *keyword == keyword.to_ascii_lowercase(),
        _ => true,
    };
    if !fits {
        let message = format!("'{keyword}' and '{from}' keywords' casing do not match");
        findings.add(Rule::FromAsCasing, *keyword_at, message);
    }
    if RESERVED.contains(&lower.as_str()) {
        let message = format!("Stage name should not use the same name as reserved stage {lower:?}");
        findings.add(Rule::ReservedStageName, *at, message);
    }
    if !names.insert(lower.clone()) {
        let message = format!("Duplicate stage name {lower:?}, stage names should be unique");
        findings.add(Rule::DuplicateStageName, *at, message);
    }
}

fn arguments(file: &File, stage: &WrittenStage<'_>, globals: &Globals, findings: &mut Findings) {
    let from = &stage.stage.from.value;
    for word in std::iter::once(&from.image).chain(&from.platform) {
        for name in undeclared(word, file.subject.dockerfile.escape, globals) {
            let known: Vec<&str> = globals.names().collect();
            let message = format!("FROM argument '{name}' is not declared{}", did_you_mean(&name, &known));
            findings.add(Rule::UndefinedArgInFrom, file.variable(stage.from.span, &name), message);
        }
    }
}

/// What FROM names when no build argument is given.
fn default_image(
    subject: &Subject,
    stage: &WrittenStage<'_>,
    globals: &Globals,
    image: &Regex,
    findings: &mut Findings,
) {
    let written = &stage.stage.from.value.image;
    if !written.contains('$') {
        return;
    }
    let name = globals.expanded(written).unwrap_or_default();
    let stages = &subject.dockerfile.stages;
    let is_stage =
        || stages.iter().any(|stage| stage.from.value.name.as_deref() == Some(&name.to_lowercase()));
    if !image.is_match(&name) && !is_stage() {
        let message = format!("Default value for ARG {written} results in empty or invalid base image name");
        let at = stage.from.words.first().map_or(stage.from.span, |(_, at)| *at);
        findings.add(Rule::InvalidDefaultArgInFrom, at, message);
    }
}

fn platform(stage: &WrittenStage<'_>, globals: &Globals, findings: &mut Findings) {
    let from = &stage.stage.from.value;
    let Some(platform) = &from.platform else { return };
    let at = stage.from.span;
    if matches!(platform.as_str(), "$TARGETPLATFORM" | "${TARGETPLATFORM}")
        && !globals.declares("TARGETPLATFORM")
    {
        let message = format!(
            "Setting platform to predefined {platform} in FROM is redundant as this is the default behavior"
        );
        findings.add(Rule::RedundantTargetPlatform, at, message);
    }
    // a stage for each platform, named after it, is chosen by a variable later
    let name = from.name.as_deref().unwrap_or_default();
    let is_named_after = || platform.split('/').take(2).any(|part| !part.is_empty() && name.contains(part));
    if !platform.contains('$') && !is_named_after() {
        let message = format!("FROM --platform flag should not use constant value {platform:?}");
        findings.add(Rule::FromPlatformFlagConstDisallowed, at, message);
    }
}

/// A base image that turned out to be for another platform: the one finding that needs the image.
pub fn foreign_base(image: &str, own: &str, wanted: &str, from: Span) -> Finding {
    let message = format!("Base image {image} is for platform {own:?}, and this build is for {wanted:?}");
    Finding { rule: Rule::InvalidBaseImagePlatform, message, span: from, certainty: Certainty::Certain }
}
