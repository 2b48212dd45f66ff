//! Working containers: their names, their list, and what is refused.

use serde_json::{Value, json};

use crate::support::World;

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
        (&["from", "dir:/x"], "the transport dir: is not supported"),
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
