//! What the webhooks promise: nothing unsigned, nothing twice, nothing stale.

use super::*;
use crate::model::{ChangeKind, Time};

const NOW: Time = Time::from_ms(1_800_000_000_000);
const SECRET: &[u8] = b"obviously-fake-secret";

fn github(event: &str, id: &str, body: &str, seen: &Seen) -> Result<crate::model::Batch, Rejected> {
    let signature = sign(SECRET, &[body.as_bytes()]);
    let headers =
        GithubHeaders { event: Some(event), delivery: Some(id), signature: Some(&signature) };
    decode_github(headers, body.as_bytes(), NOW, (SECRET, &Config::default()), seen)
}

const DEPLOYMENT: &str = r#"{"deployment":{"id":7,"ref":"4.7.2","description":"raise concurrency","created_at":"2027-01-15T07:00:00Z","creator":{"login":"someone"}},"deployment_status":{"state":"success"},"repository":{"full_name":"shop/orders"}}"#;

#[test]
fn a_deployment_is_read_once_and_keeps_its_identity() {
    let seen = Seen::default();
    let batch = github("deployment_status", "a", DEPLOYMENT, &seen).expect("decodes");
    let change = &batch.changes[0];
    assert_eq!(change.entity.name(), "orders");
    assert_eq!(
        (change.title.as_str(), change.status.as_str()),
        ("deploy 4.7.2: raise concurrency", "success")
    );
    assert_eq!(github("deployment_status", "a", DEPLOYMENT, &seen).expect_err("again").status, 409);
    seen.forget("a");
    let again = github("deployment_status", "a", DEPLOYMENT, &seen).expect("decodes");
    assert_eq!(again.changes[0].id, change.id);
    assert!(github("ping", "b", "{}", &seen).expect("decodes").changes.is_empty());
}

#[test]
fn a_wrong_signature_is_refused_before_the_body_is_read() {
    let headers =
        GithubHeaders { event: Some("push"), delivery: Some("x"), signature: Some("sha256=00") };
    let answer =
        decode_github(headers, b"not json", NOW, (SECRET, &Config::default()), &Seen::default());
    assert_eq!(answer.expect_err("refused").status, 401);
    assert_eq!(verify(b"", &[b"x"], Some(&sign(b"", &[b"x"]))).expect_err("no secret").status, 401);
}

#[test]
fn the_plain_webhook_checks_time_signature_and_repetition() {
    let body = br#"{"kind":"config","service":"orders","title":"worker_concurrency 48","at":"2027-01-15T07:00:00Z"}"#;
    let send = |seconds: i64, seen: &Seen| {
        let stamp = seconds.to_string();
        let signature = sign(SECRET, &[stamp.as_bytes(), b".", body]);
        let headers = PlainHeaders { timestamp: Some(&stamp), signature: Some(&signature) };
        decode_plain(headers, body, (NOW, NOW), SECRET, seen)
    };
    let seen = Seen::default();
    let seconds = NOW.ms() / 1_000;
    assert_eq!(send(seconds, &seen).expect("taken").changes[0].kind, ChangeKind::Config);
    assert_eq!(send(seconds, &seen).expect_err("replayed").status, 409);
    assert_eq!(send(seconds - 301, &seen).expect_err("stale").status, 401);
    assert_eq!(send(i64::MIN, &seen).expect_err("absurd").status, 401);
}

#[test]
fn what_a_provider_reports_is_a_change_that_nobody_can_take_back() {
    let send = |body: &str| {
        let stamp = (NOW.ms() / 1_000).to_string();
        let signature = sign(SECRET, &[stamp.as_bytes(), b".", body.as_bytes()]);
        let headers = PlainHeaders { timestamp: Some(&stamp), signature: Some(&signature) };
        decode_plain(headers, body.as_bytes(), (NOW, NOW), SECRET, &Seen::default())
    };
    let with = |more: &str| {
        send(&format!(
            r#"{{"kind":"provider","entity":"server.address=api.example.com","title":"Elevated errors"{more}}}"#
        ))
    };
    let change = with("").expect("taken").changes.remove(0);
    assert!(change.kind == ChangeKind::Provider && !change.kind.is_ours());
    assert_eq!((change.status.as_str(), change.at), ("open", NOW), "when it was told");
    assert_eq!(change.line(), "api.example.com: its provider reports \"Elevated errors\"");
    // Its updates are the same event, known by when it began.
    let at = r#","at":"2027-01-15T07:00:00Z""#;
    let ids = ["investigating", "resolved"].map(|status| {
        let sent = with(&format!(r#"{at},"status":"{status}""#));
        sent.expect("taken").changes[0].id
    });
    assert_eq!(ids[0], ids[1]);
    let ended = |more: &str| with(&format!("{at}{more}")).expect("taken").changes[0].ended_at();
    assert_eq!(ended(r#","status":"investigating""#), None);
    assert_eq!(ended(r#","status":"Resolved""#), Some(NOW), "when its end was told");
    assert_eq!(
        ended(r#","status":"resolved","attributes":{"ended_at":"2027-01-15T07:30:00Z"}"#),
        Some(Time::parse("2027-01-15T07:30:00Z").expect("valid")),
    );
    for (more, says) in [
        (
            r#","at":"2027-01-15T07:00:00Z","status":"resolved","attributes":{"ended_at":"late"}"#,
            "/attributes/ended_at: ",
        ),
        (r#","status":"Resolved""#, "/at: missing"),
        (r#","previous":"1""#, "/previous: leave it out"),
        (r#","version":"2""#, "/version: leave it out"),
    ] {
        let refused = with(more).expect_err(more);
        assert!(refused.status == 400 && refused.to_string().contains(says), "{refused}");
    }
}

#[test]
fn before_and_after_are_kept_as_what_differs() {
    let send = |body: &str| {
        let stamp = (NOW.ms() / 1_000).to_string();
        let signature = sign(SECRET, &[stamp.as_bytes(), b".", body.as_bytes()]);
        let headers = PlainHeaders { timestamp: Some(&stamp), signature: Some(&signature) };
        decode_plain(headers, body.as_bytes(), (NOW, NOW), SECRET, &Seen::default())
    };
    let change = send(
        r#"{"kind":"config","service":"orders","title":"orders settings",
            "before":{"worker_concurrency":24,"db":{"password":"old-fake"}},
            "after":{"worker_concurrency":48,"db":{"password":"new-fake"}}}"#,
    );
    let change = change.expect("taken").changes.remove(0);
    assert_eq!(change.diff, ["db.password: changed, not shown", "worker_concurrency: 24 → 48"]);
    let named = send(
        r#"{"kind":"flag","service":"orders","title":"rotate db_password","before":"a","after":"b"}"#,
    );
    assert_eq!(named.expect("taken").changes[0].diff, ["changed, not shown"]);
    let refused = send(r#"{"kind":"flag","service":"a","title":"b","before":"x","after":{}}"#);
    assert_eq!(refused.expect_err("mixed").status, 400);
    let refused =
        send(r#"{"kind":"provider","entity":"server.address=a.example","title":"b","after":"x"}"#);
    assert_eq!(refused.expect_err("nobody here changed it").status, 400);
    // What was stored before there were any is read as without.
    let plain = crate::model::Change { diff: Vec::new(), ..change };
    let stored = serde_json::to_value(&plain).expect("JSON");
    assert!(stored.get("diff").is_none());
    assert_eq!(serde_json::from_value::<crate::model::Change>(stored).expect("reads"), plain);
}
