//! The command itself: found in its own `PATH` inside its own root, and executed.

use std::ffi::CString;
use std::path::Path;

use rbuild_userns::spawn;
use rustix::io::Errno;

use crate::runtime::ProcessSpec;

/// Where programs are looked for if the environment does not say (the usual value of container engines).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// As shells have it: the program is there but cannot be executed.
const NOT_EXECUTABLE: i32 = 126;
/// As shells have it: there is no such program.
const NOT_FOUND: i32 = 127;

/// Turns into the command. Returns an exit code only if that is impossible, having told the command's standard error why.
pub(super) fn command(process: &ProcessSpec) -> i32 {
    let (why, code) = match refusal(process) {
        Ok(never) => match never {},
        Err(refusal) => refusal,
    };
    let program = process.args.first().map_or("", String::as_str);
    let message = format!("rbuild: exec {program:?}: {why}\n");
    // the reader of the pipe may be gone; the exit code then has to do
    match rustix::io::write(std::io::stderr(), message.as_bytes()) {
        Ok(_) | Err(_) => code,
    }
}

type Refusal = (String, i32);

fn refusal(process: &ProcessSpec) -> Result<std::convert::Infallible, Refusal> {
    let strings =
        |what, texts| spawn::c_strings(what, texts).map_err(|error| (error.to_string(), NOT_EXECUTABLE));
    let (arguments, environment) = (strings("argument", &process.args)?, strings("variable", &process.env)?);
    let program = process.args.first().map_or("", String::as_str);
    let candidates = candidates(program, search_path(&process.env));
    let mut denied = None;
    for candidate in &candidates {
        let path = CString::new(candidate.as_str()).expect("made of strings without NUL");
        let error = spawn::execute(&path, &arguments, &environment);
        match Errno::from_io_error(&error) {
            // a file that is there lacks the interpreter it names
            Some(Errno::NOENT) if Path::new(candidate).exists() => {
                return Err((format!("{candidate}: its interpreter is not found"), NOT_FOUND));
            }
            Some(Errno::NOENT | Errno::NOTDIR) => {}
            // a later directory may hold one that may be executed
            Some(Errno::ACCESS) => {
                denied = denied.or(Some((format!("{candidate}: {error}"), NOT_EXECUTABLE)));
            }
            _ => return Err((format!("{candidate}: {error}"), NOT_EXECUTABLE)),
        }
    }
    let not_found = if program.contains('/') {
        "no such file or directory".to_owned()
    } else {
        format!("not found in PATH ({})", search_path(&process.env))
    };
    Err(denied.unwrap_or((not_found, NOT_FOUND)))
}

fn search_path(environment: &[String]) -> &str {
    // the last one wins, as for a program that fills a table
    environment.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH)
}

/// What to try, in order. A name with a slash is no matter for PATH; an empty part of PATH is the working directory.
fn candidates(program: &str, path: &str) -> Vec<String> {
    if program.is_empty() {
        return Vec::new();
    }
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    path.split(':')
        .map(|dir| if dir.is_empty() { format!("./{program}") } else { format!("{dir}/{program}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_as_shells_do() {
        let rows: &[(&str, &str, &[&str])] = &[
            ("sh", "/usr/bin:/bin", &["/usr/bin/sh", "/bin/sh"]),
            ("sh", "/bin::", &["/bin/sh", "./sh", "./sh"]),
            ("./sh", "/bin", &["./sh"]),
            ("/x/sh", "/bin", &["/x/sh"]),
            ("", "/bin", &[]),
        ];
        for (program, path, want) in rows {
            assert_eq!(candidates(program, path), *want, "{program:?} in {path:?}");
        }
    }

    #[test]
    fn the_environment_says_where() {
        let rows: &[(&[&str], &str)] = &[
            (&[], DEFAULT_PATH),
            (&["XPATH=/x"], DEFAULT_PATH),
            (&["PATH=/a", "PATH=/b"], "/b"),
            (&["PATH="], ""),
        ];
        for (environment, want) in rows {
            let environment: Vec<String> = environment.iter().map(ToString::to_string).collect();
            assert_eq!(search_path(&environment), *want, "{environment:?}");
        }
    }
}
