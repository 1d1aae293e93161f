//! The stage from an approved proposal to a measured run, with an executor that says what the test
//! wants.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::measuring::{BAND, series};
use crate::approve::tests::sample::{incident_as, person, proposal, run, t0};
use crate::approve::{ApprovedAction, Config, HALT, Halt, Observe};
use crate::bus::{Bus, Event};
use crate::model::action::Effect::{Helped, NoChange, Worse};
use crate::model::action::{Decision, Effect};
use crate::model::clock::ManualClock;
use crate::model::*;
use crate::remediate::{Executed, Executor, Remediate};
use crate::stage::Stage as _;
use crate::store::{AuditFilter, Filter, Store};

/// Says the same at each run and counts them.
struct Saying {
    results: Vec<Executed>,
    runs: Mutex<Vec<RunId>>,
    /// How the incident stood while each ran.
    stood: Mutex<Vec<IncidentState>>,
    store: Store,
}

impl Executor for Saying {
    fn run(&self, action: ApprovedAction) -> BoxFuture<'_, Vec<Executed>> {
        self.runs.lock().expect("no panic").push(action.run());
        async {
            let id = incident_as(None, IncidentState::Open).id;
            let incident = self.store.read(move |r| r.get::<Incident>(id)).await.expect("reads");
            let state = incident.expect("kept").state;
            self.stood.lock().expect("no panic").push(state);
            self.results.clone()
        }
        .boxed()
    }

    fn is_dry(&self) -> bool {
        false
    }
}

struct World {
    store: Store,
    clock: Arc<ManualClock>,
    executor: Arc<Saying>,
    stage: Remediate,
    _folder: tempfile::TempDir,
}

impl World {
    /// A world with an open incident and an approved proposal in it.
    async fn new(results: Vec<Executed>) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("r.sqlite")).expect("opens");
        let clock = ManualClock::new(t0());
        let executor = Arc::new(Saying {
            results,
            runs: Mutex::default(),
            stood: Mutex::default(),
            store: store.clone(),
        });
        let observe: Observe =
            Arc::new(|plan: Plan| async move { Ok(Some(plan.observed)) }.boxed());
        let stage = Remediate {
            policy: Config::default(),
            store: store.clone(),
            bus: Bus::default(),
            clock: clock.clone(),
            executor: executor.clone(),
            observe,
            swept: false,
        };
        let world = Self { store, clock, executor, stage, _folder: folder };
        let p = approved("p");
        world
            .store
            .write(move |tx| {
                tx.put(&incident_as(None, IncidentState::Open))?;
                tx.put(&p)
            })
            .await
            .expect("writes");
        world
    }

    async fn put<R: crate::store::Record + Sync>(&self, record: R) {
        self.store.write(move |tx| tx.put(&record)).await.expect("writes");
    }

    async fn runs(&self) -> Vec<Run> {
        self.store.read(|r| r.list::<Run>(&Filter::all())).await.expect("reads")
    }

    async fn proposal(&self, name: &str) -> Proposal {
        let id = approved(name).id;
        self.store.read(move |r| r.get(id)).await.expect("reads").expect("kept")
    }

    async fn audit(&self) -> Vec<String> {
        let filter = AuditFilter { limit: 100, ..AuditFilter::default() };
        let all = self.store.read(move |r| r.audit_records(&filter)).await.expect("reads");
        all.into_iter().rev().map(|a| a.action).collect()
    }

    fn executed(&self) -> usize {
        self.executor.runs.lock().expect("no panic").len()
    }
}

fn approved(name: &str) -> Proposal {
    let p = proposal();
    Proposal {
        id: ProposalId::derive(t0(), &[name]),
        state: ProposalState::Approved,
        decisions: vec![Decision {
            actor: person("ann", Role::Approver),
            verdict: Verdict::Approve,
            digest: p.digest.clone(),
            reason: String::new(),
            at: t0(),
        }],
        ..p
    }
}

fn done() -> Executed {
    Executed::Done { output: "did it".into() }
}

