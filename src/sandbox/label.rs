//! Confinement by the host's security module: asked for now, taken on by the kernel when the command is executed.

use std::fs;
use std::io::ErrorKind;

use super::Error;
use crate::runtime::Label;

/// Asks for it, in this process's own `/proc`: that of the step may be masked.
pub(super) fn at_exec(label: &Label) -> Result<(), Error> {
    let (file, text) = match label {
        Label::AppArmor(profile) => ("/proc/self/attr/apparmor/exec", format!("exec {profile}")),
        Label::SeLinux(context) => ("/proc/self/attr/exec", context.clone()),
    };
    match (fs::write(file, &text), label) {
        (Err(error), Label::AppArmor(profile)) if error.kind() == ErrorKind::NotFound => {
            Err(Error::NotLoaded(profile.clone()))
        }
        (written, _) => written.map_err(Error::file("write the label of the step into", file)),
    }
}
