//! Who may have what is elsewhere: secrets by the names that BuildKit gives them, and what a URL says.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::copy::tree;
use crate::repository::Daemon;
use crate::server::{Answer, Request, Server};
use crate::support::{Said, World, tool};

/// What the builds here know and nobody else may.
const SECRET: &str = "hunter2";

/// Builds with secrets `ID=VALUE`.
fn build(world: &World, secrets: &[String], file: &str) -> Said {
    world.file("Dockerfile", file);
    let mut command = world.command();
    command.args(["bud", "--no-cache", "--retry=0", "-t", "x"]);
    for (number, secret) in secrets.iter().enumerate() {
        let (id, value) = secret.split_once('=').unwrap();
        command.arg(format!("--secret=id={id},env=SECRET{number}")).env(format!("SECRET{number}"), value);
    }
    Said::of(command.arg(world.context()).output().unwrap())
}

/// Panics if the secret is in what was said or in a file of the store.
#[track_caller]
fn untold(world: &World, said: &Said) {
    for secret in [SECRET, "aHVudGVyM"] {
        assert!(
            !said.stdout.contains(secret) && !said.stderr.contains(secret),
            "{}\n{}",
            said.stdout,
            said.stderr
        );
        let found = tool("sh", &["-c", &format!("grep -rl {secret} {} || true", world.store().display())]);
        assert_eq!(found, "");
    }
}

#[test]
fn files_of_the_web_come_to_who_may_have_them() {
    let world = World::new();
    let elsewhere = Server::start(|_, _| Answer(200, Vec::new(), b"elsewhere".to_vec()));
    let other = format!("http://localhost:{}/f", elsewhere.address().port());
    let server = Server::start(move |request: &Request, _| {
        let header = request.headers.get("authorization").map(String::as_str);
        match (&*request.path, header) {
            ("/moved", _) => Answer(302, vec![("Location", other.clone())], Vec::new()),
            (_, Some("Bearer hunter2" | "Custom hunter2" | "Basic dTpodW50ZXIy")) => {
                Answer(200, Vec::new(), b"mine".to_vec())
            }
            _ => Answer(401, Vec::new(), Vec::new()),
        }
    });
    let (host, port) = ("127.0.0.1", server.address().port());
    let url = |user: &str, path: &str| format!("http://{user}{host}:{port}/{path}");
    let own = |name: &str, value: &str| vec![format!("{name}={value}")];
    let both = [
        own("HTTP_AUTH_TOKEN_127.0.0.1", "wrong"),
        own(&format!("HTTP_AUTH_HEADER_{host}:{port}"), "Custom hunter2"),
    ];
    for (secrets, source, want) in [
        (own("HTTP_AUTH_TOKEN_127.0.0.1", "hunter2\n"), url("", "f?token=hunter2"), Ok(4)),
        (own("HTTP_AUTH_HEADER_127.0.0.1", "Custom hunter2"), url("", "f"), Ok(4)),
        (both.concat(), url("", "f"), Ok(4)),
        (Vec::new(), url("u:hunter2@", "f"), Ok(4)),
        // the secret goes before what the URL says, and to no other host
        (own("HTTP_AUTH_TOKEN_127.0.0.1", "hunter2"), url("u:wrong@", "f"), Ok(4)),
        (own("HTTP_AUTH_TOKEN_127.0.0.1", "hunter2"), url("", "moved"), Ok(9)),
        (
            own("HTTP_AUTH_TOKEN_other", "hunter2"),
            url("", "f?token=other"),
            Err("/f?xxxxx: HTTP 401 Unauthorized"),
        ),
        (
            own("HTTP_AUTH_TOKEN_127.0.0.1", "hunter2\nX: y"),
            url("", "f"),
            Err("is no line of text, and so no header"),
        ),
    ] {
        let said = build(&world, &secrets, &format!("FROM scratch\nADD {source} /t\n"));
        match want {
            Ok(size) => {
                let said = said.good();
                assert_eq!(tree(&world, "x"), [format!("f 0600 0:0 {size} t")], "{source}");
                untold(&world, &said);
            }
            Err(want) => untold(&world, &said.fails(125, want)),
        }
    }
    // as a literal of the Dockerfile it is in no log either
    let file = format!("FROM scratch\nADD {} /t/\nCOPY none /\n", url("u:hunter2@", "f"));
    untold(&world, &build(&world, &[], &file).fails(125, "no items matching \"none\""));
    let file = format!("FROM scratch\nADD {} /t/\n", url("w:hunter2@", "f?sig=hunter2"));
    untold(&world, &build(&world, &[], &file).fails(125, "HTTP 401"));
    assert!(elsewhere.seen().iter().all(|request| !request.headers.contains_key("authorization")));
}

