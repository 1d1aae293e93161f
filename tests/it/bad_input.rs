//! What senders do wrong, at the real binary's front doors: a clear error, counted, never a panic,
//! and nothing lost of what was accepted beside it.

use std::io::Write as _;
use std::time::Duration;

use nightjar::model::{Time, wall_now};
use nightjar::telemetry::changes::sign;
use serde_json::{Value, json};

use crate::bot::{Bot, GITHUB_SECRET, HOOK_SECRET};
use crate::support::{eventually, free_port};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const GZIP: (&str, &str) = ("Content-Encoding", "gzip");

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn nanos(at: Time) -> String {
    format!("{}000000", at.ms())
}

/// A request of OTLP logs in JSON with one line.
fn log_line(service: &str, at: Time, text: &str) -> String {
    json!({ "resourceLogs": [{
        "resource": { "attributes": [
            { "key": "service.name", "value": { "stringValue": service } }
        ] },
        "scopeLogs": [{ "logRecords": [
            { "timeUnixNano": nanos(at), "severityNumber": 17, "body": { "stringValue": text } }
        ] }],
    }] })
    .to_string()
}

fn alerts(alerts: &Value) -> String {
    json!({ "version": "4", "status": "firing", "receiver": "bot", "alerts": alerts }).to_string()
}

/// One thing that is wrong: where it goes, how, and what the answer must be.
struct Case {
    what: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    status: u16,
    says: &'static str,
}

fn case(
    what: &'static str,
    path: &'static str,
    headers: &[(&'static str, &'static str)],
    body: impl Into<Vec<u8>>,
    (status, says): (u16, &'static str),
) -> Case {
    Case { what, path, headers: headers.to_vec(), body: body.into(), status, says }
}

/// Bodies that can't be read at all.
fn unreadable() -> Vec<Case> {
    let (logs, traces, hook) = ("/v1/logs", "/v1/traces", "/ingest/alertmanager");
    let line = log_line("orders", wall_now(), "fine");
    let whole = gzip(line.as_bytes());
    let half = whole[..whole.len() / 2].to_vec();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 100_000, "64 MiB in {} bytes", bomb.len());
    let long = vec![b' '; (10 << 20) + 1];
    let mut not_text = line.clone().into_bytes();
    let place = not_text.windows(4).position(|w| w == b"fine").expect("it stands there");
    not_text[place] = 0xff;
    vec![
        case("half a gzip", logs, &[JSON, GZIP], half, (400, "can't be read")),
        case("a damaged gzip", logs, &[JSON, GZIP], damaged, (400, "")),
        case("no gzip", logs, &[JSON, GZIP], line.clone(), (400, "can't be read")),
        case("a gzip bomb", logs, &[JSON, GZIP], bomb.clone(), (413, "larger than 10 MiB")),
        case("a gzip bomb", traces, &[PROTOBUF, GZIP], bomb.clone(), (413, "larger than")),
        case("a gzip bomb", hook, &[JSON, GZIP], bomb, (413, "larger than 10 MiB")),
        case("over 10 MiB", logs, &[JSON], long.clone(), (413, "larger than 10 MiB")),
        case("over 10 MiB", hook, &[JSON], long, (413, "larger than 10 MiB")),
        case("bytes that are no text", logs, &[JSON], not_text.clone(), (400, "not OTLP JSON")),
        case("bytes that are no text", hook, &[JSON], not_text, (400, "not JSON")),
        case("no protobuf", traces, &[PROTOBUF], line.clone(), (400, "not OTLP protobuf")),
        case("a length beyond the end", logs, &[PROTOBUF], [0x0a, 0x7f], (400, "protobuf")),
        case("no content type", logs, &[], line.clone(), (415, "Content-Type")),
        case("another type", logs, &[("Content-Type", "text/plain")], line, (415, "text/plain")),
        case("nothing", hook, &[JSON], "", (400, "not JSON")),
        case("half a JSON", hook, &[JSON], "{\"version\":\"4\",", (400, "not JSON")),
        case("deep nesting", hook, &[JSON], "[".repeat(100_000), (400, "not JSON")),
        case("deep nesting", logs, &[JSON], "[".repeat(100_000), (400, "not OTLP JSON")),
    ]
}

