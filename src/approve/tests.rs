//! The gate under double clicks, stale cards, races, self-approval and changed targets.

use std::collections::BTreeMap;

mod held;
pub(crate) mod offers;
mod policy;
mod races;
pub(crate) mod sample;
mod schedule;
mod sentences;
mod undo;

use sample::{person, proposal, t0};

use super::*;
use crate::model::*;
use crate::store::{Filter, Store};

pub(crate) fn approve(actor: &Actor, digest: &str) -> Choice {
    Choice {
        actor: actor.clone(),
        verdict: Verdict::Approve,
        digest: digest.into(),
        reason: String::new(),
        wall: t0(),
    }
}

pub(crate) async fn store_with(proposal: &Proposal) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = Store::open(&folder.path().join("a.sqlite")).expect("opens");
    let put = proposal.clone();
    store.write(move |tx| tx.put(&put)).await.expect("writes");
    (folder, store)
}

pub(crate) async fn say(
    store: &Store,
    id: ProposalId,
    choice: Choice,
    now: Time,
) -> Result<Proposal, Refused> {
    store.write(move |tx| decide(tx, id, &choice, now)).await.expect("the store works")
}

pub(crate) async fn take(
    store: &Store,
    id: ProposalId,
    observed: Option<&str>,
    now: Time,
) -> Result<RunId, Refused> {
    let observed = observed.map(|v| BTreeMap::from([("version".to_owned(), v.to_owned())]));
    store
        .write(move |tx| {
            let claimed = claim(tx, id, observed.as_ref(), &Config::default(), now)?;
            Ok(claimed.map(|a| a.run()))
        })
        .await
        .expect("the store works")
}

#[tokio::test]
async fn one_approval_gives_one_run_however_often_it_is_pressed() {
    let p = proposal();
    let (_folder, store) = store_with(&p).await;
    let ann = person("ann", Role::Approver);
    assert!(
        take(&store, p.id, Some("4.7.2"), t0()).await.is_err(),
        "nothing runs without an approval"
    );
    let (a, b) = tokio::join!(
        say(&store, p.id, approve(&ann, &p.digest.0), t0()),
        say(&store, p.id, approve(&ann, p.digest.short()), t0())
    );
    assert_eq!([&a, &b].iter().filter(|r| r.is_ok()).count(), 1);
    let (first, second) = tokio::join!(
        take(&store, p.id, Some("4.7.2"), t0()),
        take(&store, p.id, Some("4.7.2"), t0())
    );
    assert_eq!([&first, &second].iter().filter(|r| r.is_ok()).count(), 1);
    let runs = store.read(|r| r.list::<Run>(&Filter::all())).await.expect("reads");
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].approved_by, [ann]);
}

#[tokio::test]
async fn stale_expired_and_forbidden_decisions_are_refused_with_their_reason() {
    let p = proposal();
    let (_folder, store) = store_with(&p).await;
    let ann = person("ann", Role::Approver);
    let vic = person("vic", Role::Viewer);
    let late = t0().plus_ms(3_600_000);
    for (choice, now, words) in [
        (approve(&ann, "0123456789abcdef"), t0(), "plan has changed"),
        (approve(&ann, "short"), t0(), "plan has changed"),
        (approve(&ann, &p.digest.0), late, "expired"),
        (approve(&vic, &p.digest.0), t0(), "needs the role approver; you have viewer"),
        (approve(&Actor::nightjar(), &p.digest.0), t0(), "Only a person"),
    ] {
        let refused = say(&store, p.id, choice, now).await.expect_err("refused");
        assert!(refused.to_string().contains(words), "{refused}");
    }
    let untouched = store.read(move |r| r.get::<Proposal>(p.id)).await.expect("reads");
    assert_eq!(untouched, Some(p));
}

