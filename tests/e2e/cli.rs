//! Verbs, flags and exit codes.

use std::fs;
use std::io::BufRead as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

use crate::build::BUSYBOX;
use crate::support::{Said, World, program, provided, tool};

#[test]
fn options_of_buildah_are_answered_by_name() {
    let world = World::new();
    let file = "ARG A\nARG B\nARG C=own\nFROM scratch\nARG A\nARG B\nARG C\nLABEL a=$A b=$B c=$C\n";
    for option in [
        "--rm",
        "--rm=false",
        "--force-rm",
        "--compress",
        "-D",
        "--skip-unused-stages=true",
        "--stdin=false",
        "--layer-label=a=b",
    ] {
        let said = world.build(file, &[option]).good();
        assert!(said.stderr.contains("asks for nothing here"), "{option}: {}", said.stderr);
    }
    for (option, hint) in [
        ("--sign-by=x", "standalone-sign"),
        ("--runtime=crun", "runs commands by itself"),
        ("--all-platforms", "--platform"),
        ("--cw=x", "confidential"),
        ("--logfile=x", ">FILE"),
        ("--stdin", "leave it out"),
        ("--skip-unused-stages=false", "leave it out"),
        ("--inherit-annotations=true", "leave it out"),
    ] {
        let said = world.build(file, &[option]).fails(125, "that rbuild does not have");
        assert!(said.stderr.contains(hint), "{option}: {}", said.stderr);
    }
    // Values of ARGs from files, which count less than the command line.
    let (more, bad) = (world.path("more"), world.path("bad"));
    fs::write(&more, "# values\nA=file\n\n  B=a=b\n").unwrap();
    fs::write(&bad, "A=1\nno value\n").unwrap();
    let more = more.to_str().unwrap();
    world.build(file, &["-t", "x", "--build-arg-file", more, "--build-arg", "A=given"]).good();
    let labels = world.config("x")["config"]["Labels"].clone();
    assert_eq!(labels, serde_json::json!({ "a": "given", "b": "a=b", "c": "own" }));
    world
        .build(file, &["--build-arg-file", bad.to_str().unwrap()])
        .fails(125, "bad:2: \"no value\": expected NAME=VALUE");
    // Variables by the beginning of their names; one that is no text is told.
    let variables = |args: &[&str]| {
        let mut command = world.command();
        command.env("ABC_1", "one").env("ABC_2", "two").env("ABC_ODD", std::ffi::OsStr::from_bytes(b"\xff"));
        command.args(["bud", "-t", "x"]).args(args).arg(world.context()).output().unwrap()
    };
    world.file("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    Said::of(variables(&["--env", "ABC_1*", "--env", "ABC_2"])).good();
    let env = world.config("x")["config"]["Env"].clone();
    assert_eq!(env.as_array().unwrap()[1..], ["ABC_1=one", "ABC_2=two"]);
    for args in [["--env", "ABC_*"], ["--env", "ABC_ODD"], ["--build-arg", "ABC_ODD"]] {
        Said::of(variables(&args)).fails(125, "$ABC_ODD of the environment is not UTF-8");
    }
    // A platform in parts.
    world.build(file, &["-t", "x", "--arch", "arm64", "--variant", "v8"]).good();
    assert_eq!(
        (&world.config("x")["architecture"], &world.config("x")["os"]),
        (&"arm64".into(), &"linux".into())
    );
    world.build(file, &["--arch", "arm64", "--platform", "linux/amd64"]).fails(125, "cannot be used with");
}

#[test]
fn names_and_ids_find_an_image() {
    let world = World::new();
    let id =
        world.file("f", "x").build("FROM scratch\nCOPY f /\n", &["-t", "a", "-t", "team/b:1"]).good().id();
    assert_eq!(id.len(), 64);
    for name in ["a", "a:latest", "localhost/a", "localhost/team/b:1", &id, &id[..12]] {
        let said = world.run(&["inspect", name]).good();
        assert!(said.stdout.contains(&id), "{name}");
    }
    world.run(&["inspect", "nope"]).fails(125, "nope: image not known");
    world.run(&["tag", "a", "c:2", "d"]).good();
    let said = world.run(&["images", "-n"]).good();
    for line in ["localhost/a ", "localhost/team/b ", "localhost/c ", "localhost/d "] {
        assert!(said.stdout.contains(line), "{line}:\n{}", said.stdout);
    }
    assert_eq!(world.run(&["images", "-q", "--no-trunc"]).good().stdout, format!("sha256:{id}\n"));
    let list: serde_json::Value =
        serde_json::from_str(&world.run(&["images", "--json"]).good().stdout).unwrap();
    assert_eq!(list[0]["names"].as_array().unwrap().len(), 4);
    let said = world.run(&["rmi", "a", "c:2", "d"]).good();
    assert_eq!(
        said.stdout,
        "untagged: localhost/a:latest\nuntagged: localhost/c:2\nuntagged: localhost/d:latest\n"
    );
    let said = world.run(&["rmi", &id[..12]]).good();
    assert_eq!(said.stdout, format!("untagged: localhost/team/b:1\n{id}\n"));
    assert!(world.run(&["images", "-q"]).good().stdout.is_empty());
}

#[test]
fn images_without_a_name_go_alone_and_prune_tells_names() {
    let world = World::new();
    let build = |text: &str, options: &[&str]| {
        world.file("f", text).build("FROM scratch\nCOPY f /\n", options).good().id()
    };
    let (unnamed, named) = (build("1", &[]), build("2", &["-t", "a"]));
    assert_eq!(world.run(&["rmi", "--prune"]).good().stdout, format!("{unnamed}\n"));
    assert_eq!(world.run(&["rmi", "--prune"]).good().stdout, "");
    world.run(&["rmi", "--prune", "a"]).fails(125, "cannot be used with");
    world.run(&["rmi"]).fails(125, "IMAGES");
    let said = world.run(&["prune", "--all"]).good();
    assert_eq!(said.stdout, format!("untagged: localhost/a:latest\n{named}\n"));
}

#[test]
fn a_platform_in_parts_is_one_and_not_told_twice() {
    let world = World::new();
    for (args, want) in [
        (&["pull", "--arch=arm64", "--platform=linux/amd64", "x"][..], "cannot be used with"),
        (&["pull", "--arch=arm64", "--variant=v8", "--policy=never", "x"], "linux/arm64"),
        (&["pull", "--os=freebsd", "--arch=riscv64", "--policy=never", "x"], "freebsd/riscv64"),
        (&["pull", "--arch=arm", "--variant=v7", "--policy=never", "x"], "linux/arm/v7"),
        (&["pull", "--arch=a b", "x"], "a b"),
    ] {
        world.run(args).fails(125, want);
    }
}

#[test]
fn files_and_quiet_carry_the_id() {
    let world = World::new();
    let iidfile = world.path("iid");
    world.file("f", "x");
    let said =
        world.build("FROM scratch\nCOPY f /\n", &["-q", "--iidfile", iidfile.to_str().unwrap()]).good();
    assert_eq!(said.stdout.lines().count(), 1);
    assert_eq!(fs::read_to_string(iidfile).unwrap(), format!("sha256:{}", said.id()));
}

#[test]
fn the_dockerfile_is_found_where_people_put_it() {
    let world = World::new();
    let text = |label: &str| format!("FROM scratch\nLABEL l={label}\n");
    world.file("Dockerfile", text("dockerfile")).file("sub/Other", text("other"));
    let context = world.context();
    let (context, other) = (context.to_str().unwrap(), context.join("sub/Other"));
    let label =
        |said: Said| world.config(&said.good().id())["config"]["Labels"]["l"].as_str().unwrap().to_owned();
    assert_eq!(label(world.run(&["bud", context])), "dockerfile");
    world.file("Containerfile", text("containerfile"));
    assert_eq!(label(world.run(&["bud", context])), "containerfile");
    assert_eq!(label(world.run(&["bud", "-f", "sub/Other", context])), "other");
    assert_eq!(label(world.run(&["bud", "-f", other.to_str().unwrap(), context])), "other");
    world.run(&["bud", "-f", "none", context]).fails(125, "neither none nor");
    let mut piped = world.command();
    piped.args(["bud", "-f", "-", context]).stdin(fs::File::open(&other).unwrap());
    assert_eq!(label(Said::of(piped.output().unwrap())), "other");
}

#[test]
fn the_nearest_ignore_file_wins() {
    let world = World::new();
    world.file("Containerfile", "FROM scratch\nCOPY [\"a\", \"b\", \"c\", \"d\", \"/\"]\n");
    for name in ["a", "b", "c", "d"] {
        world.file(name, name);
    }
    let context = world.context();
    let context = context.to_str().unwrap();
    for (ignore, hidden) in [
        (".dockerignore", "a"),
        (".containerignore", "b"),
        ("Containerfile.containerignore", "c"),
        ("Containerfile.dockerignore", "d"),
    ] {
        world.file(ignore, hidden);
        let missing =
            format!("no items matching \"{hidden}\" in the build context (the ignore file excludes it)");
        world.run(&["bud", context]).fails(125, &missing);
    }
    let given = world.path("ignore");
    fs::write(&given, "nothing\n").unwrap();
    world.run(&["bud", "--ignorefile", given.to_str().unwrap(), context]).good();
    fs::write(&given, "!\n").unwrap();
    world
        .run(&["bud", "--ignorefile", given.to_str().unwrap(), context])
        .fails(125, "illegal exclusion pattern");
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error_and_a_closed_pipe_is_not() {
    let world = World::new();
    world.file("Dockerfile", "FROM scratch\n");
    let context = world.context();
    let verbs: [&[&str]; 3] = [&["images"], &["version"], &["bud", context.to_str().unwrap()]];
    for verb in verbs {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        Said::of(world.command().args(verb).stdout(full).output().unwrap())
            .fails(125, "No space left on device");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Said::of(world.command().args(verb).stdout(writer).output().unwrap()).good();
    }
}

#[test]
fn progress_starts_on_a_line_of_its_own() {
    let world = World::new();
    world.busybox();
    let file = format!("{BUSYBOX}RUN printf open\nRUN printf err >&2; printf out; exit 2\n");
    let said = world.build(&file, &[]).fails(2, "err\nError: ");
    for line in ["open", "out"] {
        assert!(said.stdout.lines().any(|found| found == line), "{line}\n{}", said.stdout);
    }
    // On a terminal both outputs share the line.
    let (program, store, context) = (program(), world.store(), world.context());
    let command = format!(
        "{} --root {} bud --progress=plain {}",
        program.display(),
        store.display(),
        context.display()
    );
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).env("TERM", "xterm");
    let said = Said::of(script.stdin(Stdio::null()).output().unwrap());
    assert_eq!(said.code, 2, "{}", said.stdout);
    assert!(said.stdout.contains("\r\nError: "), "{:?}", said.stdout);
}

#[test]
fn a_signal_stops_the_build_and_is_its_exit_code() {
    let world = World::new();
    world.busybox().file("Dockerfile", format!("{BUSYBOX}RUN echo running; sleep 60\n"));
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut command = world.command();
        let mut child = command
            .arg("bud")
            .arg(world.context())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "running"), "{signal}");
        tool("kill", &["-s", signal, &child.id().to_string()]);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{signal}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains("Dockerfile:4: building at STEP") && stderr.contains(": interrupted"),
            "{stderr}"
        );
        assert_eq!(fs::read_dir(world.store().join("rbuild/live")).unwrap().count(), 0, "{signal}");
    }
}

