//! Logins with Debian's docker-registry, which asks for a user and a password.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Said, World};

/// User `user` with password `secret`, bcrypt of cost 4.
const HTPASSWD: &str = "user:$2b$04$dTHxxSVU8F7zbemrE0kpH.RRyC/HqUe0RSNMag7rY26FpDYUt.qDO\n";

/// A running registry. Dropping it ends it.
pub struct Registry {
    process: Child,
    pub address: SocketAddr,
}

impl Registry {
    /// One that keeps what it has in `world`; `None`, with the reason told, where there is none to start.
    pub fn start(world: &World) -> Option<Self> {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let [config, users, data] = ["registry.yml", "htpasswd", "data"].map(|name| world.path(name));
        fs::write(&users, HTPASSWD).unwrap();
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\nauth:\n  htpasswd:\n    realm: r\n    path: {}\n",
            data.display(),
            users.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let process = match command.spawn() {
            Ok(process) => process,
            Err(error) => {
                assert!(std::env::var_os("RBUILD_TEST_ALL").is_none(), "docker-registry: {error}");
                eprintln!("skipped: needs docker-registry");
                return None;
            }
        };
        let registry = Self { process, address };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "docker-registry does not listen at {address}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Runs a verb with `input` on stdin and the world's own auth file.
fn run(world: &World, args: &[&str], input: &str) -> Said {
    let mut command = world.command();
    command.args(args).env("REGISTRY_AUTH_FILE", world.path("run/auth.json"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Said::of(process.wait_with_output().unwrap())
}

#[test]
fn a_login_opens_the_registry_until_it_is_forgotten() {
    let world = World::new();
    let Some(registry) = Registry::start(&world) else { return };
    let host = registry.address.to_string();
    let image = format!("{host}/team/app:1");
    world.file("a", "a");
    world.build("FROM scratch\nCOPY a /\n", &["-t", &image]).good();

    run(&world, &["push", &image], "").fails(125, "HTTP 401");
    run(&world, &["login", "--get-login", &host], "").fails(125, "not logged in to");
    run(&world, &["login", &host], "").fails(125, "--password-stdin");
    let login = ["login", "--username", "user", "--password-stdin", &host];
    run(&world, &login, "wrong\n").fails(125, "does not take this user name and password");
    assert!(!world.path("run/auth.json").exists());
    let said = run(&world, &login, "secret\n").good();
    assert_eq!((&said.stdout[..], &said.stderr[..]), ("Login Succeeded!\n", ""));
    assert_eq!(run(&world, &["login", "--get-login", &host], "").good().stdout, "user\n");
    assert_eq!(run(&world, &["push", "--quiet", &image], "").good().stdout, "");

    let said = run(&world, &["logout", &host], "").good();
    assert_eq!(said.stdout, format!("Removed login credentials for {host}\n"));
    run(&world, &["logout", &host], "").fails(125, "not logged in to");
    run(&world, &["pull", &image], "").fails(125, "HTTP 401");
    run(&world, &["login", "-u", "user", "-p", "secret", "--verbose", &host], "").good();
    let said = run(&world, &["logout", "--all"], "").good();
    assert_eq!(said.stdout, "Removed login credentials for all registries\n");
    run(&world, &["pull", &image], "").fails(125, "HTTP 401");
}

#[test]
fn other_tools_take_what_was_written_and_the_reverse() {
    let world = World::new();
    let Some(registry) = Registry::start(&world) else { return };
    let host = registry.address.to_string();
    let login = ["login", "--username", "user", "--password-stdin", &host];
    run(&world, &login, "secret").good();
    let skopeo = |args: &[&str]| {
        let mut command = Command::new("skopeo");
        Said::of(command.args(args).arg("--authfile").arg(world.path("run/auth.json")).output().unwrap())
    };
    let said = skopeo(&["login", "--get-login", &host]).good();
    assert_eq!(said.stdout, "user\n");
    skopeo(&["logout", &host]).good();
    run(&world, &["login", "--get-login", &host], "").fails(125, "not logged in to");
    skopeo(&["login", "--tls-verify=false", "-u", "user", "-p", "secret", &host]).good();
    assert_eq!(run(&world, &["login", "--get-login", &host], "").good().stdout, "user\n");
}

#[test]
fn what_names_no_registry_is_refused() {
    let world = World::new();
    for (args, want) in [
        (&["login"][..], "REGISTRY"),
        (&["login", "quay"], "expected HOST[:PORT][/PATH]"),
        (&["login", "--password-stdin", "quay.io"], "--username"),
        (&["login", "-p", "x", "--password-stdin", "-u", "u", "quay.io"], "cannot be used with"),
        (&["logout"], "REGISTRY"),
        (&["logout", "--all", "quay.io"], "cannot be used with"),
        (&["logout", "--compat-auth-file", "f", "quay.io/team"], "whole registries"),
    ] {
        run(&world, args, "").fails(125, want);
    }
}
