//! What the evidence says of log templates and of changes: which, since when, by whom.

use super::*;
use crate::model::Hypothesis;
use crate::model::diagnosis::ScorePart;
use crate::telemetry::changes::{
    Config, GithubHeaders, PlainHeaders, Seen, decode_github, decode_plain, sign,
};

fn part<'a>(h: &'a Hypothesis, name: &str) -> &'a ScorePart {
    h.parts.iter().find(|p| p.name == name).expect("it has that part")
}

/// What the evidence and the hypothesis say of the lines of `stock`, with more lines in the store.
async fn lines_told(more: Vec<LogLine>) -> (String, String) {
    let mut house = house();
    let put = move |tx: &Tx<'_>| {
        tx.append_logs(&more)?;
        trouble(tx)
    };
    let id = house.store.write(put).await.expect("writes").id;
    let (diagnosis, evidence) = diagnosed(&mut house, id).await;
    let first = &diagnosis.hypotheses[0];
    assert_eq!(first.entity.name(), "stock");
    let logs = part(first, "logs");
    let summary = evidence.iter().find(|e| logs.evidence == [e.id]).expect("stored");
    (summary.summary.clone(), logs.why.clone())
}

#[tokio::test]
async fn a_template_is_named_with_when_it_was_first_seen_in_the_window_that_is_told() {
    let told = (
        "stock wrote this line 145 times from 02:59:15 to 03:02:30 UTC, first at 03:00:05, never in \
         as long before: no connection within 5005 ms"
            .to_owned(),
        "its log says 145 times from 03:00:05 to 03:02:30 UTC, never in as long before: no \
         connection within <*>"
            .to_owned(),
    );
    assert_eq!(lines_told(Vec::new()).await, told);
    // It was there a month ago and vanished: what is said is of the window, and no more is claimed.
    let month = -30 * 86_400;
    let old =
        lines(&service("stock"), Level::Error, "no connection within {n} ms", month..month + 100);
    assert_eq!(lines_told(old).await, told);
}

#[tokio::test]
async fn a_template_that_was_written_before_is_told_with_how_often() {
    let stock = service("stock");
    let old = lines(&stock, Level::Error, "no connection within {n} ms", -200..-180);
    let (summary, why) = lines_told(old).await;
    assert_eq!(
        summary,
        "stock wrote this line 145 times from 02:59:15 to 03:02:30 UTC, first at 03:00:05, 20 times \
         in as long before: no connection within 5005 ms"
    );
    assert_eq!(
        why,
        "its log says 145 times from 03:00:05 to 03:02:30 UTC, 20 times in as long before: no \
         connection within <*>"
    );
}

#[tokio::test]
async fn where_more_lines_were_written_than_are_read_no_first_and_no_never_is_claimed() {
    // Thirteen a second beside the warning and the error of each: the newest 1,500 are of 100 s.
    let more =
        (0..13).flat_map(|_| lines(&service("stock"), Level::Warn, "queue {n} is long", -300..150));
    let (summary, why) = lines_told(more.collect()).await;
    assert_eq!(
        summary,
        "stock wrote this line at least 100 times from 02:59:15 to 03:02:30 UTC, first at 03:00:50 \
         or sooner, never in the 1,500 lines before: no connection within 5050 ms"
    );
    assert_eq!(
        why,
        "its log says at least 100 times from 03:00:50 to 03:02:30 UTC, never in the 1,500 lines \
         before: no connection within <*>"
    );
}

const COMMIT: &str = "9fceb02d0ae598e95dc970b74767f19372d61af8";
const SECRET: &[u8] = b"obviously-fake-secret";

fn from_github() -> Change {
    let body = serde_json::json!({
        "deployment": {
            "id": 7,
            "sha": COMMIT,
            "ref": "4.7.2",
            "environment": "production",
            "description": "raise concurrency",
            "created_at": "2026-11-20T02:59:20Z",
            "creator": { "login": "dana" },
        },
        "deployment_status": { "state": "success" },
        "repository": { "full_name": "shop/stock" },
    })
    .to_string();
    let signature = sign(SECRET, &[body.as_bytes()]);
    let headers = GithubHeaders {
        event: Some("deployment_status"),
        delivery: Some("a"),
        signature: Some(&signature),
    };
    let with = (SECRET, &Config::default());
    let batch = decode_github(headers, body.as_bytes(), at(0), with, &Seen::default());
    batch.expect("decodes").changes.remove(0)
}

fn from_a_pipeline() -> Change {
    let body = serde_json::json!({
        "kind": "deploy",
        "service": "stock",
        "title": "deploy 4.7.2",
        "version": "4.7.2",
        "previous": "4.7.1",
        "author": "dana",
        "at": "2026-11-20T02:59:20Z",
        "attributes": { "vcs.ref.head.revision": COMMIT },
    })
    .to_string();
    let stamp = (at(0).ms() / 1_000).to_string();
    let signature = sign(SECRET, &[stamp.as_bytes(), b".", body.as_bytes()]);
    let headers = PlainHeaders { timestamp: Some(&stamp), signature: Some(&signature) };
    let batch = decode_plain(headers, body.as_bytes(), (at(0), at(0)), SECRET, &Seen::default());
    batch.expect("decodes").changes.remove(0)
}

