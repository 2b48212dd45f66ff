//! Contexts: directories, streams, archives of the web, repositories, and those that have names.

mod archives;
mod credentials;
mod dockerfiles;
mod named;
mod repositories;

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use crate::support::{Said, World, tool};

/// Runs `rbuild bud ARGS` with the file `stdin` as standard input.
fn bud(world: &World, args: &[&str], stdin: &Path) -> Said {
    let mut command = world.command();
    command.arg("bud").args(args).stdin(Stdio::from(File::open(stdin).unwrap()));
    Said::of(command.output().unwrap())
}

/// Packs all of the context into `archive`, beside it.
fn pack(world: &World, archive: &str, option: &str) -> std::path::PathBuf {
    let path = world.path(archive);
    let context = world.context();
    let words = ["--create", option, "--sort=name", "--owner=5", "--group=6", "--numeric-owner", "--file"];
    let place = ["--directory", context.to_str().unwrap(), "."];
    tool("tar", &[&words[..], &[path.to_str().unwrap()], &place[..]].concat());
    path
}

/// Every file of the store but its records of URLs, with its size.
fn files(world: &World) -> String {
    let store = world.store();
    if !store.exists() {
        return String::new();
    }
    let listed = tool("find", &[store.to_str().unwrap(), "!", "-type", "d", "-printf", "%P %s\n"]);
    let mut lines: Vec<&str> = listed
        .lines()
        .filter(|line| !line.starts_with("rbuild/downloads") && !line.contains("lock"))
        .collect();
    lines.sort_unstable();
    lines.join("\n")
}
