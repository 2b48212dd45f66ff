//! The instructions that only change the image's configuration, and ARG.

use super::ast::{Arg, Command};
use super::flags::Flags;
use super::line::{Fault, Faults, Request};
use super::port::ports;
use super::signal::check_signal;
use super::words::{self, Word};

/// Refuses every flag: for the instructions that have none.
fn no_flags(request: &Request) -> Result<(), Faults> {
    Flags::parse(&request.line, &[]).map(|_| ())
}

fn at_least_one(request: &Request, name: &str) -> Fault {
    Fault::new(request.line.args_at(), format!("{name} requires at least one argument"))
}

/// Whether expansion leaves `text` as it is, so that it can be judged now.
fn is_literal(text: &str, request: &Request) -> bool {
    !text.contains(['$', '\'', '"', request.escape])
}

/// WORKDIR, USER, STOPSIGNAL, MAINTAINER: the rest of the line is one argument, blanks and all.
pub(super) fn single(request: &Request, name: &str) -> Result<String, Faults> {
    no_flags(request)?;
    if request.line.args.is_empty() {
        return Err(
            Fault::new(request.line.args_at(), format!("{name} requires exactly one argument")).into()
        );
    }
    Ok(request.line.args.to_owned())
}

/// CMD and ENTRYPOINT.
pub(super) fn command(request: &Request) -> Result<Command, Faults> {
    no_flags(request)?;
    let line = &request.line;
    Ok(match words::json(line.args, line.at)? {
        Some(vector) => Command::Exec(vector),
        None => Command::Shell(line.args.to_owned()),
    })
}

pub(super) fn arg(request: &Request) -> Result<Vec<Arg>, Faults> {
    no_flags(request)?;
    let words = words::quoted(request.line.args, request.line.at, request.escape);
    if words.is_empty() {
        return Err(at_least_one(request, "ARG").into());
    }
    let parse = |word: Word| {
        let (name, value) = word
            .text
            .split_once('=')
            .map_or((word.text, None), |(name, value)| (name, Some(value.to_owned())));
        if name.is_empty() { Err(blank_name(&word, "ARG")) } else { Ok(Arg { name: name.to_owned(), value }) }
    };
    collect(words.into_iter().map(parse))
}

/// ENV and LABEL: `key=value…`, or `key value to the end of the line`. The first word decides which.
pub(super) fn pairs(request: &Request, name: &str) -> Result<Vec<(String, String)>, Faults> {
    no_flags(request)?;
    let line = &request.line;
    let words = words::quoted(line.args, line.at, request.escape);
    let Some(first) = words.first() else { return Err(at_least_one(request, name).into()) };
    if !first.text.contains('=') {
        let Some((key, value)) = line.args.split_once(char::is_whitespace) else {
            return Err(Fault::new(line.args_at(), format!("{name} must have two arguments")).into());
        };
        return Ok(vec![(key.to_owned(), value.trim_start().to_owned())]);
    }
    collect(words.into_iter().map(|word| pair(&word, name)))
}

fn pair(word: &Word, name: &str) -> Result<(String, String), Fault> {
    let Some((key, value)) = word.text.split_once('=') else {
        let message =
            format!("Syntax error - can't find = in {:?}. Must be of the form: name=value", word.text);
        return Err(Fault::new(word.at.clone(), message).hint("quote a value that holds blanks"));
    };
    if key.is_empty() { Err(blank_name(word, name)) } else { Ok((key.to_owned(), value.to_owned())) }
}

fn blank_name(word: &Word, name: &str) -> Fault {
    Fault::new(word.at.clone(), format!("{name} names can not be blank"))
}

/// All results, or every fault.
fn collect<T>(results: impl Iterator<Item = Result<T, Fault>>) -> Result<Vec<T>, Faults> {
    let (mut values, mut faults) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(values) } else { Err(Faults(faults)) }
}

pub(super) fn expose(request: &Request) -> Result<Vec<String>, Faults> {
    no_flags(request)?;
    let words = words::by_blanks(request.line.args, request.line.at);
    if words.is_empty() {
        return Err(at_least_one(request, "EXPOSE").into());
    }
    collect(words.into_iter().map(|word| {
        if is_literal(word.text, request) {
            ports(word.text).map_err(|error| Fault::new(word.at.clone(), error.to_string()))?;
        }
        Ok(word.text.to_owned())
    }))
}

pub(super) fn stopsignal(request: &Request) -> Result<String, Faults> {
    let signal = single(request, "STOPSIGNAL")?;
    if is_literal(&signal, request) {
        check_signal(&signal).map_err(|error| Fault::new(request.line.args_at(), error.to_string()))?;
    }
    Ok(signal)
}

pub(super) fn volume(request: &Request) -> Result<Vec<String>, Faults> {
    no_flags(request)?;
    let line = &request.line;
    let paths = match words::json(line.args, line.at)? {
        Some(paths) => paths.iter().map(|path| path.trim().to_owned()).collect(),
        None => {
            words::by_blanks(line.args, line.at).iter().map(|word| word.text.to_owned()).collect::<Vec<_>>()
        }
    };
    if paths.is_empty() {
        return Err(at_least_one(request, "VOLUME").into());
    }
    if paths.iter().any(String::is_empty) {
        return Err(Fault::new(line.args_at(), "VOLUME specified can not be an empty string").into());
    }
    Ok(paths)
}

pub(super) fn shell(request: &Request) -> Result<Vec<String>, Faults> {
    no_flags(request)?;
    let line = &request.line;
    match words::json(line.args, line.at)? {
        Some(vector) if !vector.is_empty() => Ok(vector),
        None if !line.args.is_empty() => {
            let fault = Fault::new(line.args_at(), "SHELL requires the arguments to be in JSON form");
            Err(fault.hint("for example: SHELL [\"/bin/bash\", \"-c\"]").into())
        }
        _ => Err(at_least_one(request, "SHELL").into()),
    }
}
