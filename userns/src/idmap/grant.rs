//! The map that the administrator grants: own id 0, and from 1 on the subordinate ranges in file order.

use super::{Error, Extent, HostId, IdMap};
use crate::subid::Ranges;

/// The map of `own` and then `ranges`, one after the other.
///
/// Errors with [`Error::Grant`], naming file and line, if a range contains `own` itself.
pub fn grant(own: HostId, ranges: &Ranges) -> Result<IdMap, Error> {
    let mut next = 1;
    let mut extents = vec![Extent { inside: 0, host: own.0, len: 1 }];
    for range in &ranges.ranges {
        extents.push(Extent { inside: next, host: range.first, len: range.len });
        next = next.saturating_add(range.len); // a sum past the last id is then refused as an overflow
    }
    IdMap::new(extents).map_err(|error| match error {
        // Line 1 of the map is the own id, so its line n is range n - 1.
        Error::Map { line, fault } if line > 1 => {
            let range = ranges.ranges[line - 2];
            let (first, len, own) = (range.first, range.len, own.0);
            Error::Grant { origin: ranges.origin.clone(), line: range.line, first, len, own, fault }
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subid::Range;

    #[test]
    fn own_id_first_then_the_ranges_in_their_order() {
        for (rows, expected) in [
            (&[(100_000, 65_536)][..], Ok("0 1001 1\n1 100000 65536\n")),
            (&[(300_000, 10), (200_000, 5)], Ok("0 1001 1\n1 300000 10\n11 200000 5\n")),
            (&[], Ok("0 1001 1\n")),
            (
                &[(5000, 1), (1000, 10)],
                Err("/etc/subuid:2: 10 ids from 1000 on, beside the own id 1001: overlaps extent 1"),
            ),
            (&[(1002, 4_294_966_293)], Ok("0 1001 1\n1 1002 4294966293\n")),
        ] {
            let ranges = rows.iter().zip(1..).map(|(&(first, len), line)| Range { first, len, line });
            let ranges = Ranges { origin: "/etc/subuid".into(), ranges: ranges.collect() };
            let found =
                grant(HostId(1001), &ranges).map(|map| map.to_string()).map_err(|error| error.to_string());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{rows:?}");
        }
    }
}
