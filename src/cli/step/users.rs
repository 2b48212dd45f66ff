//! Which ids of this machine stand behind those that RUN sees.

use rbuild_userns::idmap::{Extent, IdMap};

use rbuild_userns::subid::Owner;

use crate::cli::failure::Failure;

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Namespaces of RUN")]
pub(super) struct Args {
    /// The user namespace: private, auto or host, which are the same here
    #[arg(long, value_name = "HOW", value_parser = namespace)]
    userns: Option<()>,
    #[command(flatten)]
    maps: Maps,
    /// Whose subordinate user ids to map: those of whoever starts rbuild, by name or number
    #[arg(long, value_name = "USER", value_parser = own)]
    userns_uid_map_user: Option<()>,
    /// Whose subordinate group ids to map, likewise
    #[arg(long, value_name = "GROUP", value_parser = own)]
    userns_gid_map_group: Option<()>,
}

/// The maps of ids themselves.
#[derive(clap::Args)]
#[group(skip)]
pub(in crate::cli) struct Maps {
    /// A line of the map of user ids; may be given several times
    #[arg(long, value_name = "CONTAINER:HOST:COUNT", value_delimiter = ',', value_parser = extent)]
    userns_uid_map: Vec<Extent>,
    /// A line of the map of group ids; may be given several times
    #[arg(long, value_name = "CONTAINER:HOST:COUNT", value_delimiter = ',', value_parser = extent)]
    userns_gid_map: Vec<Extent>,
}

impl Args {
    /// The maps of user and group ids: those that are asked for, else `usual`.
    pub(super) fn maps(
        &self,
        usual: (Option<IdMap>, Option<IdMap>),
    ) -> Result<(Option<IdMap>, Option<IdMap>), Failure> {
        let (users, groups) = self.maps.maps()?;
        Ok((users.or(usual.0), groups.or(usual.1)))
    }
}

impl Maps {
    /// The maps of user and group ids, if others than those of `--idmap` are wanted.
    pub(in crate::cli) fn maps(&self) -> Result<(Option<IdMap>, Option<IdMap>), Failure> {
        let map = |option: &str, extents: &[Extent]| {
            let map = IdMap::new(extents.iter().copied())
                .map_err(|why| Failure::new(format!("{option}: {why}")))?;
            Ok::<_, Failure>((!map.is_empty()).then_some(map))
        };
        Ok((map("--userns-uid-map", &self.userns_uid_map)?, map("--userns-gid-map", &self.userns_gid_map)?))
    }
}

fn namespace(text: &str) -> Result<(), String> {
    match text {
        "" | "private" | "auto" | "host" => Ok(()),
        _ => Err("rbuild makes the user namespace of a build itself and enters no other: expected private, auto or host"
            .to_owned()),
    }
}

/// Nobody else's ranges can be had, and one's own are taken anyway.
fn own(name: &str) -> Result<(), String> {
    let own = Owner::of(rustix::process::geteuid().as_raw()).map_err(|why| why.to_string())?;
    if own.name.as_deref() == Some(name) || name == own.uid.to_string() {
        return Ok(());
    }
    Err(format!("the subordinate ids of {name} are not those of the user that starts rbuild, {own}"))
}

fn extent(text: &str) -> Result<Extent, String> {
    let numbers: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[inside, host, len]) => Ok(Extent { inside, host, len }),
        _ => Err("expected three numbers, CONTAINER:HOST:COUNT".to_owned()),
    }
}