#[tokio::test]
async fn the_end_of_a_run_follows_from_its_steps_and_none_is_repeated() {
    let not = || Executed::NotSent { reason: "refused".into() };
    let unknown = || Executed::Unknown { reason: "no answer".into() };
    for (results, state) in [
        (vec![done()], RunState::Done),
        (vec![done(), done()], RunState::Done),
        (vec![not()], RunState::NotSent),
        (vec![unknown()], RunState::Unknown),
        (vec![done(), not()], RunState::Unknown),
        (vec![done(), unknown()], RunState::Unknown),
    ] {
        let mut world = World::new(results.clone()).await;
        let id = approved("p").id;
        for _ in 0..3 {
            world.stage.sweep().await.expect("sweeps");
            world.stage.handle(Event::Decided(id)).await.expect("handles");
            world.clock.advance(std::time::Duration::from_secs(600));
        }
        assert_eq!(world.executed(), 1, "{results:?}");
        let runs = world.runs().await;
        assert_eq!(runs[0].state, state, "{results:?}");
        assert_eq!(world.proposal("p").await.state, ProposalState::Finished);
        let probed = world.audit().await.iter().any(|a| a == "run.probe");
        assert_eq!(probed, state == RunState::Unknown, "a person is told how the target looks");
    }
}

#[tokio::test]
async fn a_run_left_behind_is_unknown_at_the_next_start() {
    let mut world = World::new(vec![done()]).await;
    let left = Run { state: RunState::Running, finished_at: None, ..run(None) };
    let id = left.id;
    world.put(left).await;
    world.put(Proposal { state: ProposalState::Claimed, ..approved("p") }).await;
    world.stage.sweep().await.expect("sweeps");
    let run = world.store.read(move |r| r.get::<Run>(id)).await.expect("reads").expect("kept");
    assert_eq!(run.state, RunState::Unknown);
    assert!(run.output[0].contains("whether it happened is not known"));
    assert_eq!(world.executed(), 0, "it is not repeated");
    assert_eq!(world.audit().await, ["run.end", "run.probe"]);
}

#[tokio::test]
async fn what_a_check_refuses_at_the_run_is_over_with_its_reason() {
    let halted = async |w: &World| {
        let halt = Halt { by: person("cy", Role::Admin), reason: "freeze".into(), at: t0() };
        w.store.write(move |tx| tx.put_value(HALT, &Some(halt))).await.expect("writes");
    };
    let mut world = World::new(vec![done()]).await;
    halted(&world).await;
    world.stage.sweep().await.expect("sweeps");
    let p = world.proposal("p").await;
    assert_eq!(p.state, ProposalState::Refused);
    let reason = "All actions were halted by cy: freeze. An admin can lift it.";
    assert_eq!(p.ended.as_deref(), Some(reason));
    world.store.write(|tx| tx.put_value(HALT, &None::<Halt>)).await.expect("writes");
    world.stage.sweep().await.expect("sweeps");
    assert_eq!(world.executed(), 0, "lifting the halt runs nothing by surprise");
    assert_eq!(world.audit().await, ["proposal.refuse"]);

    let mut world = World::new(vec![done()]).await;
    world.stage.observe = Arc::new(|_| {
        async { Err(Fault::because("the target's state can't be read: it answered 503")) }.boxed()
    });
    world.stage.sweep().await.expect("sweeps");
    let p = world.proposal("p").await;
    assert_eq!(p.state, ProposalState::Refused);
    assert!(p.ended.expect("a reason").contains("not known to be unchanged"));
    assert_eq!(world.executed(), 0);
}

#[tokio::test]
async fn cooldown_and_breaker_hold_an_action_back_on_its_target_only() {
    let useless = |n: i64, effect| {
        let at = t0().plus_ms(-n * 600_000);
        let id = RunId::derive(at, &["earlier"]);
        Run { id, started_at: at, finished_at: Some(at), ..run(Some(effect)) }
    };
    let elsewhere = |r: Run| Run { target: EntityRef::service("cart"), ..r };
    let dry = |r: Run| Run { dry_run: true, ..r };
    for (earlier, words) in [
        (vec![], None),
        (vec![useless(1, NoChange), useless(2, Worse)], None),
        (
            vec![useless(1, NoChange), useless(2, Worse), useless(3, NoChange)],
            Some("pool/restore did not help 3 times in a row on orders; it rests for 120 min."),
        ),
        (vec![useless(1, Helped), useless(2, Worse), useless(3, Worse), useless(4, Worse)], None),
        ((1..4).map(|n| elsewhere(useless(n, Worse))).collect(), None),
        ((1..4).map(|n| dry(useless(n, Worse))).collect(), None),
        ((13..16).map(|n| useless(n, Worse)).collect(), None),
        (
            vec![Run { started_at: t0().plus_ms(-60_000), ..useless(1, Helped) }],
            Some("pool/restore ran on orders at 02:59:00 UTC; the cooldown is 300 s."),
        ),
        (
            vec![Run { state: RunState::Running, ..useless(1, Helped) }],
            Some("pool/restore is already running on orders; wait for its end."),
        ),
    ] {
        let mut world = World::new(vec![done()]).await;
        // What runs here is no run that a crash left behind.
        world.stage.swept = true;
        for run in earlier.clone() {
            world.put(run).await;
        }
        world.stage.handle(Event::Decided(approved("p").id)).await.expect("handles");
        let p = world.proposal("p").await;
        assert_eq!(p.ended.as_deref(), words, "{earlier:?}");
        assert_eq!(world.executed(), usize::from(words.is_none()));
    }
}

