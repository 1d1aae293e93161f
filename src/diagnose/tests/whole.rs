//! The stage over a real store: from signals, lines, calls and changes to a stored diagnosis.

mod told;

use std::sync::Arc;

use super::*;
use crate::bus::{Bus, Event};
use crate::detect::SharedShard;
use crate::model::action::Effect;
use crate::model::clock::ManualClock;
use crate::model::diagnosis::Finding;
use crate::model::signal::{Direction, Samples};
use crate::model::time::HOUR_MS;
use crate::model::topology::Edge;
use crate::model::{
    Diagnosis, EntryKind, Evidence, Fault, Level, LogLine, Outcome, Point, Run, Series,
    TimelineEntry,
};
use crate::runbook::Library;
use crate::stage::Stage as _;
use crate::store::{Filter, Store, Tx};

pub(super) struct House {
    pub(super) store: Store,
    clock: Arc<ManualClock>,
    pub(super) stage: Diagnose,
    _folder: tempfile::TempDir,
}

pub(super) fn house() -> House {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
    let clock = ManualClock::new(at(150));
    let shard = SharedShard::new(crate::detect::Config::default());
    let library = Arc::new(Library::shipped().expect("no mistakes"));
    let stage = Diagnose::new(store.clone(), Bus::default(), clock.clone(), shard, library);
    House { store, clock, stage, _folder: folder }
}

/// A series that leaves its level at `onset`, and the alert that a detector made of it later.
fn signal(
    tx: &Tx<'_>,
    entity: &EntityRef,
    (metric, indicator): (&str, Indicator),
    (low, high): (f64, f64),
    (onset, seen): (i64, i64),
) -> Result<Alert, Fault> {
    let labels = Labels::default();
    let series = Series {
        id: Series::identity("main", metric, entity, &labels),
        source: "main".into(),
        entity: entity.clone(),
        metric: metric.into(),
        labels,
        indicator,
        unit: "s".into(),
        direction: Direction::High,
        query: None,
        limit: None,
        step_ms: 15_000,
    };
    let wobble = |s: i64| f64::from((s % 7) as i32 - 3) * 0.01 * low;
    let points = (-3_600..150)
        .step_by(15)
        .map(|s| Point { at: at(s), value: if s < onset { low } else { high } + wobble(s) })
        .collect();
    let id = series.id;
    tx.append_points(&Samples { series, points })?;
    let mut made = alert(entity, indicator, 50.0, seen);
    made.series = Some(id);
    made.labels.set("metric", metric);
    Ok(made)
}

fn lines(
    entity: &EntityRef,
    level: Level,
    text: &str,
    seconds: std::ops::Range<i64>,
) -> Vec<LogLine> {
    let line = |s: i64| LogLine {
        at: at(s),
        entity: entity.clone(),
        level,
        body: text.replace("{n}", &(s + 5_000).to_string()),
        trace_id: None,
        attributes: Labels::default(),
    };
    seconds.map(line).collect()
}

