//! ADD of Git repositories: over `git daemon` on loopback, plain HTTP files, and ssh's program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::tree;
use crate::repository::{Daemon, git};
use crate::server::{Answer, Server};
use crate::support::{Said, tool};

impl Daemon {
    fn add(&self, words: &str) -> Said {
        self.world.build(&format!("FROM scratch\nADD {words} /t\n"), &["-t", "x"])
    }

    #[track_caller]
    fn tree(&self) -> Vec<String> {
        let all = tree(&self.world, "x").into_iter();
        all.filter(|line| !line.contains("t/.git") && line != "d 0755 0:0 t").collect()
    }
}

const ONE: [&str; 4] =
    ["f 0644 0:0 3 t/a", "l 0777 0:0 t/link -> a", "d 0755 0:0 t/sub", "f 0755 0:0 2 t/sub/run"];
const TWO: [&str; 4] =
    ["f 0644 0:0 4 t/a", "l 0777 0:0 t/link -> a", "d 0755 0:0 t/sub", "f 0755 0:0 2 t/sub/run"];
const PART: [&str; 2] = ["d 0755 0:0 t/part", "f 0644 0:0 4 t/part/p"];

/// With the submodule between its neighbours.
fn with_part() -> Vec<&'static str> {
    [&TWO[..2], &PART, &TWO[2..]].concat()
}

#[test]
fn a_ref_and_a_subdirectory_are_chosen_in_fragment_and_query() {
    let daemon = Daemon::start();
    let url = daemon.url();
    let (one, two) = (daemon.commit("v1"), daemon.commit("main"));
    git(&daemon.app(), &["update-ref", "refs/pull/42/head", "v1"]);
    git(&daemon.app(), &["update-ref", "refs/pull/side", "main"]);
    let empty = [&TWO[..2], &["d 0755 0:0 t/part"], &TWO[2..]].concat();
    for (words, want) in [
        (url.clone(), with_part()),
        (format!("{url}#v1"), ONE.to_vec()),
        (format!("{url}#noted"), ONE.to_vec()),
        (format!("{url}#refs/heads/side"), ONE.to_vec()),
        (format!("{url}#pull/42/head"), ONE.to_vec()),
        (format!("{url}#tags/noted"), ONE.to_vec()),
        (format!("{url}?branch=side"), ONE.to_vec()),
        (format!("{url}?tag=v1"), ONE.to_vec()),
        (format!("{url}#{one}"), ONE.to_vec()),
        (format!("{url}?commit={two}"), with_part()),
        (format!("{url}?ref=main&checksum={}", &two[..9]), with_part()),
        (format!("--checksum={two} {url}"), with_part()),
        (format!("{url}?submodules=false"), empty),
        (format!("{url}#v1:sub"), vec!["f 0755 0:0 2 t/run"]),
        (format!("{url}?ref=v1&subdir=/sub/"), vec!["f 0755 0:0 2 t/run"]),
        (format!("--exclude=sub --exclude=l* {url}#v1"), vec!["f 0644 0:0 3 t/a"]),
        (format!("--chmod=a-w --link {url}#v1:sub"), vec!["f 0555 0:0 2 t/run"]),
    ] {
        daemon.add(&words).good();
        assert_eq!(daemon.tree(), want, "{words}");
    }
    // Nothing of it stays: no checkout in the store.
    assert_eq!(fs::read_dir(daemon.world.store().join("rbuild/live")).unwrap().count(), 0);
}

#[test]
fn the_commit_is_the_key() {
    let daemon = Daemon::start();
    let words = format!("{}#main", daemon.url());
    let hits = |said: &Said| said.stdout.matches("Using cache").count();
    assert_eq!(hits(&daemon.add(&words).good()), 0);
    assert_eq!(hits(&daemon.add(&words).good()), 1);
    // The branch moves; another name for a commit that was fetched is the same step only if it reads the same.
    git(&daemon.app(), &["checkout", "--quiet", "--force", "v1"]);
    git(&daemon.app(), &["branch", "--force", "main", "v1"]);
    assert_eq!(hits(&daemon.add(&words).good()), 0);
    assert_eq!(daemon.tree(), ONE);
    // A full id needs no server once it is recorded.
    let words = format!("{}#{}", daemon.url(), daemon.commit("v1"));
    daemon.add(&words).good();
    fs::rename(daemon.app(), daemon.world.path("git/gone")).unwrap();
    assert_eq!(hits(&daemon.add(&words).good()), 1);
}

