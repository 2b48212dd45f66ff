//! OTLP over HTTP as JSON (opentelemetry-proto 1, `ExportTraceServiceRequest`): the build, its stages and their steps as
//! spans of one trace, sent to a collector when the build has ended.
//!
//! The variables are those of the OpenTelemetry specification ("OTLP exporter configuration").

use std::collections::HashMap;
use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::spans::{End, Kind, Span};
use crate::cli::environment::variable;
use crate::cli::failure::Failure;
use crate::web;

/// How long a collector may take, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);
/// `SPAN_KIND_INTERNAL`, `STATUS_CODE_OK` and `STATUS_CODE_ERROR` of the protocol.
const INTERNAL: u32 = 1;
const OK: u32 = 1;
const ERROR: u32 = 2;

/// Where spans go, and as what.
#[derive(Clone, Debug)]
pub(super) struct Collector {
    url: String,
    headers: Vec<(String, String)>,
    timeout: Duration,
    /// Attributes of whoever builds.
    resource: Vec<(String, String)>,
    /// The trace and the span that the build is a part of.
    parent: Option<(String, String)>,
}

impl Collector {
    /// What the environment says; `None` if it names no collector. Errors if a variable is no text.
    pub(super) fn of_environment() -> Result<Option<Self>, Failure> {
        let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let names = names.filter(|name| name.starts_with("OTEL_") || name == "TRACEPARENT");
        let texts = names.filter_map(|name| Some(variable(&name).transpose()?.map(|value| (name, value))));
        let texts = texts.collect::<Result<HashMap<_, _>, Failure>>()?;
        Ok(Self::of(&|name| texts.get(name).filter(|value| !value.is_empty()).cloned()))
    }

    fn of(variable: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return None;
        }
        let either = |name: &str| {
            variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
                .or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let url = match variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            Some(url) => url,
            None => format!("{}/v1/traces", variable("OTEL_EXPORTER_OTLP_ENDPOINT")?.trim_end_matches('/')),
        };
        let milliseconds = either("TIMEOUT").and_then(|text| text.parse().ok());
        let mut resource = vec![
            ("service.name".to_owned(), "rbuild".to_owned()),
            ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ];
        resource.extend(pairs(&variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default()));
        resource.extend(variable("OTEL_SERVICE_NAME").map(|name| ("service.name".to_owned(), name)));
        Some(Self {
            url,
            headers: pairs(&either("HEADERS").unwrap_or_default()),
            timeout: milliseconds.map_or(USUAL_TIMEOUT, Duration::from_millis),
            resource,
            parent: variable("TRACEPARENT").and_then(|text| parent(&text)),
        })
    }

    /// Sends the spans, whose times are those since `began`.
    pub(super) fn send(
        &self,
        spans: &[Span],
        began: SystemTime,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), web::Error> {
        let body = self.request(spans, began).to_string().into_bytes();
        web::send(&self.url, &self.headers, ("application/json", body), self.timeout, cancelled)
    }

    fn request(&self, spans: &[Span], began: SystemTime) -> Value {
        let since = began.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed =
            blake3::hash(format!("{} {} {}", since.as_nanos(), std::process::id(), spans.len()).as_bytes());
        let own = seed.to_hex()[..32].to_owned();
        let (trace, above) = self.parent.clone().map_or((own, None), |(trace, span)| (trace, Some(span)));
        let id =
            |number: usize| blake3::hash(format!("{seed} {number}").as_bytes()).to_hex()[..16].to_owned();
        let told = spans.iter().enumerate().map(|(number, span)| {
            let mut told = json!({
                "traceId": trace,
                "spanId": id(number),
                "name": name(span),
                "kind": INTERNAL,
                "startTimeUnixNano": (since + span.began).as_nanos().to_string(),
                "endTimeUnixNano": (since + span.began + span.time()).as_nanos().to_string(),
                "attributes": attributes(&own_attributes(span)),
                "status": status(&span.end),
            });
            if let Some(parent) = span.within.map(id).or_else(|| above.clone()) {
                told["parentSpanId"] = parent.into();
            }
            told
        });
        let spans: Vec<Value> = told.collect();
        // of two that have one name the later counts
        let mut resource: Vec<(String, String)> = Vec::new();
        for (name, value) in &self.resource {
            resource.retain(|(known, _)| known != name);
            resource.push((name.clone(), value.clone()));
        }
        let scope = json!({ "name": "rbuild", "version": env!("CARGO_PKG_VERSION") });
        json!({ "resourceSpans": [{
            "resource": { "attributes": attributes(&resource) },
            "scopeSpans": [{ "scope": scope, "spans": spans }],
        }] })
    }
}

