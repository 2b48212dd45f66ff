//! `--flag` words between an instruction's name and its arguments.

use super::line::{Fault, Faults, Line};
use super::suggest::did_you_mean;
use std::ops::Range;

/// A flag word without its quotes and escapes, and its place in the logical line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    text: String,
    at: Range<usize>,
}

impl Word {
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Cuts the flags off `text` from byte `start` on; returns them and where the arguments begin. A bare `--` ends them.
pub(super) fn split(text: &str, start: usize, offset: usize, escape: char) -> (Vec<Word>, usize) {
    let mut flags = Vec::new();
    let mut at = start;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        if !text[at..].starts_with("--") {
            return (flags, at);
        }
        let (word, length) = unquote_word(&text[at..], escape);
        let end = at + length;
        if word == "--" {
            return (flags, end);
        }
        flags.push(Word { text: word, at: offset + at..offset + end });
        at = end;
    }
}

/// The first word of `text` without quotes and escapes, and its length as written.
fn unquote_word(text: &str, escape: char) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, at),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == escape => word.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => word.push(c),
        }
    }
    (word, text.len())
}

/// What values a flag takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `--link`, `--link=true`, `--link=false`
    Switch,
    /// `--chown=…`, once
    One,
    /// `--mount=…`, any number of times
    Many,
}

/// The flags of one instruction, checked against those it knows.
pub(super) struct Flags {
    values: Vec<(&'static str, String, Range<usize>)>,
}

impl Flags {
    /// Checks the flags of `line`; `known` are those of the instruction. Reports every bad one.
    pub(super) fn parse(line: &Line, known: &[(&'static str, Kind)]) -> Result<Self, Faults> {
        let mut flags = Self { values: Vec::new() };
        let mut faults = Vec::new();
        for word in &line.flags {
            if let Err(message) = flags.accept(word, known) {
                faults.push(Fault::new(word.at.clone(), message));
            }
        }
        if faults.is_empty() { Ok(flags) } else { Err(Faults(faults)) }
    }

    fn accept(&mut self, word: &Word, known: &[(&'static str, Kind)]) -> Result<(), String> {
        let body = &word.text["--".len()..];
        let (name, value) = body.split_once('=').map_or((body, None), |(name, value)| (name, Some(value)));
        let Some(&(name, kind)) = known.iter().find(|(flag, _)| *flag == name) else {
            let names: Vec<&str> = known.iter().map(|(flag, _)| *flag).collect();
            return Err(format!("unknown flag: --{name}{}", did_you_mean(name, &names)));
        };
        if kind != Kind::Many && self.values.iter().any(|(flag, ..)| *flag == name) {
            return Err(format!("duplicate flag specified: {name}"));
        }
        let value = match (kind, value) {
            (Kind::Switch, None) => "true".to_owned(),
            (Kind::One | Kind::Many, None) | (Kind::Switch, Some("")) => {
                return Err(format!("missing a value on flag: {name}"));
            }
            (Kind::Switch, Some(value)) => match value.to_ascii_lowercase() {
                switch if switch == "true" || switch == "false" => switch,
                _ => return Err(format!("expecting boolean value for flag {name}, not: {value}")),
            },
            (Kind::One | Kind::Many, Some(value)) => value.to_owned(),
        };
        self.values.push((name, value, word.at.clone()));
        Ok(())
    }

    /// The value of a flag that may be given once.
    pub(super) fn one(&self, name: &str) -> Option<String> {
        self.placed(name).next().map(|(value, _)| value.to_owned())
    }

    /// The value of a switch.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        self.placed(name).next().map(|(value, _)| value == "true")
    }

    /// The values of a flag that may be given often.
    pub(super) fn many(&self, name: &str) -> Vec<String> {
        self.placed(name).map(|(value, _)| value.to_owned()).collect()
    }

    /// The values of a flag, each with its place in the logical line.
    pub(super) fn placed<'f>(&'f self, name: &'f str) -> impl Iterator<Item = (&'f str, &'f Range<usize>)> {
        self.values.iter().filter(move |(flag, ..)| *flag == name).map(|(_, value, at)| (value.as_str(), at))
    }
}
