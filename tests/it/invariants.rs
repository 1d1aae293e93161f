//! The ten invariants of the crate documentation, each with a test that fails without it. The
//! names of the tests are the invariants; further tests of each stand in the modules.

mod acts;
mod reads;
mod torn;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use nightjar::approve::{self, ApprovedAction, Choice, Observe, Propose};
use nightjar::bus::{Bus, Event};
use nightjar::model::clock::ManualClock;
use nightjar::model::{
    Actor, Alert, AlertId, AlertSource, AlertStatus, Diagnosis, EntityRef, Hypothesis,
    HypothesisId, Incident, IncidentId, IncidentState, Indicator, Labels, Plan, Proposal,
    ProposalId, Refused, Role, Run, Severity, Time, Verdict,
};
use nightjar::remediate::{Executed, Executor, Remediate};
use nightjar::runbook::Library;
use nightjar::stage::Stage as _;
use nightjar::store::{AuditFilter, Filter, Store};

const RUNBOOK: &str = "---
id: one-way
title: One way to mend it
matchers:
  - hypothesis: unknown
actions:
  - id: mend
    title: Mend {{ target.name }}
    executor: http
    http: { method: POST, url: \"http://127.0.0.1:1/mend/{{ target.name | segment }}\" }
    risk: low
    expected_effect: It gets better.
    verify: { after: 60s, window: 2m }
verification: It is better.
rollback: There is nothing to undo.
owner: platform team
reviewed: 2026-11-02
---
Steps for people.
";

fn t0() -> Time {
    Time::parse("2026-11-20T03:00:00Z").expect("valid")
}

fn person(name: &str, role: Role) -> Actor {
    Actor { via: "console".into(), id: name.into(), name: name.into(), role }
}

fn incident() -> Incident {
    Incident {
        id: IncidentId::derive(t0(), &["i"]),
        number: 1,
        title: "orders is slow".into(),
        state: IncidentState::Open,
        severity: Severity::Critical,
        onset_at: t0(),
        opened_at: t0(),
        updated_at: t0(),
        acknowledged_at: None,
        quiet_since: None,
        resolved_at: None,
        owner: None,
        entities: vec![EntityRef::service("orders")],
        alerts: vec![],
        n_reports: 1,
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
    }
}

fn diagnosis() -> Diagnosis {
    Diagnosis {
        incident: incident().id,
        revision: 1,
        at: t0(),
        summary: String::new(),
        hypotheses: vec![Hypothesis {
            id: HypothesisId::derive(t0(), &["h"]),
            entity: EntityRef::service("orders"),
            pattern: "unknown".into(),
            statement: "It is the sample.".into(),
            confidence: 0.9,
            parts: vec![],
            evidence: vec![],
            change: None,
            impact_chain: vec![],
        }],
        conclusive: true,
        first_look: false,
        evidence: vec![],
        gaps: vec![],
        changes: vec![],
        similar: vec![],
        runbooks: vec![],
        charts: vec![],
        counterfactuals: Vec::new(),
        steps: Vec::new(),
        reach: nightjar::model::diagnosis::Reach::default(),
    }
}

/// Stands where the customer's systems are: keeps what it was told to do.
struct Systems {
    says: Executed,
    told: Mutex<Vec<Plan>>,
}

impl Executor for Systems {
    fn run(&self, action: ApprovedAction) -> BoxFuture<'_, Vec<Executed>> {
        self.told.lock().expect("no panic").push(action.plan().clone());
        async { vec![self.says.clone()] }.boxed()
    }

    fn is_dry(&self) -> bool {
        false
    }
}

/// The stages around the gate, over a store with one open, diagnosed incident.
struct World {
    store: Store,
    clock: Arc<ManualClock>,
    systems: Arc<Systems>,
    state: Arc<Mutex<BTreeMap<String, String>>>,
    propose: Propose,
    remediate: Remediate,
    folder: tempfile::TempDir,
}

