//! The README: its recipes and its table of what one types elsewhere, typed as they stand.

use std::fmt::Write as _;
use std::fs;

use super::session::Session;

/// What each recipe takes for granted, and what must be so afterwards.
const RECIPES: [(&str, &str, &str); 5] = [
    (
        "A workstation",
        "printf '#!/bin/sh\\necho hello\\n' >hello; chmod 755 hello",
        "[ \"$(rbuild run $c -- hello)\" = hello ]; tar -tf hello.tar manifest.json",
    ),
    (
        "A CI",
        "USERNAME=user PASSWORD=secret; printf 'FROM debian:bookworm\\nRUN true\\n' >Dockerfile",
        "rbuild rmi --all; rbuild prune --all; rbuild pull registry.example/team/app@$(cat digest)",
    ),
    (
        "Secrets and ssh",
        // asks the agent for its keys, as ssh does
        "ssh-keygen -q -t ed25519 -N '' -f deploy_key; eval $(ssh-agent); ssh-add -q deploy_key
        export TOKEN=not-to-be-seen; echo $TOKEN >token.txt; cat >fetch <<'end'
#!/usr/bin/perl
use IO::Socket::UNIX;
length($ENV{TOKEN} =~ s/\\n//r) == 14 or die 'no token';
$agent = IO::Socket::UNIX->new($ENV{SSH_AUTH_SOCK}) or die;
$agent->syswrite(pack 'NC', 1, 11);
$agent->sysread($answer, 9) == 9 or die;
($length, $type, $keys) = unpack 'NCN', $answer;
$type == 12 && $keys == 1 or die 'no key';
end
        chmod 755 fetch",
        "ssh-agent -k; ! grep -r not-to-be-seen ~/.local/share/rbuild/blobs",
    ),
    (
        "Several platforms",
        "rbuild login -u user -p secret registry.example",
        "rbuild pull --platform linux/arm64 registry.example/team/app:2",
    ),
    ("A script", "mkdir site; echo hello >site/index.html", "rbuild inspect site | grep -F '\"80\"'"),
];

/// What the table takes for granted.
const ELSEWHERE: &str = "rbuild login -u user -p secret registry.example; echo a >a
    printf 'FROM scratch\\nCOPY a /a\\n' >Dockerfile";

fn readme() -> String {
    fs::read_to_string("README.md").unwrap()
}

/// The text under `heading`, up to the next one of its kind or above.
fn under<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading:?}"));
    rest.split("\n## ").next().unwrap().split("\n### ").next().unwrap()
}

/// What a recipe says, as a script: Dockerfiles are written, commands are typed.
fn script(recipe: &str) -> String {
    let mut script = String::new();
    for block in recipe.split("```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').unwrap();
        match kind {
            "sh" => script.push_str(text),
            "dockerfile" => writeln!(script, "cat >Dockerfile <<'end of it'\n{text}end of it").unwrap(),
            other => panic!("a block of {other:?}"),
        }
    }
    script
}

/// The commands of the last column of a table.
fn commands(table: &str) -> Vec<String> {
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = rows.filter_map(|row| row.trim_end_matches([' ', '|']).rsplit_once(" | "));
    let spans = cells.flat_map(|(_, cell)| cell.split('`').skip(1).step_by(2));
    spans.filter(|span| span.contains("rbuild ")).map(|span| span.replace("\\|", "|")).collect()
}

#[test]
fn the_recipes_work() {
    let Some(session) = Session::start() else { return };
    let readme = readme();
    let (_, recipes) = readme.split_once("\n## Five recipes\n").unwrap();
    let shown = recipes.split("\n## ").next().unwrap().matches("\n### ").count();
    assert_eq!(shown, RECIPES.len());
    let mut wrong = Vec::new();
    for (name, before, after) in RECIPES {
        let script = format!("{}{after}", script(under(&readme, &format!("### {name}"))));
        wrong.extend(session.type_in(name, before, &script).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_said_to_those_who_come_from_elsewhere_is_true() {
    let Some(session) = Session::start() else { return };
    let readme = readme();
    let table = under(&readme, "## Coming from elsewhere");
    let commands = commands(table);
    let rows = table.lines().filter(|line| line.starts_with('|')).count() - 2;
    assert!(commands.len() >= rows, "a row without a command: {commands:#?}");
    session.type_in("elsewhere", ELSEWHERE, &commands.join("\n")).unwrap_or_else(|why| panic!("{why}"));
}
