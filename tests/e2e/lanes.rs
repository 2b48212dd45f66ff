//! What every user can do: with a range of ids, with one id, as root; on every driver.

pub mod containers;
mod failed;
mod immutable;
mod mounted;
mod mounts;
mod names;
mod network;
mod owners;
mod reproducible;
mod run;
mod traced;

use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::build::BUSYBOX;
use crate::support::{Said, World, provided};

const DRIVERS: [&str; 3] = ["kernel", "fuse", "plain"];

/// The drivers that work for this user: with one id the kernel's overlay does not, so `info` is asked.
pub fn drivers() -> Vec<&'static str> {
    let info = World::new().run(&["info"]).good().stdout;
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    let refused = info["sandbox"]["rootfs"]["passedOver"].to_string();
    assert!(info["sandbox"]["rootfs"]["driver"].is_string(), "no driver works: {info}");
    assert!(info["sandbox"]["rootfs"]["transport"].is_string(), "no transport: {info}");
    let works = |driver: &&str| {
        let works = !refused.contains(&format!("\"name\":\"{driver}\""));
        if !works {
            eprintln!("skipped for driver {driver}: {refused}");
        }
        works
    };
    DRIVERS.into_iter().filter(works).collect()
}

fn worlds() -> Vec<(String, World)> {
    drivers().into_iter().map(|driver| (driver.to_owned(), World::with(&["--rootfs", driver]))).collect()
}

#[test]
fn a_step_sees_a_container() {
    for (driver, world) in worlds() {
        world.busybox();
        let checks = "id -u; pwd; hostname; echo $HOME; echo $PATH; echo ${A-unset}; ls /proc/self/fd | wc -l; \
            cat /proc/self/status | grep -E '^(NoNewPrivs|Seccomp|CapEff|CapBnd):'; readlink /proc/self/exe; \
            ls /dev | tr '\\n' ' '; echo; cat /proc/kcore | head -c 1 | wc -c; \
            (echo x > /proc/sys/kernel/hostname) 2>/dev/null && echo writable; (echo x > /sys/x) 2>/dev/null && echo writable; \
            cat /etc/hostname; grep -c localhost /etc/hosts; test -r /etc/resolv.conf && echo resolv; cat /proc/1/comm; umask";
        let said = world.build(&format!("{BUSYBOX}ENV A=1\nWORKDIR /w\nRUN {checks}\n"), &["-t", "x"]).good();
        let start = said.stdout.find("RUN id -u").unwrap();
        let lines: Vec<&str> = said.stdout[start..].lines().skip(1).collect();
        let want = [
            "0",
            "/w",
            "rbuild",
            "/",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "1",
            "4",
            "CapEff:\t00000000800405fb",
            "CapBnd:\t00000000800405fb",
            "NoNewPrivs:\t0",
            "Seccomp:\t2",
            "/bin/busybox",
        ];
        assert_eq!(&lines[..want.len()], want, "{driver}\n{}", said.stdout);
        for device in [
            "console", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
            "stdout", "tty", "urandom", "zero",
        ] {
            let has = lines[want.len()].split(' ').any(|name| name == device);
            assert!(has || device == "console", "{driver}: /dev/{device} in {}", lines[want.len()]);
        }
        assert_eq!(lines[want.len() + 1], "0", "{driver}: /proc/kcore is masked");
        assert!(!said.stdout.contains("\nwritable\n"), "{driver}\n{}", said.stdout);
        let tail = &lines[want.len() + 2..];
        assert_eq!(&tail[..1], ["rbuild"], "{driver}\n{}", said.stdout);
        assert!(tail.contains(&"resolv"), "{driver}\n{}", said.stdout);
        // What was mounted for the step is not in its layer.
        let tree = world.tree("x");
        for path in ["etc/hosts", "etc/resolv.conf", "etc/hostname", "dev/null", "proc/", "sys/"] {
            assert!(
                !tree.iter().any(|line| line.contains(&format!(" {path}"))),
                "{driver}: {path} in {tree:?}"
            );
        }
    }
}

