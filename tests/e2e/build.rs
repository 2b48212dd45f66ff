//! Instructions, one by one: what each leaves in the image.

use serde_json::json;

use crate::support::World;

/// A base with a shell, without a registry.
pub const BUSYBOX: &str =
    "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";

#[test]
fn metadata_reaches_the_config() {
    let world = World::new();
    world
        .build(
            "ARG VERSION=1\nFROM scratch\nARG VERSION\nENV A=1 B=\"two words\"\nENV A=3 C=$A\nLABEL v=$VERSION \"k k\"=x\n\
             EXPOSE 80 53/udp 7-8\nVOLUME /data [x\nVOLUME [\"/a b\"]\nWORKDIR /w\nUSER 5:6\nSTOPSIGNAL SIGINT\n\
             HEALTHCHECK --interval=5s --retries=2 CMD true\nSHELL [\"/bin/ash\",\"-c\"]\nENTRYPOINT [\"/e\"]\nCMD a b\n\
             ONBUILD ENV X=y\nMAINTAINER somebody\n",
            &["-t", "m", "--build-arg", "VERSION=9"],
        )
        .good();
    let config = world.config("m");
    assert_eq!(config["author"], "somebody");
    assert_eq!(
        config["config"],
        json!({
            "User": "5:6",
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "7/tcp": {}, "8/tcp": {}},
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A=3", "B=two words", "C=1"],
            "Entrypoint": ["/e"],
            "Cmd": ["/bin/ash", "-c", "a b"],
            "Volumes": {"/data": {}, "[x": {}, "/a b": {}},
            "WorkingDir": "/w",
            "Labels": {"v": "9", "k k": "x"},
            "StopSignal": "SIGINT",
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000_i64, "Retries": 2},
            "OnBuild": ["ENV X=y"],
            "Shell": ["/bin/ash", "-c"],
        })
    );
    let history = config["history"].as_array().unwrap();
    assert_eq!(history.len(), 16, "one entry an instruction after FROM");
    let entries: Vec<&str> = history.iter().map(|entry| entry["created_by"].as_str().unwrap()).collect();
    for entry in [
        "ARG VERSION=9",
        "ENV A=3 C=1",
        "EXPOSE 80/tcp 53/udp 7/tcp 8/tcp",
        "VOLUME [\"/a b\"]",
        "HEALTHCHECK --interval=5s --retries=2 CMD true",
        "CMD [\"/bin/ash\",\"-c\",\"a b\"]",
    ] {
        assert!(entries.contains(&entry), "{entry}\n{entries:#?}");
    }
}

#[test]
fn variables_come_from_where_the_reference_says() {
    let world = World::new();
    world.busybox();
    let dockerfile = |rest: &str| {
        format!("ARG G=glob\nARG T\nARG BASE=base\n{BUSYBOX}RUN true\n{rest}")
            .replace("FROM scratch", "FROM scratch AS base")
    };
    for (rest, args, want) in [
        ("RUN echo \"<$G>\"\n", &[][..], "<>"),
        ("ARG G\nRUN echo \"<$G>\"\n", &[], "<glob>"),
        ("ARG G=own\nRUN echo \"<$G>\"\n", &[], "<own>"),
        ("ARG G=own\nRUN echo \"<$G>\"\n", &["--build-arg", "G=given"], "<given>"),
        ("ENV G=env\nARG G=own\nRUN echo \"<$G>\"\n", &["--build-arg", "G=given"], "<env>"),
        ("ARG G\nENV G=env-$G\nRUN echo \"<$G>\"\n", &[], "<env-glob>"),
        ("ARG U\nARG E=\nRUN echo \"<${U-unset}${E-unset}>\"\n", &[], "<unset>"),
        ("ARG A=1 B=$A-2\nRUN echo \"<$B>\"\n", &[], "<1-2>"),
        ("ARG A=parent\nFROM $BASE\nARG A\nRUN echo \"<again $A>\"\n", &[], "<again parent>"),
        ("ARG A=parent\nFROM $BASE\nRUN echo \"<$A>\"\n", &[], "<parent>"),
        ("ARG TARGETOS TARGETSTAGE\nRUN echo \"<$TARGETOS $TARGETSTAGE>\"\n", &[], "<linux default>"),
        ("ENV a=1\nENV a=2 b=$a\nRUN echo \"<$a$b>\"\n", &[], "<21>"),
        ("ENV HOME=/h\nRUN echo \"<$HOME>\"\n", &[], "</h>"),
        ("ARG HOME=/h\nRUN echo \"<$HOME>\"\n", &[], "</h>"),
        ("ARG HTTP_PROXY=own\nRUN echo \"<$HTTP_PROXY>\"\n", &[], "<own>"),
        ("RUN echo \"<$HTTP_PROXY>\"\n", &["--build-arg", "HTTP_PROXY=given"], "<given>"),
        ("SHELL [\"/bin/sh\", \"-ec\"]\nFROM base\nRUN echo \"<$-$0>\"\n", &[], "<ce/bin/sh>"),
    ] {
        let said = world.build(&dockerfile(rest), args).good();
        assert!(
            said.stdout.lines().any(|line| line == want),
            "{rest} {args:?}: want {want}\n{}",
            said.stdout
        );
    }
}

