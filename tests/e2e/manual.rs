//! The man pages: they list the options that the program has, render cleanly, and their examples work. And `--help`, which
//! fits a screen.

mod examples;
mod readme;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::World;

/// The verbs as `rbuild --help-all` lists them; `help` has no page.
fn verbs() -> Vec<String> {
    listed(&World::new().run(&["--help-all"]).good().stdout)
}

/// The commands that a help lists.
fn listed(help: &str) -> Vec<String> {
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What clap wraps stands further right.
    let names =
        commands.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The source of a page. Tests run in the package's directory.
fn page(name: &str) -> String {
    let path = PathBuf::from("man").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of section `title`, without fonts and escapes.
fn section(page: &str, title: &str) -> Vec<String> {
    let lines = page.lines().skip_while(|line| *line != format!(".SH {title}")).skip(1);
    let lines = lines.take_while(|line| !line.starts_with(".SH "));
    lines.map(plain).collect()
}

fn plain(line: &str) -> String {
    let fonts = ["\\fB", "\\fI", "\\fR", "\\fP", "\\&"]
        .iter()
        .fold(line.to_owned(), |line, font| line.replace(font, ""));
    let text = fonts.replace("\\-", "-").replace("\\e", "\\");
    // The arguments of a macro may be quoted; other quotes are text.
    if text.starts_with('.') { text.replace('"', "") } else { text }
}

/// The options in `text`, as `--name` and `-n`; those of a RUN are not the program's.
fn options(text: &str) -> BTreeSet<String> {
    let text = text.replace("RUN --", "RUN ");
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let is_option = |word: &&str| match word.strip_prefix("--") {
        Some(name) => name.starts_with(|c: char| c.is_ascii_alphabetic()),
        None => word.len() == 2 && word.starts_with('-') && word.as_bytes()[1].is_ascii_alphabetic(),
    };
    words.filter(is_option).map(str::to_owned).collect()
}

#[test]
fn each_page_has_the_options_of_its_verb() {
    let world = World::new();
    for verb in std::iter::once(None).chain(verbs().into_iter().map(Some)) {
        let words: Vec<&str> = verb.iter().map(String::as_str).chain(["--help-all"]).collect();
        let mut offered = options(&world.run(&words).good().stdout);
        let name = verb.map_or_else(|| "rbuild.1".to_owned(), |verb| format!("rbuild-{verb}.1"));
        let described = options(&section(&page(&name), "OPTIONS").join("\n"));
        // The page of the program describes them for all.
        for name in ["-h", "--help-all"] {
            if !described.contains(name) {
                offered.remove(name);
            }
        }
        assert_eq!(described, offered, "{name}, and what --help offers");
    }
}

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    None,
    /// `--name=VALUE` or `--name`
    Optional,
    Needed,
}

/// The options that begin the lines of a help, or the headings of a page, and their values.
fn values<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    for line in lines.filter(|line| line.starts_with('-')) {
        for part in line.split("--").skip(1) {
            let end = part.find(|c: char| !(c.is_ascii_lowercase() || c == '-')).unwrap_or(part.len());
            // what is behind two spaces explains
            let after = part[end..].split("  ").next().unwrap().trim().trim_end_matches(',').trim_end();
            let value = match after {
                "" => Value::None,
                text if text.replace(' ', "").starts_with("[=") => Value::Optional,
                _ => Value::Needed,
            };
            values.entry(part[..end].to_owned()).or_insert(value);
        }
    }
    values
}

#[test]
fn each_page_says_which_options_take_a_value() {
    let world = World::new();
    for verb in verbs() {
        let help = world.run(&[&verb, "--help-all"]).good().stdout;
        let offered = values(help.lines().map(str::trim_start));
        let options = section(&page(&format!("rbuild-{verb}.1")), "OPTIONS");
        let headings = options.iter().zip(options.iter().skip(1)).filter(|(before, _)| *before == ".TP");
        let headings: Vec<String> = headings.map(|(_, heading)| heading_text(heading)).collect();
        let described = values(headings.iter().map(String::as_str));
        let wrong: Vec<_> = described
            .iter()
            .filter(|(name, value)| offered.get(*name).is_some_and(|own| own != *value))
            .collect();
        assert!(wrong.is_empty(), "rbuild-{verb}.1 says {wrong:?}");
    }
}

