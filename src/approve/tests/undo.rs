//! The way back after a run that did not help.

use super::offers::World;
use super::sample::{person, run, t0};
use super::{approve, say};
use crate::bus::Event;
use crate::model::action::Effect;
use crate::model::*;
use crate::stage::Stage as _;

/// The first offer as if it had been run with this effect, or had ended unknown.
async fn ran(world: &mut World, effect: Option<Effect>) -> (Proposal, Run) {
    let done = world.diagnosed().await.remove(0);
    let run = Run {
        proposal: done.id,
        incident: done.incident,
        action: "two-ways/first".into(),
        state: if effect.is_some() { RunState::Done } else { RunState::Unknown },
        ..run(effect)
    };
    let finished = Proposal { state: ProposalState::Finished, run: Some(run.id), ..done.clone() };
    let kept = run.clone();
    world
        .store
        .write(move |tx| {
            tx.put(&finished)?;
            tx.put(&kept)
        })
        .await
        .expect("writes");
    (done, run)
}

fn back(all: &[Proposal], run: &Run) -> Vec<Proposal> {
    all.iter().filter(|p| p.rollback_of == Some(run.id)).cloned().collect()
}

#[tokio::test]
async fn what_did_not_help_is_offered_to_be_undone_with_an_approval_of_its_own() {
    for effect in [Effect::NoChange, Effect::Worse, Effect::Unmeasured] {
        let mut world = World::new().await;
        let (done, run) = ran(&mut world, Some(effect)).await;
        world.state.lock().expect("no panic").insert("value".into(), "16".into());
        world.stage.handle(Event::Run(run.id)).await.expect("offers");
        world.stage.sweep().await.expect("offers nothing twice");
        let undo = back(&world.proposals().await, &run);
        assert_eq!(undo.len(), 1, "{effect:?}");
        let undo = &undo[0];
        assert_eq!(undo.title, "Undo \"Set orders to 16\": Set orders to 64");
        assert_eq!(undo.plan.parameters["value"], "64");
        assert_eq!(undo.plan.observed["value"], "16", "bound to the state as it is now");
        assert_ne!(undo.digest, done.digest);
        assert_eq!((undo.state, undo.decisions.len()), (ProposalState::Open, 0));
        assert_eq!(world.proposals().await[0].id, undo.id, "shown first");

        let ann = person("ann", Role::Approver);
        let stale = say(&world.store, undo.id, approve(&ann, &done.digest.0), t0()).await;
        assert!(stale.is_err(), "the approval of the fix is none for its undoing");
        let yes = say(&world.store, undo.id, approve(&ann, &undo.digest.0), t0()).await;
        assert_eq!(yes.expect("approved").state, ProposalState::Approved);
    }
}

#[tokio::test]
async fn what_helped_or_was_no_real_run_is_not_offered_to_be_undone() {
    let mut world = World::new().await;
    let (_, run) = ran(&mut world, Some(Effect::Helped)).await;
    world.stage.handle(Event::Run(run.id)).await.expect("handles");
    assert!(back(&world.proposals().await, &run).is_empty());
    let dry = Run { dry_run: true, state: RunState::Unknown, ..run.clone() };
    world.store.write(move |tx| tx.put(&dry)).await.expect("writes");
    world.stage.handle(Event::Run(run.id)).await.expect("handles");
    assert!(back(&world.proposals().await, &run).is_empty());
}

#[tokio::test]
async fn an_unknown_run_is_offered_to_be_undone_only_if_its_target_has_changed() {
    let mut world = World::new().await;
    let (_, run) = ran(&mut world, None).await;
    world.stage.handle(Event::Run(run.id)).await.expect("handles");
    assert!(back(&world.proposals().await, &run).is_empty(), "the target is as before");
    world.state.lock().expect("no panic").insert("value".into(), "16".into());
    world.stage.sweep().await.expect("sweeps");
    let undo = back(&world.proposals().await, &run);
    assert_eq!(undo.len(), 1);
    assert_eq!(
        undo[0].why,
        "two-ways/first on orders ended unknown: whether it was done is not certain."
    );
}

#[tokio::test]
async fn a_way_back_ends_once_something_else_was_done_to_its_target() {
    let mut world = World::new().await;
    let (_, wrong) = ran(&mut world, Some(Effect::NoChange)).await;
    world.state.lock().expect("no panic").insert("value".into(), "16".into());
    world.stage.handle(Event::Run(wrong.id)).await.expect("offers");
    let undo = back(&world.proposals().await, &wrong).remove(0);

    let at = t0().plus_ms(600_000);
    let right = Proposal { id: ProposalId::derive(at, &["right"]), ..undo.clone() };
    let right = Proposal { state: ProposalState::Finished, rollback_of: None, ..right };
    let fix = Run {
        id: RunId::derive(at, &["right"]),
        proposal: right.id,
        action: "two-ways/second".into(),
        started_at: at,
        outcome: run(Some(Effect::Helped)).outcome,
        ..wrong.clone()
    };
    let (kept, of) = (fix.clone(), right.clone());
    let put = move |tx: &crate::store::Tx<'_>| {
        tx.put(&kept)?;
        tx.put(&of)
    };
    world.store.write(put).await.expect("writes");
    world.stage.handle(Event::Run(fix.id)).await.expect("looks");
    world.stage.sweep().await.expect("offers it not anew");
    let gone = back(&world.proposals().await, &wrong);
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].state, ProposalState::Superseded);
    assert_eq!(
        gone[0].ended.as_deref(),
        Some(
            "two-ways/second ran on orders at 03:10:00 UTC, after what this would undo; it would \
             undo both."
        )
    );

    // Once that was undone, the way back of the first is again the last thing done.
    let undone = Proposal {
        id: ProposalId::derive(at, &["undone"]),
        rollback_of: Some(fix.id),
        state: ProposalState::Finished,
        ..right
    };
    world.store.write(move |tx| tx.put(&undone)).await.expect("writes");
    world.clock.advance(std::time::Duration::from_secs(900));
    world.stage.sweep().await.expect("sweeps");
    let open = back(&world.proposals().await, &wrong);
    assert!(open.iter().any(|p| p.state == ProposalState::Open), "{open:#?}");
}
