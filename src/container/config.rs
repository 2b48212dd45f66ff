//! `config`: what an image of a container will say of itself.
//!
//! A value that ends in `-` takes one entry out of a list or a map, the value `-` all of them.

use serde_json::json;

use super::run::{Record, tell};
use super::{Error, Held, State};
use crate::dockerfile::{check_signal, duration, ports, split_words};
use crate::oci::{ContainerConfig, Healthcheck};

/// Takes everything out.
const ALL: &str = "-";

/// One setting, as the command line has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A text; an empty one is none.
    Text(Text, String),
    /// The default command: words as a shell cuts them, or a JSON array.
    Cmd(String),
    /// A command for `/bin/sh -c`, or a JSON array.
    Entrypoint(String),
    /// What shell forms are given to, in words.
    Shell(String),
    /// `NAME=VALUE`, `NAME-` or `-`; the value may name other variables of the container.
    Env(String),
    /// `NAME=VALUE`, `NAME`, `NAME-` or `-`.
    Label(String),
    /// The same, of the manifest.
    Annotation(String),
    /// `PORT[/PROTOCOL]`, the same with `-`, or `-`.
    Port(String),
    /// `PATH`, `PATH-` or `-`.
    Volume(String),
    /// An instruction for images built on this one, or `-`.
    OnBuild(String),
    /// `CMD …`, `CMD-SHELL …`, `NONE`, or nothing for the base image's.
    Healthcheck(String),
    /// A duration of the health check.
    HealthDuration(HealthDuration, String),
    /// How many failures in a row count.
    HealthRetries(i64),
    /// A feature of the operating system, the same with `-`, or `-`.
    OsFeature(String),
}

/// A text of the config, or of what is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// Who made the image.
    Author,
    /// How the container's own layer came to be.
    CreatedBy,
    /// Free text in the history.
    HistoryComment,
    /// Free text of the image (Docker).
    Comment,
    /// `user[:group]`.
    User,
    /// The working directory.
    WorkingDir,
    /// The name of a container's machine (Docker).
    Hostname,
    /// Its domain (Docker).
    Domainname,
    /// The signal that ends a container.
    StopSignal,
    /// The operating system.
    Os,
    /// Its version.
    OsVersion,
    /// The architecture.
    Architecture,
    /// Its variant.
    Variant,
}

/// A duration of a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthDuration {
    /// Between two checks.
    Interval,
    /// Of one check.
    Timeout,
    /// In which failures do not count.
    StartPeriod,
    /// Between two checks within that.
    StartInterval,
}

/// Makes all changes, or none. `record`: whether the history of an image will tell of them.
pub fn configure(held: &mut Held, changes: &[Change], record: Record) -> Result<(), Error> {
    let mut state = held.container().state.clone();
    for one in changes {
        let told = change(&mut state, one)?;
        if let (Some(told), Record::Told) = (told, record) {
            tell(&mut state.piece.image.history, format!("/bin/sh -c #(nop) {told}"));
        }
    }
    held.save(state)
}

