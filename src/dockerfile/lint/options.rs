//! Which rules count, and what a finding means: `skip=A,B;error=true;experimental=C`.
//!
//! The build argument `BUILDKIT_DOCKERFILE_CHECK` stands in for the whole directive `# check=`.

use super::rules::{Rule, Tier};
use crate::dockerfile::did_you_mean;

/// Why options of checks cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Not `key=value`, or a key that is not known.
    #[error("invalid check option {option:?}{suggestion}; it is skip=, error= or experimental=")]
    Unknown {
        /// The option.
        option: String,
        /// The key that may have been meant.
        suggestion: String,
    },
    /// `error=` is neither true nor false.
    #[error("check option error={0:?}: neither true nor false")]
    NotBoolean(String),
    /// An option that stands there twice.
    #[error("check option {0}= is given twice")]
    Twice(String),
}

/// The rules of one list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Rules {
    #[default]
    None,
    All,
    Some(Vec<Rule>),
}

impl Rules {
    fn contains(&self, rule: Rule) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(rules) => rules.contains(&rule),
        }
    }
}

/// What the directive `# check=` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    skip: Rules,
    experimental: Rules,
    /// Whether a finding is an error.
    pub(super) error: bool,
    /// Names that no rule has, each with the one that may have been meant. Other versions may know them.
    pub(super) unknown: Vec<String>,
}

impl Options {
    pub(super) fn parse(text: &str) -> Result<Self, OptionError> {
        let mut options = Self::default();
        let mut seen = Vec::new();
        for option in text.split(';').map(str::trim).filter(|option| !option.is_empty()) {
            let (key, value) = option
                .split_once('=')
                .map_or((option, None), |(key, value)| (key.trim(), Some(value.trim())));
            match (key, value) {
                ("skip", Some(value)) => options.skip = options.rules(value),
                ("experimental", Some(value)) => options.experimental = options.rules(value),
                ("error", Some(value)) => options.error = boolean(value)?,
                _ => {
                    let keys = ["skip", "error", "experimental"];
                    let suggestion =
                        if keys.contains(&key) { String::new() } else { did_you_mean(key, &keys) };
                    return Err(OptionError::Unknown { option: option.to_owned(), suggestion });
                }
            }
            if seen.contains(&key) {
                return Err(OptionError::Twice(key.to_owned()));
            }
            seen.push(key);
        }
        Ok(options)
    }

    /// Whether findings of `rule` count.
    pub(super) fn wants(&self, rule: Rule) -> bool {
        !self.skip.contains(rule) && (rule.tier() == Tier::Stable || self.experimental.contains(rule))
    }

    fn rules(&mut self, list: &str) -> Rules {
        let names: Vec<&str> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        if names.contains(&"all") {
            return Rules::All;
        }
        let known: Vec<&str> = Rule::all().map(Rule::name).collect();
        let strange = names.iter().filter(|name| Rule::named(name).is_none());
        self.unknown.extend(strange.map(|name| format!("{name}{}", did_you_mean(name, &known))));
        Rules::Some(names.iter().filter_map(|name| Rule::named(name)).collect())
    }
}

fn boolean(value: &str) -> Result<bool, OptionError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        _ => Err(OptionError::NotBoolean(value.to_owned())),
    }
}
