//! What a well-formed Dockerfile becomes.

use crate::dockerfile::{
    Arg, CacheMode, Command, Copy, Dockerfile, From, Healthcheck, Heredoc, Instruction, Run, Source, Step,
    parse, parse_onbuild,
};

fn parsed(text: &str) -> Dockerfile {
    parse(text).unwrap_or_else(|diagnostics| panic!("{text:?}: {diagnostics}"))
}

/// The steps of `FROM x` and then `text`.
fn steps(text: &str) -> Vec<Step> {
    parsed(&format!("FROM x\n{text}")).stages.remove(0).steps
}

fn step(text: &str) -> Instruction {
    let mut steps = steps(text);
    assert_eq!(steps.len(), 1, "{text:?}");
    steps.remove(0).instruction
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn sh(text: &str) -> Command {
    Command::Shell(text.to_owned())
}

fn run(text: &str) -> Instruction {
    Instruction::Run(Run {
        command: sh(text),
        heredocs: vec![],
        mounts: vec![],
        network: None,
        security: None,
        devices: vec![],
        cache: None,
    })
}

fn doc(name: &str, body: &str, expand: bool) -> Heredoc {
    Heredoc { name: name.to_owned(), body: body.to_owned(), expand }
}

#[test]
fn lines_are_joined() {
    for (text, expected) in [
        ("RUN a", "a"),
        ("run a", "a"),
        ("  \t RUN   a b  ", "a b"),
        ("RUN a \\\n  && b", "a   && b"),
        ("RUN a \\  \t\n b", "a  b"),
        ("RUN a\\\r\n b\r\n", "a b"),
        ("RUN a \\\n# comment\n  # another \\\n b", "a  b"),
        ("RUN a \\\n\n  \n b", "a  b"),
        ("RUN a \\\\\nCMD b", "a \\\\"),
        ("RUN a \\", "a"),
        ("\\\nRUN a", "a"),
        ("RUN \\\n a", "a"),
        ("RUN a # no comment", "a # no comment"),
        ("RUN a\u{b}b", "a\u{b}b"),
        ("RUN ['a']", "['a']"),
        ("RUN [\"a\"] x", "[\"a\"] x"),
        ("RUN [ -f x ] && y", "[ -f x ] && y"),
        ("RUN -- --x", "--x"),
        ("RUN $HOME \"q\" 'r'", "$HOME \"q\" 'r'"),
    ] {
        assert_eq!(steps(text)[0].instruction, run(expected), "{text:?}");
    }
}

#[test]
fn the_escape_directive_counts_at_the_top_only() {
    for (text, escape, command) in [
        ("# escape=`\nFROM x\nRUN a `\n b\\", '`', "a  b\\"),
        ("#escape = ` \r\nFROM x\r\nRUN a `\r\n b\r\n", '`', "a  b"),
        ("# syntax=s\n# ESCAPE=`\nFROM x\nRUN a", '`', "a"),
        ("  # escape=`\nFROM x\nRUN a", '`', "a"),
        ("\u{feff}# escape=`\nFROM x\nRUN a", '`', "a"),
        ("\n# escape=`\nFROM x\nRUN a\\\n b", '\\', "a b"),
        ("# comment\n# escape=`\nFROM x\nRUN a", '\\', "a"),
        ("# unknown=x\n# escape=`\nFROM x\nRUN a", '\\', "a"),
        ("FROM x\n# escape=`\nRUN a", '\\', "a"),
        ("# escape=\\\nFROM x\nRUN a", '\\', "a"),
    ] {
        let file = parsed(text);
        assert_eq!((file.escape, &file.stages[0].steps[0].instruction), (escape, &run(command)), "{text:?}");
    }
}

#[test]
fn other_directives_are_kept() {
    let file = parsed("#!/usr/bin/env rbuild\n# syntax=docker/dockerfile:1\nFROM x");
    assert_eq!(file.syntax.as_deref(), Some("docker/dockerfile:1"));
    let file = parsed("# check=skip=all;error=true\nFROM x");
    assert_eq!(file.check.as_deref(), Some("skip=all;error=true"));
}

#[test]
fn an_empty_line_inside_an_instruction_is_warned_of() {
    let file = parsed("FROM x\nRUN a \\\n\n b\n");
    let warnings: Vec<_> = file.warnings.iter().map(|w| (w.message.as_str(), w.span.first_line)).collect();
    assert_eq!(warnings, [("Empty continuation line", 3)]);
}

#[test]
fn from_is_image_name_and_platform() {
    for (text, image, name, platform) in [
        ("FROM debian:12", "debian:12", None, None),
        ("from debian as Build-1.x_y", "debian", Some("build-1.x_y"), None),
        ("FROM --platform=$BUILDPLATFORM ${A:-b} AS c", "${A:-b}", Some("c"), Some("$BUILDPLATFORM")),
        ("FROM --platform='linux/arm64' a", "a", None, Some("linux/arm64")),
        ("FROM scratch", "scratch", None, None),
    ] {
        let (name, platform) = (name.map(str::to_owned), platform.map(str::to_owned));
        let expected = From { image: image.to_owned(), name, platform };
        let file = parsed(text);
        assert_eq!((&file.stages[0].from.value, file.stages[0].text.as_str()), (&expected, text));
    }
}

#[test]
fn steps_fall_into_stages() {
    let file = parsed("ARG V=1\nARG W\nFROM a AS one\nRUN x\nARG V\nFROM one\nCMD y\n");
    let shape: Vec<_> = file.stages.iter().map(|stage| stage.steps.len()).collect();
    assert_eq!((file.global_args.len(), shape), (2, vec![2, 1]));
}

#[test]
fn metadata_instructions() {
    for (text, expected) in [
        (
            "ARG a b=c d=\"x y\" e=",
            Instruction::Arg(
                [("a", None), ("b", Some("c")), ("d", Some("\"x y\"")), ("e", Some(""))]
                    .map(|(name, value)| Arg { name: name.to_owned(), value: value.map(str::to_owned) })
                    .to_vec(),
            ),
        ),
        ("ENV a=b", Instruction::Env(pairs(&[("a", "b")]))),
        (
            "ENV a=b c=\"d e\" f=g\\ h i='$j'",
            Instruction::Env(pairs(&[("a", "b"), ("c", "\"d e\""), ("f", "g\\ h"), ("i", "'$j'")])),
        ),
        ("ENV a=b \\\n  c=d", Instruction::Env(pairs(&[("a", "b"), ("c", "d")]))),
        ("ENV a b  c=d", Instruction::Env(pairs(&[("a", "b  c=d")]))),
        ("ENV a\t  b", Instruction::Env(pairs(&[("a", "b")]))),
        ("ENV a=", Instruction::Env(pairs(&[("a", "")]))),
        ("ENV a=b=c", Instruction::Env(pairs(&[("a", "b=c")]))),
        ("LABEL \"a b\"=c d.e=$f", Instruction::Label(pairs(&[("\"a b\"", "c"), ("d.e", "$f")]))),
        ("LABEL k some value", Instruction::Label(pairs(&[("k", "some value")]))),
        ("EXPOSE 80 80-90/tcp $P", Instruction::Expose(strings(&["80", "80-90/tcp", "$P"]))),
        ("VOLUME /a $B", Instruction::Volume(strings(&["/a", "$B"]))),
        ("VOLUME [\"/a b\", \" /c \"]", Instruction::Volume(strings(&["/a b", "/c"]))),
        ("USER  a:b ", Instruction::User("a:b".to_owned())),
        ("WORKDIR /a b", Instruction::Workdir("/a b".to_owned())),
        ("STOPSIGNAL $S", Instruction::Stopsignal("$S".to_owned())),
        ("MAINTAINER A <a@b>", Instruction::Maintainer("A <a@b>".to_owned())),
        ("SHELL [\"/bin/bash\", \"-c\"]", Instruction::Shell(strings(&["/bin/bash", "-c"]))),
        ("CMD a $b", Instruction::Cmd(sh("a $b"))),
        ("CMD [\"a\", \"$b\\n\"]", Instruction::Cmd(Command::Exec(strings(&["a", "$b\n"])))),
        ("CMD []", Instruction::Cmd(Command::Exec(vec![]))),
        ("CMD", Instruction::Cmd(sh(""))),
        ("CMD [ \"a\" \\\n , \"b\" ]", Instruction::Cmd(Command::Exec(strings(&["a", "b"])))),
        ("ENTRYPOINT [\"a\"]", Instruction::Entrypoint(Command::Exec(strings(&["a"])))),
        ("entrypoint exec a", Instruction::Entrypoint(sh("exec a"))),
        ("HEALTHCHECK none", Instruction::Healthcheck(Healthcheck::None)),
    ] {
        assert_eq!(step(text), expected, "{text:?}");
    }
}

#[test]
fn healthcheck_options_are_nanoseconds() {
    let check = |command, numbers: [i64; 5]| {
        let [interval, timeout, start_period, start_interval, retries] = numbers;
        Healthcheck::Check { command, interval, timeout, start_period, start_interval, retries }
    };
    for (text, expected) in [
        ("HEALTHCHECK CMD curl x", check(sh("curl x"), [0; 5])),
        ("HEALTHCHECK cmd [\"a\", \"b\"]", check(Command::Exec(strings(&["a", "b"])), [0; 5])),
        (
            "HEALTHCHECK --interval=5m --timeout=1.5s --start-period=1ms \\\n --start-interval=0 --retries=3 CMD x",
            check(sh("x"), [300_000_000_000, 1_500_000_000, 1_000_000, 0, 3]),
        ),
    ] {
        assert_eq!(step(text), Instruction::Healthcheck(expected), "{text:?}");
    }
}

#[test]
fn copy_and_add_flags() {
    let base = Copy { sources: vec![Source::Path("a".to_owned())], dest: "b".to_owned(), ..Copy::default() };
    let some = |value: &str| Some(value.to_owned());
    for (text, expected) in [
        ("COPY a b", Instruction::Copy(base.clone())),
        ("COPY [\"a\", \"b\"]", Instruction::Copy(base.clone())),
        ("COPY -- a b", Instruction::Copy(base.clone())),
        ("COPY --from=$S a b", Instruction::Copy(Copy { from: some("$S"), ..base.clone() })),
        (
            "COPY --chown=u:g --chmod=u=rwX,go=rX a b",
            Instruction::Copy(Copy { chown: some("u:g"), chmod: some("u=rwX,go=rX"), ..base.clone() }),
        ),
        (
            "COPY --link --parents=TRUE --exclude=x --exclude='y z' a b",
            Instruction::Copy(Copy {
                link: true,
                parents: true,
                exclude: strings(&["x", "y z"]),
                ..base.clone()
            }),
        ),
        ("COPY --link=false a b", Instruction::Copy(base.clone())),
        (
            "ADD --checksum=sha256:0 --keep-git-dir --unpack=false a b",
            Instruction::Add(Copy {
                checksum: some("sha256:0"),
                keep_git_dir: Some(true),
                unpack: Some(false),
                ..base.clone()
            }),
        ),
        (
            "COPY --exclude=a\\ b a --link b",
            Instruction::Copy(Copy {
                exclude: strings(&["a b"]),
                sources: strings(&["a", "--link"]).into_iter().map(Source::Path).collect(),
                ..base.clone()
            }),
        ),
        (
            "COPY [\"a b\", \"<<EOF\", \"c d/\"]",
            Instruction::Copy(Copy {
                sources: strings(&["a b", "<<EOF"]).into_iter().map(Source::Path).collect(),
                dest: "c d/".to_owned(),
                ..Copy::default()
            }),
        ),
    ] {
        assert_eq!(step(text), expected, "{text:?}");
    }
}

#[test]
fn run_flags_and_their_places() {
    let source = "FROM x\nRUN --mount=type=cache,target=/a \\\n --mount=type=bind,target=/b,\"source=b c\" \\\n --network=none --security=insecure --device=d --cache=traced true";
    let file = parsed(source);
    let Instruction::Run(run) = &file.stages[0].steps[0].instruction else { panic!("not a RUN") };
    let mounts: Vec<_> = run.mounts.iter().map(|m| (m.value.as_str(), m.span.first_line)).collect();
    assert_eq!(mounts, [("type=cache,target=/a", 2), ("type=bind,target=/b,source=b c", 3)]);
    assert_eq!(&source[run.mounts[1].span.bytes()], "--mount=type=bind,target=/b,\"source=b c\"");
    assert_eq!((run.network.as_deref(), run.security.as_deref()), (Some("none"), Some("insecure")));
    assert_eq!((&run.devices, &run.command), (&strings(&["d"]), &sh("true")));
    assert_eq!(run.cache, Some(CacheMode::Traced));
}

#[test]
fn run_heredocs() {
    for (text, command, heredocs) in [
        ("RUN <<EOF\na\n  b # c\n\nEOF\n", "", vec![doc("EOF", "a\n  b # c\n\n", true)]),
        ("RUN <<EOF\r\na\r\nEOF\r\n", "", vec![doc("EOF", "a\r\n", true)]),
        ("RUN <<-EOF\n\t\ta\n\t b\n\tEOF", "", vec![doc("EOF", "a\n b\n", true)]),
        ("RUN << 'EOF'\n$a\nEOF", "", vec![doc("EOF", "$a\n", false)]),
        ("RUN 3<<EOF\n#!/bin/x\nEOF", "", vec![doc("EOF", "#!/bin/x\n", true)]),
        ("RUN --network=none <<EOF\na\nEOF", "", vec![doc("EOF", "a\n", true)]),
        ("RUN <<EOF\nEOF", "", vec![doc("EOF", "", true)]),
        ("RUN <<EOF\n EOF\nEOF \nEOF", "", vec![doc("EOF", " EOF\nEOF \n", true)]),
        (
            "RUN cat <<EOF > /x && \\\n  true\na \\\nEOF",
            "cat <<EOF > /x &&   true\na \\\nEOF",
            vec![doc("EOF", "a \\\n", true)],
        ),
        (
            "RUN cat <<-A - <<\"B C\"\n\t1\n\tA\n2\nB C",
            "cat <<-A - <<\"B C\"\n\t1\nA\n2\nB C",
            vec![doc("A", "1\n", true), doc("B C", "2\n", false)],
        ),
        ("RUN echo $((1 << 2)) <<<x", "echo $((1 << 2)) <<<x", vec![]),
    ] {
        let Instruction::Run(run) = step(text) else { panic!("not a RUN: {text:?}") };
        assert_eq!((run.command, run.heredocs), (sh(command), heredocs), "{text:?}");
    }
}

#[test]
fn copy_heredocs() {
    let path = |path: &str| Source::Path(path.to_owned());
    for (text, sources, dest) in [
        ("COPY <<EOF /x\n$a\nEOF", vec![Source::Heredoc(doc("EOF", "$a\n", true))], "/x"),
        (
            "ADD a <<-'B' c <<D /x/\n\t1\n\tB\n2\nD\n",
            vec![
                path("a"),
                Source::Heredoc(doc("B", "1\n", false)),
                path("c"),
                Source::Heredoc(doc("D", "2\n", true)),
            ],
            "/x/",
        ),
        ("COPY << \"a b\" /x\n1\na b", vec![Source::Heredoc(doc("a b", "1\n", false))], "/x"),
    ] {
        let (Instruction::Copy(copy) | Instruction::Add(copy)) = step(text) else { panic!("{text:?}") };
        assert_eq!((copy.sources, copy.dest.as_str()), (sources, dest), "{text:?}");
    }
}

#[test]
fn onbuild_keeps_the_trigger() {
    for (text, raw) in [
        ("ONBUILD RUN a", "RUN a"),
        ("onbuild   run a \\\n  b", "run a   b"),
        ("ONBUILD COPY --from=x a b", "COPY --from=x a b"),
        ("ONBUILD RUN <<EOF\na\n\nEOF", "RUN <<EOF\na\n\nEOF"),
        ("ONBUILD COPY <<-A <<B /x/\n\t1\n\tA\n2\nB", "COPY <<-A <<B /x/\n\t1\nA\n2\nB"),
    ] {
        assert_eq!(step(text), Instruction::Onbuild(raw.to_owned()), "{text:?}");
        let written = text.split_once(char::is_whitespace).unwrap().1.trim_start();
        let parsed = parse_onbuild(raw, '\\').unwrap().instruction;
        match (parsed, step(written)) {
            // the shell text keeps `<<-` tabs; the stored form has lost those of the delimiter only
            (Instruction::Run(stored), Instruction::Run(direct)) => {
                assert_eq!((stored.command, stored.heredocs), (direct.command, direct.heredocs), "{text:?}");
            }
            (stored, direct) => assert_eq!(stored, direct, "{text:?}"),
        }
    }
}

#[test]
fn a_step_knows_its_text_and_place() {
    for (text, shown, lines) in [
        ("RUN a", "RUN a", (2, 2)),
        ("run  a \\\n  # c\n  b", "run  a   b", (2, 4)),
        ("RUN <<EOF\nset -e\nmake\nEOF\n", "RUN <<EOF (set -e...)", (2, 5)),
        ("RUN <<EOF\nmake\nEOF\n", "RUN <<EOF (make)", (2, 4)),
        ("COPY <<EOF /x\n1\nEOF\n", "COPY <<EOF /x", (2, 4)),
        ("RUN cat <<EOF >/x\n1\nEOF\n", "RUN cat <<EOF >/x", (2, 4)),
    ] {
        let step = &steps(text)[0];
        let place = (step.span.first_line, step.span.last_line);
        assert_eq!((step.text.as_str(), place), (shown, lines), "{text:?}");
        assert_eq!(&format!("FROM x\n{text}")[step.span.bytes()], text.trim_end(), "{text:?}");
    }
}

#[test]
fn many_instructions_take_little_time() {
    let text = format!(
        "FROM x\n{}",
        "RUN --mount=type=cache,target=/a echo \"$a\" \\\n && b <<E\nx\nE\n".repeat(10_000)
    );
    let start = std::time::Instant::now();
    assert_eq!(parsed(&text).stages[0].steps.len(), 10_000);
    // 24 to 49 ms when optimised; the bound leaves room for a debug build on a busy machine
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

#[test]
fn hostile_lines_take_linear_time() {
    let start = std::time::Instant::now();
    for piece in ["$((", "\"", "[", "<<", "<<A ", "--x ", "--link ", "\\", "(", "\t", "ONBUILD ", "${a:-"] {
        for keyword in ["RUN", "COPY", "ENV", "FROM", "HEALTHCHECK", "ONBUILD RUN"] {
            let line = format!("{}\\\n", piece.repeat(3_000));
            let parsed = parse(&format!("FROM x\n{keyword} {}", line.repeat(5)));
            drop(parsed); // whether it is well-formed does not matter here
        }
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
