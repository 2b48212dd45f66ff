//! `rbuild commit`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::container::Workplace;
use super::failure::Failure;
use super::foreign::{Given, Row, Table};
use super::target::{Packing, Target, target};
use super::{Context, output, push, registry, result};
use crate::build::{Finish, Layering};
use crate::container::{self, Commit, Means, Telling};
use crate::layer::Compression;
use crate::oci::Reference;
use crate::store::Image;
use crate::transfer::Subject;

/// Make an image of a working container and print its id
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(super) struct Args {
    /// The media types of the image: oci or docker [default: as `from` was told]
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<result::GivenFormat>,
    /// Make the image one layer, that of its base included
    #[arg(long)]
    squash: bool,
    /// Remove the container when the image is there
    #[arg(long)]
    rm: bool,
    /// Write the image's id to this file, instead of printing it
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// When the image is said to be made, in seconds since 1970 [default: `$SOURCE_DATE_EPOCH`, else now]
    #[arg(long, value_name = "SECONDS", value_parser = result::seconds, conflicts_with = "timestamp")]
    source_date_epoch: Option<i64>,
    /// Let no file of the new layer be younger than --source-date-epoch
    #[arg(long)]
    rewrite_timestamp: bool,
    /// The same as --source-date-epoch, and every file of the new layer is as old
    #[arg(long, value_name = "SECONDS", value_parser = result::seconds)]
    timestamp: Option<i64>,
    /// Add the image to this list of images, which is made if it is not there
    #[arg(long, value_name = "LIST")]
    manifest: Option<Reference>,
    /// Write what was made, as JSON, to this file
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// An annotation of the image's manifest; may be given several times
    #[arg(long = "annotation", value_name = "NAME[=VALUE]")]
    annotations: Vec<String>,
    /// An annotation that the image is not to have; may be given several times
    #[arg(long = "unsetannotation", value_name = "NAME")]
    unset_annotations: Vec<String>,
    /// A variable that the image is not to have; may be given several times
    #[arg(long = "unsetenv", value_name = "NAME")]
    unset_env: Vec<String>,
    /// An instruction of a Dockerfile that changes the image's config; may be given several times
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    changes: Vec<String>,
    /// Take fields of the image's config from this file, a JSON object
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file that the image has besides, as root's with mode 0644; may be given several times
    #[arg(long = "add-file", value_name = "FILE[:PATH]")]
    files: Vec<String>,
    /// Leave the history out
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true,
          default_value_t = false, action = clap::ArgAction::Set)]
    omit_history: bool,
    /// Leave the layers of an oci: or oci-archive: plain
    #[arg(short = 'D', long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
          require_equals = true, default_value_t = true, action = clap::ArgAction::Set)]
    disable_compression: bool,
    /// How layers are packed that were made here: gzip or zstd [default: gzip, plain in files]
    #[arg(long, value_name = "FORMAT", value_parser = push::compression)]
    compression_format: Option<Compression>,
    /// Pack layers anew that were pulled in another format
    #[arg(long)]
    force_compression: bool,
    /// The container: a name or an id
    container: String,
    /// What the image is called, or where it goes: `docker://NAME`, `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]`,
    /// `docker-archive:FILE[:NAME]` or `dir:DIR`
    #[arg(value_parser = target)]
    image: Option<Target>,
    #[command(flatten)]
    registry: registry::Args,
    #[command(flatten)]
    foreign: Given<Foreign>,
}

/// Options of buildah's that ask for nothing here, or for what is not done.
struct Foreign;

const OF_AN_IMAGE: &str = "rbuild bud --sbom=true reads the package databases of an image";

