//! `rbuild bud`, also `build` and `build-using-dockerfile`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::call::Call;
use super::failure::Failure;
use super::report::Report;
use super::{Context, cache, call, environment, output, pull, registry, result, secrets, ssh, step};
use crate::build::{self, Options};
use crate::oci::{Platform, Reference};
use crate::runtime;
use crate::transfer::PullPolicy;

/// Build an image from a Dockerfile or Containerfile
#[derive(clap::Args)]
pub(super) struct Args {
    /// A name for the image; may be given several times
    #[arg(short, long = "tag", value_name = "NAME")]
    tags: Vec<Reference>,
    /// The Dockerfile, `-` for standard input [default: Containerfile or Dockerfile in the context]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The value of an ARG; without a value it comes from the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// The stage to end with, by name or number
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// When to ask the registry for base images: always, missing, never or newer
    #[arg(long, value_name = "POLICY", default_value = "missing", num_args = 0..=1, require_equals = true,
          default_missing_value = "always", value_parser = pull::policy)]
    pull: PullPolicy,
    /// What the image is for [default: this machine]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// What to leave out of the context, instead of its own ignore file
    #[arg(long, value_name = "FILE")]
    ignorefile: Option<PathBuf>,
    /// How many stages to build at a time; 0 for all that can be [default: one for each core]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Print the image's id and nothing else
    #[arg(short, long)]
    quiet: bool,
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
    /// The directory to build from
    #[arg(default_value = ".")]
    context: PathBuf,
    #[command(flatten)]
    cache: cache::Args,
    #[command(flatten)]
    result: result::Args,
    #[command(flatten)]
    registry: registry::Args,
    #[command(flatten)]
    step: step::Args,
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

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let call = if args.check { Some(Call::CHECK) } else { args.call.filter(|call| !call.is_build()) };
    if call.is_none() {
        check_context(&args.context)?;
    }
    let (path, dockerfile) = read_dockerfile(&args)?;
    let dockerfile_name = path.strip_prefix(".").unwrap_or(&path).display().to_string();
    let ignore = read_ignore(&args, &path)?;
    let mut build_args = BTreeMap::new();
    for text in &args.build_arg {
        // A name that the environment does not have is as if it had not been given.
        build_args.extend(environment::assignment(text));
    }
    let platform = args.platform.unwrap_or_else(Platform::host);
    if let Some(call) = call {
        let question = call::Question {
            source: &dockerfile,
            file: &dockerfile_name,
            ignore: ignore.as_deref(),
            target: args.target.as_deref(),
            build_args: &build_args,
            platform: &platform,
        };
        return call::run(call, &question);
    }
    let finish = args.result.finish(&mut build_args)?;
    let client = args.registry.client()?;
    let web = args.registry.web();
    let options = Options {
        context: args.context,
        dockerfile,
        dockerfile_name,
        ignore,
        target: args.target,
        build_args,
        proxies: args.step.proxies(),
        finish,
        tags: args.tags,
        platform,
        cache: args.cache.cache(),
        pull: args.pull,
        jobs: jobs(args.jobs),
        further_groups: args.step.further_groups(),
        rootfs: context.global.rootfs,
        web,
        sandbox: runtime::Options {
            groups: args.step.groups()?,
            maps: args.step.maps()?,
            ..context.sandbox()
        },
        agents: ssh::backends(&args.ssh)?,
        secrets: secrets::read(&args.secrets)?,
        insecure: args.allow.contains(&Entitlement::SecurityInsecure).then(step::insecure).transpose()?,
        confinement: args.step.confinement()?,
    };
    let store = context.store()?;
    let report = Report::new(args.quiet);
    let built = build::build(&store, &client, &options, &context.cancel, &report);
    report.finish();
    let image = built.map_err(|error| Failure::of_build(&error, &options.dockerfile))?;
    args.result.tell(&image, &options.tags)?;
    output::line(image.id().hex())
}

/// How many stages are built at a time.
fn jobs(given: Option<usize>) -> NonZeroUsize {
    match given {
        None => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        Some(jobs) => NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MAX),
    }
}

/// Contexts that are no directory are known, and not taken yet.
fn check_context(context: &Path) -> Result<(), Failure> {
    let text = context.to_string_lossy();
    let remote = ["http://", "https://", "git://", "ssh://", "git@", "github.com/"];
    if text == "-" || remote.iter().any(|prefix| text.starts_with(prefix)) {
        return Err(
            Failure::new(format!("the build context {text:?} is not supported yet")).hint("give a directory")
        );
    }
    let metadata = fs::metadata(context).map_err(|why| unreadable("build context", context, &why))?;
    if !metadata.is_dir() {
        return Err(Failure::new(format!("build context {text:?}: not a directory"))
            .hint("name a Dockerfile with -f FILE"));
    }
    Ok(())
}

/// The Dockerfile's path and text: `-f` as it stands, else below the context; else the usual names.
fn read_dockerfile(args: &Args) -> Result<(PathBuf, String), Failure> {
    let places = match &args.file {
        Some(file) if file.as_os_str() == "-" => {
            let text = io::read_to_string(io::stdin());
            return Ok(("stdin".into(), text.map_err(|why| unreadable("Dockerfile", file, &why))?));
        }
        Some(file) => [file.clone(), args.context.join(file)],
        None => ["Containerfile", "Dockerfile"].map(|name| args.context.join(name)),
    };
    first_of("Dockerfile", &places)?.ok_or_else(|| {
        let [first, second] = places.map(|place| place.display().to_string());
        Failure::new(format!("no Dockerfile: neither {first} nor {second} exists"))
            .hint("name one with -f FILE")
    })
}

/// The ignore file's text: one beside the Dockerfile and named after it wins over the context's own.
fn read_ignore(args: &Args, dockerfile: &Path) -> Result<Option<String>, Failure> {
    if let Some(file) = &args.ignorefile {
        return fs::read_to_string(file).map(Some).map_err(|why| unreadable("ignore file", file, &why));
    }
    let beside = |suffix: &str| {
        let mut name = dockerfile.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let places = [
        beside(".dockerignore"),
        beside(".containerignore"),
        args.context.join(".containerignore"),
        args.context.join(".dockerignore"),
    ];
    Ok(first_of("ignore file", &places)?.map(|(_, text)| text))
}

/// The first of `places` that exists, and its text.
fn first_of(what: &str, places: &[PathBuf]) -> Result<Option<(PathBuf, String)>, Failure> {
    for place in places {
        match read_bounded(place) {
            Ok(text) => return Ok(Some((place.clone(), text))),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(unreadable(what, place, &error)),
        }
    }
    Ok(None)
}

/// The text of a file that a context may have put there: one that has no end, or that nobody ever writes to, is not
/// waited for. A pipe is read where the user named it (`-f /dev/stdin`, `-f <(…)`).
fn read_bounded(path: &Path) -> io::Result<String> {
    const LIMIT: u64 = 16 << 20;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let is_pipe = path.starts_with("/dev") || path.starts_with("/proc/self/fd");
    if !file.metadata()?.is_file() && !is_pipe {
        return Err(io::Error::other("not a regular file"));
    }
    rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
    let mut text = String::new();
    if file.take(LIMIT + 1).read_to_string(&mut text)? as u64 > LIMIT {
        return Err(io::Error::other(format!("longer than {LIMIT} bytes")));
    }
    Ok(text)
}

fn unreadable(what: &str, path: &Path, why: &io::Error) -> Failure {
    Failure::new(format!("{what} {}: {why}", path.display()))
}
