//! Build checks: what a Dockerfile may say and probably should not.
//!
//! The rules and their names are Docker's (`docker build --check`), so that a `# check=skip=…` written for one builder
//! counts for the other; their texts are our own.
//!
//! ```text
//! rules         the table: names, tiers, what each asks for
//! options       # check=skip=…;error=…;experimental=…
//! layout        how the file is written: case of keywords, empty lines, comments
//! stages        FROM
//! instructions  one instruction, and its neighbours in the stage
//! variables     what is expanded and was never declared
//! ```
//!
//! A check sees the text, the build arguments and the ignore file. It knows no base image, whose environment may declare
//! what the file does not: such a finding is [`Certainty::UnlessInBase`], is told by a check, and fails no build.

mod instructions;
mod layout;
mod options;
mod rules;
mod stages;
mod variables;

use std::collections::BTreeMap;

use super::source::Text;
use super::written::{self, Written};
use super::{Dockerfile, IgnoreFile, Span, Stage, Step, directive};
use options::Options;

pub use options::OptionError;
pub use rules::{Rule, Tier};
pub use stages::foreign_base;

/// The build argument that stands in for the directive `# check=`.
pub const CHECK_ARG: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// What is checked, and what is known beside it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The text.
    pub source: &'a str,
    /// What it parsed to.
    pub dockerfile: &'a Dockerfile,
    /// `--build-arg`, by name.
    pub build_args: &'a BTreeMap<String, String>,
    /// The names that FROM sees without an ARG (`TARGETPLATFORM`…), with their values.
    pub predefined: &'a BTreeMap<&'static str, String>,
    /// The ignore file of the context, if it is known.
    pub ignore: Option<&'a IgnoreFile>,
}

/// Whether a base image could make a finding wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// No.
    Certain,
    /// Its environment may declare the variable.
    UnlessInBase,
}

/// One place that a rule does not like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// What is wrong here.
    pub message: String,
    /// Where.
    pub span: Span,
    /// Whether the file alone tells.
    pub certainty: Certainty,
}

/// What the checks found, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The findings.
    pub findings: Vec<Finding>,
    /// Names in the options that no rule has, each with the one that may have been meant.
    pub unknown: Vec<String>,
    options: Options,
}

/// The options of the checks cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadOption {
    /// What is wrong.
    #[source]
    pub reason: OptionError,
    /// The directive; `None` if the options came by [`CHECK_ARG`].
    pub span: Option<Span>,
}

impl Checked {
    /// Whether findings of `rule` count: for what only the build finds out.
    pub fn wants(&self, rule: Rule) -> bool {
        self.options.wants(rule)
    }

    /// The rules that the file breaks for certain, each once, if `error=true` makes that an error.
    pub fn violations(&self) -> Option<String> {
        let certain = self.findings.iter().filter(|finding| finding.certainty == Certainty::Certain);
        let mut names: Vec<&str> = certain.map(|finding| finding.rule.name()).collect();
        names.sort_unstable();
        names.dedup();
        (self.options.error && !names.is_empty()).then(|| names.join(", "))
    }

    /// Whether `error=true` was said.
    pub fn is_strict(&self) -> bool {
        self.options.error
    }
}

/// Checks a Dockerfile. Errors if the options cannot be read.
pub fn check(subject: &Subject) -> Result<Checked, BadOption> {
    let options = options(subject)?;
    let written = written::instructions(subject.source, subject.dockerfile.escape);
    let file = File::new(subject, &written);
    let mut findings = Findings { options: &options, found: Vec::new() };
    layout::check(&file, &mut findings);
    stages::check(&file, &mut findings);
    instructions::check(&file, &mut findings);
    variables::check(&file, &mut findings);
    let mut findings = findings.found;
    findings.sort_by_key(|finding| (finding.span.start, finding.rule));
    Ok(Checked { findings, unknown: options.unknown.clone(), options })
}

fn options(subject: &Subject) -> Result<Options, BadOption> {
    match (subject.build_args.get(CHECK_ARG), &subject.dockerfile.check) {
        (Some(text), _) => Options::parse(text).map_err(|reason| BadOption { reason, span: None }),
        (None, Some(text)) => Options::parse(text).map_err(|reason| {
            let span = directive::check_span(&Text::new(subject.source));
            BadOption { reason, span }
        }),
        (None, None) => Ok(Options::default()),
    }
}

/// The findings of the rules that count.
struct Findings<'a> {
    options: &'a Options,
    found: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, rule: Rule, span: Span, message: impl Into<String>) {
        self.add_if(Certainty::Certain, rule, span, message);
    }

    fn add_if(&mut self, certainty: Certainty, rule: Rule, span: Span, message: impl Into<String>) {
        if self.options.wants(rule) {
            self.found.push(Finding { rule, message: message.into(), span, certainty });
        }
    }
}

/// A file: its tree, and beside each node how it was written.
struct File<'a> {
    subject: &'a Subject<'a>,
    global_args: Vec<(&'a Step, &'a Written)>,
    stages: Vec<WrittenStage<'a>>,
}

struct WrittenStage<'a> {
    stage: &'a Stage,
    from: &'a Written,
    steps: Vec<(&'a Step, &'a Written)>,
}

impl<'a> File<'a> {
    fn new(subject: &'a Subject<'a>, written: &'a [Written]) -> Self {
        let dockerfile = subject.dockerfile;
        let (global, mut rest) = written.split_at(dockerfile.global_args.len());
        let mut stages = Vec::new();
        for stage in &dockerfile.stages {
            let (own, others) = rest.split_at(1 + stage.steps.len());
            stages.push(WrittenStage {
                stage,
                from: &own[0],
                steps: stage.steps.iter().zip(&own[1..]).collect(),
            });
            rest = others;
        }
        Self { subject, global_args: dockerfile.global_args.iter().zip(global).collect(), stages }
    }

    /// Where `$name` or `${name` stands within `span`; all of it where it is not found.
    fn variable(&self, span: Span, name: &str) -> Span {
        let source = self.subject.source;
        let Some(text) = source.get(span.bytes()) else { return span };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let ends = |at: usize| text[at..].chars().next().is_none_or(|next| !is_name(next));
        let braced = format!("${{{name}");
        let plain = format!("${name}");
        let all = [&plain, &braced].into_iter().flat_map(|form| text.match_indices(form.as_str()));
        match all.filter(|(at, form)| ends(at + form.len())).min() {
            Some((at, form)) => {
                let closed = form.starts_with("${") && text[at + form.len()..].starts_with('}');
                span.part(source, at, form.len() + usize::from(closed))
            }
            None => span,
        }
    }
}

#[cfg(test)]
mod tests;