#[test]
fn the_git_directory_is_kept_if_that_is_asked_for() {
    let daemon = Daemon::start();
    for words in [format!("--keep-git-dir=true {}", daemon.url()), format!("{}?keep-git-dir", daemon.url())] {
        daemon.add(&words).good();
        let all = tree(&daemon.world, "x");
        assert!(all.iter().any(|line| line.ends_with(" t/.git/HEAD")), "{words}: {all:?}");
        assert!(
            !all.iter().any(|line| line.contains("FETCH_HEAD") || line.contains("/hooks")),
            "{words}: {all:?}"
        );
    }
    daemon.add(&format!("--keep-git-dir=false {}", daemon.url())).good();
    let all = tree(&daemon.world, "x");
    assert!(!all.iter().any(|line| line.contains("/.git/") || line.ends_with("/.git")), "{all:?}");
    let words = format!("--keep-git-dir=false {}?keep-git-dir=true", daemon.url());
    daemon.add(&words).fails(125, "inconsistent keep-git-dir configuration");
}

#[test]
fn what_goes_wrong_is_told_and_changes_nothing() {
    let daemon = Daemon::start();
    let url = daemon.url();
    let (one, two) = (daemon.commit("v1"), daemon.commit("main"));
    let world = &daemon.world;
    for (words, want) in [
        (format!("{url}#nope"), "the repository has no branch, tag or commit \"nope\"".to_owned()),
        (format!("{url}#{}", "0".repeat(40)), format!("{url}: the repository has no branch, tag or commit")),
        (format!("{url}#v1:nope"), format!("{url} has no directory \"nope\"")),
        (format!("{url}#v1:a"), "is no directory".to_owned()),
        (format!("{url}#v1:../.."), String::new()),
        (format!("{url}?what=x"), "unexpected query \"what\"".to_owned()),
        (format!("{url}#--upload-pack=x"), "is no ref".to_owned()),
        (format!("--checksum={one} {url}"), format!("checksum mismatch: expected commit {one}, found {two}")),
        (format!("--checksum={one} {url}?checksum={two}"), "checksum conflicts".to_owned()),
        ("git://127.0.0.1:1/x".to_owned(), "git ls-remote: ".to_owned()),
        ("ssh://-oProxyCommand=touch%20x/y".to_owned(), "git ls-remote: ".to_owned()),
        ("ext::sh -c x".to_owned(), "no items matching \"ext::sh\"".to_owned()),
    ] {
        let said = world.build(&format!("FROM scratch\nADD {words} /t/\n"), &["-t", "bad"]);
        if want.is_empty() {
            // The root is the end of the way up.
            said.good();
            continue;
        }
        let said = said.fails(125, &want);
        assert!(said.stderr.contains("Dockerfile:2:"), "{words}: {}", said.stderr);
        assert_eq!(fs::read_dir(world.store().join("rbuild/live")).unwrap().count(), 0, "{words}");
    }
    world
        .build(&format!("FROM scratch\nCOPY {url} /\n"), &[])
        .fails(125, "source can't be a git ref for COPY");
    // Without the program.
    let mut command = world.command();
    command.env("PATH", "/nowhere").arg("bud").arg(world.context());
    world.file("Dockerfile", format!("FROM scratch\nADD {url} /\n"));
    Said::of(command.output().unwrap()).fails(125, "git is not installed; hint: install the package git");
}

