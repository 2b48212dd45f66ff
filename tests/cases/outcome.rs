//! What became of a case, as lines.

use serde_json::Value;

/// What a build ended in.
pub enum Outcome {
    /// An image.
    Built {
        /// The config's inner object, and the author.
        config: Value,
        author: Option<String>,
        /// The flattened tree, and that of the base.
        tree: Vec<String>,
        base: Vec<String>,
    },
    /// What a script said, its exit code, and the image that it left.
    Scripted { code: i32, stdout: String, image: Option<Box<Outcome>> },
    /// An exit code and what was said.
    Refused { code: i32, stderr: String },
}

/// The fields that a Dockerfile has a word for. Others are a builder's notes to itself.
const FIELDS: [&str; 12] = [
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
];

impl Outcome {
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Built { config, author, tree, base } => {
                let mut lines: Vec<String> = author.iter().map(|author| format!("author {author}")).collect();
                lines.extend(FIELDS.iter().flat_map(|field| field_lines(field, &config[field])));
                lines.extend(tree_lines(tree, base));
                if lines.is_empty() {
                    lines.push("nothing".to_owned());
                }
                lines
            }
            Self::Scripted { code, stdout, image } => {
                let said = stdout.lines().map(|line| format!("| {}", without_ids(line)));
                let image = image.iter().flat_map(|image| image.lines());
                std::iter::once(format!("exit {code}")).chain(said).chain(image).collect()
            }
            Self::Refused { code, stderr } => {
                let message = stderr.lines().skip_while(|line| !line.starts_with("Error: "));
                std::iter::once(format!("refused {code}")).chain(message.map(str::to_owned)).collect()
            }
        }
    }
}

/// A line in which each id, whole or cut to twelve digits, is the word `ID`.
fn without_ids(line: &str) -> String {
    let is_id = |word: &str| [64, 12].contains(&word.len()) && word.bytes().all(|b| b.is_ascii_hexdigit());
    let words = line.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let named = words.map(|word| {
        let (text, end) = word.split_at(word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).len());
        if is_id(text) { format!("ID{end}") } else { word.to_owned() }
    });
    named.collect()
}

/// One line for each entry of a map and of the lists whose entries are told one by one. Nothing, and what is the same
/// as nothing, has no line.
fn field_lines(field: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) if text.is_empty() || (field == "WorkingDir" && text == "/") => Vec::new(),
        Value::Array(entries) if entries.is_empty() => Vec::new(),
        Value::Array(entries) if ["Env", "OnBuild"].contains(&field) => {
            entries.iter().map(|entry| format!("{field} {entry}")).collect()
        }
        Value::Object(_) if field == "Healthcheck" => vec![format!("{field} {value}")],
        // the version of the builder, which one peer adds
        Value::Object(entries) => {
            let entries = entries.iter().filter(|(key, _)| *key != "io.buildah.version");
            entries.map(|(key, value)| format!("{field} {key:?} {value}")).collect()
        }
        _ => vec![format!("{field} {value}")],
    }
}

/// The entries that the base does not have like this, and those of the base that are gone. A tree without the base's
/// busybox does not stand on it.
fn tree_lines(tree: &[String], base: &[String]) -> Vec<String> {
    let busybox = base.iter().find(|line| line.contains(" bin/busybox "));
    if !busybox.is_some_and(|busybox| tree.contains(busybox)) {
        return tree.to_vec();
    }
    let gone = base.iter().filter(|line| !tree.iter().any(|entry| path(entry) == path(line)));
    let gone = gone.map(|line| format!("gone {}", path(line)));
    gone.chain(tree.iter().filter(|line| !base.contains(line)).cloned()).collect()
}

/// The path in a line of `flatten.py`: behind type, mode, owner and, of some types, a size or a device.
fn path(line: &str) -> &str {
    let before = if line.starts_with(['f', 'c', 'b']) { 4 } else { 3 };
    let rest = line.splitn(before + 1, ' ').nth(before).unwrap_or(line);
    [" -> ", " = ", " #"].iter().filter_map(|mark| rest.find(mark)).min().map_or(rest, |end| &rest[..end])
}

/// What `theirs` has otherwise than `ours`; nothing if both are refusals, whatever they say.
pub fn difference(ours: &[String], theirs: &[String]) -> Vec<String> {
    let refused = |lines: &[String]| lines.first().is_some_and(|line| line.starts_with("refused "));
    match (refused(ours), refused(theirs)) {
        (true, true) => Vec::new(),
        (true, false) => vec!["+ built".to_owned()],
        (false, true) => vec!["+ refused".to_owned()],
        (false, false) => changes(ours, theirs),
    }
}

/// The lines of `ours` that `theirs` lacks, with a `-`, and those that it has instead, with a `+`.
pub fn changes(ours: &[String], theirs: &[String]) -> Vec<String> {
    let only_in = |one: &[String], other: &[String], mark: &str| -> Vec<String> {
        one.iter().filter(|line| !other.contains(line)).map(|line| format!("{mark} {line}")).collect()
    };
    let mut lines = [only_in(ours, theirs, "-"), only_in(theirs, ours, "+")].concat();
    if lines.is_empty() && ours != theirs {
        lines.push("+ another order, or a line twice".to_owned());
    }
    lines
}
