//! Storms from files.

use std::collections::BTreeMap;

use super::*;

/// A webhook with one alert.
fn webhook(event: &str, name: &str, service: &str, start: &str, status: &str) -> String {
    let annotations = serde_json::json!({ "event_id": event });
    let alert = serde_json::json!({
        "status": status, "labels": { "alertname": name, "service": service },
        "annotations": annotations, "startsAt": start, "endsAt": "2026-11-20T04:00:00Z",
        "fingerprint": format!("{name}-{service}"),
    });
    serde_json::json!({ "version": "4", "status": status, "alerts": [alert] }).to_string()
}

const TOPOLOGY: &str = r#"{"services": [{"name": "web"}], "edges": [["web", "cart"],
    {"from": "cart", "to": "cart-db"}, ["mail", "mail-db"], ["web", "mail"]]}"#;

fn given(lines: &[String], more: &[(&str, &str)]) -> (tempfile::TempDir, Args) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    put("alerts.jsonl", &lines.join("\n")).expect("writes");
    put("topology.json", TOPOLOGY).expect("writes");
    for (name, text) in more {
        put(name, text).expect("writes");
    }
    let alerts = folder.path().join("alerts.jsonl");
    let topology = Some(folder.path().join("topology.json"));
    (folder, Args { alerts, topology, config: None })
}

fn homes(args: &Args) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    rows(args, &Config::default(), |event, incident| {
        found.insert(event.to_owned(), incident.to_owned());
    })
    .map(|()| found)
    .map_err(|e| e.to_string())
}

/// A fault of the cart's database that is felt upwards, one of the mail's, and a stray alert.
fn storm() -> Vec<String> {
    [
        ("e1", "DBConnectionsSaturated", "cart-db", "2026-11-20T03:00:00Z", "firing"),
        ("e2", "HighErrorRate", "cart", "2026-11-20T03:00:25Z", "firing"),
        ("e1b", "DBConnectionsSaturated", "cart-db", "2026-11-20T03:00:00Z", "firing"),
        ("e3", "HighLatency", "web", "2026-11-20T03:00:50Z", "firing"),
        ("m1", "DiskFull", "mail-db", "2026-11-20T03:04:00Z", "firing"),
        ("m2", "QueueBacklog", "mail", "2026-11-20T03:04:20Z", "firing"),
        ("s1", "CertificateExpiry", "cart", "2026-11-20T03:00:40Z", "firing"),
        ("e1c", "DBConnectionsSaturated", "cart-db", "2026-11-20T03:00:00Z", "resolved"),
    ]
    .map(|(event, name, service, start, status)| webhook(event, name, service, start, status))
    .to_vec()
}

#[test]
fn a_fault_and_who_feels_it_are_one_and_others_stay_apart() {
    let (_folder, args) = given(&storm(), &[]);
    let homes = homes(&args).expect("replays");
    assert_eq!(homes.len(), 8, "a row for each event");
    for event in ["e1b", "e1c", "e2", "e3"] {
        assert_eq!(homes[event], homes["e1"], "{event}: {homes:?}");
    }
    assert_eq!(homes["m1"], homes["m2"], "{homes:?}");
    assert_ne!(homes["m1"], homes["e1"], "{homes:?}");
    for other in ["e1", "m1"] {
        assert_ne!(homes["s1"], homes[other], "the stray one is by itself: {homes:?}");
    }
}

#[test]
fn the_order_of_arrival_does_not_decide() {
    let mut lines = storm();
    lines.swap(0, 3);
    let arrivals = "line,received_at_ms\n0,1795143660000\n1,1795143660000\n2,1795143661000\n\
                    3,1795143662000\n4,1795143900000\n5,1795143900000\n6,1795143900000\n\
                    7,1795147200000\n";
    let (_folder, args) = given(&lines, &[("arrivals.csv", arrivals)]);
    let homes = homes(&args).expect("replays");
    assert_eq!((&homes["e2"], &homes["e3"]), (&homes["e1"], &homes["e1"]), "{homes:?}");
}

#[test]
fn without_an_event_id_fingerprint_and_start_name_an_event() {
    let line = webhook("x", "Slow", "web", "2026-11-20T03:00:00Z", "firing")
        .replace(r#""event_id":"x""#, r#""summary":"slow""#);
    let (_folder, args) = given(&[line], &[]);
    let events: Vec<String> = homes(&args).expect("replays").into_keys().collect();
    assert_eq!(events, ["Slow-web 2026-11-20T03:00:00.000Z"]);
}

#[test]
fn what_is_wrong_is_told_with_file_and_line() {
    let refused = |lines: &[String], more: &[(&str, &str)]| {
        let (_folder, args) = given(lines, more);
        let text = homes(&args).expect_err("refused");
        text.rsplit('/').next().unwrap_or_default().to_owned()
    };
    let good = webhook("a", "Slow", "web", "2026-11-20T03:00:00Z", "firing");
    assert!(
        refused(&[good.clone(), "{".into()], &[]).starts_with("alerts.jsonl, line 2: not JSON")
    );
    let bad = good.replace("2026-11-20T03:00:00Z", "yesterday");
    assert!(refused(&[bad], &[]).contains("line 1: alerts[0].startsAt"));
    let few = [("arrivals.csv", "line,received_at_ms\n3,5\n")];
    assert!(refused(std::slice::from_ref(&good), &few).contains("does not say when line 0"));
    let odd = [("arrivals.csv", "0,soon\n1,later\n")];
    assert!(refused(std::slice::from_ref(&good), &odd).contains("line 1: expected a line number"));
    let edge = [("topology.json", r#"{"edges": [["web"]]}"#)];
    assert_eq!(
        refused(std::slice::from_ref(&good), &edge),
        "topology.json: edges[0]: expected [caller, callee]."
    );
    let change = [("changes.ndjson", r#"{"kind": "deploy"}"#)];
    assert!(refused(&[good], &change).contains("changes.ndjson, line 1: ts: expected"));
}
