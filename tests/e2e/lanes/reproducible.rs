//! The same epoch gives the same digest: on two stores, whatever the driver, the ids that are mapped, and the jobs.

use std::fs;

use crate::build::BUSYBOX;
use crate::support::{World, tool};

use super::drivers;

/// Two stages side by side, and everything in them that could tell when, by whom and in what order it was made.
fn dockerfile() -> String {
    format!(
        "{}FROM base AS side\nWORKDIR /made/here\n\
         RUN i=0; while [ $i -lt 40 ]; do echo $i > /made/f$((i * 7 % 40)); i=$((i + 1)); done; chown 5:6 /made/f3; mkdir -p a/b; ln f /made/x || true\n\
         FROM base\nARG SOURCE_DATE_EPOCH\nCOPY --chown=7:8 d /deep/er/d\nADD old /\nWORKDIR /w\n\
         RUN echo $SOURCE_DATE_EPOCH > /epoch; mkdir z y; echo x > z/f; ln z/f y/hard; ln -s z/f soft; mkfifo p; chmod 4711 z/f; rm /old\n\
         COPY --from=side /made /made\nRUN touch /bin; rm -r y; mkdir y\nRUN touch -d @7 /w/past; mv /deep /moved\n",
        BUSYBOX.replace("FROM scratch", "FROM scratch AS base")
    )
}

fn context(world: &World) {
    world.busybox().file("d/one", "1").file("d/e/two", "2").file("old", "o");
}

/// Every way in which a RUN can be done here, with options of the program. With one id, `fuse` and `plain` record owners;
/// `kernel` cannot.
fn ways() -> Vec<Vec<&'static str>> {
    let mut ways: Vec<Vec<&str>> = drivers().into_iter().map(|driver| vec!["--rootfs", driver]).collect();
    ways.extend(["fuse", "plain"].map(|driver| vec!["--rootfs", driver, "--idmap", "single"]));
    ways
}

#[test]
fn the_same_epoch_gives_the_same_digest() {
    for time in
        [&["--timestamp", "1000000000"][..], &["--source-date-epoch", "1000000000", "--rewrite-timestamp"]]
    {
        let mut first: Option<(String, String)> = None;
        for (number, way) in ways().iter().enumerate() {
            let world = World::with(way);
            context(&world);
            let jobs = if number % 2 == 0 { "--jobs=1" } else { "--jobs=4" };
            let metadata = world.path("metadata").display().to_string();
            world
                .build(&dockerfile(), &[time, &["-t", "x", jobs, "--metadata-file", &metadata]].concat())
                .good();
            let told: serde_json::Value =
                serde_json::from_str(&fs::read_to_string(&metadata).unwrap()).unwrap();
            let digest = told["containerimage.digest"].as_str().unwrap().to_owned();
            let tree = world.tree("x").join("\n");
            match &first {
                None => first = Some((digest, tree)),
                Some((want, wanted)) => {
                    assert_eq!(&tree, wanted, "{time:?} {way:?}");
                    assert_eq!(&digest, want, "{time:?} {way:?}\n{}", world.headers("x").join("\n"));
                }
            }
            let config = world.config("x");
            assert_eq!(config["created"], "2001-09-09T01:46:40Z", "{time:?} {way:?}");
            for entry in config["history"].as_array().unwrap() {
                assert_eq!(entry["created"], "2001-09-09T01:46:40Z", "{time:?} {way:?}");
            }
        }
    }
}

#[test]
fn another_epoch_does_no_step_again() {
    let world = World::new();
    context(&world);
    let file = dockerfile().replace("ARG SOURCE_DATE_EPOCH\n", "");
    let build = |args: &[&str]| world.build(&file, args).good();
    build(&["--source-date-epoch", "5", "--rewrite-timestamp"]);
    let said = build(&["--timestamp", "6"]);
    assert!(
        !said.stdout.lines().any(|line| line.starts_with("--> ") && !line.contains("Using cache")),
        "{}",
        said.stdout
    );
    let (five, six) = (build(&["--timestamp", "5"]).id(), build(&["--timestamp", "6"]).id());
    assert_ne!(five, six);
    assert_eq!(said.id(), six);
    // Where the time comes from makes no difference.
    let mut command = world.command();
    command.env("SOURCE_DATE_EPOCH", "5").args([
        "bud",
        "--rewrite-timestamp",
        world.context().to_str().unwrap(),
    ]);
    let by_environment = crate::support::Said::of(command.output().unwrap()).good().id();
    let by_flag = build(&["--source-date-epoch", "5", "--rewrite-timestamp"]).id();
    let by_argument = build(&["--build-arg", "SOURCE_DATE_EPOCH=5", "--rewrite-timestamp"]).id();
    assert_eq!((&by_environment, &by_argument), (&by_flag, &by_flag));
}

#[test]
fn times_are_held_to_the_epoch_and_what_is_inherited_is_left() {
    let world = World::new();
    context(&world);
    world.build("FROM scratch\nCOPY old /base\n", &["-t", "base"]).good();
    let base = world.config("base")["rootfs"]["diff_ids"][0].clone();
    let file = format!(
        "FROM localhost/base\n{}RUN touch -d @7 /past; echo > /now\n",
        &BUSYBOX["FROM scratch\n".len()..]
    );
    let (epoch, seven) = ("2001-09-09 01:46:40", "1970-01-01 00:00:07");
    for (args, past) in [
        (&["--timestamp", "1000000000"][..], epoch),
        (&["--source-date-epoch", "1000000000", "--rewrite-timestamp"], seven),
        (&["--timestamp", "1000000000", "--layers=false"], epoch),
    ] {
        world.build(&file, &[args, &["-t", "x"]].concat()).good();
        let diff_ids = world.config("x")["rootfs"]["diff_ids"].clone();
        assert_eq!(diff_ids[0], base, "{args:?}");
        let top = diff_ids.as_array().unwrap().last().unwrap().as_str().unwrap();
        let tar = world.store().join("blobs/sha256").join(&top["sha256:".len()..]).display().to_string();
        let listing = tool("tar", &["--utc", "--full-time", "-tvf", &tar]);
        for (name, time) in [("past", past), ("now", epoch)] {
            let told = listing.lines().any(|line| line.ends_with(&format!("{time} {name}")));
            assert!(told, "{args:?} {name} {time}\n{listing}");
        }
    }
    for (args, text) in [
        (&["--rewrite-timestamp"][..], "no time is given that files are held to"),
        (&["--source-date-epoch", "x"], "expected seconds since 1970"),
        (&["--timestamp=-1"], "expected seconds since 1970"),
        (&["--timestamp", "253402300800"], "expected seconds since 1970"),
        (&["--timestamp", "1", "--source-date-epoch", "1"], "cannot be used with"),
        (&["--build-arg", "SOURCE_DATE_EPOCH=yesterday"], "invalid SOURCE_DATE_EPOCH: \"yesterday\""),
    ] {
        world.build(&file, args).fails(125, text);
    }
}
