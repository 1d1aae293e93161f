//! What was kept is what a full read gives, whatever is written meanwhile.

use super::*;
use crate::demo::sites::{Site, Told};
use crate::learn::harmless::{self, Case as Seed};
use crate::learn::tune::{self, judgement};
use crate::model::signal::Direction;
use crate::model::time::DAY_MS;
use crate::model::*;
use crate::store::Store;

fn t0() -> Time {
    Time::parse("2026-03-02T00:00:00Z").expect("valid")
}

/// What both learn from, read plainly: every incident and alert of the window each time.
fn plainly(r: &Rows<'_>, since: Time) -> Result<(Vec<Seed>, Vec<tune::Case>), Fault> {
    let helped: BTreeSet<IncidentId> = r
        .list::<Lesson>(&Filter::states(["run"]).since(since))?
        .into_iter()
        .filter(|l| l.taught == Taught::Helped)
        .map(|l| l.incident)
        .collect();
    let (mut seeds, mut cases) = (Vec::new(), Vec::new());
    for i in r.list::<Incident>(&Filter::all().since(since).newest(MOST))? {
        if i.state == IncidentState::Merged {
            continue;
        }
        let mut kinds: BTreeMap<(EntityRef, String), Severity> = BTreeMap::new();
        let (mut told, mut others) = (Vec::new(), i.declared_by.is_some());
        for a in r.list::<Alert>(&Filter::parent(i.id))? {
            if a.severity == Severity::Info {
                continue;
            }
            let of = kinds.entry((a.entity.clone(), a.name().to_owned())).or_insert(a.severity);
            *of = a.severity.max(*of);
            let moved = matches!(&a.source, AlertSource::Detector { detector }
                if !detector.starts_with("flatline"));
            match a.series.filter(|_| moved).map(|s| r.series(s)).transpose()?.flatten() {
                Some(series) => told.push(tune::Told {
                    series,
                    since: a.starts_at,
                    until: a.ends_at.unwrap_or(a.updated_at),
                    score: a.score,
                }),
                None => others = true,
            }
        }
        let over = matches!(i.state, IncidentState::Resolved | IncidentState::Reviewed);
        let calm = over && i.category.as_deref() == Some("recovered") && i.n_reopened == 0;
        let ran = r.count::<Run>(&Filter::parent(i.id))? > 0;
        let judgement = judgement(&i, helped.contains(&i.id));
        let ended = i.resolved_at.unwrap_or(i.updated_at);
        seeds.push(Seed {
            incident: i.id,
            number: i.number,
            title: i.title.clone(),
            onset_at: i.onset_at,
            judgement,
            by_itself: calm && !ran && i.acknowledged_at.is_none(),
            entities: i.entities.clone(),
            kinds,
            declared: i.declared_by.is_some(),
        });
        cases.push(tune::Case {
            incident: i.id,
            number: i.number,
            title: i.title,
            onset_at: i.onset_at,
            end_at: ended,
            judged_at: ended,
            judgement,
            entities: i.entities,
            told,
            others,
        });
    }
    Ok((seeds, cases))
}

/// Reads by what is kept and plainly, which must be alike; gives how many incidents were read.
async fn look(store: &Store, past: &Past, since: Time) -> u64 {
    let (before, kept) = (past.n_read(), past.clone());
    let both = store.read(move |r| {
        let seeds = harmless::gather::cases(r, &kept, since)?;
        let cases = tune::gather::cases(r, &kept, since)?;
        Ok(((seeds, cases), plainly(r, since)?))
    });
    let (kept, whole) = both.await.expect("read");
    assert!(!whole.0.is_empty());
    assert_eq!(kept.0, whole.0);
    assert_eq!(kept.1, whole.1);
    past.n_read() - before
}

fn series(entity: &EntityRef, unit: &str) -> Series {
    Series {
        id: Series::identity("main", "error ratio", entity, &Labels::default()),
        source: "main".into(),
        entity: entity.clone(),
        metric: "error ratio".into(),
        labels: Labels::default(),
        indicator: Indicator::Errors,
        unit: unit.into(),
        direction: Direction::High,
        query: None,
        limit: None,
        step_ms: 15_000,
    }
}

