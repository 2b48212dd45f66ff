//! Streams and archives of the web as contexts.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;

use super::{bud, files, pack};
use crate::copy::archives::forge;
use crate::copy::tree;
use crate::server::{Answer, Server};
use crate::support::World;

/// A context with one of everything, and an ignore file.
fn prepared() -> World {
    let world = World::new();
    world.file("a", "a").file("d/x", "xx").file("d/e/hidden.log", "").file("run", "#!").file("b.txt", "b");
    fs::set_permissions(world.context().join("run"), fs::Permissions::from_mode(0o4755)).unwrap();
    symlink("../a", world.context().join("d/link")).unwrap();
    symlink("/etc/passwd", world.context().join("out")).unwrap();
    fs::hard_link(world.context().join("a"), world.context().join("same")).unwrap();
    world.file(".dockerignore", "**/*.log\nContainerfile\n.dockerignore\n");
    world.file("Containerfile", "FROM scratch\nCOPY . /\nCOPY d/link /t/\nCOPY b* /t/\n");
    world
}

#[test]
fn an_archive_is_the_directory_that_was_packed() {
    let world = prepared();
    let context = world.context();
    let directory = world.run(&["bud", "-t", "want", context.to_str().unwrap()]).good();
    let want = tree(&world, "want");
    assert!(want.contains(&"f 4755 0:0 2 run".to_owned()) && want.len() == 12, "{want:?}");
    let options = [
        ("c.tar", "--create"),
        ("c.tar.gz", "--gzip"),
        ("c.tar.bz2", "--bzip2"),
        ("c.tar.xz", "--xz"),
        ("c.tar.zst", "--zstd"),
    ];
    let packed: Vec<_> = options.map(|(name, option)| fs::read(pack(&world, name, option)).unwrap()).to_vec();
    // The same bytes and modes: what a build from the directory did is done.
    let said = bud(&world, &["-"], &world.path("c.tar.xz")).good();
    assert_eq!(said.stdout.matches("Using cache").count(), 3, "{}", said.stdout);
    assert_eq!(said.id(), directory.id());
    let server = Server::start(move |request, _| {
        let number = request.path.strip_prefix("/c?").unwrap().parse::<usize>().unwrap();
        Answer(200, Vec::new(), packed[number].clone())
    });
    for (number, (name, _)) in options.iter().enumerate() {
        let url = format!("http://{}/c?{number}", server.address());
        for said in [
            bud(&world, &["--no-cache", "-t", "x", "-"], &world.path(name)).good(),
            world.run(&["bud", "--no-cache", "-t", "x", &url]).good(),
        ] {
            assert_eq!(tree(&world, "x"), want, "{name}");
            assert!(!said.stderr.contains("Warning"), "{}", said.stderr);
        }
    }
}

