//! `rbuild completion`.

use clap::Command;
use clap_complete::aot::{Bash, Fish, Generator, Zsh, generate};

use super::failure::Failure;
use super::{help, output};

/// Print what a shell needs to complete verbs and options
#[derive(clap::Args)]
pub(super) struct Args {
    /// The shell: bash, zsh or fish
    shell: Shell,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Shell {
    /// GNU bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let script = match args.shell {
        Shell::Bash => script(Bash),
        Shell::Zsh => script(Zsh),
        Shell::Fish => script(Fish),
    };
    output::line(String::from_utf8_lossy(&script).trim_end())
}

fn script(shell: impl Generator) -> Vec<u8> {
    let whole = help::whole();
    // the generators offer hidden verbs as well, and clap cannot take one away
    let verbs = whole.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned();
    let mut offered = Command::new("rbuild")
        .disable_help_flag(true)
        .args(whole.get_arguments().cloned())
        .subcommands(verbs);
    let mut script = Vec::new();
    generate(shell, &mut offered, "rbuild", &mut script);
    script
}