#[test]
fn what_a_step_does_to_files_reaches_the_layer() {
    for (driver, world) in worlds() {
        world.busybox().file("d/old", "old").file("d/gone", "x").file("opaque/a", "a").file("m", "m");
        let work = "cd /; rm /d/gone; echo more >> /d/old; chmod 750 /d; rm -r /opaque; mkdir /opaque; echo b > /opaque/b; \
            ln /m /m2; ln -s m /l; mkfifo /p; mkdir -p /e/f; touch -d @7 /e/f; mv /bin/vi /bin/vee; chmod 4755 /m; \
            mv /move /moved; echo after >> /moved/in";
        let said = format!(
            "{BUSYBOX}COPY d /d\nCOPY opaque /opaque\nCOPY m /m\nCOPY d /move\nRUN {work}\nRUN cat /moved/in; cat /d/old; ls /opaque\n"
        );
        let said = world.build(&said, &["-t", "x"]).good();
        assert!(said.stdout.contains("after\noldmore\nb\n"), "{driver}\n{}", said.stdout);
        let tree = world.tree("x");
        let has = |start: &str| tree.iter().any(|line| line.starts_with(start));
        for line in [
            "d 0750 0:0 d",
            "f 0644 0:0 8 d/old",
            "d 0755 0:0 opaque",
            "f 0644 0:0 2 opaque/b",
            "f 4755 0:0 1 m #",
            "f 4755 0:0 1 m2 = m",
            "l 0777 0:0 l -> m",
            "p 0644 0:0 p",
            "d 0755 0:0 e/f",
            "l 0777 0:0 bin/vee",
            "d 0755 0:0 moved",
            "f 0644 0:0 6 moved/in",
        ] {
            assert!(has(line), "{driver}: {line} in\n{}", tree.join("\n"));
        }
        for path in [" d/gone", " opaque/a", " bin/vi ", " move/", " move "] {
            assert!(!tree.iter().any(|line| line.contains(path)), "{driver}: {path} in\n{}", tree.join("\n"));
        }
    }
}

#[test]
fn a_failing_step_gives_its_own_exit_code_and_place() {
    for (driver, world) in worlds() {
        world.busybox();
        for (run, code, text) in [
            ("RUN exit 7", 7, "exit status 7"),
            ("RUN sh -c 'kill -9 $$'; exit $?", 137, "exit status 137"),
            ("RUN [\"/no/such\"]", 127, "exit status 127"),
            ("RUN [\"/etc\"]", 126, "exit status 126"),
        ] {
            let said = world.build(&format!("{BUSYBOX}WORKDIR /etc\n{run}\nRUN echo never\n"), &["-t", "x"]);
            assert!(!said.stdout.contains("never\n"), "{driver}: {run}");
            let said = said.fails(code, text);
            assert!(said.stderr.contains("5 | RUN"), "{driver}: the excerpt of {run}\n{}", said.stderr);
        }
        assert!(world.run(&["images", "-q"]).good().stdout.is_empty(), "{driver}: nothing was named");
        let live = std::fs::read_dir(world.store().join("rbuild/live")).unwrap().count();
        assert_eq!(live, 0, "{driver}: live/ is empty again");
    }
}