/// The incident's signal at `level`, from so many steps after the start on.
async fn signal(world: &World, from: i64, n: i64, level: f64) {
    let points = (from..from + n)
        .map(|k| Point {
            at: t0().plus_ms(k * 15_000),
            value: level * (1.0 + 0.01 * (k % 3) as f64),
        })
        .collect();
    let samples = Samples { series: series(), points };
    world.store.write(move |tx| tx.append_points(&samples)).await.expect("writes");
}

async fn with_signal() -> World {
    let mut world = World::new(vec![done()]).await;
    let mut incident = incident_as(None, IncidentState::Open);
    let starts_at = t0().plus_ms(-300_000);
    let alert = Alert {
        id: AlertId::derive(t0(), &["a"]),
        fingerprint: Labels::default().fingerprint(),
        labels: Labels::default(),
        annotations: Labels::default(),
        source: AlertSource::Detector { detector: "seasonal/1".into() },
        entity: EntityRef::service("orders"),
        indicator: Some(Indicator::Duration),
        severity: Severity::Critical,
        starts_at,
        ends_at: None,
        known_at: None,
        updated_at: t0(),
        status: AlertStatus::Firing,
        anomaly: None,
        series: Some(series().id),
        value: Some(4.0),
        expected: Some(BAND),
        score: 9.0,
        n_reports: 1,
        witnesses: vec![],
        incident: Some(incident.id),
        suppressed: None,
        decision: None,
    };
    incident.leading = Some(alert.id);
    incident.alerts = vec![alert.id];
    world.put(incident).await;
    world.put(alert).await;
    signal(&world, -20, 20, 4.0).await;
    world.stage.sweep().await.expect("runs");
    assert_eq!(world.executed(), 1);
    world
}

#[tokio::test]
async fn the_signal_that_opened_the_incident_is_measured_over_the_runbook_s_window() {
    let mut world = with_signal().await;
    // The plan says: a minute after the run, for two minutes.
    signal(&world, 0, 4, 4.0).await;
    signal(&world, 4, 8, 0.1).await;
    world.clock.set(t0().plus_ms(179_000));
    world.stage.sweep().await.expect("sweeps");
    assert_eq!(world.runs().await[0].outcome, None, "not before the window's end");
    world.clock.set(t0().plus_ms(181_000));
    world.stage.sweep().await.expect("sweeps");
    let run = world.runs().await.remove(0);
    let outcome = run.outcome.expect("measured");
    assert_eq!(outcome.effect, Effect::Helped, "{}", outcome.text);
    assert_eq!(run.verify_at, None);
    assert!(outcome.text.contains("8 points over 2 min from 03:01:00 UTC"), "{}", outcome.text);
    let told = world.audit().await;
    assert_eq!(told, ["run.claim", "incident.move", "run.end", "incident.move", "run.verify"]);
}

