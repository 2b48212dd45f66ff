//! The rules by name: the one table that the checks, their options and the manual go by.

/// A rule. Names are those of Docker's build checks, so that a `check=skip=` means the same to every builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each one's description is its row in the table")]
pub enum Rule {
    StageNameCasing,
    FromAsCasing,
    NoEmptyContinuation,
    ConsistentInstructionCasing,
    DuplicateStageName,
    ReservedStageName,
    JSONArgsRecommended,
    MaintainerDeprecated,
    UndefinedArgInFrom,
    WorkdirRelativePath,
    UndefinedVar,
    MultipleInstructionsDisallowed,
    LegacyKeyValueFormat,
    InvalidBaseImagePlatform,
    RedundantTargetPlatform,
    SecretsUsedInArgOrEnv,
    InvalidDefaultArgInFrom,
    FromPlatformFlagConstDisallowed,
    CopyIgnoredFile,
    InvalidDefinitionDescription,
    ExposeProtoCasing,
    ExposeInvalidFormat,
}

/// Whether a rule is looked at without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Yes.
    Stable,
    /// Only by `check=experimental=`.
    Experimental,
}

use Tier::{Experimental, Stable};

/// Every rule, its name, tier and what it asks for; in the order of [`Rule`].
const TABLE: [(Rule, &str, Tier, &str); 22] = [
    (Rule::StageNameCasing, "StageNameCasing", Stable, "The name of a stage is in lower case"),
    (Rule::FromAsCasing, "FromAsCasing", Stable, "AS is in capitals if and only if its FROM is"),
    (
        Rule::NoEmptyContinuation,
        "NoEmptyContinuation",
        Stable,
        "An instruction that goes on over several lines has no empty line within it",
    ),
    (
        Rule::ConsistentInstructionCasing,
        "ConsistentInstructionCasing",
        Stable,
        "All instructions of a file are in capitals, or all in small letters",
    ),
    (Rule::DuplicateStageName, "DuplicateStageName", Stable, "Each stage has a name of its own"),
    (Rule::ReservedStageName, "ReservedStageName", Stable, "No stage is called scratch or context"),
    (
        Rule::JSONArgsRecommended,
        "JSONArgsRecommended",
        Stable,
        "CMD and ENTRYPOINT are JSON arrays: a shell before them would not pass signals on",
    ),
    (Rule::MaintainerDeprecated, "MaintainerDeprecated", Stable, "A label names the author, not MAINTAINER"),
    (
        Rule::UndefinedArgInFrom,
        "UndefinedArgInFrom",
        Stable,
        "What FROM expands is declared before the first FROM",
    ),
    (
        Rule::WorkdirRelativePath,
        "WorkdirRelativePath",
        Stable,
        "The first WORKDIR is absolute: what a relative one is below is the base image's choice",
    ),
    (Rule::UndefinedVar, "UndefinedVar", Stable, "A variable is declared by ARG or ENV before it is used"),
    (
        Rule::MultipleInstructionsDisallowed,
        "MultipleInstructionsDisallowed",
        Stable,
        "CMD, ENTRYPOINT and HEALTHCHECK stand once in a stage: only the last one counts",
    ),
    (
        Rule::LegacyKeyValueFormat,
        "LegacyKeyValueFormat",
        Stable,
        "ENV and LABEL have a = between key and value",
    ),
    (
        Rule::InvalidBaseImagePlatform,
        "InvalidBaseImagePlatform",
        Stable,
        "The base image is for the platform that is built for",
    ),
    (
        Rule::RedundantTargetPlatform,
        "RedundantTargetPlatform",
        Stable,
        "FROM --platform=$TARGETPLATFORM is left out: it is the default",
    ),
    (
        Rule::SecretsUsedInArgOrEnv,
        "SecretsUsedInArgOrEnv",
        Stable,
        "No ARG or ENV holds a secret: both stay in the image for everybody to read",
    ),
    (
        Rule::InvalidDefaultArgInFrom,
        "InvalidDefaultArgInFrom",
        Stable,
        "The defaults of global ARGs make a valid image name in FROM",
    ),
    (
        Rule::FromPlatformFlagConstDisallowed,
        "FromPlatformFlagConstDisallowed",
        Stable,
        "FROM --platform takes a variable: a constant is right for one target only",
    ),
    (
        Rule::CopyIgnoredFile,
        "CopyIgnoredFile",
        Stable,
        "COPY and ADD name no file that the ignore file hides",
    ),
    (
        Rule::InvalidDefinitionDescription,
        "InvalidDefinitionDescription",
        Experimental,
        "The comment right before a stage or an ARG describes it: # NAME TEXT; any other has an empty line behind it",
    ),
    (Rule::ExposeProtoCasing, "ExposeProtoCasing", Stable, "The protocol of EXPOSE is in lower case"),
    (
        Rule::ExposeInvalidFormat,
        "ExposeInvalidFormat",
        Stable,
        "EXPOSE names no address and no port of the host",
    ),
];

impl Rule {
    /// Every rule.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(rule, ..)| *rule)
    }

    /// The rule of that name; case counts.
    pub fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|(_, own, ..)| *own == name).map(|(rule, ..)| *rule)
    }

    /// Its name, as options and reports write it.
    pub fn name(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// Whether it is looked at without being asked for.
    pub fn tier(self) -> Tier {
        TABLE[self as usize].2
    }

    /// What it asks for, in one line.
    pub fn description(self) -> &'static str {
        TABLE[self as usize].3
    }
}

#[cfg(test)]
mod tests {
    use super::{Rule, TABLE};

    #[test]
    fn the_table_is_in_the_order_of_the_rules() {
        for (index, (rule, name, ..)) in TABLE.iter().enumerate() {
            assert_eq!((*rule as usize, format!("{rule:?}").as_str()), (index, *name));
            assert_eq!(Rule::named(name), Some(*rule));
        }
    }
}
