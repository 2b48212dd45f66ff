//! What `bud` makes of its image besides what the Dockerfile says: labels, times, layers, format; and where it tells of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use super::failure::Failure;
use super::outputs::{self, Output};
use super::{attest, environment, output};
use crate::build::{Attestations, Finish, Format, Layering, Saving, Times};
use crate::oci::{Descriptor, Reference};
use crate::transfer::Subject;

/// The variable that the ecosystem of reproducible builds agreed upon.
const EPOCH: &str = "SOURCE_DATE_EPOCH";
/// The last second of the year 9999, after which a time cannot be written as RFC 3339 has it.
const LAST_SECOND: i64 = 253_402_300_799;

/// Options about the image that comes out
#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "The image")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Args {
    /// A label of the image; may be given several times
    #[arg(long = "label", value_name = "NAME[=VALUE]")]
    labels: Vec<String>,
    /// With false, the labels of the base image are left out
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true,
          default_value_t = true, action = clap::ArgAction::Set)]
    inherit_labels: bool,
    /// An annotation of the image's manifest; may be given several times
    #[arg(long = "annotation", value_name = "NAME[=VALUE]")]
    annotations: Vec<String>,
    /// Annotate the image with when it was made: org.opencontainers.image.created
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true,
          default_value_t = false, action = clap::ArgAction::Set)]
    created_annotation: bool,
    /// Leave the history out of the image
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true,
          default_value_t = false, action = clap::ArgAction::Set)]
    omit_history: bool,
    /// A variable of the image, which its last stage sees too; without a value it comes from the environment
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// A variable that the image is not to have; may be given several times
    #[arg(long = "unsetenv", value_name = "NAME")]
    unset_env: Vec<String>,
    /// The media types of the image: oci or docker [default: `$BUILDAH_FORMAT`, else oci]
    #[arg(long, value_name = "FORMAT")]
    format: Option<GivenFormat>,
    /// Make the image one layer, that of its base included
    #[arg(long)]
    squash: bool,
    /// Keep a layer for each instruction; with false those of the last stage become one, above the base's
    /// [default: `$BUILDAH_LAYERS`, else true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    layers: Option<bool>,
    /// When the image is said to be made, in seconds since 1970 [default: `$SOURCE_DATE_EPOCH`, else now]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "timestamp")]
    source_date_epoch: Option<i64>,
    /// Let no file of a new layer be younger than --source-date-epoch
    #[arg(long)]
    rewrite_timestamp: bool,
    /// The same as --source-date-epoch, and every file of a new layer is as old
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timestamp: Option<i64>,
    /// Add the image to this list of images, which is made if it is not there
    #[arg(long, value_name = "LIST")]
    manifest: Option<Reference>,
    /// Make an image of every stage that is built, without a name
    #[arg(long)]
    save_stages: bool,
    /// Label the images of --save-stages with their stage and its base
    #[arg(long, requires = "save_stages")]
    stage_labels: bool,
    /// Attest what the image was made of and by whom: true, false, or mode=min|max and builder-id=URI by commas
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = attest::provenance)]
    provenance: Vec<attest::Wanted>,
    /// Attest which packages are in the image
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = attest::sbom)]
    sbom: Vec<attest::Wanted>,
    /// The same as --provenance and --sbom: type=provenance or type=sbom, and more by commas
    #[arg(long, value_name = "type=TYPE[,NAME=VALUE…]", value_parser = attest::attest)]
    attest: Vec<attest::Wanted>,
    /// Where else it goes: DIR, FILE.tar, - or type=local|tar|oci|docker|image|registry,…; may be given several times
    #[arg(short, long = "output", value_name = "OUTPUT", value_parser = outputs::parse)]
    outputs: Vec<Output>,
    /// Write the image's id to this file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Write the image's id without `sha256:` to this file
    #[arg(long, alias = "raw-iidfile", value_name = "FILE")]
    iidfile_raw: Option<PathBuf>,
    /// Write what was made, as JSON, to this file
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
}

