//! What is offered, in which order, and how an offer's life ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::sample::{diagnosis, incident_as, person, run, t0};
use super::{approve, say};
use crate::approve::{Config, Observe, Propose};
use crate::bus::{Bus, Event};
use crate::learn::{Lesson, Taught};
use crate::model::action::Effect;
use crate::model::clock::ManualClock;
use crate::model::*;
use crate::runbook::Library;
use crate::stage::Stage as _;
use crate::store::{AuditFilter, Filter, Store};

/// Two actions for a cause that no shipped runbook knows.
pub(crate) const RUNBOOK: &str = "---
id: two-ways
title: Two ways to mend it
services: [orders]
matchers:
  - hypothesis: unknown
actions:
  - id: first
    title: Set {{ target.name }} to {{ params.value }}
    executor: dry-run
    parameters:
      - name: value
        description: The value
        type: integer
        default: \"16\"
        min: 1
        max: 64
    risk: low
    expected_effect: It gets better.
    verify: { after: 60s, window: 2m }
    rollback:
      action: first
      parameters: { value: \"{{ target.state.value }}\" }
  - id: second
    title: Restart {{ target.name }}
    executor: dry-run
    risk: low
    expected_effect: It gets better.
    verify: { after: 60s, window: 2m }
verification: It is better.
rollback: Set the old value again.
owner: platform team
reviewed: 2026-11-02
---
Steps for people.
";

/// A world with one open, diagnosed incident and a target whose state the test sets.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) stage: Propose,
    pub(crate) state: Arc<Mutex<BTreeMap<String, String>>>,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let runbooks = folder.path().join("runbooks");
        std::fs::create_dir(&runbooks).expect("a folder");
        std::fs::write(runbooks.join("two-ways.md"), RUNBOOK).expect("a runbook");
        let library = Arc::new(Library::load(&[runbooks]).expect("no mistakes"));
        let store = Store::open(&folder.path().join("p.sqlite")).expect("opens");
        let clock = ManualClock::new(t0());
        let state = Arc::new(Mutex::new(BTreeMap::from([("value".to_owned(), "64".to_owned())])));
        let seen = state.clone();
        let observe: Observe = Arc::new(move |_| {
            let now = seen.lock().expect("no panic").clone();
            Box::pin(async move { Ok(Some(now)) })
        });
        let stage = Propose {
            policy: Config::default(),
            store: store.clone(),
            bus: Bus::default(),
            clock: clock.clone(),
            library,
            settings: BTreeMap::new(),
            observe,
            settle_s: 10,
            again: BTreeMap::new(),
        };
        let world = Self { store, clock, stage, state, _folder: folder };
        world
            .store
            .write(|tx| {
                tx.put(&incident_as(None, IncidentState::Open))?;
                tx.put(&diagnosis("unknown"))
            })
            .await
            .expect("writes");
        world
    }

    pub(crate) async fn diagnosed(&mut self) -> Vec<Proposal> {
        let id = incident_as(None, IncidentState::Open).id;
        self.stage.handle(Event::Diagnosis(id)).await.expect("offers");
        self.proposals().await
    }

    /// All proposals, in the order in which they are shown.
    pub(crate) async fn proposals(&self) -> Vec<Proposal> {
        let mut all = self.store.read(|r| r.list::<Proposal>(&Filter::all())).await.expect("reads");
        all.sort_by(|a, b| a.shown_before(b));
        all
    }

    pub(crate) async fn audit(&self) -> Vec<(String, String)> {
        let filter = AuditFilter { limit: 1_000, ..AuditFilter::default() };
        let all = self.store.read(move |r| r.audit_records(&filter)).await.expect("reads");
        all.into_iter().rev().map(|a| (a.action, a.detail.to_string())).collect()
    }

    async fn teach(&self, n: u8, action: &str, taught: Taught) {
        let lesson = Lesson {
            given: None,
            key: n.to_string(),
            at: t0(),
            pattern: "unknown".into(),
            entity: EntityRef::service("orders"),
            actions: vec![action.into()],
            incident: IncidentId::derive(t0(), &["earlier", &n.to_string()]),
            run: None,
            taught,
        };
        self.store.write(move |tx| tx.put(&lesson)).await.expect("writes");
    }
}

fn named(proposals: &[Proposal]) -> Vec<&str> {
    proposals.iter().map(|p| p.plan.action.as_str()).collect()
}

