//! A folder, and what a builder gets of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Builder;
use crate::support::Said;

/// Where the groups are, seen from the directory that tests run in.
pub const ROOT: &str = "tests/cases";

/// One case.
pub struct Case {
    pub folder: PathBuf,
}

/// The names of the directories in `directory`, sorted.
pub fn folders(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let entries = entries.map(|entry| entry.unwrap()).filter(|entry| entry.file_type().unwrap().is_dir());
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

impl Case {
    /// The cases of a group, sorted; only those whose name holds `RBUILD_CASES_ONLY`, where that is set.
    pub fn of_group(group: &str) -> Vec<Self> {
        let directory = Path::new(ROOT).join(group);
        let only = std::env::var("RBUILD_CASES_ONLY").unwrap_or_default();
        let cases = folders(&directory).into_iter().map(|name| Self { folder: directory.join(name) });
        cases.filter(|case| case.name().contains(&only)).collect()
    }

    /// `GROUP/NAME`.
    pub fn name(&self) -> String {
        self.folder.strip_prefix(ROOT).unwrap_or(&self.folder).display().to_string()
    }

    /// Further arguments of the build.
    pub fn args(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("args")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Whether the peers get words of their own.
    pub fn has_words_for_peers(&self) -> bool {
        self.folder.join("Dockerfile.peer").exists()
    }

    /// Whether it is a script of commands on working containers.
    pub fn is_script(&self) -> bool {
        self.folder.join("script").exists()
    }

    /// Whether the peer has words for it: BuildKit has no working containers.
    pub fn is_for(&self, peer: Builder) -> bool {
        peer != Builder::Buildkit || !self.is_script()
    }

    /// Writes `Dockerfile` and `context/` to the empty directory `at`.
    pub fn lay_out(&self, at: &Path, dockerfile: &str) {
        fs::copy(self.folder.join(dockerfile), at.join("Dockerfile")).unwrap();
        let ignore = "Dockerfile.dockerignore";
        if self.folder.join(ignore).exists() {
            fs::copy(self.folder.join(ignore), at.join(ignore)).unwrap();
        }
        self.lay_out_context(at);
    }

    /// Writes `context/` to the directory `at`.
    pub fn lay_out_context(&self, at: &Path) {
        let context = at.join("context");
        fs::create_dir(&context).unwrap();
        chmod(&context, 0o755);
        let files = self.folder.join("context");
        if files.exists() {
            copy_directory(&files, &context);
        }
        let setup = self.folder.join("setup");
        if setup.exists() {
            let script = fs::read_to_string(setup).unwrap();
            let mut command = Command::new("sh");
            command.args(["-euc", &format!("umask 022\n{script}")]).current_dir(&context);
            let said = Said::of(command.output().unwrap());
            assert_eq!(said.code, 0, "{}: setup: {}", self.name(), said.stderr);
        }
    }
}

/// With the modes that a checkout has under the usual umask, whatever it was under.
fn copy_directory(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (source, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        let meta = fs::symlink_metadata(&source).unwrap();
        if meta.is_symlink() {
            symlink(fs::read_link(&source).unwrap(), &target).unwrap();
        } else if meta.is_dir() {
            fs::create_dir(&target).unwrap();
            chmod(&target, 0o755);
            copy_directory(&source, &target);
        } else {
            fs::copy(&source, &target).unwrap();
            chmod(&target, if meta.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 });
        }
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
