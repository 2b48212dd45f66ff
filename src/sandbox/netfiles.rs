//! The files of `/etc` that name machines. They are made for the step and mounted over what the image has, so that they
//! may be written to and are never part of a layer.

use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use rbuild_userns::mount::{Depth, Tree};

use super::Error;
use super::root::StepRoot;
use super::target::Stub;
use crate::runtime::Names;

const NAMES: [&str; 3] = ["hosts", "resolv.conf", "hostname"];

/// Writes them into a directory of the sandbox.
pub(super) fn write(dir: &Path, names: &Names) -> Result<(), Error> {
    let contents = [hosts(names), resolvers()?, format!("{}\n", names.hostname)];
    for (name, content) in NAMES.iter().zip(contents) {
        let path = dir.join(name);
        fs::write(&path, content).map_err(Error::file("write", path))?;
    }
    Ok(())
}

/// Mounts them.
pub(super) fn mount_all(root: &mut StepRoot, dir: &Path) -> Result<(), Error> {
    for name in NAMES {
        let file = Tree::copy_of(&dir.join(name), Depth::One)?;
        root.mount(name, &file, &format!("/etc/{name}"), Stub::File)?;
    }
    Ok(())
}

fn hosts(names: &Names) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    let own = ("127.0.0.1".to_owned(), names.hostname.clone());
    for (address, name) in names.hosts.iter().chain([&own]) {
        writeln!(text, "{address}\t{name}").expect("a String takes everything");
    }
    text
}

/// The host's resolvers: the step uses the host's network, or none at all.
fn resolvers() -> Result<String, Error> {
    const HOST: &str = "/etc/resolv.conf";
    match fs::read_to_string(HOST) {
        // the C library then asks the machine itself (resolv.conf(5))
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        other => other.map_err(Error::file("read", HOST)),
    }
}
