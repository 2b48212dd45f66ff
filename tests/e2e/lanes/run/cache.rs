//! `RUN --mount=type=cache`.

use std::fs;
use std::thread;

use super::{BASE, build, lacks, make_base};
use crate::lanes::worlds;
use crate::support::World;

/// Steps of one build each, in one store, and what they say.
const ROWS: [(&str, &str, &str); 17] = [
    ("target=/c", "ls -A /c; echo one > /c/f; stat -c '%a %u:%g' /c", "755 0:0\n"),
    ("target=/c", "cat /c/f", "one\n"),
    ("id=/c,target=/elsewhere", "cat /elsewhere/f", "one\n"),
    ("id=other,target=/c", "ls -A /c | wc -l", "0\n"),
    ("target=/c,ro", "cat /c/f; echo x > /c/f || echo refused", "one\nrefused\n"),
    ("target=/c,source=sub/deep", "touch /c/inner; stat -c %a /c", "755\n"),
    ("target=/c", "ls /c/sub/deep", "inner\n"),
    ("target=/c,sharing=locked", "rm -r /c/sub; cat /c/f", "one\n"),
    ("target=/c,sharing=private", "cat /c/f", "one\n"),
    ("id=m,target=/c,mode=0700", "stat -c %a /c; mkdir /c/d; chmod 701 /c/d", "700\n"),
    ("id=m,target=/c,mode=0777", "stat -c %a /c /c/d", "700\n701\n"),
    ("id=s,target=/c,from=seed,source=/dir", "cat /c/f; stat -c %a /c/f; echo mine > /c/f", "seeded\n4711\n"),
    ("id=s,target=/c,from=seed,source=/dir", "cat /c/f", "mine\n"),
    ("id=s,target=/c,from=seed,source=dir/sub", "ls -A /c", "g\n"),
    ("id=s,target=/c", "ls -A /c | wc -l", "0\n"),
    ("target=rel", "touch rel/x; pwd", "/w\n"),
    ("target=/w/rel", "ls rel", "x\n"),
];

#[test]
fn what_a_command_leaves_the_next_one_finds() {
    for (driver, world) in worlds() {
        world.busybox();
        build(
            &world,
            "RUN mkdir -p /dir/sub; echo seeded > /dir/f; chmod 4711 /dir/f; touch /dir/sub/g\n",
            &["-t", "seed"],
        )
        .good();
        for (mount, command, want) in ROWS {
            let steps = format!("WORKDIR /w\nRUN --mount=type=cache,{mount} {command}\n");
            let said = build(&world, &steps, &["--no-cache"]).good();
            assert!(
                said.stdout.contains(&format!("{command}\n{want}")),
                "{driver}: {mount}\n{}",
                said.stdout
            );
            lacks(&world, &format!("{driver}: {mount}"), &["c", "c/f", "elsewhere", "w/rel"]);
        }
        // one within another, and one twice
        let steps = "RUN --mount=type=cache,target=/c --mount=type=cache,target=/c/in,id=in --mount=type=cache,target=/again,id=/c,sharing=locked \
            touch /c/in/x; cat /again/f; ls /c/in\nRUN --mount=type=cache,target=/c ls /c\n";
        let said = build(&world, steps, &["--no-cache"]).good();
        assert!(
            said.stdout.contains("\none\nx\n") && said.stdout.contains("ls /c\nf\n"),
            "{driver}\n{}",
            said.stdout
        );
        let live = fs::read_dir(world.store().join("rbuild/live")).unwrap().count();
        assert_eq!(live, 0, "{driver}: live/ is empty again");
    }
}

#[test]
fn owners_are_what_was_asked_for() {
    let lane = std::env::var("RBUILD_TEST_LANE").unwrap_or_default();
    for (driver, world) in worlds() {
        if driver == "plain" && lane == "single" {
            eprintln!("skipped for driver plain: one id is mapped");
            continue;
        }
        world.busybox();
        let run = |command: &str| {
            let steps =
                format!("USER 7:8\nRUN --mount=type=cache,id=o,target=/c,uid=7,gid=8,mode=0750 {command}\n");
            build(&world, &steps, &["--no-cache"]).good().stdout
        };
        assert!(
            run("stat -c '%a %u:%g' /c; echo mine > /c/f && echo wrote").contains("\n750 7:8\nwrote\n"),
            "{driver}"
        );
        let said = run("cat /c/f; stat -c %u:%g /c; rm /c/f; mkdir -m 700 /c/d; touch /c/d/f");
        assert!(said.contains("\nmine\n7:8\n"), "{driver}\n{said}");
        if lane != "single" {
            assert!(run("stat -c %u:%g /c/d /c/d/f").contains("\n7:8\n7:8\n"), "{driver}");
        }
    }
}

#[test]
fn contents_are_not_part_of_the_key() {
    let (_, world) = worlds().remove(0);
    world.busybox();
    let steps = "RUN --mount=type=cache,target=/c echo x >> /c/f; echo ran\n";
    let ran = |steps: &str| build(&world, steps, &[]).good().stdout.contains("\nran\n");
    assert!(ran(steps) && !ran(steps));
    build(&world, "RUN --mount=type=cache,target=/c rm /c/f\n", &[]).good();
    assert!(!ran(steps));
    assert!(ran(&steps.replace("/c ", "/c,id=d ")));
}

