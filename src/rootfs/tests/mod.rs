//! The drivers on a real kernel. Every test starts itself again in a mount namespace of its own (as root), or in a
//! user namespace too (as anybody else), and says why where neither is to be had.

mod cost;
mod plain;
mod rows;
mod transport;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::testing::read_back;
use super::{Driver, Error, Ids, Room, Root, Server, Stack};
use crate::layer::Layer;

const DRIVERS: [Driver; 3] = [Driver::Kernel, Driver::Fuse, Driver::Plain];

/// Set in the process that runs inside the namespaces.
const INSIDE: &str = "RBUILD_TEST_INSIDE";

/// Whether this process may mount. If not, runs the test `name` (its path below this module) in one that may.
fn inside(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let unshare: &[&str] = if rustix::process::geteuid().is_root() {
        &["unshare", "--mount"]
    } else {
        &["unshare", "--mount", "--user", "--map-root-user", "--map-auto"]
    };
    let run = |command: &[&str]| {
        Command::new(unshare[0]).args(&unshare[1..]).args(command).env(INSIDE, "1").status()
    };
    if !run(&["true"]).is_ok_and(|status| status.success()) || File::open("/dev/fuse").is_err() {
        println!("skipped {name}: needs {unshare:?} and /dev/fuse");
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let test = format!("rootfs::tests::{name}");
    let status =
        run(&[program.to_str().unwrap(), &test, "--exact", "--nocapture", "--include-ignored"]).unwrap();
    assert!(status.success(), "{name} inside {unshare:?}: {status}");
    false
}

/// A server with its mount points on a tmpfs, as in the sandbox, and a place for upper directories.
struct House {
    server: Server,
    mounts: PathBuf,
    shelf: PathBuf,
    dir: tempfile::TempDir,
    /// What `dir` lies in.
    _outer: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        // Bytes that overlayfs' options give a meaning to are nothing special in a store's path.
        let dir = tempfile::Builder::new().prefix("a,b:c\\d ").tempdir_in(outer.path()).unwrap();
        let mounts = dir.path().join("mounts");
        let shelf = dir.path().join("shelf");
        std::fs::create_dir(&mounts).unwrap();
        std::fs::create_dir(&shelf).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", &mounts, "tmpfs", flags, None).unwrap();
        Self { server: Server::start(&mounts), mounts, shelf, dir, _outer: outer }
    }

    /// A root over `stack` and its directory in `live`, which is made for it.
    fn prepare(&self, driver: Driver, stack: &Stack) -> (Box<dyn Root>, PathBuf) {
        let live = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        let room = Room { live: live.clone(), shelf: Some(self.shelf.clone()) };
        (self.server.prepare(stack.clone(), driver, &room, Ids::Mapped).unwrap(), live)
    }

    /// Runs `script` in a root over `stack`; returns what it said and the layer it left.
    fn run(&self, driver: Driver, stack: &Stack, script: &str, ignore: &[&str]) -> (String, Arc<Layer>) {
        let (root, live) = self.prepare(driver, stack);
        let said = sh(root.path(), script);
        let layer = freeze(root, ignore).unwrap();
        let left: Vec<_> = std::fs::read_dir(&live).unwrap().collect();
        assert!(left.is_empty(), "left in live: {left:?}");
        (said, layer)
    }

    fn stop(self) {
        self.server.stop().unwrap();
        let left: Vec<_> = std::fs::read_dir(&self.mounts).unwrap().collect();
        assert!(left.is_empty(), "left in mounts: {left:?}");
        rustix::mount::unmount(&self.mounts, rustix::mount::UnmountFlags::empty()).unwrap();
    }
}

fn freeze(root: Box<dyn Root>, ignore: &[&str]) -> Result<Arc<Layer>, Error> {
    let tar = tempfile::tempfile().unwrap();
    let ignore: Vec<PathBuf> = ignore.iter().map(PathBuf::from).collect();
    Ok(read_back(root.freeze(tar.try_clone().unwrap(), &ignore)?, tar))
}

/// Runs a shell script in `dir`; returns its output on one line.
fn sh(dir: &Path, script: &str) -> String {
    let output = Command::new("sh")
        .args(["-ec", script])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir(dir)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {}: {error}", output.status);
    String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Jobs prepare and freeze their roots side by side.
#[test]
fn a_server_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Server>();
}

/// `stack` with one more layer.
fn grown(stack: &Stack, layer: Arc<Layer>) -> Stack {
    Stack::new(stack.layers().iter().cloned().chain([layer]).collect())
}
