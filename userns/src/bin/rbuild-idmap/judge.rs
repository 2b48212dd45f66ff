//! Whether the caller may have a map: pure judgement over numbers.

use rbuild_userns::idmap::{HostId, IdMap};
use rbuild_userns::subid::Ranges;

use crate::Failure;

/// The kernel takes a map in one write of less than a page, so of at most this many bytes.
const MAP_LIMIT: usize = 4095;

/// Whether the namespace may keep `setgroups`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setgroups {
    /// The administrator granted at least one id of the map.
    Allowed,
    /// It maps the caller's own id alone, and a right to drop groups would come with nobody's consent.
    Denied,
}

/// Judges a map of `kind` (`uid`, `gid`): each extent is the caller's `own` id or lies in one of `ranges`.
pub fn judge(kind: &str, map: &IdMap, own: HostId, ranges: &Ranges) -> Result<Setgroups, Failure> {
    if map.is_empty() {
        return Err(Failure::Refused(format!("the {kind} map is empty")));
    }
    let length = map.to_string().len();
    if length > MAP_LIMIT {
        return Err(Failure::Refused(format!(
            "the {kind} map is {length} bytes, and the kernel takes {MAP_LIMIT}"
        )));
    }
    let mut setgroups = Setgroups::Denied;
    for extent in map.extents() {
        if extent.host == 0 && own != HostId(0) {
            return Err(Failure::Refused(format!("host {kind} 0 is root's and is not mapped for others")));
        }
        if ranges.contain(extent.host, extent.len) {
            setgroups = Setgroups::Allowed;
        } else if (HostId(extent.host), extent.len) != (own, 1) {
            return Err(Failure::Refused(format!(
                "{len} {kind}s from {host} on are not the caller's: neither the own {kind} {own} nor within a range of {origin}",
                len = extent.len,
                host = extent.host,
                own = own.0,
                origin = ranges.origin,
            )));
        }
    }
    Ok(setgroups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rbuild_userns::idmap::Extent;
    use rbuild_userns::subid::Range;

    #[test]
    fn own_id_or_within_a_range() {
        let ranges = Ranges {
            origin: "/etc/subuid".into(),
            ranges: vec![
                Range { first: 100_000, len: 100, line: 1 },
                Range { first: 100_100, len: 100, line: 2 },
                Range { first: 0, len: 10, line: 3 },
            ],
        };
        let not_yours = "are not the caller's";
        for (map, expected) in [
            ("0 1001 1", Ok(Setgroups::Denied)),
            ("77 1001 1", Ok(Setgroups::Denied)),
            ("0 1001 1\n1 100000 100", Ok(Setgroups::Allowed)),
            ("1 100050 50", Ok(Setgroups::Allowed)),
            ("0 100199 1\n1 1001 1", Ok(Setgroups::Allowed)),
            ("", Err("the uid map is empty")),
            ("0 1001 2", Err(not_yours)),
            ("0 1000 1", Err(not_yours)),
            ("0 1001 1\n1 99999 1", Err(not_yours)),
            ("0 1001 1\n1 99999 2", Err(not_yours)),
            ("0 1001 1\n1 100000 101", Err(not_yours)),
            ("0 1001 1\n1 100200 1", Err(not_yours)),
            ("0 1001 1\n1 4294967294 1", Err(not_yours)),
            ("0 0 1", Err("host uid 0 is root's")),
            ("0 0 4294967295", Err("host uid 0 is root's")),
        ] {
            match (judge("uid", &IdMap::parse(map).unwrap(), HostId(1001), &ranges), expected) {
                (Ok(found), Ok(setgroups)) => assert_eq!(found, setgroups, "{map:?}"),
                (Err(Failure::Refused(why)), Err(part)) => assert!(why.contains(part), "{map:?}: {why}"),
                (found, _) => panic!("{map:?}: {found:?}"),
            }
        }
        assert!(judge("uid", &IdMap::parse("0 0 1").unwrap(), HostId(0), &ranges).is_ok());
    }

    #[test]
    fn a_map_beyond_one_write_is_refused() {
        let ranges = Ranges { origin: "/etc/subgid".into(), ranges: Vec::new() };
        let ids = (1_000_000..1_000_330).map(|id| Extent { inside: id, host: id, len: 1 });
        let refused = judge("gid", &IdMap::new(ids).unwrap(), HostId(1001), &ranges).unwrap_err();
        let Failure::Refused(why) = refused else { panic!("{refused:?}") };
        assert_eq!(why, "the gid map is 5940 bytes, and the kernel takes 4095");
    }
}
