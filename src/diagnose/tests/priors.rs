//! What earlier incidents say of a kind of change: none without history, bounded, and what it brings.

use super::chance::{Shown, judged};
use super::faults::{SECOND, made};
use super::whole::{diagnosed, house, trouble};
use super::*;
use crate::approve::tests::sample;
use crate::bus::Event;
use crate::learn::{Causes, Confirmed, Lesson, Taught, confirmed};
use crate::model::diagnosis::{Finding, ScorePart};
use crate::model::{Actor, Diagnosis, Role};
use crate::stage::Stage as _;

/// `n` incidents with a change of a kind, of which it was the cause of the first `c`.
fn history(kind: ChangeKind, n: u64, c: u64) -> Vec<Confirmed> {
    let one = |number| Confirmed {
        number,
        onset_at: at(-90_000),
        near: [kind].into(),
        cause: (number <= c).then_some(kind),
    };
    (1..=n).map(one).collect()
}

fn learned(input: &Input, entity: &EntityRef) -> Option<ScorePart> {
    let ranked = rank(input);
    let h = ranked.hypotheses.iter().find(|h| h.entity == *entity).expect("it is judged");
    h.parts.iter().find(|p| p.name == "learned").cloned()
}

/// Two entities in the same trouble, each with a change of its own kind just before.
fn rivals() -> (Input, EntityRef, EntityRef) {
    let (a, b) = (service("a"), service("b"));
    let alerts = [&a, &b].map(|e| alert(e, Indicator::Duration, 50.0, 0));
    let changes = vec![change(&a, ChangeKind::Deploy, -60), change(&b, ChangeKind::Config, -60)];
    (input(Graph::default(), alerts.to_vec(), changes), a, b)
}

#[test]
fn with_little_history_everything_is_as_without() {
    use ChangeKind::{Config, Deploy, Flag, NetworkPolicy, Other, Schema};
    let few = [Deploy, Config, Flag, NetworkPolicy, Other, Schema];
    let few: Vec<Confirmed> =
        few.iter().zip([4, 0, 2, 1, 4, 3]).flat_map(|(kind, c)| history(*kind, 4, c)).collect();
    for seed in 1..=60 {
        let mut with = made(&SECOND, seed).input;
        let without = rank(&with);
        with.causes = Causes::of(&few);
        // Of floats, equal is the same number here: none is zero or not a number.
        assert_eq!(rank(&with), without, "seed {seed}");
    }
}

#[test]
fn a_kind_that_was_often_the_cause_counts_more_and_one_that_never_was_less() {
    let (mut with, a, b) = rivals();
    let even = rank(&with);
    assert_eq!(even.hypotheses[0].confidence, even.hypotheses[1].confidence);
    with.causes = Causes::of(
        &[history(ChangeKind::Deploy, 9, 7), history(ChangeKind::Config, 11, 1)].concat(),
    );
    let (more, less) = (learned(&with, &a).expect("told"), learned(&with, &b).expect("told"));
    assert!(more.contribution > 0.4 && less.contribution < -0.4, "{more:?} {less:?}");
    insta::assert_snapshot!(
        more.why,
        @"deploys here were the cause in 7 of 9 confirmed incidents with one, of all kinds of change 8 of 20"
    );
    insta::assert_snapshot!(
        less.why,
        @"changes of configuration here were the cause in 1 of 11 confirmed incidents with one, of all kinds of change 8 of 20"
    );
    let ranked = rank(&with);
    assert_eq!(ranked.hypotheses[0].entity, a);
    let (told, _) = without(&with, &ranked);
    let told = told.iter().find(|c| c.part == "learned").expect("it matters");
    assert_eq!(told.confidence, even.hypotheses[0].confidence, "as without it");
    // Nearness decides first: an hour before the onset its kind says little more.
    with.changes[0] = change(&a, ChangeKind::Deploy, -3_600);
    let old = learned(&with, &a).map_or(0.0, |p| p.contribution);
    assert!(old < 0.1, "{old}");
    assert_eq!(rank(&with).hypotheses[0].entity, b, "its change was right before the onset");
}

#[test]
fn of_two_changes_of_one_entity_the_kind_that_was_the_cause_before_is_named() {
    let shop = service("shop");
    let flag = change(&shop, ChangeKind::Flag, -90);
    let deploy = change(&shop, ChangeKind::Deploy, -60);
    let alerts = vec![alert(&shop, Indicator::Errors, 50.0, 0)];
    let mut with = input(Graph::default(), alerts, vec![flag.clone(), deploy.clone()]);
    assert_eq!(rank(&with).hypotheses[0].change, Some(deploy.id), "the nearer one");
    with.causes =
        Causes::of(&[history(ChangeKind::Deploy, 9, 1), history(ChangeKind::Flag, 9, 8)].concat());
    assert_eq!(rank(&with).hypotheses[0].change, Some(flag.id));
}

