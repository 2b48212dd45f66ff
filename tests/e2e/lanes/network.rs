//! The networks of a RUN.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::process::{Command, Stdio};

use super::worlds;
use crate::build::BUSYBOX;
use crate::kill::{family, kill_9};
use crate::support::{Said, World, program, tool};

/// A listener on the host's loopback that greets whoever comes, as long as the test runs.
fn greeter() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // who hangs up before the greeting is none of ours
            drop(stream.and_then(|mut stream| stream.write_all(b"greetings\n")));
        }
    });
    port
}

/// Which of the programs work for this user on this machine: `info` says why not.
fn private_works() -> bool {
    let info: serde_json::Value = serde_json::from_str(&World::new().run(&["info"]).good().stdout).unwrap();
    let network = &info["network"];
    assert_eq!(network["default"], "host", "{network}");
    if network["private"].is_null() {
        assert!(std::env::var_os("RBUILD_TEST_ALL").is_none(), "{network}");
        eprintln!("skipped: {network}");
        return false;
    }
    true
}

#[test]
fn a_private_network_has_a_way_out_and_none_to_the_loopback_of_the_host() {
    if !private_works() {
        return;
    }
    let port = greeter();
    let (_, world) = worlds().remove(0);
    world.busybox();
    let ask = format!(
        "timeout 2 nc 127.0.0.1 {port} </dev/null; timeout 2 nc 10.0.2.2 {port} </dev/null; echo asked"
    );
    let look = "ls /sys/class/net | tr '\\n' ' '; ip -4 addr show eth0 | grep -o '10.0.2.100/24'; ip route | grep default";
    let file = format!("{BUSYBOX}RUN {ask}; {look}\n");
    for program in ["private", "pasta", "slirp4netns"] {
        let said = world.build(&file, &["--no-cache", "--network", program]).good();
        let want = "asked\neth0 lo 10.0.2.100/24\ndefault via 10.0.2.2 dev eth0";
        assert!(said.stdout.contains(want), "{program}\n{}", said.stdout);
        assert!(!said.stdout.contains("greetings\n"), "{program}\n{}", said.stdout);
    }
    let file = format!("{BUSYBOX}RUN timeout 2 nc 127.0.0.1 {port} </dev/null\n");
    assert!(world.build(&file, &["--network", "host"]).good().stdout.contains("\ngreetings\n"));
    // a RUN may have another network than the rest
    let file = format!(
        "{BUSYBOX}RUN --network=host timeout 2 nc 127.0.0.1 {port} </dev/null\nRUN --network=none ip link | grep -c '^[0-9]'\n"
    );
    let said = world.build(&file, &["--no-cache", "--net", "private"]).good();
    assert!(said.stdout.contains("\ngreetings\n") && said.stdout.contains("\n1\n"), "{}", said.stdout);
}

/// pasta gives the step the host's own addresses of IPv6, if it has any; slirp4netns has none.
#[test]
fn a_private_network_has_ipv6_by_pasta_and_no_way_to_the_loopback() {
    if !private_works() {
        return;
    }
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        eprintln!("skipped: this machine has no IPv6");
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let routes = tool("ip", &["-6", "route", "show", "default"]);
    let gateway = routes.split_whitespace().nth(2).unwrap_or("::1").to_owned();
    let (_, world) = worlds().remove(0);
    world.busybox();
    let ask = format!(
        "for to in ::1 {gateway}; do timeout 2 nc $to {port} </dev/null && echo reached; done; echo asked"
    );
    let file = format!("{BUSYBOX}RUN {ask}; ip -6 addr show eth0 | grep -c 'scope global'; true\n");
    for (program, has) in [("pasta", !routes.is_empty()), ("slirp4netns", false)] {
        let said = world.build(&file, &["--no-cache", "--network", program]).good();
        let want = format!("\nasked\n{}\n", i32::from(has));
        assert!(said.stdout.contains(&want), "{program}, {routes}\n{}", said.stdout);
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "the host's loopback was reached");
}

