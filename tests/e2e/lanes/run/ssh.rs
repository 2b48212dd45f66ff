//! `RUN --mount=type=ssh`, with the programs of OpenSSH on both sides.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::{build, lacks};
use crate::lanes::worlds;
use crate::support::{Said, World, tool};

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn start(program: &str, args: &[&str]) -> Running {
    let child = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Running(child.unwrap_or_else(|error| panic!("{program}: {error}")))
}

/// A base with the host's own programs in it, by a volume: so nothing has to be installed.
fn prepared(world: &World) {
    for (link, text) in [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")]
    {
        fs::create_dir_all(world.context().join("root")).unwrap();
        symlink(text, world.context().join("root").join(link)).unwrap();
    }
    world.file("root/etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:7:8::/:/bin/sh\n");
    let key = world.path("key").display().to_string();
    tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "key of the test", "-f", &key]);
}

fn run(world: &World, steps: &str, args: &[&str], agent: Option<&Path>) -> Said {
    world.file("Dockerfile", format!("FROM scratch\nCOPY root /\n{steps}"));
    let mut command = world.command();
    command
        .args(["bud", "--no-cache", "-t", "x", "--volume", "/usr:/usr:ro"])
        .args(args)
        .env_remove("SSH_AUTH_SOCK");
    if let Some(agent) = agent {
        command.env("SSH_AUTH_SOCK", agent);
    }
    Said::of(command.arg(world.context()).output().unwrap())
}

fn agent_with_key(world: &World) -> Running {
    let socket = world.path("agent");
    let agent = start("ssh-agent", &["-D", "-a", socket.to_str().unwrap()]);
    while UnixStream::connect(&socket).is_err() {
        sleep(Duration::from_millis(5));
    }
    let added =
        Command::new("ssh-add").arg(world.path("key")).env("SSH_AUTH_SOCK", &socket).output().unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    agent
}

#[test]
fn a_command_asks_an_agent_and_the_next_one_has_none() {
    for (driver, world) in worlds() {
        prepared(&world);
        let _agent = agent_with_key(&world);
        let key = format!("default={}", world.path("key").display());
        let socket = format!("default={}", world.path("agent").display());
        for ssh in ["default", &socket, &key] {
            let steps = "RUN --mount=type=ssh ssh-add -l && echo $SSH_AUTH_SOCK && stat -c '%a %u:%g' $SSH_AUTH_SOCK; ssh-add -D; ssh-add -l\n\
                RUN echo ${SSH_AUTH_SOCK-none}; ls -d /run/buildkit || echo gone\n";
            let said = run(&world, steps, &["--ssh", ssh], Some(&world.path("agent"))).good();
            assert_eq!(
                said.stdout.matches("key of the test (ED25519)").count(),
                2,
                "{driver}: {ssh}\n{}",
                said.stdout
            );
            for text in ["\n/run/buildkit/ssh_agent.0\n600 0:0\n", "\nnone\ngone\n"] {
                assert!(said.stdout.contains(text), "{driver}: {ssh}\n{}", said.stdout);
            }
            lacks(&world, &driver, &["run", "run/buildkit", "run/buildkit/ssh_agent.0"]);
        }
        let two = "RUN --mount=type=ssh,target=/a --mount=type=ssh,id=other ssh-add -l && SSH_AUTH_SOCK=/run/buildkit/ssh_agent.1 ssh-add -l; echo $SSH_AUTH_SOCK\n";
        let said = run(&world, two, &["--ssh", &key, "--ssh", &key.replace("default", "other")], None).good();
        assert_eq!(said.stdout.matches("(ED25519)\n").count(), 2, "{driver}\n{}", said.stdout);
        assert!(said.stdout.contains("(ED25519)\n/a\n"), "{driver}\n{}", said.stdout);
        if driver == "plain" && std::env::var("RBUILD_TEST_LANE").is_ok_and(|lane| lane == "single") {
            eprintln!("skipped for driver plain: one id is mapped");
            continue;
        }
        let other = "USER app\nRUN --mount=type=ssh,uid=7,gid=8,mode=0640 stat -c '%a %u:%g' $SSH_AUTH_SOCK; ssh-add -l\n";
        let said = run(&world, other, &["--ssh", &key], None).good();
        assert!(
            said.stdout.contains("\n640 7:8\n") && said.stdout.contains("(ED25519)\n"),
            "{driver}\n{}",
            said.stdout
        );
    }
}

