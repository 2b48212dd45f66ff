//! `rbuild bud --call`: what the Dockerfile is, instead of a build. Reads the Dockerfile and its ignore file, and nothing
//! else: no store, no network, no namespace.

mod json;
mod text;

use std::collections::BTreeMap;

use super::failure::Failure;
use super::output;
use crate::build;
use crate::dockerfile::{self, Diagnostics, Dockerfile, IgnoreFile, Script, lint, outline};
use crate::oci::Platform;

/// `--call=METHOD[,format=FORMAT]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    method: Method,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Build,
    Check,
    Outline,
    Targets,
    Ast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

/// The exit code of checks that found something, as docker's.
const FOUND: u8 = 1;

impl Call {
    /// `--check`.
    pub(super) const CHECK: Self = Self { method: Method::Check, format: Format::Text };

    /// Whether it is an ordinary build after all.
    pub(super) fn is_build(self) -> bool {
        self.method == Method::Build
    }
}

/// Reads the value of `--call`.
pub(super) fn parse(text: &str) -> Result<Call, String> {
    let (method, options) = text.split_once(',').map_or((text, None), |(method, rest)| (method, Some(rest)));
    let method = match method {
        "build" => Method::Build,
        "check" | "lint" => Method::Check,
        "outline" => Method::Outline,
        "targets" => Method::Targets,
        "ast" => Method::Ast,
        _ => return Err("expected build, check, outline, targets or ast".to_owned()),
    };
    let format = match options {
        None | Some("format=text") => Format::Text,
        Some("format=json") if method != Method::Build => Format::Json,
        Some("format=json") => return Err("a build has no format".to_owned()),
        Some(other) => return Err(format!("{other:?}: expected format=text or format=json")),
    };
    Ok(Call { method, format })
}

/// The file that is asked about, and what is given to it.
pub(super) struct Question<'a> {
    pub(super) script: &'a Script,
    pub(super) ignore: Option<&'a str>,
    pub(super) target: Option<&'a str>,
    pub(super) build_args: &'a BTreeMap<String, String>,
    pub(super) platform: &'a Platform,
}

/// Answers on stdout.
pub(super) fn run(call: Call, question: &Question) -> Result<(), Failure> {
    let predefined = build::predefined(question.platform, question.target.unwrap_or("default"));
    let dockerfile = match question.script.parse() {
        Ok(dockerfile) => dockerfile,
        Err(diagnostics) => return unreadable(call, question, &diagnostics),
    };
    let subject = outline::Subject {
        source: question.script.text(),
        dockerfile: &dockerfile,
        build_args: question.build_args,
        predefined: &predefined,
    };
    match call.method {
        Method::Build => Err(Failure::new("--call=build is a build")),
        Method::Check => check(call.format, question, &subject),
        Method::Outline => {
            let target = target(question, &dockerfile)?;
            let Some(outline) = outline::outline(&subject, target) else { return Err(no_target(question)) };
            output::line(match call.format {
                Format::Text => text::outline(&outline, target),
                Format::Json => json::outline(&outline, question),
            })
        }
        Method::Targets => {
            let targets = outline::targets(&subject);
            output::line(match call.format {
                Format::Text => text::targets(&targets),
                Format::Json => json::targets(&targets, question),
            })
        }
        Method::Ast => {
            let dump = dockerfile::dump(question.script.text(), &dockerfile);
            output::line(match call.format {
                Format::Text => dump.trim_end().to_owned(),
                Format::Json => json::ast(&dump),
            })
        }
    }
}

fn check(format: Format, question: &Question, subject: &outline::Subject) -> Result<(), Failure> {
    let ignore = question.ignore.map(IgnoreFile::parse).transpose();
    let ignore = ignore.map_err(|why| Failure::new(format!("ignore file: {why}")))?;
    let subject = lint::Subject {
        source: subject.source,
        dockerfile: subject.dockerfile,
        build_args: subject.build_args,
        predefined: subject.predefined,
        ignore: ignore.as_ref(),
    };
    let checked = lint::check(&subject).map_err(|bad| match bad.span {
        Some(span) => {
            let excerpt = question.script.excerpt(&span);
            Failure::new(format!("{bad}\n{excerpt}"))
        }
        None => Failure::new(format!("{}: {bad}", lint::CHECK_ARG)),
    })?;
    output::line(match format {
        Format::Text => text::checked(&checked, question),
        Format::Json => json::checked(&checked, question, None),
    })?;
    match (checked.violations(), checked.findings.len()) {
        (Some(rules), _) => Err(Failure::new(format!("lint violation found for rules: {rules}")).code(FOUND)),
        (None, 0) => Ok(()),
        (None, 1) => Err(Failure::new("the checks found one thing").code(FOUND)),
        (None, count) => Err(Failure::new(format!("the checks found {count} things")).code(FOUND)),
    }
}

/// A file that does not parse: a check in JSON says so in its answer as well.
fn unreadable(call: Call, question: &Question, diagnostics: &Diagnostics) -> Result<(), Failure> {
    if call == (Call { method: Method::Check, format: Format::Json }) {
        output::line(json::checked(&lint::Checked::default(), question, diagnostics.0.first()))?;
    }
    Err(Failure::new(question.script.render(diagnostics)))
}

/// The index of the stage that `--target` names; the last one without.
fn target(question: &Question, dockerfile: &Dockerfile) -> Result<usize, Failure> {
    let count = dockerfile.stages.len();
    let Some(name) = question.target else { return Ok(count - 1) };
    let is_called = |stage: &dockerfile::Stage| {
        stage.from.value.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
    };
    let named = dockerfile.stages.iter().rposition(is_called);
    named.or_else(|| name.parse().ok().filter(|&index| index < count)).ok_or_else(|| no_target(question))
}

fn no_target(question: &Question) -> Failure {
    let name = question.target.unwrap_or_default();
    Failure::new(format!("target stage {name:?} could not be found")).hint("--call=targets lists them")
}
