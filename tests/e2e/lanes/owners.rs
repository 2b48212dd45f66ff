//! Owners where one id is mapped and the driver keeps no other: said, refused, and never wrong in the image.

use crate::build::BUSYBOX;
use crate::support::World;

/// What stands in every such message.
const NEXT: &str = "one id is mapped, and the plain driver keeps no other";

fn world() -> World {
    let world = World::with(&["--idmap", "single", "--rootfs", "plain"]);
    world.busybox().file("f", "from outside\n");
    world
}

#[test]
fn root_alone_is_said_and_another_is_refused() {
    let world = world();
    let rows = [
        ("RUN chown 33:33 /bin/busybox; echo $?; false", 1, "[Warning] one id is mapped"),
        ("RUN touch /x\nRUN chown 33 /x", 1, "chown: /x: Invalid argument"),
        ("USER 33\nRUN echo $((40 + 2))", 125, "become 33:0: one id is mapped"),
        ("USER 0:33\nRUN echo $((40 + 2))", 125, "become 0:33: one id is mapped"),
        (
            "USER 33:33\nRUN [\"/bin/sh\", \"-c\", \"echo $((40 + 2))\"]",
            125,
            "become 33:33: one id is mapped",
        ),
    ];
    for (steps, code, want) in rows {
        let said = world.build(&format!("{BUSYBOX}{steps}\n"), &["-t", "x"]).fails(code, want);
        // the RUN before it, which installs busybox, is warned of, once
        let told = 1 + usize::from(code == 125);
        assert_eq!(said.stderr.matches(NEXT).count(), told, "{steps}\n{}", said.stderr);
        assert!(
            said.stderr.contains("take --rootfs fuse, or map a range of ids"),
            "{steps}\n{}",
            said.stderr
        );
        assert!(!said.stdout.contains("\n42\n"), "{steps}: its command ran\n{}", said.stdout);
    }
    assert!(!world.run(&["images"]).good().stdout.contains("localhost/x"), "no image came of it");
}

#[test]
fn roots_files_are_right_and_others_stay_what_they_were() {
    let world = world();
    let steps = "COPY --chown=33:44 f /written\nCOPY --chown=33:44 f /moved\nCOPY --chown=33:44 f /left\n\
        RUN stat -c %u:%g /written; echo more >> /written; mv /moved /there; mkdir /d; echo made > /d/made; chmod 4755 /d/made\n\
        RUN ls /d\nUSER 33:44\nWORKDIR /home\nCMD [\"id\"]\n";
    let said = world.build(&format!("{BUSYBOX}{steps}"), &["-t", "x"]).good();
    assert!(said.stdout.contains("\n0:0\n"), "to RUN all is root's\n{}", said.stdout);
    assert_eq!(said.stderr.matches(NEXT).count(), 1, "once for the build\n{}", said.stderr);
    let tree = world.tree("x");
    for want in [
        "f 0644 33:44 18 written",
        "f 0644 33:44 13 there",
        "f 0644 33:44 13 left",
        "d 0755 0:0 d",
        "f 4755 0:0 5 d/made",
    ] {
        assert!(tree.iter().any(|line| line.starts_with(want)), "{want} in {tree:#?}");
    }
}

#[test]
fn what_root_alone_made_is_for_those_who_can_have_no_better() {
    let mut world = world();
    let copies = "COPY --chown=33:44 f /theirs\nRUN cp -p /theirs /copy 2>/dev/null; stat -c %u:%g /copy\n";
    let mut build = |driver: &str, steps: &str| {
        world.global = ["--idmap", "single", "--rootfs", driver].map(str::to_owned).into();
        let said = world.build(&format!("{BUSYBOX}{steps}"), &["-t", "x"]).good();
        let owner =
            if world.tree("x").iter().any(|line| line.starts_with("f 0644 33:44 13 copy")) { 33 } else { 0 };
        // the last step
        let is_hit = said.stdout.rfind("STEP").is_some_and(|at| said.stdout[at..].contains("Using cache"));
        (owner, is_hit, said.stderr.contains(NEXT))
    };
    assert_eq!(build("plain", copies), (0, false, true));
    assert_eq!(build("plain", copies), (0, true, true), "told each time");
    assert_eq!(build("fuse", copies), (33, false, false), "not from the cache");
    assert_eq!(build("plain", copies), (33, true, false), "better than it could itself");
}

#[test]
fn info_and_doctor_tell_what_is_lost() {
    let world = world();
    let info: serde_json::Value = serde_json::from_str(&world.run(&["info"]).good().stdout).unwrap();
    let sandbox = &info["sandbox"];
    assert_eq!(
        (&sandbox["rootfs"]["driver"], &sandbox["owners"]),
        (&"plain".into(), &"root".into()),
        "{info:#}"
    );
    let said = world.run(&["doctor"]).good();
    let want = "RUN works: ids by single, its root file system by plain.\nTo it every file is root's: ";
    assert!(said.stdout.contains(want), "{}", said.stdout);
    for global in [&["--idmap", "single"][..], &["--idmap", "single", "--rootfs", "fuse"]] {
        let info = World::with(global).run(&["info"]).good().stdout;
        assert!(info.contains("\"owners\": \"recorded\""), "{global:?}: {info}");
    }
}
