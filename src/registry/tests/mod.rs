//! The room against a scripted server, which says what no sane registry would.

pub(crate) mod daemon;
#[path = "../../../tests/loopback/mod.rs"]
mod loopback;
mod real;
pub(crate) mod scripted;

use std::io::Read;
use std::time::Duration;

use super::{Client, Error, Options};
use crate::oci::{Descriptor, Digest, Reference, media_type};
use scripted::{Reply, Request, Server};

const LAYER: &[u8] = b"the bytes of a layer, or so they say";

fn client(options: Options) -> Client {
    Client::new(options).unwrap()
}

/// Three repetitions, hardly any waiting.
pub(crate) fn patient() -> Options {
    Options { retries: 3, retry_delay: Duration::from_millis(1), ..Options::default() }
}

fn named(server: &Server, rest: &str) -> Reference {
    format!("{}/{rest}", server.address()).parse().unwrap()
}

/// What `attempt` says, with all that is below it.
fn told<T>(outcome: Result<T, Error>) -> Result<T, String> {
    outcome.map_err(|error| {
        let errors = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        errors.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    })
}

fn image() -> Vec<u8> {
    let config =
        format!(r#"{{"mediaType":"{}","digest":"{}","size":2}}"#, media_type::CONFIG, Digest::of(b"{}"));
    format!(r#"{{"schemaVersion":2,"mediaType":"{}","config":{config},"layers":[]}}"#, media_type::MANIFEST)
        .into_bytes()
}

fn index(digest: &Digest, size: usize, platform: &str) -> Vec<u8> {
    let platform = format!(r#"{{"os":"linux","architecture":"{platform}"}}"#);
    let entry = format!(
        r#"{{"mediaType":"{}","digest":"{digest}","size":{size},"platform":{platform}}}"#,
        media_type::MANIFEST
    );
    format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{entry}]}}"#, media_type::INDEX).into_bytes()
}

type Script = Box<dyn Fn(&Request, usize) -> Reply + Send>;

