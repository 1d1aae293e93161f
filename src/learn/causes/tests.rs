//! What counts as confirmed, what it says of a kind of change, and that each incident is read once.

use proptest::prelude::*;

use super::*;
use crate::approve::tests::sample::{self, incident_as, person, proposal, t0};
use crate::learn::of_run;
use crate::model::action::Effect;
use crate::model::diagnosis::ScorePart;
use crate::model::time::SECOND_MS;
use crate::model::*;
use crate::store::Store;

fn change(kind: ChangeKind, entity: &str, seconds: i64) -> Change {
    let (entity, at) = (EntityRef::service(entity), t0().plus_ms(seconds * SECOND_MS));
    Change {
        id: ChangeId::derive(at, &[&entity.to_string(), &format!("{kind:?}")]),
        kind,
        entity,
        at,
        title: "a change".into(),
        version: None,
        previous: None,
        author: None,
        url: None,
        source: "webhook".into(),
        status: "success".into(),
        attributes: Labels::default().with("previous_worker_concurrency", "16"),
        diff: Vec::new(),
    }
}

/// A diagnosis of orders whose change, the first, brought it so much.
fn diagnosed(changes: Vec<Change>, brought: f64) -> Diagnosis {
    let mut made = sample::diagnosis("saturation");
    let first = made.hypotheses.first_mut().expect("it has one");
    first.change = changes.first().filter(|_| brought > 0.0).map(|c| c.id);
    first.parts = vec![ScorePart {
        name: "change".into(),
        contribution: brought,
        why: String::new(),
        evidence: vec![],
    }];
    made.changes = changes;
    made
}

fn helped() -> Lesson {
    of_run(&sample::run(Some(Effect::Helped)), &proposal()).expect("it teaches")
}

fn over(category: Option<&str>) -> Incident {
    Incident {
        closed_by: Some(person("ann", Role::Responder)),
        ..incident_as(category, IncidentState::Resolved)
    }
}

#[test]
fn a_cause_is_confirmed_by_what_helped_or_by_a_person_who_says_it_was_outside() {
    use ChangeKind::{Config, Deploy, Flag};
    let near = || {
        vec![
            change(Deploy, "orders", -60),
            change(Config, "cart", -3_000),
            change(Flag, "cart", -9_000),
        ]
    };
    let said = |i: &Incident, lesson: Option<&Lesson>, d: &Diagnosis| {
        confirmed(i, lesson, d).map(|c| (c.near.into_iter().collect::<Vec<_>>(), c.cause))
    };
    let (blamed, lesson) = (diagnosed(near(), 2.0), helped());
    let by_fix = said(&over(Some("fixed")), Some(&lesson), &blamed);
    assert_eq!(by_fix, Some((vec![Deploy, Config], Some(Deploy))), "the flag was long before");
    let restart = Lesson { given: Some(Vec::new()), ..lesson.clone() };
    let by_restart = said(&over(Some("fixed")), Some(&restart), &blamed);
    assert_eq!(by_restart, Some((vec![Config], None)), "a restart says nothing of the deploy");
    let before = Lesson { given: None, ..lesson.clone() };
    assert_eq!(said(&over(Some("fixed")), Some(&before), &blamed), by_fix, "as it counted then");
    let old = said(&over(Some("fixed")), Some(&lesson), &diagnosed(near(), 0.4));
    assert_eq!(old, Some((vec![Config], None)), "whether the deploy was it is not clear");
    let none = said(&over(Some("fixed")), Some(&lesson), &diagnosed(near(), 0.0));
    assert_eq!(none, Some((vec![Deploy, Config], None)), "what was fixed names no change");
    let outside = said(&over(Some("external")), None, &blamed);
    assert_eq!(outside, Some((vec![Deploy, Config], None)));
    let outside = said(&over(Some("external")), Some(&lesson), &blamed);
    assert_eq!(outside, Some((vec![Deploy, Config], None)), "whatever a restart did");

    // What a provider reports is outside, whoever says so.
    let mut reported = near();
    reported.insert(0, change(ChangeKind::Provider, "bank", -30));
    let reported = diagnosed(reported, 2.0);
    let outside = Some((vec![Deploy, Config], None));
    assert_eq!(said(&over(Some("fixed")), Some(&lesson), &reported), outside);
    assert_eq!(said(&over(Some("external")), None, &reported), outside);

    // Nobody and nothing told the cause.
    assert_eq!(said(&over(Some("fixed")), None, &blamed), None);
    let by_itself = Incident { closed_by: None, ..over(Some("external")) };
    assert_eq!(said(&by_itself, None, &blamed), None);
    let other = Lesson { pattern: "traffic".into(), ..lesson.clone() };
    assert_eq!(said(&over(Some("fixed")), Some(&other), &blamed), None, "another cause");
    // It was none, or it is not over.
    assert_eq!(said(&over(Some("not_an_incident")), Some(&lesson), &blamed), None);
    assert_eq!(said(&incident_as(None, IncidentState::Open), Some(&lesson), &blamed), None);
}

