//! `--security-opt`.

use std::path::Path;

use crate::cli::failure::Failure;
use crate::dockerfile::did_you_mean;
use crate::runtime::seccomp::{self, Machine};
use crate::runtime::{Label, Seccomp, Security};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opt {
    Seccomp(Seccomp),
    NoNewPrivileges(bool),
    Mask(Vec<String>),
    Unmask(Vec<String>),
    /// `None`: nothing beyond what this process is under.
    AppArmor(Option<String>),
    /// A part of the `SELinux` context and its value; `None`: no label.
    Label(Option<(usize, String)>),
}

/// The parts of an `SELinux` context, in their order.
const LABEL_PARTS: [&str; 4] = ["user", "role", "type", "level"];

/// Reads one; `NAME:VALUE` is the older way to write `NAME=VALUE`.
pub(super) fn parse(text: &str) -> Result<Opt, String> {
    let (name, value) = match text.split_once(['=', ':']) {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let needed =
        || value.filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} needs a value: {name}=..."));
    match name {
        "seccomp" => profile(needed()?).map(Opt::Seccomp),
        "no-new-privileges" => match value {
            None | Some("true") => Ok(Opt::NoNewPrivileges(true)),
            Some("false") => Ok(Opt::NoNewPrivileges(false)),
            Some(other) => Err(format!("no-new-privileges is true or false, not {other:?}")),
        },
        "mask" => paths(needed()?).map(Opt::Mask),
        "unmask" if needed()?.eq_ignore_ascii_case("all") => {
            Ok(Opt::Unmask(["/*/*", "/*/*/*", "/*/*/*/*", "/*/*/*/*/*"].map(str::to_owned).into()))
        }
        "unmask" => paths(needed()?).map(Opt::Unmask),
        "apparmor" => apparmor(needed()?),
        "label" => label(needed()?),
        "systempaths" if value == Some("unconfined") => parse("unmask=ALL"),
        _ => {
            let known = ["seccomp", "no-new-privileges", "mask", "unmask", "apparmor", "label"];
            Err(format!("there is no security option {name:?}{}", did_you_mean(name, &known)))
        }
    }
}

fn profile(file: &str) -> Result<Seccomp, String> {
    if file == "unconfined" {
        return Ok(Seccomp::Unconfined);
    }
    let text = std::fs::read_to_string(file).map_err(|why| format!("seccomp profile {file}: {why}"))?;
    let profile =
        seccomp::parse(&text, Machine::host()).map_err(|why| format!("seccomp profile {file}: {why}"))?;
    Ok(Seccomp::Profile(Box::new(profile)))
}

fn paths(list: &str) -> Result<Vec<String>, String> {
    let path = |path: &str| match path {
        _ if !path.starts_with('/') => Err(format!("{path:?} is no absolute path")),
        _ if path.split('/').any(|part| part == "..") => Err(format!("{path:?} has '..' in it")),
        _ => Ok(path.trim_end_matches('/').to_owned()),
    };
    list.split(':').map(path).collect()
}

fn apparmor(profile: &str) -> Result<Opt, String> {
    if profile == "unconfined" {
        return Ok(Opt::AppArmor(None));
    }
    match std::fs::read_to_string("/sys/module/apparmor/parameters/enabled") {
        Ok(enabled) if enabled.trim() == "Y" => Ok(Opt::AppArmor(Some(profile.to_owned()))),
        _ => Err(format!(
            "the kernel of this machine does not run AppArmor, so nothing holds to the profile {profile:?}"
        )),
    }
}

fn label(text: &str) -> Result<Opt, String> {
    if text == "disable" {
        return Ok(Opt::Label(None));
    }
    let (place, value) = label_part(text)?;
    let part = LABEL_PARTS[place];
    if !Path::new("/sys/fs/selinux/enforce").exists() {
        return Err(format!(
            "the kernel of this machine does not run SELinux, so nothing holds to the {part} {value:?}"
        ));
    }
    Ok(Opt::Label(Some((place, value.to_owned()))))
}

/// A part of a context, by its place, and its value.
fn label_part(text: &str) -> Result<(usize, &str), String> {
    let part = text.split_once(':').filter(|(_, value)| !value.is_empty());
    let place =
        part.and_then(|(part, value)| Some((LABEL_PARTS.iter().position(|known| *known == part)?, value)));
    place.ok_or_else(|| "label is disable, user:USER, role:ROLE, type:TYPE or level:LEVEL".to_owned())
}

