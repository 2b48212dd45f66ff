//! Profiles of system calls as files: the JSON of container engines.
//!
//! The default profile stands in such a file too, `default.json`. It follows that of the containers tools: what is not
//! named does not exist (ENOSYS). It is stricter in two things: mounts and namespaces need `CAP_SYS_ADMIN`, and keyrings
//! are closed because no namespace divides them. It is wider in calls that are younger than that profile (`mseal`,
//! `futex_wait`, `setxattrat`).

mod json;
#[cfg(test)]
mod tests;

use rbuild_userns::seccomp::Profile;

/// The default profile.
const DEFAULT: &str = include_str!("default.json");

/// Which machine a profile is read for.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Its architecture, by the name that Rust has for it.
    pub arch: &'static str,
    /// The version of its kernel: major, minor.
    pub kernel: (u32, u32),
}

impl Machine {
    /// This one.
    pub fn host() -> Self {
        let release = rustix::system::uname();
        let kernel = json::version(&release.release().to_string_lossy()).unwrap_or_default();
        Self { arch: std::env::consts::ARCH, kernel }
    }
}

/// Reads a profile. Errors with what is wrong, and in which line and column.
pub fn parse(text: &str, machine: Machine) -> Result<Profile, serde_json::Error> {
    json::parse(text, machine)
}

/// The default profile.
pub fn default_profile(machine: Machine) -> Profile {
    parse(DEFAULT, machine).expect("a test reads the default profile")
}