fn one(number: u64, near: &[ChangeKind], cause: Option<ChangeKind>) -> Confirmed {
    Confirmed { number, onset_at: t0(), near: near.iter().copied().collect(), cause }
}

/// `n` incidents with a change of a kind, of which it was the cause of the first `c`.
fn history(kind: ChangeKind, n: u64, c: u64) -> Vec<Confirmed> {
    (0..n).map(|i| one(i, &[kind], (i < c).then_some(kind))).collect()
}

#[test]
fn nothing_is_said_before_there_is_something_to_go_by() {
    use ChangeKind::{Config, Deploy, Flag};
    assert_eq!(Causes::default().log_odds(Deploy), 0.0);
    let few = [history(Deploy, 4, 4), history(Config, 4, 0)].concat();
    let few = Causes::of(&few);
    assert_eq!((few.log_odds(Deploy), few.log_odds(Config), few.all()), (0.0, 0.0, (8, 4)));
    for c in [0, 9] {
        let alike = [history(Deploy, 9, c), history(Config, 9, c)].concat();
        assert_eq!(Causes::of(&alike).log_odds(Deploy), 0.0, "all or none of them was");
    }
    let some = Causes::of(&[history(Deploy, 9, 7), history(Config, 9, 1)].concat());
    // (10 · 8/18 + 7) / 19 and (10 · 8/18 + 1) / 19 against 8/18.
    let logit = |share: f64| (share / (1.0 - share)).ln();
    let by_hand = |c: f64| logit((80.0 / 18.0 + c) / 19.0) - logit(8.0 / 18.0);
    assert!((some.log_odds(Deploy) - by_hand(7.0)).abs() < 1e-12, "{}", some.log_odds(Deploy));
    assert!((some.log_odds(Config) - by_hand(1.0)).abs() < 1e-12, "{}", some.log_odds(Config));
    assert!(some.log_odds(Deploy) > 0.5 && some.log_odds(Config) < -0.5);
    assert_eq!(some.log_odds(Flag), 0.0, "never seen");
    let newest = some.tally(Deploy).map(|t| t.numbers.iter().copied().collect::<Vec<_>>());
    assert_eq!(newest, Some(vec![2, 3, 4, 5, 6]));
}

proptest! {
    #[test]
    fn the_order_of_incidents_does_not_matter_and_what_speaks_for_one_kind_speaks_against_the_other(
        told in proptest::collection::vec((0..2_u8, any::<bool>()), 10..60), turn in 0..60_usize,
    ) {
        let kinds = [ChangeKind::Deploy, ChangeKind::Config];
        let mut all: Vec<Confirmed> = told
            .iter()
            .zip(1..)
            .map(|((kind, is_cause), n)| {
                let kind = kinds[usize::from(*kind)];
                one(n, &[kind], is_cause.then_some(kind))
            })
            .collect();
        let before = Causes::of(&all);
        let n = all.len();
        all.rotate_left(turn % n);
        prop_assert_eq!(&Causes::of(&all), &before);
        let both = kinds.map(|kind| before.log_odds(kind));
        prop_assert!(both.iter().all(|odds| odds.is_finite()));
        if kinds.iter().all(|kind| before.tally(*kind).is_some_and(|t| t.near >= LEAST)) {
            prop_assert!(both[0] * both[1] <= 1e-12, "{both:?}");
        }
    }
}