/// What a macro for fonts makes of its arguments.
fn heading_text(heading: &str) -> String {
    let words = heading.split_once(' ').filter(|(name, _)| name.starts_with('.'));
    let text = words.map_or(heading, |(_, rest)| rest);
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ,", ",")
}

#[test]
fn the_page_of_lists_has_the_options_of_each_of_its_commands() {
    let world = World::new();
    let page = page("rbuild-manifest.1");
    let common = options(&world.run(&["manifest", "--help-all"]).good().stdout);
    for verb in ["add", "annotate", "create", "exists", "inspect", "push", "remove", "rm"] {
        let offered = options(&world.run(&["manifest", verb, "--help-all"]).good().stdout);
        let offered: BTreeSet<String> = offered.difference(&common).cloned().collect();
        let described = options(&section(&page, &format!("OPTIONS OF {}", verb.to_uppercase())).join("\n"));
        // those that talk to a registry are described once
        let registry = options(&section(&page, "OPTIONS OF REGISTRIES").join("\n"));
        let talks = registry.is_subset(&offered);
        let own: BTreeSet<String> =
            offered.iter().filter(|name| !talks || !registry.contains(*name)).cloned().collect();
        assert_eq!(described, own, "{verb}");
    }
}

/// A screen, of a terminal that is not large.
const LINES: usize = 50;
const COLUMNS: &str = "80";

#[test]
fn help_fits_a_screen_and_says_what_is_there() {
    let world = World::new();
    let help = |words: &[&str]| {
        let output = world.command().args(words).env("COLUMNS", COLUMNS).output().unwrap();
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let verbs = verbs();
    let mut commands: Vec<Vec<&str>> = vec![Vec::new()];
    commands.extend(verbs.iter().map(|verb| vec![verb.as_str()]));
    let further: Vec<(&str, Vec<String>)> =
        verbs.iter().map(|verb| (verb.as_str(), listed(&help(&[verb, "--help-all"])))).collect();
    for (verb, below) in &further {
        commands.extend(below.iter().map(|command| vec![*verb, command.as_str()]));
    }
    for command in &commands {
        let asked = |flag| help(&[command, &[flag][..]].concat());
        let (screen, all) = (asked("--help"), asked("--help-all"));
        assert_eq!(asked("-h"), screen, "{command:?}: -h");
        let lines = screen.lines().count();
        assert!(lines <= LINES, "{command:?}: {lines} lines\n{screen}");
        for line in screen.lines() {
            assert!(line.chars().count() <= COLUMNS.parse().unwrap(), "{command:?}: too long: {line}");
        }
        let unknown: Vec<String> = options(&screen).difference(&options(&all)).cloned().collect();
        assert!(unknown.is_empty(), "{command:?} has no {unknown:?}");
        assert!(
            command.is_empty() || screen.contains(&format!("rbuild-{}(1)", command[0])) || command.len() > 1
        );
    }
    let screen = help(&["--help"]);
    let words: BTreeSet<&str> = screen.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    for verb in &verbs {
        assert!(words.contains(verb.as_str()), "{verb}: not in rbuild --help");
    }
}

#[test]
fn each_verb_is_in_the_overview_and_each_page_is_referred_to() {
    let overview = section(&page("rbuild.1"), "SEE ALSO").join("\n");
    for verb in verbs() {
        assert!(overview.contains(&format!("rbuild-{verb} (1)")), "{verb}: not in SEE ALSO of rbuild.1");
    }
    for entry in fs::read_dir("man").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        for line in section(&page(&name), "SEE ALSO") {
            let Some((other, number)) = line.trim_start_matches(".BR ").split_once(" (") else { continue };
            if other.starts_with("rbuild") {
                page(&format!("{other}.{}", &number[..1]));
            }
        }
    }
}

#[test]
fn pages_render_without_warnings() {
    for entry in fs::read_dir("man").unwrap() {
        let path = entry.unwrap().path();
        let output = match Command::new("groff").args(["-man", "-ww", "-z", "-Tutf8"]).arg(&path).output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("skipped: needs groff");
                return;
            }
            Err(error) => panic!("groff: {error}"),
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{}:\n{said}", path.display());
    }
}
