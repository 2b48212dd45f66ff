//! `rbuild bud`, also `build` and `build-using-dockerfile`.
//!
//! ```text
//! foreign     options of buildah that are answered by name
//! ground      CONTEXT → files, and a Dockerfile where it came with them
//! texts       -f and the usual names → the Dockerfile's text; its ignore file
//! preprocess  a Dockerfile called *.in → what cpp makes of it
//! shell       a RUN that failed → a shell where it did
//! ```

mod foreign;
mod ground;
mod preprocess;
mod shell;
mod texts;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use foreign::Foreign;
use ground::{Ground, Reach};
use shell::OnFailure;

use super::call::Call;
use super::failure::Failure;
use super::foreign::Given;
use super::progress::{Mode, Progress, Talk};
use super::timeline::{self, Ended};
use super::{
    Context, cache, call, environment, output, platform, pull, registry, result, secrets, ssh, step,
};
use crate::build::{self, Contexts, Named, Options, Origin};
use crate::dockerfile::Script;
use crate::git;
use crate::oci::{Platform, Reference};
use crate::progress::{Several, Sink};
use crate::runtime::{self, Secret};
use crate::transfer::PullPolicy;

/// Build an image from a Dockerfile or Containerfile
#[derive(clap::Args)]
pub(super) struct Args {
    /// A name for the image; may be given several times
    #[arg(short, long = "tag", value_name = "NAME")]
    tags: Vec<Reference>,
    /// The Dockerfile: a path, a URL, or `-` for standard input; several are joined [default: Containerfile or Dockerfile
    /// in the context]
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Further files for FROM, COPY and the mounts of RUN to find by name: a directory, an archive's URL, a git URL,
    /// `docker-image://NAME`, `oci-layout://PATH[:TAG]` or `target:STAGE`; may be given several times
    #[arg(long = "build-context", value_name = "NAME=VALUE")]
    build_context: Vec<String>,
    /// An option for cpp, which a Dockerfile called *.in goes through; may be given several times
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    cpp_flag: Vec<String>,
    /// The value of an ARG; without a value it comes from the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// A file of NAME=VALUE lines, each like a --build-arg; those count more. Lines that begin with # say nothing
    #[arg(long = "build-arg-file", value_name = "FILE")]
    build_arg_file: Vec<PathBuf>,
    /// What the first FROM names instead of what it says
    #[arg(long = "from", value_name = "IMAGE")]
    first_base: Option<String>,
    /// The stage to end with, by name or number
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// When to ask the registry for base images: always, missing, never or newer
    #[arg(long, value_name = "POLICY", default_value = "missing", num_args = 0..=1, require_equals = true,
          default_missing_value = "always", value_parser = pull::policy)]
    pull: PullPolicy,
    /// What the image is for, several by commas [default: this machine]
    #[arg(long = "platform", value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',',
          conflicts_with_all = ["os", "arch", "variant"])]
    platforms: Vec<Platform>,
    #[command(flatten)]
    parts: platform::Parts,
    /// What to leave out of the context, instead of its own ignore file
    #[arg(long, value_name = "FILE")]
    ignorefile: Option<PathBuf>,
    /// How many stages to build at a time; 0 for all that can be [default: one for each core]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Print the image's id and nothing else
    #[arg(short, long)]
    quiet: bool,
    /// How the build is shown: auto, plain, tty, rawjson or quiet [default: `$BUILDKIT_PROGRESS`, else auto]
    #[arg(long, value_name = "HOW", hide_possible_values = true)]
    progress: Option<Mode>,
    /// What to do when a RUN fails: exit, or open a shell where it did, on the terminal
    #[arg(long, value_name = "WHAT", default_value = "exit", hide_possible_values = true)]
    on_failure: OnFailure,
    /// A secret for RUN --mount=type=secret; may be given several times
    #[arg(long = "secret", value_name = "id=ID[,src=FILE|env=NAME]", value_parser = secrets::wanted)]
    secrets: Vec<secrets::Wanted>,
    /// An ssh agent or keys for RUN --mount=type=ssh; may be given several times
    #[arg(long = "ssh", value_name = "default|ID[=SOCKET|KEY,…]", value_parser = ssh::wanted)]
    ssh: Vec<ssh::Wanted>,
    /// What the Dockerfile may ask for besides: security.insecure or network.host; may be given several times
    #[arg(long, value_name = "ENTITLEMENT", value_delimiter = ',')]
    allow: Vec<Entitlement>,
    /// Answer about the Dockerfile instead of building: check, outline, targets or ast; with `,format=json` as JSON
    #[arg(long, value_name = "METHOD[,format=FORMAT]", value_parser = call::parse, conflicts_with = "check")]
    call: Option<call::Call>,
    /// Check the Dockerfile instead of building: --call=check
    #[arg(long)]
    check: bool,
    /// What to build from: a directory, a Dockerfile, `-` (a tar or a Dockerfile on standard input), the URL of an archive
    /// or of a Dockerfile, or a git URL
    #[arg(default_value = ".")]
    context: PathBuf,
    #[command(flatten)]
    cache: cache::Args,
    #[command(flatten)]
    result: result::Args,
    #[command(flatten)]
    timeline: timeline::Args,
    #[command(flatten)]
    registry: registry::Args,
    #[command(flatten)]
    step: step::Args,
    #[command(flatten)]
    foreign: Given<Foreign>,
}

