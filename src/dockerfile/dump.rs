//! The instructions as s-expressions, one on a line, for whoever asks how a file was read: `(copy ["--from=a"] "x" "/")`.

use super::written::{self, Written};
use super::{Dockerfile, words};

/// How the file was read. `source` is the text that `dockerfile` was parsed from.
pub fn dump(source: &str, dockerfile: &Dockerfile) -> String {
    let written = written::instructions(source, dockerfile.escape);
    let lines = written.iter().map(|written| instruction(written, dockerfile.escape));
    lines.flat_map(|line| ["(".to_owned(), line, ")\n".to_owned()]).collect()
}

fn instruction(written: &Written, escape: char) -> String {
    let keyword = written.keyword.to_lowercase();
    let mut parts = vec![keyword.clone()];
    if !written.flags.is_empty() {
        let flags: Vec<String> = written.flags.iter().map(|flag| quoted(flag)).collect();
        parts.push(format!("[{}]", flags.join(" ")));
    }
    match keyword.as_str() {
        "onbuild" => {
            parts.push(format!("({})", instruction(&trigger(written, escape), escape)));
        }
        "healthcheck" => {
            let (kind, rest) = written.args.split_once(char::is_whitespace).unwrap_or((&written.args, ""));
            parts.push(quoted(kind));
            parts.extend(one_or_json(rest));
        }
        "env" | "label" => parts.extend(pairs(&written.args, escape)),
        "arg" => {
            parts.extend(words::quoted(&written.args, 0, escape).iter().map(|word| quoted(word.text)));
        }
        "run" | "cmd" | "entrypoint" | "shell" => parts.extend(one_or_json(&written.args)),
        "add" | "copy" | "volume" if words::is_json(&written.args) => {
            parts.extend(one_or_json(&written.args));
        }
        "add" | "copy" | "expose" | "from" | "volume" => {
            parts.extend(written.words.iter().map(|(word, _)| quoted(word)));
        }
        _ => parts.push(quoted(&written.args)),
    }
    parts.join(" ")
}

/// The instruction that ONBUILD keeps.
fn trigger(onbuild: &Written, escape: char) -> Written {
    let mut inner = written::instructions(&onbuild.args, escape);
    inner.swap_remove(0)
}

/// The strings of a JSON array, else all of it as one.
fn one_or_json(args: &str) -> Vec<String> {
    match words::json(args, 0) {
        Ok(Some(strings)) => strings.iter().map(|string| quoted(string)).collect(),
        _ if args.is_empty() => Vec::new(),
        _ => vec![quoted(args)],
    }
}

/// Keys and values by turns.
fn pairs(args: &str, escape: char) -> Vec<String> {
    let words = words::quoted(args, 0, escape);
    let split: Vec<(&str, &str)> = match words.first() {
        Some(first) if !first.text.contains('=') => {
            args.split_once(char::is_whitespace).into_iter().collect()
        }
        _ => words.iter().filter_map(|word| word.text.split_once('=')).collect(),
    };
    split.iter().flat_map(|(key, value)| [quoted(key), quoted(value.trim_start())]).collect()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
