//! A hard stop around the claim of an approved action: before it, and between it and the record
//! of its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use nightjar::model::action::{Requirement, Step, Verify};
use nightjar::model::{
    Actor, EntityRef, Incident, IncidentId, IncidentState, Plan, Proposal, ProposalId,
    ProposalState, Risk, Role, Severity, Time, wall_now,
};
use nightjar::store::Store;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::bot::{Bot, TOKEN};
use crate::support::{eventually, free_port, serve};

const RUNBOOK: &str = r#"---
id: never-answers
title: A target that never answers
matchers:
  - hypothesis: unknown
actions:
  - id: set
    title: Set it
    executor: http
    http:
      method: POST
      url: "{{ settings.target_url }}/set"
      timeout: 120s
    observe:
      url: "{{ settings.target_url }}/state"
      keys: [value]
    risk: low
    expected_effect: It gets better.
    verify: { after: 60s, window: 2m }
verification: It is better.
rollback: Set the old value again.
owner: platform team
reviewed: 2026-11-02
---
Steps for people.
"#;

/// A target that tells its state, takes orders, and answers as it is told to.
#[derive(Default)]
struct Target {
    /// Orders that arrived.
    orders: AtomicU32,
    /// Looks at its state that arrived.
    looks: AtomicU32,
    /// Looks are not answered.
    mute: AtomicBool,
    /// Orders are answered.
    obeys: bool,
}

impl Target {
    /// Serves it on a free port.
    async fn open(self: &Arc<Self>) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let target = self.clone();
        serve(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0_u8; 2_048];
                let n = stream.read(&mut head).await.unwrap_or(0);
                let is_order = head[..n].starts_with(b"POST /set");
                let counter = if is_order { &target.orders } else { &target.looks };
                counter.fetch_add(1, Ordering::SeqCst);
                let mute = target.mute.load(Ordering::SeqCst);
                if if is_order { !target.obeys } else { mute } {
                    held.push(stream);
                    continue;
                }
                let body = r#"{"value":"64"}"#;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n{body}",
                    body.len()
                );
                // A client that was killed reads no answer.
                stream.write_all(answer.as_bytes()).await.ok();
            }
        });
        port
    }

    fn n_orders(&self) -> u32 {
        self.orders.load(Ordering::SeqCst)
    }
}

/// A bot that may reach the target on `port`, with an incident and a proposal in its store.
async fn bot_with(port: u16) -> (Bot, Store, Proposal, tempfile::TempDir) {
    let url = format!("http://127.0.0.1:{port}");
    let runbooks = tempfile::tempdir().expect("a scratch folder");
    std::fs::write(runbooks.path().join("never-answers.md"), RUNBOOK).expect("written");
    let settings = format!(
        "[[remediate.hosts]]\nhost = \"127.0.0.1:{port}\"\n[runbooks]\nfolders = [\"{}\"]\n\
         [runbooks.settings]\ntarget_url = \"{url}\"\n",
        runbooks.path().display()
    );
    let bot = Bot::on(free_port(), &settings).await;
    let (incident, proposal) = seed(wall_now(), &url);
    let store = Store::open(&bot.data().join("nightjar.sqlite")).expect("opens beside the bot");
    let kept = proposal.clone();
    let work = move |tx: &nightjar::store::Tx<'_>| {
        tx.put(&incident)?;
        tx.put(&kept)
    };
    store.write(work).await.expect("writes");
    (bot, store, proposal, runbooks)
}

/// All actions of the audit log, oldest first.
async fn audited(bot: &Bot) -> Vec<String> {
    let audit = bot.get("/api/v1/audit?limit=1000").await;
    let told = |a: &serde_json::Value| a["action"].as_str().map(str::to_owned);
    audit["records"].as_array().expect("a list").iter().rev().filter_map(told).collect()
}

