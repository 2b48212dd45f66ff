//! What is listed of images, and what is told of things, in the shapes that scripts of buildah's read.

use serde_json::{Value, json};

use crate::support::World;

/// A store with `one` (1970), `two` (in Docker's format, a day later, labelled), `other:v1` (two days later), and one without
/// a name that `other` was made of.
fn stored() -> World {
    let world = World::new();
    world.file("f", "f");
    let file = world.path("context/f").display().to_string();
    let build = "FROM scratch AS base\nENV A=B\nFROM base\nENV C=D\n";
    world.build(build, &["-q", "--save-stages", "--timestamp", "172800", "-t", "other:v1"]).good();
    world.run(&["from", "--name", "c", "scratch"]).good();
    world.run(&["copy", "-q", "c", &file, "/"]).good();
    world.run(&["commit", "-q", "--timestamp", "0", "c", "one"]).good();
    world.run(&["config", "--label", "a=b", "c"]).good();
    world.run(&["commit", "-q", "--timestamp", "86400", "--format", "docker", "c", "two"]).good();
    world
}

#[test]
fn images_are_listed_by_what_they_are_like() {
    let world = stored();
    let all = "other two one";
    for (args, want) in [
        (&[][..], all),
        (&["--all"], "<none> other two one"),
        (&["-f", "dangling=true", "-a"], "<none>"),
        (&["-f", "dangling=false"], all),
        (&["-f", "dangling!=true"], all),
        (&["-f", "intermediate=true"], "<none>"),
        (&["-f", "label=a"], "two"),
        (&["-f", "label=a=b"], "two"),
        (&["-f", "label=a=c"], ""),
        (&["-f", "label!=a"], "other one"),
        (&["-f", "label=z", "-f", "label=a"], "two"),
        (&["-f", "label=a,dangling=true"], ""),
        (&["-f", "readonly=true"], ""),
        (&["-f", "readonly=false"], all),
        (&["-f", "before=two"], "one"),
        (&["-f", "since=two"], "other"),
        (&["-f", "after=one"], "other two"),
        (&["-f", "reference=o*"], "other one"),
        (&["-f", "reference=*:v1"], "other"),
        (&["-f", "reference=one", "-f", "reference=localhost/two"], "two one"),
        (&["-f", "reference=local*"], ""),
    ] {
        let words: Vec<&str> =
            ["images", "-n", "--format", "{{.Name}}"].iter().chain(args).copied().collect();
        let names = world.run(&words).good().stdout.replace("localhost/", "");
        assert_eq!(names.split_whitespace().collect::<Vec<_>>().join(" "), want, "{args:?}");
    }
    for (filter, told) in [
        ("bogus=1", "expected before=IMAGE"),
        ("label", "expected before=IMAGE"),
        ("dangling=maybe", "neither true nor false"),
        ("reference=[", "syntax error in pattern"),
        ("before=absent", "absent: image not known"),
    ] {
        world.run(&["images", "-f", filter]).fails(125, told);
    }
}

#[test]
fn what_is_told_has_the_shapes_that_scripts_read() {
    let world = stored();
    let json = |args: &[&str]| serde_json::from_str::<Value>(&world.run(args).good().stdout).unwrap();
    let said = |args: &[&str]| world.run(args).good().stdout;
    let listed = json(&["images", "--json", "two"]);
    let mut shape = listed[0].clone();
    let (id, age) = (shape["id"].take(), shape["createdat"].take());
    assert!(shape["digest"].take().as_str().unwrap().starts_with("sha256:"));
    assert!(age.as_str().unwrap().ends_with(" years ago"), "{age}");
    assert_eq!(
        shape,
        json!({
            "id": null, "names": ["localhost/two:latest"], "digest": null, "createdat": null, "size": "2.05 KB",
            "created": 86400, "createdatraw": "1970-01-02T00:00:00Z", "readonly": false, "history": null,
        })
    );
    let whole = json(&["images", "--json", "--no-trunc", "two"])[0]["id"].as_str().unwrap().to_owned();
    assert!(whole.strip_prefix("sha256:").unwrap().starts_with(id.as_str().unwrap()), "{id} {whole}");
    assert_eq!(id.as_str().unwrap().len(), 12);

    let table = said(&["images", "--digests", "--history", "two"]);
    let words: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(words, ["REPOSITORY", "TAG", "DIGEST", "IMAGE", "ID", "CREATED", "SIZE", "HISTORY"]);
    assert!(table.lines().nth(1).unwrap().ends_with("<none>"), "{table}");
    let of_row = "{{.Tag}}|{{.Created}}|{{.CreatedAtRaw}}|{{.ReadOnly}}|{{.Size}}";
    assert_eq!(
        said(&["images", "--format", of_row, "two"]).trim_end(),
        "latest|86400|1970-01-02 00:00:00 +0000 UTC|false|2.05 KB"
    );

    world.run(&["manifest", "create", "list", "one"]).good();
    for (args, want) in [
        (&["inspect", "--format", "{{.Docker.Config.Labels}}", "two"][..], "map[a:b]"),
        (&["inspect", "--format", "{{.Docker.ContainerConfig.Labels}}", "two"], "map[a:b]"),
        (&["inspect", "--format", "{{.Docker.Config.Tty}} {{len .History}}", "one"], "false 1"),
        (&["inspect", "--format", "{{.Docker.Config.Labels}} {{.Container}}", "c"], "map[a:b] c"),
        (&["inspect", "-t", "manifest", "-f", "{{len .manifests}}", "list"], "1"),
        (&["version", "--format", "{{.Version}} {{.OsArch}}"], "VERSION OSARCH"),
        (&["info", "--format", "{{.store.ContainerStore.number}} {{.host.os}} {{.host.cpus | len}}"], ""),
        (&["info", "--format", "{{.store.ContainerStore.number}} {{.host.os}}"], "1 linux"),
    ] {
        if want.is_empty() {
            world.run(args).fails(125, "len");
            continue;
        }
        let version = json(&["version", "--json"]);
        let filled = want.replace("VERSION", version["version"].as_str().unwrap());
        assert_eq!(said(args), filled.replace("OSARCH", version["osArch"].as_str().unwrap()), "{args:?}");
    }
    world.run(&["inspect", "-t", "manifest", "one"]).fails(125, "one: list of images not known");

    let info = json(&["info", "--debug"]);
    for (place, keys) in [
        (
            "host",
            "CgroupVersion Distribution MemFree MemTotal OCIRuntime arch hostname kernel rootless uptime variant",
        ),
        ("store", "ContainerStore GraphDriverName GraphOptions GraphRoot GraphStatus ImageStore RunRoot"),
    ] {
        for key in keys.split(' ') {
            assert!(info[place].get(key).is_some(), "{place}.{key}");
        }
    }
    assert_eq!(info["store"]["ImageStore"]["number"], 4);
}
