//! ADD of files of the web: names, modes and times, what is asked again and what is not, and what goes wrong.

use std::fs;

use super::tree;
use crate::server::{Answer, Request, Server, certify};
use crate::support::{Said, World, file_of_tests, tool};

const TIME: &str = "Wed, 21 Oct 2015 07:28:00 GMT";

fn file(body: &str) -> Answer {
    Answer(200, vec![("Last-Modified", TIME.to_owned())], body.as_bytes().to_vec())
}

fn sha256(body: &str) -> String {
    let found = tool("sh", &["-c", &format!("printf '%s' '{body}' | sha256sum")]);
    format!("sha256:{}", &found[..64])
}

fn add(world: &World, words: &str, args: &[&str]) -> Said {
    world.build(&format!("FROM scratch\nADD {words}\n"), &[&["-t", "x", "--retry-delay=0"], args].concat())
}

fn hits(said: &Said) -> usize {
    said.stdout.matches("Using cache").count()
}

#[test]
fn a_file_lands_by_the_name_of_its_path() {
    let world = World::new();
    let server = Server::start(|request, _| match request.path.as_str() {
        "/moved" => Answer(301, vec![("Location", "/dir/f.txt".to_owned())], Vec::new()),
        "/named" => {
            Answer(200, vec![("Content-Disposition", "attachment; filename=other".to_owned())], b"n".to_vec())
        }
        _ => file("body"),
    });
    let host = server.address();
    for (words, want) in [
        (format!("http://{host}/dir/f.txt /t/"), &["d 0755 0:0 t", "f 0600 0:0 4 t/f.txt"][..]),
        (format!("http://{host}/dir/f.txt /t"), &["f 0600 0:0 4 t"]),
        (format!("http://{host}/a%20b?x=/y /t/"), &["d 0755 0:0 t", "f 0600 0:0 4 t/a b"]),
        (format!("http://{host}/ /t/"), &["d 0755 0:0 t", "f 0600 0:0 4 t/__unnamed__"]),
        (format!("http://{host}/moved /t/"), &["d 0755 0:0 t", "f 0600 0:0 4 t/moved"]),
        (format!("http://{host}/named /t/"), &["d 0755 0:0 t", "f 0600 0:0 1 t/named"]),
        (format!("--chmod=a+x --chown=7:8 http://{host}/f /t/"), &["d 0755 7:8 t", "f 0711 7:8 4 t/f"]),
        (
            format!("http://{host}/a http://{host}/b <<c /t/\nccc\nc"),
            &["d 0755 0:0 t", "f 0600 0:0 4 t/a", "f 0600 0:0 4 t/b", "f 0644 0:0 4 t/c"],
        ),
    ] {
        add(&world, &words, &[]).good();
        assert_eq!(tree(&world, "x"), want, "{words}");
    }
    // The time is the server's, else the beginning of time; words with variables; files of the context beside it.
    world.file("local", "l");
    let dockerfile =
        format!("FROM scratch\nARG N=f\nADD http://{host}/$N local /t/\nADD http://{host}/named /\n");
    world.build(&dockerfile, &["-t", "x"]).good();
    let config = world.config("x");
    let layers = config["rootfs"]["diff_ids"].as_array().unwrap().iter();
    let blobs = world.store().join("blobs/sha256");
    let layers: Vec<String> =
        layers.map(|id| blobs.join(&id.as_str().unwrap()[7..]).display().to_string()).collect();
    let script = file_of_tests("flatten.py");
    let mut args = vec![script.as_str(), "--times"];
    args.extend(layers.iter().map(String::as_str));
    let rows = tool("python3", &args);
    let times: Vec<&str> = rows
        .lines()
        .filter(|row| !row.contains("local"))
        .map(|row| row.split(" #").next().unwrap())
        .collect();
    assert_eq!(times[0], "f 0600 0:0 1 named @0+0");
    assert_eq!(times[2], "f 0600 0:0 4 t/f @1445412480+0");
}