#[test]
fn a_verb_that_answers_with_an_id_says_nothing_else() {
    let Some(base) = provided("RBUILD_TEST_BASE") else { return };
    let world = World::new();
    let pulled = world.run(&["pull", &base]).good();
    assert_eq!(pulled.stdout, format!("{}\n", pulled.id()));
    assert!(pulled.stderr.contains("pull sha256:"), "{}", pulled.stderr);
    let quiet = World::new().run(&["pull", "-q", &base]).good();
    assert_eq!((&quiet.stdout, &quiet.stderr[..]), (&pulled.stdout, ""));
    let built = world.build(&format!("FROM {base}\n"), &[]).good();
    assert_eq!(built.stdout.lines().count(), 2, "{}", built.stdout);
}

#[test]
fn warnings_go_to_stderr() {
    let world = World::new();
    let file = "# check=skip=None\nFROM scratch\nARG A\nLABEL a=\\\n\n1\n";
    let said = world.build(file, &["--build-arg", "A=1", "--build-arg", "Y=1", "--build-arg", "X=1"]).good();
    for text in [
        "one or more build args were not consumed: [X Y]",
        "Dockerfile:5: Empty continuation line (NoEmptyContinuation)",
        "the checks have no rule None",
    ] {
        assert!(said.stderr.contains(text), "{text}\n{}", said.stderr);
    }
    assert!(!said.stdout.contains("[Warning]"), "{}", said.stdout);
}