/// An ssh server of this user on the loopback. Returns it and its port.
fn server(world: &World) -> (Running, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host_key = world.path("host").display().to_string();
    tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &host_key]);
    if rustix::process::geteuid().is_root() {
        fs::create_dir_all("/run/sshd").unwrap();
    }
    let authorized = world.path("key.pub").display().to_string();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nPidFile none\nUsePAM no\nStrictModes no\n\
         AuthorizedKeysFile {authorized}\nPermitRootLogin yes\n"
    );
    fs::write(world.path("sshd_config"), config).unwrap();
    let server = start("/usr/sbin/sshd", &["-D", "-f", world.path("sshd_config").to_str().unwrap()]);
    let mut looks = 0;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        looks += 1;
        assert!(looks < 1000, "sshd does not answer");
        sleep(Duration::from_millis(10));
    }
    (server, port)
}

#[test]
fn git_clones_over_ssh_and_no_key_stays() {
    let (_, world) = worlds().remove(0);
    prepared(&world);
    let (_server, port) = server(&world);
    let _agent = agent_with_key(&world);
    let repository = world.path("repository").display().to_string();
    tool("git", &["init", "-q", &repository]);
    fs::write(world.path("repository/f"), "from git\n").unwrap();
    tool("git", &["-C", &repository, "add", "f"]);
    let who = ["-c", "user.name=test", "-c", "user.email=test@example.com"];
    tool("git", &[&["-C", &repository][..], &who, &["commit", "-q", "-m", "one"]].concat());
    let user = tool("id", &["-un"]);
    let clone = format!(
        "GIT_SSH_COMMAND='ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null' \
         git clone -q ssh://{}@127.0.0.1:{port}{repository} /src && cat /src/f",
        user.trim()
    );
    let deploy = format!("deploy={}", world.path("key").display());
    for (mount, ssh) in [("type=ssh", "default"), ("type=ssh,id=deploy,required", &*deploy)] {
        let steps = format!("RUN --mount={mount} {clone}\n");
        let said = run(&world, &steps, &["--ssh", ssh], Some(&world.path("agent"))).good();
        assert!(said.stdout.contains("\nfrom git\n"), "{ssh}\n{}\n{}", said.stdout, said.stderr);
    }
    let said = run(&world, &format!("RUN --mount=type=ssh {clone}\n"), &[], None);
    assert!(said.code != 0 && said.stderr.contains("Permission denied"), "{}", said.stderr);
    // the middle of the private half, as the file has it
    let key = fs::read_to_string(world.path("key")).unwrap();
    let line = key.lines().nth(3).unwrap();
    let found = Command::new("grep").args(["-rlF", line]).arg(world.store()).output().unwrap();
    assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
}

#[test]
fn what_is_no_agent_is_refused_in_words() {
    let (_, world) = worlds().remove(0);
    world.busybox();
    prepared(&world);
    let encrypted = world.path("encrypted").display().to_string();
    tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "passphrase", "-f", &encrypted]);
    let (encrypted, absent) =
        (format!("default={encrypted}"), format!("default={}", world.path("none").display()));
    let public = format!("default={}", world.path("key.pub").display());
    let step = "RUN --mount=type=ssh echo never\n";
    let rows: [(&str, &[&str], &str); 7] = [
        (
            "RUN --mount=type=ssh,required echo never\n",
            &[],
            "no SSH key \"default\" forwarded from the client; pass --ssh default",
        ),
        (
            "RUN --mount=type=ssh,id=x,required echo never\n",
            &["--ssh", &encrypted],
            "the key is encrypted: add it to an agent",
        ),
        (step, &["--ssh", &absent], "No such file or directory"),
        (step, &["--ssh", &public], "no private key in OpenSSH's format"),
        (step, &["--ssh", "=x"], "expected default, or ID"),
        (step, &["--ssh", "default"], "SSH_AUTH_SOCK is not set"),
        ("RUN --mount=type=ssh,form=x echo never\n", &[], "a mount of type ssh has no field \"form\""),
    ];
    for (steps, args, text) in rows {
        let said = run(&world, steps, args, None);
        assert!(!said.stdout.contains("\nnever\n"), "{args:?}");
        said.fails(125, text);
    }
    // one that is not required is done without
    build(&world, "RUN --mount=type=ssh test -z \"$SSH_AUTH_SOCK\"\n", &[]).good();
}
