//! The checks of the Dockerfile in an ordinary build: told once each, and an error only by `check=error=true`.

use super::scope;
use super::{Error, Options, StepError};
use crate::dockerfile::lint::{self, CHECK_ARG, Certainty, Checked, Finding, Rule};
use crate::dockerfile::{Diagnostic, Diagnostics, Dockerfile, IgnoreFile, Script, Span};
use crate::oci::Platform;
use crate::progress::{Event, Sink};
use crate::store::Image;

/// What was found before the build, and what the build itself may find.
pub(super) struct Checks {
    checked: Checked,
    script: Script,
}

impl Checks {
    /// `ignore` is what the context hides.
    pub(super) fn new(
        dockerfile: &Dockerfile,
        options: &Options,
        ignore: &IgnoreFile,
    ) -> Result<Self, Error> {
        let stage = options.target.as_deref().unwrap_or("default");
        let predefined = scope::predefined(&options.platform, stage);
        let subject = lint::Subject {
            source: options.dockerfile.text(),
            dockerfile,
            build_args: &options.build_args,
            predefined: &predefined,
            ignore: Some(ignore),
        };
        let checked = lint::check(&subject).map_err(|bad| refused(&bad, options))?;
        Ok(Self { checked, script: options.dockerfile.clone() })
    }

    /// Tells what was found. Errors if that is one.
    pub(super) fn tell(&self, sink: &dyn Sink) -> Result<(), Error> {
        for name in &self.checked.unknown {
            sink.event(Event::Warning(format!("the checks have no rule {name}")));
        }
        let certain = |finding: &&Finding| finding.certainty == Certainty::Certain;
        for finding in self.checked.findings.iter().filter(certain) {
            self.warn(finding, sink);
        }
        self.checked.violations().map_or(Ok(()), |rules| Err(Error::Checks(rules)))
    }

    /// Refuses a base image for another platform than it was asked for, if that is an error: that it is one has been
    /// told when it was pulled.
    pub(super) fn base(
        &self,
        name: &str,
        image: &Image,
        wanted: &Platform,
        from: Span,
    ) -> Result<(), StepError> {
        let rule = Rule::InvalidBaseImagePlatform;
        let (os, architecture) = (image.config.os.clone(), image.config.architecture.clone());
        let own = Platform { os, architecture, variant: image.config.variant.clone() };
        if own.satisfies(wanted) || !self.checked.is_strict() || !self.checked.wants(rule) {
            return Ok(());
        }
        let finding = lint::foreign_base(name, &own.to_string(), &wanted.to_string(), from);
        Err(StepError::Invalid(format!("{} ({})", finding.message, rule.name())))
    }

    fn warn(&self, finding: &Finding, sink: &dyn Sink) {
        let Finding { rule, message, span, .. } = finding;
        let (file, line) = self.script.place(span);
        let text = format!("{file}:{line}: {message} ({})", rule.name());
        sink.event(Event::Warning(text));
    }
}

fn refused(bad: &lint::BadOption, options: &Options) -> Error {
    let message = bad.reason.to_string();
    match bad.span {
        Some(span) => Error::Dockerfile {
            diagnostics: Diagnostics(vec![Diagnostic { span, message, hint: None }]),
            script: options.dockerfile.clone(),
        },
        None => Error::CheckArg(format!("{CHECK_ARG}: {message}")),
    }
}