#[test]
fn wrong_calls_exit_with_125_and_a_hint() {
    let world = World::new();
    for (args, text) in [
        (&["bud", "--no-such-flag"][..], "--no-such-flag"),
        (&["bud", "/no/such/dir"], "/no/such/dir"),
        (&["bud", "s3://bucket/x"], "the scheme \"s3\" is not one of http, https, git, ssh"),
        (&["bud", "-t", "UPPER", "."], "must be lower case"),
        (&["bud", "--volume", "a:b", "."], "must be absolute"),
        (&["bud", "--network", "bridge", "."], "bridge"),
        (&["--idmap", "x", "info"], "expected auto"),
        (&["--rootfs", "x", "info"], "expected auto"),
        (&["push", "nope", "host.invalid/x"], "image not known"),
        (&["pull", "oci:x"], "is no OCI image layout"),
        (&["pull", "docker-daemon:x"], "not supported yet"),
        (&["nope"], "nope"),
    ] {
        world.run(args).fails(125, text);
    }
    let context = world.context();
    world.run(&["bud", context.to_str().unwrap()]).fails(125, "no Dockerfile");
}

#[test]
fn version_is_data() {
    let said = World::new().run(&["version", "--json"]).good();
    let version: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn other_tools_read_the_store() {
    let world = World::new();
    world.file("f", "x").build("FROM scratch\nCOPY f /f\n", &["-t", "img"]).good();
    let store = world.store();
    let inspected = tool("skopeo", &["inspect", &format!("oci:{}:localhost/img:latest", store.display())]);
    assert!(inspected.contains("\"Layers\""), "{inspected}");
    if std::env::var("RBUILD_TEST_LANE").as_deref() != Ok("single") {
        let bundle = world.path("bundle");
        tool(
            "umoci",
            &[
                "unpack",
                "--rootless",
                "--image",
                &format!("{}:localhost/img:latest", store.display()),
                bundle.to_str().unwrap(),
            ],
        );
        assert_eq!(fs::read_to_string(bundle.join("rootfs/f")).unwrap(), "x");
    }
}

#[test]
fn push_and_pull_keep_the_image() {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let world = World::new();
    world.file("f", "x").build("FROM scratch\nCOPY --chown=9:9 f /f\nLABEL a=b\n", &["-t", "img"]).good();
    let name = format!("{registry}/e2e/push-{}:1", std::process::id());
    let digests = world.path("digest");
    world.run(&["push", "--digestfile", digests.to_str().unwrap(), "img", &name]).good();
    let digest = fs::read_to_string(digests).unwrap();
    let other = World::new();
    for reference in [name.clone(), format!("{}@{digest}", name.strip_suffix(":1").unwrap())] {
        let id = other.run(&["pull", &reference]).good().id();
        assert_eq!(
            id,
            world.run(&["images", "-q", "--no-trunc"]).good().stdout.trim().trim_start_matches("sha256:")
        );
        assert_eq!(other.tree(&id), world.tree("img"));
    }
    other.run(&["pull", &format!("{registry}/e2e/none:1")]).fails(125, "e2e/none");
}
