//! The command line: one file per verb, each `Args` and then `run`: parse, call the library, print.
//!
//! The only room with clap, colours, exit codes and the environment. stdout is data, stderr is talk; the
//! `STEP` lines and the output of RUN go to stdout as buildah's do.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | `doctor`: RUN does not work here; `manifest exists`: no; `bud --check`: something was found |
//! | 125 | rbuild itself could not do it: bad flag, bad input, registry, store |
//! | 126 | the command of a RUN, or of `run`, could not be invoked |
//! | 127 | the command of a RUN, or of `run`, was not found |
//! | 128 + n | signal n stopped rbuild, or the command of a RUN |
//! | other | the exit code of the command of a failing RUN, or of `run` |

mod attest;
mod bud;
mod cache;
mod caches;
mod call;
mod commit;
mod completion;
mod config;
mod container;
mod container_json;
mod containers;
mod copy;
mod doctor;
mod environment;
mod failure;
mod foreign;
mod from;
mod global;
mod help;
mod image_json;
mod images;
mod info;
mod inspect;
mod login;
mod logout;
mod manifest;
mod mount;
mod output;
mod outputs;
mod platform;
mod progress;
mod prune;
mod pull;
mod push;
mod registry;
mod rename;
mod result;
mod rm;
mod rmi;
mod run;
mod secrets;
mod size;
mod ssh;
mod step;
mod tag;
mod target;
mod template;
mod terminal;
mod timeline;
mod umount;
mod unshare;
mod version;
mod why;

use std::process::ExitCode;
use std::time::Duration;

use clap::{FromArgMatches as _, Parser, Subcommand};

use crate::runtime::{self, Cancel};
use crate::store::Store;
use failure::Failure;
use global::Global;

/// Builds OCI container images without a daemon, without root and without setuid programs.
#[derive(Parser)]
#[command(
    name = "rbuild",
    version,
    disable_version_flag = true,
    max_term_width = 100,
    arg_required_else_help = true
)]
struct Cli {
    /// Print the version
    #[arg(short = 'v', short_alias = 'V', long, action = clap::ArgAction::Version)]
    version: (),
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Copy files into a working container, archives unpacked, and print the digest of what was copied
    Add(Box<copy::Args>),
    #[command(visible_aliases = ["build", "build-using-dockerfile"])]
    Bud(Box<bud::Args>),
    Cache(caches::Args),
    Commit(Box<commit::Args>),
    Completion(completion::Args),
    #[command(name = completion::WORDS, hide = true)]
    Complete(completion::WordsArgs),
    Config(Box<config::Args>),
    #[command(visible_aliases = ["list", "ls", "ps"])]
    Containers(containers::Args),
    Copy(Box<copy::Args>),
    Doctor(doctor::Args),
    From(Box<from::Args>),
    Images(images::Args),
    Info(info::Args),
    Inspect(inspect::Args),
    Login(login::Args),
    Logout(logout::Args),
    Manifest(manifest::Args),
    Mount(mount::Args),
    Prune(prune::Args),
    Pull(pull::Args),
    Push(push::Args),
    Rename(rename::Args),
    #[command(visible_alias = "delete")]
    Rm(rm::Args),
    Rmi(rmi::Args),
    Run(Box<run::Args>),
    Tag(tag::Args),
    #[command(visible_alias = "unmount")]
    Umount(umount::Args),
    Unshare(unshare::Args),
    Version(version::Args),
    #[command(name = mount::SERVER, hide = true)]
    Mounted(mount::ServerArgs),
    Why(why::Args),
}

/// What a verb gets besides its own arguments.
struct Context {
    global: Global,
    cancel: Cancel,
}

impl Context {
    fn store(&self) -> Result<Store, Failure> {
        let root = match &self.global.root {
            Some(root) => root.clone(),
            None => environment::store_root()?,
        };
        Ok(Store::open(&root)?)
    }

    fn sandbox(&self) -> runtime::Options {
        self.global.sandbox()
    }
}

/// Runs the program; the exit code is one of the table above.
pub fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let matches = help::command(&words).try_get_matches_from(words);
    let mut cli = match matches.and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches)) {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    if let Err(failure) = cli.global.settle() {
        return failure.report();
    }
    // It becomes another program, which is to have its signals.
    if let Verb::Unshare(args) = &cli.verb {
        return unshare::run(args, &cli.global).map_or_else(Failure::report, |()| ExitCode::SUCCESS);
    }
    let cancel = Cancel::default();
    // It has its own way to end.
    if let Verb::Mounted(args) = &cli.verb {
        let done = mount::serve(args, &Context { global: cli.global, cancel });
        return done.map_or_else(Failure::report, |()| ExitCode::SUCCESS);
    }
    if let Err(error) = stop_on_signals(&cancel) {
        return Failure::from(error).report();
    }
    let context = Context { global: cli.global, cancel };
    let done = match cli.verb {
        Verb::Add(args) => copy::run(copy::Verb::Add, *args, &context),
        Verb::Bud(args) => bud::run(&args, &context),
        Verb::Cache(args) => caches::run(&args, &context),
        Verb::Commit(args) => commit::run(&args, &context),
        Verb::Completion(args) => completion::run(&args),
        Verb::Complete(args) => completion::complete(args),
        Verb::Config(args) => config::run(&args, &context),
        Verb::Containers(args) => containers::run(&args, &context),
        Verb::Copy(args) => copy::run(copy::Verb::Copy, *args, &context),
        Verb::Doctor(args) => doctor::run(&args, &context),
        Verb::From(args) => from::run(*args, &context),
        Verb::Images(args) => images::run(&args, &context),
        Verb::Info(args) => info::run(&args, &context),
        Verb::Inspect(args) => inspect::run(&args, &context),
        Verb::Login(args) => login::run(&args, &context),
        Verb::Logout(args) => logout::run(&args, &context),
        Verb::Manifest(args) => manifest::run(&args, &context),
        Verb::Mount(args) => mount::run(&args, &context),
        Verb::Mounted(_) | Verb::Unshare(_) => unreachable!("they are done by now"),
        Verb::Prune(args) => prune::run(&args, &context),
        Verb::Pull(args) => pull::run(&args, &context),
        Verb::Push(args) => push::run(&args, &context),
        Verb::Rename(args) => rename::run(&args, &context),
        Verb::Rm(args) => rm::run(&args, &context),
        Verb::Rmi(args) => rmi::run(&args, &context),
        Verb::Run(args) => run::run(*args, &context),
        Verb::Tag(args) => tag::run(&args, &context),
        Verb::Umount(args) => umount::run(&args, &context),
        Verb::Version(args) => version::run(&args),
        Verb::Why(args) => why::run(&args, &context),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// The first signal stops the running step and lets the build end in order; work that does not look at it
/// in time, and a second signal, end the program at once. The store takes no harm: what is unfinished has
/// no name yet.
fn stop_on_signals(cancel: &Cancel) -> std::io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let cancel = cancel.clone();
    rbuild_userns::interrupt::watch(move |signal| {
        if cancel.is_cancelled() {
            progress::restore();
            terminal::restore();
            std::process::exit(128 + signal);
        }
        failure::stopped_by(signal);
        cancel.cancel();
        std::thread::spawn(move || {
            std::thread::sleep(PATIENCE);
            progress::restore();
            terminal::restore();
            std::process::exit(128 + signal);
        });
    })
}