#[test]
fn working_directories_are_clean_and_belong_to_the_user() {
    let world = World::new();
    let file = "FROM scratch\nUSER 7:8\nWORKDIR /a/\nWORKDIR b/../c/\nENV D=d\nWORKDIR ./$D\nUSER 0\nWORKDIR ../e\nWORKDIR .\n";
    world.build(file, &["-t", "x"]).good();
    assert_eq!(world.config("x")["config"]["WorkingDir"], "/a/c/e");
    assert_eq!(world.tree("x"), ["d 0755 7:8 a", "d 0755 7:8 a/c", "d 0755 7:8 a/c/d", "d 0755 0:0 a/c/e"]);
    // A name that the image does not know is an error of who runs as it, not of the directory.
    world.build("FROM scratch\nUSER later\nWORKDIR /a\n", &["-t", "x"]).good();
    assert_eq!(world.tree("x"), ["d 0755 0:0 a"]);
    world.build("FROM scratch\nWORKDIR /\n", &["-t", "x"]).good();
    assert_eq!(world.config("x")["config"]["WorkingDir"], "/");
}

#[test]
fn a_failing_run_shows_its_lines_and_exits_with_its_code() {
    let world = World::new();
    world.busybox();
    for (run, code, texts) in [
        ("RUN exit 42", 42, &["Dockerfile:4: building at STEP", "4 | RUN exit 42"][..]),
        ("RUN true && \\\n  false", 1, &["4 | RUN true && \\", "5 |   false"]),
        ("RUN [\"nope\"]", 127, &["nope"]),
        ("RUN [\"/bin\"]", 126, &["/bin"]),
        ("RUN sh -c 'kill -9 $$'; exit $?", 137, &["exit status 137"]),
        ("RUN <<EOF\nset -e\nfalse\nEOF", 1, &["while running \"/bin/sh -c set -e …\"", "6 | false"]),
        ("RUN <<EOF\n#!/bin/sh -e\nexit 9\nEOF", 9, &["6 | exit 9"]),
        ("USER nobody\nRUN id", 125, &["unable to find user nobody", "5 | RUN id"]),
        ("ONBUILD RUN exit 7\nFROM base", 7, &["Dockerfile:5: building at STEP \"ONBUILD RUN exit 7\""]),
        ("FROM scratch\nARG S=base\nCOPY --from=$S /x /", 125, &["no items matching \"/x\" in \"base\""]),
        ("RUN exit 3\nFROM scratch\nARG S=base\nCOPY --from=$S / /", 3, &["Dockerfile:4: building"]),
    ] {
        let dockerfile =
            format!("{BUSYBOX}{run}\n").replace("FROM scratch\nCOPY b", "FROM scratch AS base\nCOPY b");
        let said = world.build(&dockerfile, &[]);
        assert_eq!(said.code, code, "{run}\n{}", said.stderr);
        assert_eq!(said.stderr.matches("building at STEP").count(), 1, "{run}: one place\n{}", said.stderr);
        for text in texts {
            assert!(said.stderr.contains(text), "{run}: {text}\n{}", said.stderr);
        }
    }
}

