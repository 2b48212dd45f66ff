//! Repositories, served by `git daemon` on loopback.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Said, World};

/// Repositories below one directory, served by `git daemon`.
pub struct Daemon {
    pub world: World,
    process: Child,
    pub port: u16,
}

/// Runs git in `directory`, as nobody's configuration says.
pub fn git(directory: &std::path::Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]);
    command
        .args(["-c", "protocol.file.allow=always", "-c", "commit.gpgsign=false", "-C"])
        .arg(directory)
        .args(args);
    for name in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
        command.env(name, "1700000000 +0000");
    }
    command.env("GIT_CONFIG_GLOBAL", "/dev/null");
    let said = Said::of(command.output().unwrap());
    assert_eq!(said.code, 0, "git {args:?}: {}", said.stderr);
    said.stdout.trim_end().to_owned()
}

impl Daemon {
    /// `app.git`, which has two commits on `main`, a branch, tags, a subdirectory, a program, and a submodule.
    pub fn start() -> Self {
        let world = World::new();
        let root = world.path("git");
        let (part, app) = (root.join("part.git"), root.join("app.git"));
        for repository in [&part, &app] {
            fs::create_dir_all(repository).unwrap();
            git(repository, &["init", "--quiet"]);
        }
        fs::write(part.join("p"), "part").unwrap();
        git(&part, &["add", "."]);
        git(&part, &["commit", "--quiet", "-m", "part"]);
        fs::create_dir(app.join("sub")).unwrap();
        fs::write(app.join("a"), "one").unwrap();
        fs::write(app.join("sub/run"), "#!").unwrap();
        fs::set_permissions(app.join("sub/run"), fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink("a", app.join("link")).unwrap();
        // What a repository would like git to do when somebody looks at it.
        fs::write(app.join(".gitattributes"), "* text=auto eol=crlf filter=evil\n").unwrap();
        git(&app, &["add", "."]);
        git(&app, &["commit", "--quiet", "-m", "one"]);
        git(&app, &["tag", "v1"]);
        git(&app, &["tag", "-a", "-m", "t", "noted"]);
        git(&app, &["branch", "side"]);
        git(&app, &["submodule", "--quiet", "add", "--name", "part", "../part.git", "part"]);
        fs::write(app.join("a"), "two!").unwrap();
        git(&app, &["commit", "--quiet", "-a", "-m", "two"]);
        for repository in [&part, &app] {
            git(repository, &["update-server-info"]);
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("git");
        command.args(["daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1"]);
        command.arg(format!("--port={port}")).arg(format!("--base-path={}", root.display())).arg(&root);
        // Its children end with it.
        let process = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let daemon = Self { world, process, port };
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return daemon;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("git daemon does not listen at port {port}");
    }

    /// Of `app.git`.
    pub fn url(&self) -> String {
        format!("git://127.0.0.1:{}/app.git", self.port)
    }

    /// Where `app.git` is.
    pub fn app(&self) -> std::path::PathBuf {
        self.world.path("git/app.git")
    }

    /// The commit that `name` of `app.git` is.
    pub fn commit(&self, name: &str) -> String {
        git(&self.app(), &["rev-parse", name])
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        self.process.wait().unwrap();
    }
}
