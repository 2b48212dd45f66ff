//! The room against a server that misbehaves.

use std::io::{Read as _, Seek as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Answers the connections one after the other with `answers`, the last of them again and again, and counts them. Each
/// answer is what is written before the connection is closed.
fn server(answers: Vec<String>) -> (String, std::sync::Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = std::sync::Arc::new(AtomicUsize::new(0));
    let served = std::sync::Arc::clone(&count);
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            drop(stream.read(&mut [0; 4096]));
            let at = served.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            drop(stream.write_all(answers[at].as_bytes()));
        }
    });
    (url, count)
}

fn reply(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
}

fn options(limit: u64) -> Options {
    Options { insecure: false, retries: 2, retry_delay: Duration::from_millis(1), limit }
}

/// What comes of asking `url`, and the file's content.
fn ask(url: &str, limit: u64) -> (Result<Answer, String>, String) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"what was there before, longer than any answer").unwrap();
    let answer = fetch(&options(limit), Request { url, ..Request::default() }, &file, &|| false);
    let answer = answer.map_err(|error| {
        let errors = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        errors.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    });
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    (answer, text)
}

#[test]
fn what_passes_is_tried_again_and_the_rest_is_told() {
    let cut = || "HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nfour".to_owned();
    let endless = "HTTP/1.1 200 X\r\nConnection: close\r\n\r\n".to_owned() + &"x".repeat(200);
    // What the server says, how often it is asked, and the body or the complaint.
    for (answers, asked, want) in [
        (vec![reply(200, "", "body")], 1, Ok("body")),
        (
            vec![reply(503, "Retry-After: 0\r\n", ""), reply(502, "", ""), reply(200, "", "body")],
            3,
            Ok("body"),
        ),
        (vec![cut(), reply(200, "", "body")], 2, Ok("body")),
        (vec![String::new(), reply(200, "", "body")], 2, Ok("body")),
        (vec![reply(500, "", "")], 3, Err("HTTP 500 Internal Server Error")),
        (vec![cut()], 3, Err("no answer, or not the whole of it")),
        (vec![reply(404, "", "no")], 1, Err("HTTP 404 Not Found")),
        (vec![reply(206, "", "no")], 1, Err("HTTP 206 Partial Content")),
        (vec![reply(200, "", &"x".repeat(101))], 1, Err("the file is longer than 100 bytes")),
        (vec![endless], 1, Err("the file is longer than 100 bytes")),
        (vec![reply(302, "Location: /\r\n", "")], 11, Err("more than 10 redirections")),
        (vec![reply(302, "Location: ftp://x/y\r\n", "")], 1, Err("a redirection to the scheme \"ftp\"")),
        (vec![reply(302, "Location: file:///etc/passwd\r\n", "")], 1, Err("HTTP 302 Found")),
    ] {
        let row = format!("{answers:?}");
        let (url, count) = server(answers);
        let (answer, text) = ask(&url, 100);
        match (answer, want) {
            (Ok(Answer::Document(document)), Ok(body)) => {
                assert_eq!((text.as_str(), document.size), (body, body.len() as u64), "{row}");
                assert_eq!(document.digest, Digest::of(body.as_bytes()), "{row}");
            }
            (Err(said), Err(want)) => assert!(said.contains(want), "{row}: {said}"),
            (answer, _) => panic!("{row}: {answer:?}"),
        }
        assert_eq!(count.load(Ordering::SeqCst), asked, "{row}");
    }
}

#[test]
fn nobody_there_is_told_without_the_password() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, want) in [
        (format!("http://u:secret@{closed}/f"), "no answer"),
        ("ftp://u:secret@h/f".to_owned(), "ftp://xxxxx@h/f: the scheme \"ftp\" is neither http nor https"),
        ("http://u:secret@:x/".to_owned(), "xxxxx@:x/"),
        ("no-url".to_owned(), "relative URL"),
    ] {
        let said = ask(&url, 1).0.unwrap_err();
        assert!(said.contains(want) && !said.contains("secret"), "{url}: {said}");
    }
}

#[test]
fn a_fetch_ends_when_it_is_asked_to() {
    // Accepts, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let file = tempfile::tempfile().unwrap();
    let asked = AtomicUsize::new(0);
    let cancelled = || asked.fetch_add(1, Ordering::SeqCst) > 2;
    let outcome = fetch(&options(1), Request { url: &url, ..Request::default() }, &file, &cancelled);
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
}

#[test]
fn names_come_from_the_path() {
    for (url, want) in [
        ("http://h/a/b.txt", "b.txt"),
        ("http://h/a/b%20c.txt?x=/y#/z", "b c.txt"),
        ("http://h/a/", "a"),
        ("http://h/x%2Fy", "y"),
        ("http://h/100%", "100%"),
        ("http://h", "__unnamed__"),
        ("http://h/", "__unnamed__"),
        ("http://h/?file=x", "__unnamed__"),
        ("http://h/a%2F..", "__unnamed__"),
    ] {
        assert_eq!(String::from_utf8(file_name(url).unwrap()).unwrap(), want, "{url}");
    }
    for (url, want) in
        [("http://u:p@h/x", "http://xxxxx@h/x"), ("http://h/x@y", "http://h/x@y"), ("git@h:x", "git@h:x")]
    {
        assert_eq!(redacted(url), want, "{url}");
    }
}