impl Args {
    /// The values of ARGs. A name that the environment does not have is as if it had not been given.
    fn build_args(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut given = BTreeMap::new();
        for file in &self.build_arg_file {
            let text =
                fs::read_to_string(file).map_err(|why| Failure::new(format!("{}: {why}", file.display())))?;
            for (number, line) in text.lines().enumerate() {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let (name, value) = line.split_once('=').ok_or_else(|| {
                    Failure::new(format!("{}:{}: {line:?}: expected NAME=VALUE", file.display(), number + 1))
                })?;
                given.insert(name.to_owned(), value.to_owned());
            }
        }
        for text in &self.build_arg {
            given.extend(environment::assignment(text)?);
        }
        Ok(given)
    }

    /// What is asked of the build, by what is known by now and by the other options.
    fn options(&self, known: Known, context: &Context) -> Result<Options, Failure> {
        let Known { dockerfile, contexts, secrets, mut build_args, platforms } = known;
        // it may add to the values of ARGs
        let finish = self.result.finish(&mut build_args)?;
        Ok(Options {
            dockerfile,
            contexts,
            first_base: self.first_base.clone(),
            target: self.target.clone(),
            build_args,
            proxies: self.step.proxies()?,
            finish,
            tags: self.result.names(&self.tags)?,
            attestations: self.result.attestations()?,
            manifest: self.result.manifest(),
            platform: platforms[0].clone(),
            platforms,
            cache: self.cache.cache(),
            pull: self.pull,
            jobs: jobs(self.jobs),
            further_groups: self.step.further_groups(),
            rootfs: context.global.rootfs,
            web: self.registry.web(),
            sandbox: runtime::Options {
                groups: self.step.groups()?,
                maps: self.step.maps(context.sandbox().maps)?,
                ..context.sandbox()
            },
            agents: ssh::backends(&self.ssh)?,
            secrets,
            insecure: self.allow.contains(&Entitlement::SecurityInsecure).then(step::insecure).transpose()?,
            confinement: self.step.confinement()?,
        })
    }
}

/// What was read before the build is put together.
struct Known {
    dockerfile: Script,
    contexts: Contexts,
    secrets: BTreeMap<String, Secret>,
    build_args: BTreeMap<String, String>,
    platforms: Vec<Platform>,
}