proptest! {
    #[test]
    fn no_history_makes_a_kind_vanish_or_decide_alone(
        n in 0_u64..400, c in 0_u64..400, others in 0_u64..400, of_others in 0_u64..400,
        seconds in 1_i64..7_000,
    ) {
        let (mut with, a, _) = rivals();
        with.changes[0] = change(&a, ChangeKind::Deploy, -seconds);
        let all = [
            history(ChangeKind::Deploy, n, c.min(n)),
            history(ChangeKind::Flag, others, of_others.min(others)),
        ];
        with.causes = Causes::of(&all.concat());
        let ranked = rank(&with);
        let h = ranked.hypotheses.iter().find(|h| h.entity == a).expect("judged");
        let of = |name: &str| {
            h.parts.iter().filter(|p| p.name == name).map(|p| p.contribution).sum::<f64>()
        };
        prop_assert!(of("learned").abs() <= 0.7);
        prop_assert!(of("learned").abs() <= of("change") / 3.0, "the nearness leads");
        prop_assert_eq!(h.change, Some(with.changes[0].id));
        prop_assert!(n >= 5 || of("learned") == 0.0);
    }
}

/// A closed incident with a change of a kind near its onset, as the store keeps one: a measured fix of
/// what it caused, or a person's word that the cause was outside.
fn closed(number: u64, kind: ChangeKind, fixed: bool) -> (Incident, Diagnosis, Option<Lesson>) {
    let entity = service("cart");
    let onset = -90_000 - 10_000 * number as i64;
    let mut incident = input(Graph::default(), Vec::new(), Vec::new()).incident;
    incident.id = IncidentId::derive(at(onset), &["closed"]);
    incident.number = number;
    (incident.onset_at, incident.opened_at) = (at(onset), at(onset));
    (incident.state, incident.resolved_at) = (IncidentState::Resolved, Some(at(onset + 900)));
    incident.category = Some(if fixed { "fixed" } else { "external" }.into());
    let (via, name) = ("console".to_owned(), "ann".to_owned());
    incident.closed_by = Some(Actor { via, id: name.clone(), name, role: Role::Responder });
    let alerts = vec![alert(&entity, Indicator::Errors, 90.0, onset)];
    let ranked = rank(&input(Graph::default(), alerts, vec![change(&entity, kind, onset - 60)]));
    let pattern = ranked.hypotheses[0].pattern.clone();
    let diagnosis = Diagnosis {
        incident: incident.id,
        hypotheses: ranked.hypotheses,
        changes: ranked.changes,
        ..sample::diagnosis("unknown")
    };
    let lesson = Lesson {
        given: None,
        key: format!("RUN-{number}"),
        at: at(onset + 900),
        pattern,
        entity,
        actions: vec!["release/rollback".into()],
        incident: incident.id,
        run: None,
        taught: Taught::Helped,
    };
    (incident, diagnosis, fixed.then_some(lesson))
}

#[tokio::test]
async fn what_closed_incidents_confirmed_is_a_part_of_the_next_diagnosis() {
    let mut house = house();
    let id = house.store.write(|tx| Ok(trouble(tx)?.id)).await.expect("writes");
    let part = |d: &Diagnosis| d.hypotheses[0].parts.iter().find(|p| p.name == "learned").cloned();
    let (before, _) = diagnosed(&mut house, id).await;
    assert_eq!(part(&before), None);
    let all: Vec<_> = (1..=7)
        .map(|n| closed(n, ChangeKind::Deploy, true))
        .chain((8..=13).map(|n| closed(n, ChangeKind::Config, false)))
        .collect();
    let deploys: Vec<Incident> = all.iter().take(7).map(|(i, ..)| i.clone()).collect();
    let written = house.store.write(move |tx| {
        for (incident, diagnosis, lesson) in &all {
            tx.put(incident)?;
            tx.put(diagnosis)?;
            lesson.iter().try_for_each(|l| tx.put(l))?;
        }
        Ok(())
    });
    written.await.expect("written");
    let any = before.changes[0].id;
    house.stage.handle(Event::Change(any)).await.expect("looks again");
    let (after, evidence) = diagnosed(&mut house, id).await;
    let found = part(&after).expect("a part of its own");
    assert!(found.contribution > 0.3 && found.contribution <= 0.7, "{found:?}");
    insta::assert_snapshot!(
        found.why,
        @"deploys here were the cause in 7 of 7 confirmed incidents with one, of all kinds of change 7 of 13"
    );
    let shown = evidence.iter().find(|e| found.evidence == [e.id]).expect("it is kept");
    insta::assert_snapshot!(
        shown.summary,
        @"deploys here were the cause in 7 of 7 confirmed incidents with one, of all kinds of change 7 of 13; the last were #7, #6, #5, #4, #3"
    );
    assert!(matches!(shown.finding, Finding::Record { .. }));
    let order = |d: &Diagnosis| d.hypotheses.iter().map(|h| h.entity.clone()).collect::<Vec<_>>();
    assert_eq!(order(&after)[0], order(&before)[0]);

    // People say that most of them were none: too few are left.
    let written = house.store.write(move |tx| {
        for mut incident in deploys.into_iter().take(3) {
            incident.category = Some("not_an_incident".into());
            tx.put(&incident)?;
        }
        Ok(())
    });
    written.await.expect("written");
    house.stage.handle(Event::Change(any)).await.expect("looks again");
    assert_eq!(part(&diagnosed(&mut house, id).await.0), None);
}

