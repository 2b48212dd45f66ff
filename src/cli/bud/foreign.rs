//! Options of buildah that ask for nothing here, or for what is not done: each is answered by its name.

use clap::{Arg, ArgMatches, Command, FromArgMatches};

use super::Failure;

/// What asks for nothing, and why.
const NOTHING: [(&str, &str); 9] = [
    ("blob-cache", "the store keeps what it has fetched"),
    ("compress", "layers are compressed as they leave the store"),
    ("disable-compression", "layers of the store are not compressed"),
    ("disable-content-trust", "images are held against their digests"),
    ("force-rm", "no container is left over"),
    ("identity-label", "no label tells the builder's version"),
    ("log-rusage", "--trace tells how long each step takes"),
    ("rm", "no container is left over"),
    ("skip-unused-stages", "stages that the target does not need are not built"),
];

/// What is not done, and what to try instead.
const NOT_DONE: [(&str, &str); 31] = [
    ("all-platforms", "name them: --platform linux/amd64,linux/arm64"),
    ("cdi-config-dir", "name the device itself: --device"),
    ("cert-dir", "put the registry's CA among those of the system, or pass --tls-verify=false"),
    ("compat-volumes", "leave it out: what a RUN changes in a volume stays"),
    ("compression-format", "rbuild push compresses with gzip"),
    ("compression-level", "leave it out"),
    ("created-annotation", "leave it out: no annotation tells the time"),
    ("cw", "rbuild makes no confidential workloads"),
    ("decryption-key", "decrypt the base image first, with skopeo copy --decryption-key"),
    ("force-compression", "leave it out"),
    ("hooks-dir", "no hooks are run"),
    ("inherit-annotations", "take them away one by one: --annotation NAME="),
    ("inherit-labels", "overwrite them one by one: --label NAME="),
    ("layer-label", "label the stage in the Dockerfile"),
    ("logfile", "send the output to a file: rbuild bud … >FILE 2>&1"),
    ("logsplit", "build one platform at a time"),
    ("omit-history", "leave it out: the history is kept"),
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
    ("stdin", "give the command its input by a heredoc or a bind mount"),
];

/// Which of them were given.
pub(super) struct Args {
    given: Vec<&'static str>,
}

impl Args {
    /// Tells what asks for nothing, by `tell`. Errors with the first that is not done.
    pub(super) fn answer(&self, mut tell: impl FnMut(String)) -> Result<(), Failure> {
        for name in &self.given {
            if let Some((_, why)) = NOTHING.iter().find(|(known, _)| known == name) {
                tell(format!("--{name} asks for nothing here: {why}"));
            }
            if let Some((_, instead)) = NOT_DONE.iter().find(|(known, _)| known == name) {
                return Err(Failure::new(format!(
                    "--{name} is an option of buildah's that rbuild does not have"
                ))
                .hint(instead));
            }
        }
        Ok(())
    }
}

impl clap::Args for Args {
    fn augment_args(command: Command) -> Command {
        let hidden = |name: &'static str| {
            let arg = Arg::new(name).long(name).hide(true).num_args(0..=1).action(clap::ArgAction::Append);
            match name {
                "disable-compression" => arg.short('D'),
                _ => arg,
            }
        };
        // What asks for nothing must not take the context for its value.
        let command =
            command.args(NOTHING.map(|(name, _)| hidden(name).require_equals(name != "blob-cache")));
        command.args(NOT_DONE.map(|(name, _)| hidden(name)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Args {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let known = NOTHING.iter().chain(&NOT_DONE).map(|(name, _)| *name);
        let is_given =
            |name: &&str| matches.value_source(name) == Some(clap::parser::ValueSource::CommandLine);
        Ok(Self { given: known.filter(is_given).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