#[tokio::test]
async fn high_risk_needs_two_people_and_none_of_them_its_author() {
    let requires = requirement(
        &Config { no_self_approval: true, ..Config::default() },
        Risk::High,
        None,
        None,
    );
    assert_eq!(requires.n_approvals, 2);
    let p = Proposal { requires, change_author: Some("Ann".into()), ..proposal() };
    let (_folder, store) = store_with(&p).await;
    let (ann, bob, cy) =
        (person("ann", Role::Admin), person("bob", Role::Approver), person("cy", Role::Approver));
    let refused = say(&store, p.id, approve(&ann, &p.digest.0), t0()).await.expect_err("own");
    assert!(refused.to_string().contains("authored the change"), "{refused}");
    let first = say(&store, p.id, approve(&bob, &p.digest.0), t0()).await.expect("one of two");
    assert_eq!(first.state, ProposalState::Open);
    assert!(say(&store, p.id, approve(&bob, &p.digest.0), t0()).await.is_err(), "twice the same");
    assert!(take(&store, p.id, Some("4.7.2"), t0()).await.is_err());
    let second = say(&store, p.id, approve(&cy, &p.digest.0), t0()).await.expect("two of two");
    assert_eq!(second.state, ProposalState::Approved);
    take(&store, p.id, Some("4.7.2"), t0()).await.expect("claimed");
}

#[tokio::test]
async fn a_changed_target_or_plan_is_never_acted_on() {
    let p = proposal();
    let (_folder, store) = store_with(&p).await;
    let ann = person("ann", Role::Approver);
    say(&store, p.id, approve(&ann, &p.digest.0), t0()).await.expect("approved");
    let refused = take(&store, p.id, Some("4.7.3"), t0()).await.expect_err("changed");
    assert!(refused.to_string().contains("version was 4.7.2 and is 4.7.3"), "{refused}");
    assert!(take(&store, p.id, Some("4.7.2"), t0()).await.is_err(), "it is superseded");

    // A state that can't be read any more is not taken for unchanged.
    let unread = Proposal { id: ProposalId::derive(t0(), &["unread"]), ..p.clone() };
    let put = unread.clone();
    store.write(move |tx| tx.put(&put)).await.expect("writes");
    say(&store, unread.id, approve(&ann, &p.digest.0), t0()).await.expect("approved");
    assert!(take(&store, unread.id, None, t0()).await.is_err(), "not known to be unchanged");

    // A plan that was changed behind the approval keeps neither digest nor approvals.
    let mut forged = Proposal { id: ProposalId::derive(t0(), &["q"]), ..proposal() };
    forged.state = ProposalState::Approved;
    forged.plan.parameters.insert("value".into(), "999".into());
    let put = forged.clone();
    store.write(move |tx| tx.put(&put)).await.expect("writes");
    let refused = take(&store, forged.id, None, t0()).await.expect_err("forged");
    assert!(refused.to_string().contains("digest"), "{refused}");
}

#[tokio::test]
async fn halt_cooldown_and_breaker_hold_an_approved_action_back() {
    let p = proposal();
    let (_folder, store) = store_with(&p).await;
    let ann = person("ann", Role::Approver);
    say(&store, p.id, approve(&ann, &p.digest.0), t0()).await.expect("approved");
    let halt = Halt { by: ann.clone(), reason: "freeze".into(), at: t0() };
    store.write(move |tx| tx.put_value(HALT, &Some(halt))).await.expect("writes");
    assert!(
        take(&store, p.id, Some("4.7.2"), t0())
            .await
            .expect_err("halted")
            .to_string()
            .contains("freeze")
    );
    store.write(|tx| tx.put_value(HALT, &None::<Halt>)).await.expect("writes");
    take(&store, p.id, Some("4.7.2"), t0()).await.expect("claimed");

    let again = Proposal { id: ProposalId::derive(t0(), &["again"]), ..p.clone() };
    let put = again.clone();
    store.write(move |tx| tx.put(&put)).await.expect("writes");
    say(&store, again.id, approve(&ann, &p.digest.0), t0()).await.expect("approved");
    let refused = take(&store, again.id, Some("4.7.2"), t0()).await.expect_err("one at a time");
    assert!(refused.to_string().contains("already running"), "{refused}");
    let done = store.read(|r| r.list::<Run>(&Filter::all())).await.expect("reads").remove(0);
    store.write(move |tx| tx.put(&Run { state: RunState::Done, ..done })).await.expect("writes");
    let refused =
        take(&store, again.id, Some("4.7.2"), t0().plus_ms(60_000)).await.expect_err("too soon");
    assert!(refused.to_string().contains("cooldown"), "{refused}");
    take(&store, again.id, Some("4.7.2"), t0().plus_ms(301_000)).await.expect("after the cooldown");
}
