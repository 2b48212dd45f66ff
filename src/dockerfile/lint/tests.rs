//! Every rule with files that break it and files that do not.

use std::collections::BTreeMap;

use super::{CHECK_ARG, Certainty, Checked, Rule, Subject, check, foreign_base};
use crate::dockerfile::{IgnoreFile, Span, parse};

/// Checks `source` with every rule, and an ignore file that hides `hidden`.
fn checked(source: &str, build_args: &[(&str, &str)]) -> Checked {
    let build_args =
        build_args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let predefined = BTreeMap::from([("TARGETPLATFORM", "linux/amd64".to_owned())]);
    let ignore = IgnoreFile::parse("hidden\n").unwrap();
    let dockerfile = parse(source).unwrap_or_else(|error| panic!("{error}\n{source}"));
    let subject = Subject {
        source,
        dockerfile: &dockerfile,
        build_args: &build_args,
        predefined: &predefined,
        ignore: Some(&ignore),
    };
    check(&subject).unwrap_or_else(|error| panic!("{error}\n{source}"))
}

/// Line and marked text of each finding of `rule`, by any options.
fn places(rule: Rule, source: &str) -> Vec<(usize, String)> {
    let found = checked(source, &[(CHECK_ARG, "experimental=all")]).findings;
    let of_rule = found.into_iter().filter(|finding| finding.rule == rule);
    of_rule.map(|finding| (finding.span.first_line, source[finding.span.bytes()].to_owned())).collect()
}