/// The pool of `stock` to `store` is exhausted after a deploy: everything that a shop would send.
pub(super) fn trouble(tx: &Tx<'_>) -> Result<Incident, Fault> {
    use Indicator::{Duration, Saturation};
    let (shop, stock, store) = (service("shop"), service("stock"), service("store"));
    for (from, to) in [("web", "shop"), ("shop", "stock"), ("stock", "store")] {
        tx.put(&Edge {
            from: service(from),
            to: service(to),
            kind: EdgeKind::Calls,
            first_seen: at(-9_000),
            last_seen: at(0),
            declared: false,
            learned: true,
        })?;
    }
    let mut alerts = vec![
        signal(tx, &shop, ("duration p95", Duration), (0.2, 4.0), (15, 45))?,
        signal(tx, &stock, ("duration p95", Duration), (0.1, 4.5), (0, 60))?,
        signal(tx, &stock, ("pool.pending", Saturation), (1.0, 74.0), (0, 30))?,
        signal(tx, &store, ("connections.active", Saturation), (9.0, 40.0), (0, 30))?,
    ];
    for s in (-1_800..150).step_by(2) {
        tx.count_call(&stock, &store, at(s), if s % 4 == 0 { 6.0 } else { 6.6 }, false)?;
        tx.count_call(&shop, &stock, at(s), if s < 0 { 100.0 } else { 4_000.0 }, s >= 60)?;
    }
    tx.append_logs(&lines(&stock, Level::Info, "handled {n} requests", -1_200..150))?;
    tx.append_logs(&lines(&stock, Level::Warn, "cache miss {n}", -1_200..150))?;
    tx.append_logs(&lines(&stock, Level::Error, "no connection within {n} ms", 5..150))?;
    tx.put(&change(&stock, ChangeKind::Deploy, -40))?;
    tx.put(&change(&service("other"), ChangeKind::Deploy, -5_000))?;
    let mut incident = input(Graph::default(), alerts.clone(), Vec::new()).incident;
    incident.onset_at = at(30);
    incident.opened_at = at(120);
    for made in &mut alerts {
        made.incident = Some(incident.id);
        tx.put(made)?;
    }
    tx.put(&incident)?;
    Ok(incident)
}

/// The same trouble yesterday, and what ended it.
fn yesterday(tx: &Tx<'_>, today: &Incident) -> Result<IncidentId, Fault> {
    let mut old = today.clone();
    old.id = IncidentId::derive(at(-86_400), &["yesterday"]);
    old.number = 7;
    (old.onset_at, old.opened_at) = (at(-86_400), at(-86_280));
    (old.state, old.resolved_at) = (IncidentState::Resolved, Some(at(-80_000)));
    for mut made in tx.list::<Alert>(&Filter::parent(today.id))? {
        made.id = AlertId::derive(at(-86_400), &[&made.fingerprint.to_string()]);
        (made.incident, made.starts_at) = (Some(old.id), at(-86_400));
        tx.put(&made)?;
    }
    let ranked = rank(&input(
        Graph::default(),
        vec![alert(&service("stock"), Indicator::Saturation, 90.0, -86_400)],
        Vec::new(),
    ));
    tx.put(&Diagnosis {
        incident: old.id,
        revision: 1,
        at: at(-86_000),
        summary: String::new(),
        hypotheses: ranked.hypotheses,
        conclusive: true,
        first_look: false,
        evidence: Vec::new(),
        gaps: Vec::new(),
        changes: Vec::new(),
        similar: Vec::new(),
        runbooks: Vec::new(),
        charts: Vec::new(),
        counterfactuals: Vec::new(),
        steps: Vec::new(),
        reach: crate::model::diagnosis::Reach::default(),
    })?;
    tx.put(&old)?;
    Ok(old.id)
}

pub(super) async fn diagnosed(house: &mut House, id: IncidentId) -> (Diagnosis, Vec<Evidence>) {
    house.stage.handle(Event::Incident(id)).await.expect("hears");
    house.stage.wake().await.expect("diagnoses");
    let found = house.store.read(move |r| {
        let evidence = r.list::<Evidence>(&Filter::parent(id))?;
        Ok((r.get::<Diagnosis>(id)?.expect("made"), evidence))
    });
    found.await.expect("reads")
}

