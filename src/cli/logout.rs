//! `rbuild logout`.

use super::Context;
use super::failure::Failure;
use super::login::{Place, key};
use super::output;
use crate::registry::{Client, Options};

/// Forget the login for a registry
#[derive(clap::Args)]
pub(super) struct Args {
    /// Those for all registries
    #[arg(short, long, conflicts_with = "registry")]
    all: bool,
    #[command(flatten)]
    place: Place,
    /// The registry, as it was given to login
    #[arg(required_unless_present = "all", value_parser = key)]
    registry: Option<String>,
}

pub(super) fn run(args: &Args, _: &Context) -> Result<(), Failure> {
    let file = args.place.file();
    let Some(registry) = &args.registry else {
        file.log_out_everywhere()?;
        return output::line("Removed login credentials for all registries");
    };
    if file.log_out(&args.place.key(registry)?)? {
        return output::line(format_args!("Removed login credentials for {registry}"));
    }
    let client = Client::new(Options { auth_files: args.place.files(), ..Options::default() })?;
    let failure = Failure::new(format!("not logged in to {registry} in {}", file.path().display()));
    match client.login(registry)? {
        Some(_) => Err(failure.hint("another file has a login: pass --authfile or --compat-auth-file")),
        None => Err(failure),
    }
}