#[test]
fn nothing_of_a_private_network_outlives_a_killed_build() {
    if !private_works() {
        return;
    }
    let (_, world) = worlds().remove(0);
    world.busybox().file("Dockerfile", format!("{BUSYBOX}RUN echo ready; sleep 1000\n"));
    for program in ["pasta", "slirp4netns"] {
        let mut command = world.command();
        command.args(["bud", "--no-cache", "--network", program]).arg(world.context());
        let mut build = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(build.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "ready"), "{program}");
        let names = family(build.id()).into_iter().map(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
        });
        let names: Vec<String> = names.collect();
        // pasta is a name of passt, which runs the variant for this processor
        let carries =
            |name: &String| name.starts_with("pass") || name.starts_with("pasta") || name == "slirp4netns";
        assert!(names.iter().any(carries), "{program}: {names:?}");
        // everybody in the family is waited for
        kill_9(&mut build);
    }
}

#[test]
fn what_a_private_network_lacks_is_named() {
    // no driver of its own: with one id it is another
    let world = World::new();
    world.busybox();
    world.file("Dockerfile", format!("{BUSYBOX}RUN echo never\n"));
    let context = world.context().display().to_string();
    for (mode, want) in [
        (
            "private",
            "network private: neither pasta nor slirp4netns is in PATH (/nowhere); install the package passt or slirp4netns",
        ),
        ("pasta", "network pasta: pasta is not in PATH (/nowhere); install the package passt"),
        (
            "slirp4netns",
            "network slirp4netns: slirp4netns is not in PATH (/nowhere); install the package slirp4netns",
        ),
        ("ns:/no/such", "network ns:/no/such: No such file or directory"),
        ("ns:/etc/passwd", "network ns:/etc/passwd: it is no network namespace"),
        ("bridge", "expected host, none, private, pasta, slirp4netns or ns:PATH"),
        ("pasta:-T,80", "pasta takes no options here"),
    ] {
        let mut command = world.command();
        let said = Said::of(
            command
                .env("PATH", "/nowhere")
                .args(["--idmap", "single", "bud", "--network", mode, &context])
                .output()
                .unwrap(),
        );
        assert!(!said.stdout.contains("\nnever\n"), "{mode}");
        said.fails(125, want);
    }
    let known = std::env::var("RBUILD_TEST_LANE").is_ok_and(|lane| lane != "root");
    if known {
        world
            .build(&format!("{BUSYBOX}RUN echo never\n"), &["--network", "ns:/proc/1/ns/net"])
            .fails(125, "it belongs to a user namespace over which this sandbox has no power");
    }
}

/// Runs a script in user, mount, net and pid namespaces of its own, with an interface `d0` that has two addresses and a
/// default route, a resolver on loopback alone, and `$RBUILD` for the program.
fn in_small_world(world: &World, script: &str) -> Said {
    let setup = "set -e; ip link set lo up; ip tuntap add dev d0 mode tap; ip addr add 10.9.0.1/24 dev d0; \
        ip addr add 10.9.0.2/24 dev d0; ip link set d0 up; ip route add default via 10.9.0.254; \
        echo nameserver 127.0.0.53 > $SCRATCH/resolv; mount --bind $SCRATCH/resolv /etc/resolv.conf; ";
    // a mapped user brings its range along, so that the sandbox can be root of this namespace
    let lane = std::env::var("RBUILD_TEST_LANE").unwrap_or_default();
    let user: &[&str] = match &*lane {
        "root" => &[],
        "mapped" => &["--map-root-user", "--map-auto"],
        _ => &["--map-root-user"],
    };
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "60", "unshare"]).args(user).args([
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
    ]);
    command.arg(format!("{setup}{script}")).current_dir(world.context());
    command.env("SCRATCH", world.path("")).env("RBUILD", program()).env("RBUILD_ROOT", world.store());
    Said::of(command.output().unwrap())
}

