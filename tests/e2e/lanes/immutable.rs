//! What `chattr` can do to a step's root.

use std::fs;
use std::path::Path;

use super::worlds;
use crate::build::BUSYBOX;
use crate::support::tool;

/// Real root may let a step use `chattr`. What it fixes is not fixed in the layer, and does not outlive the step.
#[test]
fn what_a_step_made_immutable_can_be_removed() {
    if std::env::var("RBUILD_TEST_LANE").is_ok_and(|lane| lane != "root") {
        eprintln!("skipped: only root of the machine has CAP_LINUX_IMMUTABLE");
        return;
    }
    for (driver, world) in worlds() {
        world.busybox();
        fs::copy("/usr/bin/chattr", world.path("context/chattr")).unwrap();
        let libraries = tool("ldd", &["/usr/bin/chattr"]);
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            fs::create_dir_all(world.path("context/lib")).unwrap();
            let name = Path::new(library).file_name().unwrap();
            fs::copy(library, world.path("context/lib").join(name)).unwrap();
        }
        let file = format!(
            "{BUSYBOX}COPY chattr /bin/\nCOPY lib /lib64\n\
             RUN export LD_LIBRARY_PATH=/lib64; mkdir /d /e; echo 1 > /d/f; echo 2 > /g; \
             chattr +i /d/f /d /g && chattr +a /e; echo fixed $?\n\
             RUN echo 3 > /g; rm -r /d /e; mkdir /e; : > /e/new\n"
        );
        let said = world.build(&file, &["--cap-add", "linux_immutable", "-t", "x"]).good();
        // the server of `fuse` has no such flags
        let refused = said.stdout.contains("fixed 1");
        assert!(refused == (driver == "fuse") && said.stdout.contains("fixed "), "{driver}\n{}", said.stdout);
        let tree = world.tree("x");
        assert!(tree.iter().any(|line| line.contains(" e/new ")), "{driver}: {tree:#?}");
        assert!(!tree.iter().any(|line| line.contains(" d/f ")), "{driver}: {tree:#?}");
        let failing = format!(
            "{BUSYBOX}COPY chattr /bin/\nCOPY lib /lib64\nRUN export LD_LIBRARY_PATH=/lib64; : > /g; chattr +i /g; exit 3\n"
        );
        world.build(&failing, &["--cap-add", "linux_immutable"]).fails(3, "exit status 3");
        let left = fs::read_dir(world.store().join("rbuild/live")).unwrap().count();
        assert_eq!(left, 0, "{driver}: live/ is empty again");
    }
}