#[test]
fn repositories_come_to_who_may_have_them() {
    let daemon = Daemon::start();
    let (world, root) = (&daemon.world, daemon.world.path("git"));
    let seen = Arc::new(AtomicBool::new(false));
    let found = Arc::clone(&seen);
    let server = Server::start(move |request, _| {
        // what anybody sees of the programs that ask
        let lines = tool("sh", &["-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; true"]);
        let is_git = |word: &str| word.contains(SECRET) && !word.contains("grep");
        if lines.split("git").skip(1).any(is_git) {
            found.store(true, Ordering::Relaxed);
        }
        let path = request.path.split('?').next().unwrap_or_default().replacen(".git/", ".git/.git/", 1);
        let header = request.headers.get("authorization").map(String::as_str);
        // x-access-token:hunter2, u:hunter2, hunter2: without a password
        let may = [
            "Basic eC1hY2Nlc3MtdG9rZW46aHVudGVyMg==",
            "Custom hunter2",
            "Basic dTpodW50ZXIy",
            "Basic aHVudGVyMjo=",
        ];
        match (
            header.is_some_and(|header| may.contains(&header)),
            fs::read(root.join(path.trim_start_matches('/'))),
        ) {
            (true, Ok(bytes)) => Answer(200, Vec::new(), bytes),
            (true, Err(_)) => Answer(404, Vec::new(), Vec::new()),
            (false, _) => Answer(401, vec![("WWW-Authenticate", "Basic realm=x".to_owned())], Vec::new()),
        }
    });
    let host = server.address();
    let own = |name: &str, value: &str| vec![format!("{name}={value}")];
    for (secrets, user, want) in [
        (own("GIT_AUTH_TOKEN", SECRET), "", Ok(())),
        (own("GIT_AUTH_HEADER", "Custom hunter2"), "", Ok(())),
        ([own("GIT_AUTH_HEADER", "wrong"), own("GIT_AUTH_TOKEN.127.0.0.1", SECRET)].concat(), "", Ok(())),
        (Vec::new(), "u:hunter2@", Ok(())),
        (Vec::new(), "hunter2@", Ok(())),
        (own("GIT_AUTH_TOKEN.elsewhere", SECRET), "", Err("git ls-remote: fatal: could not read Username")),
        (own("GIT_AUTH_TOKEN", "wrong"), "u:hunter2@", Err("git ls-remote: fatal: ")),
    ] {
        let file = format!("FROM scratch\nADD http://{user}{host}/app.git#main /t\n");
        let said = build(world, &secrets, &file);
        match want {
            Ok(()) => {
                let said = said.good();
                assert!(
                    tree(world, "x").contains(&"f 0644 0:0 4 t/part/p".to_owned()),
                    "{secrets:?}, {user}"
                );
                untold(world, &said);
            }
            Err(want) => untold(world, &said.fails(125, want)),
        }
    }
    assert!(!seen.load(Ordering::Relaxed), "a password was on a command line");
    // the same for a context
    let context = format!("http://u:hunter2@{host}/app.git#main");
    let said =
        world.run(&["bud", "-t", "x", &context]).fails(125, "neither Containerfile of the context nor");
    untold(world, &said);
    world.run(&["bud", "ssh://git:hunter2@h/x"]).fails(125, "ssh takes no password from a URL; use a key");
}

#[test]
fn a_repository_that_has_moved_takes_no_credentials_to_another_host() {
    let daemon = Daemon::start();
    let world = &daemon.world;
    let files = |path: &str, root: &std::path::Path| {
        let path = path.split('?').next().unwrap_or_default().replacen(".git/", ".git/.git/", 1);
        fs::read(root.join(path.trim_start_matches('/')))
            .map_or(Answer(404, Vec::new(), Vec::new()), |bytes| Answer(200, Vec::new(), bytes))
    };
    let unknown = || Answer(401, vec![("WWW-Authenticate", "Basic realm=x".to_owned())], Vec::new());
    let root = world.path("git");
    let elsewhere = Server::start(move |request, _| match request.path.strip_prefix("/locked") {
        Some(_) => unknown(),
        None => files(&request.path, &root),
    });
    let (root, other) = (world.path("git"), elsewhere.address().port());
    let server = Server::start(move |request, _| {
        let to = |url: String| Answer(302, vec![("Location", url)], Vec::new());
        match request.path[1..].split_once('/') {
            Some(("renamed.git", rest)) => to(format!("/app.git/{rest}")),
            Some(("moved.git", rest)) => to(format!("http://localhost:{other}/app.git/{rest}")),
            Some(("taken.git", rest)) => to(format!("http://localhost:{other}/locked/app.git/{rest}")),
            _ if request.headers.contains_key("authorization") => files(&request.path, &root),
            _ => unknown(),
        }
    });
    let host = server.address();
    let (token, header) = ("GIT_AUTH_TOKEN=hunter2", "GIT_AUTH_HEADER=Custom hunter2");
    let (redirected, nobody) = ("The requested URL returned error: 302", "could not read Username");
    for (secret, user, repository, want) in [
        (Some(token), "", "renamed", None),
        (Some(token), "", "moved", None),
        (Some(token), "", "taken", Some(nobody)),
        (Some(header), "", "renamed", Some(redirected)),
        (Some(header), "", "moved", Some(redirected)),
        (None, "u:hunter2@", "renamed", None),
        (None, "u:hunter2@", "moved", None),
        (None, "u:hunter2@", "taken", Some(nobody)),
    ] {
        let secrets: Vec<String> = secret.into_iter().map(str::to_owned).collect();
        let file = format!("FROM scratch\nADD http://{user}{host}/{repository}.git#v1 /t\n");
        let said = build(world, &secrets, &file);
        let told: Vec<_> = elsewhere
            .seen()
            .into_iter()
            .filter(|request| request.headers.contains_key("authorization"))
            .collect();
        assert!(told.is_empty(), "{secret:?} {user} {repository}: {told:?}");
        match want {
            None => drop(said.good()),
            Some(want) => untold(world, &said.fails(125, want)),
        }
    }
}