impl World {
    async fn new(says: Executed) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let runbooks = folder.path().join("runbooks");
        std::fs::create_dir(&runbooks).expect("a folder");
        std::fs::write(runbooks.join("one-way.md"), RUNBOOK).expect("a runbook");
        let library = Arc::new(Library::load(&[runbooks]).expect("no mistakes"));
        let store = Store::open(&folder.path().join("i.sqlite")).expect("opens");
        let (bus, clock) = (Bus::default(), ManualClock::new(t0()));
        let state = Arc::new(Mutex::new(BTreeMap::from([("v".to_owned(), "1".to_owned())])));
        let seen = state.clone();
        let observe: Observe = Arc::new(move |_| {
            let now = seen.lock().expect("no panic").clone();
            async { Ok(Some(now)) }.boxed()
        });
        let systems = Arc::new(Systems { says, told: Mutex::default() });
        let propose = Propose {
            settle_s: 0,
            again: std::collections::BTreeMap::new(),
            policy: approve::Config::default(),
            store: store.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
            library,
            settings: BTreeMap::new(),
            observe: observe.clone(),
        };
        let remediate = Remediate {
            policy: approve::Config::default(),
            store: store.clone(),
            bus,
            clock: clock.clone(),
            executor: systems.clone(),
            observe,
            swept: false,
        };
        let work = |tx: &nightjar::store::Tx<'_>| {
            tx.put(&incident())?;
            tx.put(&diagnosis())
        };
        store.write(work).await.expect("writes");
        Self { store, clock, systems, state, propose, remediate, folder }
    }

    /// Everything that happens by itself.
    async fn goes_on(&mut self) {
        self.propose.handle(Event::Diagnosis(incident().id)).await.expect("offers");
        self.propose.sweep().await.expect("sweeps");
        self.remediate.sweep().await.expect("sweeps");
        for p in self.proposals().await {
            self.remediate.handle(Event::Decided(p.id)).await.expect("handles");
        }
    }

    async fn decide(&self, id: ProposalId, who: &Actor, digest: &str) -> Result<Proposal, Refused> {
        let choice = Choice {
            actor: who.clone(),
            verdict: Verdict::Approve,
            digest: digest.to_owned(),
            reason: String::new(),
            wall: t0(),
        };
        let now = nightjar::model::Clock::now(&*self.clock);
        let work = move |tx: &nightjar::store::Tx<'_>| approve::decide(tx, id, &choice, now);
        self.store.write(work).await.expect("the store works")
    }

    async fn put<R: nightjar::store::Record + Sync>(&self, record: R) {
        self.store.write(move |tx| tx.put(&record)).await.expect("writes");
    }

    async fn proposals(&self) -> Vec<Proposal> {
        self.store.read(|r| r.list(&Filter::all())).await.expect("reads")
    }

    async fn runs(&self) -> Vec<Run> {
        self.store.read(|r| r.list(&Filter::all())).await.expect("reads")
    }

    async fn audit(&self) -> Vec<(String, String)> {
        let filter = AuditFilter { limit: 1_000, ..AuditFilter::default() };
        let all = self.store.read(move |r| r.audit_records(&filter)).await.expect("reads");
        all.into_iter().rev().map(|a| (a.action, a.detail.to_string())).collect()
    }

    fn told(&self) -> Vec<Plan> {
        self.systems.told.lock().expect("no panic").clone()
    }
}

fn done() -> Executed {
    Executed::Done { output: "did it".into() }
}

/// An alert on a service, ten seconds after the one of the service whose name is a letter shorter.
pub(crate) fn alert_on(service: &str) -> Alert {
    let at = t0().plus_ms(service.len() as i64 * 10_000);
    Alert {
        id: AlertId::derive(at, &[service]),
        fingerprint: Labels::default().fingerprint(),
        labels: Labels::default(),
        annotations: Labels::default(),
        source: AlertSource::Detector { detector: "seasonal/1".into() },
        entity: EntityRef::service(service),
        indicator: Some(Indicator::Duration),
        severity: Severity::Critical,
        starts_at: at,
        ends_at: None,
        known_at: None,
        updated_at: at,
        status: AlertStatus::Firing,
        anomaly: None,
        series: None,
        value: Some(4.0),
        expected: None,
        score: 9.0,
        n_reports: 1,
        witnesses: vec![],
        incident: None,
        suppressed: None,
        decision: None,
    }
}
