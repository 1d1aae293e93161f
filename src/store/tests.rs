//! The store against a real file.

use serde_json::json;

use super::*;
use crate::model::*;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
    (folder, store)
}

fn change(n: i64) -> Change {
    let at = Time::from_ms(n * 1_000);
    Change {
        id: ChangeId::derive(at, &["t", &n.to_string()]),
        kind: ChangeKind::Deploy,
        entity: EntityRef::service(if n % 2 == 0 { "even" } else { "odd" }),
        at,
        title: format!("deploy {n}"),
        version: None,
        previous: None,
        author: None,
        url: None,
        source: "test".into(),
        status: "success".into(),
        attributes: Labels::default(),
        diff: Vec::new(),
    }
}

#[tokio::test]
async fn records_are_found_by_their_columns_in_order() {
    let (_folder, store) = store();
    store.write(|tx| (1..=10).try_for_each(|n| tx.put(&change(n)))).await.expect("writes");
    let odd = Filter::subject("service.name=odd").since(Time::from_ms(3_000)).newest(2);
    let titles = store
        .read(move |r| Ok(r.list::<Change>(&odd)?.into_iter().map(|c| c.title).collect::<Vec<_>>()))
        .await
        .expect("reads");
    assert_eq!(titles, ["deploy 9", "deploy 7"]);
    let n = store.read(|r| r.count::<Change>(&Filter::all())).await.expect("counts");
    assert_eq!(n, 10);
}

#[tokio::test]
async fn outlines_and_stamps_tell_without_bodies_what_stands_where_and_what_changed() {
    let (_folder, store) = store();
    let entry = |n: i64, text: &str| {
        let (home, at) = (IncidentId::derive(Time::MIN, &["home"]), Time::from_ms(n));
        TimelineEntry {
            id: EntryId::derive(at, &["e"]),
            text: text.into(),
            ..{ TimelineEntry::by_bot(home, at, EntryKind::Note, "", Some("s".into())) }
        }
    };
    let home = entry(0, "").incident;
    store.write(move |tx| (1..=3).try_for_each(|n| tx.put(&entry(n, "a")))).await.expect("writes");
    let look = move |r: &Rows<'_>| {
        let parent = home.to_string();
        let found = r.outlines::<TimelineEntry>(&parent, "note", 2)?;
        assert!(r.outlines::<TimelineEntry>(&parent, "state", 2)?.is_empty());
        Ok((found, r.tally::<TimelineEntry>(&parent, "note")?, r.stamp::<TimelineEntry>(home)?))
    };
    let (found, tally, stamp) = store.read(look).await.expect("reads");
    let times: Vec<_> = found.iter().map(|o| (o.at.ms(), o.subject.as_str())).collect();
    assert_eq!(times, [(1, "s"), (2, "s")], "the oldest first, no more than asked for");
    assert_eq!(tally, Tally { n: 3, oldest: Some(Time::from_ms(1)) });
    store.write(move |tx| tx.put(&entry(2, "b"))).await.expect("writes");
    let changed = store.read(look).await.expect("reads").2;
    assert_ne!(stamp, changed, "a record that was written again shows");
    assert_eq!(store.read(look).await.expect("reads").2, changed, "nothing else does");
}

#[tokio::test]
async fn a_failing_write_leaves_nothing_and_harms_no_other() {
    let (_folder, store) = store();
    let bad = store.write(|tx| {
        tx.put(&change(1))?;
        Err::<(), _>(Fault::because("changed my mind"))
    });
    let panics = store.write(|_| -> Result<(), Fault> { panic!("in a closure") });
    let good = store.write(|tx| tx.put(&change(2)));
    let (bad, panics, good) = tokio::join!(bad, panics, good);
    assert!(bad.is_err());
    assert!(panics.is_err());
    good.expect("the good one is written");
    let left = store.read(|r| r.list::<Change>(&Filter::all())).await.expect("reads");
    assert_eq!(left, [change(2)]);
}

#[tokio::test]
async fn compare_and_set_lets_one_win() {
    let (_folder, store) = store();
    store.write(|tx| tx.put(&change(1))).await.expect("writes");
    let claim = |word: &'static str| {
        store.write(move |tx| {
            tx.replace_in_state(&Change { status: word.into(), ..change(1) }, "success")
        })
    };
    let (a, b) = tokio::join!(claim("a"), claim("b"));
    assert_eq!([a.expect("runs"), b.expect("runs")].iter().filter(|won| **won).count(), 1);
}

#[tokio::test]
async fn the_journal_keeps_batches_across_a_reopen() {
    let (folder, store) = store();
    let mut batch = Batch::new("test", Time::from_ms(5));
    batch.changes.push(change(1));
    let copy = batch.clone();
    let seq = store.write(move |tx| tx.append_batch(&copy)).await.expect("appends");
    drop(store);
    let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("reopens");
    let found = store.read(move |r| r.batches_after(seq - 1, 10)).await.expect("reads");
    assert_eq!(found, [Journaled { seq, batch }]);
    store.write(move |tx| tx.trim_journal(seq)).await.expect("trims");
    assert_eq!(store.read(|r| r.journal_end()).await.expect("reads"), seq);
}