fn seed(now: Time, url: &str) -> (Incident, Proposal) {
    let incident = Incident {
        id: IncidentId::derive(now, &["crash"]),
        number: 1,
        title: "orders is slow".into(),
        state: IncidentState::Open,
        severity: Severity::Critical,
        onset_at: now,
        opened_at: now,
        updated_at: now,
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
    };
    let plan = Plan {
        version: 1,
        runbook: "never-answers".into(),
        action: "set".into(),
        target: EntityRef::service("orders"),
        parameters: BTreeMap::new(),
        observed: [("value".to_owned(), "64".to_owned())].into(),
        steps: vec![Step::Http {
            method: "POST".into(),
            url: format!("{url}/set"),
            headers: BTreeMap::new(),
            body: None,
            timeout_s: 120,
        }],
        verify: Verify { series: None, after_s: 60, window_s: 120 },
    };
    let proposal = Proposal {
        id: ProposalId::derive(now, &["crash"]),
        incident: incident.id,
        digest: plan.digest(),
        plan,
        title: "Set it".into(),
        why: "a test".into(),
        risk: Risk::Low,
        expected_effect: "It gets better.".into(),
        exact: "POST /set".into(),
        chance: 0.5,
        created_at: now,
        expires_at: now.plus_ms(3_600_000),
        requires: Requirement { role: Role::Approver, n_approvals: 1, no_self_approval: false },
        requested_by: Actor::nightjar(),
        edited_by: vec![],
        change_author: None,
        state: ProposalState::Open,
        decisions: vec![],
        scheduled_for: None,
        rollback_of: None,
        run: None,
        pattern: "unknown".into(),
        past: String::new(),
        worth: 1.0,
        ended: None,
    };
    (incident, proposal)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_cut_off_by_a_kill_is_unknown_after_the_restart_and_never_sent_again() {
    let target = Arc::new(Target::default());
    let (mut bot, store, proposal, _runbooks) = bot_with(target.open().await).await;
    let (id, digest) = (proposal.id, proposal.digest.short().to_owned());

    // Two clicks at the same moment: one is a decision, the other is told so.
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    let click = format!("/api/v1/proposals/{id}/approve");
    let body = format!("{{\"digest\":\"{digest}\"}}");
    let (a, b) = tokio::join!(
        bot.post(&click, &headers, body.clone()),
        bot.post(&click, &headers, body.clone())
    );
    let mut codes = [a.0, b.0];
    codes.sort_unstable();
    assert_eq!(codes, [200, 409], "{a:?} {b:?}");
    eventually("the order to arrive", Duration::from_secs(120), async || target.n_orders() == 1)
        .await;

    bot.kill();
    bot.again().await;
    eventually("the run to be looked after", Duration::from_secs(120), async || {
        bot.list("runs").await.iter().any(|r| r["state"] == "unknown")
    })
    .await;
    let late = bot.post(&click, &headers, body).await;
    assert_eq!(late.0, 409, "{}", late.1);
    assert!(late.1.contains("was already carried out"), "{}", late.1);
    // Sweeps come every two seconds; the audit log says when the target was looked at, which is
    // the last thing that happens to the run.
    eventually("the look at the target", Duration::from_secs(120), async || {
        audited(&bot).await.iter().any(|a| a == "run.probe")
    })
    .await;
    let about = audited(&bot).await;
    for expected in ["proposal.approve", "decision.refuse", "run.claim", "run.end", "run.probe"] {
        assert!(about.iter().any(|a| a == expected), "{expected} is missing in {about:?}");
    }
    assert_eq!(about.iter().filter(|a| *a == "run.claim").count(), 1);
    assert_eq!(target.n_orders(), 1, "never sent again");
    let story = store
        .read(|r| r.list::<nightjar::model::TimelineEntry>(&nightjar::store::Filter::all()))
        .await
        .expect("reads");
    let seen = |words: &str| story.iter().any(|e| e.text.contains(words));
    assert!(seen("ended unknown and is not repeated"), "{story:?}");
    assert!(seen("the target is as it was before (value 64)"), "{story:?}");
    let chain = store.read(|r| r.audit_verify()).await.expect("reads");
    assert!(chain.is_ok(), "{chain:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_approved_and_not_yet_claimed_at_a_kill_is_carried_out_once_after_the_restart() {
    // The look at the target comes before the claim: while nobody answers it, nothing is claimed.
    let target = Arc::new(Target { mute: true.into(), obeys: true, ..Target::default() });
    let (mut bot, store, proposal, _runbooks) = bot_with(target.open().await).await;
    let (token, id) = (format!("Bearer {TOKEN}"), proposal.id);
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    let click = format!("/api/v1/proposals/{id}/approve");
    let body = format!("{{\"digest\":\"{}\"}}", proposal.digest.short());
    let (status, answer) = bot.post(&click, &headers, body.clone()).await;
    assert_eq!(status, 200, "{answer}");
    eventually("the look before the claim", Duration::from_secs(120), async || {
        target.looks.load(Ordering::SeqCst) > 0
    })
    .await;
    bot.kill();
    let kept = store.read(move |r| r.get::<Proposal>(id)).await.expect("reads").expect("kept");
    assert_eq!((kept.state, kept.run), (ProposalState::Approved, None), "accepted, not claimed");
    assert_eq!(target.n_orders(), 0);

    target.mute.store(false, Ordering::SeqCst);
    bot.again().await;
    eventually("the run to end", Duration::from_secs(120), async || {
        bot.list("runs").await.iter().any(|r| r["state"] == "done")
    })
    .await;
    // A third start finds nothing to do again.
    bot.kill();
    bot.again().await;
    let late = bot.post(&click, &headers, body).await;
    assert!(late.0 == 409 && late.1.contains("was already carried out"), "{late:?}");
    let about = audited(&bot).await;
    for once in ["proposal.approve", "run.claim", "run.end"] {
        assert_eq!(about.iter().filter(|a| *a == once).count(), 1, "{once} in {about:?}");
    }
    assert_eq!(target.n_orders(), 1, "carried out once");
    assert_eq!(bot.list("runs").await.len(), 1);
    let chain = store.read(|r| r.audit_verify()).await.expect("reads");
    assert!(chain.is_ok(), "{chain:?}");
}
