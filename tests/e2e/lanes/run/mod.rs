//! The flags of RUN.

mod bind;
mod cache;
mod carried;
mod flags;
mod foreign;
mod secret;
mod ssh;

use crate::build::BUSYBOX;
use crate::support::{Said, World};

/// The base of every build here, made once a world: what is built again is what a row adds.
const BASE: &str = "FROM base\n";

/// Makes the base, from the busybox of the context.
fn make_base(world: &World) {
    if !world.path("has-base").exists() {
        world.build(BUSYBOX, &["-t", "base"]).good();
        std::fs::write(world.path("has-base"), "").unwrap();
    }
}

/// Builds what follows the base and names it `x`.
fn build(world: &World, steps: &str, args: &[&str]) -> Said {
    make_base(world);
    world.build(&format!("{BASE}{steps}"), &[&["-t", "x"], args].concat())
}

/// Panics if the flattened image `x` has something at one of the paths.
#[track_caller]
fn lacks(world: &World, row: &str, paths: &[&str]) {
    let tree = world.tree("x");
    for path in paths {
        let found = tree.iter().find(|line| line.split(' ').any(|word| word == *path));
        assert_eq!(found, None, "{row}: {path}");
    }
}