#[tokio::test]
async fn what_is_offered_rests_on_a_second_look() {
    let mut world = World::new().await;
    let first = Diagnosis { at: t0().plus_ms(2_000), ..diagnosis("unknown") };
    world.store.write(move |tx| tx.put(&first)).await.expect("writes");
    assert!(world.diagnosed().await.is_empty());
    world.store.write(|tx| tx.put(&diagnosis("unknown"))).await.expect("writes");
    assert_eq!(named(&world.diagnosed().await), ["first", "second"]);

    // Nobody looks again: it is offered all the same.
    let mut world = World::new().await;
    let first = Diagnosis { at: t0().plus_ms(2_000), ..diagnosis("unknown") };
    world.store.write(move |tx| tx.put(&first)).await.expect("writes");
    assert!(world.diagnosed().await.is_empty());
    world.clock.set(t0().plus_ms(300_000));
    world.stage.sweep().await.expect("sweeps");
    assert_eq!(named(&world.proposals().await), ["first", "second"]);
}

#[tokio::test]
async fn a_wrong_fix_falls_behind_and_says_why() {
    let mut world = World::new().await;
    let offered = world.diagnosed().await;
    assert_eq!(named(&offered), ["first", "second"], "the runbook's own order to begin with");
    assert_eq!(offered[0].past, "Not tried here before.");
    let digest = offered[0].digest.clone();

    world.teach(1, "two-ways/first", Taught::NoChange).await;
    let offered = world.diagnosed().await;
    assert_eq!(named(&offered), ["second", "first"]);
    assert_eq!(offered[1].past, "Helped 0 of 1 time here.");
    assert!((offered[1].chance - 1.0 / 3.0).abs() < 1e-12);
    assert_eq!(offered[1].digest, digest, "other words, the same plan: what was seen still counts");

    for n in 2..5 {
        world.teach(n, "two-ways/first", Taught::Helped).await;
    }
    let offered = world.diagnosed().await;
    assert_eq!(named(&offered), ["first", "second"]);
    assert_eq!(offered[0].past, "Helped 3 of 4 times here.");
    assert_eq!(offered.len(), 2, "nothing was offered twice");
}

#[tokio::test]
async fn an_offer_whose_target_changed_is_withdrawn_and_made_anew() {
    let mut world = World::new().await;
    let old = world.diagnosed().await.remove(0);
    world.state.lock().expect("no panic").insert("value".into(), "32".into());
    world.clock.advance(std::time::Duration::from_secs(5));
    let all = world.diagnosed().await;
    assert_eq!(all.len(), 4, "both were made anew");
    let gone = all.iter().find(|p| p.id == old.id).expect("kept");
    assert_eq!(gone.state, ProposalState::Superseded);
    assert_eq!(
        gone.ended.as_deref(),
        Some("The target has changed since it was offered: value was 64 and is 32.")
    );
    let ann = person("ann", Role::Approver);
    let refused = say(&world.store, old.id, approve(&ann, &old.digest.0), t0())
        .await
        .expect_err("a stale card");
    assert_eq!(
        refused.to_string(),
        "This proposal was withdrawn: The target has changed since it was offered: value was 64 \
         and is 32. Nothing was done. Look at the incident for where it stands."
    );
    let withdrawn =
        world.audit().await.into_iter().filter(|(a, _)| a == "proposal.supersede").count();
    assert_eq!(withdrawn, 2);
}

#[tokio::test]
async fn nobody_deciding_and_the_incident_ending_end_an_offer_with_a_record() {
    let mut world = World::new().await;
    let offered = world.diagnosed().await;
    world.clock.advance(std::time::Duration::from_secs(3_600));
    world.stage.sweep().await.expect("sweeps");
    let expired = world.proposals().await;
    assert!(expired.iter().all(|p| p.state == ProposalState::Expired));
    assert_eq!(expired[0].ended.as_deref(), Some("Nobody decided before 2026-11-20 04:00 UTC."));
    let ann = person("ann", Role::Approver);
    let p = &offered[0];
    let refused = say(&world.store, p.id, approve(&ann, &p.digest.0), world.clock.now())
        .await
        .expect_err("expired");
    assert!(refused.to_string().starts_with("This proposal has expired: Nobody decided"));

    let again = world.diagnosed().await;
    assert_eq!(again.iter().filter(|p| p.state == ProposalState::Open).count(), 2, "offered anew");
    let over = incident_as(Some("fixed"), IncidentState::Resolved);
    world.store.write(move |tx| tx.put(&over)).await.expect("writes");
    world.stage.sweep().await.expect("sweeps");
    let all = world.proposals().await;
    assert!(all.iter().all(|p| p.state == ProposalState::Expired));
    assert!(all.iter().any(|p| p.ended.as_deref() == Some("Incident #1 is resolved.")));
    let actions: Vec<String> = world.audit().await.into_iter().map(|(a, _)| a).collect();
    assert_eq!(actions.iter().filter(|a| *a == "proposal.offer").count(), 4);
    assert_eq!(actions.iter().filter(|a| *a == "proposal.expire").count(), 4);
}