/// Two builds of one store at once.
fn at_once(world: &World, steps: [&str; 2]) -> [String; 2] {
    make_base(world);
    let build = |number: usize| {
        let context = world.path(&format!("context-{number}"));
        fs::create_dir_all(&context).unwrap();
        fs::write(context.join("Dockerfile"), format!("{BASE}{}", steps[number])).unwrap();
        world.run(&["bud", "--no-cache", context.to_str().unwrap()]).good().stdout
    };
    thread::scope(|scope| {
        let both = [0, 1].map(|number| scope.spawn(move || build(number)));
        both.map(|one| one.join().unwrap())
    })
}

#[test]
fn builds_at_once_share_as_they_were_told() {
    let (_, world) = worlds().remove(0);
    world.busybox();
    // shared: each waits for what the other one writes
    let wait = |mine: &str, other: &str| {
        format!(
            "RUN --mount=type=cache,target=/c touch /c/{mine}; for i in $(seq 600); do test -e /c/{other} && exit 0; sleep 0.1; done; exit 9\n"
        )
    };
    at_once(&world, [&wait("a", "b"), &wait("b", "a")]);
    // locked: nobody sees the other one's work half done
    let exclusive = "RUN --mount=type=cache,id=l,target=/c,sharing=locked set -e; for i in 1 2 3 4 5; do mkdir /c/busy; sleep 0.1; rmdir /c/busy; done; echo x >> /c/all\n";
    at_once(&world, [exclusive, exclusive]);
    let said = build(&world, "RUN --mount=type=cache,id=l,target=/c wc -l < /c/all\n", &[]).good();
    assert!(said.stdout.contains("\n2\n"), "{}", said.stdout);
    // private: each has its own while both run, told by a cache that they share
    let private = |mine: &str, other: &str| {
        format!(
            "RUN --mount=type=cache,id=p,target=/p,sharing=private --mount=type=cache,target=/c touch /p/{mine} /c/p{mine}; \
             for i in $(seq 600); do test -e /c/p{other} && break; sleep 0.1; done; ls /p; touch /c/q{mine}; \
             for i in $(seq 600); do test -e /c/q{other} && exit 0; sleep 0.1; done; exit 9\n"
        )
    };
    let [one, two] = at_once(&world, [&private("a", "b"), &private("b", "a")]);
    assert!(one.contains("\na\n") && !one.contains("\nb\n"), "{one}");
    assert!(two.contains("\nb\n") && !two.contains("\na\n"), "{two}");
}

/// Where the first cache of the store is.
fn data(world: &World) -> std::path::PathBuf {
    let mounts = world.store().join("rbuild/mounts");
    let key = fs::read_dir(mounts).unwrap().next().unwrap().unwrap().path();
    key.join("0/data")
}

#[test]
fn prune_removes_what_no_step_has() {
    let lane = std::env::var("RBUILD_TEST_LANE").unwrap_or_default();
    let (_, world) = worlds().remove(0);
    world.busybox();
    // closed to whoever has no power over mapped ids
    let owner = if lane == "single" { "0:0" } else { "7:8" };
    let steps = format!(
        "RUN --mount=type=cache,target=/c mkdir /c/d; touch /c/d/f; chown -R {owner} /c/d; chmod 700 /c/d\n"
    );
    build(&world, &steps, &[]).good();
    let said = world.run(&["prune"]).good();
    assert_eq!(said.stdout, "cache \"/c\"\n", "{}", said.stderr);
    assert_eq!(fs::read_dir(world.store().join("rbuild/mounts")).unwrap().count(), 0);
    assert!(world.run(&["images", "-q"]).good().stdout.lines().count() >= 2, "names keep their images");
    // one that a step has stays, and the step finds it whole
    let wait = "RUN --mount=type=cache,target=/c touch /c/begun; for i in $(seq 600); do test -e /c/go && exit 0; sleep 0.1; done; exit 9\n";
    thread::scope(|scope| {
        let built = scope.spawn(|| build(&world, wait, &[]));
        while !world.store().join("rbuild/mounts").read_dir().is_ok_and(|dir| dir.count() > 0)
            || !data(&world).join("begun").exists()
        {
            thread::sleep(std::time::Duration::from_millis(10));
        }
        let said = world.run(&["prune"]).good();
        assert!(
            said.stdout.is_empty() && said.stderr.contains("cache \"/c\" is in use, and stays"),
            "{}{}",
            said.stdout,
            said.stderr
        );
        fs::write(data(&world).join("go"), "").unwrap();
        built.join().unwrap().good();
    });
    let said = world.run(&["prune", "--all", "--force"]).good();
    assert!(said.stdout.ends_with("cache \"/c\"\n"), "{}", said.stdout);
    assert!(world.run(&["images", "-q"]).good().stdout.is_empty());
    assert_eq!(fs::read_dir(world.store().join("blobs/sha256")).unwrap().count(), 0);
}
