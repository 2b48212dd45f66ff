//! The edge: where the ranges are read.
//!
//! `subid:` in `nsswitch.conf` names one database; its absence means the files. Any other database
//! answers through `getsubids`, so that no library of it is loaded into our process.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::parse::first_free;
use super::{Error, Kind, Owner, Ranges, parse, parse_getsubids};

/// Bound of a database's text; a line is about 30 bytes.
const LIMIT: u64 = 16 << 20;

/// The paths that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `/etc/subuid`.
    pub subuid: PathBuf,
    /// `/etc/subgid`.
    pub subgid: PathBuf,
    /// `/etc/nsswitch.conf`.
    pub nsswitch: PathBuf,
    /// `/usr/bin/getsubids`.
    pub getsubids: PathBuf,
}

impl Source {
    /// The machine's own.
    pub fn system() -> Self {
        Self {
            subuid: "/etc/subuid".into(),
            subgid: "/etc/subgid".into(),
            nsswitch: "/etc/nsswitch.conf".into(),
            getsubids: "/usr/bin/getsubids".into(),
        }
    }

    /// The ranges of `owner`; none if the file is absent.
    ///
    /// Errors name the line that is malformed, overlaps an earlier one or runs past the last id.
    pub fn ranges(&self, kind: Kind, owner: &Owner) -> Result<Ranges, Error> {
        if let Some(database) = other_database(&read(&self.nsswitch)?) {
            return self.ask(kind, owner, database);
        }
        let path = match kind {
            Kind::Uid => &self.subuid,
            Kind::Gid => &self.subgid,
        };
        parse(&read(path)?, &path.display().to_string(), owner)
    }

    /// An id from which on neither file has given away any.
    pub fn first_free(&self) -> Result<u32, Error> {
        Ok(first_free(&read(&self.subuid)?).max(first_free(&read(&self.subgid)?)))
    }

    fn ask(&self, kind: Kind, owner: &Owner, database: &str) -> Result<Ranges, Error> {
        let Some(name) = &owner.name else {
            let (nsswitch, database) = (self.nsswitch.clone(), database.to_owned());
            return Err(Error::Nameless { nsswitch, database, uid: owner.uid });
        };
        let mut command = Command::new(&self.getsubids);
        if kind == Kind::Gid {
            command.arg("-g");
        }
        // No environment: the caller's must not reach a program that answers for us.
        command.arg(name).env_clear().current_dir("/").stdin(Stdio::null());
        let failed = |source| Error::Program {
            nsswitch: self.nsswitch.clone(),
            database: database.to_owned(),
            program: self.getsubids.clone(),
            source,
        };
        let output = command.output().map_err(failed)?;
        let origin =
            format!("{}{} {name}", self.getsubids.display(), if kind == Kind::Gid { " -g" } else { "" });
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let message = stderr.lines().last().unwrap_or("no message").to_owned();
            return Err(Error::Answer { command: origin, message, status: output.status });
        }
        parse_getsubids(&String::from_utf8_lossy(&output.stdout), &origin)
    }
}

/// The text of a file, empty if there is none.
fn read(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        opened => opened.map_err(failed)?,
    };
    let bytes = read_bounded(file).map_err(failed)?;
    let text = bytes.ok_or_else(|| Error::TooLong { origin: path.display().to_string(), limit: LIMIT })?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// `None` if there is more than [`LIMIT`].
fn read_bounded(reader: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(LIMIT + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= LIMIT).then_some(bytes))
}

/// The database that has the ranges, if it is not the files: the first one of the `subid:` line.
fn other_database(nsswitch: &str) -> Option<&str> {
    let databases = nsswitch.lines().find_map(|line| {
        let (key, databases) = line.split('#').next()?.split_once(':')?;
        key.trim().eq_ignore_ascii_case("subid").then_some(databases)
    })?;
    databases.split_ascii_whitespace().next().filter(|database| *database != "files")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn source(dir: &Path) -> Source {
        Source {
            subuid: dir.join("subuid"),
            subgid: dir.join("subgid"),
            nsswitch: dir.join("nsswitch.conf"),
            getsubids: dir.join("getsubids"),
        }
    }

    fn builder() -> Owner {
        Owner { name: Some("builder".into()), uid: 1001 }
    }

    #[test]
    fn which_database() {
        for (text, database) in [
            ("", None),
            ("passwd: files sss\n", None),
            ("subid: files\n", None),
            ("subid: files sss\n", None),
            ("#subid: sss\n", None),
            ("subid:\n", None),
            ("subid: sss\n", Some("sss")),
            ("passwd: files\n  SubId:\tsss files # here\n", Some("sss")),
        ] {
            assert_eq!(other_database(text), database, "{text:?}");
        }
    }

    #[test]
    fn files_absent_are_no_ranges_and_each_kind_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(dir.path());
        assert_eq!(source.ranges(Kind::Uid, &builder()).unwrap().ranges, []);
        fs::write(&source.subuid, "builder:100000:10\n").unwrap();
        fs::write(&source.subgid, "1001:200000:20\n").unwrap();
        for (kind, first) in [(Kind::Uid, 100_000), (Kind::Gid, 200_000)] {
            assert_eq!(source.ranges(kind, &builder()).unwrap().ranges[0].first, first, "{kind:?}");
        }
    }

    #[test]
    fn another_database_is_asked_through_getsubids() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(dir.path());
        fs::write(&source.nsswitch, "subid: sss\n").unwrap();
        fs::write(&source.subuid, "builder:1:1\n").unwrap();
        let missing = source.ranges(Kind::Uid, &builder()).unwrap_err().to_string();
        assert!(missing.contains("\"subid: sss\": run") && missing.contains("getsubids"), "{missing}");
        let nameless = source.ranges(Kind::Uid, &Owner { name: None, uid: 7 }).unwrap_err().to_string();
        assert!(nameless.contains("uid 7 has no name"), "{nameless}");

        for (script, kind, expected) in [
            ("echo \"0: $1 500 10\"", Kind::Uid, Ok(500)),
            ("test \"$1\" = -g && echo \"0: $2 600 10\"", Kind::Gid, Ok(600)),
            ("test -z \"$HOME\" && echo \"0: $1 700 10\"", Kind::Uid, Ok(700)),
            (
                "echo Error fetching ranges >&2; exit 1",
                Kind::Uid,
                Err("Error fetching ranges (exit status: 1)"),
            ),
            ("echo nonsense", Kind::Uid, Err("is not INDEX: USER FIRST COUNT")),
        ] {
            // Written by another process: while we hold it open for writing, a sibling's fork would too,
            // and running it would be ETXTBSY.
            let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"";
            let written = Command::new("sh").arg("-c").arg(write).arg(&source.getsubids).arg(script).status();
            assert!(written.unwrap().success(), "{script}");
            match (source.ranges(kind, &builder()), expected) {
                (Ok(found), Ok(first)) => assert_eq!(found.ranges[0].first, first, "{script}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{script}: {error}"),
                (found, _) => panic!("{script}: {found:?}"),
            }
        }
    }

    #[test]
    fn an_endless_database_is_refused() {
        assert_eq!(read_bounded(io::repeat(b'#')).unwrap(), None);
    }
}
