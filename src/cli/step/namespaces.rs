//! Which of its surroundings RUN has to itself.

use std::path::PathBuf;

use crate::cli::environment;
use crate::cli::failure::Failure;
use crate::runtime::{Namespace, Namespaces};

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Namespaces of RUN")]
pub(super) struct Args {
    /// How much RUN is apart from the host: oci, rootless (the same here) or chroot, which shares ipc and control groups
    /// [default: `$BUILDAH_ISOLATION`, else rootless]
    #[arg(long, value_name = "TYPE", value_parser = isolation)]
    isolation: Option<Isolation>,
    /// The ipc namespace: private, host or a path
    #[arg(long, value_name = "HOW", value_parser = namespace)]
    ipc: Option<Namespace>,
    /// The uts namespace: private, host or a path
    #[arg(long, value_name = "HOW", value_parser = namespace)]
    uts: Option<Namespace>,
    /// The cgroup namespace: private, host or a path
    #[arg(long, value_name = "HOW", value_parser = namespace)]
    cgroupns: Option<Namespace>,
    /// The pid namespace: private
    #[arg(long, value_name = "HOW", value_parser = pid)]
    pid: Option<Namespace>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Isolation {
    Full,
    Chroot,
}

impl Args {
    pub(super) fn namespaces(&self) -> Result<Namespaces, Failure> {
        let usual = match self.isolation()? {
            Isolation::Full => Namespace::Private,
            Isolation::Chroot => Namespace::Host,
        };
        let or_usual = |asked: &Option<Namespace>| asked.clone().unwrap_or(usual.clone());
        Ok(Namespaces {
            ipc: or_usual(&self.ipc),
            uts: self.uts.clone().unwrap_or_default(),
            cgroup: or_usual(&self.cgroupns),
        })
    }

    /// The option, else what the environment says.
    fn isolation(&self) -> Result<Isolation, Failure> {
        match (self.isolation, environment::setting("ISOLATION")?) {
            (Some(given), _) => Ok(given),
            (None, None) => Ok(Isolation::Full),
            (None, Some((name, told))) => {
                isolation(&told).map_err(|why| Failure::new(format!("{name}={told:?}: {why}")))
            }
        }
    }
}

fn isolation(text: &str) -> Result<Isolation, String> {
    match text {
        "" | "default" | "oci" | "rootless" => Ok(Isolation::Full),
        "chroot" => Ok(Isolation::Chroot),
        _ => Err("expected oci, rootless or chroot".to_owned()),
    }
}

fn namespace(text: &str) -> Result<Namespace, String> {
    match text.strip_prefix("ns:").unwrap_or(text) {
        "" | "private" | "container" => Ok(Namespace::Private),
        "host" => Ok(Namespace::Host),
        path if path.starts_with('/') => {
            let is_there = std::path::Path::new(path).exists();
            is_there.then(|| Namespace::Of(PathBuf::from(path))).ok_or_else(|| format!("there is no {path}"))
        }
        _ => Err("expected private, host or an absolute path".to_owned()),
    }
}

fn pid(text: &str) -> Result<Namespace, String> {
    match namespace(text)? {
        Namespace::Private => Ok(Namespace::Private),
        Namespace::Host | Namespace::Of(_) => Err(
            "a command runs in a pid namespace beneath that of rbuild's sandbox, which ends all of it when the build ends; \
             the kernel lets no process from there into the host's or another one. Only private works"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_private_the_hosts_or_named() {
        let of = |path: &str| Some(Namespace::Of(PathBuf::from(path)));
        for (text, want) in [
            ("", Some(Namespace::Private)),
            ("private", Some(Namespace::Private)),
            ("container", Some(Namespace::Private)),
            ("host", Some(Namespace::Host)),
            ("/proc/self/ns/ipc", of("/proc/self/ns/ipc")),
            ("ns:/proc/self/ns/ipc", of("/proc/self/ns/ipc")),
            ("/no/such/file", None),
            ("hosts", None),
        ] {
            assert_eq!(namespace(text).ok(), want, "{text}");
        }
        for (text, good) in [("private", true), ("", true), ("host", false), ("/proc/self/ns/pid", false)] {
            assert_eq!(pid(text).is_ok(), good, "{text}");
        }
    }
}
