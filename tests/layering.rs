//! The floors of the house, held by a test: a room imports only rooms on lower floors, and rooms on one
//! floor do not know each other.

use std::fs;
use std::path::{Path, PathBuf};

/// Tests start in the directory of their package, which need not be the one that they were built in.
const ROOT: &str = ".";

/// The floors, top first.
const FLOORS: [&[&str]; 9] = [
    &["cli"],
    &["library"],
    &["container"],
    &["build"],
    &["transfer"],
    &["store", "sandbox"],
    &["rootfs", "runtime"],
    &["layer", "fuse", "registry", "web", "git", "progress", "agent", "beneath"],
    &["oci", "dockerfile", "packages"],
];

/// Rooms that are pure: text in, values out. What they must not name.
const PURE: [&str; 3] = ["oci", "dockerfile", "packages"];
const IMPURE: [&str; 6] =
    ["std::fs", "std::net", "std::process", "std::time::SystemTime", "std::env::var", "rbuild_userns"];

/// What belongs to the command line alone, below which nobody prints, exits or asks the environment.
const CLI_ONLY: [&str; 8] =
    ["println!", "eprintln!", "print!(", "eprint!(", "process::exit", "env::var", "env::args", "clap::"];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The code of a file without comments, and without what follows its first `#[cfg(test)]`.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = product.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs")
}

fn rooms() -> Vec<(String, PathBuf)> {
    let src = Path::new(ROOT).join("src");
    let mut rooms = Vec::new();
    for path in sources(&src) {
        let inside = path.strip_prefix(&src).unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap().to_owned();
        if inside.components().count() > 1 && !is_test(&path) {
            rooms.push((room, path));
        }
    }
    rooms
}

#[test]
fn every_room_has_a_floor() {
    for (room, path) in rooms() {
        assert!(floor(&room).is_some(), "{} is in no floor: add room {room:?} to FLOORS", path.display());
    }
}

#[test]
fn rooms_import_only_lower_floors() {
    for (room, path) in rooms() {
        let code = code(&path);
        for used in code.split("crate::").skip(1) {
            let name: String = used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let Some(other) = floor(&name).filter(|_| name != room) else { continue };
            assert!(
                other > floor(&room).unwrap(),
                "{}: room {room} must not know {name}, which is not below it",
                path.display(),
            );
        }
    }
}

#[test]
fn pure_rooms_stay_pure() {
    for (room, path) in rooms().into_iter().filter(|(room, _)| PURE.contains(&room.as_str())) {
        let code = code(&path);
        for word in IMPURE {
            assert!(!code.contains(word), "{}: the pure room {room} names {word}", path.display());
        }
    }
}

#[test]
fn only_the_command_line_talks() {
    // The sandbox is a process of its own: it ends by itself.
    let silent = rooms().into_iter().filter(|(room, _)| room != "cli" && room != "sandbox");
    for (room, path) in silent {
        let code = code(&path);
        for word in CLI_ONLY {
            assert!(
                !code.contains(word),
                "{}: room {room} says {word}, which belongs to the command line",
                path.display()
            );
        }
    }
}

/// Whether `text` has `word` with no letter, digit or `_` beside it.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|found| found == word)
}

#[test]
fn unsafe_code_lives_in_userns() {
    let root = Path::new(ROOT);
    for crate_root in ["src/lib.rs", "src/main.rs"] {
        let text = fs::read_to_string(root.join(crate_root)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{crate_root} does not forbid unsafe code");
    }
    for path in ["src", "tests"].iter().flat_map(|directory| sources(&root.join(directory))) {
        if path.file_name().is_some_and(|name| name == "layering.rs") {
            continue;
        }
        // Tests count too: what one needs from the kernel is wrapped in userns like everything else.
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let found = lines.find(|line| has_word(line, "unsafe"));
        assert_eq!(found, None, "{}: unsafe belongs to userns", path.display());
    }
}

#[test]
fn no_file_is_longer_than_a_reader_takes() {
    const LONGEST: usize = 600;
    let root = Path::new(ROOT);
    for path in ["src", "userns", "tests"].iter().flat_map(|directory| sources(&root.join(directory))) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LONGEST, "{}: {lines} lines are two files", path.display());
    }
}
