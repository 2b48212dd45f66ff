//! Working containers: their names, their list, and what is refused.

use std::io::Read as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::kill::kill_9;
use crate::lanes::containers::{shell, with_shell};
use crate::support::{World, tool};

#[test]
fn containers_have_names_and_are_listed() {
    let world = World::new();
    for (args, want) in [
        (&["from", "scratch"][..], "working-container\n"),
        (&["from", "scratch"], "working-container-1\n"),
        (&["from", "--name", "a.b_c-1", "scratch"], "a.b_c-1\n"),
    ] {
        assert_eq!(world.run(args).good().stdout, want);
    }
    world.run(&["commit", "working-container", "localhost/x/img:1"]).good();
    assert_eq!(world.run(&["from", "x/img:1"]).good().stdout, "img-working-container\n");
    let cidfile = world.path("cid");
    world.run(&["from", "--cidfile", cidfile.to_str().unwrap(), "--name", "last", "scratch"]).good();
    let id = std::fs::read_to_string(&cidfile).unwrap();

    let listed = |args: &[&str]| world.run(&[&["containers"], args].concat()).good().stdout;
    let lines = listed(&[]);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(
        lines[0],
        "CONTAINER ID  BUILDER  IMAGE ID     IMAGE NAME                       CONTAINER NAME"
    );
    let names: Vec<_> = lines[1..].iter().map(|line| &line[69..]).collect();
    assert_eq!(
        names,
        ["working-container", "working-container-1", "a.b_c-1", "img-working-container", "last"]
    );
    assert_eq!(&lines[1][12..69], format!("{:57}", "     *                  scratch"));
    assert_eq!(listed(&["-q", "--filter", &format!("id={}", &id[..6])]), format!("{}\n", &id[..12]));
    assert_eq!(listed(&["-q", "--notruncate", "-f", "name=last"]), format!("{id}\n"));
    assert_eq!(listed(&["-n", "-f", "ancestor=x/img", "-f", "name=img"]).lines().count(), 1);
    assert_eq!(listed(&["-n", "-f", "ancestor=x/img", "-f", "name=last"]), "");
    let json: Value = serde_json::from_str(&listed(&["--json", "-f", "name=last"])).unwrap();
    let want = json!([{
        "id": id, "builder": true, "imageid": "", "imagename": "scratch", "containername": "last"
    }]);
    assert_eq!(json, want);

    world.run(&["rename", "last", "first"]).good();
    assert_eq!(listed(&["-q", "-f", "name=first"]), format!("{}\n", &id[..12]));
    assert_eq!(world.run(&["rm", &id[..8], "a.b_c-1"]).good().stdout.lines().next(), Some(&*id));
    let described: Value =
        serde_json::from_str(&world.run(&["inspect", "img-working-container"]).good().stdout).unwrap();
    assert_eq!(
        (&described["Container"], &described["FromImage"]),
        (&json!("img-working-container"), &json!("localhost/x/img:1"))
    );
}

#[test]
fn what_is_wrong_is_told_and_changes_nothing() {
    let world = World::new();
    world.run(&["from", "--name", "c", "scratch"]).good();
    world.run(&["from", "--name", "d", "scratch"]).good();
    let before = world.run(&["inspect", "c"]).good().stdout;
    let rows: &[(&[&str], &str)] = &[
        (&["from", "--name", "c", "scratch"], "the container name \"c\" is already in use by container"),
        (&["from", "--name", "a/b", "scratch"], "container name \"a/b\""),
        (&["from", "--pull=never", "localhost/nosuch"], "nosuch"),
        (&["from", "dir:/x"], "manifest.json: No such file"),
        (&["rename", "c", "c"], "called \"c\" already"),
        (&["rename", "c", "d"], "already in use by container"),
        (&["rename", "c", ".x"], "container name \".x\""),
        (&["rename", "nosuch", "x"], "\"nosuch\": container not known"),
        (&["rm", "nosuch"], "\"nosuch\": container not known"),
        (&["run", "nosuch", "true"], "\"nosuch\": container not known"),
        (&["commit", "nosuch"], "\"nosuch\": container not known"),
        (&["copy", "nosuch", "/etc/passwd"], "\"nosuch\": container not known"),
        (&["copy", "c", "/no/such/file"], "/no/such/file"),
        (&["copy", "--chmod", "x", "c", "/etc/passwd"], "x"),
        (&["copy", "--chown", "nosuch", "c", "/etc/passwd"], "nosuch"),
        (&["config", "--env", "A", "c"], "setting env \"A\": no value given"),
        (&["config", "--label", "a=b", "--port", "x", "c"], "--port"),
        (&["config", "c", "--nosuch"], "--nosuch"),
        (&["commit", "c", "UPPER CASE"], "UPPER CASE"),
        (&["containers", "--filter", "x=y"], "expected id=PREFIX"),
    ];
    for (args, want) in rows {
        world.run(args).fails(125, want);
    }
    assert_eq!(world.run(&["inspect", "c"]).good().stdout, before);
    assert_eq!(world.run(&["rm", "c", "nosuch", "d"]).code, 125, "the others are gone");
    assert_eq!(world.run(&["containers", "-n"]).good().stdout, "");
}