#[test]
fn an_unchanged_file_is_not_sent_again() {
    let world = World::new();
    let tag = |request: &Request| request.headers.get("if-none-match").cloned();
    let since = |request: &Request| request.headers.get("if-modified-since").cloned();
    let server = Server::start(move |request, before| match request.path.as_str() {
        "/tag" if tag(request).as_deref() == Some("\"1\"") => Answer(304, Vec::new(), Vec::new()),
        "/tag" => Answer(200, vec![("ETag", "\"1\"".to_owned())], b"tagged".to_vec()),
        "/time" if since(request).as_deref() == Some(TIME) => Answer(304, Vec::new(), Vec::new()),
        "/time" => file("timed"),
        "/change" => Answer(200, vec![("ETag", format!("\"{}\"", tag(request).is_some()))], b"same".to_vec()),
        "/turn" => Answer(200, Vec::new(), format!("{:02}", before % 100).into_bytes()),
        _ => Answer(200, Vec::new(), b"bare".to_vec()),
    });
    let host = server.address();
    for (path, conditions) in [("tag", true), ("time", true), ("change", true), ("bare", false)] {
        let words = format!("http://{host}/{path} /");
        assert_eq!(hits(&add(&world, &words, &[]).good()), 0, "{path}");
        assert!(tag(&server.seen()[0]).is_none(), "{path}: nothing is known yet");
        // Unchanged, or changed to the same bytes: the step is not done again.
        assert_eq!(hits(&add(&world, &words, &[]).good()), 1, "{path}");
        let seen = server.seen();
        assert_eq!(seen.len(), 1, "{path}: {seen:?}");
        assert_eq!(tag(&seen[0]).is_some() || since(&seen[0]).is_some(), conditions, "{path}: {seen:?}");
    }
    // Known to be unchanged, but the bytes are wanted elsewhere: then they are fetched, without conditions.
    add(&world, &format!("http://{host}/tag /other"), &[]).good();
    let conditions: Vec<bool> = server.seen().iter().map(|request| tag(request).is_some()).collect();
    assert_eq!(conditions, [true, false]);
    assert_eq!(tree(&world, "x"), ["f 0600 0:0 6 other"]);
    // --no-cache believes nobody.
    add(&world, &format!("http://{host}/tag /other"), &["--no-cache"]).good();
    assert!(server.seen().iter().all(|request| tag(request).is_none()));
    // Other bytes, as many as before, without and with a file of the context beside them.
    world.file("local", "l");
    let words = format!("http://{host}/turn local /t/");
    let contents = [(); 2].map(|()| {
        add(&world, &words, &[]).good();
        world.tree("x")[2].clone()
    });
    assert_ne!(contents[0], contents[1]);
    server.seen();
    // What is remembered is no secret and no trust: torn, it is as if it were not there.
    for record in fs::read_dir(world.store().join("rbuild/downloads")).unwrap() {
        fs::write(record.unwrap().path(), "{").unwrap();
    }
    assert_eq!(hits(&add(&world, &format!("http://{host}/tag /other"), &[]).good()), 1);
    assert!(server.seen().iter().all(|request| tag(request).is_none()));
}

#[test]
fn a_checksum_is_held_and_saves_the_question() {
    let world = World::new();
    let server = Server::start(|_, _| file("body"));
    let url = format!("http://{}/f", server.address());
    let good = sha256("body");
    let words = format!("--checksum={good} {url} /");
    add(&world, &words, &[]).good();
    assert_eq!(server.seen().len(), 1);
    assert_eq!(hits(&add(&world, &words, &[]).good()), 1);
    assert_eq!(server.seen().len(), 0, "a recorded checksum needs no server");
    world.build(&format!("FROM scratch\nARG C={good}\nADD --checksum=$C {url} /g\n"), &["-t", "x"]).good();
    assert_eq!(tree(&world, "x"), ["f 0600 0:0 4 g"]);
    let wrong = sha256("other");
    world.file("f", "f");
    for (words, want) in [
        (format!("--checksum={wrong} {url} /"), format!("digest mismatch: expected {wrong}, found {good}")),
        (format!("--checksum=sha256:12 {url} /"), "sha256:12".to_owned()),
        (format!("--checksum=md5:12 {url} /"), "md5:12".to_owned()),
        (format!("--checksum={good} f /"), "checksum requires HTTP(S) or Git sources".to_owned()),
        (
            format!("--checksum={good} {url} {url} /t/"),
            "checksum can't be specified for multiple sources".to_owned(),
        ),
    ] {
        add(&world, &words, &["-t", "bad"]).fails(125, &want);
        assert!(!world.run(&["images"]).good().stdout.contains("bad"), "{words}");
    }
}

#[test]
fn an_archive_of_the_web_is_unpacked_only_if_that_is_asked_for() {
    let world = World::new();
    world.file("in/f", "f");
    let archive = world.path("a.tar.xz");
    let names = [archive.to_str().unwrap(), world.context().to_str().unwrap()].map(str::to_owned);
    tool(
        "tar",
        &["--create", "--xz", "--owner=3", "--group=4", "--file", &names[0], "--directory", &names[1], "in"],
    );
    let bytes = fs::read(&archive).unwrap();
    let size = bytes.len();
    let server = Server::start(move |_, _| Answer(200, vec![("ETag", "\"a\"".to_owned())], bytes.clone()));
    let url = format!("http://{}/a.tar.xz", server.address());
    add(&world, &format!("{url} /"), &[]).good();
    assert_eq!(tree(&world, "x"), [format!("f 0600 0:0 {size} a.tar.xz")]);
    for _ in 0..2 {
        add(&world, &format!("--unpack=true {url} /"), &[]).good();
        assert_eq!(tree(&world, "x"), ["d 0755 3:4 in", "f 0644 3:4 1 in/f"]);
    }
}

