//! What is kept: each kind of record for its own time, what an open incident cites for as long as
//! it is open, and an honest word when the size cap is out of reach.

use std::time::Duration;

use nightjar::chat::{Content, HeardState, Inbound, Kept, Message, Post, Said, StoredFile, Within};
use nightjar::model::diagnosis::{Evidence, Finding};
use nightjar::model::signal::Direction;
use nightjar::model::time::DAY_MS;
use nightjar::model::topology::{Edge, EdgeKind};
use nightjar::model::{
    Actor, Alert, EntityRef, EvidenceId, Gap, Incident, IncidentId, IncidentState, Indicator,
    Labels, MessageId, Point, Samples, Series, Severity, Silence, SilenceId, Time, wall_now,
};
use nightjar::store::{AuditFilter, Filter, Record, Retention, Store};
use nightjar::telemetry::gaps::SourceGap;

use crate::bot::Bot;
use crate::invariants::alert_on;
use crate::support::{eventually, free_port};

fn now() -> Time {
    Time::parse("2026-11-20T03:00:00Z").expect("valid")
}

fn ago(days: i64) -> Time {
    now().plus_ms(-days * DAY_MS)
}

fn incident(name: &str, state: IncidentState) -> Incident {
    Incident {
        id: IncidentId::derive(ago(300), &[name]),
        number: 1,
        title: "orders is slow".into(),
        state,
        severity: Severity::Critical,
        onset_at: ago(300),
        opened_at: ago(300),
        updated_at: ago(300),
        acknowledged_at: None,
        quiet_since: None,
        resolved_at: None,
        owner: None,
        entities: vec![EntityRef::service("orders")],
        alerts: vec![],
        n_reports: 1,
        leading: None,
        merged_into: None,
        category: None,
        closed_by: None,
        declared_by: None,
        n_reopened: 0,
        reopened_at: None,
        priority: None,
        taxonomy: None,
        untold: None,
        n_conditions: 0,
    }
}

fn message(name: &str, at: Time, of: Option<IncidentId>, thread: Option<MessageId>) -> Message {
    Message {
        id: MessageId::derive(at, &[name]),
        channel: "incidents".into(),
        thread,
        content: Content::File {
            name: name.into(),
            media_type: "image/png".into(),
            alt: "a chart".into(),
            file: format!("chart-{name}"),
        },
        author: Actor::nightjar(),
        at,
        edited_at: None,
        ephemeral_to: None,
        incident: of,
    }
}

fn file(name: &str, at: Time) -> StoredFile {
    StoredFile::new(&format!("chart-{name}"), "image/png", b"png", at)
}

fn evidence(name: &str, at: Time, of: Option<IncidentId>) -> Evidence {
    Evidence {
        id: EvidenceId::derive(at, &[name]),
        incident: of,
        at,
        summary: "It was slow.".into(),
        source: "store".into(),
        query: name.into(),
        since: at,
        until: at,
        finding: Finding::Record { id: name.into(), text: String::new() },
    }
}

fn heard(key: &str, at: Time, state: HeardState) -> Kept {
    let inbound = Inbound {
        key: key.into(),
        platform: "console".into(),
        channel: "incidents".into(),
        thread: None,
        message: None,
        actor: Actor::nightjar(),
        at,
        unresolved: false,
        trigger: None,
        said: Said::Message { text: "status".into(), addressed: true },
    };
    Kept { state, ..Kept::new(inbound) }
}

fn silence(name: &str, from: Time, to: Time) -> Silence {
    Silence {
        id: SilenceId::derive(from, &[name]),
        matchers: vec!["service=orders".parse().expect("valid")],
        starts_at: from,
        ends_at: to,
        author: Actor::nightjar(),
        reason: "work".into(),
        maintenance: false,
    }
}

fn edge(to: &str, seen: Time, declared: bool) -> Edge {
    Edge {
        from: EntityRef::service("orders"),
        to: EntityRef::service(to),
        kind: EdgeKind::Calls,
        first_seen: ago(900),
        last_seen: seen,
        declared,
        learned: !declared,
    }
}