#[tokio::test]
async fn while_a_run_is_measured_nothing_new_is_offered_and_after_help_nothing_more() {
    let mut world = World::new().await;
    let offered = world.diagnosed().await;
    let mut going = run(None);
    going.verify_at = Some(t0().plus_ms(180_000));
    let kept = going.clone();
    let finished = Proposal { state: ProposalState::Finished, ..offered[0].clone() };
    let work = move |tx: &crate::store::Tx<'_>| {
        tx.put(&kept)?;
        tx.put(&finished)
    };
    world.store.write(work).await.expect("writes");
    world.state.lock().expect("no panic").insert("value".into(), "16".into());
    let open = |all: &[Proposal]| all.iter().filter(|p| p.state == ProposalState::Open).count();
    assert_eq!(open(&world.diagnosed().await), 0, "the other is withdrawn, its target changed");

    let mut quiet = incident_as(None, IncidentState::Monitoring);
    let helped = Run { verify_at: None, outcome: run(Some(Effect::Helped)).outcome, ..going };
    let (kept, monitored) = (helped.clone(), quiet.clone());
    let work = move |tx: &crate::store::Tx<'_>| {
        tx.put(&kept)?;
        tx.put(&monitored)
    };
    world.store.write(work).await.expect("writes");
    assert_eq!(open(&world.diagnosed().await), 0, "it helped");

    quiet.state = IncidentState::Open;
    world.store.write(move |tx| tx.put(&quiet)).await.expect("writes");
    let again = world.diagnosed().await;
    let open: Vec<Proposal> =
        again.into_iter().filter(|p| p.state == ProposalState::Open).collect();
    assert_eq!(named(&open), ["second"], "it came back: what was not tried is offered");
}

#[tokio::test]
async fn what_was_tried_with_other_parameters_is_offered_with_those_of_the_runbook() {
    let mut world = World::new().await;
    let offered = world.diagnosed().await;
    let tried = |value: &str| {
        let mut p = Proposal { state: ProposalState::Finished, ..offered[0].clone() };
        p.plan.parameters.insert("value".into(), value.into());
        p
    };
    let first = async |world: &mut World| {
        let all = world.diagnosed().await;
        all.iter().any(|p| p.state == ProposalState::Open && p.plan.action == "first")
    };
    let by_hand = tried("64");
    world.store.write(move |tx| tx.put(&by_hand)).await.expect("writes");
    world.clock.advance(std::time::Duration::from_secs(1));
    assert!(first(&mut world).await, "16 was not tried");
    let open = world.proposals().await;
    let anew = open.iter().find(|p| p.plan.action == "first" && p.id != offered[0].id);
    let done = Proposal { state: ProposalState::Finished, ..anew.expect("offered").clone() };
    world.store.write(move |tx| tx.put(&done)).await.expect("writes");
    world.clock.advance(std::time::Duration::from_secs(1));
    assert!(!first(&mut world).await, "now it was");
}

#[tokio::test]
async fn what_buys_time_stays_behind_what_ends_the_cause() {
    let mut world = World::new().await;
    let folder = tempfile::tempdir().expect("a scratch folder");
    let eased = RUNBOOK.replacen("    risk: low\n", "    risk: low\n    lasts: for-a-while\n", 1);
    std::fs::write(folder.path().join("two-ways.md"), eased).expect("a runbook");
    world.stage.library = Arc::new(Library::load(&[folder.path().into()]).expect("no mistakes"));
    for n in 1..4 {
        world.teach(n, "two-ways/first", Taught::Helped).await;
    }
    // It helped three times, which is what a restart is measured to do about a leak.
    assert_eq!(named(&world.diagnosed().await), ["second", "first"]);
    for n in 4..7 {
        world.teach(n, "two-ways/second", Taught::NoChange).await;
    }
    assert_eq!(named(&world.diagnosed().await), ["first", "second"]);
}

#[tokio::test]
async fn what_was_looked_at_before_a_run_is_not_offered_after_it() {
    let mut world = World::new().await;
    let (store, calls) = (world.store.clone(), Arc::new(Mutex::new(0)));
    let seen = calls.clone();
    // A run begins while the target is looked at: the look may be older than what the run did.
    world.stage.observe = Arc::new(move |_| {
        let first = {
            let mut n = seen.lock().expect("no panic");
            *n += 1;
            *n == 1
        };
        let store = store.clone();
        Box::pin(async move {
            if first {
                let under_way = Run { state: RunState::Running, ..run(None) };
                store.write(move |tx| tx.put(&under_way)).await?;
            }
            Ok(Some(BTreeMap::from([("value".to_owned(), "64".to_owned())])))
        })
    });
    assert_eq!(world.diagnosed().await, [], "nothing is offered from the old look");
    world.stage.sweep().await.expect("looks again");
    assert!(*calls.lock().expect("no panic") > 2, "it was looked at once more");
    assert_eq!(world.proposals().await, [], "a run is under way");
}
