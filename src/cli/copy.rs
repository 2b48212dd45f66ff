//! `rbuild copy` and `rbuild add`.

use std::path::{Path, PathBuf};

use super::container::{Workplace, working_directory};
use super::failure::Failure;
use super::{Context, environment, output, registry};
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
    /// Copy from the root of this container or image
    #[arg(long, value_name = "CONTAINER|IMAGE", conflicts_with = "contextdir")]
    from: Option<String>,
    /// Copy from below this directory, whose ignore file holds, and from nowhere else
    #[arg(long, value_name = "DIR")]
    contextdir: Option<PathBuf>,
    /// What to leave out of --contextdir, instead of its own ignore file
    #[arg(long, value_name = "FILE", requires = "contextdir")]
    ignorefile: Option<PathBuf>,
    /// What to leave out, a pattern; may be given several times
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Make a layer that depends on none below it
    #[arg(long)]
    link: bool,
    /// Keep the directories above a source; of one with /./ in it those behind that
    #[arg(long)]
    parents: bool,
    /// The digest that a file of the web must have
    #[arg(long, value_name = "DIGEST")]
    checksum: Option<String>,
    /// Have the history of an image tell of it [default: `$BUILDAH_HISTORY`, else false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    add_history: Option<bool>,
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

pub(super) fn run(verb: Verb, mut args: Args, context: &Context) -> Result<(), Failure> {
    let workplace = Workplace::open(context, &args.registry)?;
    let dest = if args.paths.len() > 1 { args.paths.pop() } else { None };
    let files = args.files()?;
    let record = environment::record(args.add_history)?;
    let told = args.told(verb);
    let copy = Copy {
        sources: args.sources()?,
        dest: dest.unwrap_or_else(|| ".".to_owned()),
        from: args.from.clone(),
        chown: args.chown,
        chmod: args.chmod,
        link: args.link,
        parents: args.parents,
        exclude: args.exclude,
        checksum: args.checksum,
        unpack: (verb == Verb::Copy).then_some(false),
        ..Copy::default()
    };
    let copied = workplace.with(context, args.quiet, |means| {
        let from = args.from.as_deref().map(|name| container::source(means, name)).transpose()?;
        let mut held = means.hold(&args.container)?;
        container::copy(means, &mut held, &copy, files, from.as_ref(), (&told, record))
    })?;
    if args.quiet { Ok(()) } else { output::line(hex::encode(copied.content)) }
}

/// The ignore files of `--contextdir`, in the order in which they count.
const IGNORE_FILES: [&str; 2] = [".containerignore", ".dockerignore"];

impl Args {
    /// What is copied from: the directory that is given, else all of this machine.
    fn files(&self) -> Result<build::Context, Failure> {
        let Some(directory) = &self.contextdir else {
            return build::Context::of_directory("/".as_ref(), "this machine")
                .map_err(|why| Failure::new(format!("/: {why}")));
        };
        let unreadable = |path: &Path, why| Failure::new(format!("{}: {why}", path.display()));
        let mut files = build::Context::of_directory(directory, "the context directory")
            .map_err(|why| unreadable(directory, why))?;
        let ignore = if let Some(file) = &self.ignorefile {
            Some(std::fs::read_to_string(file).map_err(|why| unreadable(file, why))?)
        } else {
            let mut found = IGNORE_FILES.iter().map(|name| files.text(name));
            found.find_map(Result::transpose).transpose().map_err(|error| Failure::of_context(&error))?
        };
        if let Some(text) = ignore {
            files.hide(&text).map_err(|why| Failure::new(format!("ignore file: {why}")))?;
        }
        Ok(files)
    }

    /// The sources as paths of what is copied from.
    fn sources(&self) -> Result<Vec<Source>, Failure> {
        let directory = working_directory()?;
        let is_whole = self.from.is_some() || self.contextdir.is_some();
        let source = |path: &String| {
            if is_whole || path.starts_with('/') || path.contains("://") {
                return path.clone();
            }
            // What --parents keeps of a relative path is what was written.
            let pivot = if self.parents && !path.contains("/./") { "./" } else { "" };
            format!("{}/{pivot}{path}", directory.display())
        };
        Ok(self.paths.iter().map(|path| Source::Path(source(path))).collect())
    }

    /// How the history will begin to tell of it.
    fn told(&self, verb: Verb) -> String {
        let verb = if verb == Verb::Copy { "COPY" } else { "ADD" };
        let kind = match &self.paths[..] {
            [only] if Path::new(only).is_dir() => "dir",
            [_] => "file",
            _ => "multi",
        };
        format!("{verb} {kind}:")
    }
}