fn gap(what: &str, told_at: Time) -> SourceGap {
    let gap = Gap { what: what.into(), why: "HTTP 500".into(), since: None, until: None };
    SourceGap { source: "main".into(), gap, told_at }
}

async fn keys<R: Record>(store: &Store) -> Vec<String> {
    let all = store.read(|r| r.list::<R>(&Filter::all())).await.expect("reads");
    all.iter().map(Record::key).collect()
}

#[tokio::test]
async fn each_kind_goes_at_its_age_and_what_an_open_incident_cites_stays() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = Store::open(&folder.path().join("t.sqlite")).expect("opens");
    let (open, over) = (incident("a", IncidentState::Open), incident("b", IncidentState::Resolved));
    let (of_open, of_over) = (Some(open.id), Some(over.id));
    let root = message("root", ago(250), None, None);
    let cited = message("cited", ago(250), of_open, None);
    let beneath = message("beneath", ago(249), None, Some(cited.id));
    let kept = [
        message("young", ago(100), of_over, None).key(),
        cited.key(),
        beneath.key(),
        root.key(),
        message("answer", ago(2), None, Some(root.id)).key(),
    ];
    store
        .write(move |tx| {
            for m in [
                message("old", ago(250), of_over, None),
                message("young", ago(100), of_over, None),
                message("answer", ago(2), None, Some(root.id)),
                cited,
                beneath,
                root,
            ] {
                tx.put(&m)?;
            }
            for f in [file("old", ago(250)), file("cited", ago(250)), file("young", ago(100))] {
                tx.put(&f)?;
            }
            for e in [
                evidence("answer", ago(250), None),
                evidence("open", ago(250), of_open),
                evidence("over", ago(250), of_over),
                evidence("young", ago(100), None),
            ] {
                tx.put(&e)?;
            }
            for k in [
                heard("old", ago(8), HeardState::Done),
                heard("due", ago(8), HeardState::Due),
                heard("young", ago(6), HeardState::Done),
            ] {
                tx.put(&k)?;
            }
            for s in [
                silence("ended", ago(100), ago(99)),
                silence("long", ago(100), ago(10)),
                silence("holds", ago(300), now().plus_ms(DAY_MS)),
            ] {
                tx.put(&s)?;
            }
            for e in [
                edge("old", ago(31), false),
                edge("declared", ago(31), true),
                edge("young", ago(29), false),
            ] {
                tx.put(&e)?;
            }
            for g in [gap("old", ago(31)), gap("young", ago(29))] {
                tx.put(&g)?;
            }
            let post = |key: &str, at| {
                let text = Content::text("done");
                Post::new(key, ("console", "incidents"), Within::Channel, text, at)
            };
            tx.put(&post("due", ago(250)))?;
            tx.audit(ago(1_000), &Actor::nightjar(), "test", "x", &serde_json::json!({}))?;
            tx.put(&open)?;
            tx.put(&over)
        })
        .await
        .expect("writes");
    let retention = Retention::default();
    let trim = move |tx: &nightjar::store::Tx<'_>| tx.enforce(&retention, now());
    let trimmed = store.write(trim).await.expect("trims");
    assert_eq!((trimmed.n_incidents, trimmed.above_cap), (0, None));
    assert_eq!(trimmed.n_records, 7, "{trimmed:?}");

    let mut messages = keys::<Message>(&store).await;
    messages.sort();
    let mut kept = kept.to_vec();
    kept.sort();
    assert_eq!(messages, kept);
    assert_eq!(keys::<StoredFile>(&store).await, ["chart-cited", "chart-young"]);
    let left = store.read(|r| r.list::<Evidence>(&Filter::all())).await.expect("reads");
    let mut left: Vec<&str> = left.iter().map(|e| e.query.as_str()).collect();
    left.sort_unstable();
    assert_eq!(left, ["open", "over", "young"], "an incident's own goes with it");
    assert_eq!(keys::<Kept>(&store).await, ["due", "young"]);
    assert_eq!(keys::<Silence>(&store).await.len(), 2);
    let edges = store.read(|r| r.list::<Edge>(&Filter::all())).await.expect("reads");
    let mut names: Vec<&str> = edges.iter().map(|e| e.to.name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["declared", "young"]);
    assert_eq!(keys::<SourceGap>(&store).await, ["main/young"]);
    assert_eq!(keys::<Post>(&store).await.len(), 1, "it is still to be sent");
    let audit =
        store.read(|r| r.audit_records(&AuditFilter { limit: 9, ..AuditFilter::default() }));
    assert_eq!(audit.await.expect("reads").len(), 1, "the audit log is never trimmed");
}

