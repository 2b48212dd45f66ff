//! The room against `git daemon`.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::*;

/// `git daemon` on loopback; its children end with it.
struct Daemon {
    process: Child,
    port: u16,
}

impl Daemon {
    fn of(root: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = std::process::Command::new("git");
        command.args(["daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1"]);
        command.arg(format!("--port={port}")).arg(format!("--base-path={}", root.display())).arg(root);
        let process = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let daemon = Self { process, port };
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return daemon;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("git daemon does not listen at port {port}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn a_repository_larger_than_the_bound_is_not_taken() {
    let root = tempfile::tempdir().unwrap();
    let repository = root.path().join("r.git");
    fs::create_dir(&repository).unwrap();
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.args(["-c", "user.name=n", "-c", "user.email=e", "-C"]).arg(&repository).args(args);
        assert!(command.env("GIT_CONFIG_GLOBAL", "/dev/null").status().unwrap().success(), "{args:?}");
    };
    run(&["init", "--quiet"]);
    // nothing that packs well, and so nothing that is small on its way
    let mut noise = blake3::Hasher::new().finalize_xof();
    let mut bytes = vec![0; 3 << 20];
    noise.fill(&mut bytes);
    fs::write(repository.join("noise"), &bytes).unwrap();
    // and one that is small on its way alone
    fs::write(repository.join("zeros"), vec![0; 40 << 20]).unwrap();
    run(&["add", "noise"]);
    run(&["commit", "--quiet", "-m", "noise"]);
    run(&["tag", "noise"]);
    run(&["add", "zeros"]);
    run(&["commit", "--quiet", "-m", "zeros"]);
    let daemon = Daemon::of(root.path());
    for (reference, limit, taken) in [
        ("noise", 16 << 20, true),
        ("noise", 2 << 20, false),
        ("HEAD", 16 << 20, false),
        ("HEAD", 64 << 20, true),
    ] {
        let git = Git { cancelled: &|| false, authorization: None, limit };
        let url = format!("git://127.0.0.1:{}/r.git#{reference}", daemon.port);
        let remote = Remote::parse(&url).unwrap().unwrap();
        let commit = git.resolve(&remote).unwrap();
        let place = tempfile::tempdir().unwrap();
        match git.checkout(&remote, &commit, place.path()) {
            Ok(_) => assert!(taken, "{reference} within {limit}"),
            Err(Error::TooLarge { limit: told, .. }) => {
                assert!(!taken && told == limit, "{reference} within {limit}");
            }
            Err(error) => panic!("{reference} within {limit}: {error}"),
        }
    }
}
