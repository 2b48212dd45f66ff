//! Stages side by side: what is built when, and what a failure does to the others.
//!
//! Steps meet in a directory that all of them see. One that waits for another there gives up after a while, so a build
//! in the wrong order fails; nothing is timed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Said, World};

/// What every stage stands on. `meet NAME…` waits until each of the names has come, and fails if one does not.
const BASE: &str = "FROM scratch AS base\nCOPY --chmod=755 busybox meet /bin/\n\
                    RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";
const MEET: &str = "#!/bin/sh\nfor name; do\n\ti=0\n\tuntil [ -e /meet/$name ]; do\n\t\ti=$((i + 1))\n\
                    \t\t[ $i -lt 400 ] || { echo \"$name has not come\" >&2; exit 9; }\n\t\tsleep 0.05\n\tdone\ndone\n";

/// Builds `stages` on the base with a fresh place to meet.
fn build(world: &World, stages: &str, args: &[&str]) -> Said {
    world.busybox().file("meet", MEET);
    let meet = world.path("meet");
    fs::create_dir_all(&meet).unwrap();
    // a step may be another user to this machine
    fs::set_permissions(&meet, fs::Permissions::from_mode(0o777)).unwrap();
    let volume = format!("{}:/meet", meet.display());
    world.build(&format!("{BASE}{stages}"), &[args, &["--volume", &volume]].concat())
}

fn came(world: &World, name: &str) -> bool {
    world.path("meet").join(name).exists()
}

#[test]
fn independent_stages_are_built_side_by_side() {
    let world = World::new();
    let all = ["a", "b", "c", "d"];
    let stage =
        |name| format!("FROM base AS {name}\nRUN touch /meet/{name}; meet a b c d; echo {name} > /{name}\n");
    let copies: String = all.map(|name| format!("COPY --from={name} /{name} /\n")).concat();
    let stages = format!("{}FROM scratch\n{copies}", all.map(stage).concat());
    let said = build(&world, &stages, &["--jobs", "4", "-t", "all"]).good();
    assert!(said.stdout.contains("[6/6] STEP 5/5: COPY --from=d /d /"), "{}", said.stdout);
    // The same with one after the other is the same image: everything is there already.
    let again = build(&world, &stages, &["--jobs", "1"]).good();
    assert_eq!(again.id(), said.id());
}

#[test]
fn one_job_takes_the_stages_in_their_order() {
    let world = World::new();
    // each fails if another is at work, or an earlier one is not done
    let stage = |(name, before): (&str, &str)| {
        format!(
            "FROM base AS {name}\nRUN mkdir /meet/busy && test -e /meet/{before} && sleep 0.1 && touch /meet/{name} \
                 && rmdir /meet/busy\n"
        )
    };
    let stages = [("a", "."), ("b", "a"), ("c", "b")].map(stage).concat();
    let end =
        "FROM base\nCOPY --from=c /bin/meet /c\nCOPY --from=b /bin/meet /b\nCOPY --from=a /bin/meet /a\n";
    build(&world, &format!("{stages}{end}"), &["--jobs=1"]).good();
}

#[test]
fn copy_waits_for_the_stage_that_it_reads_and_lets_others_work() {
    let world = World::new();
    // `late` waits for a step of `early`'s reader, and for `third`, which can only work while the reader waits
    let stages = "FROM base AS late\nRUN meet reader third; echo late > /late\n\
                  FROM base AS reader\nRUN touch /meet/reader\nCOPY --from=late /late /\n\
                  FROM base AS third\nRUN meet reader; touch /meet/third; echo third > /third\n\
                  FROM reader\nCOPY --from=third /third /\nRUN test \"$(cat /late /third)\" = \"$(printf 'late\\nthird')\"\n";
    build(&world, stages, &["--jobs=2"]).good();
}

#[test]
fn a_stage_that_is_named_by_a_variable_is_built_when_its_name_is() {
    let world = World::new();
    let stages = "FROM base AS one\nRUN echo one > /name\nFROM base AS two\nRUN echo two > /name\n\
                  FROM base\nARG WHICH=one\nCOPY --from=$WHICH /name /\nRUN test $(cat /name) = two\n";
    build(&world, stages, &["--build-arg", "WHICH=two"]).good();
}

#[test]
fn the_first_failure_stops_the_others_and_is_told_last() {
    let world = World::new();
    let stages = "FROM base AS slow\nRUN touch /meet/slow; sleep 1000; touch /meet/ended\n\
                  FROM base AS bad\nRUN meet slow; exit 7\n\
                  FROM base AS waits\nCOPY --from=slow /x /\nRUN touch /meet/ran\n\
                  FROM base\nCOPY --from=waits /x /\nCOPY --from=bad /x /\n";
    let said = build(&world, stages, &["--jobs=3"])
        .fails(7, "Dockerfile:7: building at STEP \"RUN meet slow; exit 7\"");
    let errors: Vec<_> = said.stderr.lines().filter(|line| line.starts_with("Error:")).collect();
    assert_eq!(errors.len(), 1, "{}", said.stderr);
    assert!(!came(&world, "ended") && !came(&world, "ran"));
    let live = fs::read_dir(world.store().join("rbuild/live")).unwrap().count();
    assert_eq!(live, 0, "nothing of the steps is left");
}

#[test]
fn a_step_of_two_stages_is_done_once() {
    let world = World::new();
    let stage =
        |name| format!("FROM base AS {name}\nRUN echo once >> /meet/count; sleep 0.2; echo done > /done\n");
    let stages = format!(
        "{}FROM base\nCOPY --from=a /done /a\nCOPY --from=b /done /b\n",
        ["a", "b"].map(stage).concat()
    );
    build(&world, &stages, &["--jobs=0"]).good();
    assert_eq!(fs::read_to_string(world.path("meet/count")).unwrap(), "once\n");
}

#[test]
fn what_stages_say_side_by_side_comes_in_whole_lines() {
    let world = World::new();
    let stages = "FROM base AS a\nRUN printf 'a be'; touch /meet/a; meet b; printf 'gins\\nand ends'; touch /meet/done\n\
                  FROM base AS b\nRUN meet a; printf 'b\\n' >&2; touch /meet/b; meet done; echo b\n\
                  FROM a\nCOPY --from=b /bin/meet /b\n";
    let said = build(&world, stages, &["--jobs=2"]).good();
    for line in ["[2/4] a begins", "[2/4] and ends", "[3/4] b"] {
        assert!(said.stdout.lines().any(|said| said == line), "{line:?} in {}", said.stdout);
    }
    assert!(said.stderr.lines().any(|line| line == "[3/4] b"), "{}", said.stderr);
}
