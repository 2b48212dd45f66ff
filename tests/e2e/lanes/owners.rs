//! Owners where one id is mapped: recorded by either driver that can, the same in the image, and told by `info`.

use crate::build::BUSYBOX;
use crate::support::World;

fn world(driver: &str) -> World {
    let world = World::with(&["--idmap", "single", "--rootfs", driver]);
    world.busybox().file("f", "from outside\n");
    world
}

/// What gives files away, becomes others, and finds it again in the next step.
const STEPS: &str = "COPY --chown=33:44 f /written\nCOPY --chown=33:44 f /moved\nCOPY --chown=33:44 f /left\n\
    RUN stat -c %u:%g /written; echo more >> /written; mv /moved /there; mkdir -p /d/sub; echo made > /d/made; \
        chown 7:8 /d /d/made; chmod 4755 /d/made; chown 5:50 /d/sub; chmod 2777 /d/sub; mknod /d/null c 1 3; ln /d/made /d/linked\n\
    RUN stat -c '%n %u:%g %F' /d /d/* > /seen; chown 0:0 /there; rm /left; echo again > /left; touch /d/sub/staff\n\
    USER 33:44\nWORKDIR /home\n\
    RUN id -u; touch /d/sub/mine; mkdir /d/sub/dir; ln -s mine /d/sub/link; mkfifo /d/sub/pipe; chown 0 /d/sub/mine || echo kept\n\
    RUN stat -c '%n %u:%g' /d/sub/* /left && rm -r /d/sub/dir\n";

#[test]
fn one_id_records_all_others_on_every_driver_that_can() {
    let built = ["plain", "fuse"].map(|driver| {
        let world = world(driver);
        let said = world.build(&format!("{BUSYBOX}{STEPS}"), &["-t", "x"]).good();
        assert!(!said.stderr.contains("[Warning]"), "{driver}: {}", said.stderr);
        for want in [
            "\n33:44\n",
            "\n33\n",
            "\nkept\n",
            "\n/d/sub/mine 33:50\n",
            "\n/d/sub/dir 33:50\n",
            "\n/left 0:0\n",
        ] {
            assert!(said.stdout.contains(want), "{driver}: {want:?} in {}", said.stdout);
        }
        let tree = world.tree("x");
        for want in [
            "f 0644 33:44 18 written",
            "f 0644 0:0 13 there",
            "f 0644 0:0 6 left",
            "d 0755 7:8 d",
            "f 4755 7:8 5 d/made",
            "d 2777 5:50 d/sub",
            "f 0644 33:50 0 d/sub/mine",
            "f 0644 0:50 0 d/sub/staff",
        ] {
            assert!(tree.iter().any(|line| line.starts_with(want)), "{driver}: {want} in {tree:#?}");
        }
        tree
    });
    assert_eq!(built[0], built[1]);
}

#[test]
fn what_one_driver_built_the_other_takes_from_the_cache() {
    let mut world = world("plain");
    let steps = "COPY --chown=33:44 f /theirs\nUSER 33\nRUN cp -p /theirs /tmp; stat -c %u:%g /tmp/theirs\n";
    let mut build = |driver: &str| {
        world.global = ["--idmap", "single", "--rootfs", driver].map(str::to_owned).into();
        let said = world.build(&format!("{BUSYBOX}RUN mkdir -m 1777 /tmp\n{steps}"), &["-t", "x"]).good();
        // the last step
        said.stdout.rfind("STEP").is_some_and(|at| said.stdout[at..].contains("Using cache"))
    };
    assert_eq!(["plain", "plain", "fuse", "plain"].map(&mut build), [false, true, true, true]);
}

/// Files of a stage that a mount shows beside the step's own, on the same file system where the driver is `plain`.
#[test]
fn what_a_mount_shows_has_its_own_owners() {
    let stage = "FROM scratch AS base\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
        FROM base AS shown\nRUN mkdir -m 777 /d; touch /d/f /d/root; chown 5:6 /d/f\n";
    let step = "FROM base\nRUN --mount=type=bind,from=shown,source=/d,target=/m,rw \
        stat -c '%n %u:%g' /m/*; chown 9:9 /m/f /m/root; touch /m/new /own; chown 3:4 /own; stat -c '%n %u:%g' /m/* /own\n";
    for driver in ["plain", "fuse"] {
        let said = world(driver).build(&format!("{stage}{step}"), &["-t", "x"]).good();
        let want = "/m/f 5:6\n/m/root 0:0\n/m/f 9:9\n/m/new 0:0\n/m/root 9:9\n/own 3:4\n";
        let shown: Vec<&str> = said
            .stdout
            .lines()
            .filter_map(|line| Some(line.split_once("] ")?.1))
            .filter(|line| line.starts_with("/m/") || line.starts_with("/own"))
            .collect();
        assert_eq!(shown.join("\n") + "\n", want, "{driver}: {}", said.stdout);
    }
}

#[test]
fn info_and_doctor_tell_that_owners_are_recorded() {
    for driver in ["plain", "fuse"] {
        let world = world(driver);
        let info: serde_json::Value = serde_json::from_str(&world.run(&["info"]).good().stdout).unwrap();
        let sandbox = &info["sandbox"];
        assert_eq!(
            (&sandbox["rootfs"]["driver"], &sandbox["owners"]),
            (&driver.into(), &"recorded".into()),
            "{info:#}"
        );
        let said = world.run(&["doctor"]).good();
        let want = format!("RUN works: ids by single, its root file system by {driver}.\n");
        assert!(said.stdout.contains(&want) && !said.stdout.contains("root's"), "{}", said.stdout);
    }
}
