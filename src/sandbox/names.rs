//! The files of `/etc` that name machines. They are made for the step and mounted over what the image has, so that they
//! may be written to and are never part of a layer.

use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;

use rbuild_userns::mount::{Depth, Tree};

use super::Error;
use super::network::Entered;
use super::root::StepRoot;
use super::target::Stub;
use crate::runtime::{Address, File, Host, Names, Resolvers};

/// The host's resolvers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Files that the sandbox has made for a step.
pub(super) struct Files<'a> {
    /// Where they are, in a directory of the sandbox's own.
    pub directory: &'a Path,
    /// Those of `/etc`, by their names.
    names: Vec<&'static str>,
}

impl<'a> Files<'a> {
    /// Writes them.
    pub(super) fn write(directory: &'a Path, names: &Names, network: &Entered) -> Result<Self, Error> {
        let mut made = Vec::new();
        if let File::Made(others) = &names.hosts {
            made.push(("hosts", hosts(&names.hostname, others, network.host)?));
        }
        if let File::Made(resolvers) = &names.resolvers {
            made.push(("resolv.conf", resolv_conf(resolvers, &of_the_host()?, network.forwarder)));
        }
        if let File::Made(()) = names.hostname_file {
            made.push(("hostname", format!("{}\n", names.hostname)));
        }
        for (name, content) in &made {
            let path = directory.join(name);
            fs::write(&path, content).map_err(Error::file("write", path))?;
        }
        Ok(Self { directory, names: made.into_iter().map(|(name, _)| name).collect() })
    }
}

/// Mounts those of `/etc`.
pub(super) fn mount_all(root: &mut StepRoot<'_>, files: &Files<'_>) -> Result<(), Error> {
    for name in &files.names {
        let file = Tree::copy_of(&files.directory.join(name), Depth::One)?;
        root.mount(name, &file, &format!("/etc/{name}"), Stub::File)?;
    }
    Ok(())
}

fn hosts(own: &str, others: &[Host], gateway: Option<IpAddr>) -> Result<String, Error> {
    let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for Host { name, address } in others {
        let address = match address {
            Address::At(address) => *address,
            Address::HostGateway => gateway.ok_or_else(|| Error::NoGateway(name.clone()))?,
        };
        writeln!(text, "{address}\t{name}").expect("a String takes everything");
    }
    writeln!(text, "127.0.0.1\t{own}").expect("a String takes everything");
    Ok(text)
}

fn of_the_host() -> Result<Resolvers, Error> {
    match fs::read(RESOLV_CONF) {
        // the C library then asks the machine itself (resolv.conf(5))
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Resolvers::default()),
        read => Ok(parse(&String::from_utf8_lossy(&read.map_err(Error::file("read", RESOLV_CONF))?))),
    }
}

/// Reads resolv.conf(5). A later `search` (or `domain`, its old name) takes the place of an earlier one.
fn parse(text: &str) -> Resolvers {
    let mut found = Resolvers::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            // an address with a zone (fe80::1%eth0) means nothing elsewhere
            Some("nameserver") => {
                found.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()));
            }
            Some("search" | "domain") => found.search = words.map(str::to_owned).collect(),
            Some("options") => found.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    found
}