/// Makes a change. Returns the instruction that would have made it, if there is one.
///
/// Errors with [`Error::Setting`] if the value is none; `state` is then not to be used any more.
fn change(state: &mut State, change: &Change) -> Result<Option<String>, Error> {
    let config = &mut state.piece.image.config;
    let told = |verb: &str, value: &str| Some(format!("{verb} {value}"));
    Ok(match change {
        Change::Text(text, value) => set_text(state, *text, value)?,
        Change::Cmd(value) => {
            config.cmd = Some(words("--cmd", value)?).filter(|words| !words.is_empty());
            told("CMD", value)
        }
        Change::Entrypoint(value) => {
            config.entrypoint = entrypoint(value)?;
            told("ENTRYPOINT", value)
        }
        Change::Shell(value) => {
            config.shell = Some(words("--shell", value)?).filter(|words| !words.is_empty());
            told("SHELL", value)
        }
        Change::Env(value) => {
            set_env(config, value)?;
            told("ENV", value)
        }
        Change::Label(value) => {
            edit_pairs("--label", &mut config.labels, value)?;
            told("LABEL", value)
        }
        Change::Annotation(value) => {
            edit_pairs("--annotation", &mut state.annotations, value)?;
            None
        }
        Change::Port(value) => {
            set_port(config, value)?;
            told("EXPOSE", value)
        }
        Change::Volume(value) => {
            match value.strip_suffix(ALL) {
                Some("") => config.volumes.clear(),
                Some(path) => drop(config.volumes.remove(path)),
                None if value.is_empty() => return Err(empty("--volume")),
                None => drop(config.volumes.insert(value.clone(), json!({}))),
            }
            told("VOLUME", value)
        }
        Change::OnBuild(value) => {
            match value.as_str() {
                ALL => config.on_build.clear(),
                trigger => config.on_build.push(trigger.to_owned()),
            }
            told("ONBUILD", value)
        }
        Change::Healthcheck(value) => {
            config.healthcheck = healthcheck(value, config.healthcheck.take())?;
            told("HEALTHCHECK", value)
        }
        Change::HealthDuration(which, value) => {
            let parsed = duration(value)
                .map_err(|why| Error::Setting(format!("{}: {value:?}: {why}", which.flag())))?;
            *which.of(config.healthcheck.get_or_insert_default()) = parsed;
            None
        }
        Change::HealthRetries(count) => {
            config.healthcheck.get_or_insert_default().retries = *count;
            None
        }
        Change::OsFeature(value) => {
            let features = state.piece.image.extra.entry("os.features".to_owned()).or_insert(json!([]));
            let Some(list) = features.as_array_mut() else {
                return Err(Error::Setting(format!("--os-feature: the image says os.features: {features}")));
            };
            match value.strip_suffix(ALL) {
                Some("") => list.clear(),
                Some(gone) => list.retain(|feature| feature != gone),
                None if list.iter().any(|feature| feature == value) => {}
                None => list.push(value.as_str().into()),
            }
            None
        }
    })
}

fn set_text(state: &mut State, text: Text, value: &str) -> Result<Option<String>, Error> {
    let some = || Some(value.to_owned()).filter(|value| !value.is_empty());
    let image = &mut state.piece.image;
    let extra = match text {
        Text::Hostname => Some((&mut image.config.extra, "Hostname")),
        Text::Domainname => Some((&mut image.config.extra, "Domainname")),
        Text::Comment => Some((&mut image.extra, "comment")),
        Text::OsVersion => Some((&mut image.extra, "os.version")),
        _ => None,
    };
    if let Some((fields, name)) = extra {
        match some() {
            Some(value) => fields.insert(name.to_owned(), value.into()),
            None => fields.remove(name),
        };
        return Ok(None);
    }
    match text {
        Text::Author => image.author = some(),
        Text::CreatedBy => state.history.created_by = some(),
        Text::HistoryComment => state.history.comment = some(),
        Text::Os => value.clone_into(&mut image.os),
        Text::Architecture => value.clone_into(&mut image.architecture),
        Text::Variant => image.variant = some(),
        Text::User => {
            value.clone_into(&mut image.config.user);
            return Ok(Some(format!("USER {value}")));
        }
        Text::WorkingDir => {
            value.clone_into(&mut image.config.working_dir);
            return Ok(Some(format!("WORKDIR {value}")));
        }
        Text::StopSignal => {
            if !value.is_empty() {
                check_signal(value).map_err(|why| Error::Setting(format!("--stop-signal: {why}")))?;
            }
            image.config.stop_signal = some();
            return Ok(Some(format!("STOPSIGNAL {value}")));
        }
        Text::Hostname | Text::Domainname | Text::Comment | Text::OsVersion => {
            unreachable!("they are among the further fields")
        }
    }
    Ok(None)
}

impl HealthDuration {
    fn of(self, check: &mut Healthcheck) -> &mut i64 {
        match self {
            Self::Interval => &mut check.interval,
            Self::Timeout => &mut check.timeout,
            Self::StartPeriod => &mut check.start_period,
            Self::StartInterval => &mut check.start_interval,
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Interval => "--healthcheck-interval",
            Self::Timeout => "--healthcheck-timeout",
            Self::StartPeriod => "--healthcheck-start-period",
            Self::StartInterval => "--healthcheck-start-interval",
        }
    }
}

fn empty(flag: &str) -> Error {
    Error::Setting(format!("{flag}: an empty value says nothing"))
}

/// A JSON array of strings, or words as a shell cuts them.
fn words(flag: &str, value: &str) -> Result<Vec<String>, Error> {
    if value.starts_with('[')
        && let Ok(words) = serde_json::from_str(value)
    {
        return Ok(words);
    }
    split_words(value).ok_or_else(|| Error::Setting(format!("{flag}: {value:?}: a quote is not closed")))
}