/// A series with a point a day.
fn daily(service: &str) -> Samples {
    let (entity, labels) = (EntityRef::service(service), Labels::default());
    let series = Series {
        id: Series::identity("main", "p95", &entity, &labels),
        source: "main".into(),
        entity,
        metric: "p95".into(),
        labels,
        indicator: Indicator::Duration,
        unit: "s".into(),
        direction: Direction::High,
        query: None,
        limit: None,
        step_ms: DAY_MS,
    };
    let points = (0..400).rev().map(|n| Point { at: ago(n), value: 1.0 }).collect();
    Samples { series, points }
}

#[tokio::test]
async fn the_points_behind_an_open_incident_stay_until_it_is_over() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = Store::open(&folder.path().join("t.sqlite")).expect("opens");
    let (cited, other) = (daily("orders"), daily("users"));
    let (cited_id, other_id) = (cited.series.id, other.series.id);
    let oldest = async |id| {
        let all = store.read(move |r| r.points(id, ago(1_000), now())).await.expect("reads");
        all.first().map(|p: &Point| now().ms_since(p.at) / DAY_MS)
    };
    let open = incident("a", IncidentState::Open);
    let alert = Alert { series: Some(cited_id), incident: Some(open.id), ..alert_on("orders") };
    let over = Incident { state: IncidentState::Resolved, updated_at: now(), ..open.clone() };
    let write = move |tx: &nightjar::store::Tx<'_>| {
        tx.append_points(&cited)?;
        tx.append_points(&other)?;
        tx.put(&alert)?;
        tx.put(&open)
    };
    store.write(write).await.expect("writes");
    let trim = |tx: &nightjar::store::Tx<'_>| tx.enforce(&Retention::default(), now());
    store.write(trim).await.expect("trims");
    assert_eq!(oldest(cited_id).await, Some(301), "a day before its onset and all since");
    assert_eq!(oldest(other_id).await, Some(30));
    store.write(move |tx| tx.put(&over)).await.expect("writes");
    store.write(trim).await.expect("trims");
    assert_eq!(oldest(cited_id).await, Some(30), "it is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_that_can_not_be_reached_is_said() {
    let mut bot = Bot::on(free_port(), "[retention]\nmax_mb = 64\n").await;
    let degraded = async |bot: &Bot| bot.get("/readyz").await["degraded"].to_string();
    assert_eq!(degraded(&bot).await, "[]");
    bot.kill();
    let store = Store::open(&bot.data().join("nightjar.sqlite")).expect("opens");
    let at = wall_now();
    let fill = move |tx: &nightjar::store::Tx<'_>| {
        let bytes = vec![7_u8; 500_000];
        (0..70).try_for_each(|n| tx.put(&StoredFile::new(&n.to_string(), "image/png", &bytes, at)))
    };
    store.write(fill).await.expect("writes");
    drop(store);
    bot.again().await;
    eventually("the word that the cap is out of reach", Duration::from_secs(120), async || {
        degraded(&bot).await.contains("above its cap of 64 MB")
    })
    .await;
    assert!(bot.metric("nightjar_store_above_cap_bytes", "").await > 1e6);
    assert_eq!(bot.list("incidents").await.len(), 0, "it goes on");
}
