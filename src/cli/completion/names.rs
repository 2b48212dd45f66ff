//! Names of images and containers, where an argument takes one, and words that some options choose from.

use std::ffi::OsStr;
use std::path::Path;

use clap::{Arg, Command, ValueHint};
use clap_complete::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};

use super::super::environment;
use crate::container;
use crate::oci::Reference;
use crate::store::Store;

/// What a name may be of.
#[derive(Clone, Copy)]
enum Kind {
    Image,
    Container,
    Either,
}

/// Options that take one of a few words, or else something that nobody can guess.
const WORDS: [(&str, &[&str]); 5] = [
    ("idmap", &["auto", "root", "helper", "newuidmap", "single"]),
    ("rootfs", &["auto", "kernel", "fuse", "plain"]),
    ("pull", &["always", "missing", "never", "newer"]),
    ("network", &["host", "none", "private", "pasta", "slirp4netns"]),
    ("isolation", &["oci", "rootless", "chroot"]),
];

/// The command line, whose arguments know what is in the store at `root`, or in the usual one.
pub(super) fn offered(command: Command, root: Option<&Path>) -> Command {
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let whole = command.mut_args(|arg| with_names(arg, root));
    verbs.into_iter().fold(whole, |whole, verb| whole.mut_subcommand(verb, |verb| offered(verb, root)))
}

fn with_names(arg: Arg, root: Option<&Path>) -> Arg {
    if let Some((_, words)) = WORDS.iter().find(|(name, _)| arg.get_long() == Some(name)) {
        return arg.add(ArgValueCandidates::new(|| words.iter().map(CompletionCandidate::new).collect()));
    }
    let value = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
    let kind = match value {
        "CONTAINER" | "[NAME=]CONTAINER" => Kind::Container,
        "IMAGE" | "IMAGES" | "IMAGE|last" | "LISTS" => Kind::Image,
        "LIST" if arg.is_positional() || arg.get_long() == Some("manifest") => Kind::Image,
        "OBJECT" | "CONTAINER|IMAGE" => Kind::Either,
        value if value.starts_with("SOURCE") => return arg.value_hint(ValueHint::AnyPath),
        _ => return arg,
    };
    let root = root.map(Path::to_owned);
    arg.add(ArgValueCompleter::new(move |current: &OsStr| names(kind, root.as_deref(), current)))
}

/// The names in the store that begin with `current`. What cannot be read has none.
fn names(kind: Kind, root: Option<&Path>, current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let root = root.map_or_else(environment::store_root, |root| Ok(root.to_owned()));
    // a store is not made for a question
    let Some(root) = root.ok().filter(|root| root.join("index.json").exists()) else { return Vec::new() };
    let Ok(store) = Store::open(&root) else { return Vec::new() };
    let mut found = Vec::new();
    if matches!(kind, Kind::Container | Kind::Either) {
        found.extend(container::list(&store).unwrap_or_default().into_iter().map(|container| {
            let base = container.state.base.map_or_else(|| "scratch".to_owned(), |base| base.name);
            (container.name, base)
        }));
    }
    if matches!(kind, Kind::Image | Kind::Either) {
        for image in store.images().unwrap_or_default() {
            found.extend(image.names.iter().map(|name| (shown(name, current), image.id().short())));
        }
    }
    found.retain(|(name, _)| name.starts_with(current));
    found.sort();
    found.dedup();
    let candidate = |(name, what): (String, String)| CompletionCandidate::new(name).help(Some(what.into()));
    found.into_iter().map(candidate).collect()
}

/// A name as short as it may be said, unless more of it is there already.
fn shown(name: &Reference, current: &str) -> String {
    let whole = name.to_string();
    let short = whole.strip_prefix("localhost/").unwrap_or(&whole);
    let short = short.strip_suffix(":latest").unwrap_or(short);
    if short.starts_with(current) { short.to_owned() } else { whole }
}
