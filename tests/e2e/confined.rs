//! The options of RUN that confine it or let it out, seen from inside.

use std::collections::BTreeSet;

use crate::build::BUSYBOX;
use crate::support::{Said, World};

/// Builds one RUN with these options, where a proxy is set; what it printed.
#[track_caller]
pub fn output(world: &World, script: &str, args: &[&str]) -> String {
    world.file("Dockerfile", format!("{BUSYBOX}RUN {script}\n"));
    let mut command = world.command();
    command.args(["bud", "--no-cache"]).args(args).arg(world.context());
    let said = Said::of(command.env("http_proxy", "http://proxy.example:1").output().unwrap()).good();
    let start = said.stdout.rfind(": RUN ").unwrap();
    let lines = said.stdout[start..].lines().skip(1).take_while(|line| !line.starts_with("--> "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn options_of_run_are_seen_from_inside() {
    let world = World::new();
    world.busybox();
    let bounding = "grep CapBnd /proc/self/status | cut -f2";
    let limits = "ulimit -n; ulimit -Hn";
    // where owners are recorded a filter hands calls over, whatever the profile
    let info = world.run(&["info"]).good().stdout;
    let unfiltered = if info.contains("\"owners\": \"recorded\"") { "2" } else { "0" };
    let rows: &[(&[&str], &str, &str)] = &[
        (&["--cap-drop", "all"], bounding, "0000000000000000"),
        (&["--cap-drop", "all", "--cap-add", "chown,CAP_KILL"], bounding, "0000000000000021"),
        (&["--cap-add", "net_admin"], bounding, "00000000800415fb"),
        (&["--cap-add", "all"], "grep CapInh /proc/self/status | cut -f2", "0000000000000000"),
        (&["--cap-add", "sys_admin"], "mount -t tmpfs none /bin && echo mounted", "mounted"),
        (&[], "mount -t tmpfs none /bin 2>/dev/null || echo refused", "refused"),
        (&["--security-opt", "no-new-privileges"], "grep NoNewPrivs /proc/self/status | cut -f2", "1"),
        (&["--security-opt", "seccomp=unconfined"], "grep Seccomp: /proc/self/status | cut -f2", unfiltered),
        (&["--security-opt", "mask=/proc/version:/no/such"], "wc -c < /proc/version", "0"),
        (&["--security-opt", "unmask=ALL"], "grep -c ' /proc/' /proc/self/mounts; true", "0"),
        (&["--security-opt", "label=disable", "--security-opt", "apparmor=unconfined"], "echo ran", "ran"),
        (&["--ulimit", "nofile=100:200"], limits, "100\n200"),
        (&["--ulimit", "nofile=100", "--ulimit", "core=0"], "ulimit -c; ulimit -n", "0\n100"),
        (&["--ulimit", "host"], "echo ran", "ran"),
        (&["--shm-size", "1m"], "df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2", "1024"),
        (
            &["--device", "/dev/null:/dev/hole"],
            "echo x > /dev/hole; test -c /dev/hole && echo device",
            "device",
        ),
        (&["--device", "/dev/fuse:/dev/fuse:rwm"], "test -c /dev/fuse && echo device", "device"),
        (&["--device", "/dev/zero:/opt/zero"], "head -c 3 /opt/zero | wc -c", "3"),
        (&["--http-proxy=false"], "echo ${http_proxy-unset}", "unset"),
        (&["--http-proxy"], "echo ${http_proxy-unset}", "http://proxy.example:1"),
        (&["--isolation", "oci"], "readlink /proc/self/ns/uts | cut -c1-3; hostname", "uts\nrbuild"),
    ];
    for (args, script, want) in rows {
        assert_eq!(output(&world, script, args), *want, "{args:?} {script}");
    }
}

#[test]
fn namespaces_are_shared_as_asked() {
    let world = World::new();
    world.busybox();
    let here =
        |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string();
    let rows: &[(&[&str], &str, bool)] = &[
        (&[], "ipc", false),
        (&[], "uts", false),
        (&[], "cgroup", false),
        (&["--ipc", "host"], "ipc", true),
        (&["--uts=host"], "uts", true),
        (&["--cgroupns=host"], "cgroup", true),
        (&["--isolation", "chroot"], "ipc", true),
        (&["--isolation", "chroot"], "cgroup", true),
        (&["--isolation", "chroot"], "uts", false),
        (&["--isolation", "chroot"], "pid", false),
        (&["--isolation", "chroot", "--ipc", "private"], "ipc", false),
        (&["--isolation", "rootless"], "ipc", false),
    ];
    for (args, kind, shared) in rows {
        let got = output(&world, &format!("readlink /proc/self/ns/{kind}"), args);
        assert!(got.starts_with(kind), "{args:?}: {got}");
        assert_eq!(got == here(kind), *shared, "{args:?}: {kind}, {got}");
    }
    // entering somebody's is for root alone
    let said = world.build(&format!("{BUSYBOX}RUN true\n"), &["--no-cache", "--ipc", "/proc/self/ns/ipc"]);
    if std::env::var("RBUILD_TEST_LANE").is_ok_and(|lane| lane == "root") {
        said.good();
    } else {
        said.fails(125, "can only be entered by root");
    }
}

#[test]
fn groups_are_those_of_the_image_or_the_users_own() {
    let world = World::new();
    world.busybox().file("group", "audio:x:29:\nother:x:3:\n");
    let file = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY group /etc/group\nRUN [\"/bin/busybox\", \"id\", \"-G\"]\n";
    let said = world.build(file, &["--no-cache", "--group-add", "audio,7", "--group-add", "other"]).good();
    let mut groups = said.stdout.lines().filter(|line| line.starts_with("0 "));
    let groups: Vec<_> = groups.next().unwrap_or_default().split(' ').collect();
    assert_eq!(BTreeSet::from_iter(groups), BTreeSet::from(["0", "29", "7", "3"]), "{}", said.stdout);
    world.build(file, &["--no-cache", "--group-add", "nosuch"]).fails(125, "unable to find group nosuch");
    world.build(file, &["--group-add", "keep-groups,audio"]).fails(125, "keep-groups stands alone");
}

#[test]
fn groups_are_kept_as_the_namespace_numbers_them() {
    let mut world = World::new();
    world.busybox();
    let groups = |status: &str| -> BTreeSet<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
        line.split_whitespace().map(|word| word.parse().unwrap()).collect()
    };
    let mut own = groups(&std::fs::read_to_string("/proc/self/status").unwrap());
    if rustix::process::geteuid().is_root() {
        own = BTreeSet::from([7, 4242]);
        world.around = ["setpriv", "--groups", "7,4242"].map(str::to_owned).into();
    }
    let info: serde_json::Value = serde_json::from_str(&world.run(&["info"]).good().stdout).unwrap();
    let map = info["sandbox"]["idmap"]["gids"].as_str().unwrap();
    let map: Vec<u32> = map.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let inside = |group: &u32| {
        let mut extents = map.chunks(3).map(|extent| (extent[0], extent[1], extent[2]));
        let offset = |host: u32, len| group.checked_sub(host).filter(|offset| *offset < len);
        // the overflow group, where it has no number
        extents.find_map(|(inside, host, len)| Some(inside + offset(host, len)?)).unwrap_or(65534)
    };
    let want: BTreeSet<u32> = own.iter().map(inside).collect();
    let show = "grep ^Groups: /proc/self/status";
    assert_eq!(groups(&output(&world, show, &["--group-add", "keep-groups"])), want, "of {own:?} by {map:?}");
}

#[test]
fn what_cannot_be_done_is_refused_precisely() {
    let world = World::new();
    let profile = world.path("profile.json");
    std::fs::write(&profile, "{\"defaultAction\": \"SCMP_ACT_ALLOW\",\n\"syscalls\": [{\"names\": [\"a\"], \"action\": \"SCMP_ACT_NOTIFY\"}]}")
        .unwrap();
    let profile = format!("seccomp={}", profile.display());
    let rows: &[(&[&str], &str)] = &[
        (&["--cap-add", "net_amdin"], "(did you mean CAP_NET_ADMIN?)"),
        (&["--cap-add", "all", "--cap-drop", "all"], "contradict each other"),
        (
            &["--security-opt", &profile],
            "SCMP_ACT_NOTIFY needs an agent, and a build has none at line 2 column",
        ),
        (&["--security-opt", "seccomp=/no/such/file"], "/no/such/file: No such file or directory"),
        (&["--security-opt", "sec=x"], "there is no security option \"sec\""),
        (&["--security-opt", "mask=etc"], "\"etc\" is no absolute path"),
        (&["--device", "/etc/passwd"], "/etc/passwd is no device"),
        (&["--device", "/dev/null:/dev/x:r"], "it may write /dev/null as the user of rbuild may"),
        (&["--device", "/no/such"], "No such file or directory"),
        (&["--ulimit", "nofiles=1"], "(did you mean nofile?)"),
        (&["--ulimit", "nofile=2:1"], "the soft limit 2 is above the hard limit 1"),
        (&["--shm-size", "1x"], "expected a number of bytes"),
        (&["--pid", "host"], "Only private works"),
        (&["--ipc", "/no/such"], "there is no /no/such"),
        (&["--isolation", "vm"], "expected oci, rootless or chroot"),
    ];
    for (args, want) in rows {
        world.build("FROM scratch\n", args).fails(125, want);
    }
    let has_apparmor = std::path::Path::new("/sys/module/apparmor/parameters/enabled").exists();
    let (file, want) = if has_apparmor {
        world.busybox();
        (format!("{BUSYBOX}RUN true\n"), "the AppArmor profile \"x\" is not loaded")
    } else {
        ("FROM scratch\n".to_owned(), "does not run AppArmor")
    };
    world.build(&file, &["--security-opt", "apparmor=x"]).fails(125, want);
    if !std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        world.build("FROM scratch\n", &["--security-opt", "label=type:x"]).fails(125, "does not run SELinux");
    }
}

#[test]
fn other_maps_take_the_users_own_ids_alone() {
    let world = World::new();
    world.busybox();
    let info: serde_json::Value = serde_json::from_str(&world.run(&["info"]).good().stdout).unwrap();
    let idmap = &info["sandbox"]["idmap"];
    let file = format!("{BUSYBOX}RUN true\n");
    if idmap["mode"] == "root" {
        world.build(&file, &["--userns-uid-map", "0:0:1"]).fails(125, "makes no user namespace");
        return;
    }
    let own: u32 = idmap["uids"].as_str().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    let map = format!("0:{own}:1");
    let got = output(&world, "tr -s ' ' < /proc/self/uid_map", &["--userns-uid-map", &map]);
    assert_eq!(got.trim(), format!("0 {own} 1"));
    world
        .build(&file, &["--userns-uid-map", &map, "--userns-uid-map", "1:0:1"])
        .fails(125, "line 2 of the user map, 1:0:1: id 0");
    world.build(&file, &["--userns-uid-map", "0:1"]).fails(125, "CONTAINER:HOST:COUNT");
    world.build(&file, &["--userns", "/proc/1/ns/user"]).fails(125, "enters no other");
    world
        .build(&file, &["--userns-uid-map-user", "nobody"])
        .fails(125, "the subordinate ids of nobody are not those");
    world.build(&file, &["--userns", "private", "--userns-uid-map-user", &own.to_string()]).good();
}
