//! Variables: which names an instruction sees, and with which values.
//!
//! Three sources, strongest first: ENV of the image, ARG of the stage (`--build-arg`, else its default),
//! and what an ARG without default takes from the global scope or from the predefined names. A name that
//! was not declared is not seen, save in FROM, which sees the global scope.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::StepError;
use crate::dockerfile::lint::CHECK_ARG;
use crate::dockerfile::{Arg, expand, expand_heredoc, expand_words};
use crate::oci::{ContainerConfig, Platform};

/// The names that may be given as `--build-arg` without an ARG, and then reach no image and no key.
pub(super) const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// When what is built is said to be made. It is given to every build that is to be told; a stage that wants it declares it.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The build argument that has a repository keep `.git` as the main context.
pub const KEEP_GIT_ARG: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";

/// Whether `name` is a proxy setting, in capitals or not.
pub(super) fn is_proxy(name: &str) -> bool {
    PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

/// What FROM sees: the ARGs before the first FROM, and the predefined platform names.
pub(super) struct Global {
    escape: char,
    build_args: BTreeMap<String, String>,
    predefined: BTreeMap<&'static str, String>,
    declared: BTreeMap<String, Option<String>>,
    /// Names of `--build-arg` that some ARG asked for.
    consumed: Mutex<BTreeSet<String>>,
}

/// The names that FROM sees without an ARG, with their values: `TARGETPLATFORM`, `BUILDARCH`…, and `TARGETSTAGE`, which is
/// `stage`.
pub fn predefined(target: &Platform, stage: &str) -> BTreeMap<&'static str, String> {
    let host = Platform::host();
    let mut predefined = BTreeMap::from([("TARGETSTAGE", stage.to_owned())]);
    let names = [
        (["BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT", "BUILDOSVERSION"], &host),
        (["TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT", "TARGETOSVERSION"], target),
    ];
    for ([whole, os, architecture, variant, os_version], platform) in names {
        predefined.insert(whole, platform.to_string());
        predefined.insert(os, platform.os.clone());
        predefined.insert(architecture, platform.architecture.clone());
        predefined.insert(variant, platform.variant.clone().unwrap_or_default());
        predefined.insert(os_version, String::new());
    }
    predefined
}

impl Global {
    pub(super) fn new(
        escape: char,
        build_args: &BTreeMap<String, String>,
        target: &Platform,
        stage: &str,
    ) -> Self {
        let predefined = predefined(target, stage);
        let build_args = build_args.clone();
        Self { escape, build_args, predefined, declared: BTreeMap::new(), consumed: Mutex::default() }
    }

    /// An ARG before the first FROM.
    pub(super) fn declare(&mut self, args: &[Arg]) -> Result<(), StepError> {
        for arg in args {
            let default = arg.value.as_deref().map(|word| self.expand(word)).transpose()?;
            let given = self.given(&arg.name);
            let value = given.or(default).or_else(|| self.predefined.get(arg.name.as_str()).cloned());
            self.declared.insert(arg.name.clone(), value);
        }
        Ok(())
    }

    /// Expands a word of FROM.
    pub(super) fn expand(&self, word: &str) -> Result<String, StepError> {
        expand(word, self.escape, &|name| self.lookup(name)).map_err(|why| refused(word, &why))
    }

    fn lookup(&self, name: &str) -> Option<String> {
        match self.declared.get(name) {
            Some(value) => value.clone(),
            None => self
                .build_args
                .get(name)
                .filter(|_| self.predefined.contains_key(name))
                .cloned()
                .or_else(|| self.predefined.get(name).cloned()),
        }
    }

    fn given(&self, name: &str) -> Option<String> {
        let value = self.build_args.get(name)?.clone();
        self.consumed().insert(name.to_owned());
        Some(value)
    }

    fn consumed(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.consumed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names of `--build-arg` that nothing asked for.
    pub(super) fn unconsumed(&self) -> Vec<&str> {
        let consumed = self.consumed();
        let idle = |name: &&str| {
            !consumed.contains(*name)
                && !is_proxy(name)
                && !self.predefined.contains_key(*name)
                && ![CHECK_ARG, KEEP_GIT_ARG].contains(name)
                && *name != EPOCH
        };
        self.build_args.keys().map(String::as_str).filter(idle).collect()
    }
}

/// The ARGs of one stage. A stage built on it inherits them.
#[derive(Clone, Default)]
pub(super) struct Scope {
    args: Vec<(String, Option<String>)>,
}

impl Scope {
    /// An ARG within the stage.
    pub(super) fn declare(
        &mut self,
        global: &Global,
        config: &ContainerConfig,
        args: &[Arg],
    ) -> Result<(), StepError> {
        for arg in args {
            let default =
                arg.value.as_deref().map(|word| self.expand(word, global.escape, config)).transpose()?;
            let value = global.given(&arg.name).or(default).or_else(|| global.lookup(&arg.name));
            // Declared again and given nothing, it keeps what it has.
            let value = value.or_else(|| self.value(&arg.name).map(str::to_owned));
            self.args.retain(|(name, _)| *name != arg.name);
            self.args.push((arg.name.clone(), value));
        }
        Ok(())
    }

    /// Expands one word of an instruction.
    pub(super) fn expand(
        &self,
        word: &str,
        escape: char,
        config: &ContainerConfig,
    ) -> Result<String, StepError> {
        expand(word, escape, &|name| self.lookup(name, config)).map_err(|why| refused(word, &why))
    }

    /// Expands a word and splits the result at blanks (EXPOSE).
    pub(super) fn expand_words(
        &self,
        word: &str,
        escape: char,
        config: &ContainerConfig,
    ) -> Result<Vec<String>, StepError> {
        expand_words(word, escape, &|name| self.lookup(name, config)).map_err(|why| refused(word, &why))
    }

    /// Expands a heredoc's body, in which quotes mean nothing.
    pub(super) fn expand_heredoc(&self, body: &str, config: &ContainerConfig) -> Result<String, StepError> {
        expand_heredoc(body, &|name| self.lookup(name, config)).map_err(|why| refused("heredoc", &why))
    }

    fn lookup(&self, name: &str, config: &ContainerConfig) -> Option<String> {
        config.env(name).or_else(|| self.value(name)).map(str::to_owned)
    }

    /// What the ARG called `name` has come to; `None` if it was not declared or has no value.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.args.iter().find(|(arg, _)| arg == name)?.1.as_deref()
    }

    /// The ARGs that a RUN sees as environment: those with a value that no ENV hides, in order.
    pub(super) fn environment(&self, config: &ContainerConfig) -> Vec<(&str, &str)> {
        let seen = self.args.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
        seen.filter(|(name, _)| config.env(name).is_none()).collect()
    }
}

fn refused(word: &str, why: &dyn std::fmt::Display) -> StepError {
    StepError::Expand { word: word.to_owned(), why: why.to_string() }
}
