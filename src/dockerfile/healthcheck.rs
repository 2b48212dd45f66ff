//! HEALTHCHECK.

use super::ast::{Command, Healthcheck};
use super::flags::{Flags, Kind};
use super::line::{Fault, Faults, Request};
use super::{duration, words};

const FLAGS: &[(&str, Kind)] = &[
    ("interval", Kind::One),
    ("timeout", Kind::One),
    ("start-period", Kind::One),
    ("start-interval", Kind::One),
    ("retries", Kind::One),
];
const MILLISECOND: i64 = 1_000_000;

pub(super) fn parse(request: &Request) -> Result<Healthcheck, Faults> {
    let line = &request.line;
    let flags = Flags::parse(line, FLAGS)?;
    let kind = &line.args[..line.args.find(char::is_whitespace).unwrap_or(line.args.len())];
    let rest = line.args[kind.len()..].trim_start();
    match kind.to_ascii_uppercase().as_str() {
        "" => Err(Fault::new(line.args_at(), "HEALTHCHECK requires at least one argument").into()),
        "NONE" if rest.is_empty() => Ok(Healthcheck::None),
        "NONE" => Err(Fault::new(line.args_at(), "HEALTHCHECK NONE takes no arguments").into()),
        "CMD" => Ok(Healthcheck::Check {
            command: command(request, rest)?,
            interval: interval(&flags, "interval")?,
            timeout: interval(&flags, "timeout")?,
            start_period: interval(&flags, "start-period")?,
            start_interval: interval(&flags, "start-interval")?,
            retries: retries(&flags)?,
        }),
        unknown => {
            let message = format!("Unknown type {unknown:?} in HEALTHCHECK (try CMD)");
            Err(Fault::new(line.at..line.at + kind.len(), message).into())
        }
    }
}

fn command(request: &Request, text: &str) -> Result<Command, Fault> {
    let line = &request.line;
    let at = line.at + line.args.len() - text.len();
    let command = match words::json(text, at)? {
        Some(vector) => Command::Exec(vector),
        None => Command::Shell(text.to_owned()),
    };
    if text.is_empty() || command == Command::Exec(Vec::new()) {
        return Err(Fault::new(line.args_at(), "Missing command after HEALTHCHECK CMD"));
    }
    Ok(command)
}

/// The flag's duration in nanoseconds; 0, "the default", if it is not given.
fn interval(flags: &Flags, name: &str) -> Result<i64, Fault> {
    let Some((value, at)) = flags.placed(name).next() else { return Ok(0) };
    if value.is_empty() {
        return Ok(0);
    }
    let nanoseconds = duration::parse(value).map_err(|error| Fault::new(at.clone(), error.to_string()))?;
    if nanoseconds != 0 && nanoseconds < MILLISECOND {
        let message = format!("Interval {name:?} cannot be less than 1ms");
        return Err(Fault::new(at.clone(), message));
    }
    Ok(nanoseconds)
}

fn retries(flags: &Flags) -> Result<i64, Fault> {
    let Some((value, at)) = flags.placed("retries").next() else { return Ok(0) };
    if value.is_empty() {
        return Ok(0);
    }
    match value.parse::<i32>() {
        Ok(count) if count >= 0 => Ok(count.into()),
        Ok(count) => Err(Fault::new(at.clone(), format!("--retries cannot be negative ({count})"))),
        Err(error) => Err(Fault::new(at.clone(), format!("--retries {value:?}: {error}"))),
    }
}
