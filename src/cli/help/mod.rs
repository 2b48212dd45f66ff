//! What `--help` shows: a screen. `--help-all` shows the rest.
//!
//! A verb with more options than a screen takes has a text of those that are used often, `VERB.txt`, and so has the program.
//! A test holds the texts to what the program has.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::Cli;

/// The screens written by hand.
const SCREENS: [(&str, &str); 7] = [
    ("add", include_str!("copy.txt")),
    ("bud", include_str!("bud.txt")),
    ("commit", include_str!("commit.txt")),
    ("config", include_str!("config.txt")),
    ("copy", include_str!("copy.txt")),
    ("from", include_str!("from.txt")),
    ("run", include_str!("run.txt")),
];
const OF_THE_PROGRAM: &str = include_str!("rbuild.txt");
const HEAD: &str = "{about}\n\n{usage-heading} {usage}\n\n";

/// The command line.
pub(super) fn whole() -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::HelpShort).global(true);
    Cli::command()
        .disable_help_flag(true)
        .arg(flag("help").short('h').help("Print a screen of help").display_order(1000))
        .arg(flag("help-all").help("Print all there is to help").display_order(1001))
}

/// The command line of whoever says `words`: what is shown of it as help depends on them.
pub(super) fn command(words: &[OsString]) -> Command {
    let whole = whole();
    if words.iter().any(|word| word == "--help-all") || words.get(1).is_some_and(|word| word == "help") {
        return whole;
    }
    let names_verb = words.iter().skip(1).any(|word| whole.find_subcommand(word).is_some());
    if !names_verb {
        return whole.help_template(format!("{HEAD}{OF_THE_PROGRAM}"));
    }
    let verbs: Vec<String> = whole.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    // The options of every verb are left to the program's own help.
    let whole = whole.mut_args(|arg| arg.hide_short_help(true));
    verbs.into_iter().fold(whole, |whole, verb| whole.mut_subcommand(verb, screen))
}

/// A verb whose help is a screen.
fn screen(verb: Command) -> Command {
    let name = verb.get_name().to_owned();
    match SCREENS.iter().find(|(screen, _)| *screen == name) {
        Some((_, text)) => verb.help_template(format!(
            "{HEAD}{text}\nMore options: rbuild {name} --help-all. The manual: rbuild-{name}(1)"
        )),
        None => {
            verb.after_help(format!("Options of every verb: rbuild --help. The manual: rbuild-{name}(1)"))
        }
    }
}
