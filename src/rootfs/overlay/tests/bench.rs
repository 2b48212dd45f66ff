//! A bench on an empty stack, run by hand: `cargo test --lib overlay::tests::bench -- --ignored --nocapture`.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::Scratch;
use super::namespace::{Half, enter};
use crate::rootfs::Stack;

fn shell(script: &str, at: &Path) -> f64 {
    let start = Instant::now();
    let status = Command::new("sh").args(["-ec", script]).current_dir(at).status().unwrap();
    assert!(status.success(), "{script}");
    start.elapsed().as_secs_f64()
}

/// `RBUILD_BENCH_TAR`: the tar to unpack.
#[test]
#[ignore = "a measurement"]
fn create_and_untar() {
    if enter("rootfs::overlay::tests::bench::create_and_untar") == Half::Outer {
        return;
    }
    let tar = std::env::var("RBUILD_BENCH_TAR").unwrap();
    let create = "mkdir c; python3 -c \"
b=b'x'*4096
for i in range(20000):
    f=open('c/%d'%i,'wb',0); f.write(b); f.close()\"";
    let untar = format!("mkdir u; tar xf {tar} -C u");
    let scratch = Scratch::new();
    for round in 0..3 {
        let root = scratch.mount(&Stack::new(Vec::new()));
        let ours = (shell(create, root.path()), shell(&untar, root.path()));
        root.discard().unwrap();
        let (lower, upper, work) =
            (scratch.make("l"), scratch.make(&format!("u{round}")), scratch.make(&format!("w{round}")));
        let peer = scratch.make("peer");
        let options =
            format!("-olowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
        assert!(Command::new("fuse-overlayfs").arg(options).arg(&peer).status().unwrap().success());
        let theirs = (shell(create, &peer), shell(&untar, &peer));
        assert!(Command::new("umount").arg(&peer).status().unwrap().success());
        println!(
            "create {:.2} s against {:.2} ({:.1}x), untar {:.2} s against {:.2} ({:.1}x)",
            ours.0,
            theirs.0,
            theirs.0 / ours.0,
            ours.1,
            theirs.1,
            theirs.1 / ours.1
        );
    }
}