#[tokio::test]
async fn late_points_are_waited_for_and_a_silent_signal_is_unmeasured() {
    let mut world = with_signal().await;
    world.clock.set(t0().plus_ms(181_000));
    world.stage.sweep().await.expect("sweeps");
    assert_eq!(world.runs().await[0].outcome, None, "nothing came yet: look again later");
    signal(&world, 4, 8, 3.9).await;
    world.clock.set(t0().plus_ms(300_000));
    world.stage.sweep().await.expect("sweeps");
    let outcome = world.runs().await.remove(0).outcome.expect("measured");
    assert_eq!(outcome.effect, Effect::NoChange, "{}", outcome.text);

    let mut silent = with_signal().await;
    for minute in 3..12 {
        silent.clock.set(t0().plus_ms(minute * 60_000 + 1_000));
        silent.stage.sweep().await.expect("sweeps");
    }
    let outcome = silent.runs().await.remove(0).outcome.expect("said");
    assert_eq!(outcome.effect, Effect::Unmeasured);
    assert!(outcome.text.contains("0 of about 8 points"), "{}", outcome.text);
    let n = silent.audit().await.iter().filter(|a| *a == "run.verify").count();
    assert_eq!(n, 1, "said once");
}

#[tokio::test]
async fn a_fix_that_helped_is_measured_in_the_incident_that_its_own_became_part_of() {
    let mut world = with_signal().await;
    let own = incident_as(None, IncidentState::Open);
    let whole = Incident { id: IncidentId::derive(t0(), &["whole"]), ..own.clone() };
    let alerts = world.store.read(|r| r.list::<Alert>(&Filter::all())).await.expect("reads");
    for alert in alerts {
        world.put(Alert { incident: Some(whole.id), ..alert }).await;
    }
    let merged = Incident { state: IncidentState::Merged, merged_into: Some(whole.id), ..own };
    world.put(whole).await;
    world.put(merged).await;
    signal(&world, 4, 8, 0.1).await;
    world.clock.set(t0().plus_ms(181_000));
    world.stage.sweep().await.expect("sweeps");
    let outcome = world.runs().await.remove(0).outcome.expect("measured");
    assert_eq!(outcome.effect, Effect::Helped, "{}", outcome.text);
}

#[tokio::test]
async fn a_fix_moves_its_incident_on_and_undoing_one_does_not() {
    use IncidentState::{Acknowledged, Mitigating, Monitoring, Open};
    let undoing = Some(RunId::derive(t0(), &["what it undoes"]));
    let not = || Executed::NotSent { reason: "refused".into() };
    let unknown = || Executed::Unknown { reason: "no answer".into() };
    for (rollback_of, before, result, during, after) in [
        (None, Open, done(), Mitigating, Monitoring),
        (None, Acknowledged, done(), Mitigating, Monitoring),
        (None, Open, not(), Mitigating, Open),
        (None, Acknowledged, not(), Mitigating, Acknowledged),
        (None, Open, unknown(), Mitigating, Open),
        (undoing, Open, done(), Open, Open),
        (undoing, Open, unknown(), Open, Open),
    ] {
        let mut world = World::new(vec![result.clone()]).await;
        let acknowledged_at = (before == Acknowledged).then(t0);
        world.put(Incident { acknowledged_at, ..incident_as(None, before) }).await;
        world.put(Proposal { rollback_of, ..approved("p") }).await;
        world.stage.sweep().await.expect("runs");
        let case = format!("{rollback_of:?} {before:?} {result:?}");
        assert_eq!(*world.executor.stood.lock().expect("no panic"), [during], "{case}");
        let id = incident_as(None, Open).id;
        let incident = world.store.read(move |r| r.get::<Incident>(id)).await.expect("reads");
        assert_eq!(incident.expect("kept").state, after, "{case}");
        let entries = world.store.read(|r| r.list::<TimelineEntry>(&Filter::all()));
        let entries = entries.await.expect("reads");
        let n = entries.iter().filter(|e| e.kind == EntryKind::State).count();
        assert_eq!(n, if during == Mitigating { 2 } else { 0 }, "{case}");
    }
}

#[tokio::test]
async fn a_fix_cut_short_by_the_process_s_end_is_no_longer_under_way() {
    let mut world = World::new(vec![done()]).await;
    world.put(Run { state: RunState::Running, finished_at: None, ..run(None) }).await;
    world.put(Proposal { state: ProposalState::Claimed, ..approved("p") }).await;
    world.put(incident_as(None, IncidentState::Mitigating)).await;
    world.stage.sweep().await.expect("sweeps");
    let id = incident_as(None, IncidentState::Open).id;
    let incident = world.store.read(move |r| r.get::<Incident>(id)).await.expect("reads");
    assert_eq!(incident.expect("kept").state, IncidentState::Open);
}