/// What is asked for, and the host's where nothing is. From a private network the host's loopback is out of reach: its
/// resolvers there are left out, and if no other is left, the forwarder is asked in their place.
fn resolv_conf(asked: &Resolvers, host: &Resolvers, forwarder: Option<IpAddr>) -> String {
    let pick =
        |asked: &[String], host: &[String]| if asked.is_empty() { host.to_vec() } else { asked.to_vec() };
    let mut servers = asked.servers.clone();
    if servers.is_empty() {
        servers.clone_from(&host.servers);
        if let Some(forwarder) = forwarder {
            servers.retain(|server| !server.is_loopback());
            if servers.is_empty() {
                servers.push(forwarder);
            }
        }
    }
    let mut text = String::new();
    let search = pick(&asked.search, &host.search);
    if !search.is_empty() && search != ["."] {
        writeln!(text, "search {}", search.join(" ")).expect("a String takes everything");
    }
    for server in servers {
        writeln!(text, "nameserver {server}").expect("a String takes everything");
    }
    let options = pick(&asked.options, &host.options);
    if !options.is_empty() {
        writeln!(text, "options {}", options.join(" ")).expect("a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Servers, search list and options, each as words.
    fn resolvers(servers: &str, search: &str, options: &str) -> Resolvers {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let servers = servers.split_whitespace().map(|word| word.parse().unwrap()).collect();
        Resolvers { servers, search: words(search), options: words(options) }
    }

    #[test]
    fn the_file_of_the_host_is_read_as_the_c_library_does() {
        let rows = [
            ("", resolvers("", "", "")),
            ("nameserver 1.1.1.1\nnameserver ::1\n", resolvers("1.1.1.1 ::1", "", "")),
            (
                "# nameserver 1.1.1.1\n;x\nnameserver\nnameserver x\nnameserver fe80::1%eth0\n",
                resolvers("", "", ""),
            ),
            (
                "domain a\nsearch b c\noptions ndots:2\noptions trust-ad edns0",
                resolvers("", "b c", "ndots:2 trust-ad edns0"),
            ),
            ("  nameserver\t9.9.9.9  # mine\n", resolvers("9.9.9.9", "", "")),
        ];
        for (text, want) in rows {
            assert_eq!(parse(text), want, "{text:?}");
        }
    }

    #[test]
    fn what_is_asked_for_goes_before_what_the_host_has() {
        let nothing = resolvers("", "", "");
        let host = resolvers("10.0.0.1 10.0.0.2", "lan", "edns0");
        let local = resolvers("127.0.0.53", "lan", "");
        let mixed = resolvers("127.0.0.1 ::1 10.0.0.1", "", "");
        let rows = [
            (&nothing, &nothing, false, ""),
            (&nothing, &host, false, "search lan\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions edns0\n"),
            (&nothing, &local, false, "search lan\nnameserver 127.0.0.53\n"),
            (&nothing, &host, true, "search lan\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions edns0\n"),
            (&nothing, &local, true, "search lan\nnameserver 10.0.2.3\n"),
            (&nothing, &nothing, true, "nameserver 10.0.2.3\n"),
            (&nothing, &mixed, true, "nameserver 10.0.0.1\n"),
            (&resolvers("9.9.9.9", "", ""), &host, true, "search lan\nnameserver 9.9.9.9\noptions edns0\n"),
            (
                &resolvers("127.0.0.9", "a b", "ndots:1"),
                &host,
                true,
                "search a b\nnameserver 127.0.0.9\noptions ndots:1\n",
            ),
            (&resolvers("", ".", ""), &local, false, "nameserver 127.0.0.53\n"),
        ];
        for (asked, host, private, want) in rows {
            let forwarder = private.then(|| "10.0.2.3".parse().unwrap());
            assert_eq!(
                resolv_conf(asked, host, forwarder),
                want,
                "{asked:?} of {host:?}, private: {private}"
            );
        }
    }

    #[test]
    fn other_machines_come_before_the_own_one() {
        let at = |name: &str, address: &str| Host {
            name: name.to_owned(),
            address: Address::At(address.parse().unwrap()),
        };
        let gateway = Host { name: "host".to_owned(), address: Address::HostGateway };
        let head = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
        let rows: [(&[Host], Option<&str>, Option<&str>); 4] = [
            (&[], None, Some("")),
            (&[at("a", "10.0.0.1"), at("b", "2001:db8::1")], None, Some("10.0.0.1\ta\n2001:db8::1\tb\n")),
            (std::slice::from_ref(&gateway), Some("192.0.2.1"), Some("192.0.2.1\thost\n")),
            (std::slice::from_ref(&gateway), None, None),
        ];
        for (others, gateway, want) in rows {
            let text = hosts("own", others, gateway.map(|address| address.parse().unwrap()));
            assert_eq!(text.ok(), want.map(|want| format!("{head}{want}127.0.0.1\town\n")), "{others:?}");
        }
    }
}
