//! The transport of the kernel's requests, and many of them at once.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{House, freeze, inside};
use crate::fuse::Transport;
use crate::rootfs::testing::{dump, stack};
use crate::rootfs::{Driver, Stack};

/// On a machine where root set `enable_uring`, a fallback to the device would be a fault that only a clock sees.
#[test]
fn rings_are_used_where_the_kernel_offers_them() {
    if !inside("transport::rings_are_used_where_the_kernel_offers_them") {
        return;
    }
    let house = House::new();
    let parameter = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let offered = parameter("/sys/module/fuse/parameters/enable_uring") == "Y";
    let refused = !matches!(parameter("/proc/sys/kernel/io_uring_disabled").as_str(), "0" | "");
    let expected = if offered && !refused { Transport::Ring } else { Transport::Device };
    println!("transport: {expected:?}");
    assert_eq!(house.server.transport(), Some(expected));
    house.stop();
}

/// Companions have the turn when requests come briskly, which other work on the machine may forbid for a while.
#[test]
fn who_asks_one_thing_after_the_other_is_answered_by_companions() {
    if !inside("transport::who_asks_one_thing_after_the_other_is_answered_by_companions") {
        return;
    }
    let house = House::new();
    assert!(house.server.no_companions().is_none(), "{:?}", house.server.no_companions());
    let files = (0..2000).map(|n| format!("f many/{n} {n}")).collect::<Vec<_>>().join("\n");
    let end = Instant::now() + Duration::from_mins(2);
    while house.server.by_companions() == 0 {
        assert!(Instant::now() < end, "no companion ever had the turn");
        // A new stack each time: the kernel knows the names of an old one.
        let (root, _live) = house.prepare(Driver::Kernel, &stack(&[&format!("d many\n{files}")]));
        for n in 0..2000 {
            assert_eq!(fs::read_to_string(root.path().join(format!("many/{n}"))).unwrap(), n.to_string());
        }
        root.discard().unwrap();
    }
    house.stop();
}

const THREADS: usize = 6;
const FILES: usize = 150;

/// What one of several threads does in its own directory and in the one they all share.
fn work(root: &Path, number: usize) {
    let own = root.join(format!("own{number}"));
    fs::create_dir(&own).unwrap();
    for file in 0..FILES {
        let text = format!("{number} {file} ").repeat(200 * (file % 7));
        let path = own.join(file.to_string());
        fs::write(&path, &text).unwrap();
        let shared = root.join("shared").join(format!("{number}-{file}"));
        fs::hard_link(&path, &shared).unwrap();
        assert_eq!(fs::read_to_string(&shared).unwrap(), text, "{}", shared.display());
        assert_eq!(fs::read(root.join("below/large")).unwrap().len(), 300_000);
        match file % 3 {
            0 => fs::remove_file(&path).unwrap(),
            1 => fs::rename(&path, root.join("shared").join(format!("moved{number}-{file}"))).unwrap(),
            _ => fs::write(&path, "again").unwrap(),
        }
        assert!(fs::read_dir(root.join("shared")).unwrap().count() > file / 3);
    }
}

#[test]
fn many_threads_at_once_lose_nothing() {
    if !inside("transport::many_threads_at_once_lose_nothing") {
        return;
    }
    let house = House::new();
    let large = "x".repeat(300_000);
    let below = stack(&[&format!("d shared\nd below\nf below/large {large}")]);
    let (root, _live) = house.prepare(Driver::Fuse, &below);
    let at = root.path().to_owned();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let at = &at;
            scope.spawn(move || work(at, number));
        }
    });
    let layer = freeze(root, &[]).unwrap();
    let kept = THREADS * FILES;
    let lines = dump(&layer);
    let count = |what: &dyn Fn(&str) -> bool| lines.iter().filter(|line| what(line)).count();
    assert_eq!(count(&|line| line.contains(" shared/") && !line.contains("shared/moved")), kept);
    assert_eq!(count(&|line| line.contains(" shared/moved")), kept / 3);
    assert_eq!(count(&|line| line.starts_with("d own")), THREADS);
    assert_eq!(Stack::new(vec![layer]).read(b"own0/2", 100).unwrap().unwrap(), b"again");
    house.stop();
}
