//! Lists of images put together by hand: what is printed, what a registry gets, and what is refused.

use std::fs;

use serde_json::Value;

use crate::login::Registry;
use crate::support::World;

/// A world with an image for each of two platforms, `amd` and `arm`.
fn world() -> World {
    let world = World::new();
    world.file("a", "a").file("b", "b");
    world.build("FROM scratch\nCOPY a /\n", &["-t", "amd", "--platform=linux/amd64"]).good();
    world.build("FROM scratch\nCOPY b /\n", &["-t", "arm", "--platform=linux/arm64"]).good();
    world
}

fn shown(world: &World, list: &str) -> Value {
    serde_json::from_str(&world.run(&["manifest", "inspect", list]).good().stdout).unwrap()
}

/// `architecture[/variant]` of each entry.
fn platforms(world: &World, list: &str) -> Vec<String> {
    let index = shown(world, list);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let entries = index["manifests"].as_array().unwrap().iter().map(|entry| &entry["platform"]);
    let platform = |platform: &Value| {
        let parts = [text(&platform["architecture"]), text(&platform["variant"])];
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    };
    entries.map(platform).collect()
}

#[test]
fn a_list_is_made_changed_and_taken_away() {
    let world = world();
    let id = world.run(&["manifest", "create", "list"]).good().stdout;
    assert!(id.len() == 65 && id.trim().bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert_eq!(platforms(&world, "list"), [""; 0]);
    let added = world.run(&["manifest", "add", "list", "amd"]).good().stdout;
    let (_, amd) = added.trim().split_once(": ").unwrap();
    let inspected = world.run(&["inspect", "--type", "image", amd]);
    inspected.good();
    world.run(&["manifest", "add", "--annotation=k=v", "--variant=v9", "list", "arm"]).good();
    world.run(&["manifest", "add", "list", "amd"]).good();
    assert_eq!(platforms(&world, "list"), ["amd64", "arm64/v9"]);
    assert_eq!(shown(&world, "list")["manifests"][1]["annotations"]["k"], "v");

    let said = world.run(&["manifest", "annotate", "--arch=riscv64", "--annotation=n=m", "list", amd]).good();
    assert!(said.stdout.ends_with(&format!(": {amd}\n")), "{}", said.stdout);
    world.run(&["manifest", "annotate", "--index", "--annotation=of=list", "list"]).good();
    assert_eq!(platforms(&world, "list"), ["riscv64", "arm64/v9"]);
    assert_eq!(shown(&world, "list")["annotations"]["of"], "list");
    let said = world.run(&["manifest", "remove", "list", amd]).good();
    assert!(said.stdout.ends_with(&format!(": {amd}\n")), "{}", said.stdout);
    assert_eq!(platforms(&world, "list"), ["arm64/v9"]);

    world.run(&["manifest", "create", "list", "amd"]).fails(125, "the name is in use");
    world.run(&["manifest", "create", "--amend", "list", "amd"]).good();
    assert_eq!(platforms(&world, "list"), ["arm64/v9", "amd64"]);
    world.run(&["manifest", "create", "--replace", "list", "amd"]).good();
    assert_eq!(platforms(&world, "list"), ["amd64"]);

    assert_eq!(world.run(&["manifest", "exists", "list"]).code, 0);
    let said = world.run(&["manifest", "rm", "list"]).good();
    assert!(said.stdout.starts_with("untagged: localhost/list:latest\n"), "{}", said.stdout);
    let said = world.run(&["manifest", "exists", "list"]);
    assert_eq!((said.code, &said.stdout[..], &said.stderr[..]), (1, "", ""));
    // they have names of their own
    world.run(&["inspect", "--type", "image", "amd"]).good();
    world.run(&["inspect", "--type", "image", "arm"]).good();
}

#[test]
fn what_is_no_list_or_not_in_it_is_refused_and_the_list_stays() {
    let world = world();
    world.run(&["manifest", "create", "list", "amd"]).good();
    let before = world.run(&["manifest", "inspect", "list"]).good().stdout;
    let absent = format!("sha256:{}", "0".repeat(64));
    for (args, want) in [
        (&["manifest", "add", "absent", "amd"][..], "absent: no list of images"),
        (&["manifest", "add", "amd", "arm"], "amd: no list of images"),
        (&["manifest", "add", "--annotation", "k", "list", "arm"], "expected NAME=VALUE"),
        (&["manifest", "add", "--arch", "a b", "list", "arm"], "a b"),
        (&["manifest", "add", "--all", "--arch", "arm", "list", "arm"], "cannot be used with"),
        (&["manifest", "add", "list", "oci:dir"], "oci:"),
        (&["manifest", "annotate", "list", &absent], &absent),
        (&["manifest", "annotate", "list", "arm"], "is in the list"),
        (&["manifest", "annotate", "list"], "IMAGE"),
        (&["manifest", "remove", "list", &absent], &absent),
        (&["manifest", "rm", "absent"], "absent: no list of images"),
        (&["manifest", "create", "amd", "arm"], "the name is in use"),
        (&["manifest", "create", &format!("list@{absent}")], "a digest names what a list is"),
        (&["manifest", "push", "list"], "the name says no registry"),
        (&["manifest", "nonsense"], "unrecognized subcommand"),
    ] {
        world.run(args).fails(125, want);
        assert_eq!(world.run(&["manifest", "inspect", "list"]).good().stdout, before, "{args:?}");
    }
}

#[test]
fn a_registry_gets_the_list_and_all_its_images_and_gives_them_again() {
    let world = world();
    let Some(registry) = Registry::start(&world) else { return };
    let host = registry.address.to_string();
    let auth = world.path("auth.json");
    let file = format!("--authfile={}", auth.display());
    world.run(&["login", &file, "-u", "user", "-p", "secret", &host]).good();
    let (there, digest) = (format!("{host}/team/list:1"), world.path("digest"));
    world.run(&["manifest", "create", "list", "amd", "arm"]).good();
    let to_file = format!("--digestfile={}", digest.display());
    let push = ["manifest", "push", &file, "--quiet", "--rm", &to_file, "list", &there];
    let said = world.run(&push).good();
    assert_eq!((&said.stdout[..], &said.stderr[..]), ("", ""));
    assert_eq!(world.run(&["manifest", "exists", "list"]).code, 1);
    world.run(&["manifest", "inspect", &there]).fails(125, "HTTP 401");
    let said = world.run(&["manifest", "inspect", &file, &there]).good();
    let index: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2, "{index}");

    let other = World::new();
    let digest = fs::read_to_string(&digest).unwrap();
    let pinned = format!("{host}/team/list@{digest}");
    other.run(&["manifest", "create", "one"]).good();
    other.run(&["manifest", "add", &file, "--quiet", "--arch=arm64", "--os=linux", "one", &pinned]).good();
    assert_eq!(platforms(&other, "one"), ["arm64"]);
    other.run(&["manifest", "add", &file, "--quiet", "--all", "one", &there]).good();
    assert_eq!(platforms(&other, "one"), ["arm64", "amd64"]);
    let manifests = |world: &World, list: &str| {
        let index = shown(world, list);
        let mut entries: Vec<String> =
            index["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].to_string()).collect();
        entries.sort();
        entries
    };
    let mut sent: Vec<String> =
        index["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].to_string()).collect();
    sent.sort();
    assert_eq!(manifests(&other, "one"), sent);
}
