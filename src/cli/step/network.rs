//! Which network RUN sees.

use crate::runtime::Network;

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Network of RUN")]
pub(super) struct Args {
    /// The network of RUN: host or none
    #[arg(long, visible_alias = "net", value_name = "MODE", default_value = "host", value_parser = network)]
    pub network: Network,
}

/// `--network`.
fn network(text: &str) -> Result<Network, String> {
    match text {
        "host" => Ok(Network::Host),
        "none" => Ok(Network::None),
        "private" | "pasta" | "slirp4netns" => Err(format!("the network {text} is not supported yet")),
        _ => Err("expected host or none".to_owned()),
    }
}