#[tokio::test]
async fn a_fault_is_found_with_evidence_of_every_kind_and_told_once() {
    let mut house = house();
    let (id, old) = house
        .store
        .write(|tx| {
            let incident = trouble(tx)?;
            let old = yesterday(tx, &incident)?;
            Ok((incident.id, old))
        })
        .await
        .expect("writes");
    let (diagnosis, evidence) = diagnosed(&mut house, id).await;
    let first = &diagnosis.hypotheses[0];
    assert_eq!((first.entity.name(), first.pattern.as_str()), ("stock", "saturation"));
    assert!(diagnosis.conclusive && first.confidence > 0.8, "{}", first.confidence);
    assert!(first.statement.ends_with("since 03:00:00 UTC."), "by its series: {}", first.statement);
    assert_eq!(diagnosis.changes[0].entity.name(), "stock");
    let names: Vec<&str> = first.parts.iter().map(|p| p.name.as_str()).collect();
    for name in ["graph", "onset", "change", "resource", "logs", "similar", "severity"] {
        assert!(names.contains(&name), "{name} is missing of {names:?}");
    }
    // Every part that rests on something stored says on what, and it is there.
    let stored = |id: &crate::model::EvidenceId| evidence.iter().any(|e| e.id == *id);
    assert!(first.parts.iter().all(|p| !p.evidence.is_empty() && p.evidence.iter().all(stored)));
    assert!(diagnosis.evidence.iter().all(stored));
    let log = evidence.iter().find_map(|e| match &e.finding {
        Finding::Logs { template, n, n_before, .. } => Some((template.clone(), *n, *n_before)),
        _ => None,
    });
    assert_eq!(log, Some(("no connection within <*>".into(), 145, 0)), "the burst alone");
    let clears = evidence.iter().find_map(|e| match &e.finding {
        Finding::Edge { from, to, mean_ms, mean_before_ms, .. } if to.name() == "store" => {
            Some((from.name().to_owned(), *mean_ms, *mean_before_ms))
        }
        _ => None,
    });
    let (from, now, before) = clears.expect("calls to the store are told");
    assert!(from == "stock" && (now - before).abs() < 0.2, "{now} {before}");
    let store = diagnosis.hypotheses.iter().find(|h| h.entity.name() == "store").expect("judged");
    assert!(store.parts.iter().any(|p| p.why.starts_with("calls to it are as usual")));
    let like = &diagnosis.similar[0];
    assert!(like.incident == old && like.similarity > 0.85, "{}", like.similarity);
    let change = like.parts.iter().find(|p| p.name == "change").expect("compared");
    assert_eq!(change.likeness, 0.0, "nothing had been changed yesterday");
    // The timeline names the change at its own time and the cause once.
    house.stage.sweep().await.expect("sweeps");
    house.stage.wake().await.expect("looks");
    let told = house.store.read(move |r| r.list::<TimelineEntry>(&Filter::parent(id)));
    let told = told.await.expect("reads");
    let kinds = |kind: EntryKind| told.iter().filter(|e| e.kind == kind).collect::<Vec<_>>();
    assert_eq!(kinds(EntryKind::Diagnosis).len(), 1);
    let changes = kinds(EntryKind::Change);
    assert_eq!((changes.len(), changes[0].at), (1, at(-40)));
}

#[tokio::test]
async fn what_helped_before_counts_more_and_is_named() {
    let mut house = house();
    let (id, old) = house
        .store
        .write(|tx| {
            let incident = trouble(tx)?;
            let old = yesterday(tx, &incident)?;
            Ok((incident.id, old))
        })
        .await
        .expect("writes");
    let part = |d: &Diagnosis| {
        let parts = &d.hypotheses[0].parts;
        parts.iter().find(|p| p.name == "similar").map_or(0.0, |p| p.contribution)
    };
    let unproven = part(&diagnosed(&mut house, id).await.0);
    let run = Run {
        id: crate::model::RunId::derive(at(-85_000), &["r"]),
        proposal: crate::model::ProposalId::derive(at(-85_000), &["p"]),
        incident: old,
        action: "pool/restore".into(),
        target: service("stock"),
        state: crate::model::RunState::Done,
        dry_run: false,
        started_at: at(-85_000),
        finished_at: Some(at(-84_990)),
        output: Vec::new(),
        approved_by: Vec::new(),
        verify_at: None,
        outcome: Some(Outcome {
            effect: Effect::Helped,
            signal: "stock p95".into(),
            before: Some(4.5),
            after: Some(0.1),
            expected: Some(0.1),
            text: "stock p95 fell from 4.5 s to 100 ms".into(),
            at: at(-84_800),
        }),
    };
    house.store.write(move |tx| tx.put(&run)).await.expect("writes");
    house.clock.set(at(300));
    let (diagnosis, _) = diagnosed(&mut house, id).await;
    assert!((part(&diagnosis) - 2.0 * unproven).abs() < 1e-9 && unproven > 0.3);
    let fixed = diagnosis.similar[0].fixed_by.clone().expect("named");
    assert_eq!(fixed, "pool/restore on stock: stock p95 fell from 4.5 s to 100 ms");
    assert_eq!(diagnosis.revision, 2);
}