/// Rule, file, and the places that break it.
type Row = (Rule, &'static str, &'static [(usize, &'static str)]);

const ROWS: &[Row] = &[
    (Rule::StageNameCasing, "FROM x AS Base\n", &[(1, "Base")]),
    (Rule::StageNameCasing, "FROM x AS base\nFROM base\n", &[]),
    (Rule::FromAsCasing, "FROM x as a\nfrom x AS b\nFROM x As c\n", &[(1, "as"), (2, "AS"), (3, "As")]),
    (Rule::FromAsCasing, "FROM x AS a\nfrom x as b\nFrom x aS c\n", &[]),
    (Rule::NoEmptyContinuation, "FROM x\nRUN a \\\n\n b\n", &[(3, "")]),
    (Rule::NoEmptyContinuation, "FROM x\nRUN a \\\n# c\n b\nRUN <<E\n\nE\n", &[]),
    (Rule::ConsistentInstructionCasing, "FROM x\nRun a\nuser b\nRUN c\n", &[(2, "Run"), (3, "user")]),
    (Rule::ConsistentInstructionCasing, "from x\nrun a\nRUN b\n", &[(3, "RUN")]),
    (Rule::ConsistentInstructionCasing, "arg A\nFROM x\nRUN a\nRUN <<E\nrun b\nE\n", &[]),
    (Rule::DuplicateStageName, "FROM x AS a\nFROM y AS b\nFROM z AS A\n", &[(3, "A")]),
    (Rule::DuplicateStageName, "FROM x AS a\nFROM a\nFROM a AS b\n", &[]),
    (Rule::ReservedStageName, "FROM x AS scratch\nFROM x AS Context\n", &[(1, "scratch"), (2, "Context")]),
    (Rule::ReservedStageName, "FROM scratch AS scratches\n", &[]),
    (Rule::JSONArgsRecommended, "FROM x\nENTRYPOINT a\nCMD b c\n", &[(2, "ENTRYPOINT a"), (3, "CMD b c")]),
    (Rule::JSONArgsRecommended, "FROM x\nCMD [\"a\"]\nENTRYPOINT []\n", &[]),
    (Rule::JSONArgsRecommended, "FROM x AS a\nSHELL [\"/bin/bash\", \"-c\"]\nFROM A\nCMD b\n", &[]),
    (Rule::MaintainerDeprecated, "FROM x\nMAINTAINER me\n", &[(2, "MAINTAINER me")]),
    (Rule::MaintainerDeprecated, "FROM x\nLABEL maintainer=me\n", &[]),
    (Rule::UndefinedArgInFrom, "ARG A=x\nFROM $A:${B}\nFROM --platform=$C x\n", &[(2, "${B}"), (3, "$C")]),
    (Rule::UndefinedArgInFrom, "ARG A\nFROM --platform=$TARGETPLATFORM $A\nFROM ${B:-x}\n", &[]),
    (Rule::WorkdirRelativePath, "FROM x\nWORKDIR a\nWORKDIR b\n", &[(2, "WORKDIR a")]),
    (Rule::WorkdirRelativePath, "FROM x AS a\nWORKDIR /a\nFROM a\nWORKDIR b\n", &[]),
    (Rule::WorkdirRelativePath, "FROM x\nARG A=/a\nWORKDIR $A\n", &[]),
    (Rule::UndefinedVar, "FROM x\nARG ab=1\nCOPY $foo ${foot} .\nRUN $c\n", &[(3, "$foo"), (3, "${foot}")]),
    (Rule::UndefinedVar, "FROM x\nENV A=1 B=$A\nARG C=$D E=$C\n", &[(2, "$A"), (3, "$D")]),
    (Rule::UndefinedVar, "FROM x\nCOPY <<E /e\nis $it\nE\nUSER ${u#p}\n", &[(3, "$it"), (5, "${u")]),
    (Rule::UndefinedVar, "ARG G=1\nFROM x AS a\nARG A\nFROM a\nLABEL l=$A m=$G\n", &[(5, "$G")]),
    (
        Rule::UndefinedVar,
        "FROM x\nENV P=$PATH Q=${U:-d} R='$S' T=\\$V\nCOPY <<'E' $http_proxy/\n$W\nE\nCMD $X\n",
        &[],
    ),
    (Rule::MultipleInstructionsDisallowed, "FROM x\nCMD a\nCMD b\nCMD c\n", &[(2, "CMD a"), (3, "CMD b")]),
    (
        Rule::MultipleInstructionsDisallowed,
        "FROM x\nENTRYPOINT a\nENTRYPOINT b\nHEALTHCHECK NONE\nHEALTHCHECK CMD c\n",
        &[(2, "ENTRYPOINT a"), (4, "HEALTHCHECK NONE")],
    ),
    (Rule::MultipleInstructionsDisallowed, "FROM x AS a\nCMD a\nFROM a\nCMD b\nENTRYPOINT c\n", &[]),
    (Rule::LegacyKeyValueFormat, "FROM x\nENV a b c\nLABEL d e\n", &[(2, "ENV a b c"), (3, "LABEL d e")]),
    (Rule::LegacyKeyValueFormat, "FROM x\nENV a=b c=d\nLABEL \"e f\"=g\n", &[]),
    (
        Rule::RedundantTargetPlatform,
        "FROM --platform=$TARGETPLATFORM x\nFROM --platform=${TARGETPLATFORM} x\n",
        &[(1, "FROM --platform=$TARGETPLATFORM x"), (2, "FROM --platform=${TARGETPLATFORM} x")],
    ),
    (Rule::RedundantTargetPlatform, "ARG TARGETPLATFORM=a/b\nFROM --platform=$TARGETPLATFORM x\n", &[]),
    (
        Rule::SecretsUsedInArgOrEnv,
        "ARG API_TOKEN\nFROM x\nENV A=1 Aws_Secret_x=2\nARG key\n",
        &[(1, "API_TOKEN"), (3, "Aws_Secret_x"), (4, "key")],
    ),
    (Rule::SecretsUsedInArgOrEnv, "FROM x\nENV PUBLIC_KEY=a MONKEY=b tokens=c\nLABEL password=x\n", &[]),
    (Rule::InvalidDefaultArgInFrom, "ARG T\nFROM busybox:$T\nFROM $T\n", &[(2, "busybox:$T"), (3, "$T")]),
    (Rule::InvalidDefaultArgInFrom, "ARG T=Up/Per\nFROM $T\n", &[(2, "$T")]),
    (
        Rule::InvalidDefaultArgInFrom,
        "ARG T=1.2\nARG R=[::1]:5000/a/b_c\nFROM x AS s1.2\nFROM x:$T\nFROM $R:$T\nFROM s$T\nFROM x${U:-:y}\n",
        &[],
    ),
    (
        Rule::FromPlatformFlagConstDisallowed,
        "FROM --platform=linux/arm64 x AS a\n",
        &[(1, "FROM --platform=linux/arm64 x AS a")],
    ),
    (
        Rule::FromPlatformFlagConstDisallowed,
        "FROM --platform=linux/arm64 x AS build_arm64\nFROM --platform=$TARGETPLATFORM x\n",
        &[],
    ),
    (
        Rule::CopyIgnoredFile,
        "FROM x\nCOPY a ./hidden/ b /d\nADD hidden/x /d\n",
        &[(2, "./hidden/"), (3, "hidden/x")],
    ),
    (
        Rule::CopyIgnoredFile,
        "FROM x AS a\nCOPY --from=a hidden /\nCOPY . visible hidde* /d/\nADD https://h.example/hidden /\n",
        &[],
    ),
    (
        Rule::InvalidDefinitionDescription,
        "# one mistake\nARG a\nARG b\n# other words\nFROM x AS c\n",
        &[(2, "ARG a"), (5, "FROM x AS c")],
    ),
    (
        Rule::InvalidDefinitionDescription,
        "# check=skip=StageNameCasing\nARG z\n# more\n# a is this\nARG a\n# free\n\nFROM x AS c\n# no arg\nRUN b\n# c Upper\nFROM y as C\n",
        &[],
    ),
    (Rule::ExposeProtoCasing, "FROM x\nEXPOSE 80/TCP 81 82/Udp\n", &[(2, "80/TCP"), (2, "82/Udp")]),
    (Rule::ExposeProtoCasing, "FROM x\nARG P\nEXPOSE 80/tcp 81/$P\n", &[]),
    (
        Rule::ExposeInvalidFormat,
        "FROM x\nEXPOSE 127.0.0.1:80:81 \\\n  [::1]:82:83/udp 84\n",
        &[(2, "127.0.0.1:80:81"), (3, "[::1]:82:83/udp")],
    ),
    (Rule::ExposeInvalidFormat, "FROM x\nEXPOSE 80-90/udp ${A:-1}\n", &[]),
];

#[test]
fn every_rule_finds_what_it_is_for_and_no_more() {
    for (rule, source, expected) in ROWS {
        let found = places(*rule, source);
        let found: Vec<(usize, &str)> = found.iter().map(|(line, text)| (*line, text.as_str())).collect();
        assert_eq!(found, *expected, "{}\n{source}", rule.name());
    }
    // What only a base image tells is tried with a registry (tests/e2e/call.rs).
    for rule in Rule::all().filter(|rule| *rule != Rule::InvalidBaseImagePlatform) {
        let rows = || ROWS.iter().filter(|(of, ..)| *of == rule);
        assert!(rows().any(|(.., places)| !places.is_empty()), "no file breaks {}", rule.name());
        assert!(rows().any(|(.., places)| places.is_empty()), "no file keeps {}", rule.name());
    }
}

#[test]
fn messages_name_what_was_meant() {
    for (source, message) in [
        ("ARG BASE=x\nFROM $BASS", "FROM argument 'BASS' is not declared (did you mean BASE?)"),
        ("FROM x\nARG port\nEXPOSE $prot", "Usage of undefined variable '$prot' (did you mean port?)"),
        ("FROM x\nENV AWS_KEY=x", "Do not use ARG or ENV instructions for sensitive data (ENV \"AWS_KEY\")"),
        ("FROM x AS Base", "Stage name 'Base' should be lowercase"),
        ("FROM x\nrun a\nRUN b", "Command 'run' should match the case of the command majority (uppercase)"),
    ] {
        let found = checked(source, &[]).findings;
        assert!(found.iter().any(|finding| finding.message == message), "{source}\n{found:?}");
    }
    let foreign = foreign_base("x", "linux/arm64", "linux/amd64", Span::default());
    assert_eq!(
        foreign.message,
        "Base image x is for platform \"linux/arm64\", and this build is for \"linux/amd64\""
    );
}

#[test]
fn a_base_image_may_declare_a_variable() {
    for (source, certainty) in [
        ("FROM scratch\nUSER $a", Certainty::Certain),
        ("FROM scratch AS b\nFROM B\nUSER $a", Certainty::Certain),
        ("FROM x\nUSER $a", Certainty::UnlessInBase),
        ("FROM x AS scratchy\nFROM scratchy\nUSER $a", Certainty::UnlessInBase),
    ] {
        let checked = checked(source, &[(CHECK_ARG, "error=true")]);
        let [finding] = checked.findings.as_slice() else { panic!("{source}: {checked:?}") };
        assert_eq!((finding.rule, finding.certainty), (Rule::UndefinedVar, certainty), "{source}");
        assert_eq!(checked.violations().is_some(), certainty == Certainty::Certain, "{source}");
    }
}

/// A file that breaks three rules, one of them experimental.
const BROKEN: &str = "# about\nFROM scratch AS A\nCMD b\n";

#[test]
fn options_choose_the_rules() {
    const NAMES: [&str; 2] = ["StageNameCasing", "JSONArgsRecommended"];
    for (options, expected, violations) in [
        ("", &NAMES[..], None),
        ("skip=StageNameCasing", &NAMES[1..], None),
        ("skip = JSONArgsRecommended , StageNameCasing ;", &[], None),
        ("skip=all;error=true", &[], None),
        ("error=true", &NAMES, Some("JSONArgsRecommended, StageNameCasing")),
        ("error=false", &NAMES, None),
        ("skip=StageNameCasing;error=TRUE", &NAMES[1..], Some("JSONArgsRecommended")),
        (
            "experimental=all;skip=JSONArgsRecommended",
            &["InvalidDefinitionDescription", "StageNameCasing"],
            None,
        ),
        ("experimental=InvalidDefinitionDescription;skip=all", &[], None),
    ] {
        let as_directive =
            if options.is_empty() { BROKEN.to_owned() } else { format!("# check={options}\n{BROKEN}") };
        let by_argument = checked(&format!("# check=skip=all\n{BROKEN}"), &[(CHECK_ARG, options)]);
        for checked in [checked(&as_directive, &[]), by_argument] {
            let names: Vec<&str> = checked.findings.iter().map(|finding| finding.rule.name()).collect();
            assert_eq!(names, expected, "{options}");
            assert_eq!(checked.violations().as_deref(), violations, "{options}");
            assert_eq!(checked.unknown, [""; 0], "{options}");
        }
    }
    let strange = checked("# check=skip=StageNameCasting,X;experimental=Y\nFROM x\n", &[]);
    assert_eq!(strange.unknown, ["StageNameCasting (did you mean StageNameCasing?)", "X", "Y"]);
}

#[test]
fn wrong_options_are_refused_with_their_place() {
    for (options, message) in [
        ("skip", "invalid check option \"skip\"; it is skip=, error= or experimental="),
        (
            "skp=all",
            "invalid check option \"skp=all\" (did you mean skip?); it is skip=, error= or experimental=",
        ),
        ("error=maybe", "check option error=\"maybe\": neither true nor false"),
        ("skip=all;skip=all", "check option skip= is given twice"),
    ] {
        let source = format!("# escape=\\\n# check={options}\nFROM x\n");
        let dockerfile = parse(&source).unwrap();
        let (none, given) = (BTreeMap::new(), BTreeMap::from([(CHECK_ARG.to_owned(), options.to_owned())]));
        for (build_args, line) in [(&none, Some(2)), (&given, None)] {
            let predefined = BTreeMap::new();
            let subject = Subject {
                source: &source,
                dockerfile: &dockerfile,
                build_args,
                predefined: &predefined,
                ignore: None,
            };
            let error = check(&subject).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.span.map(|span| span.first_line)), (message, line));
        }
    }
}
