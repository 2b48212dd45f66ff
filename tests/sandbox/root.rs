//! What the command sees: its root, mounts, network.

use std::fs;
use std::io::Seek;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rbuild::layer::{Limits, TarReader};
use rbuild::runtime::{Access, Address, Exit, Host, Mount, Network, RootfsChoice};
use rbuild_userns::idmap::Mode;

use crate::bench::Bench;

pub const TESTS: &[(&str, fn())] = &[
    ("system_mounts_are_what_containers_expect", system_mounts_are_what_containers_expect),
    ("machine_names_are_given", machine_names_are_given),
    ("no_network_is_loopback_alone", no_network_is_loopback_alone),
    ("volumes_show_the_host", volumes_show_the_host),
    ("volumes_stay_inside_the_root", volumes_stay_inside_the_root),
    ("a_layer_holds_what_the_command_did", a_layer_holds_what_the_command_did),
    ("drivers_are_probed", drivers_are_probed),
    ("mapped_trees_are_swept", mapped_trees_are_swept),
];

fn system_mounts_are_what_containers_expect() {
    let bench = Bench::new();
    let rows = [
        (
            "ls /dev",
            "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n",
        ),
        ("stat -c %F /dev/null /dev/tty", "character special file\ncharacter special file\n"),
        ("head -c 2 /dev/zero | wc -c; head -c 2 /dev/urandom | wc -c", "2\n2\n"),
        ("stat -Lc %a /dev/shm /dev/ptmx", "1777\n666\n"),
        ("cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c", "0\n"),
        ("ls -A /sys/firmware /proc/scsi 2>&1 | grep -v : | grep .", ""),
        ("touch /sys/x 2>/dev/null || echo refused", "refused\n"),
        ("echo 1 2>/dev/null > /proc/sys/kernel/domainname || echo refused", "refused\n"),
        ("echo b 2>/dev/null > /proc/sysrq-trigger || echo refused", "refused\n"),
        ("touch /proc/acpi/x 2>/dev/null || echo refused", "refused\n"),
        ("ls / | tr '\\n' ' '", "a bin dev etc links proc run sys tmp "),
        ("pwd", "/\n"),
    ];
    for (script, want) in rows {
        assert_eq!(bench.output(&format!("{script}; true"), |_| {}), want, "{script}");
    }
}

fn machine_names_are_given() {
    let bench = Bench::new();
    let hosts = bench.output("cat /etc/hosts /etc/hostname; echo '10.0.0.2 late' >> /etc/hosts", |job| {
        let address = Address::At("10.0.0.1".parse().unwrap());
        job.confinement.names.hosts =
            rbuild::runtime::File::Made(vec![Host { name: "registry.example".to_owned(), address }]);
    });
    assert_eq!(
        hosts,
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.1\tregistry.example\n\
         127.0.0.1\tstep\nstep\n"
    );
    // the image's own is a dangling symlink
    let resolvers = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert_eq!(bench.output("cat /etc/resolv.conf /run/resolved/conf", |_| {}), resolvers.repeat(2));
}

fn no_network_is_loopback_alone() {
    let bench = Bench::new();
    let none = bench.output(
        "ls /sys/class/net; ifconfig lo | grep -c UP; touch /sys/x 2>/dev/null || echo ro",
        |job| {
            job.confinement.network = Network::None;
        },
    );
    assert_eq!(none, "lo\n1\nro\n");
    let mut host: Vec<_> = fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    host.sort();
    assert_eq!(bench.output("ls /sys/class/net", |_| {}).lines().collect::<Vec<_>>(), host);
}

fn volume(source: PathBuf, target: &str, access: Access) -> Mount {
    Mount::bind(source, target, access)
}

