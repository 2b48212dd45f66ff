//! COPY and ADD: what lands where, as whom.

pub mod archives;
mod flags;
mod repositories;
mod urls;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::support::World;

/// The tree of `image`, without the hashes of the bytes.
pub fn tree(world: &World, image: &str) -> Vec<String> {
    let lines = world.tree(image).into_iter();
    lines.map(|line| line.split(" #").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn sources_land_where_the_reference_says() {
    let world = World::new();
    world
        .file("a", "a")
        .file("b.txt", "bb")
        .file("c.txt", "ccc")
        .file("d/x", "x")
        .file("d/e/y", "y")
        .file("[z]", "z");
    symlink("../a", world.context().join("d/link")).unwrap();
    symlink("d", world.context().join("dl")).unwrap();
    for (rest, want) in [
        ("COPY a /", &["f 0644 0:0 1 a"][..]),
        ("COPY a /t", &["f 0644 0:0 1 t"]),
        ("COPY a /t/", &["d 0755 0:0 t", "f 0644 0:0 1 t/a"]),
        ("COPY ../../a /p/q/t", &["d 0755 0:0 p", "d 0755 0:0 p/q", "f 0644 0:0 1 p/q/t"]),
        ("COPY *.txt /t/", &["d 0755 0:0 t", "f 0644 0:0 2 t/b.txt", "f 0644 0:0 3 t/c.txt"]),
        ("COPY [[]z] /", &["f 0644 0:0 1 [z]"]),
        ("COPY d /", &["d 0755 0:0 e", "f 0644 0:0 1 e/y", "l 0777 0:0 link -> ../a", "f 0644 0:0 1 x"]),
        ("COPY dl/e /t", &["d 0755 0:0 t", "f 0644 0:0 1 t/y"]),
        ("COPY d/link /t", &["f 0644 0:0 1 t"]),
        // A linked source keeps the name it was asked for by.
        ("COPY d/link /t/", &["d 0755 0:0 t", "f 0644 0:0 1 t/link"]),
        ("COPY d/l* /t/", &["d 0755 0:0 t", "f 0644 0:0 1 t/link"]),
        ("COPY d*/x /t/", &["d 0755 0:0 t", "f 0644 0:0 1 t/x"]),
        ("COPY a <<a /t/\nlonger\na", &["d 0755 0:0 t", "f 0644 0:0 7 t/a"]),
        ("COPY <<a a /t/\nlonger\na", &["d 0755 0:0 t", "f 0644 0:0 1 t/a"]),
        ("COPY --chown=:9 a /", &["f 0644 0:9 1 a"]),
        ("COPY --chown=7:8 --chmod=600 a d/e /t/", &["d 0600 7:8 t", "f 0600 7:8 1 t/a", "f 0600 7:8 1 t/y"]),
        ("WORKDIR /w\nCOPY a .", &["d 0755 0:0 w", "f 0644 0:0 1 w/a"]),
        ("WORKDIR /w\nCOPY a b.txt ./", &["d 0755 0:0 w", "f 0644 0:0 1 w/a", "f 0644 0:0 2 w/b.txt"]),
        (
            "COPY <<one <<'two' /t/\n$PATHX\\$\none\n$x\ntwo",
            &["d 0755 0:0 t", "f 0644 0:0 2 t/one", "f 0644 0:0 3 t/two"],
        ),
        ("ARG S=a D=/deep\nCOPY ${S} ${D}/f", &["d 0755 0:0 deep", "f 0644 0:0 1 deep/f"]),
    ] {
        world.build(&format!("FROM scratch\n{rest}\n"), &["-t", "x"]).good();
        assert_eq!(tree(&world, "x"), want, "{rest}");
    }
}

#[test]
fn wrong_copies_are_refused_with_their_place() {
    let world = World::new();
    world.file("a", "a").file("d/x", "x").file("hidden", "h").file(".dockerignore", "hidden\n");
    for (rest, want) in [
        ("COPY nope /", "no items matching \"nope\" in the build context\n"),
        ("COPY --from=0 nope /", "cannot copy from stage"),
        ("COPY n*pe /", "no items matching glob \"n*pe\" in the build context"),
        ("COPY n*pe m[ab] /t/", "no items matching glob \"n*pe\""),
        ("COPY dd/x /", "no items matching \"dd/x\""),
        ("COPY d/xx /", "(did you mean x?)"),
        ("COPY a a[ /t/", "syntax error in pattern \"a[\""),
        ("COPY a", "requires at least two arguments"),
        ("COPY hidden /", "the ignore file excludes it"),
        ("COPY a d /t", "must be a directory and end in '/'"),
        ("COPY * /t.", "must be a directory and end in '/'"),
        ("COPY a /f\nCOPY a /f/x", "/f/x: a component of the path is no directory"),
        ("COPY a /f\nWORKDIR /f", "/f: it exists and is no directory"),
        ("COPY d /t\nCOPY a /t2\nCOPY d /t2", "cannot copy a directory to a non-directory"),
        ("COPY --chown=nobody a /", "unable to find user nobody"),
        ("COPY --chown=0:nobody a /", "unable to find group nobody"),
        (
            "COPY --chmod=999 a /",
            "invalid chmod parameter: '999'. it should be octal string and between 0 and 07777",
        ),
        ("COPY --chmod=u+y a /", "invalid chmod parameter: 'u+y'"),
        ("COPY --exclude=! d /", "--exclude=!: illegal exclusion pattern"),
        ("COPY --exclude=[ d /", "syntax error in pattern \"[\""),
        ("COPY d /t\nCOPY a /t/x/y", "/t/x/y: a component of the path is no directory"),
        ("COPY d /t/a\nCOPY a /t", "cannot copy \"a\" to \"/t/a\": cannot replace a directory with a file"),
        ("COPY --unpack a /", "unknown flag: --unpack"),
        ("ADD --parents a /", "unknown flag: --parents"),
        ("ADD --from=x a /", "unknown flag: --from"),
        ("COPY --link=maybe a /", "expecting boolean value for flag link, not: maybe"),
        ("COPY --parents d/./nope /", "no items matching \"d/./nope\""),
        ("COPY --parents **/*.c /", "no items matching glob \"**/*.c\""),
        ("COPY --from=later a /\nFROM scratch AS later", "defined before"),
        ("COPY a ${X:?not set}", "not set"),
    ] {
        world.build(&format!("FROM scratch\n{rest}\n"), &["--target", "0"]).fails(125, want);
    }
}

#[test]
fn the_ignore_file_hides_and_shows() {
    let world = World::new();
    for name in ["keep", "x.log", "d/x.log", "d/keep.log", "node/a/b", "node/c"] {
        world.file(name, name);
    }
    world.file(".dockerignore", "**/*.log\n!d/keep.log\nnode\n!node/a/b\nDockerfile\n.dockerignore\n");
    world.build("FROM scratch\nCOPY . /\n", &["-t", "x"]).good();
    let want = [
        "d 0755 0:0 d",
        "f 0644 0:0 10 d/keep.log",
        "f 0644 0:0 4 keep",
        "d 0755 0:0 node",
        "d 0755 0:0 node/a",
        "f 0644 0:0 8 node/a/b",
    ];
    assert_eq!(tree(&world, "x"), want);
    // A pattern that may show something below a directory hides a file all the same.
    world.file(".dockerignore", "*\n!**/keep.log\n");
    for hidden in ["keep", "k*p"] {
        world
            .build(&format!("FROM scratch\nCOPY {hidden} /\n"), &[])
            .fails(125, "the ignore file excludes it");
    }
    // One named after the Dockerfile wins.
    world.file("Dockerfile.dockerignore", "*\n!keep\n");
    world.build("FROM scratch\nCOPY . /\n", &["-t", "y"]).good();
    assert_eq!(tree(&world, "y"), ["f 0644 0:0 4 keep"]);
}

#[test]
fn hard_links_modes_and_attributes_survive() {
    let world = World::new();
    world.file("d/a", "same").file("d/s", "x");
    fs::hard_link(world.context().join("d/a"), world.context().join("d/b")).unwrap();
    fs::set_permissions(world.context().join("d/s"), fs::Permissions::from_mode(0o4755)).unwrap();
    rustix::fs::setxattr(world.context().join("d/s"), "user.k", b"v\n", rustix::fs::XattrFlags::empty())
        .unwrap();
    world.build("FROM scratch\nCOPY d /\n", &["-t", "x"]).good();
    let tree = world.tree("x");
    assert!(tree[1].starts_with("f 0644 0:0 4 b = a"), "{tree:?}");
    assert!(tree[2].starts_with("f 4755 0:0 1 s") && tree[2].ends_with("user.k=760a"), "{tree:?}");
}

#[test]
fn an_error_marks_the_word_it_is_about() {
    let world = World::new();
    world.file("a", "a");
    for (rest, want) in [
        ("COPY a nope /t/", "  |        ^^^^\n"),
        ("COPY --chown=7:who a /", "  |              ^^^^^\n"),
        ("COPY --chmod=9 a /", "  |              ^\n"),
        ("COPY --exclude=[ a /", "  |                ^\n"),
        ("COPY --from=b9 a /", "  |             ^^\n"),
        ("ARG F=nope\nCOPY a $F /t/", "  |        ^^\n"),
        ("COPY a a /t", "  |          ^^\n"),
    ] {
        let said = world.build(&format!("FROM scratch\n{rest}\nFROM scratch AS b9\n"), &["--target", "0"]);
        said.fails(125, want);
    }
}
