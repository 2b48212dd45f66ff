//! Which network RUN sees.

use std::env;
use std::path::PathBuf;

use crate::runtime::{Carrier, Network, Private};

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Network of RUN")]
pub(super) struct Args {
    /// The network of RUN: host, none, private, pasta, slirp4netns or ns:PATH [default: host]
    #[arg(long, visible_alias = "net", value_name = "MODE", value_parser = network)]
    pub network: Option<Network>,
}

/// `--network`.
fn network(text: &str) -> Result<Network, String> {
    let private = |carrier| Network::Private(Private { carrier, path: search_path() });
    match text {
        "host" => Ok(Network::Host),
        "none" => Ok(Network::None),
        "private" => Ok(private(None)),
        "pasta" => Ok(private(Some(Carrier::Pasta))),
        "slirp4netns" => Ok(private(Some(Carrier::Slirp4netns))),
        _ => match text.split_once(':') {
            Some(("ns", path)) if !path.is_empty() => std::path::absolute(path)
                .map(Network::Namespace)
                .map_err(|error| format!("{path:?}: {error}")),
            Some((mode @ ("pasta" | "slirp4netns"), _)) => {
                Err(format!("{mode} takes no options here: its network is the same everywhere"))
            }
            _ => Err("expected host, none, private, pasta, slirp4netns or ns:PATH".to_owned()),
        },
    }
}

/// Where programs are, by the environment: the sandbox does not see it.
pub(in crate::cli) fn search_path() -> Vec<PathBuf> {
    const USUAL: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
    let path = env::var_os("PATH").unwrap_or_else(|| USUAL.into());
    // a relative entry means a directory that depends on where we stand
    env::split_paths(&path).filter(|dir| dir.is_absolute()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_strictly() {
        let unknown = Err("expected host, none, private, pasta, slirp4netns or ns:PATH");
        for (text, want) in [
            ("host", Ok("host")),
            ("none", Ok("none")),
            ("private", Ok("private")),
            ("pasta", Ok("pasta")),
            ("slirp4netns", Ok("slirp4netns")),
            ("ns:/run/netns/x", Ok("ns:/run/netns/x")),
            ("ns:", unknown),
            ("ns", unknown),
            ("bridge", unknown),
            ("container:x", unknown),
            ("", unknown),
            ("pasta:-T,8080", Err("pasta takes no options here: its network is the same everywhere")),
        ] {
            let got = network(text).map(|network| network.to_string());
            assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned), "{text:?}");
        }
    }
}