#[tokio::test]
async fn points_survive_packing() {
    let (_folder, store) = store();
    let entity = EntityRef::service("a");
    let labels = Labels::default();
    let series = Series {
        id: Series::identity("s", "m", &entity, &labels),
        source: "s".into(),
        entity,
        metric: "m".into(),
        labels,
        indicator: Indicator::Rate,
        unit: "1".into(),
        direction: signal::Direction::Both,
        query: None,
        limit: None,
        step_ms: 1_000,
    };
    let points: Vec<Point> = (0..2_000_i32)
        .map(|n| Point { at: Time::from_ms(i64::from(n) * 1_000), value: f64::from(n).sin() })
        .collect();
    let id = series.id;
    let (early, late) = points.split_at(1_500);
    for part in [early, late, &early[100..110]] {
        let samples = Samples { series: series.clone(), points: part.to_vec() };
        store.write(move |tx| tx.append_points(&samples)).await.expect("writes");
        store.write(|tx| tx.pack_points(10)).await.expect("packs");
    }
    let all = store.read(move |r| r.points(id, Time::MIN, Time::MAX)).await.expect("reads");
    assert_eq!(all, points);
    let (a, b) = (Time::from_ms(1_499_000), Time::from_ms(1_502_000));
    let some = store.read(move |r| r.points(id, a, b)).await.expect("reads");
    assert_eq!(some, points[1_499..1_502]);
}

#[tokio::test]
async fn logs_are_searched_and_odd_queries_are_harmless() {
    let (_folder, store) = store();
    let line = |n: i64, body: &str| LogLine {
        at: Time::from_ms(n),
        entity: EntityRef::service("a"),
        level: Level::Error,
        body: body.into(),
        trace_id: None,
        attributes: Labels::default(),
    };
    let lines = vec![line(1, "pool timeout after 30000 ms"), line(2, "connection refused")];
    store.write(move |tx| tx.append_logs(&lines)).await.expect("writes");
    for (text, n) in [("timeout pool", 1), ("\" OR * NEAR(", 0), ("", 2), ("refused", 1)] {
        let filter = LogFilter { text: Some(text.into()), ..LogFilter::default() };
        let found = store.read(move |r| r.logs(&filter)).await.expect("reads");
        assert_eq!(found.len(), n, "{text:?}");
    }
}

#[tokio::test]
async fn a_changed_byte_in_the_audit_log_is_found() {
    let (folder, store) = store();
    for n in 0..5 {
        store
            .write(move |tx| {
                tx.audit(Time::from_ms(n), &Actor::nightjar(), "test", "x", &json!({ "n": n }))
            })
            .await
            .expect("appends");
    }
    let whole = store.read(|r| r.audit_verify()).await.expect("reads");
    assert_eq!(whole.expect("whole").0, 5);
    let path = folder.path().join("nightjar.sqlite");
    let conn = rusqlite::Connection::open(&path).expect("opens");
    assert!(conn.execute("UPDATE audit SET detail = '{}' WHERE seq = 3", []).is_err());
    conn.execute_batch(
        "DROP TRIGGER audit_no_update; UPDATE audit SET detail = '{\"n\":9}' WHERE seq = 3",
    )
    .expect("forges");
    let broken = store.read(|r| r.audit_verify()).await.expect("reads");
    assert_eq!(broken.expect_err("broken").seq, 3);
}

#[tokio::test]
async fn trimming_goes_by_age_then_by_size_and_spares_what_is_open() {
    let (_folder, store) = store();
    let now = Time::from_ms(500 * time::DAY_MS);
    let lines: Vec<LogLine> = (0..40_000)
        .map(|n| LogLine {
            at: now.plus_ms(-n * 10_000),
            entity: EntityRef::service("a"),
            level: Level::Info,
            body: format!("line {n} {}", "x".repeat(2_000)),
            trace_id: None,
            attributes: Labels::default(),
        })
        .collect();
    let incident = |n: i64, state: IncidentState| Incident {
        id: IncidentId::derive(Time::from_ms(n), &["i"]),
        number: n.unsigned_abs(),
        title: "t".into(),
        state,
        severity: Severity::Warning,
        onset_at: Time::from_ms(n),
        opened_at: Time::from_ms(n),
        updated_at: Time::from_ms(n),
        acknowledged_at: None,
        quiet_since: None,
        resolved_at: None,
        owner: None,
        entities: vec![],
        alerts: vec![],
        n_reports: 0,
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
    };
    let trimmed = store
        .write(move |tx| {
            tx.append_logs(&lines)?;
            tx.put(&incident(1, IncidentState::Open))?;
            tx.put(&incident(2, IncidentState::Resolved))?;
            tx.enforce(&Retention { logs_days: 4, max_mb: 64, ..Retention::default() }, now)
        })
        .await
        .expect("trims");
    assert_eq!(trimmed, Trimmed { n_incidents: 1, by_size: true, ..Trimmed::default() });
    let (left, oldest) = store
        .read(|r| {
            let all = r.logs(&LogFilter { limit: 100_000, ..LogFilter::default() })?;
            Ok((r.list::<Incident>(&Filter::all())?, all.last().map(|l| l.at)))
        })
        .await
        .expect("reads");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].state, IncidentState::Open);
    assert!(oldest.expect("some are left") > now.plus_ms(-4 * time::DAY_MS));
}
