//! A row's verdict: where the step, its layer and the plain copy differ.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::layers::Entry;
use super::line::Line;
use super::plain::Like;

/// What one row came to, in a step or on a plain copy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Observation {
    /// What every word of setup and operation came to.
    pub saw: Vec<String>,
    /// The tree before; only of a plain copy.
    pub before: Vec<Line>,
    /// The tree after.
    pub after: Vec<Line>,
}

/// The two answers to an attribute that is not there. overlayfs asks every lower file for `user.overlay.metacopy`, with
/// every mount anew, and EOPNOTSUPP is the one answer that keeps it from asking again.
const NO_ATTRIBUTE: [&str; 2] = ["No data available (os error 61)", "Operation not supported (os error 95)"];

/// overlayfs says of a lower file that has no access list that there is none to remove; file systems are content.
fn has_no_list(saw: &str, expected: &str) -> bool {
    expected.starts_with("removexattr ")
        && expected.contains(" system.posix_acl_")
        && expected.strip_suffix("done").is_some_and(|call| saw == format!("{call}{}", NO_ATTRIBUTE[0]))
}

pub fn saw(saw: &[String], expected: &[String], like: Like) -> Result<(), String> {
    let same = |saw: &String, expected: &String| {
        saw == expected
            || like == Like::Overlayfs
                && (has_no_list(saw, expected)
                    || expected.ends_with(NO_ATTRIBUTE[0])
                        && *saw == expected.replace(NO_ATTRIBUTE[0], NO_ATTRIBUTE[1]))
    };
    if saw.len() == expected.len() && saw.iter().zip(expected).all(|(saw, expected)| same(saw, expected)) {
        return Ok(());
    }
    let different = |(one, other): &(&String, &String)| !same(one, other);
    let differences = saw.iter().zip(expected).filter(different);
    let told = differences.map(|(saw, expected)| format!("\n    {saw}\n    expected {expected}"));
    Err(std::iter::once("saw".to_owned()).chain(told).collect())
}

/// A tree as a process sees it.
pub fn live(tree: &[Line], expected: &[Line], like: Like) -> Result<(), String> {
    let apart = |line: &&Line| line.live.as_ref().is_some_and(|live| live.apart);
    let apart: BTreeSet<&str> = expected.iter().filter(apart).map(|line| line.path.as_str()).collect();
    let told = |line: &Line| {
        let live = line.live.as_ref().expect("seen by a process");
        let group = line.group.as_ref().filter(|_| !apart.contains(line.path.as_str()));
        let group = group.map(|first| format!(" = {first}")).unwrap_or_default();
        // a directory can hold no device: the stand-in of one is a character device to readdir(3)
        let is_stand_in =
            like == Like::Directory && live.oddity == format!("listed as char {0}, is block {0}", live.inode);
        let oddity =
            if live.oddity.is_empty() || is_stand_in { String::new() } else { format!(" ({})", live.oddity) };
        format!("{} {} names {}{group}{oddity}", line.path, live.what, live.names)
    };
    difference("lives", &tree.iter().map(told).collect(), &expected.iter().map(told).collect())
}

/// A tree as the next step sees it: without sockets, which are in no layer.
pub fn next(tree: &[Line], expected: &[Line]) -> Result<(), String> {
    let told = |line: &Line| {
        let live = line.live.as_ref().expect("seen by a process");
        let group = line.group.as_ref().map(|first| format!(" = {first}")).unwrap_or_default();
        format!("{} {}{group}", line.path, live.what)
    };
    difference("the next step", &tree.iter().map(told).collect(), &in_layers(expected).map(told).collect())
}

/// A tree as layers hold it: sockets never reach one.
pub fn frozen(how: &str, tree: &[Line], expected: &[Line]) -> Result<(), String> {
    let told = |line: &Line| {
        let group = line.group.as_ref().map(|first| format!(" = {first}")).unwrap_or_default();
        format!("{} {}{group}", line.path, line.what)
    };
    difference(how, &tree.iter().map(told).collect(), &in_layers(expected).map(told).collect())
}

fn in_layers(tree: &[Line]) -> impl Iterator<Item = &Line> {
    tree.iter().filter(|line| !line.what.starts_with("socket"))
}

fn difference(what: &str, tree: &BTreeSet<String>, expected: &BTreeSet<String>) -> Result<(), String> {
    if tree == expected {
        return Ok(());
    }
    let more = tree.difference(expected).map(|line| format!("\n    has {line}"));
    let less = expected.difference(tree).map(|line| format!("\n    not {line}"));
    Err(std::iter::once(what.to_owned()).chain(more).chain(less).collect())
}

/// Nothing is in the layer but what changed: an entry for a name that is new or says something else, that shares its
/// file with one, or leads to one; a whiteout for what was there, in a directory that still is; an opaque mark where a
/// directory took another's place. In a plain directory a file with several names is written if it was touched at all:
/// that none of its names is a new one could only be told by looking for all of them.
pub fn minimal(entries: &BTreeMap<String, Vec<Entry>>, seen: &Observation, like: Like) -> Result<(), String> {
    let before: BTreeMap<&str, &Line> = seen.before.iter().map(|line| (line.path.as_str(), line)).collect();
    let after: BTreeMap<&str, &Line> =
        in_layers(&seen.after).map(|line| (line.path.as_str(), line)).collect();
    let inode = |line: &Line| line.live.as_ref().expect("seen by a process").inode;
    let stays = |path: &str| match (before.get(path), after.get(path)) {
        (Some(before), Some(after)) => inode(before) == inode(after),
        _ => false,
    };
    let gone = |path: &str| before.contains_key(path) && !after.contains_key(path) && stays(parent(path));
    let changed = |path: &&str| !stays(path) || before[*path].what != after[*path].what;
    let mut written: BTreeSet<&str> = after.keys().copied().filter(changed).collect();
    let groups: BTreeSet<&String> = written.iter().filter_map(|path| after[*path].group.as_ref()).collect();
    written.extend(
        after
            .values()
            .filter(|line| line.group.as_ref().is_some_and(|first| groups.contains(first)))
            .map(|line| line.path.as_str()),
    );
    if like == Like::Directory {
        let several = |path: &&str| before.get(path).is_some_and(|line| line.group.is_some());
        written.extend(after.keys().copied().filter(several));
    }
    let leading: BTreeSet<&str> = written
        .iter()
        .copied()
        .chain(before.keys().copied().filter(|path| gone(path)))
        .flat_map(|path| {
            std::iter::successors(Some(path), |path| (*path != ".").then(|| parent(path))).skip(1)
        })
        .collect();
    let was_directory = |path: &str| before.get(path).is_some_and(|line| line.what.starts_with("directory"));
    let permitted = |path: &str, entry: Entry| match entry {
        Entry::Node => written.contains(path) || leading.contains(path),
        Entry::Whiteout => gone(path),
        Entry::Opaque => was_directory(path) && !stays(path),
    };
    let all = entries.iter().flat_map(|(path, entries)| entries.iter().map(move |entry| (path, *entry)));
    let needless = all.filter(|(path, entry)| !permitted(path, *entry));
    let needless: Vec<String> = needless.map(|(path, entry)| format!("\n    {entry:?} {path}")).collect();
    if needless.is_empty() { Ok(()) } else { Err(format!("the layer needs no{}", needless.concat())) }
}

fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some((parent, _)) => parent,
        None => ".",
    }
}