fn name(span: &Span) -> String {
    match span.kind {
        Kind::Build => format!("build {}", span.name),
        Kind::Stage(_) => format!("stage {}", span.name),
        Kind::Step { .. } | Kind::Transfer(_) => span.name.clone(),
    }
}

fn own_attributes(span: &Span) -> Vec<(String, String)> {
    let mut pairs = vec![("rbuild.end".to_owned(), span.end.word().to_owned())];
    let mut add = |name: &str, value: String| pairs.push((format!("rbuild.{name}"), value));
    match span.kind {
        Kind::Build => add("platform", span.name.clone()),
        Kind::Stage(number) => add("stage", (number - 1).to_string()),
        Kind::Step { stage, .. } => {
            add("stage", (stage - 1).to_string());
            add("step", span.place());
        }
        Kind::Transfer(size) => add("bytes", size.to_string()),
    }
    pairs
}

fn status(end: &End) -> Value {
    match end {
        End::Done | End::Cached(_) => json!({ "code": OK }),
        End::Failed(why) => json!({ "code": ERROR, "message": why }),
        End::Stopped => json!({ "code": ERROR, "message": "stopped" }),
    }
}

fn attributes(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| json!({ "key": name, "value": { "stringValue": value } })).collect()
}

/// `name=value,name=value`, whose values may have `%41` for `A` (W3C Baggage).
fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim().to_owned(), String::from_utf8_lossy(&web::decoded(value.trim())).into_owned()))
    };
    text.split(',').filter_map(pair).filter(|(name, _)| !name.is_empty()).collect()
}

/// The trace and the span of a `traceparent` (W3C Trace Context, section 3.2): `00-<32 digits>-<16 digits>-<flags>`.
fn parent(text: &str) -> Option<(String, String)> {
    let [version, trace, span, _] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
    let is = |digits: &str, length: usize| {
        let all = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        all && digits.len() == length && digits.bytes().any(|byte| byte != b'0')
    };
    (version == "00" && is(trace, 32) && is(span, 16)).then(|| (trace.to_owned(), span.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Collector> {
        Collector::of(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_names_the_collector() {
        let (one, traces) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        for (variables, want) in [
            (&[][..], None),
            (&[(one, "http://c:4318")], Some("http://c:4318/v1/traces")),
            (&[(one, "http://c:4318/otlp/")], Some("http://c:4318/otlp/v1/traces")),
            (&[(traces, "http://c/exact"), (one, "http://no")], Some("http://c/exact")),
            (&[(one, "http://c"), ("OTEL_SDK_DISABLED", "True")], None),
        ] {
            assert_eq!(of(variables).map(|collector| collector.url).as_deref(), want, "{variables:?}");
        }
        let all = of(&[
            (one, "http://c"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x, b=2,=3,c"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=lost,env=ci"),
            ("OTEL_SERVICE_NAME", "images"),
            ("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ])
        .unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(all.headers, [pair("authorization", "Bearer x"), pair("b", "2")]);
        assert_eq!(all.timeout, Duration::from_millis(250));
        let request = all.request(&[], UNIX_EPOCH);
        let resource = request["resourceSpans"][0]["resource"]["attributes"].to_string();
        assert!(resource.contains(r#""key":"env","value":{"stringValue":"ci"}"#), "{resource}");
        assert!(resource.contains("images") && !resource.contains("lost"), "{resource}");
        assert!(all.parent.is_some());
        for wrong in ["", "00-1-2-3", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0-0-0-0"]
        {
            assert_eq!(parent(wrong), None, "{wrong}");
        }
    }
}