#[test]
fn copies_come_from_where_they_are_told() {
    let world = World::new();
    with_shell(&world);
    world.file("d/a", "a").file("d/b", "b").file("d/e/c", "c").file(".dockerignore", "d/b\n");
    tool(
        "tar",
        &["-C", world.context().to_str().unwrap(), "-czf", world.path("d.tgz").to_str().unwrap(), "d"],
    );
    world.run(&["run", "c", "sh", "-c", "busybox mkdir /o; echo o > /o/f; busybox chown 3:4 /o/f"]).good();
    world.run(&["commit", "c", "base"]).good();
    let context = world.context();
    let context = context.to_str().unwrap();
    let archive = world.path("d.tgz");
    let archive = archive.to_str().unwrap();
    for (verb, args, dest, want) in [
        ("copy", &["--contextdir", context][..], "d", &["f 0:0 a", "f 0:0 e/c"][..]),
        ("copy", &["--contextdir", context, "--exclude", "**/c"], "d", &["f 0:0 a"]),
        ("copy", &["--from", "base"], "/o", &["f 3:4 f"]),
        ("copy", &["--from", "c"], "o", &["f 3:4 f"]),
        ("copy", &["--from", "c", "--chown", "5"], "o", &["f 5:5 f"]),
        ("copy", &["--link"], &*format!("{context}/d/a"), &["f 0:0 a"]),
        ("copy", &["--parents"], &*format!("{context}/./d/e"), &["f 0:0 d/e/c"]),
        ("copy", &[], archive, &["f 0:0 d.tgz"]),
        ("add", &[], archive, &["f 0:0 d/a", "f 0:0 d/b", "f 0:0 d/e/c"]),
    ] {
        world.run(&["from", "--name", "n", "scratch"]).good();
        world.run(&[&[verb], args, &["--quiet", "n", dest, "/to/"]].concat()).good();
        world.run(&["commit", "--rm", "n", "made"]).good();
        let tree = world.tree("made").into_iter().filter(|line| line.starts_with('f'));
        let files: Vec<_> = tree
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                let owner = if verb == "add" { "0:0" } else { words[2] };
                format!("f {owner} {}", words[4].trim_start_matches("to/"))
            })
            .collect();
        assert_eq!(files, want, "{verb} {args:?} {dest}");
    }
    // The same bytes have the same digest, whenever they were written and wherever they go.
    let digest = |args: &[&str]| world.run(&[&["copy", "--add-history", "c"], args].concat()).good().stdout;
    let one = digest(&[&format!("{context}/d/a"), "/x"]);
    assert_eq!(one, digest(&[&format!("{context}/d/a"), "/x"]));
    world.run(&["copy", "--ignorefile", "x", "c", "/etc/passwd"]).fails(125, "--contextdir");
    world.run(&["copy", "--from", "localhost/nosuch:x", "c", "/f"]).fails(125, "nosuch");
    world.run(&["config", "--add-history", "--user", "7", "c"]).good();
    world.run(&["commit", "c", "told"]).good();
    assert_eq!(world.config("told")["history"][2]["created_by"], "/bin/sh -c #(nop) USER 7");
    let told = format!("/bin/sh -c #(nop) COPY file:{}", one.trim_end());
    assert_eq!(world.config("told")["history"][0]["created_by"], told);
}