#[test]
fn entrypoint_resets_an_inherited_cmd_only() {
    let world = World::new();
    world.build("FROM scratch AS a\nCMD [\"x\"]\nFROM a\nENTRYPOINT [\"e\"]\n", &["-t", "inherited"]).good();
    assert_eq!(world.config("inherited")["config"].get("Cmd"), None);
    world.build("FROM scratch\nCMD [\"x\"]\nENTRYPOINT [\"e\"]\n", &["-t", "own"]).good();
    assert_eq!(world.config("own")["config"]["Cmd"], json!(["x"]));
}

#[test]
fn onbuild_triggers_run_in_the_child_and_are_gone() {
    let world = World::new();
    world
        .file("f", "x")
        .build("FROM scratch\nONBUILD COPY f /f\nONBUILD LABEL l=1\n", &["-t", "parent"])
        .good();
    assert!(world.tree("parent").is_empty());
    world.build("FROM parent\n", &["-t", "child"]).good();
    assert_eq!(world.tree("child").len(), 1);
    let config = world.config("child");
    assert_eq!(config["config"]["Labels"], json!({"l": "1"}));
    assert_eq!(config["config"].get("OnBuild"), None);
}

#[test]
fn only_what_the_target_reaches_is_built() {
    let world = World::new();
    world.file("f", "x");
    let file = "FROM scratch AS unused\nCOPY missing /\nFROM scratch AS a\nCOPY f /a\nFROM scratch AS b\nCOPY --from=a /a /b\n\
                FROM scratch\nCOPY --from=1 /a /c\n";
    let said = world.build(file, &["-t", "x"]).good();
    assert!(said.stdout.contains("[2/4] STEP 2/2: COPY f /a"), "{}", said.stdout);
    assert!(!said.stdout.contains("missing"), "{}", said.stdout);
    world.build(file, &["--target", "b", "-t", "y"]).good();
    assert!(world.tree("y")[0].contains(" b #"), "{:?}", world.tree("y"));
    world.build(file, &["--target", "nope"]).fails(125, "target stage \"nope\" could not be found");
}

#[test]
fn what_the_text_alone_tells_is_refused_before_the_first_step() {
    let world = World::new();
    world.file("a", "x");
    for (instruction, refused) in [
        ("COPY https://host.invalid/x /", "source can't be a URL for COPY"),
        ("COPY git@host.invalid:x.git /", "source can't be a git ref for COPY"),
        ("ADD ftp://host.invalid/x /", "the scheme \"ftp\" is not one of"),
        ("ADD --checksum=sha256:00 a /", "checksum requires HTTP(S) or Git sources"),
    ] {
        let said = world.build(&format!("FROM scratch\nCOPY a /\n{instruction}\n"), &[]).fails(125, refused);
        assert!(!said.stdout.contains("STEP"), "{instruction}: {}", said.stdout);
        // Whether the stage or the source is only known by an ARG makes no difference.
        let late = format!("ARG S=a\nFROM scratch AS a\n{instruction}\nFROM $S\n");
        let later = format!("FROM scratch AS a\n{instruction}\nFROM scratch\nARG S=a\nCOPY --from=$S / /\n");
        for file in [late, later] {
            world.build(&file, &[]).fails(125, refused);
        }
    }
    let variable = "FROM scratch\nARG U=https://host.invalid/x\nCOPY $U /\n";
    world.build(variable, &[]).fails(125, "source can't be a URL for COPY");
    assert!(world.run(&["images", "-q"]).good().stdout.is_empty(), "nothing was named");
}

#[test]
fn a_wrong_dockerfile_names_every_place() {
    let world = World::new();
    let said =
        world.build("FROM scratch\nCOPI a b\nENV\nRUN --mont=x true\n", &[]).fails(125, "did you mean COPY");
    for text in ["Dockerfile:2", "Dockerfile:3", "Dockerfile:4", "COPI a b"] {
        assert!(said.stderr.contains(text), "{text}:\n{}", said.stderr);
    }
}
