//! The command line: a descriptor and, if the caller wants other maps than all it may have, these.

use std::ffi::{OsStr, OsString};

use rbuild_userns::idmap::IdMap;

use crate::Failure;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// Number of an inherited descriptor.
    pub descriptor: u16,
    /// `None`: own id 0, then all ranges of the caller.
    pub maps: Option<Maps>,
}

/// The two maps to write.
#[derive(Debug, PartialEq, Eq)]
pub struct Maps {
    pub uids: IdMap,
    pub gids: IdMap,
}

impl Request {
    /// Parses the arguments after the program's name.
    pub fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Self, Failure> {
        let mut next =
            || arguments.next().map(|word| word.into_string().map_err(|word| not_text(&word))).transpose();
        let (descriptor, uids, gids, stray) = (next()?, next()?, next()?, next()?);
        if let Some(stray) = stray {
            return Err(Failure::Usage(format!("stray argument {stray:?}")));
        }
        let descriptor = descriptor.ok_or_else(|| Failure::Usage("no descriptor given".into()))?;
        let digits = Some(descriptor).filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        let descriptor = digits.and_then(|word| word.parse().ok());
        let descriptor =
            descriptor.ok_or_else(|| Failure::Usage("FD is not a descriptor's number".into()))?;
        let maps = match (uids, gids) {
            (None, _) => None,
            (Some(_), None) => return Err(Failure::Usage("UID_MAP without GID_MAP".into())),
            (Some(uids), Some(gids)) => {
                Some(Maps { uids: map("UID_MAP", &uids)?, gids: map("GID_MAP", &gids)? })
            }
        };
        Ok(Self { descriptor, maps })
    }
}

fn map(name: &str, text: &str) -> Result<IdMap, Failure> {
    IdMap::parse(text).map_err(|error| Failure::Usage(format!("{name}: {error}")))
}

fn not_text(word: &OsStr) -> Failure {
    Failure::Usage(format!("argument {} is not UTF-8", word.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn only_these_two_forms() {
        for (words, expected) in [
            (&["0"][..], Ok((0, None))),
            (&["17", "0 1001 1\n1 100000 9\n", "0 1001 1"], Ok((17, Some("0 1001 1\n1 100000 9\n")))),
            (&[], Err("no descriptor given")),
            (&[""], Err("FD is not")),
            (&["-1"], Err("FD is not")),
            (&["+1"], Err("FD is not")),
            (&[" 1"], Err("FD is not")),
            (&["65536"], Err("FD is not")),
            (&["--help"], Err("FD is not")),
            (&["0", "0 1 1"], Err("UID_MAP without GID_MAP")),
            (&["0", "0 1 1", "0 1 1", ""], Err("stray argument \"\"")),
            (&["0", "0 1 1\n0 2 1", "0 1 1"], Err("UID_MAP: id map line 2: overlaps extent 1")),
            (&["0", "0 1 1", "0 1 -1"], Err("GID_MAP: id map line 1: \"0 1 -1\" is not")),
            (&["0", "0 4294967295 1", "0 1 1"], Err("UID_MAP: id map line 1: 1 ids from 4294967295")),
        ] {
            let found = Request::parse(words.iter().map(OsString::from));
            match (found, expected) {
                (Ok(found), Ok((descriptor, uids))) => {
                    assert_eq!(found.descriptor, descriptor, "{words:?}");
                    assert_eq!(found.maps.map(|maps| maps.uids.to_string()).as_deref(), uids, "{words:?}");
                }
                (Err(Failure::Usage(why)), Err(part)) => assert!(why.starts_with(part), "{words:?}: {why}"),
                (found, _) => panic!("{words:?}: {found:?}"),
            }
        }
        let bytes = OsString::from_vec(vec![b'0', 0xff]);
        assert!(matches!(Request::parse([bytes].into_iter()), Err(Failure::Usage(_))));
    }
}
