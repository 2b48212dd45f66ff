//! `RUN --mount=type=bind`.

use std::fs;
use std::os::unix::fs::symlink;

use super::{build, lacks, make_base};
use crate::copy::archives::forge;
use crate::lanes::worlds;
use crate::server::{Answer, Server};
use crate::support::World;

fn prepared(world: &World) {
    world
        .busybox()
        .file("src/f", "context's\n")
        .file("src/sub/g", "deep\n")
        .file("secret.key", "ignored\n")
        .file(".dockerignore", "*.key\n");
    symlink("f", world.context().join("src/link")).unwrap();
    symlink("../../../../etc/passwd", world.context().join("src/out")).unwrap();
}

/// What each row runs, and what it says.
const ROWS: [(&str, &str); 15] = [
    ("RUN --mount=target=/m ls /m/src; cat /m/src/f", "f\nlink\nout\nsub\ncontext's\n"),
    (
        "RUN --mount=type=bind,source=src,target=/m stat -c %u:%g /m /m/f; touch /m/x || echo refused",
        "0:0\n0:0\nrefused\n",
    ),
    (
        "RUN --mount=source=src,target=/m,rw echo more >> /m/f; rm -r /m/sub; mkdir /m/d; cat /m/f; ls /m",
        "context's\nmore\nd\nf\nlink\nout\n",
    ),
    ("RUN --mount=source=src,target=/m cat /m/f; ls /m/sub", "context's\ng\n"),
    ("RUN --mount=source=src/f,target=/file cat /file", "context's\n"),
    ("RUN --mount=source=src/link,target=/file cat /file", "context's\n"),
    ("RUN --mount=source=/../../src/f,target=/file cat /file", "context's\n"),
    (
        "RUN --mount=target=/m cat /m/secret.key || echo hidden; cat /m/src/out || echo dangling",
        "hidden\ndangling\n",
    ),
    ("WORKDIR /w\nRUN --mount=source=src,target=rel cat rel/f; pwd", "context's\n/w\n"),
    ("ARG S=src\nARG T=/m\nRUN --mount=source=${S},target=$T/d cat /m/d/f", "context's\n"),
    (
        "RUN --mount=from=one,target=/one cat /one/made; stat -c %a /one/made; echo x > /one/y || echo refused",
        "made\n4711\nrefused\n",
    ),
    ("RUN --mount=from=0,source=/dir/to,target=/one,rw cat /one/f; echo x > /one/f; cat /one/f", "made\nx\n"),
    ("ARG FROM=one\nRUN --mount=from=$FROM,source=made,target=/file cat /file", "made\n"),
    ("RUN --mount=from=base,source=bin,target=/tools /tools/busybox echo from an image", "from an image\n"),
    ("RUN --mount=from=scratch,target=/empty,rw ls -A /empty | wc -l; touch /empty/x", "0\n"),
];

#[test]
fn what_is_bound_is_seen_and_left_alone() {
    for (driver, world) in worlds() {
        prepared(&world);
        make_base(&world);
        let first = "FROM base AS one\nRUN echo made > /made; chmod 4711 /made; mkdir -p /dir/real; cp /made /dir/real/f; ln -s /dir/real /dir/to\n";
        for (steps, want) in ROWS {
            let file = format!("{first}FROM base\n{steps}\n");
            let said = world.build(&file, &["--no-cache", "--jobs", "1", "-t", "x"]).good();
            // what a variable names may have to be built in between
            let said = said.stdout;
            let after = said.find(&format!(": {}\n", steps.lines().last().unwrap())).map(|at| &said[at..]);
            let good = after.is_some_and(|after| after.contains(&format!("\n{want}")));
            assert!(good, "{driver}: {steps}\n{said}");
            lacks(
                &world,
                &format!("{driver}: {steps}"),
                &["m", "m/", "file", "one", "tools", "empty", "w/rel"],
            );
        }
        assert_eq!(fs::read_to_string(world.context().join("src/f")).unwrap(), "context's\n");
        assert!(world.context().join("src/sub/g").exists() && !world.context().join("src/d").exists());
        let live = fs::read_dir(world.store().join("rbuild/live")).unwrap().count();
        assert_eq!(live, 0, "{driver}: live/ is empty again");
    }
}