#[test]
fn a_hostile_repository_runs_nothing() {
    let daemon = Daemon::start();
    let marks = daemon.world.path("marks");
    fs::create_dir(&marks).unwrap();
    fs::set_permissions(&marks, fs::Permissions::from_mode(0o777)).unwrap();
    let touch = |name: &str| format!("touch {}", marks.join(name).display());
    // The user's own configuration: a filter that the repository names, hooks, a file system monitor, a template.
    let hooks = daemon.world.path("hooks");
    fs::create_dir(&hooks).unwrap();
    fs::write(hooks.join("post-checkout"), format!("#!/bin/sh\n{}\n", touch("hook"))).unwrap();
    fs::set_permissions(hooks.join("post-checkout"), fs::Permissions::from_mode(0o755)).unwrap();
    let home = daemon.world.path("home");
    fs::create_dir(&home).unwrap();
    let config = format!(
        "[filter \"evil\"]\n smudge = {}; cat\n required = true\n[core]\n hooksPath = {}\n fsmonitor = {}\n autocrlf = true\n",
        touch("filter"),
        hooks.display(),
        touch("fsmonitor"),
    );
    fs::write(home.join(".gitconfig"), config).unwrap();
    // A submodule that is a file of this machine, and one that brings a command along.
    let app = daemon.app();
    git(&app, &["checkout", "--quiet", "-b", "evil", "v1"]);
    let part = daemon.world.path("git/part.git");
    git(&app, &["submodule", "--quiet", "add", "--name", "p", part.to_str().unwrap(), "p"]);
    git(&app, &["commit", "--quiet", "-m", "evil"]);
    git(&app, &["checkout", "--quiet", "-b", "update", "main"]);
    git(&app, &["config", "-f", ".gitmodules", "submodule.part.update", &format!("!{}", touch("update"))]);
    git(&app, &["commit", "--quiet", "-a", "-m", "update"]);
    for (reference, good) in [("main", true), ("evil", false), ("update", true)] {
        let world = &daemon.world;
        world.file("Dockerfile", format!("FROM scratch\nADD {}#{reference} /t\n", daemon.url()));
        let mut command = world.command();
        command.env("HOME", &home).env("GIT_DIR", "/nowhere").env("GIT_TEMPLATE_DIR", &hooks);
        let said = Said::of(command.args(["bud", "-t", "x"]).arg(world.context()).output().unwrap());
        let refused = said.code != 0;
        assert!(good || refused, "{reference}: {}", said.stderr);
        assert!(
            refused || daemon.tree()[0].starts_with("f 0644 0:0 4 t/a"),
            "{reference}: line ends are the commit's"
        );
        assert_eq!(fs::read_dir(&marks).unwrap().count(), 0, "{reference}: something ran\n{}", said.stderr);
    }
}

#[test]
fn http_and_ssh_lead_to_the_same() {
    let daemon = Daemon::start();
    // A server of plain files, which knows nothing of git: everything is fetched then, not one commit.
    let root = daemon.world.path("git");
    let server = Server::start(move |request, _| {
        let path = request.path.split('?').next().unwrap_or_default().replacen(".git/", ".git/.git/", 1);
        match (
            request.headers.contains_key("authorization"),
            fs::read(root.join(path.trim_start_matches('/'))),
        ) {
            (true, Ok(bytes)) => Answer(200, Vec::new(), bytes),
            (true, Err(_)) => Answer(404, Vec::new(), Vec::new()),
            (false, _) => Answer(401, vec![("WWW-Authenticate", "Basic realm=x".to_owned())], Vec::new()),
        }
    });
    let (host, world) = (server.address(), &daemon.world);
    let url = |user: &str| format!("http://{user}{host}/app.git?ref=main&keep-git-dir");
    daemon.add(&url("u:hunter2@")).good();
    assert_eq!(daemon.tree(), with_part());
    assert!(tree(world, "x").iter().any(|line| line.ends_with("/modules/part/config")), "with submodules");
    let found = tool("sh", &["-c", &format!("grep -rl hunter2 {} || true", world.store().display())]);
    assert_eq!(found, "", "the password is in no file of the store");
    let said = daemon.add(&url("")).fails(125, "git ls-remote: fatal: could not read Username");
    assert!(!said.stderr.contains("hunter2"));
    let said = daemon.add(&format!("http://u:hunter2@{host}/none.git")).fails(125, "git ls-remote: ");
    assert!(!said.stderr.contains("hunter2") && !said.stdout.contains("hunter2"), "{}", said.stderr);
    // The program that stands in for ssh runs here what the other side would: what it is told is what counts.
    let script = world.path("ssh");
    fs::write(
        &script,
        format!("#!/bin/sh\nfor last; do :; done\ncd {}\neval \"$last\"\n", world.path("git").display()),
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    for url in ["git@example.invalid:app.git#v1", "ssh://git@example.invalid:22/app.git#v1"] {
        let url = url.replace(":22/app.git", &format!(":22{}/app.git", world.path("git").display()));
        world.file("Dockerfile", format!("FROM scratch\nADD {url} /t\n"));
        let mut command = world.command();
        command.env("GIT_SSH_COMMAND", &script).args(["bud", "-t", "x"]).arg(world.context());
        Said::of(command.output().unwrap()).good();
        assert_eq!(daemon.tree(), ONE, "{url}");
    }
}