const SERVERS: &str = r#"
import socket, select, sys
def tcp(at): s = socket.socket(); s.bind(at); s.listen(5); return s
out, back = tcp(("10.9.0.2", 5999)), tcp(("127.0.0.1", 5998))
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); names.bind(("127.0.0.53", 53))
open(sys.argv[1], "w").close()
while True:
    for s in select.select([out, back, names], [], [])[0]:
        if s is names:
            query, whom = s.recvfrom(2000)
            end = query.index(b"\0", 12) + 5
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\x09\0\x02" if query[end - 4:end - 2] == b"\0\1" else b""
            s.sendto(query[:2] + b"\x81\x80\0\1\0" + bytes([len(answer) // 16]) + b"\0\0\0\0" + query[12:end] + answer, whom)
        else:
            c, _ = s.accept(); c.sendall(b"greetings from %d\n" % s.getsockname()[1]); c.close()
"#;

/// A client ends by `timeout`: pasta of 2023 sometimes keeps the end of a short connection to itself.
#[test]
fn packets_and_questions_for_names_get_out() {
    if !private_works() {
        return;
    }
    let (_, world) = worlds().remove(0);
    world.busybox().file("servers.py", SERVERS).file(
        "Dockerfile",
        format!(
            "{BUSYBOX}RUN timeout 2 nc 10.9.0.2 5999 </dev/null; grep nameserver /etc/resolv.conf; grep -w gw /etc/hosts\n\
             RUN nslookup -type=a somewhere.example | grep 10.9.0.2\n\
             RUN timeout 2 nc 127.0.0.1 5998 </dev/null; timeout 2 nc 10.0.2.2 5998 </dev/null; timeout 2 nc 10.9.0.1 5998 </dev/null; echo asked\n"
        ),
    );
    for program in ["pasta", "slirp4netns"] {
        let script = format!(
            "python3 servers.py $SCRATCH/serving & for i in $(seq 500); do [ -e $SCRATCH/serving ] && break; sleep 0.02; done; \
             $RBUILD bud --no-cache --network {program} --add-host gw:host-gateway . ; rm $SCRATCH/serving"
        );
        let said = in_small_world(&world, &script).good();
        for want in
            ["greetings from 5999\nnameserver 10.0.2.3\n10.9.0.1\tgw\n", "Address: 10.9.0.2\n", "asked\n"]
        {
            assert!(said.stdout.contains(want), "{program}: {want}\n{}\n{}", said.stdout, said.stderr);
        }
        assert!(!said.stdout.contains("greetings from 5998"), "{program}\n{}", said.stdout);
    }
}

#[test]
fn a_namespace_is_joined_and_a_missing_route_is_named() {
    let (_, world) = worlds().remove(0);
    world.busybox();
    if std::env::var("RBUILD_TEST_LANE").is_ok_and(|lane| lane == "single") {
        eprintln!("skipped: with one id no sandbox is root of the namespace that it starts in");
        return;
    }
    world.file("Dockerfile", format!("{BUSYBOX}RUN ip -4 -o addr show lo | grep -o '10.8.7.6'\n"));
    let script = "unshare --net sh -c 'ip link set lo up; ip addr add 10.8.7.6/32 dev lo; echo $$ > $SCRATCH/pid; exec sleep 1000' & \
        for i in $(seq 500); do [ -s $SCRATCH/pid ] && break; sleep 0.02; done; \
        $RBUILD --idmap root bud --network ns:/proc/$(cat $SCRATCH/pid)/ns/net .; kill $!";
    let said = in_small_world(&world, script).good();
    assert!(said.stdout.contains("\n10.8.7.6\n"), "{}\n{}", said.stdout, said.stderr);
    if !private_works() {
        return;
    }
    let script = "ip route del default; $RBUILD bud --network pasta .";
    in_small_world(&world, script).fails(125, "network pasta: pasta does not work here: ");
    // no device, no interface
    let script =
        "mount --bind /dev/null /dev/net/tun; mount -t tmpfs none /dev/net; $RBUILD bud --network private .";
    in_small_world(&world, script).fails(
        125,
        "network private: open /dev/net/tun: No such file or directory (os error 2); as root: modprobe tun",
    );
}