/// Bodies that can be read and make no sense, with the place of what is wrong.
fn nonsense() -> Vec<Case> {
    let (logs, metrics, hook) = ("/v1/logs", "/v1/metrics", "/ingest/alertmanager");
    let wrong_time = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":{}}]}]}]}"#;
    let wrong_int = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"x",
        "gauge":{"dataPoints":[{"timeUnixNano":"1","asInt":"many"}]}}]}]}]}"#;
    let wrong_enum = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"x",
        "sum":{"aggregationTemporality":"SOMETIMES","dataPoints":[]}}]}]}]}"#;
    let alert = |labels: Value, status: &str, at: &str| {
        alerts(&json!([{ "labels": labels, "status": status, "startsAt": at }]))
    };
    let (name, at) = (json!({ "alertname": "Slow" }), "2026-11-18T12:00:00Z");
    vec![
        case("a list", logs, &[JSON], "[]", (400, "expected an object with `resourceLogs`")),
        case("snake case", logs, &[JSON], r#"{"resource_logs":[]}"#, (400, "lowerCamelCase")),
        case("another signal", metrics, &[JSON], r#"{"resourceLogs":[]}"#, (400, "is missing")),
        case("an object for a time", logs, &[JSON], wrong_time, (400, "not OTLP JSON")),
        case("a word for a number", metrics, &[JSON], wrong_int, (400, "asInt")),
        case("a word of no enum", metrics, &[JSON], wrong_enum, (400, "SOMETIMES")),
        case("version 3", hook, &[JSON], r#"{"version":"3","alerts":[]}"#, (400, "version")),
        case("no alerts", hook, &[JSON], r#"{"version":"4"}"#, (400, "alerts: expected a list")),
        case(
            "no labels",
            hook,
            &[JSON],
            alert(json!({}), "firing", at),
            (400, "alerts[0].labels: an alert without labels"),
        ),
        case(
            "a number for a label",
            hook,
            &[JSON],
            alert(json!({ "alertname": 7 }), "firing", at),
            (400, "alerts[0].labels.alertname: expected a text"),
        ),
        case(
            "a third status",
            hook,
            &[JSON],
            alert(name.clone(), "pending", at),
            (400, "alerts[0].status"),
        ),
        case(
            "a time that is none",
            hook,
            &[JSON],
            alert(name, "firing", "yesterday"),
            (400, "alerts[0].startsAt"),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_with_its_reason_and_what_is_right_beside_it_is_kept() {
    let mut bot = Bot::on(free_port(), "").await;
    let cases: Vec<Case> = unreadable().into_iter().chain(nonsense()).collect();
    for (n, case) in cases.iter().enumerate() {
        let good = log_line("orders", wall_now(), &format!("good line {n}"));
        let (status, said) = bot.post("/v1/logs", &[JSON], good).await;
        assert_eq!((status, said.as_str()), (200, "{}"));
        let (status, said) = bot.post(case.path, &case.headers, case.body.clone()).await;
        let told = format!("{} at {}: {said}", case.what, case.path);
        assert_eq!(status, case.status, "{told}");
        assert!(said.contains(case.says), "{told}");
        assert!(said.len() < 2_000, "{told}");
    }
    let n = cases.len() as f64;
    let unreadable = bot.metric("nightjar_web_unreadable_bodies_total", "").await;
    assert!(unreadable >= 8.0, "{unreadable}");
    assert!(bot.metric("nightjar_web_rejected_total", "").await + unreadable >= n);
    assert!(bot.metric("nightjar_otlp_undecodable_total", "").await >= 8.0);
    assert!(bot.metric("nightjar_alertmanager_undecodable_total", "").await >= 6.0);
    let lines = bot.stored_lines().await;
    for n in 0..cases.len() {
        let text = format!("good line {n}");
        assert_eq!(lines.iter().filter(|l| **l == text).count(), 1, "{text}");
    }
    assert_eq!(lines.len(), cases.len(), "{lines:?}");
}

/// Requests that are right in form, with single things in them that can't be taken.
#[tokio::test(flavor = "multi_thread")]
async fn single_things_that_cant_be_taken_are_counted_and_the_rest_is_stored() {
    let mut bot = Bot::on(free_port(), "").await;
    let now = wall_now();
    let day = 86_400_000;
    // Clock skew: a line of tomorrow and one of last year are told of, the others are kept.
    for (at, text, n) in [
        (now.plus_ms(day), "of tomorrow", "1"),
        (now.plus_ms(-400 * day), "of last year", "1"),
        (now.plus_ms(60_000), "a minute ahead", "0"),
        (now.plus_ms(-day), "of yesterday", "0"),
    ] {
        let (status, said) = bot.post("/v1/logs", &[JSON], log_line("orders", at, text)).await;
        assert_eq!(status, 200, "{said}");
        assert_eq!(said.contains(&format!("\"rejectedLogRecords\":\"{n}\"")), n != "0", "{said}");
    }
    // Not a number, infinite, without a time, twice, out of order; and one that is right.
    let point = |at: Time, value: Value| json!({ "timeUnixNano": nanos(at), "asDouble": value });
    let gauge = |points: Vec<Value>| {
        json!({ "resourceMetrics": [{
            "resource": { "attributes": [
                { "key": "service.name", "value": { "stringValue": "orders" } }
            ] },
            "scopeMetrics": [{ "metrics": [
                { "name": "process.memory.usage", "gauge": { "dataPoints": points } }
            ] }],
        }] })
        .to_string()
    };
    let wrong = gauge(vec![
        point(now.plus_ms(-30_000), json!("NaN")),
        point(now.plus_ms(-30_000), json!("Infinity")),
        json!({ "timeUnixNano": "0", "asDouble": 1.0 }),
        point(now.plus_ms(-30_000), json!(100.5)),
    ]);
    let (status, said) = bot.post("/v1/metrics", &[JSON], wrong).await;
    assert_eq!(status, 200, "{said}");
    assert!(said.contains("\"rejectedDataPoints\":\"3\""), "{said}");
    for (at, value) in [(-20_000, 101.0), (-20_000, 101.0), (-25_000, 99.0), (-10_000, 102.0)] {
        let body = gauge(vec![point(now.plus_ms(at), json!(value))]);
        let (status, said) = bot.post("/v1/metrics", &[JSON], body).await;
        assert_eq!((status, said.as_str()), (200, "{}"));
    }
    bot.judged().await;
    assert_eq!(bot.metric("nightjar_otlp_rejected_total", "").await, 5.0);
    assert_eq!(bot.metric("nightjar_otlp_late_points_total", "").await, 1.0);
    eventually("the repeated point to be counted", Duration::from_secs(120), async || {
        bot.metric("nightjar_detect_dropped_points_total", "duplicate").await == 1.0
    })
    .await;
    let services = bot.get("/api/v1/services").await;
    let series = services["series"].as_array().expect("a list");
    let id = series[0]["id"].as_str().expect("a text");
    let points = bot.get(&format!("/api/v1/series/{id}/points")).await;
    let mut values: Vec<f64> = points["points"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| p["value"].as_f64().expect("a number"))
        .collect();
    values.sort_by(f64::total_cmp);
    assert_eq!(values, [100.5, 101.0, 102.0], "each time once, in order");

    // An alert told a thousand times, from a clock ten minutes ahead, with fields of the future.
    let ahead = json!([{
        "labels": { "alertname": "Slow", "service": "orders" }, "status": "firing",
        "startsAt": now.plus_ms(600_000), "endsAt": "0001-01-01T00:00:00Z",
        "annotations": null, "generatorURL": "", "fingerprint": 7, "new": { "a": [1] },
    }]);
    let one = ahead[0].clone();
    let thousand = alerts(&Value::Array(vec![one; 1_000]));
    let (status, said) = bot.post("/ingest/alertmanager", &[JSON], thousand).await;
    assert_eq!(status, 200, "{said}");
    bot.judged().await;
    let stored = bot.list("alerts").await;
    assert_eq!(stored.len(), 1, "{stored:#?}");
    let starts: Time = serde_json::from_value(stored[0]["starts_at"].clone()).expect("a time");
    assert!(starts <= wall_now(), "an alert can't begin after it was told");
    assert_eq!(stored[0]["n_reports"], 1_000);

    let mut lines = bot.stored_lines().await;
    lines.sort();
    assert_eq!(lines, ["a minute ahead", "of yesterday"]);
}

/// What a request says after its signature.
fn signed<'a>(event: &'a str, delivery: &'a str, signature: &'a str) -> [(&'a str, &'a str); 4] {
    [
        JSON,
        ("X-GitHub-Event", event),
        ("X-GitHub-Delivery", delivery),
        ("X-Hub-Signature-256", signature),
    ]
}

/// Payloads as GitHub sends them, cut to what matters and more.
fn github(event: &str) -> String {
    let repository = json!({
        "id": 1, "name": "orders", "full_name": "shop/orders", "default_branch": "main",
        "private": true, "topics": [],
    });
    let deployment = json!({
        "id": 4711, "ref": "v4.7.2", "sha": "0a1b2c", "task": "deploy", "payload": {},
        "environment": "production", "description": "raise concurrency",
        "created_at": "2026-11-18T11:58:00Z", "creator": { "login": "release-train", "id": 1 },
    });
    let status = |state: &str| json!({ "id": 1, "state": state, "target_url": "" });
    match event {
        "deployment" => {
            json!({ "action": "created", "deployment": deployment, "repository": repository })
        }
        "deployment_status" => json!({
            "action": "created", "deployment": deployment, "repository": repository,
            "deployment_status": status("success"),
        }),
        "release" => json!({
            "action": "published", "repository": repository,
            "release": {
                "tag_name": "v4.7.2", "name": "Faster intake", "draft": false,
                "published_at": "2026-11-18T11:50:00Z", "html_url": "https://example.com/r",
                "author": { "login": "release-train" },
            },
        }),
        _ => json!({
            "ref": "refs/heads/main", "before": "00", "after": "0a1b2c", "repository": repository,
            "pusher": { "name": "release-train" }, "compare": "https://example.com/c",
            "head_commit": { "message": "Raise concurrency\n\nLong text", "timestamp": "2026-11-18T11:40:00+02:00" },
        }),
    }
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_believed_when_signed_and_told_once_whatever_is_replayed() {
    let mut bot = Bot::on(free_port(), "").await;
    let send = async |bot: &Bot, event: &str, delivery: &str, body: &str, secret: &str| {
        let signature = sign(secret.as_bytes(), &[body.as_bytes()]);
        let headers = signed(event, delivery, &signature);
        bot.post("/hooks/github", &headers, body.to_owned()).await
    };
    let events = ["push", "release", "deployment", "deployment_status", "ping", "star"];
    for (n, event) in events.iter().enumerate() {
        let (body, id) = (github(event), format!("delivery-{n}"));
        let (status, said) = send(&bot, event, &id, &body, GITHUB_SECRET).await;
        assert_eq!(status, 200, "{event}: {said}");
        // The same delivery again, a wrong secret, a body changed after it was signed.
        let (status, said) = send(&bot, event, &id, &body, GITHUB_SECRET).await;
        assert_eq!(status, 200, "{event}: {said}");
        assert_eq!(said, r#"{"accepted":false,"why":"delivered before"}"#, "{event}");
        let (status, said) = send(&bot, event, "other", &body, "not-the-secret").await;
        assert_eq!((status, said.contains("does not match")), (401, true), "{event}: {said}");
        let signature = sign(GITHUB_SECRET.as_bytes(), &[body.as_bytes()]);
        let changed = body.replace("release-train", "somebody-else");
        let headers = signed(event, "another", &signature);
        let (status, said) = bot.post("/hooks/github", &headers, changed).await;
        assert_eq!(status, 401, "{event}: {said}");
    }
    let told = async |bot: &Bot| -> Vec<[String; 5]> {
        let mut all: Vec<[String; 5]> = bot
            .list("changes")
            .await
            .iter()
            .map(|c| {
                ["source", "kind", "entity", "title", "status"]
                    .map(|k| c[k].as_str().expect("a text").to_owned())
            })
            .collect();
        all.sort();
        all
    };
    let orders = "service.name=orders";
    let of_github = [
        ["github", "deploy", orders, "deploy v4.7.2: raise concurrency", "success"],
        ["github", "deploy", orders, "release v4.7.2: Faster intake", "published"],
        ["github", "other", orders, "push: Raise concurrency", "pushed"],
    ];
    assert_eq!(told(&bot).await, of_github);

    // Wrong in other ways: no signature, none that could be one, no event, a form, no JSON.
    let body = github("push");
    let signature = sign(GITHUB_SECRET.as_bytes(), &[body.as_bytes()]);
    let form = format!("payload={body}");
    let of_form = sign(GITHUB_SECRET.as_bytes(), &[form.as_bytes()]);
    let [kind, event, id, sig] = signed("push", "x", &signature);
    for (headers, body, status, says) in [
        (vec![kind, event, id], &body, 401, "signature header is missing"),
        (vec![kind, event, id, (sig.0, "sha256=zz")], &body, 401, "hexadecimal"),
        (vec![kind, event, id, (sig.0, "sha1=00")], &body, 401, "sha256="),
        (vec![kind, id, sig], &body, 400, "X-GitHub-Event is missing"),
        (vec![kind, event, sig], &body, 400, "X-GitHub-Delivery is missing"),
        (vec![event, id, (sig.0, &of_form)], &form, 400, "content type to application/json"),
    ] {
        let (got, said) = bot.post("/hooks/github", &headers, body.clone()).await;
        assert_eq!((got, said.contains(says)), (status, true), "{said}");
    }

    // The plain webhook: signed with its time, so a replay is stale or known.
    let plain = json!({ "kind": "config", "service": "orders", "title": "worker_concurrency 64",
        "attributes": { "key": "worker_concurrency" }, "unknown": [1, 2] })
    .to_string();
    let hook = async |bot: &Bot, seconds: i64, body: &str| {
        let stamp = seconds.to_string();
        let parts = [stamp.as_bytes(), b".", body.as_bytes()];
        let signature = sign(HOOK_SECRET.as_bytes(), &parts);
        let headers =
            [JSON, ("X-Nightjar-Timestamp", stamp.as_str()), ("X-Nightjar-Signature", &signature)];
        bot.post("/hooks/deploy", &headers, body.to_owned()).await
    };
    let seconds = wall_now().ms() / 1_000;
    assert_eq!(hook(&bot, seconds, &plain).await.0, 200);
    assert_eq!(hook(&bot, seconds, &plain).await.0, 409);
    assert_eq!(hook(&bot, seconds - 600, &plain).await.0, 401);
    for (body, says) in [
        (r#"{"kind":"party","service":"a","title":"b"}"#, "/kind: expected deploy"),
        (
            r#"{"kind":"provider","service":"a","title":"b","previous":"1"}"#,
            "/previous: leave it out",
        ),
        (
            r#"{"kind":"config","service":"a","title":"b","before":"x","after":{"a":1}}"#,
            "/after: expected an object where /before is one",
        ),
        (r#"{"kind":"deploy","title":"b"}"#, "either /service or /entity"),
        (r#"{"kind":"deploy","entity":"node-2","title":"b"}"#, "/entity"),
        (r#"{"kind":"deploy","service":"a"}"#, "/title: missing"),
        (r#"{"kind":"deploy","service":"a","title":"b","at":"soon"}"#, "/at"),
        (r#"{"kind":"deploy","service":"a","title":"b","attributes":[1]}"#, "/attributes"),
        ("[]", "expected an object"),
        ("{", "not JSON"),
    ] {
        let (status, said) = hook(&bot, seconds, body).await;
        assert_eq!((status, said.contains(says)), (400, true), "{body}: {said}");
    }
    // A clock that is ahead does not put a change into the future.
    let ahead = json!({ "kind": "flag", "service": "cart", "title": "new basket",
        "at": wall_now().plus_ms(240_000) })
    .to_string();
    assert_eq!(hook(&bot, seconds, &ahead).await.0, 200);
    let changes = bot.list("changes").await;
    assert!(changes.iter().all(|c| {
        serde_json::from_value::<Time>(c["at"].clone()).expect("a time") <= wall_now()
    }));
    assert_eq!(changes.len(), 5);
    assert!(bot.metric("nightjar_changes_repeated_total", "").await >= 7.0);
    assert!(bot.metric("nightjar_changes_unsigned_total", "").await >= 16.0);

    // After a kill the deliveries are forgotten and the changes are not: a replay adds nothing.
    let before = told(&bot).await;
    bot.kill();
    bot.again().await;
    assert_eq!(told(&bot).await, before);
    for event in ["push", "release", "deployment_status", "deployment"] {
        let (status, said) = send(&bot, event, event, &github(event), GITHUB_SECRET).await;
        assert_eq!(status, 200, "{said}");
    }
    assert_eq!(hook(&bot, seconds, &plain).await.0, 200);
    assert_eq!(told(&bot).await, before);
    assert_eq!(bot.list("changes").await, changes, "times stay as they were first told");
}
