//! `rbuild completion`: a script for a shell, and what the script asks.
//!
//! The scripts know nothing. They hand over the line as it is so far, and get what may stand in place of its last word: so
//! they complete what this program has, names of images and containers included.

mod names;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::Command;
use clap_complete::CompletionCandidate;
use clap_complete::engine;

use super::failure::Failure;
use super::{help, output};
use crate::dockerfile::split_words;

/// The verb of the scripts, which `--help` does not show.
pub(super) const WORDS: &str = "__complete";

/// Print what a shell needs to complete verbs, options and names
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

/// Print what may stand in place of the last word, one a line, with what it is behind a tab
#[derive(clap::Args)]
pub(super) struct WordsArgs {
    /// The words, the program's name first, the last as far as it goes
    #[arg(last = true, conflicts_with = "line", required_unless_present = "line")]
    words: Vec<OsString>,
    /// All of them as one text
    #[arg(long, allow_hyphen_values = true)]
    line: Option<String>,
    /// What is cut off at the last of these is what the shell takes for the last word; then only that is printed
    #[arg(long, allow_hyphen_values = true, default_value = "")]
    breaks: String,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    output::line(match args.shell {
        Shell::Bash => include_str!("rbuild.bash").trim_end(),
        Shell::Zsh => include_str!("rbuild.zsh").trim_end(),
        Shell::Fish => include_str!("rbuild.fish").trim_end(),
    })
}

/// Tells what completes the last word. Where nothing does, it says nothing: whoever asks is in the middle of a line.
pub(super) fn complete(args: WordsArgs) -> Result<(), Failure> {
    let words = match &args.line {
        Some(line) => words(line),
        None => args.words,
    };
    let Some(last) = words.last().map(|word| word.to_string_lossy().into_owned()) else { return Ok(()) };
    let mut command = names::offered(help::whole(), root(&words).as_deref());
    let index = words.len() - 1;
    let directory = std::env::current_dir()?;
    let mut found = engine::complete(&mut command, words, index, Some(&directory))?;
    // The engine offers hidden verbs to whoever begins with their name, and options where nothing is written yet.
    found.retain(|candidate| is_offered(&last, &candidate.get_value().to_string_lossy()));
    if index == 1 {
        by_their_names(&mut found, &command, &last);
    }
    if args.line.is_none() {
        return found.iter().try_for_each(|candidate| output::line(described(candidate)));
    }
    let cut = last.rfind(|c| args.breaks.contains(c)).map_or(0, |at| at + 1);
    found.iter().filter_map(|candidate| candidate.get_value().to_str()?.get(cut..)).try_for_each(output::line)
}

/// The engine offers a verb once, by the first of its names in the alphabet.
fn by_their_names(found: &mut [CompletionCandidate], command: &Command, last: &str) {
    for candidate in found {
        let verb = command.find_subcommand(candidate.get_value());
        if let Some(verb) = verb.filter(|verb| verb.get_name().starts_with(last)) {
            *candidate = CompletionCandidate::new(verb.get_name()).help(verb.get_about().cloned());
        }
    }
}

fn is_offered(last: &str, value: &str) -> bool {
    !value.starts_with("__") && (!last.is_empty() || !value.starts_with('-'))
}

/// The words of a line that is not finished: the last may be empty, and quotes open.
fn words(line: &str) -> Vec<OsString> {
    let whole = split_words(line).unwrap_or_else(|| line.split_whitespace().map(str::to_owned).collect());
    let mut words: Vec<OsString> = whole.into_iter().map(OsString::from).collect();
    if line.ends_with(char::is_whitespace) && !line.ends_with("\\ ") {
        words.push(OsString::new());
    }
    words
}

/// The store that the line is about, if it says so.
fn root(words: &[OsString]) -> Option<PathBuf> {
    let mut words = words.iter().skip_while(|word| *word != "--root" && value(word).is_none());
    let found = words.next()?;
    value(found).or_else(|| words.next().map(PathBuf::from))
}

/// The value of `--root=VALUE`.
fn value(word: &OsStr) -> Option<PathBuf> {
    word.to_str()?.strip_prefix("--root=").map(PathBuf::from)
}

fn described(candidate: &CompletionCandidate) -> String {
    let value = candidate.get_value().to_string_lossy();
    match candidate.get_help().map(ToString::to_string) {
        Some(help) if !help.is_empty() => {
            format!("{value}\t{}", help.lines().next().unwrap_or_default())
        }
        _ => value.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_into_words_where_they_end() {
        for (line, want) in [
            ("rbuild ", &["rbuild", ""][..]),
            ("rbuild pu", &["rbuild", "pu"]),
            ("rbuild run 'a b' c", &["rbuild", "run", "a b", "c"]),
            ("rbuild run 'a b", &["rbuild", "run", "'a", "b"]),
            ("rbuild rmi localhost/x:", &["rbuild", "rmi", "localhost/x:"]),
            ("rbuild bud a\\ ", &["rbuild", "bud", "a "]),
        ] {
            assert_eq!(words(line), want, "{line:?}");
        }
    }

    #[test]
    fn the_store_is_that_of_the_line() {
        for (line, want) in [
            ("rbuild --root /a rmi ", Some("/a")),
            ("rbuild rmi --root=/a ", Some("/a")),
            ("rbuild rmi --root", None),
            ("rbuild rmi ", None),
        ] {
            assert_eq!(root(&words(line)), want.map(PathBuf::from), "{line:?}");
        }
    }
}