#[test]
fn volumes_networks_heredocs_and_users() {
    for (driver, world) in worlds() {
        world.busybox().file("v/f", "from outside");
        let socket = world.path("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        let volume = |name: &str, target: &str| format!("{}:{target}", world.path(name).display());
        let args = [
            "--volume",
            &volume("context/v", "/vol:ro"),
            "--volume",
            &volume("context/v/f", "/single/file"),
            "--volume",
            &volume("socket", "/run/s.sock"),
            "-t",
            "x",
        ];
        let file = format!(
            "{BUSYBOX}RUN cat /vol/f /single/file; (echo x > /vol/new) 2>/dev/null && echo wrote; test -S /run/s.sock && echo socket\n\
             RUN --network=none ls /sys/class/net >/dev/null; ip addr show lo | grep -c 127.0.0.1; ip link | grep -c '^[0-9]'\n\
             RUN <<EOF\necho one\necho two\nEOF\nRUN <<EOF\n#!/bin/busybox cat\nscript\nEOF\nRUN cat <<EOF\nin $HOME\nEOF\n"
        );
        let said = world.build(&file, &args).good();
        for text in [
            "from outsidefrom outside",
            "socket\n",
            "1\n1\n",
            "one\ntwo\n",
            "#!/bin/busybox cat\nscript\n",
            "in /\n",
        ] {
            assert!(said.stdout.contains(text), "{driver}: {text}\n{}", said.stdout);
        }
        assert!(!said.stdout.contains("\nwrote\n"), "{driver}");
        let tree = world.tree("x");
        for path in [" vol", " single", " run/s.sock"] {
            assert!(!tree.iter().any(|line| line.contains(path)), "{driver}: {path} in {tree:?}");
        }
    }
}

#[test]
fn info_says_what_is_taken_and_why_not_the_rest() {
    let world = World::new();
    let info: serde_json::Value = serde_json::from_str(&world.run(&["info"]).good().stdout).unwrap();
    let sandbox = &info["sandbox"];
    let lane = std::env::var("RBUILD_TEST_LANE").unwrap_or_default();
    let want = match &*lane {
        "root" => "root",
        "single" => "single",
        "mapped" => "newuidmap",
        _ => sandbox["idmap"]["mode"].as_str().unwrap(),
    };
    assert_eq!(sandbox["idmap"]["mode"], want, "{info:#}");
    for row in sandbox["idmap"]["passedOver"].as_array().unwrap() {
        assert!(!row["why"].as_str().unwrap().is_empty(), "{info:#}");
    }
    // One id cannot own what others own, so the driver that keeps owners in its own table is taken.
    let (driver, owners) =
        if sandbox["idmap"]["mode"] == "single" { ("fuse", "recorded") } else { ("kernel", "mapped") };
    assert_eq!(sandbox["rootfs"]["driver"], driver, "{info:#}");
    assert_eq!(sandbox["owners"], owners, "{info:#}");
}

#[test]
fn one_id_can_be_forced() {
    let world = World::with(&["--idmap", "single"]);
    world.busybox();
    let said = world
        .build(&format!("{BUSYBOX}RUN wc -l < /proc/self/uid_map; id -u; touch /x\n"), &["-t", "x"])
        .good();
    assert!(said.stdout.contains("\n1\n0\n"), "{}", said.stdout);
    assert!(world.tree("x").iter().any(|line| line.starts_with("f 0644 0:0 0 x")));
}

/// As `contrib/install` lays it down: file capabilities, no setuid bit. An ordinary user's build maps ids by it.
#[test]
fn a_build_through_the_helper() {
    let Some(helper) = provided("RBUILD_TEST_IDMAP") else { return };
    let directory = std::path::Path::new(&helper).parent().unwrap().display().to_string();
    let world = World::with(&["--idmap", "helper"]);
    world.busybox();
    world.file(
        "Dockerfile",
        format!("{BUSYBOX}RUN touch /x && chown 33:44 /x && wc -l < /proc/self/uid_map\n"),
    );
    let mut command = world.command();
    // where it is looked for after the program's own directory, whose copy has no capabilities
    command.env("PATH", format!("{directory}:{}", std::env::var("PATH").unwrap_or_default()));
    let said = Said::of(command.args(["bud", "-t", "x"]).arg(world.context()).output().unwrap());
    match std::env::var("RBUILD_TEST_LANE").as_deref() {
        Ok("mapped") => {
            let said = said.good();
            assert!(said.stdout.contains("\n2\n"), "own id and a range\n{}", said.stdout);
            assert!(
                world.tree("x").iter().any(|line| line.starts_with("f 0644 33:44 0 x")),
                "{:?}",
                world.tree("x")
            );
        }
        // nobody has given these users a range
        _ => drop(said.fails(125, "has no range for")),
    }
}

/// What makes a /dev of the few nodes that a container has, in a mount namespace of its own.
fn without_dev_fuse() -> Vec<String> {
    let works = |unshare: &&[&str]| {
        let words = unshare[1..].iter().chain(&["true"]);
        Command::new(unshare[0]).args(words).output().is_ok_and(|output| output.status.success())
    };
    let unshare = [
        &["unshare", "--mount"][..],
        &["unshare", "--mount", "--user", "--map-root-user", "--map-auto"],
        &["unshare", "--mount", "--user", "--map-root-user"],
    ];
    let unshare = unshare.into_iter().find(works).expect("a mount namespace");
    let script = "set -e; d=$(mktemp -d); mount -n -t tmpfs dev $d; \
        for n in null zero full random urandom tty; do : > $d/$n; mount -n --bind /dev/$n $d/$n; done; \
        mount -n --move $d /dev; rmdir $d; exec \"$@\"";
    unshare.iter().copied().chain(["sh", "-c", script, "sh"]).map(str::to_owned).collect()
}

#[test]
fn without_dev_fuse_a_step_runs_on_plain_files() {
    let mut world = World::new();
    world.around = without_dev_fuse();
    world.busybox();
    let info: serde_json::Value = serde_json::from_str(&world.run(&["info"]).good().stdout).unwrap();
    let rootfs = &info["sandbox"]["rootfs"];
    assert_eq!(rootfs["driver"], "plain", "{info:#}");
    let single = info["sandbox"]["idmap"]["mode"] == "single";
    for row in rootfs["passedOver"].as_array().unwrap() {
        let why = if single && row["name"] == "kernel" { "one id is mapped" } else { "/dev/fuse" };
        assert!(row["why"].as_str().unwrap().contains(why), "{rootfs:#}");
    }
    assert_eq!(rootfs["passedOver"].as_array().unwrap().len(), 2, "{rootfs:#}");
    let steps = "RUN ls /dev | wc -l; echo one > /one\nCOPY f /f\nRUN cat /one /f; rm /f; mkdir /d; echo two > /d/two\n\
        RUN ls /f 2>/dev/null; cat /d/two; mv /d /e\n";
    world.file("f", "from outside\n");
    let said = world.build(&format!("{BUSYBOX}{steps}"), &["-t", "x"]).good();
    assert!(
        said.stdout.contains("one\nfrom outside\n") && said.stdout.contains("\ntwo\n"),
        "{}",
        said.stdout
    );
    let tree = world.tree("x");
    assert!(tree.iter().any(|line| line.starts_with("f 0644 0:0 4 e/two")), "{tree:?}");
    assert!(!tree.iter().any(|line| line.ends_with(" f") || line.ends_with(" d")), "{tree:?}");
    assert_eq!(
        std::fs::read_dir(world.store().join("rbuild/live")).unwrap().count(),
        0,
        "live/ is empty again"
    );
    world.global = vec!["--rootfs".to_owned(), "fuse".to_owned()];
    let missing = "open /dev/fuse: No such file or directory";
    world.build(&format!("{BUSYBOX}RUN true again\n"), &[]).fails(125, missing);
}
