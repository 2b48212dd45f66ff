//! `--call` and `--check`: answers about a Dockerfile, without a store, a context or a namespace.

use crate::support::{World, provided};

const FILE: &str = "\
# base what the rest stands on
FROM scratch AS base
LABEL a b
FROM base
WORKDIR rel
COPY $x hidden /
";

#[test]
fn a_check_needs_the_dockerfile_alone() {
    let world = World::new();
    world.file("Dockerfile", FILE).file(".dockerignore", "hidden\n");
    let context = world.context();
    let said =
        world.run(&["bud", "--check", context.to_str().unwrap()]).fails(1, "the checks found 4 things");
    for text in [
        "WARNING: LegacyKeyValueFormat - ENV and LABEL have a = between key and value\n\
         \"LABEL key=value\" should be used instead of legacy \"LABEL key value\" format\n --> ",
        "Dockerfile:3:1\n  |\n3 | LABEL a b\n  | ^^^^^^^^^\n",
        "Relative workdir \"rel\"",
        "Dockerfile:6:6\n  |\n6 | COPY $x hidden /\n  |      ^^\n",
        "Attempting to Copy file \"hidden\" that is excluded by .dockerignore",
    ] {
        assert!(said.stdout.contains(text), "{text}\n{}", said.stdout);
    }
    assert!(!world.store().exists(), "a store was made");

    // The file lies in no context.
    let file = world.path("Lone");
    std::fs::write(&file, "FROM scratch\n").unwrap();
    let lone = ["bud", "--call=check", "-f", file.to_str().unwrap(), "/no/such/context"];
    assert_eq!(world.run(&lone).good().stdout, "Check complete, nothing found.\n");
}

#[test]
fn answers_in_json_have_the_fields_of_buildkit() {
    let world = World::new();
    world.file("Dockerfile", FILE);
    let context = world.context();
    let ask = |call: &str| world.run(&["bud", call, context.to_str().unwrap()]);
    let read = |text: &str| {
        serde_json::from_str::<serde_json::Value>(text).unwrap_or_else(|why| panic!("{why}\n{text}"))
    };

    let checked = read(&ask("--call=check,format=json").fails(1, "found 3 things").stdout);
    let warning = &checked["warnings"][0];
    assert_eq!(
        (&warning["ruleName"], &checked["sources"][0]["language"]),
        (&"LegacyKeyValueFormat".into(), &"Dockerfile".into())
    );
    let place = serde_json::json!({"start": {"line": 3, "character": 0}, "end": {"line": 3, "character": 9}});
    assert_eq!(warning["location"], serde_json::json!({"sourceIndex": 0, "ranges": [place]}));

    let targets = read(&ask("--call=targets,format=json").good().stdout);
    assert_eq!(targets["targets"][0]["description"], "what the rest stands on");
    assert_eq!(
        (&targets["targets"][1]["default"], &targets["targets"][1]["base"]),
        (&true.into(), &"base".into())
    );
    let outline = read(&ask("--call=outline,format=json").good().stdout);
    assert_eq!(outline["args"], serde_json::Value::Null);
    let ast = read(&ask("--call=ast,format=json").good().stdout);
    assert_eq!(ast["ast"][1], "(label \"a\" \"b\")");

    world.file("Dockerfile", "FROM scratch\nCOPPY a b\n");
    let broken = read(&ask("--call=check,format=json").fails(125, "did you mean COPY?").stdout);
    assert_eq!(broken["buildError"]["location"]["ranges"][0]["start"]["line"], 2);
}

#[test]
fn answers_for_people_are_tables() {
    let world = World::new();
    world.file("Dockerfile", "# V its version\nARG V=1\nFROM x:$V AS one\nFROM one AS two\nRUN --mount=type=secret,id=s,required y\n");
    let context = world.context();
    let ask =
        |call: &str| world.run(&["bud", call, "--build-arg=V=2", context.to_str().unwrap()]).good().stdout;
    assert_eq!(
        ask("--call=targets"),
        "TARGET         BASE  DESCRIPTION\none            x:2\ntwo (default)  one\n"
    );
    assert_eq!(
        ask("--call=outline"),
        "TARGET:      two\n\nBUILD ARG  VALUE  DESCRIPTION\nV          2      its version\n\nSECRET  REQUIRED\ns       required\n"
    );
    assert_eq!(ask("--call=ast").lines().count(), 4);
}

#[test]
fn wrong_questions_are_refused() {
    let world = World::new();
    world.file("Dockerfile", "# check=skp=all\nFROM scratch\n");
    let context = world.context();
    for (args, text) in [
        (&["--call=chekc"][..], "expected build, check, outline, targets or ast"),
        (&["--call=check,format=yaml"], "expected format=text or format=json"),
        (&["--call=build,format=json"], "a build has no format"),
        (&["--call=outline", "--check"], "cannot be used with"),
        (&["--call=outline", "--target=x"], "target stage \"x\" could not be found"),
        (&["--check"], "Dockerfile:1:1"),
        (&["--call=build"], "invalid check option \"skp=all\" (did you mean skip?)"),
        (
            &["--check", "--build-arg=BUILDKIT_DOCKERFILE_CHECK=error=x"],
            "BUILDKIT_DOCKERFILE_CHECK: check option error=",
        ),
    ] {
        let args: Vec<&str> = [&["bud"], args, &[context.to_str().unwrap()]].concat();
        world.run(&args).fails(125, text);
    }
}

#[test]
fn a_build_tells_once_and_fails_if_it_is_asked_to() {
    let world = World::new();
    let file = "FROM scratch AS A\nLABEL a b\nFROM a\n";
    let said = world.build(file, &["--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=LegacyKeyValueFormat"]).good();
    let warnings: Vec<&str> = said.stderr.lines().filter(|line| line.starts_with("[Warning]")).collect();
    let [warning] = warnings.as_slice() else { panic!("{}", said.stderr) };
    assert!(
        warning.ends_with("Dockerfile:1: Stage name 'A' should be lowercase (StageNameCasing)"),
        "{warning}"
    );

    let strict = format!("# check=error=true\n{file}");
    let said = world
        .build(&strict, &[])
        .fails(125, "lint violation found for rules: LegacyKeyValueFormat, StageNameCasing");
    assert!(!said.stdout.contains("STEP"), "{}", said.stdout);
    // What a base image may set is no error, and is told by a check alone.
    world.build("# check=error=true\nFROM scratch\nARG A=${B:-c}\nLABEL x=$A\n", &[]).good();
}

#[test]
fn a_base_for_another_platform_is_told_and_fails_if_that_is_asked_for() {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let name = format!("{registry}/e2e/foreign:1");
    let there = World::new();
    there.build("FROM scratch\nLABEL a=b\n", &["--platform=linux/s390x", "-t", &name]).good();
    there.run(&["push", &name]).good();
    let build = |check: &str| World::new().build(&format!("# check={check}\nFROM {name}\n"), &[]);
    let said = build("skip=StageNameCasing").good();
    assert!(said.stderr.contains("s390x"), "{}", said.stderr);
    build("error=true").fails(125, "(InvalidBaseImagePlatform)");
    build("error=true;skip=InvalidBaseImagePlatform").good();
}
