//! How often the kernel has to ask, and how long a step's root takes.

use std::time::{Duration, Instant};

use super::{House, freeze, grown, inside, sh};
use crate::rootfs::testing::layer;
use crate::rootfs::{Driver, Stack};

/// A layer of `count` files in directories of 100.
fn many_files(count: u32) -> Stack {
    let lines: Vec<String> = (0..count).map(|n| format!("f top/{:03}/{n:05} {n}", n / 100)).collect();
    Stack::new(vec![layer(&lines.join("\n"))])
}

const FILES: u32 = 20_000;

#[test]
fn a_second_step_asks_for_almost_nothing() {
    if !inside("cost::a_second_step_asks_for_almost_nothing") {
        return;
    }
    let house = House::new();
    let stack = many_files(FILES);
    let read_all = "find top -type f -print0 | xargs -0 cat | wc -l; find top -printf '%s %m\\n' | wc -l";
    let mut last = house.server.requests();
    let mut all = stack;
    for (step, limit) in [("first", 2 * FILES), ("second", 500), ("third, after two layers", 500)] {
        let (_, layer) = house.run(Driver::Kernel, &all, &format!("{read_all}; touch 'done {step}'"), &[]);
        all = grown(&all, layer);
        let now = house.server.requests();
        let asked = now.total() - last.total();
        println!("{step} step over {FILES} files: {asked} requests: {now:?}");
        assert!(asked < u64::from(limit), "{step} step: {asked} requests: {last:?} -> {now:?}");
        last = now;
    }
    house.stop();
}

/// Times, printed. `cargo test --release rootfs::tests::cost -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn measure() {
    if !inside("cost::measure") {
        return;
    }
    let house = House::new();
    let small = many_files(10);
    let mut times: Vec<(Duration, Duration)> = (0..100)
        .map(|_| {
            let start = Instant::now();
            let (root, _live) = house.prepare(Driver::Kernel, &small);
            let prepared = start.elapsed();
            freeze(root, &[]).unwrap();
            (start.elapsed(), prepared)
        })
        .collect();
    times.sort();
    let [(best, _), (median, prepare), (worst, _)] = [times[0], times[50], times[99]];
    println!(
        "prepare and freeze of an empty step: median {median:?} (prepare {prepare:?}), {best:?} to {worst:?}"
    );

    let stack = many_files(50_000);
    for step in ["cold", "warm, same mount", "new mount", "new mount again"] {
        let reuse = step == "warm, same mount";
        let (root, _live) = house.prepare(Driver::Kernel, &stack);
        if reuse {
            sh(root.path(), "find . -printf '%s\\n' >/dev/null");
        }
        let before = house.server.requests();
        let start = Instant::now();
        sh(root.path(), "find . -printf '%s\\n' >/dev/null");
        println!(
            "find over 50,000 files, {step}: {:?}; {:?}",
            start.elapsed(),
            house.server.requests().total() - before.total()
        );
        root.discard().unwrap();
    }
    house.stop();
}
