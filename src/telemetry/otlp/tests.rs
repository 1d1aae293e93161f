//! What the receiver promises: nothing dropped in silence, rates and percentiles that are right.

use proptest::prelude::*;

use super::*;
use crate::model::Level;

const NOW: Time = Time::from_ms(1_800_000_000_000);

fn nanos(seconds: i64) -> String {
    format!("{}", (NOW.ms() + seconds * 1_000) * 1_000_000)
}

fn decode(receiver: &Receiver, signal: Signal, body: &str) -> Result<Accepted, Rejected> {
    receiver.decode(signal, Encoding::Json, body.as_bytes(), NOW)
}

fn metrics(points: &str) -> String {
    format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"orders"}}}}]}},
        "scopeMetrics":[{{"metrics":[{points}]}}]}}]}}"#
    )
}

#[test]
fn a_log_record_keeps_its_level_service_and_time() {
    let body = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"auth"}}}},{{"key":"host.name","value":{{"stringValue":"node-1"}}}}]}},
        "scopeLogs":[{{"logRecords":[
          {{"timeUnixNano":"{}","severityNumber":"SEVERITY_NUMBER_ERROR","body":{{"stringValue":"no connection"}}}},
          {{"timeUnixNano":"{}","body":{{"stringValue":"from next year"}}}}]}}]}}]}}"#,
        nanos(-1),
        nanos(86_400)
    );
    let accepted = decode(&Receiver::new(Config::default()), Signal::Logs, &body).expect("decodes");
    let line = &accepted.batch.logs[0];
    assert_eq!((line.level, line.entity.to_string()), (Level::Error, "service.name=auth".into()));
    assert_eq!(line.attributes.get("host.name"), Some("node-1"));
    assert_eq!((accepted.batch.logs.len(), accepted.rejected), (1, 1));
    assert!(accepted.message.contains("future"), "{}", accepted.message);
    let answer = answer(Signal::Logs, Encoding::Json, 1, &accepted.message);
    assert!(String::from_utf8_lossy(&answer).contains(r#""rejectedLogRecords":"1""#));
}

#[test]
fn a_long_resource_is_not_repeated_beside_any_number_of_signals() {
    // 2 MB of body would become 1.7 GB: a host's name of 4 kB, kept twice, beside each of 200,000 lines.
    let records = vec![r#"{"body":{}}"#; 200_000].join(",");
    let body = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"host.name","value":{{"stringValue":"{}"}}}}]}},
        "scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#,
        "ü".repeat(2_048)
    );
    let receiver = Receiver::new(Config::default());
    let refused = decode(&receiver, Signal::Logs, &body).expect_err("too much");
    assert_eq!(refused.status, 413);
    assert!(refused.message.contains("send fewer at once"), "{refused}");
    let few = body.replace(&records, r#"{"body":{"stringValue":"up"}}"#);
    let accepted = decode(&receiver, Signal::Logs, &few).expect("decodes");
    assert_eq!(accepted.batch.logs.len(), 1);
}

#[test]
fn cumulative_histograms_become_rate_errors_and_percentiles() {
    let receiver = Receiver::new(Config::default());
    let point = |at: i64, ok: [u64; 2], bad: u64| {
        let one = |status: u16, counts: [u64; 2]| {
            format!(
                r#"{{"timeUnixNano":"{}","startTimeUnixNano":"{}","count":"{}","bucketCounts":["{}","{}","0"],"explicitBounds":[0.1,0.2],"attributes":[{{"key":"http.response.status_code","value":{{"intValue":"{status}"}}}}]}}"#,
                nanos(at),
                nanos(-600),
                counts[0] + counts[1],
                counts[0],
                counts[1]
            )
        };
        metrics(&format!(
            r#"{{"name":"http.server.request.duration","unit":"s","histogram":{{"aggregationTemporality":2,"dataPoints":[{},{}]}}}}"#,
            one(200, ok),
            one(500, [bad, 0])
        ))
    };
    let first = decode(&receiver, Signal::Metrics, &point(-120, [10, 0], 0)).expect("decodes");
    assert!(first.batch.metrics.is_empty(), "one point of a counter says nothing");
    let second = decode(&receiver, Signal::Metrics, &point(-60, [60, 40], 10)).expect("decodes");
    let get = |name: &str| {
        let name = format!("http.server.request.duration {name}");
        second.batch.metrics.iter().find(|s| s.series.metric == name).expect("stands").points[0]
            .value
    };
    assert!((get("rate") - 100.0 / 60.0).abs() < 1e-9);
    assert!((get("errors") - 0.1).abs() < 1e-9);
    assert!((get("p50") - 0.1 * 50.0 / 60.0).abs() < 1e-9);
    // Not taken after all: the same request counts again.
    let n = second.batch.metrics.len();
    receiver.give_back(second);
    let again = decode(&receiver, Signal::Metrics, &point(-60, [60, 40], 10)).expect("decodes");
    assert_eq!(again.batch.metrics.len(), n);
    // A restart counts from zero and gives no negative rate.
    let reset = decode(&receiver, Signal::Metrics, &point(0, [6, 0], 0)).expect("decodes");
    let rate = reset.batch.metrics.iter().find(|s| s.series.metric.ends_with("rate"));
    assert!((rate.expect("stands").points[0].value - 0.1).abs() < 1e-9);
}

