//! What a file offers and takes, and how it was read.

use std::collections::BTreeMap;

use crate::dockerfile::{dump, outline, parse};

const FILE: &str = "\
# syntax=x
# BASE is what all stands on
ARG BASE=debian
ARG TAG
# TAG no, this is of the stage
FROM ${BASE}:${TAG:-12} AS build
# V the version
ARG V=1
RUN --mount=type=cache,target=/c --mount=type=secret,id=s,required true
FROM scratch AS unused
ARG U
# final what is shipped
FROM --platform=$TARGETPLATFORM build AS Final
ARG W BASE
RUN --mount=type=ssh --mount=type=secret,id=s --mount=type=cache,id=k,target=/c true
FROM scratch
COPY --from=1 /a /
";

fn with<T>(args: &[(&str, &str)], ask: impl Fn(&outline::Subject) -> T) -> T {
    let dockerfile = parse(FILE).unwrap();
    let build_args = args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let predefined = BTreeMap::from([("TARGETPLATFORM", "linux/arm64".to_owned())]);
    ask(&outline::Subject {
        source: FILE,
        dockerfile: &dockerfile,
        build_args: &build_args,
        predefined: &predefined,
    })
}

#[test]
fn targets_are_the_stages() {
    let rows = with(&[("TAG", "13")], |subject| {
        let row = |target: outline::Target| {
            let platform = target.platform.unwrap_or_default();
            let text = |text: Option<String>| text.unwrap_or_default();
            let (name, description) = (text(target.name), text(target.description));
            (name, target.base, platform, description, target.is_default, target.span.first_line)
        };
        outline::targets(subject).into_iter().map(row).collect::<Vec<_>>()
    });
    let row = |name: &str, base: &str, platform: &str, description: &str, is_default, line| {
        (name.to_owned(), base.to_owned(), platform.to_owned(), description.to_owned(), is_default, line)
    };
    assert_eq!(
        rows,
        [
            row("build", "debian:13", "", "", false, 6),
            row("unused", "scratch", "", "", false, 10),
            row("final", "build", "linux/arm64", "what is shipped", false, 13),
            row("", "scratch", "", "", true, 16),
        ]
    );
}

#[test]
fn an_outline_is_of_the_stages_that_the_target_needs() {
    type Row<'a> = (usize, &'a [(&'a str, &'a str, &'a str)], &'a [(&'a str, bool)], &'a [&'a str]);
    const GLOBAL: [(&str, &str, &str); 2] = [("BASE", "arch", "is what all stands on"), ("TAG", "-", "-")];
    const V: (&str, &str, &str) = ("V", "1", "the version");
    let rows: &[Row] = &[
        (0, &[GLOBAL[0], GLOBAL[1], V], &[("s", true)], &["/c"]),
        (2, &[GLOBAL[0], GLOBAL[1], V, ("W", "w", "-")], &[("s", true)], &["/c", "k"]),
        (3, &[GLOBAL[0], GLOBAL[1], ("U", "-", "-")], &[], &[]),
    ];
    for (target, args, secrets, caches) in rows {
        let outline = with(&[("BASE", "arch"), ("W", "w")], |subject| outline::outline(subject, *target));
        let outline = outline.unwrap();
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let found: Vec<_> = outline
            .args
            .iter()
            .map(|arg| (arg.name.clone(), or_dash(&arg.value), or_dash(&arg.description)))
            .collect();
        let found: Vec<_> = found.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
        assert_eq!(found, *args, "{target}");
        let found: Vec<_> = outline.secrets.iter().map(|asked| (asked.id.as_str(), asked.required)).collect();
        assert_eq!(found, *secrets, "{target}");
        let found: Vec<_> = outline.caches.iter().map(|asked| asked.id.as_str()).collect();
        assert_eq!(found, *caches, "{target}");
        assert_eq!(outline.ssh.len(), usize::from(*target == 2), "{target}");
    }
    assert_eq!(with(&[], |subject| outline::outline(subject, 4)), None);
}

#[test]
fn a_dump_has_a_line_for_each_instruction() {
    for (source, expected) in [
        ("from --platform=$P x as B", "(from [\"--platform=$P\"] \"x\" \"as\" \"B\")"),
        ("FROM x\nENV a=b c='d e'\n", "(env \"a\" \"b\" \"c\" \"'d e'\")"),
        ("FROM x\nENV a b  c\n", "(env \"a\" \"b  c\")"),
        ("FROM x\nARG a b=\"c d\"\n", "(arg \"a\" \"b=\\\"c d\\\"\")"),
        ("FROM x\nRUN --network=none a \\\n# c\n  && b\n", "(run [\"--network=none\"] \"a   && b\")"),
        ("FROM x\nRUN <<E\nhi\nE\n", "(run \"<<E\")"),
        ("FROM x\nCMD [\"a\", \"b c\"]\n", "(cmd \"a\" \"b c\")"),
        ("FROM x\nCOPY --from=y --link a  b c/\n", "(copy [\"--from=y\" \"--link\"] \"a\" \"b\" \"c/\")"),
        ("FROM x\nADD [\"a b\", \"c\"]\n", "(add \"a b\" \"c\")"),
        ("FROM x\nHEALTHCHECK --retries=1 CMD a b\n", "(healthcheck [\"--retries=1\"] \"CMD\" \"a b\")"),
        ("FROM x\nHEALTHCHECK NONE\n", "(healthcheck \"NONE\")"),
        ("FROM x\nONBUILD COPY --link a b\n", "(onbuild (copy [\"--link\"] \"a\" \"b\"))"),
        ("FROM x\nEXPOSE 1 2/udp\n", "(expose \"1\" \"2/udp\")"),
        ("FROM x\nWORKDIR /a b\n", "(workdir \"/a b\")"),
    ] {
        let dumped = dump(source, &parse(source).unwrap());
        assert_eq!(dumped.lines().last(), Some(expected), "{source}");
    }
}
