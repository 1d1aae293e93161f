//! The desk: patterns that were learned to be harmless, confirmed, declined and taken back.

use serde_json::json;

use super::{Desk, Problem, need};
use crate::bus::Event;
use crate::model::harmless::HarmlessOrder;
use crate::model::time::DAY_MS;
use crate::model::{Actor, Batch, Fault, Harmless, HarmlessId, HarmlessState, Refused, Role, Time};
use crate::store::{Rows, Tx};

/// Name of the source of what people order.
const SOURCE: &str = "console";

impl Desk {
    /// Confirms that a pattern is harmless: from the next batch on its alerts open nothing.
    ///
    /// The order stands in the journal in the same transaction, so that it is given exactly once
    /// and a start anew or a replay comes to the same.
    ///
    /// # Errors
    /// The role does not allow it, there is no such pattern, or its shadow is not over.
    pub async fn confirm_harmless(
        &self,
        actor: &Actor,
        id: HarmlessId,
        reason: &str,
    ) -> Result<Harmless, Problem> {
        need(actor, Role::Approver, "confirm that a pattern is harmless")?;
        let (deed, now) = (self.deed(actor, reason), self.clock.now());
        let confirmed = self
            .transact(move |tx| {
                let rule = match known(tx, id, &[HarmlessState::Open])? {
                    Ok(rule) => rule,
                    Err(refused) => return Ok(Err(refused)),
                };
                let until = now.plus_ms(i64::from(rule.holds_days) * DAY_MS);
                let confirmed = Harmless {
                    state: HarmlessState::Applied,
                    since: now,
                    kept: Vec::new(),
                    n_kept: 0,
                    counted_until: now,
                    n_confirmed: rule.n_confirmed + 1,
                    decided: Some(deed),
                    until: Some(until),
                    ..rule
                };
                order(tx, &confirmed, until, now)?;
                note(tx, &confirmed, "harmless.confirm", now)?;
                Ok(Ok(confirmed))
            })
            .await?;
        self.bus.publish(Event::Harmless(id));
        Ok(confirmed)
    }

    /// Declines a pattern, in shadow or after; the incidents that it follows from do not count
    /// again.
    ///
    /// # Errors
    /// As [`Desk::confirm_harmless`].
    pub async fn decline_harmless(
        &self,
        actor: &Actor,
        id: HarmlessId,
        reason: &str,
    ) -> Result<Harmless, Problem> {
        need(actor, Role::Approver, "decline a pattern")?;
        let (deed, now) = (self.deed(actor, reason), self.clock.now());
        let declined = self
            .transact(move |tx| {
                let rule = match known(tx, id, &[HarmlessState::Shadow, HarmlessState::Open])? {
                    Ok(rule) => rule,
                    Err(refused) => return Ok(Err(refused)),
                };
                let state = HarmlessState::Declined;
                let declined = Harmless { state, since: now, decided: Some(deed), ..rule };
                note(tx, &declined, "harmless.decline", now)?;
                Ok(Ok(declined))
            })
            .await?;
        self.bus.publish(Event::Harmless(id));
        Ok(declined)
    }

    /// Takes a confirmed pattern back: its alerts open incidents again at once.
    ///
    /// # Errors
    /// As [`Desk::confirm_harmless`]; a pattern that does not hold can't be taken back.
    pub async fn take_back_harmless(
        &self,
        actor: &Actor,
        id: HarmlessId,
        reason: &str,
    ) -> Result<Harmless, Problem> {
        need(actor, Role::Approver, "take a pattern back")?;
        let (deed, now) = (self.deed(actor, reason), self.clock.now());
        let taken = self
            .transact(move |tx| {
                let rule = match known(tx, id, &[HarmlessState::Applied])? {
                    Ok(rule) => rule,
                    Err(refused) => return Ok(Err(refused)),
                };
                let state = HarmlessState::TakenBack;
                let taken = Harmless { state, since: now, taken_back: Some(deed), ..rule };
                order(tx, &taken, now, now)?;
                note(tx, &taken, "harmless.take_back", now)?;
                Ok(Ok(taken))
            })
            .await?;
        self.bus.publish(Event::Harmless(id));
        Ok(taken)
    }
}

/// A pattern in one of some states, or why it is in none.
pub(super) fn known(
    rows: &Rows<'_>,
    id: HarmlessId,
    wanted: &[HarmlessState],
) -> Result<Result<Harmless, Refused>, Fault> {
    let Some(rule) = rows.get::<Harmless>(id)? else {
        return Ok(Err(Refused::NotFound("There is no such learned pattern.".into())));
    };
    if wanted.contains(&rule.state) {
        return Ok(Ok(rule));
    }
    let deed = rule.taken_back.as_ref().or(rule.decided.as_ref());
    let by = deed.map_or_else(String::new, |deed| {
        format!(", {} at {} UTC", deed.by.name, deed.at.clock_text())
    });
    let text = match rule.state {
        HarmlessState::Shadow => {
            "It is in shadow still: it can be confirmed once it has counted long enough.".into()
        }
        HarmlessState::Open => "Nobody has confirmed it yet: it keeps nothing quiet.".into(),
        state => format!(
            "It was decided already, or stands no more: {}{by}.",
            state.as_str().replace('_', " ")
        ),
    };
    Ok(Err(Refused::Conflict(text)))
}

/// Orders detection through the journal.
fn order(tx: &Tx<'_>, rule: &Harmless, until: Time, now: Time) -> Result<(), Fault> {
    let mut batch = Batch::new(SOURCE, now);
    let deed = rule.taken_back.as_ref().or(rule.decided.as_ref());
    batch.harmless.push(HarmlessOrder {
        id: rule.id,
        scope: rule.scope.clone(),
        until,
        by: deed.map_or_else(Actor::nightjar, |d| d.by.clone()),
    });
    tx.append_batch(&batch)?;
    Ok(())
}

fn note(tx: &Tx<'_>, rule: &Harmless, what: &str, now: Time) -> Result<(), Fault> {
    tx.put(rule)?;
    let deed = rule.taken_back.as_ref().or(rule.decided.as_ref());
    let detail = json!({
        "scope": rule.scope.to_string(), "until": rule.until, "reason": deed.map(|d| &d.reason),
    });
    let actor = deed.map_or_else(Actor::nightjar, |d| d.by.clone());
    tx.audit(now, &actor, what, &rule.id.to_string(), &detail)
}