#[test]
fn a_pool_is_used_over_its_maximum() {
    let gauge = |name: &str, value: &str| {
        format!(
            r#"{{"name":"{name}","gauge":{{"dataPoints":[{{"timeUnixNano":"{}",{value},"attributes":[{{"key":"db.client.connection.state","value":{{"stringValue":"used"}}}},{{"key":"db.client.connection.pool.name","value":{{"stringValue":"main"}}}}]}}]}}}}"#,
            nanos(-5)
        )
    };
    let body = metrics(&format!(
        "{},{},{}",
        gauge("db.client.connection.count", r#""asInt":"19""#),
        gauge("db.client.connection.max", r#""asDouble":20"#),
        gauge("db.client.connection.pending_requests", r#""asDouble":"NaN""#)
    ));
    let accepted =
        decode(&Receiver::new(Config::default()), Signal::Metrics, &body).expect("decodes");
    assert_eq!(accepted.batch.metrics.len(), 1);
    assert!((accepted.batch.metrics[0].points[0].value - 0.95).abs() < 1e-9);
    assert_eq!(accepted.rejected, 1, "NaN is counted");
}

#[test]
fn wrong_json_is_refused_with_its_place() {
    let receiver = Receiver::new(Config::default());
    let message =
        |body: &str| decode(&receiver, Signal::Metrics, body).expect_err("refused").message;
    assert!(message(r#"{"resource_metrics":[]}"#).contains("resourceMetrics"));
    let text = message(&metrics(
        r#"{"name":"x","sum":{"aggregationTemporality":"SOMETIMES","dataPoints":[]}}"#,
    ));
    assert!(text.contains("aggregationTemporality") && text.contains("SOMETIMES"), "{text}");
    let text = message(&metrics(
        r#"{"name":"x","gauge":{"dataPoints":[{"timeUnixNano":"1","asInt":"many"}]}}"#,
    ));
    assert!(text.contains("asInt"), "{text}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let receiver = Receiver::new(Config::default());
        for signal in [Signal::Logs, Signal::Traces, Signal::Metrics] {
            for encoding in [Encoding::Protobuf, Encoding::Json] {
                if let Err(rejected) = receiver.decode(signal, encoding, &body, NOW) {
                    prop_assert_eq!(rejected.status, 400);
                }
            }
        }
    }
}

/// A message that holds `n` empty ones in the field `path` leads to, in protobuf.
fn many(path: &[u8], n: usize) -> Vec<u8> {
    let (last, outer) = path.split_last().expect("a path");
    let mut body = [last << 3 | 2, 0].repeat(n);
    for field in outer.iter().rev() {
        let mut whole = vec![field << 3 | 2];
        prost::encoding::encode_varint(body.len() as u64, &mut whole);
        whole.append(&mut body);
        body = whole;
    }
    body
}

#[test]
fn a_small_body_that_asks_for_much_memory_is_refused_before_it_is_decoded() {
    let receiver = Receiver::new(Config::default());
    let status = |signal, encoding, body: &[u8]| {
        receiver.decode(signal, encoding, body, NOW).map_or_else(|r| r.status, |_| 200)
    };
    // Two bytes of an empty element become hundreds.
    for (signal, path) in [
        (Signal::Logs, [1, 2, 2].as_slice()),
        (Signal::Logs, &[1, 1, 1]),
        (Signal::Logs, &[1, 2, 2, 6]),
        (Signal::Logs, &[1, 2, 2, 5, 5, 1]),
        (Signal::Traces, &[1, 2, 2]),
        (Signal::Traces, &[1, 2, 2, 11]),
        (Signal::Metrics, &[1, 2, 2]),
        (Signal::Metrics, &[1, 2, 2, 7, 1]),
        (Signal::Metrics, &[1, 2, 2, 10, 1]),
        (Signal::Metrics, &[1, 2, 2, 11, 1]),
    ] {
        assert_eq!(status(signal, Encoding::Protobuf, &many(path, 5_000_000)), 413, "{path:?}");
        assert_eq!(status(signal, Encoding::Protobuf, &many(path, 1_000)), 200, "{path:?}");
    }
    let json = |n: usize| {
        let records = vec![r#"{"flags":1}"#; n].join(",");
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#)
    };
    assert_eq!(status(Signal::Logs, Encoding::Json, json(800_000).as_bytes()), 413);
    assert_eq!(status(Signal::Logs, Encoding::Json, json(8_192).as_bytes()), 200);
}
