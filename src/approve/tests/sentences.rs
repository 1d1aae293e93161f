//! What people read when they click too late, twice, on an old card, or without the right.

use super::sample::{person, proposal, t0};
use super::{approve, say, store_with};
use crate::approve::Choice;
use crate::model::*;

/// What somebody reads who clicks on a proposal that was changed so before.
async fn read(change: impl FnOnce(&mut Proposal), choose: impl FnOnce(&mut Choice)) -> String {
    let mut p = proposal();
    change(&mut p);
    let mut choice = approve(&person("ann", Role::Approver), p.digest.short());
    choose(&mut choice);
    let (_folder, store) = store_with(&p).await;
    let refused = say(&store, p.id, choice, t0()).await.expect_err("refused");
    let after = store.read(move |r| r.get::<Proposal>(p.id)).await.expect("reads").expect("kept");
    assert_eq!(after, p, "a refusal changes nothing");
    let audit = store
        .read(|r| r.audit_records(&crate::store::AuditFilter { limit: 9, ..Default::default() }))
        .await
        .expect("reads");
    assert_eq!(audit.len(), 1);
    assert_eq!(audit[0].action, "decision.refuse");
    assert_eq!(audit[0].detail["reason"], refused.to_string(), "the record says the same");
    refused.to_string()
}

const LOOK: &str = "Look at the incident for where it stands.";

#[tokio::test]
async fn a_double_click_is_told_that_the_first_counted() {
    let p = proposal();
    let (_folder, store) = store_with(&p).await;
    let ann = person("ann", Role::Approver);
    say(&store, p.id, approve(&ann, &p.digest.0), t0()).await.expect("the first");
    let second = say(&store, p.id, approve(&ann, &p.digest.0), t0()).await.expect_err("the second");
    assert_eq!(
        second.to_string(),
        format!(
            "This proposal was already approved and is being carried out; nothing was done. {LOOK}"
        )
    );
}

#[tokio::test]
async fn a_second_click_of_one_person_is_not_the_second_approval() {
    let mut p = proposal();
    p.requires.n_approvals = 2;
    let (_folder, store) = store_with(&p).await;
    let ann = person("ann", Role::Approver);
    say(&store, p.id, approve(&ann, &p.digest.0), t0()).await.expect("the first of two");
    let second = say(&store, p.id, approve(&ann, &p.digest.0), t0()).await.expect_err("the same");
    assert_eq!(
        second.to_string(),
        "You have already approved this; another person's approval is needed."
    );
}

#[tokio::test]
async fn a_stale_card_is_told_to_read_the_newest_proposal() {
    for digest in ["0".repeat(64), "short".to_owned(), String::new()] {
        assert_eq!(
            read(|_| {}, |c| c.digest = digest).await,
            "The plan has changed since this button was shown; nothing was done. Read the newest \
             proposal and decide there."
        );
    }
}

#[tokio::test]
async fn each_state_has_its_sentence() {
    use ProposalState::{Claimed, Expired, Finished, Ignored, Refused, Scheduled, Superseded};
    for (state, words) in [
        (Scheduled, "was already scheduled"),
        (ProposalState::Approved, "was already approved and is being carried out"),
        (Claimed, "was already approved and is being carried out"),
        (Finished, "was already carried out"),
        (Ignored, "was already declined"),
        (Expired, "has expired"),
        (Superseded, "was withdrawn"),
        (Refused, "was approved and refused at its run"),
    ] {
        let bare = read(|p| p.state = state, |_| {}).await;
        assert_eq!(bare, format!("This proposal {words}; nothing was done. {LOOK}"));
        let told = read(
            |p| {
                p.state = state;
                p.ended = Some("It is frozen.".into());
            },
            |_| {},
        )
        .await;
        assert_eq!(told, format!("This proposal {words}: It is frozen. Nothing was done. {LOOK}"));
    }
}

#[tokio::test]
async fn an_expired_proposal_says_when_it_expired() {
    let late = read(|p| p.expires_at = t0(), |_| {}).await;
    assert_eq!(
        late,
        format!("This proposal expired at 2026-11-20 03:00 UTC; nothing was done. {LOOK}")
    );
}

#[tokio::test]
async fn a_time_that_can_not_be_scheduled_names_those_that_can() {
    for at in [t0(), t0().plus_ms(-1), t0().plus_ms(3_600_001)] {
        assert_eq!(
            read(|_| {}, |c| c.verdict = Verdict::Schedule { at }).await,
            "Choose a time between now (2026-11-20 03:00 UTC) and the proposal's expiry \
             (2026-11-20 04:00 UTC)."
        );
    }
}

#[tokio::test]
async fn what_does_not_exist_is_told_so() {
    let p = proposal();
    let (_folder, store) = store_with(&p).await;
    let ann = person("ann", Role::Approver);
    let other = ProposalId::derive(t0(), &["other"]);
    let refused = say(&store, other, approve(&ann, &p.digest.0), t0()).await.expect_err("none");
    assert_eq!(
        refused.to_string(),
        "This proposal does not exist any more; look at the incident for the newest one."
    );
}
