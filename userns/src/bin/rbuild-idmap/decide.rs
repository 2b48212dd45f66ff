//! The decision: what is asked for, and what the databases grant, come to the maps to write or to a refusal. Pure.

use rbuild_userns::idmap::{HostId, IdMap, grant};
use rbuild_userns::subid::{Owner, Ranges};

use crate::Failure;
use crate::judge::{Setgroups, judge};
use crate::request::Maps;

/// What will be written.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    pub maps: Maps,
    pub setgroups: Setgroups,
}

/// Decides for `owner`, whose own group is `gid`. `asked`: `None` for all that the caller may have.
pub fn decide(
    asked: Option<Maps>,
    owner: &Owner,
    gid: u32,
    uid_ranges: &Ranges,
    gid_ranges: &Ranges,
) -> Result<Decision, Failure> {
    let maps = match asked {
        Some(maps) => maps,
        None => Maps { uids: granted(owner.uid, owner, uid_ranges)?, gids: granted(gid, owner, gid_ranges)? },
    };
    judge("uid", &maps.uids, HostId(owner.uid), uid_ranges)?;
    let setgroups = judge("gid", &maps.gids, HostId(gid), gid_ranges)?;
    Ok(Decision { maps, setgroups })
}

fn granted(own: u32, owner: &Owner, ranges: &Ranges) -> Result<IdMap, Failure> {
    if ranges.ranges.is_empty() {
        return Err(Failure::Refused(format!("{} has no range for {owner}", ranges.origin)));
    }
    grant(HostId(own), ranges).map_err(|error| Failure::Refused(error.to_string()))
}

/// Everything that a caller can put into the program, as bytes: the property of a fuzz target (`fuzz/`) and of the test
/// below.
#[cfg(any(test, fuzzing))]
pub mod property {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    use rbuild_userns::idmap::IdMap;
    use rbuild_userns::subid::{self, Owner, Ranges};

    use super::{Setgroups, decide};
    use crate::request::Request;

    /// The caller of every attempt.
    const UID: u32 = 1001;
    const GID: u32 = 1002;

    /// Arguments and the two databases, divided by NUL bytes. Panics if any id is mapped that is not the caller's.
    /// Returns whether something was mapped at all.
    pub fn nothing_but_the_callers(input: &[u8]) -> bool {
        let mut parts = input.split(|byte| *byte == 0);
        let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let (subuid, subgid) = (text(), text());
        let arguments = parts.map(|part| OsString::from_vec(part.to_vec()));
        let Ok(request) = Request::parse(arguments) else { return false };
        let owner = Owner { name: Some("builder".to_owned()), uid: UID };
        let parsed =
            subid::parse(&subuid, "subuid", &owner).ok().zip(subid::parse(&subgid, "subgid", &owner).ok());
        let Some((uids, gids)) = parsed else { return false };
        let Ok(decision) = decide(request.maps, &owner, GID, &uids, &gids) else { return false };
        only(&decision.maps.uids, UID, &uids, &subuid);
        only(&decision.maps.gids, GID, &gids, &subgid);
        let from_a_range =
            decision.maps.gids.extents().iter().any(|extent| (extent.host, extent.len) != (GID, 1));
        assert!(
            decision.setgroups == Setgroups::Denied || from_a_range || gids.contain(GID, 1),
            "setgroups without a grant"
        );
        true
    }

    /// Judged anew, by lines of the text and 64 bits: no code is shared with what is tested.
    fn only(map: &IdMap, own: u32, ranges: &Ranges, database: &str) {
        assert!(!map.is_empty());
        let granted: Vec<(u64, u64)> = database.lines().filter_map(row).collect();
        for extent in map.extents() {
            let (first, end) = (u64::from(extent.host), u64::from(extent.host) + u64::from(extent.len));
            assert!(first != 0 && u32::try_from(end).is_ok(), "{extent:?}");
            let is_own = extent.len == 1 && extent.host == own;
            let is_granted = granted.iter().any(|(from, to)| *from <= first && end <= *to);
            assert!(is_own || is_granted, "{extent:?} of {ranges:?} by {database:?}");
        }
    }

    /// `builder:FIRST:COUNT`, or the same by number, as half-open bounds.
    fn row(line: &str) -> Option<(u64, u64)> {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let is_number = owner.bytes().all(|byte| byte.is_ascii_digit());
        if owner != "builder" && !(is_number && owner.trim_start_matches('0') == UID.to_string()) {
            return None;
        }
        let (first, count) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
        fields.next().is_none().then_some((first, first + count))
    }
}

#[cfg(test)]
mod tests {
    use super::property::nothing_but_the_callers;
    use proptest::prelude::*;

    /// Numbers around which a mistake would show.
    fn edge() -> impl Strategy<Value = u64> {
        const NEAR: [u64; 6] = [0, 1001, 1002, 100_000, 165_536, u32::MAX as u64];
        (prop::sample::select(&NEAR[..]), 0..4_u64).prop_map(|(near, off)| (near + off).saturating_sub(2))
    }

    fn count() -> impl Strategy<Value = u64> {
        prop_oneof![3 => 1..4_u64, 2 => 65_534..65_539_u64, 1 => edge()]
    }

    fn database() -> impl Strategy<Value = String> {
        let owner = prop::sample::select(&["builder", "1001", "01001", "other", "", "#builder"][..]);
        let line =
            (owner, edge(), count()).prop_map(|(owner, first, count)| format!("{owner}:{first}:{count}\n"));
        let any = prop::collection::vec(line, 0..3).prop_map(|lines| lines.concat());
        prop_oneof![1 => Just("builder:100000:65536\n".to_owned()), 1 => any]
    }

    /// The lines stand one behind the other inside, so that a map is refused for what it maps and not for its form.
    fn map(own: u32) -> impl Strategy<Value = String> {
        let lines = prop::collection::vec((edge(), count()), 1..3).prop_map(|lines| {
            let mut inside = 0;
            let line = |(host, count)| {
                let line = format!("{inside} {host} {count}\n");
                inside += count;
                line
            };
            lines.into_iter().map(line).collect::<String>()
        });
        prop_oneof![1 => Just(format!("0 {own} 1\n")), 2 => lines]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn nobody_maps_an_id_that_is_not_theirs(subuid in database(), subgid in database(), uids in map(1001), gids in map(1002), all in prop::bool::weighted(0.2)) {
            let input = if all { format!("{subuid}\0{subgid}\x000") } else { format!("{subuid}\0{subgid}\x000\0{uids}\0{gids}") };
            nothing_but_the_callers(input.as_bytes());
        }
    }

    /// The property is of use only if something passes.
    #[test]
    fn what_is_the_callers_is_mapped() {
        let databases = "builder:100000:65536\n\x001001:200000:10\n";
        for (arguments, mapped) in [
            ("0", true),
            ("0\x000 1001 1\n1 100000 65536\n\x000 1002 1\n1 200000 10\n", true),
            ("0\x000 1001 1\n1 100000 65537\n\x000 1002 1\n", false),
            ("0\x000 1001 1\n\x000 1003 1\n", false),
        ] {
            assert_eq!(
                nothing_but_the_callers(format!("{databases}\0{arguments}").as_bytes()),
                mapped,
                "{arguments:?}"
            );
        }
    }
}
