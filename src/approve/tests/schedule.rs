//! Scheduled actions run at their time only, and only if everything still holds.

use super::sample::{incident_as, person, proposal, t0};
use super::{approve, say, store_with, take};
use crate::approve::{HALT, Halt, claim};
use crate::model::*;
use crate::store::Store;

const AT_MS: i64 = 600_000;

/// A scheduled proposal whose time has come, as the stage wakes it.
async fn due() -> (tempfile::TempDir, Store, Proposal) {
    let p = proposal();
    let (folder, store) = store_with(&p).await;
    let open = incident_as(None, IncidentState::Open);
    store.write(move |tx| tx.put(&open)).await.expect("writes");
    let mut later = approve(&person("ann", Role::Approver), &p.digest.0);
    later.verdict = Verdict::Schedule { at: t0().plus_ms(AT_MS) };
    let scheduled = say(&store, p.id, later, t0()).await.expect("scheduled");
    assert_eq!(scheduled.state, ProposalState::Scheduled);
    assert!(take(&store, p.id, Some("4.7.2"), t0()).await.is_err(), "not before it is woken");
    let woken = Proposal { state: ProposalState::Approved, ..scheduled };
    let put = woken.clone();
    store.write(move |tx| tx.put(&put)).await.expect("writes");
    (folder, store, woken)
}

#[tokio::test]
async fn it_runs_at_its_time() {
    let (_folder, store, p) = due().await;
    let early = take(&store, p.id, Some("4.7.2"), t0().plus_ms(AT_MS - 1)).await;
    assert_eq!(
        early.expect_err("too early").to_string(),
        "It is to be done at 2026-11-20 03:10 UTC, not before; nothing was done."
    );
    take(&store, p.id, Some("4.7.2"), t0().plus_ms(AT_MS)).await.expect("on time");
}

#[tokio::test]
async fn it_does_not_run_when_its_time_is_long_past() {
    let (_folder, store, p) = due().await;
    let late = t0().plus_ms(AT_MS + 15 * 60_000);
    assert_eq!(
        take(&store, p.id, Some("4.7.2"), late).await.expect_err("too late").to_string(),
        "It was to be done at 2026-11-20 03:10 UTC and it is 2026-11-20 03:25 UTC now, too late; \
         nothing was done."
    );
}

#[tokio::test]
async fn it_does_not_run_on_a_changed_target_a_closed_incident_or_in_a_halt() {
    let now = t0().plus_ms(AT_MS);
    let (_folder, store, p) = due().await;
    let changed = take(&store, p.id, Some("4.7.3"), now).await.expect_err("changed");
    assert_eq!(
        changed.to_string(),
        "The target has changed since this was proposed (version was 4.7.2 and is 4.7.3); nothing \
         was done. A fresh proposal follows if it still applies."
    );
    let (_folder, store, p) = due().await;
    let over = incident_as(Some("fixed"), IncidentState::Resolved);
    store.write(move |tx| tx.put(&over)).await.expect("writes");
    let refused = take(&store, p.id, Some("4.7.2"), now).await.expect_err("over");
    assert_eq!(refused.to_string(), "Incident #1 is resolved by now; nothing was done.");

    let (_folder, store, p) = due().await;
    let halt = Halt { by: person("cy", Role::Admin), reason: "freeze".into(), at: t0() };
    store.write(move |tx| tx.put_value(HALT, &Some(halt))).await.expect("writes");
    let halted = take(&store, p.id, Some("4.7.2"), now).await.expect_err("halted");
    assert_eq!(halted.to_string(), "All actions were halted by cy: freeze. An admin can lift it.");
}

#[tokio::test]
async fn a_policy_that_became_stricter_counts_at_the_run() {
    let (_folder, store, mut p) = due().await;
    p.requires.no_self_approval = true;
    p.change_author = Some("ann".into());
    let id = p.id;
    store.write(move |tx| tx.put(&p)).await.expect("writes");
    let refused = store
        .write(move |tx| {
            let observed = [("version".to_owned(), "4.7.2".to_owned())].into();
            let config = crate::approve::Config::default();
            claim(tx, id, Some(&observed), &config, t0().plus_ms(AT_MS))
        })
        .await
        .expect("the store works")
        .expect_err("its approval is void");
    assert_eq!(refused.to_string(), "0 of 1 approvals count for this plan; nothing was done.");
}
