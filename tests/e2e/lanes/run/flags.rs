//! `--mount=type=tmpfs`, `--network`, `--security` and `--device` of RUN.

use super::{build, lacks};
use crate::lanes::worlds;

#[test]
fn each_run_has_its_own_surroundings() {
    for (driver, world) in worlds() {
        world.busybox();
        let rows = [
            (
                "--mount=type=tmpfs,target=/m",
                "stat -c %a /m; grep -c ' /m tmpfs' /proc/mounts; touch /m/f",
                "1777\n1\n",
            ),
            (
                "--mount=type=tmpfs,target=/m,size=64K",
                "dd if=/dev/zero of=/m/x bs=1k count=100 2>/dev/null || echo full",
                "full\n",
            ),
            (
                "--mount=type=tmpfs,target=/m,tmpfs-size=1g,tmpfs-mode=0700,ro",
                "stat -c %a /m; touch /m/x || echo refused",
                "700\nrefused\n",
            ),
            (
                "--mount=type=tmpfs,target=/bin/sub --mount=type=tmpfs,target=/m",
                "ls -d /m /bin/sub",
                "/bin/sub\n/m\n",
            ),
            ("--network=none", "ip link | grep -c '^[0-9]'", "1\n"),
            ("--network=default", "echo as the command line says", "as the command line says\n"),
            ("--security=sandbox", "grep -c '^Seccomp:.2' /proc/self/status", "1\n"),
            ("--device=vendor.com/class=name", "echo without it", "without it\n"),
        ];
        for (flags, command, want) in rows {
            let said = build(&world, &format!("RUN {flags} {command}\n"), &["--no-cache"]).good();
            assert!(
                said.stdout.contains(&format!("{command}\n{want}")),
                "{driver}: {flags}\n{}",
                said.stdout
            );
            lacks(&world, &format!("{driver}: {flags}"), &["m", "bin/sub"]);
            let told = said.stderr.contains("devices by CDI name are not known here");
            assert_eq!(told, flags.starts_with("--device"), "{driver}: {flags}\n{}", said.stderr);
        }
        // the network of one instruction is no other's
        let two = "RUN --network=none ip link | grep -c '^[0-9]'\nRUN ls /sys/class/net | wc -l\n";
        build(&world, two, &["--no-cache"]).good();
    }
}

#[test]
fn an_insecure_run_needs_leave() {
    let (_, world) = worlds().remove(0);
    world.busybox();
    let steps = "RUN --security=insecure grep -c '^CapBnd:.*800405fb' /proc/self/status; mkdir /t; mount -t tmpfs x /t && echo mounted\n";
    build(&world, steps, &[])
        .fails(125, "RUN --security=insecure is not allowed: pass --allow security.insecure");
    let said = build(&world, steps, &["--allow", "security.insecure"]).good();
    assert!(said.stdout.contains("\n0\nmounted\n"), "{}", said.stdout);
    // and is another step than one without
    let said = build(&world, &steps.replace(" --security=insecure", ""), &["--allow", "network.host"]);
    drop(said.fails(1, "exit status 1"));
    build(&world, "", &["--allow", "everything"]).fails(125, "invalid value 'everything'");
}

#[test]
fn flags_of_run_are_refused_in_words() {
    let (_, world) = worlds().remove(0);
    world.busybox();
    for (flag, text) in [
        ("--network=hots", "unsupported network mode \"hots\" (did you mean host?)"),
        ("--security=insecurity", "security \"insecurity\" is not valid"),
        (
            "--device=a.b/c=d,required",
            "RUN --device=a.b/c=d,required: devices by CDI name are not known here",
        ),
        ("--device=a.b/c=d,optional", "expected NAME[,required]"),
        ("--device=,required", "expected NAME[,required]"),
        ("--mont=target=/m", "unknown flag: --mont (did you mean mount?)"),
    ] {
        let said = build(&world, &format!("RUN {flag} echo never\n"), &[]);
        assert!(!said.stdout.contains("\nnever\n"), "{flag}");
        said.fails(125, text);
    }
}
