//! What a user sees.

use crate::dockerfile::{Span, parse, render_excerpt};

fn rendered(text: &str) -> String {
    parse(text).expect_err(text).render(text, "Dockerfile")
}

#[test]
fn a_mistake_is_shown_in_its_line() {
    let text = "FROM debian\nRUN --mont=type=cache true\n";
    assert_eq!(
        rendered(text),
        "dockerfile parse error on line 2: unknown flag: --mont (did you mean mount?)\n \
         --> Dockerfile:2:5\n  |\n\
         2 | RUN --mont=type=cache true\n  |     ^^^^^^^^^^^^^^^^^\n"
    );
}

#[test]
fn all_lines_of_a_mistake_are_shown() {
    let text = "\u{feff}FROM debian\r\n\r\nSHELL bash \\\r\n\t-c \\\r\n\t-e\r\n";
    assert_eq!(
        rendered(text),
        "dockerfile parse error on lines 3-5: SHELL requires the arguments to be in JSON form\n \
         --> Dockerfile:3:7\n  |\n\
         3 | SHELL bash \\\n  |       ^^^^^^\n\
         4 | \t-c \\\n  | \t^^^^\n\
         5 | \t-e\n  | \t^^\n\
         hint: for example: SHELL [\"/bin/bash\", \"-c\"]\n"
    );
}

#[test]
fn several_mistakes_are_separated() {
    let shown = rendered("FORM a\nXYZZY b\n");
    assert_eq!(shown.matches("dockerfile parse error on line").count(), 2, "{shown}");
    assert!(
        shown.contains("^^^^\n\ndockerfile parse error on line 2: unknown instruction: XYZZY\n"),
        "{shown}"
    );
}

#[test]
fn an_endless_file_of_mistakes_is_cut() {
    let shown = rendered(&"X\n".repeat(1_000));
    assert!(shown.ends_with("\nand 950 more\n"), "{}", &shown[shown.len() - 200..]);
}

#[test]
fn an_excerpt_stands_any_span() {
    let source = "FROM a\nRUN ü\u{1b}[31m b\n";
    for (span, expected) in [
        (
            Span { first_line: 2, last_line: 2, start: 11, end: 13 },
            " --> f:2:5\n  |\n2 | RUN ü\u{fffd}[31m b\n  |     ^\n",
        ),
        (Span { first_line: 2, last_line: 2, start: 12, end: 13 }, " --> f:2\n"),
        (Span { first_line: 9, last_line: 3, start: 99, end: 1 }, " --> f:9\n"),
        (Span { first_line: 1, last_line: 1, start: 5, end: 4 }, " --> f:1\n"),
        (Span { first_line: 1, last_line: 1, start: 0, end: 0 }, " --> f:1:1\n  |\n1 | FROM a\n"),
    ] {
        assert_eq!(render_excerpt(source, "f", &span), expected, "{span:?}");
    }
    let long = format!("RUN {}", "x\\\n".repeat(20));
    let span = Span { first_line: 1, last_line: 20, start: 0, end: long.len() };
    assert!(render_excerpt(&long, "f", &span).ends_with("8 | x\\\n  | ^^\n  | …\n"));
}