async fn put<R: crate::store::Record + Clone + Sync>(store: &Store, record: &R) {
    let record = record.clone();
    store.write(move |tx| tx.put(&record)).await.expect("written");
}

#[tokio::test]
async fn what_is_kept_of_incidents_is_what_a_full_read_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("p.sqlite")).expect("opens");
    let all = Site::shop().history(40, t0(), 7);
    // Half of what our detectors tell is about a series.
    let told: Vec<Told> = all
        .into_iter()
        .enumerate()
        .map(|(n, mut told)| {
            for alert in &mut told.alerts {
                let ours = matches!(alert.source, AlertSource::Detector { .. });
                alert.series = (ours && n % 2 == 0).then(|| series(&alert.entity, "1").id);
            }
            told
        })
        .collect();
    let (first, rest) = (told.clone(), told[..3].to_vec());
    store
        .write(move |tx| {
            for told in &first {
                tx.put(&told.incident)?;
                for alert in &told.alerts {
                    tx.put(alert)?;
                    let samples = Samples {
                        series: series(&alert.entity, "1"),
                        points: vec![Point { at: alert.starts_at, value: 1.0 }],
                    };
                    tx.append_points(&samples)?;
                }
            }
            Ok(())
        })
        .await
        .expect("written");
    let past = Past::default();
    assert_eq!(look(&store, &past, t0()).await, 40, "all of them once, for both");
    assert_eq!(look(&store, &past, t0()).await, 0, "nothing changed");

    // A person's word; an alert that goes on; one more; one that leaves for another incident.
    let mut judged = rest[0].incident.clone();
    judged.category = Some("not_an_incident".into());
    put(&store, &judged).await;
    assert_eq!(look(&store, &past, t0()).await, 1);
    let mut longer = rest[1].alerts[0].clone();
    (longer.severity, longer.score) = (Severity::Critical, 99.0);
    put(&store, &longer).await;
    assert_eq!(look(&store, &past, t0()).await, 1);
    let mut more = rest[1].alerts[0].clone();
    more.id = AlertId::derive(t0(), &["one more"]);
    more.source = AlertSource::Detector { detector: "flatline/1".into() };
    put(&store, &more).await;
    assert_eq!(look(&store, &past, t0()).await, 1);
    more.incident = Some(rest[2].incident.id);
    put(&store, &more).await;
    assert_eq!(look(&store, &past, t0()).await, 2, "both are others now");
    // A measured fix, a run, a merge and a split; the window moves on.
    let lesson = Lesson {
        given: None,
        key: "a run".into(),
        at: t0().plus_ms(DAY_MS),
        pattern: "deploy".into(),
        entity: rest[2].at.clone(),
        actions: vec!["rollback/deploy".into()],
        incident: rest[2].incident.id,
        run: None,
        taught: Taught::Helped,
    };
    put(&store, &lesson).await;
    assert_eq!(look(&store, &past, t0()).await, 0, "of the incident nothing changed");
    let mut merged = rest[1].incident.clone();
    (merged.state, merged.merged_into) = (IncidentState::Merged, Some(rest[2].incident.id));
    put(&store, &merged).await;
    assert_eq!(look(&store, &past, t0()).await, 1);
    put(&store, &rest[1].incident).await;
    assert_eq!(look(&store, &past, t0()).await, 1);
    let later = told[10].incident.opened_at;
    assert_eq!(look(&store, &past, later).await, 0);
    assert_eq!(look(&store, &past, t0()).await, 10, "what was out of the window is read again");
    // What is known of a series is looked up each time: it may be known better now.
    let entity = told.iter().flat_map(|t| &t.alerts).find(|a| a.series.is_some());
    let better = Samples {
        series: series(&entity.expect("ours").entity, "{error}"),
        points: vec![Point { at: t0().plus_ms(90 * DAY_MS), value: 1.0 }],
    };
    store.write(move |tx| tx.append_points(&better)).await.expect("written");
    assert_eq!(look(&store, &past, t0()).await, 0);
}
