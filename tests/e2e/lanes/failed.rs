//! The state in which a build failed, as a working container.

use super::worlds;
use crate::build::BUSYBOX;

#[test]
fn what_a_failing_command_left_becomes_a_container() {
    for (driver, world) in worlds() {
        world.busybox();
        let from = |words: &[&str]| world.run(&[&["from", "--failed"], words].concat());
        from(&["last"]).fails(125, "no build is recorded that failed");
        let before = format!("{BUSYBOX}ENV A=1\nWORKDIR /w\nRUN echo first >first\n");
        let image = world.build(&before, &[]).good().id();
        from(&["last"]).fails(125, "did not fail");
        from(&["scratch"]).fails(125, "--failed scratch: expected last");
        world.build(&format!("{before}COPY none /\n"), &[]).fails(125, "none");
        from(&["last"]).fails(125, "did not fail in a RUN");
        let failing = format!("{before}RUN rm first; echo made >made; chown 3:4 made; exit 7\n");
        world.build(&failing, &["-t", "x"]).fails(7, "exit status 7");
        // nothing else names its layer
        world.run(&["rmi", &image]).good();
        let name = from(&["last"]).good().id();
        assert_eq!(name, "failed-working-container", "{driver}");
        let look = "pwd; echo $A; ls; stat -c %u:%g made; cat made";
        let said = world.run(&["run", &name, "sh", "-c", look]).good();
        assert_eq!(said.stdout, "/w\n1\nmade\n3:4\nmade\n", "{driver}");
        // it can be mended, and is an image like any other
        world.run(&["run", &name, "sh", "-c", "echo mended >made"]).good();
        world.run(&["commit", &name, "mended"]).good();
        let tree = world.tree("mended");
        assert!(tree.iter().any(|line| line.contains(" 3:4 7 w/made")), "{driver}: {tree:#?}");
        world.build(&before, &[]).good();
        from(&["last"]).fails(125, "did not fail");
    }
}
