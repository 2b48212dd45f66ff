//! Git repositories, by the program `git` of the host: ADD of a repository.
//!
//! ```text
//! remote   the words of a Dockerfile → a repository, a ref, a subdirectory
//! command  git, run so that neither the repository nor this machine decides what it does
//! ```
//!
//! A ref is first resolved to the commit behind it, which is all that a cache key needs: nothing is fetched for a step
//! that is recorded. Otherwise that one commit is fetched, its submodules, and no history.

mod command;
mod error;
mod remote;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use command::Command;
pub use error::Error;
pub use remote::{InvalidRemote, Login, Mtime, Remote, is_commit, without_password, without_passwords};

/// How git is run.
pub struct Git<'a> {
    /// Asked several times a second whether to give up.
    pub cancelled: &'a dyn Fn() -> bool,
    /// Who asks the server of the repository, in the place of what its URL says. It is on no command line and in no file,
    /// and goes to no other server, wherever this one sends git.
    pub authorization: Option<Authorization>,
    /// The most that a checkout may take, in bytes, with its `.git` and its submodules.
    pub limit: u64,
}

/// How a server is told who asks.
pub enum Authorization {
    /// The header `Authorization` as it stands. As git takes headers along when it is sent on, it is not sent on.
    Header(String),
    /// A login, told where the server asks for one.
    Login(Login),
}

/// The most files of a checkout: what a layer may have.
const MAX_FILES: u64 = 2_000_000;

impl Git<'_> {
    /// The commit that `remote` names: its ref, else the branch that the repository has checked out. A branch goes
    /// before a tag of its name, and both before what is called so below `refs/` (`pull/1/head`). A ref that is a commit's full id is not looked for.
    pub fn resolve(&self, remote: &Remote) -> Result<String, Error> {
        let wanted = remote.reference.as_deref().unwrap_or("HEAD");
        if is_commit(wanted) {
            return checked(remote, wanted.to_ascii_lowercase());
        }
        let peeled = format!("{wanted}^{{}}");
        let listed = Command::network(remote, ["ls-remote", "--", &remote.url, wanted, &peeled]).run(self)?;
        let rows: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once('\t')).collect();
        let named = |name: String| rows.iter().find(|(_, row)| *row == name).map(|(commit, _)| *commit);
        let candidates = [
            format!("{wanted}^{{}}"),
            wanted.to_owned(),
            format!("refs/heads/{wanted}"),
            format!("refs/tags/{wanted}^{{}}"),
            format!("refs/tags/{wanted}"),
            format!("refs/{wanted}^{{}}"),
            format!("refs/{wanted}"),
        ];
        let found = candidates.into_iter().find_map(named);
        let found = found.filter(|commit| is_commit(commit));
        let missing = || Error::NoRef { url: remote.shown(), reference: wanted.to_owned() };
        checked(remote, found.ok_or_else(missing)?.to_owned())
    }

    /// Lays the tree of `commit` out in `directory`, which is empty, and tells the time of the commit, in seconds since
    /// 1970.
    pub fn checkout(&self, remote: &Remote, commit: &str, directory: &Path) -> Result<i64, Error> {
        let local = |args: &[&str]| Command::local(args).within(directory);
        local(&["init", "--quiet", "--template="]).run(self)?;
        let one = [
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-recurse-submodules",
            "--",
            &remote.url,
            commit,
        ];
        match Command::network(remote, one).within(directory).run(self) {
            // Old servers give no commit but by a name that leads to it.
            Err(Error::Failed { .. }) => {
                let all = [
                    "fetch",
                    "--quiet",
                    "--no-recurse-submodules",
                    "--",
                    &remote.url,
                    "+refs/*:refs/rbuild/*",
                ];
                Command::network(remote, all).within(directory).run(self)?;
            }
            outcome => drop(outcome?),
        }
        let object = format!("{commit}^{{commit}}");
        let known = local(&["rev-parse", "--verify", "--quiet", &object]).run(self);
        let commit = match known {
            Ok(commit) => commit.trim().to_owned(),
            Err(Error::Failed { .. }) => {
                return Err(Error::NoRef { url: remote.shown(), reference: commit.to_owned() });
            }
            Err(error) => return Err(error),
        };
        local(&["checkout", "--quiet", "--detach", &commit]).run(self)?;
        if remote.submodules {
            self.submodules(remote, directory)?;
        }
        let time = local(&["show", "--no-patch", "--format=%ct", &commit]).run(self)?;
        let time =
            time.trim().parse().map_err(|_| Error::Answer { what: "time of a commit", found: time })?;
        self.tidy(remote, directory)?;
        Ok(time)
    }

    fn submodules(&self, remote: &Remote, directory: &Path) -> Result<(), Error> {
        if !directory.join(".gitmodules").exists() {
            return Ok(());
        }
        // Relative URLs are seen from the repository's own.
        Command::local(["config", "remote.origin.url", &remote.url]).within(directory).run(self)?;
        let update = ["submodule", "--quiet", "update", "--init", "--recursive", "--checkout"];
        let shallow = update.into_iter().chain(["--depth=1"]);
        match Command::network(remote, shallow).within(directory).run(self) {
            // A server of plain files gives no part of a history.
            Err(Error::Failed { .. }) => {
                Command::network(remote, update).within(directory).run(self).map(drop)
            }
            outcome => outcome.map(drop),
        }
    }

    /// Takes away `.git`, or what in it names this run.
    fn tidy(&self, remote: &Remote, directory: &Path) -> Result<(), Error> {
        if !remote.keep_git_dir {
            return each(directory, &|path, name| {
                if name == ".git" { remove(path) } else { Ok(()) }
            });
        }
        Command::local(["config", "remote.origin.url", &remote.url]).within(directory).run(self)?;
        each(&directory.join(".git"), &|path, name| match name {
            // the repository's own and those of submodules, and not a branch of that name
            "FETCH_HEAD" | "ORIG_HEAD" if path.with_file_name("objects").is_dir() => remove(path),
            _ => Ok(()),
        })
    }
}

/// What the files below `directory` take, in bytes, and how many they are, as far as it can be told while git is at work.
fn size(directory: &Path) -> (u64, u64) {
    let (mut bytes, mut files) = (0, 0);
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        // what is gone again takes nothing
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            files += 1;
            if metadata.is_dir() {
                pending.push(entry.path());
            } else {
                bytes += metadata.len();
            }
        }
    }
    (bytes, files)
}

/// `commit`, if it is the one that the checksum asks for.
fn checked(remote: &Remote, commit: String) -> Result<String, Error> {
    match &remote.checksum {
        Some(checksum) if !commit.starts_with(&checksum.to_ascii_lowercase()) => {
            Err(Error::Checksum { url: remote.shown(), expected: checksum.clone(), found: commit })
        }
        _ => Ok(commit),
    }
}

/// Calls `visit` with the path and the name of everything below `directory`, a directory before what is in it.
fn each(directory: &Path, visit: &dyn Fn(&Path, &str) -> std::io::Result<()>) -> Result<(), Error> {
    let at = |path: &Path, source| Error::Io { path: path.to_owned(), source };
    let mut pending: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).map_err(|why| at(&directory, why))? {
            let entry = entry.map_err(|why| at(&directory, why))?;
            let (path, name) = (entry.path(), entry.file_name());
            visit(&path, &name.to_string_lossy()).map_err(|why| at(&path, why))?;
            let is_there = path.symlink_metadata();
            if is_there.is_ok_and(|metadata| metadata.is_dir()) {
                pending.push(path);
            }
        }
    }
    Ok(())
}

/// Removes a file or a tree, if it is there.
fn remove(path: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