/// What a site learns from so many faults, one after the other: a fix of the right cause helps and is
/// measured; people say it where the cause was outside. With `gullible`, what is wrong is confirmed as
/// well as what is right: the worst that its own answers can teach it.
fn taught(n: u64, gullible: bool) -> Causes {
    let mut all: Vec<Confirmed> = Vec::new();
    for number in 1..=n {
        let mut fault = made(&SECOND, 50_000 + number);
        fault.input.causes = Causes::of(&all);
        let ranked = rank(&fault.input);
        let first = &ranked.hypotheses[0];
        let right = fault.root.as_ref() == Some(&first.entity);
        let (mut incident, mut diagnosis, lesson) = closed(number, ChangeKind::Deploy, true);
        incident.onset_at = fault.input.incident.onset_at;
        let lesson = lesson.filter(|_| right || gullible).map(|l| Lesson {
            pattern: first.pattern.clone(),
            entity: first.entity.clone(),
            ..l
        });
        if fault.root.is_none() {
            incident.category = Some("external".into());
        }
        (diagnosis.hypotheses, diagnosis.changes) = (ranked.hypotheses, ranked.changes);
        all.extend(confirmed(&incident, lesson.as_ref(), &diagnosis));
    }
    Causes::of(&all)
}

#[test]
fn what_was_learned_of_kinds_finds_no_fewer_causes_and_chances_hold() {
    const CASES: u64 = 1_200;
    let histories = [
        ("nothing", Causes::default()),
        ("60 faults", taught(60, false)),
        ("240 faults", taught(240, false)),
        ("240 faults, whatever was said confirmed", taught(240, true)),
    ];
    let of = |seed: u64| {
        let mut fault = made(&SECOND, seed);
        histories.each_ref().map(|(_, causes)| {
            fault.input.causes = causes.clone();
            let first = rank(&fault.input).hypotheses.swap_remove(0);
            (first.confidence, fault.root.as_ref() == Some(&first.entity))
        })
    };
    let all: Vec<[Shown; 4]> = std::thread::scope(|scope| {
        let of = &of;
        let start = |turn: u64| {
            scope.spawn(move || (1..=CASES).filter(|s| s % 4 == turn).map(of).collect::<Vec<_>>())
        };
        let running: Vec<_> = (0..4).map(start).collect();
        running.into_iter().flat_map(|r| r.join().expect("ends")).collect()
    });
    let found: Vec<(usize, (f64, f64, f64))> = histories
        .iter()
        .enumerate()
        .map(|(i, (what, causes))| {
            let shown: Vec<Shown> = all.iter().map(|each| each[i]).collect();
            let (right, figures) = (shown.iter().filter(|s| s.1).count(), judged(&shown));
            let (error, brier, _) = figures;
            let share = right as f64 / CASES as f64;
            println!("after {what}: first right {share:.3}, error {error:.3}, Brier {brier:.3}");
            println!("  {causes:?}");
            (right, figures)
        })
        .collect();
    let (plain, learned) = (found[0], &found[1..]);
    for (right, (error, brier, _)) in learned {
        assert!(right + 12 >= plain.0, "first right {right}, {} without", plain.0);
        assert!(*error <= 0.06, "calibration error {error:.3}");
        assert!(*brier <= plain.1.1 + 0.002, "Brier score {brier:.3}, {:.3}", plain.1.1);
    }
}
