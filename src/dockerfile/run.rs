//! RUN.

use super::ast::{Command, Heredoc, Run};
use super::flags::{Flags, Kind};
use super::heredoc::{self, Marker};
use super::line::{Fault, Faults, Request};
use super::suggest::did_you_mean;
use super::{MountSpec, MountSpecError, Spanned, words};

const FLAGS: &[(&str, Kind)] = &[
    ("mount", Kind::Many),
    ("network", Kind::One),
    ("security", Kind::One),
    ("device", Kind::Many),
    ("cache", Kind::One),
];
const NETWORKS: &[&str] = &["default", "none", "host"];
const SECURITIES: &[&str] = &["sandbox", "insecure"];
const CACHES: &[&str] = &["exact", "traced"];

impl Run {
    /// Whether the command is one heredoc and nothing else, so that its body is the script.
    pub fn is_one_heredoc(&self) -> bool {
        self.heredocs.len() == 1 && self.command == Command::Shell(String::new())
    }
}

pub(super) fn parse(request: Request) -> Result<Run, Faults> {
    let line = &request.line;
    let flags = Flags::parse(line, FLAGS)?;
    check(&flags, "network", NETWORKS, |value| format!("unsupported network mode {value:?}"))?;
    check(&flags, "security", SECURITIES, |value| format!("security {value:?} is not valid"))?;
    check(&flags, "cache", CACHES, |value| format!("unsupported cache mode {value:?}"))?;

    for (value, at) in flags.placed("mount") {
        check_mount(value).map_err(|why| Fault::new(at.clone(), why.to_string()))?;
    }

    let command = match words::json(line.args, line.at)? {
        Some(vector) => Command::Exec(vector),
        None => Command::Shell(shell_text(line.args, &request.heredocs)),
    };
    if line.args.is_empty() || command == Command::Exec(Vec::new()) {
        return Err(Fault::new(line.args_at(), "RUN requires at least one argument").into());
    }
    let spanned = |(value, at): (&str, _)| Spanned { value: value.to_owned(), span: request.span(at) };
    Ok(Run {
        command,
        mounts: flags.placed("mount").map(spanned).collect(),
        network: flags.one("network"),
        security: flags.one("security"),
        cache: flags.one("cache").and_then(|word| word.parse().ok()),
        devices: flags.many("device"),
        heredocs: request.heredocs.into_iter().map(|(marker, body)| Heredoc::new(marker, &body)).collect(),
    })
}

/// What a variable has yet to say is judged when it has said it.
fn check_mount(value: &str) -> Result<(), MountSpecError> {
    if value.contains('$') { Ok(()) } else { MountSpec::parse(value).map(drop) }
}

/// The text for the shell: heredocs with their bodies as written, because the shell reads them. A lone heredoc leaves
/// none: there is no command that would read it.
fn shell_text(args: &str, heredocs: &[(Marker, String)]) -> String {
    if let [(marker, _)] = heredocs
        && marker.at == (0..args.len())
    {
        return String::new();
    }
    let mut text = args.to_owned();
    for (marker, body) in heredocs {
        text.extend(["\n", body, &marker.name]);
    }
    text
}

impl Heredoc {
    pub(super) fn new(marker: Marker, body: &str) -> Self {
        let body = if marker.chomp { heredoc::chomped(body) } else { body.to_owned() };
        Self { name: marker.name, body, expand: marker.expand }
    }
}

fn check(flags: &Flags, name: &str, allowed: &[&str], message: impl Fn(&str) -> String) -> Result<(), Fault> {
    match flags.placed(name).find(|(value, _)| !allowed.contains(value)) {
        Some((value, at)) => {
            let fault = Fault::new(at.clone(), format!("{}{}", message(value), did_you_mean(value, allowed)));
            Err(fault.hint(format!("--{name} takes one of: {}", allowed.join(", "))))
        }
        None => Ok(()),
    }
}
