//! What of this process and its user RUN has.

use std::collections::BTreeMap;

use crate::cli::environment;
use crate::cli::failure::Failure;
use crate::runtime::Groups;

/// The word that keeps the user's own groups.
const KEEP: &str = "keep-groups";

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Security of RUN")]
pub(super) struct Args {
    /// A group besides those of the user, a name of the image or a number; keep-groups keeps those of whoever starts
    /// rbuild; may be given several times
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    group_add: Vec<String>,
    /// Whether RUN sees the proxy settings of the environment
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true",
          require_equals = true, action = clap::ArgAction::Set)]
    http_proxy: bool,
}

impl Args {
    pub(super) fn proxies(&self) -> Result<BTreeMap<String, String>, Failure> {
        if self.http_proxy { environment::proxies() } else { Ok(BTreeMap::new()) }
    }

    pub(super) fn groups(&self) -> Result<Groups, Failure> {
        match &self.group_add[..] {
            [only] if only == KEEP => Ok(Groups::Kept),
            several if several.iter().any(|group| group == KEEP) => {
                Err(Failure::new("--group-add keep-groups stands alone: the kernel keeps all groups or none"))
            }
            _ => Ok(Groups::Dropped),
        }
    }

    pub(super) fn further(&self) -> Vec<String> {
        self.group_add.iter().filter(|group| *group != KEEP).cloned().collect()
    }
}