#[test]
fn owners_of_a_stage_are_kept() {
    for (driver, world) in worlds() {
        // one that keeps no owner but root has none to show
        let info = world.run(&["info"]).good().stdout;
        if driver == "plain" && info.contains("\"mode\": \"single\"") {
            eprintln!("skipped for driver plain: one id is mapped");
            continue;
        }
        world.busybox();
        build(&world, "RUN mkdir /d; touch /d/f; chown 7:8 /d/f; chown 9 /d\n", &["-t", "owned"]).good();
        let steps = "RUN --mount=from=owned,source=/d,target=/m,rw stat -c %u:%g /m /m/f; touch /m/new; chown 5:6 /m/new; \
            stat -c %u:%g /m/new; cp -a /m/f /copy\n";
        let said = build(&world, steps, &[]).good();
        assert!(said.stdout.contains("9:0\n7:8\n5:6\n"), "{driver}\n{}", said.stdout);
        let tree = world.tree("x");
        assert!(tree.iter().any(|line| line.starts_with("f 0644 7:8 0 copy")), "{driver}: {tree:#?}");
    }
}

#[test]
fn the_content_of_a_source_is_in_the_key_and_nothing_else() {
    let (_, world) = worlds().remove(0);
    prepared(&world);
    let steps = "RUN --mount=source=src,target=/m cat /m/f > /copy; echo ran\n";
    let ran = |why: &str, want: bool| {
        let said = build(&world, steps, &[]).good();
        assert_eq!(said.stdout.contains("\nran\n"), want, "{why}\n{}", said.stdout);
    };
    ran("first", true);
    ran("nothing has changed", false);
    world.file("other", "beside the source");
    world.file("secret.key", "what the ignore file hides");
    ran("what is not shown", false);
    fs::File::open(world.context().join("src/f")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    ran("a time", false);
    world.file("src/f", "changed\n");
    ran("a changed file", true);
    world.file("src/new", "");
    ran("a new file", true);
    fs::remove_file(world.context().join("src/new")).unwrap();
    ran("as it was", false);
    // a stage counts by what it has there, not by how it came to it
    let staged = |step: &str| {
        format!("RUN {step}\nFROM base\nRUN --mount=from=0,source=/d,target=/m cat /m/f; echo ran\n")
    };
    let ran = |step: &str, want: bool| {
        let said = world.build(&format!("FROM base\n{}", staged(step)), &["--jobs", "1", "-t", "x"]).good();
        assert_eq!(said.stdout.contains("\nran\n"), want, "{step}\n{}", said.stdout);
    };
    ran("mkdir /d; echo a > /d/f", true);
    ran("mkdir /d; echo b > /d/f; echo a > /d/f", false);
    ran("mkdir /d; echo b > /d/f", true);
}

#[test]
fn what_cannot_be_bound_is_refused_with_its_place() {
    let (_, world) = worlds().remove(0);
    prepared(&world);
    let refused = |steps: &str, text: &str, mark: &str| {
        let said = build(&world, steps, &["--target", "0"]);
        assert!(!said.stdout.contains("\nnever\n"), "{steps}");
        let said = said.fails(125, text);
        assert!(said.stderr.contains(mark), "{steps}: the mark\n{}", said.stderr);
    };
    let marked = |flag: &str| format!("    {}\n", "^".repeat(flag.len()));
    for (flag, text) in [
        ("--mount=source=none,target=/m", "no items matching \"none\" in the build context"),
        ("--mount=source=secret.key,target=/m", "(the ignore file excludes it)"),
        ("--mount=from=nowhere.invalid/x,target=/m", "nowhere.invalid"),
        ("--mount=from=late,target=/m", "cannot mount from stage \"late\" to \"/m\""),
        ("--mount=source=src,target=/m,bind-propagation=rshared", "belongs to a mount of the host"),
        ("--mount=source=src,target=$NOTHING", "target=: expected a path"),
        ("--mount=source=src,target=../$NOTHING", "a mount cannot take the place of the root"),
        ("--mount=type=$NOTHING,target=/m", "unsupported mount type \"\""),
    ] {
        refused(&format!("RUN {flag} echo never\nFROM scratch AS late\n"), text, &marked(flag));
    }
    // what needs no variable is told before anything is done, with everything else that is wrong
    for (flag, text) in [
        ("--mount=type=bnd,target=/m", "unsupported mount type \"bnd\" (did you mean bind?)"),
        ("--mount=source=src,traget=/m", "no field \"traget\" (did you mean target?)"),
        ("--mount=source=src", "a mount needs a target"),
        ("--mount=target=/", "invalid mount target \"/\""),
        ("--mount=target=/m,mode=755", "a mount of type bind has no field \"mode\""),
        ("--mount=target=/m,ro=maybe", "ro=maybe: expected true or false"),
    ] {
        let steps = format!("RUN {flag} echo never\nCOPPY a b\n");
        refused(&steps, text, &marked(flag));
        refused(&steps, "unknown instruction: COPPY", &marked(flag));
    }
}

/// What each row runs, and what it says: `dir` is a directory with an ignore file, `tar` an archive, `img` an image.
const NAMED: [(&str, &str); 6] = [
    (
        "RUN --mount=from=dir,target=/m ls -A /m; cat /m/f; touch /m/x || echo refused",
        "d\nf\nmine\nrefused\n",
    ),
    ("RUN --mount=from=dir,source=d,target=/m,rw echo x > /m/y; ls /m; stat -c %u:%g /m/y", "g\ny\n0:0\n"),
    ("RUN --mount=from=tar,source=f,target=/file cat /file; stat -c %u:%g /file", "packed\n0:0\n"),
    ("RUN --mount=from=img,source=bin,target=/tools /tools/busybox echo from an image", "from an image\n"),
    ("RUN --mount=from=stage,target=/m cat /m/f", "mine\n"),
    ("RUN --mount=type=cache,from=dir,target=/c cat /c/f; echo more >> /c/f", "mine\n"),
];

#[test]
fn a_named_context_is_bound() {
    for (driver, world) in worlds() {
        world.busybox().file("f", "the main one's\n");
        make_base(&world);
        let directory = world.path("dir");
        fs::create_dir_all(directory.join("d")).unwrap();
        for (name, text) in
            [("f", "mine\n"), ("d/g", ""), ("hidden", ""), (".containerignore", "hidden\n.con*\n")]
        {
            fs::write(directory.join(name), text).unwrap();
        }
        forge(&world, "t.tar", "add('f', b'packed\\n', uid=7, gid=8)");
        let archive = fs::read(world.context().join("t.tar")).unwrap();
        let server = Server::start(move |_, _| Answer(200, Vec::new(), archive.clone()));
        let contexts = [
            format!("dir={}", directory.display()),
            format!("stage={}", directory.display()),
            format!("tar=http://{}/", server.address()),
            "img=docker-image://base".to_owned(),
        ];
        let flags: Vec<&str> = contexts.iter().flat_map(|context| ["--build-context", context]).collect();
        for (step, want) in NAMED {
            let file = format!("FROM nowhere.invalid/x AS stage\nRUN false\nFROM base\n{step}\n");
            let said = world.build(&file, &[&flags[..], &["-t", "x"]].concat()).good();
            let printed = said.stdout.split_once(&format!("{step}\n")).unwrap().1;
            assert!(printed.contains(want), "{driver}: {step}: {}", said.stdout);
            let again = world.build(&file, &[&flags[..], &["-t", "x"]].concat()).good();
            assert!(again.stdout.contains("Using cache"), "{driver}: {step}: {}", again.stdout);
        }
        fs::write(directory.join("f"), "another\n").unwrap();
        let file = format!("FROM base\n{}\n", NAMED[0].0);
        let said = world.build(&file, &flags).good();
        assert!(said.stdout.contains("another\n"), "{driver}: {}", said.stdout);
    }
}