fn volumes_show_the_host() {
    let bench = Bench::new();
    let dir = bench.dir.join("volume");
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("file"), "text\n").unwrap();
    let _socket = UnixListener::bind(dir.join("socket")).unwrap();
    let rows = [
        ("", "/v", Access::ReadWrite, "cat /v/file; echo new > /v/new; cat /v/new", "text\nnew\n"),
        ("", "/v", Access::ReadOnly, "cat /v/file; touch /v/no 2>/dev/null || echo ro", "text\nro\n"),
        ("", "/deep/er/v", Access::ReadOnly, "ls /deep/er/v/file", "/deep/er/v/file\n"),
        (
            "file",
            "/etc/passwd",
            Access::ReadOnly,
            "cat /etc/passwd; echo x 2>/dev/null > /etc/passwd || echo ro",
            "text\nro\n",
        ),
        ("file", "/made/file", Access::ReadWrite, "echo more >> /made/file; cat /made/file", "text\nmore\n"),
        ("socket", "/run/socket", Access::ReadWrite, "stat -c %F /run/socket", "socket\n"),
    ];
    for (source, target, access, script, want) in rows {
        let mut job = bench.job(script);
        job.confinement.mounts = vec![volume(dir.join(source), target, access)];
        let ran = bench.run(&job);
        assert_eq!((ran.exit(), &*ran.stdout), (Exit::Code(0), want), "{target} {access:?}: {}", ran.stderr);
        // neither what is mounted nor the place made for it
        assert_eq!(ran.outcome.unwrap().layer.unwrap().entries, 0, "{target} {access:?}");
    }
    for (source, target, want) in [
        ("missing", "/v", "No such file or directory"),
        ("file", "/", "is no place beneath /"),
        ("file", "/..", "is no place beneath /"),
        ("file", "/a", "Is a directory"),
        ("sub", "/etc/passwd", "Not a directory"),
    ] {
        let mut job = bench.job("true");
        job.confinement.mounts = vec![volume(dir.join(source), target, Access::ReadWrite)];
        let refusal = bench.run(&job).refusal();
        assert!(refusal.contains(want) && refusal.contains(target), "{source} at {target}: {refusal}");
    }
}

fn volumes_stay_inside_the_root() {
    let bench = Bench::new();
    let dir = bench.dir.join("volume");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "inside\n").unwrap();
    for target in ["/links/escape", "/../../links/../a/target", "links/escape"] {
        let text = bench.output("cat /a/target/file", |job| {
            job.confinement.mounts = vec![volume(dir.clone(), target, Access::ReadOnly)];
        });
        assert_eq!(text, "inside\n", "{target}");
        assert!(!Path::new("/a/target").exists(), "{target}");
    }
}

fn a_layer_holds_what_the_command_did() {
    let bench = Bench::new();
    let rows: [(&str, &str, &[&str]); 4] = [
        ("true", "/", &[]),
        ("echo >> /etc/hosts; echo >> /etc/resolv.conf; mkdir /dev/x; touch /dev/shm/y", "/", &[]),
        ("echo x > /a/new", "/", &["a", "a/new"]),
        // a working directory that was missing belongs to the layer, and so does its parent
        ("pwd", "/srv/work", &["srv", "srv/work"]),
    ];
    for (script, cwd, want) in rows {
        let mut job = bench.job(script);
        cwd.clone_into(&mut job.process.cwd);
        let mut tar = tempfile::tempfile().unwrap();
        let outcome = bench.sandbox.run(&job, tar.try_clone().unwrap(), &|_, _| {}).unwrap();
        assert_eq!(outcome.exit, Exit::Code(0), "{script}");
        tar.rewind().unwrap();
        let mut entries = TarReader::new(tar, Limits::default());
        let mut paths = Vec::new();
        while let Some(entry) = entries.next_entry().unwrap() {
            paths.push(String::from_utf8(entry.path).unwrap());
        }
        // stubs come and go in the root directory: whether it is written itself is the driver's matter
        paths.retain(|path| !path.is_empty());
        assert_eq!(paths, want, "{script} in {cwd}");
    }
}

fn drivers_are_probed() {
    let bench = Bench::new();
    let live = bench.dir.join("live");
    fs::create_dir(&live).unwrap();
    let probed = bench.sandbox.probe(&live).unwrap();
    for driver in [RootfsChoice::Kernel, RootfsChoice::Fuse, RootfsChoice::Plain] {
        assert!(probed.drivers.iter().any(|(probed, _)| *probed == driver), "{driver:?} in {probed:?}");
    }
    let first = if bench.sandbox.idmap() == Mode::Single { RootfsChoice::Fuse } else { RootfsChoice::Kernel };
    assert_eq!(probed.drivers[0].0, first, "what is preferred comes first");
    assert!(probed.drivers.iter().any(|(_, outcome)| outcome.is_ok()), "{probed:?}");
    assert_eq!(fs::read_dir(&live).unwrap().count(), 0);
}

fn mapped_trees_are_swept() {
    let bench = Bench::new();
    let dir = bench.dir.join("left");
    fs::create_dir(&dir).unwrap();
    let script = "mkdir -p /v/a/b && touch /v/a/b/c && chown -R 33:33 /v/a && chmod 0 /v/a/b";
    bench.output(script, |job| {
        job.confinement.mounts = vec![volume(dir.clone(), "/v", Access::ReadWrite)];
    });
    bench.sandbox.sweep(&[dir.clone(), bench.dir.join("never-was")]).unwrap();
    assert!(!dir.exists());
}