#[test]
fn what_goes_wrong_is_told_and_changes_nothing() {
    let world = World::new();
    let server = Server::start(|request, before| match request.path.as_str() {
        "/later" if before < 2 => Answer(503, Vec::new(), Vec::new()),
        "/broken" => Answer(500, Vec::new(), Vec::new()),
        "/loop" => Answer(302, vec![("Location", "/loop".to_owned())], Vec::new()),
        "/out" => Answer(302, vec![("Location", "file:///etc/passwd".to_owned())], Vec::new()),
        "/304" => Answer(304, Vec::new(), Vec::new()),
        "/later" => file("body"),
        _ => Answer(404, Vec::new(), b"no such file".to_vec()),
    });
    let host = server.address();
    add(&world, &format!("http://{host}/later /"), &["--retry=2"]).good();
    assert_eq!(server.seen().len(), 3);
    for (words, want) in [
        (format!("http://u:secret@{host}/nope /"), format!("http://xxxxx@{host}/nope: HTTP 404 Not Found")),
        (format!("http://{host}/broken /"), "HTTP 500 Internal Server Error".to_owned()),
        (format!("http://{host}/loop /"), "more than 10 redirections".to_owned()),
        (format!("http://{host}/out /"), "HTTP 302 Found".to_owned()),
        (format!("http://{host}/304 /"), "HTTP 304 to a request without conditions".to_owned()),
        ("http://127.0.0.1:1/x /".to_owned(), "http://127.0.0.1:1/x: no answer".to_owned()),
        ("ftp://h/x /".to_owned(), "the scheme \"ftp\" is not one of http, https, git, ssh".to_owned()),
        ("file:///etc/passwd /".to_owned(), "the scheme \"file\" is not one of".to_owned()),
        ("http://:x/ /".to_owned(), "http://:x/: ".to_owned()),
    ] {
        let said = add(&world, &words, &["--retry=1", "-t", "bad"]).fails(125, &want);
        assert!(
            said.stderr.contains("Dockerfile:2") && !world.run(&["images"]).good().stdout.contains("bad"),
            "{words}"
        );
    }
    world
        .build(&format!("FROM scratch\nCOPY http://{host}/x /\n"), &[])
        .fails(125, "source can't be a URL for COPY");
}

#[test]
fn credentials_stay_with_their_host_and_out_of_the_image() {
    let world = World::new();
    let other = Server::start(|_, _| file("body"));
    let elsewhere = format!("http://{}/f", other.address());
    let server = Server::start(move |request, _| match request.headers.get("authorization") {
        None => Answer(401, Vec::new(), Vec::new()),
        Some(_) if request.path == "/away" => Answer(302, vec![("Location", elsewhere.clone())], Vec::new()),
        Some(_) => file("body"),
    });
    let host = server.address();
    add(&world, &format!("http://user:hunter2@{host}/f http://user:hunter2@{host}/away /t/"), &[]).good();
    let basic = "Basic dXNlcjpodW50ZXIy";
    let seen = server.seen();
    assert!(seen.iter().all(|request| request.headers["authorization"] == basic), "{seen:?}");
    let seen = other.seen();
    assert!(seen.len() == 1 && !seen[0].headers.contains_key("authorization"), "{seen:?}");
    assert!(!seen[0].headers.contains_key("referer"), "{seen:?}");
    assert_eq!(tree(&world, "x"), ["d 0755 0:0 t", "f 0600 0:0 4 t/away", "f 0600 0:0 4 t/f"]);
    let found = tool("sh", &["-c", &format!("grep -rl hunter2 {} || true", world.store().display())]);
    assert_eq!(found, "", "the password is in no file of the store");
}

#[test]
fn https_is_verified_and_a_proxy_is_used() {
    let world = World::new();
    certify(world.path("").as_path());
    let server = Server::with_tls(&world.path(""), |_, _| file("body"));
    world.file("Dockerfile", format!("FROM scratch\nADD https://{}/f /\n", server.address()));
    let build = |arguments: &[&str], variables: &[(&str, String)]| {
        let mut command = world.command();
        command.args(["bud", "-t", "x", "--retry=0"]).args(arguments).arg(world.context());
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"] {
            command.env_remove(name);
        }
        Said::of(command.envs(variables.iter().map(|(name, value)| (name, value))).output().unwrap())
    };
    build(&[], &[]).fails(125, "TLS; hint: --tls-verify=false");
    build(&["--tls-verify=false"], &[]).good();
    build(&["--no-cache"], &[("SSL_CERT_FILE", world.path("cert.pem").display().to_string())]).good();
    assert_eq!(tree(&world, "x"), ["f 0600 0:0 4 f"]);
    // A name that nobody resolves but the proxy; this machine's own addresses are never asked of one.
    let proxy = Server::start(|request, _| match request.path.as_str() {
        "http://files.invalid/f" => file("by proxy"),
        _ => Answer(500, Vec::new(), Vec::new()),
    });
    let through = [("http_proxy", format!("http://{}", proxy.address()))];
    world.file("Dockerfile", "FROM scratch\nADD http://files.invalid/f /\n");
    build(&[], &through).good();
    assert_eq!(tree(&world, "x"), ["f 0600 0:0 8 f"]);
    assert_eq!(proxy.seen().len(), 1);
    let plain = Server::start(|_, _| file("direct"));
    world.file("Dockerfile", format!("FROM scratch\nADD http://{}/f /\n", plain.address()));
    build(&[], &through).good();
    assert_eq!((proxy.seen().len(), plain.seen().len()), (0, 1));
}
