//! What holds for any input whatever. The fuzz targets (`fuzz/`) and the tests of random texts feed these, which panic
//! where it does not hold.

use std::collections::BTreeMap;

use super::lint::{self, CHECK_ARG};
use super::{
    Dockerfile, IgnoreFile, Instruction, Step, detect_syntax, dump, expand, expand_heredoc, expand_words,
    outline, parse, parse_onbuild, render_excerpt,
};

/// Every place that is named lies in the text; a step stands for itself; whatever is asked of a file has an answer.
pub fn parsing(text: &str) {
    let _ = detect_syntax(text);
    let _ = parse_onbuild(text, '`').map_err(|error| error.render(text, "f"));
    match parse(text) {
        Ok(file) => {
            for step in file.stages.iter().flat_map(|stage| &stage.steps).chain(&file.global_args) {
                a_step_stands_for_itself(text, &file, step);
            }
            answers(text, &file);
        }
        Err(diagnostics) => {
            assert!(!diagnostics.0.is_empty(), "refused and no reason");
            for diagnostic in &diagnostics.0 {
                assert!(text.get(diagnostic.span.bytes()).is_some(), "{diagnostic:?}");
                render_excerpt(text, "f", &diagnostic.span);
            }
        }
    }
}

/// Its lines, in another file with the same escape character, are the same step.
fn a_step_stands_for_itself(text: &str, file: &Dockerfile, step: &Step) {
    let own = text.get(step.span.bytes()).unwrap_or_else(|| panic!("{step:?}"));
    let lines = text[..step.span.start].matches('\n').count() + 1;
    assert_eq!(step.span.first_line, lines, "{step:?}");
    let head = format!("# escape={}\nFROM x\n", file.escape);
    let alone = parse(&format!("{head}{own}")).unwrap_or_else(|error| panic!("{own:?}: {error}"));
    let [again] = &alone.stages[0].steps[..] else { panic!("{own:?}: {alone:?}") };
    assert_eq!(again.text, step.text, "{own:?}");
    if let (Instruction::Run(again), Instruction::Run(run)) = (&again.instruction, &step.instruction) {
        // mounts know their places, which are others
        assert_eq!((&again.command, &again.heredocs), (&run.command, &run.heredocs), "{own:?}");
    } else {
        assert_eq!(again.instruction, step.instruction, "{own:?}");
    }
    if let Instruction::Onbuild(trigger) = &step.instruction {
        let stored = parse_onbuild(trigger, file.escape);
        assert!(stored.is_ok(), "{trigger:?}: {stored:?}");
    }
}

fn answers(text: &str, file: &Dockerfile) {
    let build_args = BTreeMap::from([(CHECK_ARG.to_owned(), "experimental=all".to_owned())]);
    let predefined = BTreeMap::from([("TARGETPLATFORM", "linux/amd64".to_owned())]);
    let (dockerfile, build_args, predefined) = (file, &build_args, &predefined);
    let subject = lint::Subject { source: text, dockerfile, build_args, predefined, ignore: None };
    for finding in lint::check(&subject).into_iter().flat_map(|checked| checked.findings) {
        assert!(text.get(finding.span.bytes()).is_some(), "{finding:?}");
    }
    let subject = outline::Subject { source: text, dockerfile, build_args, predefined };
    assert_eq!(outline::targets(&subject).len(), file.stages.len());
    for index in 0..file.stages.len() {
        assert!(outline::outline(&subject, index).is_some(), "stage {index}");
    }
    let steps: usize = file.stages.iter().map(|stage| stage.steps.len()).sum();
    let instructions = file.global_args.len() + file.stages.len() + steps;
    assert_eq!(dump(text, file).lines().count(), instructions);
}

/// `word` has a value or a reason why not; taken letter by letter it is a text that every way to write it brings back.
/// `value` is what `$v` says.
pub fn expansion(word: &str, value: &str) {
    let lookup = |name: &str| match name {
        "v" => Some(value.to_owned()),
        "e" => Some(String::new()),
        "b" => None,
        _ => Some("aabca*".to_owned()),
    };
    let _ = expand_heredoc(word, &lookup);
    for escape in ['\\', '`'] {
        let of =
            |word: &str| expand(word, escape, &lookup).unwrap_or_else(|error| panic!("{word:?}: {error}"));
        match (expand(word, escape, &lookup), expand_words(word, escape, &lookup)) {
            (Ok(one), Ok(several)) => {
                assert_eq!(without_blanks(&several.concat()), without_blanks(&one), "{word:?}");
            }
            (Err(one), Err(several)) => assert_eq!(one, several),
            (one, several) => panic!("{word:?}: {one:?} but {several:?}"),
        }
        let escaped: String = word.chars().flat_map(|c| [escape, c]).collect();
        assert_eq!(of(&escaped), word, "{escaped:?}");
        if !word.contains('\'') {
            assert_eq!(of(&format!("'{word}'")), word);
        }
        // a value is not looked at again
        assert_eq!(of("$v"), value);
        assert_eq!(of("\"${v}\""), value);
        assert_eq!(of(&format!("${{b:-{escaped}}}")), word, "{escaped:?}");
        assert_eq!(
            of(&format!("${{v#{escaped}}}")),
            value.strip_prefix(word).unwrap_or(value),
            "{escaped:?}"
        );
        assert_eq!(
            of(&format!("${{v%%{escaped}}}")),
            value.strip_suffix(word).unwrap_or(value),
            "{escaped:?}"
        );
        if !word.is_empty() {
            assert_eq!(of(&format!("${{v//{escaped}/x}}")), value.replace(word, "x"), "{escaped:?}");
        }
    }
}

fn without_blanks(text: &str) -> String {
    text.split_whitespace().collect()
}

/// What is below a directory that need not be entered is ignored; without exceptions so is all that is below something
/// ignored; and the last line decides. `path` need not be clean.
pub fn ignoring(text: &str, path: &str) {
    let names: Vec<&str> = path.split('/').filter(|name| !["", ".", ".."].contains(name)).collect();
    let path = names.join("/");
    let Ok(file) = IgnoreFile::parse(text) else { return };
    let mut above = String::new();
    let has_exceptions = text.lines().any(|line| line.trim_start_matches('\u{feff}').trim().starts_with('!'));
    for name in &names {
        if !above.is_empty() {
            assert!(
                !file.can_skip_dir(&above) || file.ignores(&path),
                "{text:?}: {above:?} is skipped, {path:?} is not"
            );
            assert!(
                has_exceptions || !file.ignores(&above) || file.ignores(&path),
                "{text:?}: {above:?}, not {path:?}"
            );
            above.push('/');
        }
        above.push_str(name);
    }
    if path.is_empty() {
        assert!(!file.ignores(&path), "{text:?} ignores the context");
        return;
    }
    assert_eq!(file.ignores_source(&format!("./{path}/")), file.ignores(&path), "{text:?} on {path:?}");
    let escaped: String = path.chars().flat_map(|c| if c == '/' { vec![c] } else { vec!['\\', c] }).collect();
    if !path.contains(['\n', '\r']) && path.trim() == path {
        for (mark, ignored) in [("", true), ("!", false)] {
            let decided = IgnoreFile::parse(&format!("{text}\n{mark}{escaped}"));
            let decided = decided.unwrap_or_else(|error| panic!("{text:?} and {escaped:?}: {error}"));
            assert_eq!(decided.ignores(&path), ignored, "{text:?} and {mark}{escaped:?}");
        }
    }
}
