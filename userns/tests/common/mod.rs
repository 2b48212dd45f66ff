//! Children in user namespaces of their own, and the ordinary user the tests run as.
#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};
use std::{env, fs};

use rbuild_userns::idmap::IdMap;

/// A user without root's rights.
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// The user we run as; `None`, with the reason printed, if that is root.
pub fn ordinary_user() -> Option<User> {
    let user = User { uid: rustix::process::getuid().as_raw(), gid: rustix::process::getgid().as_raw() };
    if user.uid == 0 {
        eprintln!("skipped: root has no others' processes; see `root_runs_these_tests_as_an_ordinary_user`");
        return None;
    }
    Some(user)
}

/// The prepared `rbuild-idmap`, or why there is none.
pub fn idmap_with_capabilities() -> Result<PathBuf, String> {
    let path = env::var_os("RBUILD_TEST_IDMAP");
    path.map(PathBuf::from)
        .ok_or_else(|| "RBUILD_TEST_IDMAP does not name an installed rbuild-idmap".to_owned())
}

/// As root: gives a copy of the program its file capabilities and runs this test program as a user.
pub fn run_again_as_user() {
    if !rustix::process::getuid().is_root() {
        return eprintln!("skipped: not root, so the other tests run as an ordinary user already");
    }
    let user = env::var("RBUILD_TEST_USER").unwrap_or_else(|_| "builder".to_owned());
    if nix::unistd::User::from_name(&user).unwrap().is_none() {
        assert!(env::var_os("RBUILD_TEST_USER").is_none(), "RBUILD_TEST_USER={user}: no such user");
        return eprintln!("skipped: no user {user} to run as");
    }
    let dir = tempfile::tempdir().unwrap();
    let (tests, idmap) = (dir.path().join("tests"), dir.path().join("rbuild-idmap"));
    fs::copy(env::current_exe().unwrap(), &tests).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_rbuild-idmap"), &idmap).unwrap();
    succeed(Command::new("chmod").arg("755").args([dir.path(), &tests, &idmap]));
    succeed(Command::new("setcap").arg("cap_setuid,cap_setgid=ep").arg(&idmap));
    let mut as_user = Command::new("setpriv");
    as_user.args(["--reuid", &user, "--regid", &user, "--init-groups", "--reset-env", "--"]);
    as_user.arg("env").arg(format!("RBUILD_TEST_IDMAP={}", idmap.display())).arg(&tests);
    succeed(as_user.args(["--nocapture", "--test-threads=2"]).current_dir("/"));
}

fn succeed(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// A child process, killed in the end.
pub struct Child {
    process: process::Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Child {
    pub fn start(command: &[&str]) -> Self {
        let (program, arguments) = command.split_first().unwrap();
        let mut command = Command::new(program);
        let mut process =
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = process.stdin.take().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        Self { process, stdin, stdout }
    }

    /// A shell started through `prefix` that has told us it runs: the namespaces are made.
    pub fn start_ready(prefix: &[&str]) -> Self {
        let shell = ["sh", "-c", "echo ready; while read line; do sh -c \"$line\" 2>&1; done"];
        let mut child = Self::start(&[prefix, &shell].concat());
        assert_eq!(child.line(), "ready", "{prefix:?}");
        child
    }

    /// Runs a command in the shell and returns the one line it prints.
    pub fn run(&mut self, line: &str) -> String {
        writeln!(self.stdin, "{line}").unwrap();
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn proc(&self) -> PathBuf {
        Path::new("/proc").join(self.pid().to_string())
    }

    /// `uid_map` or `gid_map`.
    pub fn map(&self, file: &str) -> IdMap {
        IdMap::parse(&fs::read_to_string(self.proc().join(file)).unwrap()).unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
