//! Subordinate ids: which ranges the administrator has given to a user beside the user's own id.
//!
//! [`parse`] is the judgement, over text; [`Source`] is the edge that finds the text: `/etc/subuid` and
//! `/etc/subgid`, or `getsubids` where `/etc/nsswitch.conf` says that another database has the ranges.
//! `rbuild-idmap` runs this code with privileges over text that others wrote: a line that is not what
//! it should be ends in an error that names it, never in a guess. `subuid(5)`, `subgid(5)`.

mod parse;
mod source;

use std::fmt;
use std::io;
use std::path::PathBuf;

pub use parse::{Fault, parse, parse_getsubids};
pub use source::Source;

/// Which of the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `/etc/subuid`.
    Uid,
    /// `/etc/subgid`; its rows, too, belong to a *user*, by name or by user id.
    Gid,
}

/// Whose ranges: a row may name the user or give the user's id in decimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `None` if the user database has no name for the id.
    pub name: Option<String>,
    /// The user id.
    pub uid: u32,
}

/// `len` ids from `first` on; neither empty nor running past the last id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first id.
    pub first: u32,
    /// How many.
    pub len: u32,
    /// The line it stands on, counted from 1.
    pub line: usize,
}

/// The ranges of one user, in the order of the database; no two overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges {
    /// Where they were read: a path, or the command that printed them.
    pub origin: String,
    /// The ranges.
    pub ranges: Vec<Range>,
}

/// Why the ranges of a user are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One line is not what it should be.
    #[error("{origin}:{line}: {fault}")]
    Line {
        /// File or command.
        origin: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A file is there and cannot be read.
    #[error("read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More text than any such database has.
    #[error("{origin}: longer than {limit} bytes")]
    TooLong {
        /// File or command.
        origin: String,
        /// The bound, in bytes.
        limit: u64,
    },
    /// The user database could not be asked.
    #[error("look up the name of uid {uid}")]
    Name {
        /// The user id.
        uid: u32,
        /// Why.
        source: io::Error,
    },
    /// `nsswitch.conf` names another database, which is asked by user name, and the user has none.
    #[error("{nsswitch} says \"subid: {database}\", which knows users by name, and uid {uid} has no name",
        nsswitch = .nsswitch.display())]
    Nameless {
        /// The configuration file.
        nsswitch: PathBuf,
        /// The database.
        database: String,
        /// The user id.
        uid: u32,
    },
    /// `nsswitch.conf` names another database, and the program that asks it does not run.
    #[error("{nsswitch} says \"subid: {database}\": run {program} (it comes with shadow's uidmap package)",
        nsswitch = .nsswitch.display(), program = .program.display())]
    Program {
        /// The configuration file.
        nsswitch: PathBuf,
        /// The database.
        database: String,
        /// `getsubids`.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `getsubids` ran and answered with an error; it does so too for a user without ranges.
    #[error("{command}: {message} ({status})")]
    Answer {
        /// The command line.
        command: String,
        /// The last line of its standard error.
        message: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
}

impl Owner {
    /// The user with this id, its name looked up in the user database.
    pub fn of(uid: u32) -> Result<Self, Error> {
        let user = nix::unistd::User::from_uid(uid.into())
            .map_err(|errno| Error::Name { uid, source: errno.into() })?;
        Ok(Self { name: user.map(|user| user.name), uid })
    }

    /// Whether a row's first field means this user.
    ///
    /// A field of digits alone is an id and nothing else: a user who is *named* `1001` must not come
    /// into the ranges of the user whose id that is.
    fn is(&self, field: &str) -> bool {
        if field.bytes().all(|byte| byte.is_ascii_digit()) {
            field.parse() == Ok(self.uid)
        } else {
            self.name.as_deref() == Some(field)
        }
    }
}

/// `builder (uid 1001)`.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} (uid {})", self.uid),
            None => write!(f, "uid {}", self.uid),
        }
    }
}

impl Ranges {
    /// Whether `len` ids from `first` on lie wholly within one of the ranges.
    pub fn contain(&self, first: u32, len: u32) -> bool {
        self.ranges.iter().any(|range| {
            first >= range.first
                && first - range.first < range.len
                && len <= range.len - (first - range.first)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contain_is_wholly_within_one_range() {
        let ranges = Ranges {
            origin: "subuid".into(),
            ranges: vec![Range { first: 1000, len: 10, line: 1 }, Range { first: 1010, len: 5, line: 2 }],
        };
        for (first, len, within) in [
            (1000, 10, true),
            (1009, 1, true),
            (1014, 1, true),
            (999, 1, false),
            (999, 2, false),
            (1000, 11, false),
            (1015, 1, false),
            (1000, u32::MAX, false),
            (u32::MAX, 1, false),
        ] {
            assert_eq!(ranges.contain(first, len), within, "{len} from {first}");
        }
    }
}