/// `--format`.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum GivenFormat {
    /// OCI image-spec v1.1
    Oci,
    /// Docker image manifest v2, schema 2
    #[value(alias = "v2s2")]
    Docker,
}

impl GivenFormat {
    pub(super) fn format(self) -> Format {
        match self {
            Self::Oci => Format::Oci,
            Self::Docker => Format::Docker,
        }
    }
}

/// The times that `--timestamp`, `--source-date-epoch` and `--rewrite-timestamp` ask for; where the first two do not, `told`
/// counts, else the environment.
pub(super) fn times(
    timestamp: Option<i64>,
    epoch: Option<i64>,
    rewrite: bool,
    told: Option<String>,
) -> Result<Times, Failure> {
    if let Some(epoch) = timestamp {
        return Ok(Times::Set(epoch));
    }
    let epoch = match (epoch, told) {
        (Some(epoch), _) => Some(epoch),
        (None, told) => {
            let told = if told.is_some() { told } else { environment::variable(EPOCH)? };
            let told = told.filter(|text| !text.is_empty()).map(|text| {
                let bad = |why| Failure::new(format!("invalid {EPOCH}: {text:?}: {why}"));
                seconds(&text).map_err(bad)
            });
            told.transpose()?
        }
    };
    match (epoch, rewrite) {
        (Some(epoch), false) => Ok(Times::Created(epoch)),
        (Some(epoch), true) => Ok(Times::Clamped(epoch)),
        (None, false) => Ok(Times::Real),
        (None, true) => Err(Failure::new("--rewrite-timestamp: no time is given that files are held to")
            .hint(format!("pass --source-date-epoch SECONDS, or set {EPOCH}"))),
    }
}

/// The format that is given, else the environment's, else OCI's.
pub(super) fn format(given: Option<GivenFormat>) -> Result<Format, Failure> {
    if let Some(given) = given {
        return Ok(given.format());
    }
    match environment::setting("FORMAT")? {
        None => Ok(Format::Oci),
        Some((_, told)) if told == "oci" => Ok(Format::Oci),
        Some((_, told)) if told == "docker" => Ok(Format::Docker),
        Some((name, told)) => Err(Failure::new(format!("{name}={told:?}: expected oci or docker"))),
    }
}

pub(super) fn seconds(text: &str) -> Result<i64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0..=LAST_SECOND).contains(seconds));
    seconds.ok_or_else(|| format!("expected seconds since 1970, from 0 to {LAST_SECOND}"))
}

impl Args {
    /// What is asked of the image. An epoch that a build argument gives counts as well; one that is given otherwise becomes
    /// that build argument.
    pub(super) fn finish(&self, build_args: &mut BTreeMap<String, String>) -> Result<Finish, Failure> {
        let times = self.times(build_args)?;
        if let Some(epoch) = times.epoch() {
            build_args.entry(EPOCH.to_owned()).or_insert_with(|| epoch.to_string());
        }
        Ok(Finish {
            env: environment::assignments(&self.env)?.into_iter().collect(),
            unset_env: self.unset_env.clone(),
            labels: pairs("--label", &self.labels)?,
            drop_labels: !self.inherit_labels,
            annotations: pairs("--annotation", &self.annotations)?.into_iter().collect(),
            annotate_created: self.created_annotation,
            omit_history: self.omit_history,
            format: self.format()?,
            layering: match self.layers {
                _ if self.squash => Layering::All,
                Some(true) => Layering::Each,
                None if environment::told("LAYERS")?.unwrap_or(true) => Layering::Each,
                Some(false) | None => Layering::New,
            },
            times,
            saving: match (self.save_stages, self.stage_labels) {
                (false, _) => Saving::None,
                (true, false) => Saving::Stages,
                (true, true) => Saving::Labelled,
            },
        })
    }

