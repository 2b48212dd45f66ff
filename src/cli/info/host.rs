//! What `info` tells of the machine, under buildah's keys.

use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::oci::Platform;

/// The description of this machine.
pub(super) fn describe() -> Result<Value, Failure> {
    let (uname, system, platform) = (rustix::system::uname(), rustix::system::sysinfo(), Platform::host());
    let bytes = |count: u64| count.saturating_mul(u64::from(system.mem_unit.max(1)));
    Ok(json!({
        "CgroupVersion": if std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { "v2" } else { "v1" },
        "Distribution": distribution()?,
        "MemFree": bytes(system.freeram),
        "MemTotal": bytes(system.totalram),
        // what runs commands
        "OCIRuntime": "rbuild",
        "SwapFree": bytes(system.freeswap),
        "SwapTotal": bytes(system.totalswap),
        "arch": platform.architecture,
        "cpus": std::thread::available_parallelism()?.get(),
        "hostname": uname.nodename().to_string_lossy(),
        "kernel": uname.release().to_string_lossy(),
        "os": std::env::consts::OS,
        "rootless": !rustix::process::geteuid().is_root(),
        "uptime": uptime(system.uptime),
        "variant": platform.variant.unwrap_or_default(),
    }))
}

/// os-release(5). A machine without one is of an unknown distribution.
fn distribution() -> Result<Value, Failure> {
    let places = ["/etc/os-release", "/usr/lib/os-release"];
    let text = match places.iter().find(|path| std::path::Path::new(path).exists()) {
        Some(path) => std::fs::read_to_string(path).map_err(|why| Failure::new(format!("{path}: {why}")))?,
        None => String::new(),
    };
    let value = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.map_or("unknown", |value| value.trim_matches(['"', '\''])).to_owned()
    };
    Ok(json!({ "distribution": value("ID"), "version": value("VERSION_ID") }))
}

/// `17h 31m 59s (Approximately 0.71 days)`: hours, minutes and seconds, and days where there are hours.
fn uptime(seconds: i64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m {rest}s"),
        _ => {
            let hundredths = seconds * 100 / 86_400;
            let days = format!("{}.{:02}", hundredths / 100, hundredths % 100);
            format!("{hours}h {minutes}m {rest}s (Approximately {days} days)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_are_told_as_far_as_they_go() {
        for (seconds, want) in [
            (59, "59s"),
            (61, "1m 1s"),
            (63_119, "17h 31m 59s (Approximately 0.73 days)"),
            (864_000, "240h 0m 0s (Approximately 10.00 days)"),
        ] {
            assert_eq!(uptime(seconds), want);
        }
    }
}
