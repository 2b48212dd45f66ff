//! Repositories as contexts.

use std::fs;
use std::os::unix::fs::symlink;

use super::files;
use crate::copy::tree;
use crate::repository::{Daemon, git};

#[test]
fn a_repository_is_a_context() {
    let daemon = Daemon::start();
    let (world, app) = (&daemon.world, daemon.app());
    fs::write(app.join("Containerfile"), "FROM scratch\nCOPY . /\n").unwrap();
    fs::write(app.join(".containerignore"), "sub\n.git*\n.containerignore\n").unwrap();
    fs::write(app.join("sub/Dockerfile"), "FROM scratch\nCOPY run ../a* /\n").unwrap();
    symlink("..", app.join("sub/up")).unwrap();
    symlink("/", app.join("root")).unwrap();
    git(&app, &["add", "."]);
    git(&app, &["commit", "--quiet", "-m", "three"]);
    git(&app, &["tag", "three"]);
    let (three, url) = (daemon.commit("three"), daemon.url());
    let all = [
        "f 0644 0:0 24 Containerfile",
        "f 0644 0:0 4 a",
        "l 0777 0:0 link -> a",
        "d 0755 0:0 part",
        "f 0644 0:0 4 part/p",
        "l 0777 0:0 root -> /",
    ];
    let without: Vec<_> = all.into_iter().filter(|line| !line.contains("part/p")).collect();
    for (words, want) in [
        (url.clone(), &all[..]),
        (format!("{url}#main"), &all),
        (format!("{url}#{three}"), &all),
        (format!("{url}?tag=three&submodules=false"), &without),
        (format!("{url}#:sub/up"), &all),
        (format!("{url}#:root"), &all),
        (format!("{url}#three:sub"), &["f 0755 0:0 2 run"]),
        (format!("{url}?subdir=sub&checksum={three}"), &["f 0755 0:0 2 run"]),
    ] {
        world.run(&["bud", "--no-cache", "-t", "x", &words]).good();
        let found = tree(world, "x");
        let found: Vec<_> =
            found.iter().filter(|line| *line != "d 0755 0:0 part" || want.len() > 4).collect();
        assert_eq!(found, want, "{words}");
    }
    // `.git` comes along where that is asked for
    git(&app, &["checkout", "--quiet", "-b", "kept"]);
    fs::remove_file(app.join(".containerignore")).unwrap();
    git(&app, &["commit", "--quiet", "-a", "-m", "kept"]);
    let (kept, argument) = (format!("{url}#kept"), "--build-arg=BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    for (argument, words, has) in [
        (format!("{argument}=0"), kept.clone(), false),
        (format!("{argument}=1"), kept, true),
        (format!("{argument}="), format!("{url}?ref=kept&keep-git-dir=1"), true),
        (format!("{argument}=1"), format!("{url}?ref=kept&keep-git-dir=0"), false),
    ] {
        let said = world.run(&["bud", "-t", "x", &argument, &words]).good();
        let found = tree(world, "x").iter().any(|line| line.ends_with(" .git/HEAD"));
        assert_eq!(found, has, "{argument} {words}");
        assert!(!said.stderr.contains("not consumed"), "{}", said.stderr);
    }
    world.run(&["bud", &format!("{argument}=x"), &url]).fails(125, "expected 1 or 0");
    let before = files(world);
    let short = &three[..12];
    for (words, file, want) in [
        (format!("{url}#nope"), "Containerfile", "the repository has no branch, tag or commit \"nope\""),
        (format!("{url}#:nope"), "Containerfile", "app.git has no directory \"nope\""),
        (format!("{url}#:a"), "Containerfile", "app.git has no directory \"a\""),
        (format!("{url}?checksum=0123456789"), "Containerfile", "has no branch, tag or commit"),
        (format!("{url}?ref=v1&checksum={short}"), "Containerfile", "checksum mismatch: expected commit"),
        (url.clone(), "a", "--> a:1:1"),
        (url.clone(), "root/etc/passwd", "neither root/etc/passwd nor root/etc/passwd of the context"),
        (format!("{url}#side"), "Containerfile", "neither Containerfile nor Containerfile of the context"),
    ] {
        world.run(&["bud", "-f", file, &words]).fails(125, want);
    }
    assert_eq!(files(world), before, "the store is as it was");
    assert_eq!(fs::read_dir(world.store().join("rbuild/live")).unwrap().count(), 0);
}
