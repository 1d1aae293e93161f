//! Verbs on incidents: roles, records, doorbells, races, and any sequence of them.

use proptest::prelude::*;

use super::{World, actors, person, refusal, rung, t0};
use crate::bus::Event;
use crate::model::{IncidentId, IncidentState, Refused, Role};
use crate::store::Filter;

#[tokio::test]
async fn each_verb_asks_for_its_role_and_a_refusal_leaves_nothing() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 2).await;
    let other = world.incident(2, IncidentState::Open, 1).await;
    let (id, desk) = (incident.id, &world.desk);
    let mut heard = world.bus.subscribe();
    let viewer = person("vic", Role::Viewer);
    let refused = [
        refusal(desk.acknowledge(&viewer, id).await),
        refusal(desk.assign(&viewer, id, Some(viewer.clone())).await),
        refusal(desk.resolve(&viewer, id, "").await),
        refusal(desk.not_an_incident(&viewer, id, "").await),
        refusal(desk.reopen(&viewer, id, "").await),
        refusal(desk.review(&viewer, id, "").await),
        refusal(desk.note(&viewer, id, "hello").await),
        refusal(desk.merge(&viewer, (id, other.id), "").await),
        refusal(desk.split(&viewer, id, vec![incident.alerts[0]], "").await),
        refusal(desk.halt(&viewer, "").await),
        refusal(desk.unhalt(&viewer).await),
        refusal(desk.revoke_token(&viewer, "x").await),
    ];
    for refused in refused {
        let Refused::Forbidden(text) = &refused else { panic!("{refused:?}") };
        assert!(text.contains("you need the role") && text.contains("you have viewer"), "{text}");
    }
    assert_eq!(world.read(id).await, incident);
    assert_eq!(world.audit().await, []);
    assert_eq!(world.timeline(id).await, []);
    assert_eq!(rung(&mut heard, &world.bus).await, []);
    for (actor, least) in actors().iter().map(|a| (a, Role::Approver)) {
        assert_eq!(desk.halt(actor, "").await.is_ok(), actor.role >= least, "{actor:?}");
        assert_eq!(desk.unhalt(actor).await.is_ok(), actor.role >= Role::Admin, "{actor:?}");
    }
}

#[tokio::test]
async fn what_is_done_is_told_recorded_and_rung_once() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let (id, bea) = (incident.id, person("bea", Role::Responder));
    let mut heard = world.bus.subscribe();
    let taken = world.desk.acknowledge(&bea, id).await.expect("she may");
    assert_eq!((taken.state, taken.owner.as_ref()), (IncidentState::Acknowledged, Some(&bea)));
    assert_eq!(rung(&mut heard, &world.bus).await, [Event::Incident(id)]);
    let timeline = world.timeline(id).await;
    assert_eq!(timeline.len(), 1);
    assert_eq!(timeline[0].text, "Incident acknowledged: bea has it");
    let audit = world.audit().await;
    assert_eq!(audit.len(), 1);
    assert_eq!((audit[0].action.as_str(), &audit[0].actor), ("incident.acknowledged", &bea));
    assert_eq!(audit[0].detail["from"], "open");
    // Giving it to whoever has it already is no news to the timeline.
    world.desk.assign(&bea, id, Some(bea.clone())).await.expect("she may");
    assert_eq!(world.timeline(id).await.len(), 1);
}

#[tokio::test]
async fn of_two_who_take_it_at_once_one_has_it() {
    let world = World::new();
    let id = world.incident(1, IncidentState::Open, 1).await.id;
    let (bea, cem) = (person("bea", Role::Responder), person("cem", Role::Responder));
    let (a, b) = tokio::join!(world.desk.acknowledge(&bea, id), world.desk.acknowledge(&cem, id));
    let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
    let owner = won.expect("one of them").owner.expect("an owner");
    let text = refusal(lost).to_string();
    assert!(text.contains("is acknowledged, so it can't become acknowledged"), "{text}");
    assert_eq!(world.read(id).await.owner, Some(owner));
    assert_eq!(world.timeline(id).await.len(), 1);
}

#[tokio::test]
async fn words_are_kept_within_bounds() {
    let world = World::new();
    let id = world.incident(1, IncidentState::Open, 1).await.id;
    let bea = person("bea", Role::Responder);
    let long = "\u{1F525}".repeat(5_000);
    let note = world.desk.note(&bea, id, &long).await.expect("a note");
    assert_eq!(note.text.chars().count(), "bea: ".len() + 4_000);
    assert!(matches!(refusal(world.desk.note(&bea, id, " \n\t").await), Refused::Invalid(_)));
    let over = world.desk.resolve(&bea, id, "  ").await.expect("resolved");
    assert_eq!(over.category.as_deref(), Some("fixed"));
    let told = world.timeline(id).await;
    assert!(told.iter().any(|e| e.text == "Incident resolved: resolved by hand"), "{told:?}");
    let nothing = IncidentId::derive(t0(), &["nothing"]);
    assert!(matches!(refusal(world.desk.note(&bea, nothing, "x").await), Refused::NotFound(_)));
}

