//! What is learned, how it is counted, and that a wrong fix falls behind.

use proptest::prelude::*;

use super::*;
use crate::approve::tests::sample::{self, incident_as, proposal, run, t0};
use crate::bus::{Bus, Event};
use crate::model::action::Effect;
use crate::model::clock::ManualClock;
use crate::model::*;
use crate::stage::Stage as _;
use crate::store::{Filter, Store};

fn lesson(n: usize, pattern: &str, action: &str, taught: Taught) -> Lesson {
    Lesson {
        given: None,
        key: format!("{n}"),
        at: t0(),
        pattern: pattern.into(),
        entity: EntityRef::service("orders"),
        actions: vec![action.into()],
        incident: IncidentId::derive(t0(), &[&n.to_string()]),
        run: None,
        taught,
    }
}

fn lessons(of: &[(&str, &str, Taught)]) -> Vec<Lesson> {
    of.iter().enumerate().map(|(n, (p, a, t))| lesson(n, p, a, *t)).collect()
}

#[test]
fn the_posterior_mean_follows_the_rule_of_succession() {
    use Taught::{FalseAlarm, Helped, NoChange, Worse};
    let (s, x) = ("saturation", "pool/restore");
    let table = [
        (vec![], 0.5, "Not tried here before."),
        (vec![(s, x, Helped)], 2.0 / 3.0, "Helped 1 of 1 time here."),
        (
            vec![(s, x, Helped), (s, x, Helped), (s, x, Helped), (s, x, NoChange)],
            4.0 / 6.0,
            "Helped 3 of 4 times here.",
        ),
        (vec![(s, x, Worse)], 1.0 / 3.0, "Helped 0 of 1 time here. Made it worse 1 time."),
        (
            vec![("deploy", x, Helped), ("deploy", x, Helped)],
            2.0 / 3.0,
            "Helped 2 of 2 times here, for other causes.",
        ),
        (
            vec![(s, x, NoChange), ("deploy", x, Helped)],
            1.5 / 3.5,
            "Helped 0 of 1 time here, and 1 of 1 for other causes.",
        ),
        (
            vec![(s, x, FalseAlarm), (s, x, FalseAlarm)],
            1.0 / 3.0,
            "Not tried here before. Offered in 2 incidents that were called no incident.",
        ),
        (vec![(s, "pool/other", Helped)], 0.5, "Not tried here before."),
    ];
    for (taught, mean, words) in table {
        let ledger = Ledger::of(&lessons(&taught));
        assert!((ledger.posterior(s, x).mean() - mean).abs() < 1e-12, "{taught:?}");
        assert_eq!(ledger.words(s, x), words);
    }
}

#[test]
fn false_alarms_are_told_for_the_same_cause_on_the_same_entity_only() {
    let ledger = Ledger::of(&lessons(&[
        ("saturation", "pool/restore", Taught::FalseAlarm),
        ("saturation", "pool/restore", Taught::FalseAlarm),
    ]));
    let doubt = ledger.doubt("saturation", &EntityRef::service("orders"));
    let words =
        "2 earlier incidents with the likely cause saturation on orders were called no incident.";
    assert_eq!(doubt.as_deref(), Some(words));
    assert_eq!(ledger.doubt("saturation", &EntityRef::service("cart")), None);
    assert_eq!(ledger.doubt("deploy", &EntityRef::service("orders")), None);
}

proptest! {
    #[test]
    fn the_order_of_lessons_does_not_matter_and_one_more_failure_never_helps(
        taught in proptest::collection::vec((0..2_u8, 0..4_u8), 0..40), turn in 0..40_usize,
    ) {
        let kinds = [Taught::Helped, Taught::NoChange, Taught::Worse, Taught::FalseAlarm];
        let patterns = ["saturation", "deploy"];
        let mut all: Vec<Lesson> = taught
            .iter()
            .enumerate()
            .map(|(n, (p, k))| lesson(n, patterns[usize::from(*p)], "a/b", kinds[usize::from(*k)]))
            .collect();
        let before = Ledger::of(&all);
        let n = all.len().max(1);
        all.rotate_left(turn % n);
        prop_assert_eq!(&Ledger::of(&all), &before);
        let mean = before.posterior("saturation", "a/b").mean();
        prop_assert!(mean > 0.0 && mean < 1.0);
        for kind in [Taught::NoChange, Taught::Worse, Taught::FalseAlarm] {
            let mut more = all.clone();
            more.push(lesson(99, "saturation", "a/b", kind));
            prop_assert!(Ledger::of(&more).posterior("saturation", "a/b").mean() < mean);
        }
        all.push(lesson(99, "saturation", "a/b", Taught::Helped));
        prop_assert!(Ledger::of(&all).posterior("saturation", "a/b").mean() > mean);
    }
}

#[test]
fn only_measured_real_runs_of_a_fix_teach() {
    let taught = |run: &Run, p: &Proposal| of_run(run, p).map(|l| l.taught);
    let p = proposal();
    assert_eq!(taught(&run(Some(Effect::Helped)), &p), Some(Taught::Helped));
    assert_eq!(taught(&run(Some(Effect::Worse)), &p), Some(Taught::Worse));
    assert_eq!(taught(&run(None), &p), None, "not measured yet");
    assert_eq!(taught(&run(Some(Effect::Unmeasured)), &p), None);
    let dry = Run { dry_run: true, ..run(Some(Effect::Helped)) };
    assert_eq!(taught(&dry, &p), None, "nothing was sent");
    let mut edited = p.clone();
    edited.edited_by.push(Actor::nightjar());
    assert_eq!(taught(&run(Some(Effect::Worse)), &edited), None, "another remedy");
    let back = Proposal { rollback_of: Some(run(None).id), ..p };
    assert_eq!(taught(&run(Some(Effect::Helped)), &back), None, "undoing is no fix");
}

#[tokio::test]
async fn a_lesson_is_learned_once_audited_and_taken_back_when_the_incident_is_reopened() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = Store::open(&folder.path().join("l.sqlite")).expect("opens");
    let bus = Bus::default();
    let false_alarm = incident_as(Some("not_an_incident"), IncidentState::Resolved);
    let id = false_alarm.id;
    let diagnosis = sample::diagnosis("saturation");
    let offered = Proposal { state: ProposalState::Expired, ..proposal() };
    store
        .write(move |tx| {
            tx.put(&false_alarm)?;
            tx.put(&diagnosis)?;
            tx.put(&offered)
        })
        .await
        .expect("writes");
    let clock = ManualClock::new(t0());
    let mut stage = Learn::new(store.clone(), bus, clock);
    let all = async |store: &Store| {
        store.read(|r| r.list::<Lesson>(&Filter::all())).await.expect("reads")
    };
    stage.sweep().await.expect("learns");
    stage.handle(Event::Incident(id)).await.expect("learns nothing new");
    let learned = all(&store).await;
    assert_eq!(learned.len(), 1);
    assert_eq!(learned[0].taught, Taught::FalseAlarm);
    assert_eq!(learned[0].actions, ["pool/restore"]);

    let reopened = incident_as(None, IncidentState::Open);
    store.write(move |tx| tx.put(&reopened)).await.expect("writes");
    stage.handle(Event::Incident(id)).await.expect("forgets");
    assert!(all(&store).await.is_empty(), "it was an incident after all");
    let audit = store
        .read(|r| r.audit_records(&crate::store::AuditFilter { limit: 9, ..Default::default() }))
        .await
        .expect("reads");
    let actions: Vec<&str> = audit.iter().rev().map(|a| a.action.as_str()).collect();
    assert_eq!(actions, ["lesson.learn", "lesson.forget"]);
}
