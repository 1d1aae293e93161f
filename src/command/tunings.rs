//! The desk: proposed changes of detection, applied, declined and taken back.

use serde_json::json;

use super::{Desk, Problem, need, said};
use crate::bus::Event;
use crate::model::time::DAY_MS;
use crate::model::tuning::TuningDeed;
use crate::model::{
    Actor, BarOrder, Batch, Fault, Refused, Role, Time, Tuning, TuningId, TuningState,
};
use crate::store::{Filter, Rows, Tx};

/// Name of the source of what people order.
const SOURCE: &str = "console";

impl Desk {
    /// Applies a proposed change: detection follows from its next batch on.
    ///
    /// The order stands in the journal in the same transaction, so that it is given exactly once
    /// and a start anew or a replay comes to the same.
    ///
    /// # Errors
    /// The role does not allow it, there is no such proposal, or it does not wait any more.
    pub async fn apply_tuning(
        &self,
        actor: &Actor,
        id: TuningId,
        reason: &str,
    ) -> Result<Tuning, Problem> {
        need(actor, Role::Approver, "apply a change of detection")?;
        let (deed, now) = (self.deed(actor, reason), self.clock.now());
        let applied = self
            .transact(move |tx| {
                let tuning = match waiting(tx, id, now)? {
                    Ok(tuning) => tuning,
                    Err(refused) => return Ok(Err(refused)),
                };
                let until = now.plus_ms(i64::from(tuning.holds_days) * DAY_MS);
                replace(tx, &tuning, now)?;
                let applied = Tuning {
                    state: TuningState::Applied,
                    decided: Some(deed),
                    until: Some(until),
                    ..tuning
                };
                order(tx, &applied, (applied.factor, until), now)?;
                note(tx, &applied, "tuning.apply", now)?;
                Ok(Ok(applied))
            })
            .await?;
        self.bus.publish(Event::Tuning(id));
        Ok(applied)
    }

    /// Declines a proposed change; the judgements that it follows from do not count again.
    ///
    /// # Errors
    /// As [`Desk::apply_tuning`].
    pub async fn decline_tuning(
        &self,
        actor: &Actor,
        id: TuningId,
        reason: &str,
    ) -> Result<Tuning, Problem> {
        need(actor, Role::Approver, "decline a change of detection")?;
        let (deed, now) = (self.deed(actor, reason), self.clock.now());
        let declined = self
            .transact(move |tx| {
                let tuning = match waiting(tx, id, now)? {
                    Ok(tuning) => tuning,
                    Err(refused) => return Ok(Err(refused)),
                };
                let declined =
                    Tuning { state: TuningState::Declined, decided: Some(deed), ..tuning };
                note(tx, &declined, "tuning.decline", now)?;
                Ok(Ok(declined))
            })
            .await?;
        self.bus.publish(Event::Tuning(id));
        Ok(declined)
    }

    /// Takes an applied change back: detection is as before it from the next batch on.
    ///
    /// # Errors
    /// As [`Desk::apply_tuning`]; a change that does not hold can't be taken back.
    pub async fn take_back_tuning(
        &self,
        actor: &Actor,
        id: TuningId,
        reason: &str,
    ) -> Result<Tuning, Problem> {
        need(actor, Role::Approver, "take back a change of detection")?;
        let (deed, now) = (self.deed(actor, reason), self.clock.now());
        let taken = self
            .transact(move |tx| {
                let Some(tuning) = tx.get::<Tuning>(id)? else { return Ok(Err(unknown())) };
                if tuning.state != TuningState::Applied {
                    return Ok(Err(Refused::Conflict(format!(
                        "It does not hold: {}. Look at the page of detectors for what does.",
                        standing(&tuning)
                    ))));
                }
                let taken =
                    Tuning { state: TuningState::TakenBack, taken_back: Some(deed), ..tuning };
                order(tx, &taken, (taken.from, taken.until.unwrap_or(now)), now)?;
                note(tx, &taken, "tuning.take_back", now)?;
                Ok(Ok(taken))
            })
            .await?;
        self.bus.publish(Event::Tuning(id));
        Ok(taken)
    }

    pub(super) fn deed(&self, actor: &Actor, reason: &str) -> TuningDeed {
        TuningDeed { by: actor.clone(), at: self.clock.now(), reason: said(reason, 500) }
    }
}

fn unknown() -> Refused {
    Refused::NotFound("There is no such proposed change of detection.".into())
}

/// A proposal that can be decided, or why it can't.
pub(super) fn waiting(
    rows: &Rows<'_>,
    id: TuningId,
    now: Time,
) -> Result<Result<Tuning, Refused>, Fault> {
    let Some(tuning) = rows.get::<Tuning>(id)? else { return Ok(Err(unknown())) };
    if tuning.state != TuningState::Open {
        let text = format!("It was decided already, or stands no more: {}.", standing(&tuning));
        return Ok(Err(Refused::Conflict(text)));
    }
    if tuning.expires_at <= now {
        let text = "It has expired. It is made anew if judgements still speak for it.";
        return Ok(Err(Refused::Conflict(text.into())));
    }
    Ok(Ok(tuning))
}

/// Where a proposal stands, and by whom.
fn standing(tuning: &Tuning) -> String {
    let word = tuning.state.as_str().replace('_', " ");
    let deed = tuning.taken_back.as_ref().or(tuning.decided.as_ref());
    match deed {
        Some(deed) => {
            let at = deed.at.clock_text();
            format!("{word}, {} at {at} UTC", deed.by.name)
        }
        None => word,
    }
}

/// Another change of the same scope makes room.
fn replace(tx: &Tx<'_>, by: &Tuning, now: Time) -> Result<(), Fault> {
    for old in tx.list::<Tuning>(&Filter::states([TuningState::Applied.as_str()]))? {
        if old.scope == by.scope {
            let old = Tuning { state: TuningState::Replaced, ..old };
            tx.put(&old)?;
            let detail = json!({ "by": by.id });
            let bot = Actor::nightjar();
            tx.audit(now, &bot, "tuning.replaced", &old.id.to_string(), &detail)?;
        }
    }
    Ok(())
}

/// Orders detection through the journal.
fn order(
    tx: &Tx<'_>,
    tuning: &Tuning,
    (factor, until): (f64, Time),
    now: Time,
) -> Result<(), Fault> {
    let mut batch = Batch::new(SOURCE, now);
    let deed = tuning.taken_back.as_ref().or(tuning.decided.as_ref());
    batch.bars.push(BarOrder {
        scope: tuning.scope.clone(),
        factor,
        until,
        tuning: tuning.id,
        by: deed.map_or_else(Actor::nightjar, |d| d.by.clone()),
    });
    tx.append_batch(&batch)?;
    Ok(())
}

fn note(tx: &Tx<'_>, tuning: &Tuning, what: &str, now: Time) -> Result<(), Fault> {
    tx.put(tuning)?;
    let deed = tuning.taken_back.as_ref().or(tuning.decided.as_ref());
    let detail = json!({
        "scope": tuning.scope.to_string(), "from": tuning.from, "factor": tuning.factor,
        "until": tuning.until, "reason": deed.map(|d| &d.reason),
    });
    let actor = deed.map_or_else(Actor::nightjar, |d| d.by.clone());
    tx.audit(now, &actor, what, &tuning.id.to_string(), &detail)
}
