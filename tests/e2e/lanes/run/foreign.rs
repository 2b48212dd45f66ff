//! RUN for a platform whose programs this machine does not understand.

use std::path::Path;

use crate::lanes::worlds;

/// The head of an ELF program for s390x, which is big-endian: class, data, version; type EXEC, machine 22 (ELF-64 ABI).
fn program() -> Vec<u8> {
    let mut head = b"\x7fELF\x02\x02\x01".to_vec();
    head.resize(16, 0);
    head.extend([0, 2, 0, 22, 0, 0, 0, 1]);
    head.resize(64, 0);
    head
}

#[test]
fn a_step_that_needs_an_emulator_says_so() {
    if Path::new("/proc/sys/fs/binfmt_misc/qemu-s390x").exists() {
        eprintln!("skipped: this kernel knows an emulator for s390x");
        return;
    }
    for (driver, world) in worlds() {
        world.file("program", program());
        let file = "FROM scratch\nCOPY --chmod=755 program /\nRUN [\"/program\"]\n";
        let args = ["--platform", "linux/s390x", "-t", "x"];
        let said = world.build(file, &args).fails(126, "the image is for linux/s390x, and this is linux/");
        for part in ["Dockerfile:3", "qemu-user-static", "FROM --platform=$BUILDPLATFORM"] {
            assert!(said.stderr.contains(part), "{driver}: {part}\n{}", said.stderr);
        }
        world.run(&["inspect", "x"]).fails(125, "x");
        // Where nothing is run, none is needed.
        world.build("FROM scratch\nCOPY program /\n", &args).good();
        assert_eq!(world.config("x")["architecture"], "s390x", "{driver}");
    }
}
