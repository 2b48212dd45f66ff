//! The names of machines that RUN knows.

use std::net::IpAddr;

use super::super::failure::Failure;
use crate::runtime::{Address, File, Host, Names, Resolvers};

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Names of RUN")]
pub(super) struct Args {
    /// A row of /etc/hosts; the address host-gateway is that of this machine
    #[arg(long, value_name = "NAME[;NAME…]:ADDRESS", value_parser = host)]
    add_host: Vec<Vec<Host>>,
    /// Who is asked for addresses, or none to leave the image's /etc/resolv.conf
    #[arg(long, value_name = "ADDRESS", value_parser = server)]
    dns: Vec<Server>,
    /// A domain to try behind short names; . for none
    #[arg(long, value_name = "DOMAIN", value_parser = word)]
    dns_search: Vec<String>,
    /// An option of /etc/resolv.conf
    #[arg(long, value_name = "OPTION", value_parser = word)]
    dns_option: Vec<String>,
    /// The name of the machine
    #[arg(long, value_name = "NAME", default_value = "rbuild", value_parser = hostname)]
    hostname: String,
    /// Leave the image's /etc/hosts
    #[arg(long, conflicts_with = "add_host")]
    no_hosts: bool,
    /// Leave the image's /etc/hostname
    #[arg(long)]
    no_hostname: bool,
}

impl Args {
    /// What they come to. Errors where two contradict each other.
    pub(super) fn names(&self) -> Result<Names, Failure> {
        Ok(Names {
            hostname: self.hostname.clone(),
            hostname_file: if self.no_hostname { File::Image } else { File::Made(()) },
            hosts: if self.no_hosts { File::Image } else { File::Made(self.add_host.concat()) },
            resolvers: resolvers(&self.dns, self.dns_search.clone(), self.dns_option.clone())?,
        })
    }
}

/// A value of `--dns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    None,
    At(IpAddr),
}

fn resolvers(dns: &[Server], search: Vec<String>, options: Vec<String>) -> Result<File<Resolvers>, Failure> {
    let mut servers = Vec::new();
    for server in dns {
        match server {
            Server::At(address) => servers.push(*address),
            Server::None if dns.len() > 1 || !search.is_empty() || !options.is_empty() => {
                return Err(Failure::new(
                    "--dns none leaves the image's /etc/resolv.conf, so nothing can be added",
                )
                .hint("leave the other --dns, --dns-search and --dns-option out"));
            }
            Server::None => return Ok(File::Image),
        }
    }
    if search.len() > 1 && search.iter().any(|domain| domain == ".") {
        return Err(Failure::new("--dns-search . stands for no domain, and others are given"));
    }
    Ok(File::Made(Resolvers { servers, search, options }))
}

fn server(text: &str) -> Result<Server, String> {
    match text {
        "none" => Ok(Server::None),
        _ => address(text).map(Server::At),
    }
}

fn host(text: &str) -> Result<Vec<Host>, String> {
    let (names, place) = text.split_once(':').ok_or("expected NAME:ADDRESS")?;
    let place = match place {
        "host-gateway" => Address::HostGateway,
        _ => Address::At(address(place)?),
    };
    names.split(';').map(|name| Ok(Host { name: hosts_name(name)?, address: place })).collect()
}

/// An address, an IPv6 one perhaps in brackets.
fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| format!("{text:?} is no IP address"))
}

/// The C library takes more than names of the internet; what would break the row is refused.
fn hosts_name(name: &str) -> Result<String, String> {
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
        return Err(format!("{name:?} is no name of a machine"));
    }
    Ok(name.to_owned())
}

fn word(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("expected one word".to_owned());
    }
    Ok(text.to_owned())
}

/// As the kernel takes it (64 bytes) and the internet writes it (RFC 1123).
fn hostname(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty() && label.chars().all(fits) && !label.starts_with('-') && !label.ends_with('-')
    };
    if text.len() > 64 || !text.split('.').all(is_label) {
        return Err("expected at most 64 letters, digits, dashes and dots".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_hosts_are_read_strictly() {
        let at = |name: &str, address: &str| Host {
            name: name.into(),
            address: Address::At(address.parse().unwrap()),
        };
        for (text, want) in [
            ("a:10.0.0.1", Ok(vec![at("a", "10.0.0.1")])),
            ("a.b;c:10.0.0.1", Ok(vec![at("a.b", "10.0.0.1"), at("c", "10.0.0.1")])),
            ("a:2001:db8::1", Ok(vec![at("a", "2001:db8::1")])),
            ("a:[::1]", Ok(vec![at("a", "::1")])),
            ("a:host-gateway", Ok(vec![Host { name: "a".into(), address: Address::HostGateway }])),
            ("a", Err("expected NAME:ADDRESS")),
            ("a:", Err("\"\" is no IP address")),
            ("a:10.0.0", Err("\"10.0.0\" is no IP address")),
            ("a:10.0.0.1/8", Err("\"10.0.0.1/8\" is no IP address")),
            (":10.0.0.1", Err("\"\" is no name of a machine")),
            ("a b:10.0.0.1", Err("\"a b\" is no name of a machine")),
            ("a\nb:10.0.0.1", Err("\"a\\nb\" is no name of a machine")),
            ("#:10.0.0.1", Err("\"#\" is no name of a machine")),
        ] {
            assert_eq!(host(text), want.map_err(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn names_of_machines_are_those_of_the_internet() {
        for text in ["a", "a-b.c_d", "1", &"x".repeat(64)] {
            assert_eq!(hostname(text).as_deref(), Ok(text));
        }
        for text in ["", "-a", "a-", "a..b", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(hostname(text).is_err(), "{text:?}");
        }
    }

    /// Servers, domains, options, and whether they go together.
    type Row<'a> = (&'a [Server], &'a [&'a str], &'a [&'a str], bool);

    #[test]
    fn the_image_keeps_its_resolvers_or_gets_others() {
        let at = |text: &str| Server::At(text.parse().unwrap());
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let rows: [Row<'_>; 7] = [
            (&[], &[], &[], true),
            (&[at("1.1.1.1"), at("::1")], &["lan"], &["ndots:1"], true),
            (&[], &["."], &[], true),
            (&[], &[".", "lan"], &[], false),
            (&[Server::None, at("1.1.1.1")], &[], &[], false),
            (&[Server::None], &["lan"], &[], false),
            (&[Server::None], &[], &["ndots:1"], false),
        ];
        for (dns, search, options, good) in rows {
            let got = resolvers(dns, words(search), words(options));
            assert_eq!(got.is_ok(), good, "{dns:?} {search:?} {options:?}");
        }
        assert_eq!(resolvers(&[Server::None], Vec::new(), Vec::new()).ok(), Some(File::Image));
        assert!(server("none").is_ok() && server("localhost").is_err());
    }
}
