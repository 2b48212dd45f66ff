//! What is told of a finished build: the page, Chrome's trace, and spans for a collector.

use std::fs;

use serde_json::Value;

use crate::build::BUSYBOX;
use crate::server::{Answer, Request, Server};
use crate::support::{Said, World};

/// A step that prints what would end the document of the page, were it not told as text.
const EVIL: &str = "RUN printf '</script><script>alert(1)</script>\\n<!--<b>\\033[31mred\\n'";

/// The document in a page.
fn document(page: &str) -> Value {
    let start = "<script type=\"application/json\" id=\"document\">";
    let (_, rest) = page.split_once(start).expect("the document");
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// The step with this text.
fn step<'a>(document: &'a Value, text: &str) -> &'a Value {
    let spans = document["spans"].as_array().unwrap();
    spans
        .iter()
        .find(|span| span["kind"] == "step" && span["name"] == text)
        .unwrap_or_else(|| panic!("{text}: {document:#}"))
}

#[test]
fn a_page_and_a_trace_tell_a_build() {
    let world = World::new();
    world.busybox().file("f", "f");
    let dockerfile = format!("{BUSYBOX}COPY f /f\n{EVIL}\n");
    let (page, trace) = (world.path("report.html"), world.path("trace.json"));
    let files = ["--report", page.to_str().unwrap(), "--trace", trace.to_str().unwrap()];
    let plain = world.build(&dockerfile, &["-t", "x"]).good();
    world.file("f", "g");
    let said = world.build(&dockerfile, &[&files[..], &["-t", "x"]].concat()).good();
    assert_eq!(said.stderr, plain.stderr, "nothing else is told");
    let text = fs::read_to_string(&page).unwrap();
    assert_eq!(text.matches("</script>").count(), 2, "what a step prints ends no element");
    assert!(!text.contains("<script>alert") && !text.contains("http://") && !text.contains("https://"));
    let told = document(&text);
    assert_eq!(told["names"][0], "localhost/x:latest");
    assert!(told["made"].to_string().contains(&said.id()), "{told:#}");
    let run = step(&told, EVIL);
    assert_eq!(run["log"], "</script><script>alert(1)</script>\n<!--<b>red");
    assert_eq!((&run["end"], &run["place"]), (&"done".into(), &"5/5".into()));
    assert_eq!(run["reason"], "changed: layers below");
    let copy = step(&told, "COPY f /f");
    assert_eq!(copy["changes"][0]["name"], "f", "{copy:#}");
    assert!(copy["size"].as_u64().unwrap() > 0);
    assert_eq!(step(&told, "COPY busybox /bin/busybox")["end"], "cached");
    let trace: Value = serde_json::from_slice(&fs::read(&trace).unwrap()).unwrap();
    let steps = trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["cat"] == "step");
    assert_eq!(steps.count(), 5);

    // A build that fails is told as well, and where nothing can be written its own failure counts.
    let failing = format!("{dockerfile}RUN echo so; exit 3\n");
    world.build(&failing, &files).fails(3, "exit status 3");
    let told = document(&fs::read_to_string(&page).unwrap());
    assert_eq!(step(&told, "RUN echo so; exit 3")["end"], "failed");
    assert_eq!(step(&told, "RUN echo so; exit 3")["log"], "so");
    assert!(told["failure"].as_str().unwrap().contains("exit status 3"), "{told:#}");
    let nowhere = ["--trace", "/proc/none/x"];
    world.build(&failing, &nowhere).fails(3, "[Warning] write /proc/none/x: ");
    world.build(&dockerfile, &nowhere).fails(125, "write /proc/none/x: ");
}

#[test]
fn a_collector_gets_the_spans_of_a_build() {
    let world = World::new();
    world.file("Dockerfile", "FROM scratch AS a\nLABEL x=y\nFROM scratch\nCOPY --from=a none /\n");
    let context = world.context();
    let build = |variables: &[(&str, &str)]| {
        let mut command = world.command();
        command.envs(variables.iter().copied()).args(["bud", "--jobs=1"]).arg(&context);
        Said::of(command.output().unwrap())
    };
    let server = Server::start(|request: &Request, _| {
        let is_known = request.headers.get("authorization").is_some_and(|header| header == "Bearer let me");
        Answer(if is_known { 200 } else { 401 }, Vec::new(), b"{}".to_vec())
    });
    let endpoint = format!("http://{}/base/", server.address());
    let parent = ("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20let%20me"),
        ("OTEL_SERVICE_NAME", "images"),
        parent,
    ];
    let said = build(&variables).fails(125, "none");
    assert!(!said.stderr.contains("[Warning]"), "{}", said.stderr);
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path, "/base/v1/traces");
    assert_eq!(seen[0].headers["content-type"], "application/json");
    let request: Value = serde_json::from_slice(&seen[0].body).unwrap();
    let resource = request["resourceSpans"][0]["resource"].to_string();
    assert!(resource.contains(r#""key":"service.name","value":{"stringValue":"images"}"#), "{resource}");
    let spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    let named = |name: &str| {
        spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("{name}: {request:#}"))
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let root = spans.iter().find(|span| text(&span["name"]).starts_with("build linux/")).unwrap();
    assert_eq!(root["parentSpanId"], "b7ad6b7169203331");
    for (name, above, code) in [
        ("stage a", root, 1),
        ("LABEL x=y", named("stage a"), 1),
        ("stage 1", root, 2),
        ("COPY --from=a none /", named("stage 1"), 2),
    ] {
        let span = named(name);
        assert_eq!(span["parentSpanId"], above["spanId"], "{name}");
        assert_eq!(span["traceId"], "0af7651916cd43dd8448eb211c80319c", "{name}");
        assert_eq!(span["status"]["code"], code, "{name}");
        let [began, ended] =
            ["startTimeUnixNano", "endTimeUnixNano"].map(|field| text(&span[field]).parse::<u128>().unwrap());
        let [first, last] = ["startTimeUnixNano", "endTimeUnixNano"]
            .map(|field| text(&above[field]).parse::<u128>().unwrap());
        assert!(first <= began && began <= ended && ended <= last, "{name} within {above:#}");
    }
    let ids: std::collections::BTreeSet<_> = spans.iter().map(|span| text(&span["spanId"])).collect();
    assert_eq!(ids.len(), spans.len());

    // What a collector does not take is one warning, and the build is what it is.
    world.file("Dockerfile", "FROM scratch\nLABEL x=z\n");
    for (headers, url, why) in [
        ("", endpoint.as_str(), "/base/v1/traces: HTTP 401 Unauthorized"),
        ("", "http://127.0.0.1:1", "no answer"),
        ("", "grpc", "grpc/v1/traces: "),
        ("a b=c", endpoint.as_str(), "\"a b\" is no header"),
    ] {
        let said =
            build(&[("OTEL_EXPORTER_OTLP_ENDPOINT", url), ("OTEL_EXPORTER_OTLP_HEADERS", headers)]).good();
        let warnings: Vec<_> = said.stderr.lines().collect();
        assert_eq!(warnings.len(), 1, "{}", said.stderr);
        assert!(
            warnings[0].starts_with("[Warning] the collector has not got the spans")
                && warnings[0].contains(why),
            "{}",
            warnings[0]
        );
    }
    server.seen();
    build(&[variables[0], ("OTEL_SDK_DISABLED", "true")]).good();
    assert_eq!(server.seen().len(), 0);
}