fn entrypoint(value: &str) -> Result<Option<Vec<String>>, Error> {
    if value.is_empty() {
        return Ok(None);
    }
    match serde_json::from_str::<Vec<String>>(value) {
        Ok(words) => Ok(Some(words).filter(|words| !words.is_empty())),
        Err(why) if value.starts_with('[') => {
            Err(Error::Setting(format!("--entrypoint: {value:?} is no JSON array of strings: {why}")))
        }
        Err(_) => Ok(Some(["/bin/sh", "-c", value].map(str::to_owned).to_vec())),
    }
}

fn set_env(config: &mut ContainerConfig, value: &str) -> Result<(), Error> {
    if let Some((name, text)) = value.split_once('=') {
        let text = expanded(config, text)?;
        config.set_env(name, &text);
        return Ok(());
    }
    match value.strip_suffix(ALL) {
        Some("") => config.env.clear(),
        Some(gone) => config.env.retain(|row| row.split('=').next() != Some(gone)),
        None => return Err(Error::Setting(format!("setting env {value:?}: no value given"))),
    }
    Ok(())
}

/// `text` with `$NAME` and `${NAME}` replaced by what the container has.
fn expanded(config: &ContainerConfig, text: &str) -> Result<String, Error> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once('$') {
        done.push_str(before);
        let braced = behind.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let (name, after) =
            braced.unwrap_or_else(|| behind.split_at(behind.find(|c| !is_name(c)).unwrap_or(behind.len())));
        if name.is_empty() || !name.chars().all(is_name) {
            done.push('$');
            rest = behind;
            continue;
        }
        let missing = || Error::Setting(format!("setting env: the container has no variable {name:?}"));
        done.push_str(config.env(name).ok_or_else(missing)?);
        rest = after;
    }
    Ok(done + rest)
}

fn edit_pairs(
    flag: &str,
    pairs: &mut std::collections::BTreeMap<String, String>,
    value: &str,
) -> Result<(), Error> {
    match (value.split_once('='), value.strip_suffix(ALL)) {
        (Some(("", _)), _) => return Err(Error::Setting(format!("{flag} {value:?}: expected NAME=VALUE"))),
        (Some((name, text)), _) => drop(pairs.insert(name.to_owned(), text.to_owned())),
        (None, Some("")) => pairs.clear(),
        (None, Some(gone)) => drop(pairs.remove(gone)),
        (None, None) if value.is_empty() => return Err(empty(flag)),
        (None, None) => drop(pairs.insert(value.to_owned(), String::new())),
    }
    Ok(())
}

fn set_port(config: &mut ContainerConfig, value: &str) -> Result<(), Error> {
    match value.strip_suffix(ALL) {
        Some("") => config.exposed_ports.clear(),
        Some(gone) => config.exposed_ports.retain(|port, _| {
            // the protocol that nobody names is TCP
            port != gone && port.strip_suffix("/tcp") != Some(gone) && gone.strip_suffix("/tcp") != Some(port)
        }),
        None => {
            let all = ports(value).map_err(|why| Error::Setting(format!("--port: {why}")))?;
            let named = if all.len() == 1 { vec![value.to_owned()] } else { all };
            config.exposed_ports.extend(named.into_iter().map(|port| (port, json!({}))));
        }
    }
    Ok(())
}