#[tokio::test]
async fn what_is_not_there_is_a_gap_and_the_rest_is_ranked() {
    let mut house = house();
    let id = house
        .store
        .write(|tx| {
            let mut lone = alert(&service("lone"), Indicator::Duration, 30.0, 0);
            lone.series = Some(crate::model::Fingerprint(9));
            let incident = input(Graph::default(), vec![lone.clone()], Vec::new()).incident;
            lone.incident = Some(incident.id);
            tx.put(&lone)?;
            tx.put(&incident)?;
            Ok(incident.id)
        })
        .await
        .expect("writes");
    let (diagnosis, _) = diagnosed(&mut house, id).await;
    assert_eq!(diagnosis.hypotheses[0].entity.name(), "lone");
    let gaps: Vec<&str> = diagnosis.gaps.iter().map(|g| g.what.as_str()).collect();
    assert_eq!(
        gaps,
        ["the signal behind DurationHigh on lone", "the service graph", "changes", "log lines"]
    );
    // Nothing new: no other revision, until time has passed.
    house.stage.handle(Event::Incident(id)).await.expect("hears");
    house.stage.wake().await.expect("looks");
    assert_eq!(diagnosed(&mut house, id).await.0.revision, 1);
    house.clock.set(at(150).plus_ms(HOUR_MS));
    assert_eq!(diagnosed(&mut house, id).await.0.revision, 2);
}

#[tokio::test]
async fn after_a_change_all_are_looked_at_again_and_a_first_look_comes_before_them() {
    let mut house = house();
    let open = async |house: &House, n: i64| {
        let put = move |tx: &Tx<'_>| {
            let mut lone = alert(&service(&format!("lone-{n}")), Indicator::Duration, 30.0, n);
            let mut incident = input(Graph::default(), vec![lone.clone()], Vec::new()).incident;
            incident.id = IncidentId::derive(at(n), &["lone"]);
            lone.incident = Some(incident.id);
            tx.put(&lone)?;
            tx.put(&incident)?;
            Ok(incident.id)
        };
        house.store.write(put).await.expect("writes")
    };
    let mut old = Vec::new();
    for n in 0..6 {
        let id = open(&house, n).await;
        assert_eq!(diagnosed(&mut house, id).await.0.revision, 1);
        old.push(id);
    }
    // The newest has the greatest number.
    let new = open(&house, 60).await;
    let told = change(&service("lone-1"), ChangeKind::Deploy, -40).id;
    house.stage.handle(Event::Change(told)).await.expect("hears");
    house.stage.wake().await.expect("looks at some");
    let found = house.store.read(move |r| r.get::<Diagnosis>(new)).await.expect("reads");
    assert!(found.is_some_and(|d| d.revision == 1), "it was looked at first");
    while house.stage.wakes().is_some() {
        house.stage.wake().await.expect("looks at the others");
    }
    for id in old {
        let found = house.store.read(move |r| r.get::<Diagnosis>(id)).await.expect("reads");
        assert_eq!(found.expect("made").revision, 2);
    }
}

