//! Bad input: every answer is JSON in words, every refusal is counted, nothing panics.

use std::io::Write as _;

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Server, failure};
use crate::model::Role;
use crate::telemetry::changes::sign;
use crate::web::MAX_BODY_BYTES;

/// What this test's thread counted.
struct Counted(metrics_exporter_prometheus::PrometheusHandle);

impl Counted {
    /// The sum of a metric over its label sets.
    fn of(&self, name: &str) -> f64 {
        let text = self.0.render();
        let own = text.lines().filter(|l| l.split(['{', ' ']).next() == Some(name));
        own.map(|l| l.rsplit(' ').next().and_then(|v| v.parse::<f64>().ok()).expect("a number"))
            .sum()
    }
}

/// Counts on this thread; the server runs on it too.
fn counting() -> (Counted, metrics::LocalRecorderGuard<'static>) {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let counted = Counted(recorder.handle());
    let recorder = Box::leak(Box::new(recorder));
    (counted, metrics::set_default_local_recorder(recorder))
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_method_are_answered_in_the_one_shape() {
    let server = Server::start().await;
    for path in ["/nowhere", "/api/v1/nowhere", "/api/v2/incidents", "/assets/x.js", "/api/v1/%ff"]
    {
        let answer = server.open(Method::GET, path).send().await.expect("an answer");
        let (status, code, _) = failure(answer).await;
        assert_eq!((status, code.as_str()), (StatusCode::NOT_FOUND, "not_found"), "{path}");
    }
    for (method, path) in [
        (Method::DELETE, "/api/v1/incidents"),
        (Method::PUT, "/api/v1/silences"),
        (Method::GET, "/v1/logs"),
        (Method::POST, "/"),
    ] {
        let answer = server.as_role(Role::Admin, method, path).send().await.expect("an answer");
        assert!(answer.headers().contains_key("allow"), "{path}");
        let (status, code, _) = failure(answer).await;
        assert_eq!((status, code.as_str()), (StatusCode::METHOD_NOT_ALLOWED, "method"), "{path}");
    }
    server.end().await;
}

#[tokio::test]
async fn ids_and_queries_that_do_not_fit_are_refused() {
    let server = Server::start().await;
    let get = async |path: &str| {
        let request = server.as_role(Role::Viewer, Method::GET, path);
        failure(request.send().await.expect("an answer")).await
    };
    let long = format!("/api/v1/incidents/{}", "x".repeat(5_000));
    for path in [
        "/api/v1/incidents/INC-1",
        "/api/v1/incidents/ALT-01KT0000000000000000000000",
        "/api/v1/incidents/INC-01KT0000000000000000000000",
        "/api/v1/incidents/%ff%fe",
        "/api/v1/series/xyz/points",
        "/api/v1/why/nothing",
        "/api/v1/why/%ff",
        "/api/v1/runbooks/..%2f..%2fetc%2fpasswd",
        long.as_str(),
    ] {
        let (status, code, _) = get(path).await;
        assert_eq!((status, code.as_str()), (StatusCode::NOT_FOUND, "not_found"), "{path}");
    }
    for path in [
        "/api/v1/incidents?limit=many",
        "/api/v1/incidents?limit=-1",
        "/api/v1/incidents?limit=1&limit=2",
        "/api/v1/incidents?limt=5",
        "/api/v1/incidents?before=yesterday",
        "/api/v1/incidents?active=perhaps",
        "/api/v1/series?entity=orders",
        "/api/v1/series?indicator=speed",
        "/api/v1/audit?before=-3",
        "/api/v1/logs?level=loud",
        "/api/v1/alerts?incident=INC-1",
        "/api/v1/alerts?status=fireing",
        "/api/v1/incidents?state=open,acked",
        "/api/v1/proposals?state=Open",
        "/api/v1/runs?state=open",
    ] {
        let (status, code, message) = get(path).await;
        assert_eq!((status, code.as_str()), (StatusCode::BAD_REQUEST, "bad_request"), "{path}");
        assert!(message.starts_with("The query does not fit"), "{message}");
    }
    let (_, _, message) = get("/api/v1/alerts?status=open").await;
    assert!(message.contains("`firing` or `resolved`"), "the words that there are: {message}");
    let (_, _, message) = get("/api/v1/incidents?state=firing").await;
    for state in ["open", "acknowledged", "mitigating", "monitoring", "resolved", "merged"] {
        assert!(message.contains(&format!("`{state}`")), "{message}");
    }
    // What is merely far out is brought back in.
    for path in [
        "/api/v1/incidents?limit=0",
        "/api/v1/incidents?state=open,%20acknowledged,",
        "/api/v1/alerts?status=firing,resolved",
        "/api/v1/proposals?state=",
        "/api/v1/runs?state=not_sent,unknown",
        "/api/v1/incidents?limit=18446744073709551615",
        "/api/v1/incidents?before=9999-01-01T00:00:00Z",
        "/api/v1/audit?before=18446744073709551615",
        "/api/v1/logs?text=%22%20OR%20*%20NEAR(&since=0001-01-01T00:00:00Z",
    ] {
        server.get(path).await;
    }
    server.end().await;
}

#[tokio::test]
async fn bodies_that_do_not_fit_are_refused_and_counted() {
    let (counted, _guard) = counting();
    let server = Server::start().await;
    let send = async |body: &[u8], kind: &str| {
        let request = server.as_role(Role::Admin, Method::POST, "/api/v1/ask");
        let request = request.header("Content-Type", kind).body(body.to_vec());
        failure(request.send().await.expect("an answer")).await
    };
    let bad: [&[u8]; 8] = [
        b"{\"question\": \"status\"",
        b"{\"question\": 3}",
        b"{\"question\": \"status\", \"extra\": 1}",
        b"{\"incident\": \"INC-1\", \"question\": \"status\"}",
        b"[]",
        b"\xff\xfe\x00",
        b"{\"question\": \"\xc3\x28\"}",
        b"",
    ];
    for body in bad {
        let (status, code, message) = send(body, "application/json").await;
        assert_eq!((status, code.as_str()), (StatusCode::BAD_REQUEST, "bad_request"), "{message}");
    }
    let deep = "[".repeat(200_000);
    assert_eq!(send(deep.as_bytes(), "application/json").await.0, StatusCode::BAD_REQUEST);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "\u{e4}"] {
        let (status, code, _) = send(b"{\"question\": \"status\"}", kind).await;
        let wanted = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type");
        assert_eq!((status, code.as_str()), wanted, "{kind}");
    }
    assert_eq!(counted.of("nightjar_web_rejected_total"), 9.0);
    assert_eq!(counted.of("nightjar_web_request_seconds_count"), 12.0);
    assert_eq!(counted.of("nightjar_web_failures_total"), 12.0);
    let long = json!({ "question": "x".repeat(2_001) }).to_string();
    let (status, code, _) = send(long.as_bytes(), "application/json; charset=utf-8").await;
    assert_eq!((status, code.as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "invalid"));
    server.end().await;
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_also_when_it_grows_there() {
    let (counted, _guard) = counting();
    let server = Server::start().await;
    let large = vec![b' '; MAX_BODY_BYTES + 1];
    let bomb = gzipped(&vec![b' '; 3 * MAX_BODY_BYTES]);
    assert!(bomb.len() < 1 << 20);
    for path in ["/api/v1/ask", "/ingest/alertmanager", "/hooks/deploy", "/login"] {
        let request = server.as_role(Role::Admin, Method::POST, path);
        let request = request.header("Content-Type", "application/json").body(large.clone());
        let (status, code, _) = failure(request.send().await.expect("an answer")).await;
        assert_eq!((status, code.as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"), "{path}");
        let request = server.as_role(Role::Admin, Method::POST, path);
        let request = request.header("Content-Encoding", "gzip").body(bomb.clone());
        let (status, ..) = failure(request.send().await.expect("an answer")).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    for path in ["/v1/logs", "/v1/traces", "/v1/metrics"] {
        let request = server.open(Method::POST, path).body(large.clone());
        let request = request.header("Content-Type", "application/x-protobuf");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/x-protobuf");
    }
    assert_eq!(counted.of("nightjar_web_unreadable_bodies_total"), 11.0);
    // One at the limit is read.
    let mut whole = json!({ "version": "4", "alerts": [] }).to_string().into_bytes();
    whole.resize(MAX_BODY_BYTES, b' ');
    let request = server.open(Method::POST, "/ingest/alertmanager").body(whole);
    assert_eq!(request.send().await.expect("an answer").status(), StatusCode::OK);
    server.end().await;
}

#[tokio::test]
async fn broken_compression_is_refused_at_every_door() {
    let (counted, _guard) = counting();
    let server = Server::start().await;
    let whole = gzipped(json!({ "resourceLogs": [] }).to_string().as_bytes());
    let cut = &whole[..whole.len() / 2];
    let mut n = 0.0;
    for path in ["/v1/logs", "/v1/traces", "/v1/metrics", "/ingest/alertmanager", "/api/v1/ask"] {
        for body in [cut, b"not gzip at all".as_slice()] {
            let request = server.as_role(Role::Admin, Method::POST, path);
            let request = request.header("Content-Type", "application/json");
            let request = request.header("Content-Encoding", "gzip").body(body.to_vec());
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
            n += 1.0;
        }
        let request = server.as_role(Role::Admin, Method::POST, path);
        let request = request.header("Content-Encoding", "br").body("x");
        let (status, code, _) = failure(request.send().await.expect("an answer")).await;
        let wanted = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type");
        assert_eq!((status, code.as_str()), wanted, "{path}");
    }
    assert_eq!(counted.of("nightjar_web_unreadable_bodies_total"), n);
    let good = server.open(Method::POST, "/v1/logs").header("Content-Type", "application/json");
    let good = good.header("Content-Encoding", "gzip").body(whole);
    assert_eq!(good.send().await.expect("an answer").status(), StatusCode::OK);
    server.end().await;
}

#[tokio::test]
async fn doors_refuse_what_they_cannot_read() {
    let (counted, _guard) = counting();
    let server = Server::start().await;
    let bodies: [&[u8]; 6] =
        [b"", b"{", b"\xff\xff\xff\xff", b"<html>", b"{\"resourceLogs\": 3}", b"[1, 2"];
    let mut n = 0;
    for path in ["/v1/logs", "/v1/traces", "/v1/metrics"] {
        for (kind, body) in bodies.iter().flat_map(|b| {
            ["application/json", "application/x-protobuf", "text/plain"].map(|kind| (kind, *b))
        }) {
            let request = server.open(Method::POST, path).header("Content-Type", kind);
            let answer = request.body(body.to_vec()).send().await.expect("an answer");
            let status = answer.status().as_u16();
            assert!(matches!(status, 200 | 400 | 415), "{path} {kind} {body:?}: {status}");
            n += i32::from(status != 200);
        }
    }
    assert!(n > 20, "{n} were refused");
    assert_eq!(counted.of("nightjar_web_rejected_total"), f64::from(n));
    for path in ["/hooks/github", "/hooks/deploy"] {
        for headers in [
            vec![],
            vec![("X-Hub-Signature-256", "sha256=00"), ("X-GitHub-Event", "push")],
            vec![("X-Nightjar-Signature", "sha256=00"), ("X-Nightjar-Timestamp", "soon")],
        ] {
            let request = headers
                .iter()
                .fold(server.open(Method::POST, path), |r, (name, value)| r.header(*name, *value));
            let answer = request.body("{}").send().await.expect("an answer");
            let status = failure(answer).await.0.as_u16();
            assert!(matches!(status, 400 | 401 | 403), "{path} {headers:?}: {status}");
        }
    }
    server.end().await;
}

#[tokio::test]
async fn a_delivery_that_github_repeats_is_no_failure_and_adds_nothing() {
    let server = Server::with(|c| c.github_secret = Some("not-a-real-secret".to_owned().into()));
    let server = server.await;
    let body = json!({
        "ref": "refs/heads/main", "after": "0123456789abcdef0123456789abcdef01234567",
        "repository": { "full_name": "shop/orders", "default_branch": "main" },
        "head_commit": { "message": "Raise concurrency" },
    })
    .to_string();
    let deliver = async |id: &str| {
        let signature = sign(b"not-a-real-secret", &[body.as_bytes()]);
        let request = server.open(Method::POST, "/hooks/github").header("X-GitHub-Event", "push");
        let request = request.header("X-GitHub-Delivery", id);
        let request = request.header("X-Hub-Signature-256", signature).body(body.clone());
        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.json::<serde_json::Value>().await.expect("JSON"))
    };
    let (status, taken) = deliver("first").await;
    assert_eq!((status, &taken["accepted"]), (StatusCode::OK, &json!(true)), "{taken}");
    assert!(taken["place"].as_u64().is_some_and(|place| place > 0), "{taken}");
    let repeated = deliver("first").await;
    assert_eq!(repeated, (StatusCode::OK, json!({ "accepted": false, "why": "delivered before" })));
    let changes = server.get("/api/v1/changes").await;
    assert_eq!(changes["changes"].as_array().map(Vec::len), Some(1), "{changes}");
    server.end().await;
}
