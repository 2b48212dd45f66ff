//! Options of buildah that ask for nothing here, or for what is not done: each is answered by its name.

use clap::{Arg, ArgMatches, Command, FromArgMatches};

use super::Failure;

/// What asks for nothing, and why.
const NOTHING: [(&str, &str); 7] = [
    ("blob-cache", "the store keeps what it has fetched"),
    ("compress", "layers are compressed as they leave the store"),
    ("disable-content-trust", "images are held against their digests"),
    ("force-rm", "no container is left over"),
    ("layer-label", "steps leave cache records and no images"),
    ("log-rusage", "--trace tells how long each step takes"),
    ("rm", "no container is left over"),
];

/// Switches of which one way asks for nothing, which way that is, and why.
const ONE_WAY: [(&str, bool, &str); 6] = [
    ("compat-volumes", false, "what a RUN changes in a volume stays"),
    ("disable-compression", true, "layers of the store are not compressed"),
    ("identity-label", false, "no label tells the builder's version"),
    ("inherit-annotations", false, "an image has the annotations that it is given, and none of its base"),
    ("skip-unused-stages", true, "stages that the target does not need are not built"),
    ("stdin", false, "a command has nothing to read"),
];

/// What is not done, and what to try instead.
const NOT_DONE: [(&str, &str); 24] = [
    ("all-platforms", "name them: --platform linux/amd64,linux/arm64"),
    ("cdi-config-dir", "name the device itself: --device"),
    ("cert-dir", "put the registry's CA among those of the system, or pass --tls-verify=false"),
    ("compression-format", "rbuild push compresses with gzip"),
    ("compression-level", "leave it out"),
    ("cw", "rbuild makes no confidential workloads"),
    ("decryption-key", "decrypt the base image first, with skopeo copy --decryption-key"),
    ("force-compression", "leave it out"),
    ("hooks-dir", "no hooks are run"),
    ("logfile", "send the output to a file: rbuild bud … >FILE 2>&1"),
    ("logsplit", "build one platform at a time"),
    ("runtime", "rbuild runs commands by itself"),
    ("runtime-flag", "rbuild runs commands by itself"),
    ("rusage-logfile", "--trace FILE tells how long each step takes"),
    ("sbom-scanner-command", "--sbom=true reads the package databases of the image"),
    ("sbom-scanner-image", "--sbom=true reads the package databases of the image"),
    ("sbom-merge-strategy", "--sbom=true reads the package databases of the image"),
    ("sbom-output", "--sbom=true attaches it to the image"),
    ("sbom-image-output", "--sbom=true attaches it to the image"),
    ("sbom-purl-output", "--sbom=true attaches it to the image"),
    ("sbom-image-purl-output", "--sbom=true attaches it to the image"),
    ("sign-by", "sign what was pushed, with skopeo standalone-sign or cosign"),
    ("signature-policy", "name what is wanted by its digest: FROM NAME@sha256:…"),
    ("source-policy-file", "name what is wanted by its digest: FROM NAME@sha256:…"),
];

/// Which of them were given, and what switches say.
pub(super) struct Args {
    given: Vec<(&'static str, Option<bool>)>,
}

impl Args {
    /// Tells what asks for nothing, by `tell`. Errors with the first that is not done.
    pub(super) fn answer(&self, mut tell: impl FnMut(String)) -> Result<(), Failure> {
        for &(name, says) in &self.given {
            let nothing = NOTHING.iter().find(|(known, _)| *known == name).map(|(_, why)| *why);
            let switch = ONE_WAY.iter().find(|(known, ..)| *known == name);
            let nothing = nothing.or(switch.filter(|(_, way, _)| says == Some(*way)).map(|(.., why)| *why));
            if let Some(why) = nothing {
                tell(format!("--{name} asks for nothing here: {why}"));
                continue;
            }
            let instead =
                NOT_DONE.iter().find(|(known, _)| *known == name).map(|(_, instead)| (*instead).to_owned());
            let usual = || switch.map(|(.., why)| format!("leave it out: {why}"));
            let hint = instead.or_else(usual).unwrap_or_default();
            let failure =
                Failure::new(format!("--{name} is an option of buildah's that rbuild does not have"));
            return Err(failure.hint(hint));
        }
        Ok(())
    }
}

/// What a switch is given as.
fn switch(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

impl clap::Args for Args {
    fn augment_args(command: Command) -> Command {
        let hidden = |name: &'static str| {
            let arg = Arg::new(name).long(name).hide(true).num_args(0..=1).action(clap::ArgAction::Append);
            arg.default_missing_value("true")
        };
        // A switch must not take the context for its value.
        let command = command.args(ONE_WAY.map(|(name, ..)| {
            let arg = hidden(name).require_equals(true);
            if name == "disable-compression" { arg.short('D') } else { arg }
        }));
        let command = command
            .args(NOTHING.map(|(name, _)| {
                hidden(name).require_equals(!["blob-cache", "layer-label"].contains(&name))
            }));
        command.args(NOT_DONE.map(|(name, _)| hidden(name)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Args {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let names = NOTHING.iter().chain(&NOT_DONE).map(|(name, _)| *name);
        let names = names.chain(ONE_WAY.iter().map(|(name, ..)| *name));
        let given = names.filter_map(|name| {
            let last = matches.get_many::<String>(name)?.next_back()?;
            Some((name, switch(last)))
        });
        Ok(Self { given: given.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