async fn put<R: crate::store::Record + Clone + Sync>(store: &Store, record: &R) {
    let record = record.clone();
    store.write(move |tx| tx.put(&record)).await.expect("written");
}

#[tokio::test]
async fn incidents_are_read_once_until_something_else_is_said_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("c.sqlite")).expect("opens");
    let kept = KeptCauses::default();
    // Of deploys: near and the cause; and how many incidents were read for it.
    let look = async || {
        let (reader, before) = (kept.clone(), kept.n_read());
        let causes = store.read(move |r| reader.read(r)).await.expect("reads");
        let of = causes.tally(ChangeKind::Deploy).map_or((0, 0), |t| (t.near, t.cause));
        (of, kept.n_read() - before)
    };
    let mut told = Vec::new();
    for number in 1..=6 {
        let id = IncidentId::derive(t0(), &[&format!("i{number}")]);
        let incident = Incident { id, number, ..over(Some("fixed")) };
        let deploy = change(ChangeKind::Deploy, "orders", -60);
        let diagnosis = Diagnosis { incident: id, ..diagnosed(vec![deploy], 2.0) };
        let lesson = Lesson { key: format!("RUN-{number}"), incident: id, ..helped() };
        told.push((incident, diagnosis, lesson));
    }
    let all = told.clone();
    let written = store.write(move |tx| {
        for (incident, diagnosis, lesson) in &all {
            tx.put(incident)?;
            tx.put(diagnosis)?;
            // In the last two nothing was run.
            if incident.number <= 4 {
                tx.put(lesson)?;
            }
        }
        Ok(())
    });
    written.await.expect("written");
    assert_eq!(look().await, ((4, 4), 6));
    assert_eq!(look().await, ((4, 4), 0), "nothing changed");

    put(&store, &told[4].2).await;
    assert_eq!(look().await, ((5, 5), 1), "a fix was measured");
    put(&store, &Incident { category: Some("external".into()), ..told[5].0.clone() }).await;
    assert_eq!(look().await, ((6, 5), 1), "a person says that it was outside");
    put(&store, &Incident { category: Some("not_an_incident".into()), ..told[0].0.clone() }).await;
    assert_eq!(look().await, ((5, 4), 1), "it was none");
    put(&store, &Incident { state: IncidentState::Open, ..told[1].0.clone() }).await;
    assert_eq!(look().await, ((4, 3), 0), "it goes on");
    put(&store, &Diagnosis { revision: 2, changes: vec![], ..told[2].1.clone() }).await;
    assert_eq!(look().await, ((3, 2), 1), "which change it was is not known");
}

/// In place of an incident: what stands there can't be read as one.
#[derive(serde::Serialize, serde::Deserialize)]
struct Torn;

impl crate::store::Record for Torn {
    const KIND: &'static str = <Incident as crate::store::Record>::KIND;

    fn key(&self) -> String {
        "torn".to_owned()
    }

    fn index(&self) -> crate::store::Index {
        let (parent, subject) = (String::new(), String::new());
        crate::store::Index { at: t0(), state: "resolved".into(), parent, subject }
    }
}

#[tokio::test]
async fn what_was_read_stands_while_another_reads_and_when_that_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("c.sqlite")).expect("opens");
    let kept = KeptCauses::default();
    put(&store, &over(Some("fixed"))).await;
    let look = async || {
        let reader = kept.clone();
        store.read(move |r| reader.read(r)).await.map(|_| kept.n_read())
    };
    assert_eq!(look().await.expect("reads"), 1);
    store.write(|tx| tx.put(&Torn)).await.expect("written");
    look().await.expect_err("one can't be read");
    let key = crate::store::Record::key(&Torn);
    store.write(|tx| tx.remove::<Torn>(key)).await.expect("written");
    assert_eq!(look().await.expect("reads"), 1, "nothing is read anew");
}
