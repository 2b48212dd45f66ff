//! `rbuild-idmap FD [UID_MAP GID_MAP]`: maps subordinate ids into the user namespace of a process.
//!
//! Installed with the file capabilities `cap_setuid,cap_setgid=ep` and run by anybody, so it trusts
//! nobody: the process is known by a descriptor of its `/proc` directory, never by a number; it must be
//! the caller's own, in a fresh user namespace that the caller made; and each range must be one that
//! `/etc/subuid` and `/etc/subgid` give to the *real* user. See `rbuild-idmap(8)`.
//!
//! To read: this file, `request`, `privilege`, `target`, `user_ns`, `decide`, `judge`; `subid` of the library.

mod decide;
mod judge;
mod privilege;
mod request;
mod target;
mod user_ns;

use std::io::{self, Write};
use std::process::ExitCode;

use rbuild_userns::subid::{self, Kind, Owner, Ranges, Source};

use decide::Decision;
use judge::Setgroups;
use request::Request;
use target::Target;

/// Why nothing, or not all, was mapped; the variant is the exit code.
#[derive(Debug)]
enum Failure {
    /// 1: the process or a range is not the caller's.
    Refused(String),
    /// 2: the command line.
    Usage(String),
    /// 3: the system did not answer as it should.
    System(String),
}

impl Failure {
    fn system(what: &str, why: impl std::fmt::Display) -> Self {
        Self::System(format!("{what}: {why}"))
    }
}

fn main() -> ExitCode {
    let (code, message) = match run() {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Refused(message)) => (1, message),
        Err(Failure::Usage(message)) => (2, format!("{message}; usage: rbuild-idmap FD [UID_MAP GID_MAP]")),
        Err(Failure::System(message)) => (3, message),
    };
    // Where standard error is gone there is nobody to tell; the exit code still says it. eprintln! panics.
    let _nobody_listens = writeln!(io::stderr(), "rbuild-idmap: {}", one_line(&message));
    ExitCode::from(code)
}

fn run() -> Result<(), Failure> {
    let request = Request::parse(std::env::args_os().skip(1))?;
    let (uid, gid) = caller()?;
    privilege::keep_setid_only()?;
    let target = Target::of_descriptor(request.descriptor, uid)?;
    target.verify(uid)?;

    let owner = Owner::of(uid).map_err(|error| database(&error))?;
    let uid_ranges = ranges(Kind::Uid, &owner)?;
    let gid_ranges = ranges(Kind::Gid, &owner)?;
    let Decision { maps, setgroups } = decide::decide(request.maps, &owner, gid, &uid_ranges, &gid_ranges)?;

    target.write_uid_map(&maps.uids)?;
    if setgroups == Setgroups::Denied {
        target.deny_setgroups()?;
    }
    target.write_gid_map(&maps.gids)
}

/// The real ids; a setuid or setgid bit would make the effective ones differ and is a wrong installation.
fn caller() -> Result<(u32, u32), Failure> {
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    if uid != rustix::process::geteuid() || gid != rustix::process::getegid() {
        return Err(Failure::System(
            "has a setuid or setgid bit; as root: chmod ug-s it and setcap it".into(),
        ));
    }
    Ok((uid.as_raw(), gid.as_raw()))
}

fn ranges(kind: Kind, owner: &Owner) -> Result<Ranges, Failure> {
    privilege::lend_to_child(|| Source::system().ranges(kind, owner))?.map_err(|error| database(&error))
}

/// A bad line is a refusal; a database that cannot be asked is the system's fault.
fn database(error: &subid::Error) -> Failure {
    match (error, std::error::Error::source(error)) {
        (subid::Error::Line { .. }, _) => Failure::Refused(error.to_string()),
        (_, Some(source)) => Failure::system(&error.to_string(), source),
        (_, None) => Failure::System(error.to_string()),
    }
}

/// Control characters escaped: a database or an argument may hold any.
fn one_line(message: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    message.chars().map(escape).collect()
}