/// What is said of a change of `stock`: its evidence, why it counts, the statement, the first step of
/// the course, and the timeline.
async fn change_told(made: Change) -> [String; 5] {
    let mut house = house();
    let id = made.id;
    let put = move |tx: &Tx<'_>| {
        let incident = trouble(tx)?;
        tx.remove::<Change>(change(&service("stock"), ChangeKind::Deploy, -40).id)?;
        tx.put(&made)?;
        Ok(incident.id)
    };
    let incident = house.store.write(put).await.expect("writes");
    let (diagnosis, evidence) = diagnosed(&mut house, incident).await;
    let first = &diagnosis.hypotheses[0];
    assert_eq!(first.change, Some(id));
    let why = part(first, "change");
    let shown = evidence.iter().find(|e| why.evidence == [e.id]).expect("stored");
    assert!(first.evidence.contains(&shown.id), "the hypothesis stands on it");
    assert_eq!(diagnosis.steps[0].evidence, [shown.id]);
    let story = house.store.read(move |r| r.list::<TimelineEntry>(&Filter::parent(incident)));
    let story = story.await.expect("reads");
    let entry = story.iter().find(|e| e.kind == EntryKind::Change).expect("written");
    let (statement, step) = (first.statement.clone(), diagnosis.steps[0].text.clone());
    [shown.summary.clone(), why.why.clone(), statement, step, entry.text.clone()]
}

#[tokio::test]
async fn commit_and_author_of_a_deploy_stand_in_its_evidence_and_the_author_in_its_course() {
    assert_eq!(
        change_told(from_github()).await,
        [
            "02:59:20 UTC deploy 4.7.2: raise concurrency on stock (by dana, version 4.7.2, commit \
             9fceb02d0ae5, deployment.environment.name production, vcs.repository.name shop/stock)",
            "deploy 4.7.2: raise concurrency, 40 s before its onset",
            "stock ran out of a resource after deploy 4.7.2: raise concurrency, since 03:00:00 UTC.",
            "stock: deploy 4.7.2: raise concurrency, by dana",
            "stock: deploy 4.7.2: raise concurrency by dana",
        ]
    );
    assert_eq!(
        change_told(from_a_pipeline()).await,
        [
            "02:59:20 UTC deploy 4.7.2 on stock (by dana, 4.7.1 → 4.7.2, commit 9fceb02d0ae5)",
            "deploy 4.7.2, 40 s before its onset",
            "stock ran out of a resource after deploy 4.7.2, since 03:00:00 UTC.",
            "stock: deploy 4.7.2, by dana",
            "stock: deploy 4.7.2 by dana",
        ]
    );
}

#[tokio::test]
async fn who_followed_before_is_told_in_the_thread_before_it_follows() {
    let mut house = house();
    let put = |tx: &Tx<'_>| {
        let incident = trouble(tx)?;
        let old = yesterday(tx, &incident)?;
        let mut web = alert(&service("web"), Indicator::Duration, 50.0, -86_400 + 600);
        web.incident = Some(old);
        tx.put(&web)?;
        Ok(incident.id)
    };
    let id = house.store.write(put).await.expect("writes");
    let (diagnosis, _) = diagnosed(&mut house, id).await;
    assert!(diagnosis.conclusive);
    let web = &diagnosis.reach.followers[0];
    assert_eq!((web.entity.name(), web.through.name()), ("web", "shop"));
    assert_eq!((web.n_followed, web.n_times), (1, 1));
    // Ten minutes after shop, as then.
    let lag = web.lag.as_ref().expect("it followed once");
    assert_eq!((lag.median_ms, web.since), (600_000, Some(at(15))));
    assert!(web.expected_at.is_some_and(|t| t > at(615)), "{web:?}");
    let told = house.store.read(move |r| r.list::<TimelineEntry>(&Filter::parent(id)));
    let told = told.await.expect("reads");
    let next = "Likely to follow if it goes on: web (";
    assert!(
        told.iter().any(|e| e.kind == EntryKind::Diagnosis && e.text.contains(next)),
        "{told:?}"
    );
    // A diagnosis of before is still read.
    let mut old = serde_json::to_value(&diagnosis).expect("written");
    for name in ["followers", "requests_ahead"] {
        old["reach"].as_object_mut().expect("a reach").remove(name);
    }
    let read: Diagnosis = serde_json::from_value(old).expect("read");
    assert!(read.reach.followers.is_empty() && !read.reach.may_follow.is_empty());
}

#[tokio::test]
async fn an_edge_that_is_new_is_evidence_and_one_that_came_after_the_onset_no_way_of_the_fault() {
    let mut house = house();
    let put = |tx: &Tx<'_>| {
        let incident = trouble(tx)?;
        for (to, first_seen) in [("audit", -90_000), ("rates", -60), ("stand-in", 100)] {
            tx.put(&Edge {
                from: service("stock"),
                to: service(to),
                kind: EdgeKind::Calls,
                first_seen: at(first_seen),
                last_seen: at(140),
                declared: false,
                learned: true,
            })?;
        }
        Ok(incident.id)
    };
    let id = house.store.write(put).await.expect("writes");
    let (diagnosis, evidence) = diagnosed(&mut house, id).await;
    let told: Vec<&str> = evidence
        .iter()
        .filter(|e| diagnosis.evidence.contains(&e.id))
        .map(|e| e.summary.as_str())
        .filter(|text| text.contains("(new)"))
        .collect();
    let mut told = told;
    told.sort_unstable();
    insta::assert_snapshot!(told.join("\n"), @"
    stock calls rates since 02:59:00 UTC (new), 60 s before the onset
    stock calls stand-in only since 03:01:40 UTC (new), 100 s after the onset: the fault did not come that way
    ");
    assert_eq!(diagnosis.hypotheses[0].entity, service("stock"));
}