impl Table for Foreign {
    const ROWS: &'static [Row] = &[
        Row::nothing("blob-cache", "the store keeps what it has compressed"),
        Row::one_way("created-annotation", false, "no annotation tells the time"),
        Row::one_way("identity-label", false, "no label tells the builder's version"),
        Row::not_done("compression-level", "leave it out: the usual level of the format is taken"),
        Row::not_done("cw", "rbuild makes no confidential workloads"),
        Row::not_done("encrypt-layer", "encrypt what was pushed, with skopeo copy --encryption-key"),
        Row::not_done("encryption-key", "encrypt what was pushed, with skopeo copy --encryption-key"),
        Row::not_done("reference-time", "--timestamp SECONDS sets the time"),
        Row::not_done("sbom", OF_AN_IMAGE),
        Row::not_done("sign-by", "sign what was pushed, with skopeo standalone-sign or cosign"),
        Row::not_done("signature-policy", "leave it out"),
    ];
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    args.foreign.answer(context)?;
    let workplace = Workplace::open(context, &args.registry)?;
    let mut wanted = args.wanted()?;
    let image = workplace.with(context, args.quiet, |means| {
        let held = means.hold(&args.container)?;
        let state = &held.container().state;
        wanted.finish.format = args.format.map_or(state.format, result::GivenFormat::format);
        let image = container::commit(means, state, &wanted)?;
        args.send(means, &image)?;
        if args.rm {
            held.remove()?;
        }
        Ok(image)
    })?;
    if let Some(file) = &args.metadata_file {
        let name = match &args.image {
            Some(Target::Store(name)) => Some(name.local().to_string()),
            Some(Target::Registry(name)) => Some(name.to_string()),
            _ => None,
        };
        let metadata = json!({
            "containerimage.config.digest": image.id(),
            "containerimage.descriptor": image.descriptor,
            "containerimage.digest": image.descriptor.digest,
            "image.name": name,
        });
        output::file(file, format!("{metadata:#}\n").as_bytes())?;
    }
    match &args.iidfile {
        Some(file) => output::file(file, image.id().to_string().as_bytes()),
        None => output::line(image.id().hex()),
    }
}

impl Args {
    /// What is asked of the image, but for its format, which the container may say.
    fn wanted(&self) -> Result<Commit, Failure> {
        let times = result::times(self.timestamp, self.source_date_epoch, self.rewrite_timestamp, None)?;
        Ok(Commit {
            finish: Finish {
                layering: if self.squash { Layering::All } else { Layering::New },
                annotations: result::pairs("--annotation", &self.annotations)?.into_iter().collect(),
                unset_env: self.unset_env.clone(),
                times,
                ..Finish::default()
            },
            unset_annotations: self.unset_annotations.clone(),
            files: self.files.iter().map(|text| added(text)).collect::<Result<_, _>>()?,
            config: self.config.as_deref().map(read_config).transpose()?.unwrap_or_default(),
            changes: self.changes.clone(),
            told: if self.omit_history { Telling::Nothing } else { Telling::History },
            list: self.manifest.clone(),
        })
    }

    /// Names the image, or takes it where it is to go.
    fn send(&self, means: &Means<'_>, image: &Image) -> Result<(), container::Error> {
        let Some(target) = &self.image else { return Ok(()) };
        let subject = Subject::Image(Box::new(image.clone()));
        let files = if self.disable_compression { Compression::None } else { Compression::Gzip };
        let packing = Packing {
            registry: self.compression_format.unwrap_or(Compression::Gzip),
            files: self.compression_format.unwrap_or(files),
            force: self.force_compression,
        };
        let sent = target.send((means.store, means.client), &subject, packing, means.sink);
        sent.map(drop).map_err(|error| Box::new(error).into())
    }
}

/// `FILE[:PATH]`: without a path it is the file's own.
fn added(text: &str) -> Result<(PathBuf, String), Failure> {
    let (file, path) = text.split_once(':').unwrap_or((text, text));
    let absolute =
        std::path::absolute(file).map_err(|why| Failure::new(format!("--add-file {text}: {why}")))?;
    if !absolute.is_file() {
        return Err(Failure::new(format!("--add-file {text}: {} is no file", absolute.display())));
    }
    Ok((absolute, format!("/{}", path.trim_start_matches('/'))))
}

/// `--config`: a JSON object.
fn read_config(path: &Path) -> Result<Map<String, Value>, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::new(format!("--config {}: {why}", path.display()));
    let text = std::fs::read(path).map_err(|why| wrong(&why))?;
    serde_json::from_slice(&text).map_err(|why| wrong(&why))
}
