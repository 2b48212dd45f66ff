//! Which devices of the host RUN may use.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags};

use crate::runtime::Device;

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Mounts of RUN")]
pub(super) struct Args {
    /// A device of this machine for RUN, or a directory of devices; may be given several times
    #[arg(long = "device", value_name = "HOST[:CONTAINER][:rwm]", value_parser = devices)]
    devices: Vec<Found>,
}

/// The devices that one word names.
type Found = std::sync::Arc<Vec<Device>>;

impl Args {
    pub(super) fn devices(&self) -> Vec<Device> {
        self.devices.iter().flat_map(|found| found.iter().cloned()).collect()
    }
}

fn devices(text: &str) -> Result<Found, String> {
    let (source, target, permissions) = match text.split(':').collect::<Vec<_>>()[..] {
        [source] => (source, source, ALL),
        [source, second] if second.starts_with('/') => (source, second, ALL),
        [source, permissions] => (source, source, permissions),
        [source, target, permissions] => (source, target, permissions),
        _ => return Err("expected HOST[:CONTAINER][:rwm]".to_owned()),
    };
    if !source.starts_with('/') && source.contains('=') {
        return Err("devices by CDI name are not supported; name the node in /dev".to_owned());
    }
    let plain = |path: &str| path.starts_with('/') && !path.split('/').any(|part| part == "..");
    if !plain(target) {
        return Err(format!("the container's path {target:?} must be absolute and without '..'"));
    }
    let real = std::fs::canonicalize(source).map_err(|why| format!("{source:?}: {why}"))?;
    let mut found = Vec::new();
    collect(&real, Path::new(target), permissions, &mut found)?;
    if found.is_empty() {
        return Err(format!("there is no device in {source:?}"));
    }
    Ok(found.into())
}

/// All that there is: to read, to write, to make a node (which no user namespace may).
const ALL: &str = "rwm";

/// Whether a command is held to these permissions. Nothing holds it but what rbuild's user may do itself: finer ones are the
/// business of a control group of devices, which only root of the machine may make.
fn check(permissions: &str, device: &Path, may_read: bool, may_write: bool) -> Result<(), String> {
    if permissions.is_empty() || !permissions.chars().all(|one| ALL.contains(one)) {
        return Err(format!("the permissions {permissions:?} are not made of r, w and m"));
    }
    if !may_read && !may_write {
        return Err(format!("the user of rbuild may neither read nor write {}", device.display()));
    }
    for (letter, may, verb) in [('r', may_read, "read"), ('w', may_write, "write")] {
        if may && !permissions.contains(letter) {
            return Err(format!(
                "nothing could hold a command to {permissions:?}: it may {verb} {} as the user of rbuild may; leave the permissions out",
                device.display()
            ));
        }
    }
    Ok(())
}

fn collect(source: &Path, target: &Path, permissions: &str, found: &mut Vec<Device>) -> Result<(), String> {
    let unreadable = |why: std::io::Error| format!("{}: {why}", source.display());
    let kind = source.symlink_metadata().map_err(unreadable)?.file_type();
    if kind.is_dir() {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(source)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .map_err(unreadable)?;
        entries.sort();
        for entry in entries {
            let kind = entry.symlink_metadata().map_err(unreadable)?.file_type();
            if kind.is_dir() || kind.is_char_device() || kind.is_block_device() {
                collect(&entry, &target.join(entry.file_name().unwrap_or_default()), permissions, found)?;
            }
        }
        return Ok(());
    }
    if !kind.is_char_device() && !kind.is_block_device() {
        return Err(format!("{} is no device", source.display()));
    }
    let may = |access| rustix::fs::accessat(rustix::fs::CWD, source, access, AtFlags::EACCESS).is_ok();
    check(permissions, source, may(Access::READ_OK), may(Access::WRITE_OK))?;
    found.push(Device { source: source.to_owned(), target: target.display().to_string() });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_nodes_that_the_user_may_use() {
        for (text, want) in [
            ("/dev/null", Some("/dev/null")),
            ("/dev/null:/dev/x", Some("/dev/x")),
            ("/dev/null:rwm", Some("/dev/null")),
            ("/dev/null:/dev/x:rw", Some("/dev/x")),
            ("/dev/pts/../null", None),
            ("/dev/pts/../null:/dev/x", Some("/dev/x")),
            ("/dev/null:r", None),
            ("/dev/null:/dev/x:rx", None),
            ("/dev/null:dev/x:rw", None),
            ("/dev/null:/dev/../x", None),
            ("/etc/passwd", None),
            ("/etc", None),
            ("/no/such/device", None),
            ("vendor.com/class=name", None),
        ] {
            let got = devices(text).ok();
            let target = got.as_ref().map(|found| found[0].target.as_str());
            assert_eq!(target, want, "{text}");
        }
    }

    #[test]
    fn permissions_are_those_that_the_user_has() {
        for (permissions, may_read, may_write, want) in [
            ("rwm", true, true, ""),
            ("rw", true, true, ""),
            ("rwm", true, false, ""),
            ("r", true, false, ""),
            ("rm", true, false, ""),
            ("w", false, true, ""),
            ("r", true, true, "it may write /dev/x"),
            ("w", true, true, "it may read /dev/x"),
            ("w", true, false, "it may read /dev/x"),
            ("m", true, true, "it may read /dev/x"),
            ("rw", false, false, "neither read nor write"),
            ("", true, true, "not made of r, w and m"),
            ("rx", true, true, "not made of r, w and m"),
        ] {
            let said = check(permissions, Path::new("/dev/x"), may_read, may_write).err().unwrap_or_default();
            let good = said.is_empty() == want.is_empty() && said.contains(want);
            assert!(good, "{permissions:?}, read {may_read}, write {may_write}: {said}");
        }
    }
}
