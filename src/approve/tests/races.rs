//! Many people, many clicks, at the same moment: at most one run comes of it, and all is on record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use proptest::prelude::*;

use super::sample::{incident_as, person, proposal, t0};
use super::{Choice, say, store_with};
use crate::approve::{ApprovedAction, Config, Observe};
use crate::bus::{Bus, Event};
use crate::model::action::Requirement;
use crate::model::clock::ManualClock;
use crate::model::*;
use crate::remediate::{Executed, Executor, Remediate};
use crate::stage::Stage as _;
use crate::store::{AuditFilter, Filter, Store};

/// Counts what it is given and says that it was done.
struct Counting(AtomicU32);

impl Executor for Counting {
    fn run(&self, action: ApprovedAction) -> BoxFuture<'_, Vec<Executed>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let output = format!("did {}", action.run());
        async move {
            tokio::task::yield_now().await;
            vec![Executed::Done { output }]
        }
        .boxed()
    }

    fn is_dry(&self) -> bool {
        false
    }
}

fn stage(store: &Store, executor: &Arc<Counting>) -> Remediate {
    let observe: Observe = Arc::new(|plan: Plan| async move { Ok(Some(plan.observed)) }.boxed());
    Remediate {
        policy: Config::default(),
        store: store.clone(),
        bus: Bus::default(),
        clock: ManualClock::new(t0()),
        executor: executor.clone(),
        observe,
        // What another stage of the same test has under way is not left behind by a crash.
        swept: true,
    }
}

/// One click: who, what, and whether on the card as it is.
#[derive(Clone, Debug)]
struct Click {
    who: usize,
    verdict: u8,
    stale: bool,
}

fn click() -> impl Strategy<Value = Click> {
    (0..4_usize, 0..4_u8, prop::bool::weighted(0.2)).prop_map(|(who, verdict, stale)| Click {
        who,
        verdict,
        stale,
    })
}

fn choice(click: &Click, p: &Proposal) -> Choice {
    let roles = [Role::Approver, Role::Approver, Role::Admin, Role::Viewer];
    let names = ["ann", "bob", "cy", "vic"];
    Choice {
        actor: person(names[click.who], roles[click.who]),
        verdict: match click.verdict {
            0 | 1 => Verdict::Approve,
            2 => Verdict::Schedule { at: t0().plus_ms(60_000) },
            _ => Verdict::Ignore,
        },
        digest: if click.stale { "0".repeat(64) } else { p.digest.short().to_owned() },
        reason: String::new(),
        wall: t0(),
    }
}

/// What came of the clicks and of replayed events after them.
async fn play(clicks: &[Click], n_approvals: u8) -> (Proposal, u32, Vec<Run>, Vec<String>, usize) {
    let requires = Requirement { n_approvals, ..proposal().requires };
    let p = Proposal { requires, ..proposal() };
    let (_folder, store) = store_with(&p).await;
    store.write(|tx| tx.put(&incident_as(None, IncidentState::Open))).await.expect("writes");
    let said = join_all(clicks.iter().map(|c| say(&store, p.id, choice(c, &p), t0()))).await;
    let executor = Arc::new(Counting(AtomicU32::new(0)));
    let mut stages: Vec<Remediate> = (0..4).map(|_| stage(&store, &executor)).collect();
    for _ in 0..2 {
        join_all(stages.iter_mut().map(|s| s.handle(Event::Decided(p.id)))).await;
        join_all(stages.iter_mut().map(|s| s.sweep())).await;
    }
    let end = store.read(move |r| r.get::<Proposal>(p.id)).await.expect("reads").expect("kept");
    let runs = store.read(|r| r.list::<Run>(&Filter::all())).await.expect("reads");
    let filter = AuditFilter { limit: 1_000, ..AuditFilter::default() };
    let audit = store.read(move |r| r.audit_records(&filter)).await.expect("reads");
    let chain = store.read(|r| r.audit_verify()).await.expect("reads");
    assert!(chain.is_ok(), "{chain:?}");
    let actions = audit.into_iter().map(|a| a.action).collect();
    let accepted = said.iter().filter(|r| r.is_ok()).count();
    (end, executor.0.load(Ordering::SeqCst), runs, actions, accepted)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn however_many_click_at_once_at_most_one_run_comes_of_it(
        clicks in prop::collection::vec(click(), 1..12), n_approvals in 1..3_u8,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .build()
            .expect("a runtime");
        let (end, executed, runs, audit, accepted) = runtime.block_on(play(&clicks, n_approvals));
        let count = |action: &str| audit.iter().filter(|a| *a == action).count();
        prop_assert!(executed <= 1);
        prop_assert_eq!(runs.len(), executed as usize);
        prop_assert_eq!(count("run.claim"), executed as usize);
        prop_assert_eq!(count("run.end"), executed as usize);
        let decided =
            count("proposal.approve") + count("proposal.schedule") + count("proposal.ignore");
        prop_assert_eq!(decided, accepted, "each decision has its record");
        prop_assert_eq!(count("decision.refuse"), clicks.len() - accepted, "each refusal too");
        prop_assert_eq!(end.decisions.len(), accepted);
        if executed == 1 {
            prop_assert_eq!(end.state, ProposalState::Finished);
            let approved = runs[0].approved_by.len();
            prop_assert!(approved >= usize::from(n_approvals), "{} approved", approved);
            prop_assert!(runs[0].approved_by.iter().all(|a| a.role >= Role::Approver));
        } else {
            let idle = [ProposalState::Open, ProposalState::Scheduled, ProposalState::Ignored];
            prop_assert!(idle.contains(&end.state), "{:?}", end.state);
        }
    }
}