#[tokio::test]
async fn a_split_numbers_the_new_one_and_moves_its_alerts() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 3).await;
    let bea = person("bea", Role::Responder);
    let out = vec![incident.alerts[2], incident.alerts[0]];
    let new = world.desk.split(&bea, incident.id, out.clone(), "").await.expect("a split");
    assert_eq!((new.number, &new.alerts), (11, &out));
    assert_eq!(world.read(incident.id).await.alerts, [incident.alerts[1]]);
    let own = Filter::parent(new.id);
    let moved =
        world.store.read(move |r| r.list::<crate::model::Alert>(&own)).await.expect("alerts");
    assert_eq!(moved.len(), 2);
    let back = world.desk.merge(&bea, (new.id, incident.id), "after all").await.expect("merged");
    assert_eq!(back.alerts.len(), 3);
    assert_eq!(world.read(new.id).await.merged_into, Some(incident.id));
    let gone = refusal(world.desk.reopen(&bea, new.id, "").await).to_string();
    assert!(gone.contains("it is part of another"), "{gone}");
}

/// Something that a person may try.
#[derive(Clone, Copy, Debug)]
enum Try {
    Acknowledge,
    Assign,
    Resolve,
    FalseAlarm,
    Reopen,
    Review,
    Note,
    Split,
    Merge,
}

fn tries() -> impl Strategy<Value = Vec<(Try, usize)>> {
    use Try::{Acknowledge, Assign, FalseAlarm, Merge, Note, Reopen, Resolve, Review, Split};
    let one = prop::sample::select(vec![
        Acknowledge,
        Assign,
        Resolve,
        FalseAlarm,
        Reopen,
        Review,
        Note,
        Split,
        Merge,
    ]);
    prop::collection::vec((one, 0_usize..4), 1..25)
}

async fn attempt(
    world: &World,
    id: IncidentId,
    other: IncidentId,
    (what, who): (Try, usize),
) -> bool {
    let (actor, desk) = (&actors()[who], &world.desk);
    let first = world.read(id).await.alerts.into_iter().take(1).collect();
    match what {
        Try::Acknowledge => desk.acknowledge(actor, id).await.is_ok(),
        Try::Assign => desk.assign(actor, id, Some(actor.clone())).await.is_ok(),
        Try::Resolve => desk.resolve(actor, id, "done").await.is_ok(),
        Try::FalseAlarm => desk.not_an_incident(actor, id, "").await.is_ok(),
        Try::Reopen => desk.reopen(actor, id, "").await.is_ok(),
        Try::Review => desk.review(actor, id, "learnt").await.is_ok(),
        Try::Note => desk.note(actor, id, "hm").await.is_ok(),
        Try::Split => desk.split(actor, id, first, "").await.is_ok(),
        Try::Merge => desk.merge(actor, (id, other), "").await.is_ok(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever people try in whatever order: a state only follows where it may, a refusal leaves
    /// no record, no alert is lost or in two places, and the audit log stays whole.
    #[test]
    fn any_sequence_leaves_a_true_record(tries in tries()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let world = World::new();
            let id = world.incident(1, IncidentState::Open, 4).await.id;
            let other = world.incident(2, IncidentState::Open, 1).await.id;
            for step in tries {
                world.clock.advance(std::time::Duration::from_secs(1));
                let (before, n) = (world.read(id).await.state, world.audit().await.len());
                let done = attempt(&world, id, other, step).await;
                let (after, n_after) = (world.read(id).await.state, world.audit().await.len());
                prop_assert!(before == after || before.next().contains(&after), "{step:?}");
                prop_assert!(n_after <= n + 1 && (done || (n_after == n && before == after)));
            }
            let alerts = world.store.read(|r| r.list::<crate::model::Alert>(&Filter::all())).await;
            let alerts = alerts.expect("alerts");
            prop_assert_eq!(alerts.len(), 5);
            for alert in alerts {
                let home = world.read(alert.incident.expect("every alert has one")).await;
                prop_assert!(home.alerts.contains(&alert.id));
            }
            let whole = world.store.read(|r| r.audit_verify()).await.expect("the store works");
            prop_assert!(whole.is_ok());
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_secret_pasted_into_a_note_or_a_reason_is_not_kept() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let bea = person("bea", Role::Responder);
    let pasted = "tried it with password=not-a-real-secret and it failed";
    let note = world.desk.note(&bea, incident.id, pasted).await.expect("she may");
    assert!(note.text.contains("tried it") && !note.text.contains("not-a-real"), "{}", note.text);
    world.desk.resolve(&bea, incident.id, pasted).await.expect("she may");
    let kept = format!("{:?}{:?}", world.timeline(incident.id).await, world.audit().await);
    assert!(kept.contains("tried it") && !kept.contains("not-a-real"), "{kept}");
}

#[tokio::test]
async fn what_ended_by_itself_can_still_be_judged_once_and_stays_over() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Resolved, 1).await;
    assert_eq!(incident.closed_by, None);
    let (bea, viewer) = (person("bea", Role::Responder), person("vic", Role::Viewer));
    assert!(world.desk.not_an_incident(&viewer, incident.id, "").await.is_err());
    let judged = world.desk.not_an_incident(&bea, incident.id, "a batch job").await;
    let judged = judged.expect("she may");
    assert_eq!(judged.state, IncidentState::Resolved);
    assert_eq!(judged.category.as_deref(), Some("not_an_incident"));
    assert_eq!((judged.closed_by, judged.resolved_at), (Some(bea.clone()), incident.resolved_at));
    let story = format!("{:?}", world.timeline(incident.id).await);
    assert!(story.contains("bea says what it was: not an incident. a batch job"), "{story}");
    // What a person said stands until it is opened again.
    assert!(world.desk.resolve(&bea, incident.id, "").await.is_err());
}