fn ok(media_type: &'static str, body: Vec<u8>) -> Script {
    Box::new(move |_, _| Reply::new(200).header("Content-Type", media_type).body(&body))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn manifests_are_taken_only_as_what_they_are() {
    let other = Digest::of(b"other").to_string();
    let rows: Vec<(&str, &str, Script, Result<(), &str>)> = vec![
        ("a manifest", "x:1", ok(media_type::MANIFEST, image()), Ok(())),
        (
            "an unknown tag",
            "x:1",
            Box::new(|_, _| {
                Reply::new(404)
                    .json(r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#)
            }),
            Err("/x:1: HTTP 404 MANIFEST_UNKNOWN: manifest unknown"),
        ),
        (
            "a closed door",
            "x:1",
            Box::new(|_, _| Reply::new(403).json(r#"{"errors":[{"code":"DENIED","message":"go away"}]}"#)),
            Err("HTTP 403 DENIED: go away; hint: these credentials"),
        ),
        ("a login wanted", "x:1", Box::new(|_, _| Reply::new(401)), Err("HTTP 401; hint: log in")),
        ("a web page", "x:1", ok("text/html", b"<!DOCTYPE html>".to_vec()), Err("(served as text/html)")),
        (
            "a web page with an error",
            "x:1",
            Box::new(|_, _| Reply::new(418).body(b"<html>teapot")),
            Err("HTTP 418: (a web page)"),
        ),
        (
            "half a document",
            "x:1",
            ok(media_type::MANIFEST, image()[..50].to_vec()),
            Err("not an image manifest: EOF while parsing"),
        ),
        (
            "schema 1",
            "x:1",
            ok(
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
                br#"{"schemaVersion":1}"#.to_vec(),
            ),
            Err("schema 1, which is obsolete"),
        ),
        (
            "another digest than asked for",
            "x@sha256:0000000000000000000000000000000000000000000000000000000000000000",
            ok(media_type::MANIFEST, image()),
            Err("expected sha256:00000000"),
        ),
        (
            "another digest than promised",
            "x:1",
            Box::new(move |_, _| Reply::new(200).header("Docker-Content-Digest", &other).body(&image())),
            Err("the registry sent sha256:"),
        ),
        (
            "an absurd length",
            "x:1",
            Box::new(|_, _| Reply::new(200).promise(1 << 40)),
            Err("longer than the 4194304 bytes"),
        ),
        (
            "an endless document",
            "x:1",
            Box::new(|_, _| Reply::new(200).endless()),
            Err("longer than the 4194304 bytes"),
        ),
        (
            "terminal escapes",
            "x:1",
            Box::new(|_, _| Reply::new(400).json(r#"{"errors":[{"code":"A","message":"a\u001b[2J\nb"}]}"#)),
            Err("HTTP 400 A: a[2J b"),
        ),
        (
            "too many requests once",
            "x:1",
            Box::new(|_, nth| {
                if nth == 0 {
                    Reply::new(429).header("Retry-After", "0")
                } else {
                    Reply::new(200).body(&image())
                }
            }),
            Ok(()),
        ),
        (
            "three failures",
            "x:1",
            Box::new(|_, nth| if nth < 3 { Reply::new(500) } else { Reply::new(200).body(&image()) }),
            Ok(()),
        ),
        (
            "four failures",
            "x:1",
            Box::new(
                |_, nth| if nth < 4 { Reply::new(503).body(b"busy") } else { Reply::new(200).body(&image()) },
            ),
            Err("HTTP 503: busy"),
        ),
        (
            "three hang-ups",
            "x:1",
            Box::new(|_, nth| if nth < 3 { Reply::hang_up() } else { Reply::new(200).body(&image()) }),
            Ok(()),
        ),
        ("not HTTP", "x:1", Box::new(|_, _| Reply::garbage()), Err("no answer from the registry")),
    ];
    for (what, name, script, want) in rows {
        let server = Server::start(move |request, nth| match request.path.as_str() {
            "/v2/" => Reply::new(200),
            _ => script(request, nth),
        });
        let got = told(client(patient()).manifest(&named(&server, name)));
        match (got, want) {
            (Ok(got), Ok(())) => assert_eq!(got.bytes, image(), "{what}"),
            (Err(got), Err(want)) => assert!(got.contains(want), "{what}: {got}"),
            (got, want) => panic!("{what}: {got:?}, not {want:?}"),
        }
    }
}

#[test]
fn an_index_is_followed_to_the_platform() {
    let (host, digest) = ("linux/amd64".parse().unwrap(), Digest::of(&image()));
    let rows = [
        ("ours", index(&digest, image().len(), "amd64"), Ok(())),
        (
            "another's",
            index(&digest, image().len(), "s390x"),
            Err("no image for linux/amd64; there is linux/s390x"),
        ),
        ("another length", index(&digest, 7, "amd64"), Err("expected 7 bytes")),
        ("another digest", index(&Digest::of(b""), 7, "amd64"), Err("the registry sent")),
    ];
    for (what, index, want) in rows {
        let server = Server::start(move |request, _| match request.path.as_str() {
            "/v2/x/manifests/1" => Reply::new(200).body(&index),
            path if path.starts_with("/v2/x/manifests/sha256:") => Reply::new(200).body(&image()),
            _ => Reply::new(200),
        });
        let got = told(client(patient()).manifest_for(&named(&server, "x:1"), &host));
        match (got, want) {
            (Ok(got), Ok(())) => assert_eq!(got.digest, digest, "{what}"),
            (Err(got), Err(want)) => assert!(got.contains(want), "{what}: {got}"),
            (got, want) => panic!("{what}: {got:?}, not {want:?}"),
        }
    }
}

#[test]
fn blobs_end_only_if_they_were_the_right_ones() {
    let size = LAYER.len();
    let rest = |request: &Request| {
        request.header("range").and_then(|range| range[6..].strip_suffix('-')?.parse().ok())
    };
    let rows: Vec<(&str, Script, Result<(), &str>)> = vec![
        ("whole", Box::new(|_, _| Reply::new(200).body(LAYER)), Ok(())),
        ("without a length", Box::new(|_, _| Reply::new(200).body(LAYER).unannounced()), Ok(())),
        (
            "other bytes",
            Box::new(move |_, _| Reply::new(200).body(&vec![b'x'; size])),
            Err("the registry sent sha256:"),
        ),
        ("too short", Box::new(|_, _| Reply::new(200).body(b"x")), Err("expected 36 bytes, 1 are announced")),
        (
            "too short, unannounced",
            Box::new(|_, _| Reply::new(200).body(b"x").unannounced()),
            Err("expected 36 bytes, 1 came"),
        ),
        ("too long, unannounced", Box::new(|_, _| Reply::new(200).endless()), Err("have come already")),
        (
            "absent",
            Box::new(|_, _| Reply::new(404).json(r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"who"}]}"#)),
            Err("HTTP 404 BLOB_UNKNOWN: who"),
        ),
        (
            "cut for ever",
            Box::new(move |_, _| Reply::new(200).body(&LAYER[..7]).promise(size)),
            Err("broke after 7 of 36 bytes"),
        ),
        (
            "cut, then taken up",
            Box::new(move |request, _| match rest(request) {
                Some(from) => Reply::new(206)
                    .header("Content-Range", &format!("bytes {from}-35/36"))
                    .body(&LAYER[from..]),
                None => Reply::new(200).body(&LAYER[..7]).promise(size),
            }),
            Ok(()),
        ),
        (
            "cut, then from the start",
            Box::new(move |_, nth| {
                if nth > 0 {
                    Reply::new(200).body(LAYER)
                } else {
                    Reply::new(200).body(&LAYER[..7]).promise(size)
                }
            }),
            Ok(()),
        ),
        (
            "cut, then another part",
            Box::new(move |_, nth| {
                if nth > 0 {
                    Reply::new(206).header("Content-Range", "bytes 8-35/36").body(&LAYER[8..])
                } else {
                    Reply::new(200).body(&LAYER[..7]).promise(size)
                }
            }),
            Err("Content-Range"),
        ),
    ];
    for (what, script, want) in rows {
        let server =
            Server::start(
                move |request, nth| {
                    if request.path == "/v2/" { Reply::new(200) } else { script(request, nth) }
                },
            );
        let blob = Descriptor::of(media_type::LAYER, LAYER);
        let mut bytes = Vec::new();
        let got = client(patient()).blob(&named(&server, "x:1"), &blob);
        let got = told(got.and_then(|mut reader| match reader.read_to_end(&mut bytes) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.downcast::<Error>().expect("an error of the registry")),
        }));
        assert!(bytes.len() <= size, "{what}: {} bytes were let through", bytes.len());
        match (got, want) {
            (Ok(()), Ok(())) => assert_eq!(bytes, LAYER, "{what}"),
            (Err(got), Err(want)) => {
                assert!(got.contains(want), "{what}: {got}");
                assert!(got.contains(&blob.digest.to_string()), "{what} does not name the blob: {got}");
            }
            (got, want) => panic!("{what}: {got:?}, not {want:?}"),
        }
    }
}

#[test]
fn a_redirect_elsewhere_takes_no_credentials_along() {
    let elsewhere = Server::start(|request, _| match request.header("authorization") {
        None => Reply::new(200).body(LAYER),
        Some(_) => Reply::new(400),
    });
    let target = format!("http://{}/cdn", elsewhere.address());
    let server =
        Server::start(move |request, _| match (request.path.as_str(), request.header("authorization")) {
            (_, None) => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
            ("/v2/", _) => Reply::new(200),
            _ => Reply::new(307).header("Location", &target),
        });
    let options = Options { credentials: Some(("u".to_owned(), "p".to_owned())), ..patient() };
    let blob = Descriptor::of(media_type::LAYER, LAYER);
    let mut bytes = Vec::new();
    let reader = client(options).blob(&named(&server, "x:1"), &blob);
    reader.unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, LAYER);
}

/// What a token server says to a question, by its number from 1.
type Answers = fn(usize) -> Reply;

/// A registry and token server in one: each token works twice.
fn with_tokens(realm_answers: Answers) -> Server {
    let (asked, served) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    Server::start(move |request, _| {
        let realm = format!(r#"Bearer realm="http://{}/token",service="s""#, request.header("host").unwrap());
        let challenge = || Reply::new(401).header("WWW-Authenticate", &realm);
        if request.path.starts_with("/token") {
            asked.set(asked.get() + 1);
            served.set(0);
            assert!(request.path.contains("scope=repository%3Ax%3Apull"), "{}", request.path);
            return realm_answers(asked.get());
        }
        let current = format!("Bearer t{}", asked.get());
        if request.path == "/v2/" || request.header("authorization") != Some(&current) || served.get() == 2 {
            return challenge();
        }
        served.set(served.get() + 1);
        match (request.method.as_str(), request.path.as_str()) {
            ("HEAD", _) => Reply::new(404),
            ("POST", _) => Reply::new(202).header("Location", "/v2/x/blobs/uploads/1?state=a"),
            ("PUT", _) => Reply::new(201).header("Location", "/v2/x/y"),
            (_, path) if path.contains("/manifests/") => Reply::new(200).body(&image()),
            _ => Reply::new(200).body(LAYER),
        }
    })
}

#[test]
fn tokens_are_fetched_and_renewed() {
    let server = with_tokens(|nth| Reply::new(200).json(&format!(r#"{{"token":"t{nth}"}}"#)));
    let (client, reference) = (client(patient()), named(&server, "x:1"));
    for _ in 0..5 {
        assert_eq!(client.manifest(&reference).unwrap().bytes, image());
    }
    let blob = Descriptor::of(media_type::LAYER, LAYER);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blob");
    std::fs::write(&path, LAYER).unwrap();
    let sent = std::sync::atomic::AtomicU64::new(0);
    let advanced = |more| {
        sent.fetch_add(more, std::sync::atomic::Ordering::Relaxed);
    };
    for _ in 0..3 {
        assert!(!client.has_blob(&reference, &blob.digest).unwrap());
        client.push_blob(&reference, &blob, &|| std::fs::File::open(&path), &advanced).unwrap();
    }
    assert_eq!(sent.into_inner(), 3 * blob.size, "each byte is told once, repetitions or not");
    assert_eq!(
        client.push_manifest(&reference, media_type::MANIFEST, &image()).unwrap(),
        Digest::of(&image())
    );
}

#[test]
fn token_servers_fail_in_words() {
    let rows: [(_, Answers, _); 4] = [
        (
            "refuses",
            |_| Reply::new(401).json(r#"{"errors":[{"code":"DENIED","message":"no such user"}]}"#),
            "refuses: DENIED: no such user",
        ),
        ("gives a page", |_| Reply::new(200).body(b"<html>"), "unexpected answer"),
        ("gives no token", |_| Reply::new(200).json("{}"), "unexpected answer"),
        ("gives a token that is no header", |_| Reply::new(200).json(r#"{"token":"a\nb"}"#), "is no text"),
    ];
    for (what, answers, want) in rows {
        let server = with_tokens(answers);
        let got = told(client(patient()).manifest(&named(&server, "x:1"))).unwrap_err();
        assert!(got.contains(want), "a token server that {what}: {got}");
    }
}

#[test]
fn uploads_are_repeated_and_refusals_told() {
    let rows: Vec<(&str, Script, Result<(), &str>)> = vec![
        ("taken at once", Box::new(|_, _| Reply::new(201).header("Location", "/x")), Ok(())),
        (
            "busy twice",
            Box::new(
                |_, nth| if nth < 2 { Reply::new(503) } else { Reply::new(201).header("Location", "/x") },
            ),
            Ok(()),
        ),
        (
            "cut once",
            Box::new(
                |_, nth| if nth < 1 { Reply::hang_up() } else { Reply::new(201).header("Location", "/x") },
            ),
            Ok(()),
        ),
        ("stored without a word", Box::new(|_, _| Reply::new(201)), Ok(())),
        (
            "too large",
            Box::new(|_, _| {
                Reply::new(413).json(r#"{"errors":[{"code":"SIZE_INVALID","message":"quota"}]}"#)
            }),
            Err("HTTP 413 SIZE_INVALID: quota"),
        ),
        (
            "denied",
            Box::new(|_, _| Reply::new(403).json(r#"{"errors":[{"code":"DENIED","message":"read-only"}]}"#)),
            Err("HTTP 403 DENIED: read-only"),
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blob");
    std::fs::write(&path, LAYER).unwrap();
    for (what, script, want) in rows {
        let puts = std::cell::Cell::new(0);
        let server = Server::start(move |request, _| match request.method.as_str() {
            "POST" => Reply::new(202).header("Location", "/v2/x/blobs/uploads/1"),
            "PUT" => {
                assert_eq!(request.body, LAYER);
                assert!(request.path.contains("digest=sha256%3A"), "{}", request.path);
                puts.set(puts.get() + 1);
                script(request, puts.get() - 1)
            }
            _ => Reply::new(200),
        });
        let blob = Descriptor::of(media_type::LAYER, LAYER);
        let got = client(patient()).push_blob(
            &named(&server, "x:1"),
            &blob,
            &|| std::fs::File::open(&path),
            &|_| {},
        );
        match (told(got), want) {
            (Ok(()), Ok(())) => {}
            (Err(got), Err(want)) => assert!(got.contains(want), "{what}: {got}"),
            (got, want) => panic!("{what}: {got:?}, not {want:?}"),
        }
    }
}

#[test]
fn an_absent_registry_is_told_without_waiting() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let reference = format!("127.0.0.1:{port}/x").parse().unwrap();
    let options = Options { retries: 3, retry_delay: Duration::from_mins(1), ..Options::default() };
    let error = client(options).manifest(&reference).unwrap_err();
    assert!(
        error.to_string().ends_with(&format!("/x:latest: nothing listens at 127.0.0.1:{port}")),
        "{error}"
    );
}

#[test]
fn waits_double_and_end_at_a_minute() {
    let options = Options { retries: 9, retry_delay: Duration::from_secs(2), ..Options::default() };
    let wire = super::wire::Wire::new(options).unwrap();
    for (repeated, asked, want) in [
        (0, None, 2),
        (1, None, 4),
        (4, None, 32),
        (5, None, 60),
        (99, None, 60),
        (0, Some(7), 7),
        (3, Some(0), 0),
        (0, Some(86400), 60),
    ] {
        let wait = wire.delay(repeated, asked.map(Duration::from_secs));
        assert_eq!(wait, Duration::from_secs(want), "{repeated} {asked:?}");
    }
}
