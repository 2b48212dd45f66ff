//! What FROM sees, as far as the text and the build arguments tell: the ARGs before the first FROM.

use std::collections::BTreeMap;

use super::{Dockerfile, Instruction, expand};

/// The values of the global ARGs.
pub(super) struct Globals<'a> {
    escape: char,
    predefined: &'a BTreeMap<&'static str, String>,
    declared: BTreeMap<&'a str, Option<String>>,
}

impl<'a> Globals<'a> {
    /// `given` come before defaults. A default that does not expand counts as empty: the build refuses it.
    pub(super) fn new(
        dockerfile: &'a Dockerfile,
        given: &BTreeMap<String, String>,
        predefined: &'a BTreeMap<&'static str, String>,
    ) -> Self {
        let mut globals = Self { escape: dockerfile.escape, predefined, declared: BTreeMap::new() };
        for step in &dockerfile.global_args {
            let Instruction::Arg(args) = &step.instruction else { continue };
            for arg in args {
                let default = || arg.value.as_deref().map(|word| globals.expanded(word).unwrap_or_default());
                let value = given.get(&arg.name).cloned().or_else(default);
                let value = value.or_else(|| predefined.get(arg.name.as_str()).cloned());
                globals.declared.insert(&arg.name, value);
            }
        }
        globals
    }

    /// The value of a name.
    pub(super) fn lookup(&self, name: &str) -> Option<String> {
        match self.declared.get(name) {
            Some(value) => value.clone(),
            None => self.predefined.get(name).cloned(),
        }
    }

    /// The value of a word, if it has one.
    pub(super) fn expanded(&self, word: &str) -> Option<String> {
        expand(word, self.escape, &|name| self.lookup(name)).ok()
    }

    /// Whether an ARG of the file has this name.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.declared.contains_key(name)
    }

    /// Whether FROM may expand it.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.declares(name) || self.predefined.contains_key(name)
    }

    /// All names that there are.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.declared.keys().copied().chain(self.predefined.keys().copied())
    }
}
