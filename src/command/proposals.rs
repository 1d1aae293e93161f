//! The desk: decisions on proposals, and the halt switch.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Desk, Problem, need, said};
use crate::approve::{self, Choice, Edit, HALT, Halt, Workshop};
use crate::bus::Event;
use crate::model::{
    Actor, Proposal, ProposalId, ProposalState, Refused, Role, Time, Verdict, wall_now,
};

impl Desk {
    /// Decides on a proposal. `digest` is that of the plan the person saw (whole, or its first 16
    /// digits and more).
    ///
    /// # Errors
    /// The role does not allow it, or the proposal changed, expired or was decided.
    pub async fn decide(
        &self,
        actor: &Actor,
        id: ProposalId,
        verdict: Verdict,
        digest: &str,
        reason: &str,
    ) -> Result<Proposal, Problem> {
        let choice = Choice {
            actor: actor.clone(),
            verdict,
            digest: digest.to_owned(),
            reason: said(reason, 1_000),
            wall: wall_now(),
        };
        let now = self.clock.now();
        let proposal = self.transact(move |tx| approve::decide(tx, id, &choice, now)).await?;
        Ok(self.decided(proposal))
    }

    /// Approves a proposal.
    ///
    /// # Errors
    /// As [`Desk::decide`].
    pub async fn approve(
        &self,
        actor: &Actor,
        id: ProposalId,
        digest: &str,
        reason: &str,
    ) -> Result<Proposal, Problem> {
        self.decide(actor, id, Verdict::Approve, digest, reason).await
    }

    /// Approves a proposal for later.
    ///
    /// # Errors
    /// As [`Desk::decide`], or the time is not before the proposal's expiry.
    pub async fn schedule(
        &self,
        actor: &Actor,
        id: ProposalId,
        digest: &str,
        at: Time,
    ) -> Result<Proposal, Problem> {
        self.decide(actor, id, Verdict::Schedule { at }, digest, "").await
    }

    /// Declines a proposal.
    ///
    /// # Errors
    /// As [`Desk::decide`].
    pub async fn ignore(
        &self,
        actor: &Actor,
        id: ProposalId,
        digest: &str,
        reason: &str,
    ) -> Result<Proposal, Problem> {
        self.decide(actor, id, Verdict::Ignore, digest, reason).await
    }

    /// Changes parameters of an open proposal, within the bounds that its runbook declares. Its
    /// digest changes, the editor is on record, and approvals of the old plan count no more.
    ///
    /// # Errors
    /// The role does not allow it, the plan has changed, or a value is out of bounds.
    pub async fn edit(
        &self,
        actor: &Actor,
        id: ProposalId,
        digest: &str,
        parameters: BTreeMap<String, String>,
        reason: &str,
    ) -> Result<Proposal, Problem> {
        let (workshop, edit) = self.editing(actor, digest, parameters, reason)?;
        let now = self.clock.now();
        let proposal =
            self.transact(move |tx| approve::amend(tx, &workshop, id, &edit, now)).await?;
        self.bus.publish(Event::Proposal(id));
        Ok(proposal)
    }

    /// Changes the parameters of an open proposal and approves it so, both or neither.
    ///
    /// # Errors
    /// As [`Desk::edit`] and [`Desk::decide`].
    pub async fn approve_changed(
        &self,
        actor: &Actor,
        id: ProposalId,
        digest: &str,
        parameters: BTreeMap<String, String>,
        reason: &str,
    ) -> Result<Proposal, Problem> {
        let (workshop, edit) = self.editing(actor, digest, parameters, reason)?;
        let now = self.clock.now();
        let work = move |tx: &crate::store::Tx<'_>| {
            approve::approve_changed(tx, &workshop, id, &edit, wall_now(), now)
        };
        let proposal = self.transact(work).await?;
        Ok(self.decided(proposal))
    }

    fn editing(
        &self,
        actor: &Actor,
        digest: &str,
        parameters: BTreeMap<String, String>,
        reason: &str,
    ) -> Result<(Workshop, Edit), Problem> {
        let Some(workshop) = self.workshop.clone() else {
            return Err(Refused::Invalid("Plans can't be edited here.".into()).into());
        };
        let (actor, digest) = (actor.clone(), digest.to_owned());
        Ok((workshop, Edit { actor, digest, parameters, reason: said(reason, 1_000) }))
    }

    /// Tells of a decision that stands.
    fn decided(&self, proposal: Proposal) -> Proposal {
        metrics::counter!("nightjar_approve_decisions_total").increment(1);
        self.bus.publish(Event::Proposal(proposal.id));
        if proposal.state == ProposalState::Approved {
            self.bus.publish(Event::Decided(proposal.id));
        }
        proposal
    }

    /// Stops all actions until [`Desk::unhalt`].
    ///
    /// # Errors
    /// The role does not allow it.
    pub async fn halt(&self, actor: &Actor, reason: &str) -> Result<Halt, Problem> {
        need(actor, Role::Approver, "halt all actions")?;
        let reason = super::desk::words(reason, "halted by hand");
        let halt = Halt { by: actor.clone(), reason, at: self.clock.now() };
        let kept = halt.clone();
        self.store
            .write(move |tx| {
                tx.put_value(HALT, &Some(&kept))?;
                let detail = json!({ "reason": kept.reason });
                tx.audit(kept.at, &kept.by, "actions.halt", HALT, &detail)
            })
            .await?;
        Ok(halt)
    }

    /// Lets actions run again.
    ///
    /// # Errors
    /// The role does not allow it.
    pub async fn unhalt(&self, actor: &Actor) -> Result<(), Problem> {
        need(actor, Role::Admin, "lift the halt")?;
        let (actor, now) = (actor.clone(), self.clock.now());
        self.store
            .write(move |tx| {
                tx.put_value(HALT, &None::<Halt>)?;
                tx.audit(now, &actor, "actions.unhalt", HALT, &json!({}))
            })
            .await?;
        Ok(())
    }
}