/// `--allow`.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Entitlement {
    /// `RUN --security=insecure`
    #[value(name = "security.insecure")]
    SecurityInsecure,
    /// `RUN --network=host`, which needs no permission
    #[value(name = "network.host")]
    NetworkHost,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let call = if args.check { Some(Call::CHECK) } else { args.call.filter(|call| !call.is_build()) };
    let contexts = contexts(&args.build_context)?;
    let secrets = secrets::read(&args.secrets)?;
    let web = args.registry.web();
    let takes_stdout = args.result.takes_stdout();
    args.on_failure.check()?;
    args.foreign.answer(context)?;
    let mode = Mode::of(args.progress, args.quiet)?;
    let progress = Progress::start(mode, if takes_stdout { Talk::Stderr } else { Talk::Stdout })?;
    let timeline = args.timeline.timeline()?;
    let noted = timeline.as_ref().map(|timeline| timeline as &dyn Sink);
    let sink = &Several(std::iter::once(&progress as &dyn Sink).chain(noted).collect());
    let reach = Reach { program: context, web: &web, secrets: &secrets, sink };
    let mut ground = Ground::open(args, &reach, call.is_some())?;
    let (dockerfile, places) = texts::dockerfile(args, &ground, &reach)?;
    let ignore = texts::ignore(args, &ground, &places)?;
    let build_args = args.build_args()?;
    let platforms = platforms(args)?;
    if let Some(call) = call {
        let question = call::Question {
            script: &dockerfile,
            ignore: ignore.as_deref(),
            target: args.target.as_deref(),
            build_args: &build_args,
            platform: &platforms[0],
        };
        return call::run(call, &question);
    }
    if let Some(text) = &ignore {
        ground.context.hide(text).map_err(|why| Failure::new(format!("ignore file: {why}")))?;
    }
    let outputs = args.result.outputs(&args.tags, platforms.len())?;
    let client = args.registry.client()?;
    let options = args
        .options(Known { dockerfile, contexts, secrets: secrets.clone(), build_args, platforms }, context)?;
    let store = context.store()?;
    let built = build::build(&store, &client, ground.context, &options, &context.cancel, sink);
    let tell = |failure: Option<String>| {
        let Some(timeline) = &timeline else { return Ok(()) };
        let dockerfile = options.dockerfile.name();
        timeline.tell(&Ended { store: &store, dockerfile, failure, cancel: &context.cancel }, &progress)
    };
    let built = match built {
        Ok(built) => built,
        Err(error) => {
            let told = tell(Some(git::without_passwords(&build::chain(&error))));
            progress.give_up();
            let failure = Failure::of_build(&error, &options.dockerfile);
            if let (OnFailure::Shell, Some(state)) = (args.on_failure, error.failed_state()) {
                failure.tell();
                shell::open(state, &options, (&store, &client), context);
                return Err(failure.told());
            }
            return told.and(Err(failure));
        }
    };
    let mut pushed = None;
    for output in outputs {
        let epoch = options.finish.times.epoch();
        pushed = output.write((&store, &client), &built, &args.tags, epoch, sink)?.or(pushed);
    }
    let told = tell(None);
    progress.finish();
    told?;
    args.result.tell(&built, pushed.as_ref(), &options.tags)?;
    if takes_stdout { Ok(()) } else { output::line(built.id().hex()) }
}

/// What is built for, each once.
fn platforms(args: &Args) -> Result<Vec<Platform>, Failure> {
    let mut platforms: Vec<Platform> = Vec::new();
    for platform in &args.platforms {
        if !platforms.contains(platform) {
            platforms.push(platform.clone());
        }
    }
    if platforms.is_empty() {
        platforms.push(args.parts.platform()?.unwrap_or_else(Platform::host));
    }
    Ok(platforms)
}

/// `--build-context`. A directory that is not there is told now, and not when a stage asks for it.
fn contexts(words: &[String]) -> Result<Contexts, Failure> {
    let mut contexts = Contexts::default();
    for text in words {
        contexts.add(text).map_err(|why| Failure::new(format!("--build-context {text}: {why}")))?;
    }
    for (name, named) in contexts.iter() {
        if let Named::Files(Origin::Path(path)) = named {
            let what = format!("--build-context {name}:");
            let metadata = fs::metadata(path).map_err(|why| unreadable(&what, path, &why))?;
            if !metadata.is_dir() {
                return Err(Failure::new(format!("{what} {}: not a directory", path.display())));
            }
        }
    }
    Ok(contexts)
}

/// How many stages are built at a time.
fn jobs(given: Option<usize>) -> NonZeroUsize {
    match given {
        None => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        Some(jobs) => NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MAX),
    }
}

/// The error of reading or writing `path`.
fn unreadable(what: &str, path: &Path, why: &io::Error) -> Failure {
    Failure::new(format!("{what} {}: {why}", path.display()))
}
