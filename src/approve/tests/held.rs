//! What is not offered is on record with its reason, once, and `why` shows it.

use super::offers::World;
use super::sample::{incident_as, run, t0};
use crate::approve::{Because, Withheld, withheld};
use crate::model::action::Effect;
use crate::model::time::MINUTE_MS;
use crate::model::*;
use crate::stage::Stage as _;

async fn told(world: &World) -> Vec<Withheld> {
    let id = incident_as(None, IncidentState::Open).id;
    world.store.read(move |r| withheld(r, id)).await.expect("reads")
}

/// A run of the first action that ended without help, so long ago.
fn useless(n: u8, minutes_ago: i64) -> Run {
    let at = t0().plus_ms(-minutes_ago * MINUTE_MS);
    Run {
        id: RunId::derive(at, &[&n.to_string()]),
        incident: IncidentId::derive(at, &["an earlier one"]),
        action: "two-ways/first".into(),
        started_at: at,
        finished_at: Some(at),
        ..run(Some(Effect::NoChange))
    }
}

fn open_actions(all: &[Proposal]) -> Vec<&str> {
    let open = all.iter().filter(|p| p.state == ProposalState::Open);
    open.map(|p| p.plan.action.as_str()).collect()
}

#[tokio::test]
async fn what_rests_is_not_offered_and_says_so_once() {
    let mut world = World::new().await;
    world.store.write(|tx| tx.put(&useless(1, 2))).await.expect("writes");
    assert_eq!(open_actions(&world.diagnosed().await), ["second"]);
    for _ in 0..3 {
        world.clock.advance(std::time::Duration::from_secs(20));
        world.diagnosed().await;
    }
    let said = told(&world).await;
    let [rests] = said.as_slice() else { panic!("one action, one reason: {said:?}") };
    assert_eq!((rests.action.as_str(), rests.because), ("two-ways/first", Because::Cooldown));
    assert_eq!(rests.target, "service.name=orders");
    assert_eq!(
        rests.reason,
        "two-ways/first ran on orders at 02:58:00 UTC; the cooldown is 300 s."
    );
    let id = incident_as(None, IncidentState::Open).id;
    let why = world.store.read(move |r| crate::command::explain_incident(r, id)).await;
    let lines = why.expect("reads").expect("there").lines;
    let line = format!("Not offered: two-ways/first on orders. {}", rests.reason);
    assert!(lines.contains(&line), "{lines:#?}");

    // Nobody has to diagnose anew for it to be offered once its rest is over.
    world.clock.advance(std::time::Duration::from_secs(180));
    world.stage.sweep().await.expect("sweeps");
    let mut open = world.proposals().await;
    open.sort_by(|a, b| a.plan.action.cmp(&b.plan.action));
    assert_eq!(open_actions(&open), ["first", "second"]);
    assert_eq!(told(&world).await.len(), 1);
}

#[tokio::test]
async fn an_action_that_never_helps_there_is_not_offered() {
    let mut world = World::new().await;
    let three = [useless(1, 60), useless(2, 40), useless(3, 20)];
    world.store.write(move |tx| three.iter().try_for_each(|r| tx.put(r))).await.expect("writes");
    assert_eq!(open_actions(&world.diagnosed().await), ["second"]);
    let said = told(&world).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].because, Because::Breaker);
    assert!(said[0].reason.contains("did not help 3 times in a row"), "{}", said[0].reason);
    // The first of the three is two hours old an hour from now.
    world.clock.advance(std::time::Duration::from_secs(61 * 60));
    assert!(open_actions(&world.diagnosed().await).contains(&"first"));
}

#[tokio::test]
async fn what_policy_or_an_earlier_choice_leaves_out_is_on_record() {
    let mut world = World::new().await;
    world.stage.policy.max_open = 1;
    let offered = world.diagnosed().await;
    let said = told(&world).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!((said[0].action.as_str(), said[0].because), ("two-ways/second", Because::Full));
    let declined = Proposal { state: ProposalState::Ignored, ..offered[0].clone() };
    world.store.write(move |tx| tx.put(&declined)).await.expect("writes");
    world.diagnosed().await;
    let said = told(&world).await;
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!((said[1].action.as_str(), said[1].because), ("two-ways/first", Because::Settled));
    assert_eq!(said[1].reason, "It was declined in this incident.");
}

#[tokio::test]
async fn a_target_that_cannot_be_read_is_told_once_however_it_fails() {
    let mut world = World::new().await;
    let n = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    world.stage.observe = std::sync::Arc::new(move |_| {
        let n = n.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Box::pin(async move { Err(Fault::because(format!("attempt {n} was refused"))) })
    });
    assert!(world.diagnosed().await.is_empty());
    world.diagnosed().await;
    let said = told(&world).await;
    assert_eq!(said.len(), 2, "two actions, each once: {said:?}");
    assert!(said.iter().all(|w| w.because == Because::TargetUnread), "{said:?}");
    assert!(said[0].reason.contains("attempt 0 was refused"), "{}", said[0].reason);
}

#[tokio::test]
async fn a_runbook_barred_by_its_precondition_and_one_without_its_setting_say_so() {
    let mut world = World::new().await;
    let pool = super::sample::diagnosis("saturation");
    world.store.write(move |tx| tx.put(&pool)).await.expect("writes");
    world.diagnosed().await;
    let said = told(&world).await;
    let pool = "connection-pool-exhausted/restore-concurrency";
    let barred = said.iter().find(|w| w.action == pool).expect("on record");
    assert_eq!(barred.because, Because::Precondition);
    assert!(
        barred.reason.contains("nothing of what it is for is seen: a log line like"),
        "{said:?}"
    );

    let leak = super::sample::diagnosis("resource_leak");
    world.store.write(move |tx| tx.put(&leak)).await.expect("writes");
    world.diagnosed().await;
    let said = told(&world).await;
    let restart = said.iter().find(|w| w.action == "memory-leak/rolling-restart");
    let restart = restart.expect("on record");
    assert_eq!(restart.because, Because::NotFilled);
    assert!(restart.reason.contains("admin_url"), "{}", restart.reason);
}