#[test]
fn a_stream_or_a_url_may_be_a_dockerfile() {
    let world = World::new();
    let text = "FROM scratch\nCOPY <<f /\nx\nf\n";
    fs::write(world.path("text"), text).unwrap();
    fs::write(world.path("copies"), "FROM scratch\nCOPY a /\n").unwrap();
    fs::write(world.path("wrong"), "FROM scratch\nCOPPY a /\n").unwrap();
    world.file("a", "a");
    bud(&world, &["-t", "x", "-"], &world.path("text")).good();
    assert_eq!(tree(&world, "x"), ["f 0644 0:0 2 f"]);
    // the directory that the command stands in is none
    bud(&world, &["-"], &world.path("copies")).fails(125, "no items matching \"a\" in the build context");
    bud(&world, &["-"], &world.path("wrong")).fails(125, " --> stdin:2:1\n");
    let server = Server::start(move |request, _| match &*request.path {
        "/wrong" => Answer(200, Vec::new(), b"FROM scratch\nCOPPY a /\n".to_vec()),
        _ => Answer(200, Vec::new(), text.as_bytes().to_vec()),
    });
    let url = |path: &str| format!("http://u:secret@{}/{path}", server.address());
    world.run(&["bud", "-t", "y", &url("Dockerfile")]).good();
    assert_eq!(tree(&world, "y"), ["f 0644 0:0 2 f"]);
    let said = world.run(&["bud", &url("wrong")]);
    assert!(!said.stderr.contains("secret"), "{}", said.stderr);
    said.fails(125, &format!(" --> http://xxxxx@{}/wrong:2:1\n", server.address()));
    world.run(&["bud", "-f", "x", &url("Dockerfile")]).fails(125, "is a Dockerfile, and -f x names another");
    bud(&world, &["-f", "x", "-"], &world.path("text")).fails(125, "is a Dockerfile, and -f x names another");
    bud(&world, &["-f", "-", "-"], &world.path("text")).fails(125, "both read standard input");
    // a file in the place of a directory
    world.file("sub/D", "FROM scratch\nCOPY f /\n").file("sub/f", "f").file("sub/D.dockerignore", "g\n");
    let file = world.context().join("sub/D");
    world.run(&["bud", "-t", "z", file.to_str().unwrap()]).good();
    assert_eq!(tree(&world, "z"), ["f 0644 0:0 1 f"]);
    world
        .run(&["bud", "-f", "x", file.to_str().unwrap()])
        .fails(125, "is a Dockerfile, and -f x names another");
    world.run(&["bud", "/dev/null"]).fails(125, "build context /dev/null: neither a directory nor a file");
}

/// What python3 puts into an archive, and what is said of it; "" where it is taken.
const HOSTILE: [(&str, &str); 12] = [
    ("add('../x', b'x')", "entry \"../x\" at byte 1024: name climbs out of the root"),
    ("add('/x', b'x')", "entry \"/x\" at byte 1024: absolute name"),
    ("add('a/../../x', b'x')", "name climbs out of the root"),
    ("add('l', type=tarfile.LNKTYPE, linkname='/etc/passwd')", "absolute name"),
    (
        "add('l', type=tarfile.LNKTYPE, linkname='none')",
        "a hard link leads to \"none\", which is no file that",
    ),
    ("add('l', type=tarfile.LNKTYPE, linkname='../x')", "climbs out of the root"),
    ("add('x' * 300, b'x')", "name component of 300 bytes, more than 255"),
    ("add('f', b'x'); add('f/g', b'x')", ""),
    ("add('l', type=tarfile.SYMTYPE, linkname='/etc'); add('l/passwd', b'mine')", ""),
    ("add('s', type=tarfile.SYMTYPE, linkname='../../../etc/passwd')", ""),
    ("add('n', type=tarfile.CHRTYPE, devmajor=1, devminor=3)", ""),
    ("add('d/.wh.f', b''); add('.wh..wh..opq', b''); add('g', b'g')", ""),
];

