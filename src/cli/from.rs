//! `rbuild from`.

use std::path::PathBuf;

use super::container::Workplace;
use super::failure::Failure;
use super::{Context, environment, output, platform, pull, registry, result, step};
use crate::container::{self, Create, Source};
use crate::transfer::{Archive, Layout, PullPolicy};

/// Make a working container of an image, or of nothing, and print its name
#[derive(clap::Args)]
pub(super) struct Args {
    /// What to call it [default: after its image]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// When to ask the registry: always, missing, never or newer
    #[arg(long, value_name = "POLICY", default_value = "missing", num_args = 0..=1, require_equals = true,
          default_missing_value = "always", value_parser = pull::policy)]
    pull: PullPolicy,
    /// Write its id to this file
    #[arg(long, value_name = "FILE")]
    cidfile: Option<PathBuf>,
    /// The media types of an image of it: oci or docker [default: `$BUILDAH_FORMAT`, else oci]
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<result::GivenFormat>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// Begin with the state in which the last build's RUN failed; IMAGE is `last`
    #[arg(long)]
    failed: bool,
    /// The image, or scratch for nothing; `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]`, `docker-archive:FILE[:NAME]` or
    /// `dir:DIR` for one that is elsewhere
    image: String,
    #[command(flatten)]
    platform: platform::Args,
    #[command(flatten)]
    registry: registry::Args,
    #[command(flatten)]
    step: step::Args,
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let source = if args.failed { failed(&args.image)? } else { source(&args.image)? };
    let platform = args.platform.platform()?;
    let workplace = Workplace::open(context, &args.registry)?;
    let wanted = Create {
        source,
        name: args.name,
        platform,
        pull: args.pull,
        format: result::format(args.format)?,
        confinement: args.step.confinement()?,
    };
    let made = workplace.with(context, args.quiet, |means| container::create(means, wanted))?;
    if let Some(file) = &args.cidfile {
        output::file(file, made.id.as_bytes())?;
    }
    output::line(made.name)
}

/// What `from` begins with.
fn source(text: &str) -> Result<Source, Failure> {
    match text {
        "scratch" => Ok(Source::Scratch),
        name => Ok(match elsewhere(name)? {
            Some(Elsewhere::Layout(layout)) => Source::Layout(layout),
            Some(Elsewhere::Archive(archive)) => Source::Archive(archive),
            None => Source::Image(environment::docker_transport(name)?.parse()?),
        }),
    }
}

/// An image that is neither of the store nor of a registry.
pub(super) enum Elsewhere {
    Layout(Layout),
    Archive(Archive),
}

/// What `TRANSPORT:PLACE` names, if it is such an image.
pub(super) fn elsewhere(text: &str) -> Result<Option<Elsewhere>, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::new(format!("{text}: {why}"));
    let Some((transport, rest)) = text.split_once(':') else { return Ok(None) };
    let layout = || rest.parse::<Layout>().map_err(|why| wrong(&why));
    Ok(Some(match transport {
        "oci" => Elsewhere::Layout(layout()?),
        "oci-archive" => Elsewhere::Archive(Archive::Oci(layout()?)),
        "docker-archive" => {
            let (path, name) = rest.split_once(':').map_or((rest, None), |(path, name)| (path, Some(name)));
            if path.is_empty() {
                return Err(wrong(&"expected PATH[:NAME]"));
            }
            Elsewhere::Archive(Archive::Docker(path.into(), name.map(str::parse).transpose()?))
        }
        "dir" if !rest.is_empty() => Elsewhere::Archive(Archive::Directory(rest.into())),
        "containers-storage" => {
            return Err(wrong(&"the stores of other tools are not read")
                .hint("hand it over: skopeo copy containers-storage:NAME oci-archive:FILE, or podman save"));
        }
        _ => return Ok(None),
    }))
}

/// What `from --failed` begins with.
fn failed(text: &str) -> Result<Source, Failure> {
    match text {
        "last" => Ok(Source::LastFailed),
        other => Err(Failure::new(format!("--failed {other}: expected last"))),
    }
}
