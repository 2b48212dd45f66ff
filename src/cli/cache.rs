//! The options of `bud` about records of earlier builds.

use std::time::Duration;

use crate::build::{Cache, Ignored};
use crate::dockerfile::{self, CacheMode};

/// The build cache.
#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Cache")]
pub(super) struct Args {
    /// Do every step again
    #[arg(long)]
    no_cache: bool,
    /// Do the steps of these stages again; may be given several times
    #[arg(long, value_name = "STAGE[,STAGE…]", value_delimiter = ',')]
    no_cache_filter: Vec<String>,
    /// Take no record older than this (90s, 1h30m); 0 takes none
    #[arg(long, value_name = "DURATION", value_parser = age)]
    cache_ttl: Option<Duration>,
    /// When a RUN need not run again: exact, on the same parent; traced, on any where all it looked at is the same
    #[arg(long, value_name = "MODE", default_value = "exact")]
    cache_mode: CacheMode,
}

impl Args {
    pub(super) fn cache(&self) -> Cache {
        let ignored = if self.no_cache || self.cache_ttl == Some(Duration::ZERO) {
            Ignored::Everything
        } else if self.no_cache_filter.is_empty() {
            Ignored::Nothing
        } else {
            Ignored::Stages(self.no_cache_filter.clone())
        };
        Cache { ignored, ttl: self.cache_ttl, mode: self.cache_mode }
    }
}

fn age(text: &str) -> Result<Duration, String> {
    let nanos = dockerfile::duration(text).map_err(|why| why.to_string())?;
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| "a record is no younger than now".to_owned())
}