#[test]
fn an_image_is_what_commit_is_told() {
    let world = World::new();
    with_shell(&world);
    world.file("more.json", r#"{"Env":["B=3","D=4"],"Labels":{"m":"n"},"Cmd":["z"]}"#).file("added", "added");
    world
        .run(&["config", "--env", "A=1", "--env", "B=2", "--label", "l=v", "--annotation", "x=y", "c"])
        .good();
    let before = world.run(&["inspect", "c"]).good().stdout;
    let (more, added) = (world.context().join("more.json"), world.context().join("added"));
    let (metadata, iid) = (world.path("metadata"), world.path("iid"));
    let file = format!("{}:/etc/added", added.display());
    let said = world.run(&[
        "commit",
        "--timestamp",
        "7",
        "--unsetenv",
        "A",
        "--annotation",
        "p=q",
        "--unsetannotation",
        "x",
        "--change",
        "CMD [\"one\"]",
        "--change",
        "LABEL k=w",
        "--config",
        more.to_str().unwrap(),
        "--add-file",
        &file,
        "--manifest",
        "list",
        "--metadata-file",
        metadata.to_str().unwrap(),
        "--iidfile",
        iid.to_str().unwrap(),
        "c",
        "made",
    ]);
    assert_eq!(said.good().stdout, "", "the id is in the file");
    let config = world.config("made");
    assert_eq!(config["created"], "1970-01-01T00:00:07Z");
    assert_eq!(config["config"]["Env"], json!(["B=3", "D=4"]));
    assert_eq!(config["config"]["Labels"], json!({ "l": "v", "k": "w", "m": "n" }));
    assert_eq!(config["config"]["Cmd"], json!(["one"]));
    assert!(world.tree("made").iter().any(|line| line.starts_with("f 0644 0:0 5 etc/added")));
    assert!(world.headers("made").iter().all(|line| !line.contains("2026")), "every file is as old");
    let described: Value =
        serde_json::from_str(&world.run(&["inspect", "--type", "image", "made"]).good().stdout).unwrap();
    assert_eq!(described["ImageAnnotations"], json!({ "p": "q" }));
    let told: Value = serde_json::from_slice(&std::fs::read(&metadata).unwrap()).unwrap();
    assert_eq!(told["containerimage.digest"], described["FromImageDigest"]);
    assert_eq!(told["image.name"], "localhost/made:latest");
    let id = std::fs::read_to_string(&iid).unwrap();
    assert_eq!(id, format!("sha256:{}", described["FromImageID"].as_str().unwrap()));
    world.run(&["inspect", "--type", "image", "list"]).good();
    assert_eq!(world.run(&["inspect", "c"]).good().stdout, before, "the container keeps its own");

    // The same container at the same time is the same image.
    let commit = |args: &[&str]| world.run(&[&["commit", "--timestamp", "7"], args].concat());
    assert_eq!(commit(&["c", "one"]).good().stdout, commit(&["c", "two"]).good().stdout);
    commit(&["--omit-history", "c", "silent"]).good();
    assert_eq!(world.config("silent")["history"], json!([]));
    let oci = format!("oci-archive:{}:tag", world.path("oci.tar").display());
    commit(&["c", &oci]).good();
    assert!(tool("tar", &["-tf", world.path("oci.tar").to_str().unwrap()]).contains("oci-layout"));
    commit(&["c", &format!("oci:{}:tag", world.path("layout").display())]).good();
    assert!(world.path("layout/index.json").exists());
    let docker = format!("docker-archive:{}:a:b", world.path("docker.tar").display());
    commit(&["--format", "docker", "c", &docker]).good();
    assert!(tool("tar", &["-tf", world.path("docker.tar").to_str().unwrap()]).contains("manifest.json"));
    for (args, want) in [
        (&["--change", "RUN x", "c"][..], "does more than change the config"),
        (&["--change", "NOSUCH x", "c"], "NOSUCH"),
        (&["--config", "/etc/passwd", "c"], "--config /etc/passwd"),
        (&["--add-file", "/nosuch", "c"], "/nosuch is no file"),
        (&["c", "docker-daemon:/x"], "the transport docker-daemon: is not supported yet"),
        (&["c", "oci::x"], "oci::x"),
    ] {
        commit(args).fails(125, want);
    }
}

#[test]
fn who_is_killed_leaves_the_container_as_it_was() {
    let world = World::new();
    with_shell(&world);
    let before = world.run(&["inspect", "c"]).good().stdout;
    let mut command = world.command();
    command.args(["run", "c", "sh", "-c", "echo x > /x; echo here; busybox sleep 1000"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut here = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut here).unwrap();
    kill_9(&mut child);
    assert_eq!(world.run(&["inspect", "c"]).good().stdout, before);
    // A large file: whenever it is killed, there is all of the copy or nothing.
    world.file("large", vec![7; 64 << 20]);
    let large = world.context().join("large");
    for verb in [&["copy", "-q", "c", large.to_str().unwrap(), "/large"][..], &["commit", "c", "x"]] {
        let mut child = world.command().args(verb).stdout(Stdio::null()).spawn().unwrap();
        while std::fs::read_dir(world.store().join("tmp")).unwrap().count() == 0 {
            if child.try_wait().unwrap().is_some() {
                break;
            }
        }
        kill_9(&mut child);
        let layers = || world.run(&["inspect", "c"]).good().stdout.matches("sha256:").count();
        let had = layers();
        shell(&world, "test ! -e /x; test ! -e /large || test $(busybox wc -c < /large) = 67108864").good();
        assert_eq!(layers(), had, "what only looks adds nothing");
    }
}
