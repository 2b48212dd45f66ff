//! Maps of the user's own choice: other numbers inside, for ids that are the user's anyway.

use super::{Error, Extent, HostId, IdMap, InsideId, Plan};

impl Plan {
    /// The same plan with other maps. `None` keeps the plan's own.
    ///
    /// Errors, naming the line, with [`Error::NotGranted`] at an id that this plan does not have, and with
    /// [`Error::OwnIdElsewhere`] where the user is another than id 0 inside: the sandbox is that id, and the store is the
    /// user's. Errors with [`Error::NoNamespace`] if the plan makes no user namespace.
    pub fn with_maps(mut self, uids: Option<IdMap>, gids: Option<IdMap>) -> Result<Self, Error> {
        if !self.needs_user_namespace() {
            return Err(Error::NoNamespace);
        }
        if let Some(uids) = uids {
            check("user", &uids, &self.uids)?;
            self.uids = uids;
        }
        if let Some(gids) = gids {
            check("group", &gids, &self.gids)?;
            self.gids = gids;
        }
        Ok(self)
    }
}

fn check(kind: &'static str, wanted: &IdMap, granted: &IdMap) -> Result<(), Error> {
    // seen from outside, each granted id as itself
    let outside = granted.extents().iter().map(|extent| Extent { inside: extent.host, ..*extent });
    let outside = IdMap::new(outside)?;
    for (index, &Extent { inside, host, len }) in wanted.extents().iter().enumerate() {
        if let Some(InsideId(id)) = outside.first_unmapped(InsideId(host), len) {
            return Err(Error::NotGranted {
                kind,
                line: index + 1,
                range: format!("{inside}:{host}:{len}"),
                id,
            });
        }
    }
    match (wanted.to_host(InsideId(0)), granted.to_host(InsideId(0))) {
        (found, Some(HostId(own))) if found != Some(HostId(own)) => Err(Error::OwnIdElsewhere { kind, own }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_granted_ids_are_mapped_and_the_own_one_first() {
        let granted = IdMap::parse("0 1001 1\n1 100000 65536\n").unwrap();
        for (wanted, want) in [
            ("0 1001 1\n", ""),
            ("0 1001 1\n5000 100000 65536\n", ""),
            ("1 100010 10\n0 1001 1\n", ""),
            (
                "0 1001 1\n1 100000 65537\n",
                "line 2 of the user map, 1:100000:65537: id 165536 is not this user's",
            ),
            ("0 0 1\n", "line 1 of the user map, 0:0:1: id 0 is not this user's"),
            ("0 1001 2\n", "line 1 of the user map, 0:1001:2: id 1002 is not this user's"),
            ("0 100000 10\n", "the user map must have 0:1001:1"),
            ("1 1001 1\n", "the user map must have 0:1001:1"),
        ] {
            let got = check("user", &IdMap::parse(wanted).unwrap(), &granted);
            let said = got.map_or_else(|error| error.to_string(), |()| String::new());
            assert!(said.starts_with(want) && said.is_empty() == want.is_empty(), "{wanted}: {said}");
        }
    }
}