/// Lays them over what is usual, in their order.
pub(super) fn apply(options: &[Opt], mut security: Security) -> Result<Security, Failure> {
    let mut parts: Vec<(usize, &str)> = Vec::new();
    for option in options {
        match option {
            Opt::Seccomp(seccomp) => security.seccomp = seccomp.clone(),
            Opt::NoNewPrivileges(wanted) => security.no_new_privileges = *wanted,
            Opt::Mask(paths) => security.masks.hidden.extend_from_slice(paths),
            Opt::Unmask(paths) => security.masks.shown.extend_from_slice(paths),
            Opt::AppArmor(profile) => security.label = profile.clone().map(Label::AppArmor),
            Opt::Label(None) => parts.clear(),
            Opt::Label(Some((place, value))) => parts.push((*place, value)),
        }
    }
    if !parts.is_empty() {
        const OWN: &str = "/proc/self/attr/current";
        let own = std::fs::read_to_string(OWN).map_err(|why| Failure::new(format!("read {OWN}: {why}")))?;
        security.label = Some(Label::SeLinux(context(&own, &parts)));
    }
    Ok(security)
}

/// This process's `SELinux` context with other parts: `user:role:type:level`, of which the level may hold colons itself.
fn context(own: &str, parts: &[(usize, &str)]) -> String {
    let mut context: Vec<&str> = own.trim_end_matches(['\0', '\n']).splitn(LABEL_PARTS.len(), ':').collect();
    context.resize(LABEL_PARTS.len(), "s0");
    for &(place, value) in parts {
        context[place] = value;
    }
    context.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_strictly() {
        let paths = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (text, want) in [
            ("seccomp=unconfined", Some(Opt::Seccomp(Seccomp::Unconfined))),
            ("seccomp:unconfined", Some(Opt::Seccomp(Seccomp::Unconfined))),
            ("seccomp", None),
            ("seccomp=/no/such/file", None),
            ("seccomp=/dev/null", None),
            ("no-new-privileges", Some(Opt::NoNewPrivileges(true))),
            ("no-new-privileges:false", Some(Opt::NoNewPrivileges(false))),
            ("no-new-privileges=maybe", None),
            ("mask=/proc/cpuinfo:/etc/", Some(Opt::Mask(paths(&["/proc/cpuinfo", "/etc"])))),
            ("mask=proc", None),
            ("mask=/a/../b", None),
            ("mask=", None),
            ("unmask=/proc/kcore", Some(Opt::Unmask(paths(&["/proc/kcore"])))),
            ("unmask=/proc/*", Some(Opt::Unmask(paths(&["/proc/*"])))),
            ("apparmor=unconfined", Some(Opt::AppArmor(None))),
            ("label=disable", Some(Opt::Label(None))),
            ("label=colour:red", None),
            ("label", None),
            ("secomp=unconfined", None),
        ] {
            assert_eq!(parse(text).ok(), want, "{text}");
        }
        assert!(parse("secomp=x").unwrap_err().contains("did you mean seccomp?"));
    }

    #[test]
    fn labels_are_named_by_their_parts() {
        for (text, want) in [
            ("user:system_u", Some((0, "system_u"))),
            ("role:system_r", Some((1, "system_r"))),
            ("type:container_t", Some((2, "container_t"))),
            ("level:s0:c1,c2", Some((3, "s0:c1,c2"))),
            ("type", None),
            ("type:", None),
            ("filetype:container_file_t", None),
        ] {
            assert_eq!(label_part(text).ok(), want, "{text}");
        }
        let refused = parse("label=type:").unwrap_err();
        assert_eq!(refused, "label is disable, user:USER, role:ROLE, type:TYPE or level:LEVEL");
    }

    #[test]
    fn a_context_is_changed_in_parts() {
        let own = "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023\0";
        for (parts, want) in [
            (&[(2, "container_t")][..], "unconfined_u:unconfined_r:container_t:s0-s0:c0.c1023"),
            (
                &[(0, "system_u"), (1, "system_r"), (2, "container_t"), (3, "s0:c1,c2")],
                "system_u:system_r:container_t:s0:c1,c2",
            ),
        ] {
            assert_eq!(context(own, parts), want);
        }
    }
}
