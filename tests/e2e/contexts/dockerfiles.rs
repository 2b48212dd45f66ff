//! Where the text of the Dockerfile comes from, and that of the ignore file.

use std::fs;

use super::{bud, pack};
use crate::copy::tree;
use crate::server::{Answer, Server};
use crate::support::World;

#[test]
fn a_dockerfile_comes_from_anywhere() {
    let world = World::new();
    world
        .file("a", "a")
        .file("Dockerfile", "FROM scratch\nCOPY none /\n")
        .file("f", "FROM scratch\nCOPY a /f\n");
    let context = world.context();
    let context = context.to_str().unwrap();
    fs::write(world.path("stdin"), "FROM scratch\nCOPY a /stdin\n").unwrap();
    let server = Server::start(|request, _| match &*request.path {
        "/long" => Answer(200, vec![], vec![b'#'; 17 << 20]),
        "/bad" => Answer(200, vec![], b"FROM\n".to_vec()),
        _ => Answer(200, vec![], b"FROM scratch\nCOPY a /url\n".to_vec()),
    });
    let url = |path: &str| format!("http://{}/{path}", server.address());
    for (file, want) in [("-", "stdin"), ("f", "f"), (&*url("x"), "url")] {
        bud(&world, &["-f", file, "-t", "x", context], &world.path("stdin")).good();
        assert_eq!(tree(&world, "x"), [format!("f 0644 0:0 1 {want}")], "{file}");
    }
    for (file, want) in [
        (url("long"), format!("{}: the file is longer than 16777216 bytes", url("long"))),
        (url("bad"), format!(" --> {}:1:1", url("bad"))),
        ("https://h/x.git".to_owned(), "-f https://h/x.git: a repository is no Dockerfile".to_owned()),
        ("none".to_owned(), format!("no Dockerfile: neither none nor {context}/none exists")),
    ] {
        world.run(&["bud", "-f", &file, context]).fails(125, &want);
    }
    bud(&world, &["-f", "-", "-f", "-", context], &world.path("stdin")).fails(125, "-f - is given twice");
    // an archive's own Dockerfile, by its path there
    world.file("sub/d/File", "FROM scratch\nCOPY a /deep\n");
    bud(&world, &["-f", "sub/d/File", "-t", "x", "-"], &pack(&world, "c.tar", "--create")).good();
    assert_eq!(tree(&world, "x"), ["f 0644 0:0 1 deep"]);
}

#[test]
fn several_are_joined_in_their_order() {
    let world = World::new();
    world
        .file("a", "a")
        .file("one", "FROM scratch AS one\nCOPY a /one \\\n")
        .file("two", "COPY a /two")
        .file("three", "# a comment\nFROM scratch\nCOPY --from=one / /\nCOPY a /three\n")
        .file("bad", "\nCOPPY a /\n");
    let context = world.context();
    let context = context.to_str().unwrap();
    let build = |files: &[&str]| {
        let flags: Vec<_> = files.iter().flat_map(|file| ["-f", file]).collect();
        world.run(&[&["bud", "-t", "x"], &flags[..], &[context]].concat())
    };
    build(&["one", "two", "three"]).good();
    let want = ["f 0644 0:0 1 one", "f 0644 0:0 1 three", "f 0644 0:0 1 two"];
    assert_eq!(tree(&world, "x"), want);
    build(&["one", "two"]).good();
    assert_eq!(tree(&world, "x"), ["f 0644 0:0 1 one", "f 0644 0:0 1 two"]);
    // a mistake is named by its own file and line
    for (files, want) in [
        (&["one", "bad", "three"][..], format!(" --> {context}/bad:2:1\n")),
        (&["one", "none"], "no Dockerfile: neither none".to_owned()),
        (&["two", "one"], format!(" --> {context}/two:1:1\n")),
    ] {
        build(files).fails(125, &want);
    }
    world.file("two", "LABEL x=y\nCOPY none /two");
    build(&["one", "two"]).fails(125, &format!("{context}/two:2: building at STEP \"COPY none /two\""));
}