fn healthcheck(value: &str, old: Option<Healthcheck>) -> Result<Option<Healthcheck>, Error> {
    let (kind, rest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    let test = match kind {
        "" => return Ok(None),
        "NONE" => vec![kind.to_owned()],
        "CMD" => std::iter::once("CMD".to_owned()).chain(words("--healthcheck", rest.trim())?).collect(),
        "CMD-SHELL" => vec![kind.to_owned(), rest.trim().to_owned()],
        _ => vec!["CMD-SHELL".to_owned(), value.to_owned()],
    };
    Ok(Some(Healthcheck { test, ..old.unwrap_or_default() }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::super::Told;
    use super::*;
    use crate::build::{Format, Piece};
    use crate::oci::Platform;
    use crate::runtime::Confinement;

    fn state() -> State {
        State {
            base: None,
            piece: Piece::scratch(&"linux/amd64".parse::<Platform>().unwrap()),
            annotations: BTreeMap::new(),
            format: Format::Oci,
            history: Told::default(),
            confinement: Confinement::default(),
            mount: None,
        }
    }

    /// What the settings make of an empty config, with the annotations beside it.
    fn made(changes: &[Change]) -> Result<Value, String> {
        let mut state = state();
        for one in changes {
            change(&mut state, one).map_err(|error| error.to_string())?;
        }
        let mut value = serde_json::to_value(&state.piece.image.config).unwrap();
        if !state.annotations.is_empty() {
            value["annotations"] = json!(state.annotations);
        }
        Ok(value)
    }

    #[test]
    fn settings_are_put_in_and_taken_out() {
        use Change::{Annotation, Cmd, Entrypoint, Env, Healthcheck, Label, OnBuild, Port, Shell, Volume};
        let words = |make: fn(String) -> Change, values: &[&str]| -> Vec<Change> {
            values.iter().map(|value| make((*value).to_owned())).collect()
        };
        for (changes, want) in [
            (words(Env, &["A=1", "B=$A-${A}$", "A-"]), json!({ "Env": ["B=1-1$"] })),
            (words(Env, &["A=1", "B=2", "-"]), json!({})),
            (words(Label, &["a=b=c", "x", "y=1", "y-"]), json!({ "Labels": { "a": "b=c", "x": "" } })),
            (words(Label, &["a=b", "-"]), json!({})),
            (words(Annotation, &["a=b", "c=d", "c-"]), json!({ "annotations": { "a": "b" } })),
            (
                words(Port, &["80", "90/udp", "70/tcp", "70-"]),
                json!({ "ExposedPorts": { "80": {}, "90/udp": {} } }),
            ),
            (words(Port, &["80-82", "81-"]), json!({ "ExposedPorts": { "80/tcp": {}, "82/tcp": {} } })),
            (words(Volume, &["/a", "/b", "/a-"]), json!({ "Volumes": { "/b": {} } })),
            (words(Cmd, &["a \"b c\" d\\ e"]), json!({ "Cmd": ["a", "b c", "d e"] })),
            (words(Cmd, &["[\"a\", \"b c\"]"]), json!({ "Cmd": ["a", "b c"] })),
            (words(Cmd, &["a", ""]), json!({})),
            (words(Entrypoint, &["a b"]), json!({ "Entrypoint": ["/bin/sh", "-c", "a b"] })),
            (words(Entrypoint, &["[\"a\",\"b\"]"]), json!({ "Entrypoint": ["a", "b"] })),
            (words(Entrypoint, &["a", ""]), json!({})),
            (words(Shell, &["/bin/bash -c"]), json!({ "Shell": ["/bin/bash", "-c"] })),
            (words(OnBuild, &["RUN a", "RUN b"]), json!({ "OnBuild": ["RUN a", "RUN b"] })),
            (words(Healthcheck, &["CMD a 'b c'"]), json!({ "Healthcheck": { "Test": ["CMD", "a", "b c"] } })),
            (
                words(Healthcheck, &["CMD-SHELL a b"]),
                json!({ "Healthcheck": { "Test": ["CMD-SHELL", "a b"] } }),
            ),
            (words(Healthcheck, &["NONE"]), json!({ "Healthcheck": { "Test": ["NONE"] } })),
            (words(Healthcheck, &["a", ""]), json!({})),
            (
                vec![
                    Change::HealthDuration(HealthDuration::Interval, "3s".into()),
                    Healthcheck("CMD a".into()),
                ],
                json!({ "Healthcheck": { "Test": ["CMD", "a"], "Interval": 3_000_000_000_i64 } }),
            ),
            (
                [
                    (Text::User, "u:g"),
                    (Text::WorkingDir, "/w"),
                    (Text::StopSignal, "9"),
                    (Text::Hostname, "h"),
                ]
                .map(|(text, value)| Change::Text(text, value.to_owned()))
                .to_vec(),
                json!({ "User": "u:g", "WorkingDir": "/w", "StopSignal": "9", "Hostname": "h" }),
            ),
        ] {
            assert_eq!(made(&changes), Ok(want), "{changes:?}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for (change, want) in [
            (Change::Env("A".into()), "no value given"),
            (Change::Env("A=$B".into()), "no variable \"B\""),
            (Change::Cmd("a 'b".into()), "a quote is not closed"),
            (Change::Entrypoint("[a]".into()), "no JSON array of strings"),
            (Change::Port("x".into()), "--port"),
            (Change::Volume(String::new()), "says nothing"),
            (Change::Label("=v".into()), "expected NAME=VALUE"),
            (Change::Text(Text::StopSignal, "FOO".into()), "--stop-signal"),
            (Change::HealthDuration(HealthDuration::Timeout, "x".into()), "--healthcheck-timeout"),
        ] {
            let refused = made(std::slice::from_ref(&change)).unwrap_err();
            assert!(refused.contains(want), "{change:?}: {refused}");
        }
    }
}
