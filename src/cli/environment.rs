//! What the environment and the words of an option mean. Below this room nobody asks the environment.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use rbuild_userns::idmap::{Choice, Mode};

use super::failure::Failure;
use crate::container::Record;
use crate::registry::Sources;
use crate::runtime::RootfsChoice;

/// Where the store is if `--root` does not say.
pub(super) fn store_root() -> Result<PathBuf, Failure> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(root) = set("RBUILD_ROOT") {
        return Ok(root);
    }
    if rustix::process::geteuid().is_root() {
        return Ok("/var/lib/rbuild".into());
    }
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
    let data = data.filter(|path| path.is_absolute()).ok_or_else(|| {
        Failure::new("no place for the store: neither XDG_DATA_HOME nor HOME is an absolute path")
            .hint("pass --root DIR")
    })?;
    Ok(data.join("rbuild"))
}

/// The auth files to look into, in order.
pub(super) fn auth_files() -> Vec<PathBuf> {
    if let Some(file) = env::var_os("REGISTRY_AUTH_FILE").filter(|file| !file.is_empty()) {
        return vec![file.into()];
    }
    let below = |name: &str, rest: &str| env::var_os(name).map(|base| PathBuf::from(base).join(rest));
    let places = [
        Some(login_file()),
        below("XDG_CONFIG_HOME", "containers/auth.json")
            .or_else(|| below("HOME", ".config/containers/auth.json")),
        below("DOCKER_CONFIG", "config.json").or_else(|| below("HOME", ".docker/config.json")),
    ];
    places.into_iter().flatten().collect()
}

/// The auth file that logins are written to (containers-auth.json(5), "FILES").
pub(super) fn login_file() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("REGISTRY_AUTH_FILE").unwrap_or_else(|| {
        let user = rustix::process::geteuid();
        let runtime = set("XDG_RUNTIME_DIR").map(|base| base.join("containers"));
        let runtime = runtime.unwrap_or_else(|| format!("/run/containers/{user}").into());
        runtime.join("auth.json")
    })
}

/// The proxy settings of this process, as RUN is to see them. Errors if one is no text.
pub(super) fn proxies() -> Result<BTreeMap<String, String>, Failure> {
    let names = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];
    let names = names.iter().flat_map(|name| [(*name).to_owned(), name.to_uppercase()]);
    names.filter_map(|name| Some(variable(&name).transpose()?.map(|value| (name, value)))).collect()
}

/// Which registries may be spoken to.
pub(super) fn registry_sources() -> Result<Sources, Failure> {
    const NAME: &str = "BUILD_REGISTRY_SOURCES";
    let Some(told) = variable(NAME)?.filter(|told| !told.is_empty()) else {
        return Ok(Sources::default());
    };
    serde_json::from_str(&told).map_err(|why| {
        let lists = "insecureRegistries, blockedRegistries and allowedRegistries";
        Failure::new(format!("{NAME}: {why}")).hint(format!("expected JSON with the lists {lists}"))
    })
}

/// What `RBUILD_name` says, else `BUILDAH_name`, with the name of the one that does.
pub(super) fn setting(name: &str) -> Result<Option<(String, String)>, Failure> {
    for prefix in ["RBUILD", "BUILDAH"] {
        let name = format!("{prefix}_{name}");
        if let Some(value) = variable(&name)?.filter(|value| !value.is_empty()) {
            return Ok(Some((name, value)));
        }
    }
    Ok(None)
}

/// The value of a variable; `None` if it is not there. Errors if it is no text.
pub(super) fn variable(name: &str) -> Result<Option<String>, Failure> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => {
            Err(Failure::new(format!("${name} of the environment is not UTF-8")))
        }
    }
}

/// `NAME=value`, or `NAME` alone to take it from the environment; `None` if it is not there.
pub(super) fn assignment(text: &str) -> Result<Option<(String, String)>, Failure> {
    match text.split_once('=') {
        Some((name, value)) => Ok(Some((name.to_owned(), value.to_owned()))),
        None => Ok(variable(text)?.map(|value| (text.to_owned(), value))),
    }
}

/// Each an [`assignment`]; and a name that ends in `*` is all that begin so.
pub(super) fn assignments(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mut found = Vec::new();
    for text in texts {
        let Some(prefix) = text.strip_suffix('*').filter(|prefix| !prefix.contains('=')) else {
            found.extend(assignment(text)?);
            continue;
        };
        let mut names: Vec<String> = env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
        names.retain(|name| name.starts_with(prefix));
        names.sort_unstable();
        for name in names {
            found.extend(assignment(&name)?);
        }
    }
    Ok(found)
}

/// Whether the history of an image is to tell of a command on its container: as `--add-history` says, else as the
/// environment does.
pub(super) fn record(given: Option<bool>) -> Result<Record, Failure> {
    let wanted = match given {
        Some(given) => given,
        None => told("HISTORY")?.unwrap_or(false),
    };
    Ok(if wanted { Record::Told } else { Record::Silent })
}

/// What a setting says that is true or false.
pub(super) fn told(name: &str) -> Result<Option<bool>, Failure> {
    let Some((name, told)) = setting(name)? else { return Ok(None) };
    match &*told.to_ascii_lowercase() {
        "0" | "false" | "f" => Ok(Some(false)),
        "1" | "true" | "t" => Ok(Some(true)),
        _ => Err(Failure::new(format!("{name}={told:?}: expected true or false"))),
    }
}

/// `--idmap`.
pub(super) fn idmap(text: &str) -> Result<Choice, String> {
    let modes = [
        ("root", Mode::Root),
        ("helper", Mode::Helper),
        ("newuidmap", Mode::Newuidmap),
        ("single", Mode::Single),
    ];
    match modes.iter().find(|(name, _)| *name == text) {
        Some((_, mode)) => Ok(Choice::Force(*mode)),
        None if text == "auto" => Ok(Choice::Auto),
        None => Err("expected auto, root, helper, newuidmap or single".to_owned()),
    }
}

/// The variable that says which root file system is used where `--rootfs` leaves it open.
pub(super) const ROOTFS: &str = "RBUILD_ROOTFS";

/// `--rootfs`.
pub(super) fn rootfs(text: &str) -> Result<RootfsChoice, String> {
    match text {
        "auto" => Ok(RootfsChoice::Auto),
        "kernel" => Ok(RootfsChoice::Kernel),
        "fuse" => Ok(RootfsChoice::Fuse),
        "plain" => Ok(RootfsChoice::Plain),
        _ => Err("expected auto, kernel, fuse or plain".to_owned()),
    }
}

/// A name with or without `docker://`. Other transports are refused by name.
pub(super) fn docker_transport(text: &str) -> Result<&str, Failure> {
    if let Some(name) = text.strip_prefix("docker://") {
        return Ok(name);
    }
    let others = [
        "containers-storage:",
        "docker-archive:",
        "docker-daemon:",
        "dir:",
        "oci:",
        "oci-archive:",
        "sif:",
        "ostree:",
    ];
    match others.iter().find(|transport| text.starts_with(**transport)) {
        Some(transport) => {
            Err(Failure::new(format!("{text}: the transport {transport} is not supported yet")))
        }
        None => Ok(text),
    }
}