#[tokio::test]
async fn causes_stay_as_found_while_it_recovers_and_are_looked_at_again_when_it_opens() {
    let mut house = house();
    let incident = house.store.write(trouble).await.expect("writes");
    let id = incident.id;
    let (found, _) = diagnosed(&mut house, id).await;
    // What is gathered later says something else: here, that nothing was deployed.
    let put = |state: IncidentState| Incident { state, ..incident.clone() };
    let recovers = put(IncidentState::Monitoring);
    let deploy = change(&service("stock"), ChangeKind::Deploy, -40).id;
    house
        .store
        .write(move |tx| {
            tx.remove::<crate::model::Change>(deploy)?;
            tx.put(&recovers)
        })
        .await
        .expect("writes");
    house.clock.set(at(300));
    let (meanwhile, _) = diagnosed(&mut house, id).await;
    assert!(meanwhile.revision > found.revision, "words and figures go on");
    assert_eq!(meanwhile.hypotheses, found.hypotheses);
    let opens = put(IncidentState::Open);
    house.store.write(move |tx| tx.put(&opens)).await.expect("writes");
    house.clock.set(at(450));
    let (again, _) = diagnosed(&mut house, id).await;
    assert_ne!(again.hypotheses, found.hypotheses);
}

#[tokio::test]
async fn what_a_provider_reports_is_the_cause_with_its_evidence_and_step() {
    let mut house = house();
    let event = super::provider::told("server.address=api.example.com", -300);
    let (id, told) = (event.id, event.clone());
    let put = move |tx: &Tx<'_>| {
        let pay = service("pay");
        let outside = EntityRef::new("server.address", "api.example.com");
        for (from, to) in [(service("shop"), pay.clone()), (pay.clone(), outside)] {
            tx.put(&Edge {
                from,
                to,
                kind: EdgeKind::Calls,
                first_seen: at(-9_000),
                last_seen: at(0),
                declared: false,
                learned: true,
            })?;
        }
        let mut made = signal(tx, &pay, ("errors", Indicator::Errors), (0.1, 4.5), (0, 60))?;
        let incident = input(Graph::default(), vec![made.clone()], Vec::new()).incident;
        made.incident = Some(incident.id);
        tx.put(&made)?;
        tx.put(&told)?;
        tx.put(&incident)?;
        Ok(incident.id)
    };
    let incident = house.store.write(put).await.expect("writes");
    let (diagnosis, evidence) = diagnosed(&mut house, incident).await;
    let first = &diagnosis.hypotheses[0];
    assert_eq!((first.entity.name(), first.change), ("api.example.com", Some(id)), "{first:?}");
    let said = "its provider reports \"Elevated API errors\"";
    assert!(first.statement.contains(said), "{}", first.statement);
    let proof = evidence.iter().find(|e| first.evidence.contains(&e.id)).expect("it has proof");
    assert_eq!(proof.summary, format!("02:55:00 UTC api.example.com: {said} (status open)"));
    assert!(diagnosis.steps[0].text.contains(said), "{:?}", diagnosis.steps);
    assert_eq!(diagnosis.runbooks.first().map(|r| r.0.as_str()), Some("dependency-unavailable"));
    let without = &diagnosis.counterfactuals;
    assert!(without.iter().any(|c| c.without.starts_with("the report at 02:55:00")), "{without:?}");
}

#[tokio::test]
async fn what_a_change_turned_into_what_stands_in_its_evidence() {
    let mut house = house();
    let put = |tx: &Tx<'_>| {
        let incident = trouble(tx)?;
        let mut made = change(&service("stock"), ChangeKind::Deploy, -40);
        made.diff = (1..=6).map(|n| format!("pool.{n}: 24 → 48")).collect();
        tx.put(&made)?;
        Ok(incident.id)
    };
    let incident = house.store.write(put).await.expect("writes");
    let (diagnosis, evidence) = diagnosed(&mut house, incident).await;
    let first = &diagnosis.hypotheses[0];
    let proof = evidence
        .iter()
        .find(|e| first.evidence.contains(&e.id) && matches!(e.finding, Finding::Change { .. }));
    let said = &proof.expect("its change is among its evidence").summary;
    assert!(
        said.ends_with(
            ": pool.1: 24 → 48; pool.2: 24 → 48; pool.3: 24 → 48; pool.4: 24 → 48; and 2 more"
        ),
        "{said}"
    );
}