#[test]
fn what_an_archive_says_stays_inside_it() {
    let world = World::new();
    for (body, want) in HOSTILE {
        forge(&world, "t.tar", &format!("add('Dockerfile', b'FROM scratch\\nCOPY . /\\n')\n{body}"));
        let archive = world.context().join("t.tar");
        let said = bud(&world, &["--no-cache", "-t", "x", "-"], &archive);
        if want.is_empty() {
            let said = said.good();
            let left_out = said.stderr.contains("2 entries are left out whose names begin with .wh.");
            assert_eq!(left_out, body.contains(".wh."), "{body}: {}", said.stderr);
        } else {
            let before = files(&world);
            said.fails(125, want);
            bud(&world, &["-"], &archive).fails(125, "standard input");
            assert_eq!(files(&world), before, "{body}");
        }
    }
    assert_eq!(tree(&world, "x"), ["f 0644 0:0 22 Dockerfile", "f 0644 0:0 1 g"]);
    for (body, want) in [
        // a symlink leads nowhere but into the archive
        (
            "add('s', type=tarfile.SYMTYPE, linkname='../../etc/passwd'); add('etc/passwd', b'mine')",
            "f 0644 0:0 4 t",
        ),
        (
            "add('l', type=tarfile.SYMTYPE, linkname='/r'); add('l/s', b'12345'); add('s', b'')",
            "f 0644 0:0 0 t",
        ),
        ("add('r', b'123'); add('s', type=tarfile.LNKTYPE, linkname='r')", "f 0644 0:0 3 t"),
    ] {
        forge(&world, "t.tar", &format!("add('Dockerfile', b'FROM scratch\\nCOPY s /t\\n')\n{body}"));
        bud(&world, &["-t", "x", "-"], &world.context().join("t.tar")).good();
        assert_eq!(tree(&world, "x"), [want], "{body}");
    }
    forge(
        &world,
        "t.tar",
        "add('Dockerfile', b'FROM scratch\\nCOPY s /t\\n'); add('s', type=tarfile.SYMTYPE, linkname='/etc/passwd')",
    );
    bud(&world, &["-"], &world.context().join("t.tar")).fails(125, "no items matching \"s\"");
}

#[test]
fn what_is_no_context_is_told() {
    let world = World::new();
    fs::write(world.path("empty"), "").unwrap();
    fs::write(world.path("noise"), b"\xff\xfe\x00\x01".repeat(500)).unwrap();
    fs::write(world.path("nul"), "FROM scratch\n\0").unwrap();
    world.file("a", "a".repeat(4000));
    let whole = fs::read(pack(&world, "none.tar.gz", "--gzip")).unwrap();
    let plain = fs::read(pack(&world, "none.tar", "--create")).unwrap();
    fs::write(world.path("torn"), &plain[..3000]).unwrap();
    fs::write(world.path("torn.gz"), &whole[..whole.len() - 20]).unwrap();
    world.run(&["images"]).good();
    let before = files(&world);
    for (file, want) in [
        ("empty", "standard input is neither a tar archive nor a Dockerfile: it is empty"),
        ("noise", "neither a tar archive nor a Dockerfile: stream did not contain valid UTF-8"),
        ("nul", "neither a tar archive nor a Dockerfile: it has a NUL byte"),
        ("torn", "tar is truncated"),
        ("torn.gz", "unpack \"standard input\""),
        (
            "none.tar.gz",
            "no Dockerfile: neither Containerfile of the context nor Dockerfile of the context exists",
        ),
    ] {
        bud(&world, &["-"], &world.path(file)).fails(125, want);
    }
    bud(&world, &["-f", "nope", "-"], &world.path("none.tar"))
        .fails(125, "neither nope nor nope of the context");
    let server = Server::start(|_, _| Answer(404, Vec::new(), Vec::new()));
    for (url, want) in [
        (format!("http://{}/away", server.address()), "/away: HTTP 404 Not Found"),
        ("ftp://h/x.tar".to_owned(), "the scheme \"ftp\" is not one of http, https, git, ssh"),
        ("https://h/x.git?y=1".to_owned(), "unexpected query \"y\""),
        ("nowhere".to_owned(), "build context nowhere: No such file or directory"),
    ] {
        world.run(&["bud", "--retry=0", &url]).fails(125, want);
    }
    assert_eq!(files(&world), before, "the store is as it was");
}

#[test]
fn a_signal_while_the_context_comes_leaves_nothing() {
    let world = World::new();
    let mut command = world.command();
    command.args(["bud", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&vec![b'#'; 300_000]).unwrap();
    // it has read more than the pipe holds, so it waits for the rest
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .unwrap();
    let said = crate::support::Said::of(child.wait_with_output().unwrap());
    drop(stdin);
    said.fails(143, "interrupted");
    let left = crate::support::tool("find", &[world.store().join("tmp").to_str().unwrap(), "-type", "f"]);
    assert_eq!(left, "");
}