    /// Where else the image goes: under `tags` where an output names nothing of its own. Errors, before anything is built, if
    /// it cannot go there.
    pub(super) fn outputs(&self, tags: &[Reference], platforms: usize) -> Result<&[Output], Failure> {
        outputs::check(&self.outputs, tags, platforms)?;
        Ok(&self.outputs)
    }

    /// The names of the image in the store: `tags`, and those that outputs give it. Errors if the list of `--manifest` has one
    /// of them.
    pub(super) fn names(&self, tags: &[Reference]) -> Result<Vec<Reference>, Failure> {
        let mut names: Vec<Reference> = Vec::new();
        for name in tags.iter().chain(self.outputs.iter().flat_map(Output::names)) {
            if Some(name.local()) == self.manifest.as_ref().map(Reference::local) {
                return Err(Failure::new(format!(
                    "{name}: the same name for the image and for the list of --manifest"
                )));
            }
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        Ok(names)
    }

    /// Whether standard output is data.
    pub(super) fn takes_stdout(&self) -> bool {
        self.outputs.iter().any(Output::takes_stdout)
    }

    /// What is attested of the image.
    pub(super) fn attestations(&self) -> Result<Attestations, Failure> {
        let all = attest::all(self.attest.iter().chain(&self.provenance).chain(&self.sbom));
        if all.is_some() && self.format()? == Format::Docker {
            return Err(Failure::new("--provenance, --sbom: a list in Docker's format has no attestations")
                .hint("leave --format docker out"));
        }
        Ok(all)
    }

    /// `--manifest`.
    pub(super) fn manifest(&self) -> Option<Reference> {
        self.manifest.clone()
    }

    fn times(&self, build_args: &BTreeMap<String, String>) -> Result<Times, Failure> {
        let told = build_args.get(EPOCH).cloned();
        times(self.timestamp, self.source_date_epoch, self.rewrite_timestamp, told)
    }

    fn format(&self) -> Result<Format, Failure> {
        let format = format(self.format)?;
        let given = [
            ("--annotation", !self.annotations.is_empty()),
            ("--created-annotation", self.created_annotation),
        ];
        if let (Format::Docker, Some((option, _))) = (format, given.iter().find(|(_, given)| *given)) {
            let why = format!("{option}: a manifest of Docker's format has no annotations");
            return Err(Failure::new(why).hint("leave --format docker out, or use --label"));
        }
        Ok(format)
    }

    /// Tells of what was built in the files that were named for it. `pushed` is what a registry has of it: its layers are
    /// packed, so that its digest is another than the store's.
    pub(super) fn tell(
        &self,
        built: &Subject,
        pushed: Option<&Descriptor>,
        tags: &[Reference],
    ) -> Result<(), Failure> {
        if let Some(file) = &self.iidfile {
            output::file(file, built.id().to_string().as_bytes())?;
        }
        if let Some(file) = &self.iidfile_raw {
            output::file(file, built.id().hex().as_bytes())?;
        }
        if let Some(file) = &self.metadata_file {
            let names: Vec<String> = tags.iter().map(|tag| tag.local().to_string()).collect();
            let descriptor = pushed.unwrap_or(built.descriptor());
            let mut metadata = json!({
                "containerimage.descriptor": descriptor,
                "containerimage.digest": descriptor.digest,
            });
            if let Some(image) = built.only_image() {
                metadata["containerimage.config.digest"] = image.id().to_string().into();
            }
            if !names.is_empty() {
                metadata["image.name"] = names.join(",").into();
            }
            output::file(file, format!("{metadata:#}\n").as_bytes())?;
        }
        Ok(())
    }
}

/// `NAME=VALUE`, or `NAME` with nothing behind it.
pub(super) fn pairs(flag: &str, given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        if name.is_empty() {
            return Err(Failure::new(format!("{flag} {text:?}: expected NAME=VALUE")));
        }
        Ok((name.to_owned(), value.to_owned()))
    };
    given.iter().map(pair).collect()
}