#[test]
fn a_dockerfile_called_in_goes_through_cpp() {
    let world = World::new();
    world
        .file("a", "a")
        .file("parts/first.in", "#define NAME first\n#include \"more/second.in\"\n")
        .file("parts/more/second.in", "COPY a /NAME\n")
        .file(
            "Containerfile.in",
            "#define BASE scratch\n# what a comment is\nFROM BASE\n#include \"parts/first.in\"\nCOPY a \"/don't\"\n\
             COPY <<END /h\nline\nEND\n#ifdef EXTRA\nCOPY a /extra\n#endif\n",
        );
    let context = world.context();
    let context = context.to_str().unwrap();
    let want = ["f 0644 0:0 1 don't", "f 0644 0:0 1 first", "f 0644 0:0 5 h"];
    let archive = pack(&world, "c.tar", "--create");
    world.run(&["bud", "-f", "Containerfile.in", "-t", "x", context]).good();
    assert_eq!(tree(&world, "x"), want);
    bud(&world, &["-f", "Containerfile.in", "-t", "y", "-"], &archive).good();
    assert_eq!(tree(&world, "y"), want);
    world.run(&["bud", "-f", "Containerfile.in", "--cpp-flag=-DEXTRA", "-t", "x", context]).good();
    assert_eq!(tree(&world, "x").len(), 4);
    world
        .file("wrong.in", "FROM scratch\n\n\n#include \"parts/bad.in\"\nCOPY none /\n")
        .file("parts/bad.in", "LABEL a=b\nCOPPY a /\n")
        .file("missing.in", "FROM scratch\n#include \"parts/none.in\"\nCOPY a /\n")
        .file("late.in", "#define X none\n\n\nFROM scratch\nCOPY X /\n")
        .file("host.in", "FROM scratch\n#include \"/etc/hostname\"\n")
        .file("computed.in", "FROM scratch\n#define X \"/etc/hostname\"\n#include X\n");
    let archive = pack(&world, "c.tar", "--create");
    for (file, want) in [
        ("wrong.in", "parts/bad.in:2:1\n"),
        ("missing.in", "missing.in: cpp: "),
        ("missing.in", "fatal error: parts/none.in: No such file or directory"),
        ("late.in", "late.in:5: building at STEP \"COPY none /\""),
    ] {
        world.run(&["bud", "-f", file, context]).fails(125, want);
        bud(&world, &["-f", file, "-"], &archive).fails(125, want);
    }
    for file in ["host.in", "computed.in"] {
        let said = bud(&world, &["-f", file, "-"], &archive);
        said.fails(125, "it includes \"/etc/hostname\", which is no file of the context");
    }
    let mut command = world.command();
    command.args(["bud", "-f", "Containerfile.in", context]).env("PATH", world.path("nowhere"));
    crate::support::Said::of(command.output().unwrap())
        .fails(125, "cpp: it is not installed\nhint: install the package cpp\n");
}

#[test]
fn four_ignore_files_count_in_their_order() {
    let names = ["D.dockerignore", "D.containerignore", ".containerignore", ".dockerignore"];
    let world = World::new();
    for name in names {
        world.file(&format!("only/{name}"), "").file(name, format!("*\n!only/{name}\n"));
    }
    world.file("D", "FROM scratch\nCOPY only /\n").file("other", "only/D*\nonly/.c*\n");
    let (context, ignore) = (world.context(), world.context().join("other"));
    let (context, ignore) = (context.to_str().unwrap(), ignore.to_str().unwrap());
    world.run(&["bud", "-f", "D", "--ignorefile", ignore, "-t", "z", context]).good();
    assert_eq!(tree(&world, "z"), ["f 0644 0:0 0 .dockerignore"]);
    for (number, name) in names.iter().enumerate() {
        let want = [format!("f 0644 0:0 0 {name}")];
        world.run(&["bud", "-f", "D", "-t", "x", context]).good();
        assert_eq!(tree(&world, "x"), want);
        bud(&world, &["-f", "D", "-t", "y", "-"], &pack(&world, "c.tar", "--create")).good();
        assert_eq!(tree(&world, "y"), want, "an archive has its own");
        fs::remove_file(world.context().join(name)).unwrap();
        assert_eq!(names.len() - number - 1, fs::read_dir(context).unwrap().count() - 3);
    }
    world.file(".dockerignore", "!\n");
    world.run(&["bud", "-f", "D", context]).fails(125, "ignore file: ");
    bud(&world, &["-f", "D", "-"], &pack(&world, "c.tar", "--create")).fails(125, "ignore file: ");
    world
        .run(&["bud", "-f", "D", "--ignorefile", "none", context])
        .fails(125, "ignore file none: No such file");
}
