//! `rbuild copy` and `rbuild add`.

use super::container::{Workplace, working_directory};
use super::failure::Failure;
use super::{Context, output, registry};
use crate::build;
use crate::container;
use crate::dockerfile::{Copy, Source};

/// Copy files into a working container and print the digest of what was copied
#[derive(clap::Args)]
pub(super) struct Args {
    /// Whose the copies are: user[:group], names of the container or numbers
    #[arg(long, value_name = "USER[:GROUP]")]
    chown: Option<String>,
    /// The permissions of the copies
    #[arg(long, value_name = "MODE")]
    chmod: Option<String>,
    /// Print nothing
    #[arg(short, long)]
    quiet: bool,
    /// The container: a name or an id
    container: String,
    /// What to copy, and where to if there are several [default: the container's working directory]
    #[arg(required = true, value_name = "SOURCE…] [DESTINATION")]
    paths: Vec<String>,
    #[command(flatten)]
    registry: registry::Args,
}

/// Whether archives are unpacked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Copy,
    Add,
}

pub(super) fn run(verb: Verb, args: Args, context: &Context) -> Result<(), Failure> {
    let workplace = Workplace::open(context, &args.registry)?;
    let directory = working_directory()?;
    let mut paths = args.paths;
    let dest = if paths.len() > 1 { paths.pop() } else { None };
    let source = |path: String| {
        let is_remote = path.contains("://");
        Source::Path(if is_remote { path } else { directory.join(path).to_string_lossy().into_owned() })
    };
    let copy = Copy {
        sources: paths.into_iter().map(source).collect(),
        dest: dest.unwrap_or_else(|| ".".to_owned()),
        chown: args.chown,
        chmod: args.chmod,
        unpack: (verb == Verb::Copy).then_some(false),
        ..Copy::default()
    };
    let files = build::Context::of_directory("/".as_ref(), "this machine")
        .map_err(|why| Failure::new(format!("/: {why}")))?;
    let copied = workplace.with(context, args.quiet, |means| {
        let mut held = means.hold(&args.container)?;
        container::copy(means, &mut held, &copy, files, None)
    })?;
    if args.quiet { Ok(()) } else { output::line(hex::encode(copied.content)) }
}
