//! `why`: what was another than in the build before, input by input.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::World;

const DOCKERFILE: &str =
    "FROM scratch AS base\nARG A=1\nENV A=$A\nCOPY src /src\nFROM base\nCOPY one /\nLABEL l=x\n";

/// Each step of the last build: its instruction, its reason, and what changed.
fn told(world: &World, build: &str) -> Vec<(String, bool, String, Vec<String>)> {
    let said = world.run(&["why", "--json", build]).good();
    let record: Value = serde_json::from_str(&said.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let change = |change: &Value| {
        let [what, name, from, to] = ["what", "name", "from", "to"].map(|field| text(&change[field]));
        format!("{what} {name}: {from} => {to}")
    };
    let step = |step: &Value| {
        let changes = step["changes"].as_array().into_iter().flatten().map(change).collect();
        (text(&step["text"]), step["cached"] == true, text(&step["reason"]), changes)
    };
    record["steps"].as_array().unwrap().iter().map(step).collect()
}

/// The row of one instruction.
fn of(rows: &[(String, bool, String, Vec<String>)], text: &str) -> (bool, String, Vec<String>) {
    let row = rows.iter().find(|row| row.0 == text).unwrap_or_else(|| panic!("{text} in {rows:#?}"));
    (row.1, row.2.clone(), row.3.clone())
}

#[test]
fn why_names_the_input_that_changed() {
    let world = World::new();
    world.run(&["why"]).fails(125, "no build is recorded");
    for (name, content) in [("src/a", "a"), ("src/b", "b"), ("src/gone", "x"), ("one", "1")] {
        world.file(name, content);
    }
    let build = |args: &[&str]| world.build(DOCKERFILE, args).good().id();
    let first = build(&["-t", "first"]);
    let rows = told(&world, "last");
    assert_eq!(rows.len(), 7);
    assert_eq!(of(&rows, "COPY src /src"), (false, "no build that is recorded had this step".into(), vec![]));

    build(&[]);
    let rows = told(&world, "last");
    assert_eq!(of(&rows, "COPY src /src"), (true, "the same step is recorded".into(), vec![]));
    assert!(rows.iter().all(|row| row.3.is_empty()), "{rows:#?}");

    world.file("src/a", "aa").file("src/new/c", "c");
    fs::remove_file(world.context().join("src/gone")).unwrap();
    fs::set_permissions(world.context().join("src/b"), Permissions::from_mode(0o755)).unwrap();
    build(&[]);
    let rows = told(&world, "last");
    let (cached, reason, changes) = of(&rows, "COPY src /src");
    assert_eq!((cached, reason.as_str()), (false, "changed: file"));
    let has = |start: &str, from: &str, to: &str| {
        let change = changes
            .iter()
            .find(|change| change.starts_with(start))
            .unwrap_or_else(|| panic!("{start} in {changes:#?}"));
        assert!(change.contains(from) && change.contains(to), "{change}");
    };
    assert_eq!(changes.len(), 5, "{changes:#?}");
    has("file src/a: file ", " 0644 0:0 => file ", " 0644 0:0");
    has("file src/b: file ", " 0644 0:0 => file ", " 0755 0:0");
    has("file src/gone: file ", " => ", "-");
    has("file src/new/c: - => file ", "", "");
    has("file /src/new: - => directory 0755 0:0", "", "");
    let (cached, reason, changes) = of(&rows, "COPY one /");
    assert_eq!((cached, reason.as_str(), changes.len()), (false, "changed: layers below", 1));
    assert!(changes[0].starts_with("layers below since FROM base: sha256:"), "{changes:?}");

    build(&["--build-arg", "A=2"]);
    let rows = told(&world, "last");
    assert_eq!(of(&rows, "ENV A=$A").2, ["instruction -: ENV A=1 => ENV A=2"]);
    let (cached, reason, changes) = of(&rows, "LABEL l=x");
    assert!(!cached && reason.starts_with("changed: config"), "{reason}");
    assert!(changes.contains(&"config Env A: 1 => 2".to_owned()), "{changes:?}");
    let said = world.run(&["why"]).good();
    for line in [
        "[base 3/4] ENV A=$A\n  miss: changed: instruction (",
        "    ~ instruction\n        from ENV A=1\n        to   ENV A=2\n",
        "[stage 1 3/3] LABEL l=x\n  miss: changed: config",
    ] {
        assert!(said.stdout.contains(line), "{line} in\n{}", said.stdout);
    }

    build(&["--no-cache", "--build-arg", "A=2"]);
    let (cached, reason, _) = of(&told(&world, "last"), "COPY one /");
    assert!(!cached && reason == "records were not to be taken (--no-cache, --no-cache-filter)", "{reason}");
    fs::remove_dir_all(world.store().join("rbuild/cache")).unwrap();
    fs::create_dir(world.store().join("rbuild/cache")).unwrap();
    build(&["--build-arg", "A=2"]);
    assert_eq!(of(&told(&world, "last"), "ENV A=$A").1, "nothing changed; its record was removed");

    // A line above moves a step and changes nothing of it; what fails is a build as well.
    let moved =
        DOCKERFILE.replace("LABEL", "COPY nothing /\nLABEL").replace("COPY one", "LABEL m=y\nCOPY one");
    world.build(&moved, &["--build-arg", "A=2"]).fails(125, "nothing");
    let rows = told(&world, "last");
    assert_eq!(of(&rows, "COPY one /").2, ["config Labels m: - => y"]);
    let said = world.run(&["why", "last"]).good();
    assert!(said.stdout.lines().next().unwrap().ends_with(" (it failed)"), "{}", said.stdout);
    let rows = told(&world, &first);
    assert_eq!(
        of(&rows, "COPY src /src").1,
        "the same step is recorded",
        "the second build made the same image"
    );
    assert_eq!(told(&world, "first"), rows);
    world.run(&["why", "stranger"]).fails(125, "stranger: image not known");
    world.run(&["why", "--format=yaml"]).fails(125, "yaml");
    world.run(&["prune"]).good();
    world.run(&["why", "first"]).fails(125, "first: no build is recorded that made it");
}
