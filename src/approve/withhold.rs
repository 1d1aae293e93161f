//! What is not offered, and why: one audit record for each action and reason of an incident, so
//! that "why was this not suggested" has an answer.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::offer::key;
use super::rest::{Rest, Rule};
use crate::model::{Actor, Fault, IncidentId, Plan, Time};
use crate::runbook::{Runbook, schema::Action};
use crate::store::{AuditFilter, Rows, Tx};

/// The audit log's word for it.
pub const WITHHELD: &str = "proposal.withhold";
/// Records of one incident that are looked at.
const MOST: usize = 500;

/// Which rule kept an action from being offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// Its runbook's `only_if` or `not_if` says that it is not for this.
    Precondition,
    /// Another runbook fits the incident far better.
    WeakMatch,
    /// It can't be filled in: a parameter, a setting or its target is missing or out of bounds.
    NotFilled,
    /// The state of its target can't be read.
    TargetUnread,
    /// Another action comes to the same request.
    Duplicate,
    /// It was run or declined in this incident already.
    Settled,
    /// It ran on the target a moment ago.
    Cooldown,
    /// It did not help there, again and again.
    Breaker,
    /// As many as policy allows are open.
    Full,
    /// The effect of a run is being measured, or it has helped.
    Course,
}

/// One action that is not offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// As `runbook/action`.
    pub action: String,
    /// What it would act on, where that is known.
    pub target: String,
    /// Which rule.
    pub because: Because,
    /// A sentence for a person, the same for as long as the reason is the same.
    pub reason: String,
}

impl Withheld {
    /// Of an action of a runbook, before there is a plan.
    pub(super) fn early(
        runbook: &Runbook,
        action: &Action,
        because: Because,
        reason: impl Into<String>,
    ) -> Self {
        let action = format!("{}/{}", runbook.front.id, action.id);
        Self { action, target: String::new(), because, reason: reason.into() }
    }

    /// Of a plan.
    pub(super) fn of(plan: &Plan, because: Because, reason: impl Into<String>) -> Self {
        let (action, target) = (key(plan), plan.target.to_string());
        Self { action, target, because, reason: reason.into() }
    }

    /// Of a plan that rests.
    pub(super) fn resting(plan: &Plan, rest: &Rest) -> Self {
        let because = match rest.rule {
            Rule::Breaker => Because::Breaker,
            Rule::Busy | Rule::Cooldown => Because::Cooldown,
        };
        Self::of(plan, because, &rest.reason)
    }

    /// Whether both say the same. What a target answered is told once, however it words it.
    fn same_as(&self, other: &Self) -> bool {
        let about = (&self.action, &self.target, self.because);
        about == (&other.action, &other.target, other.because)
            && (self.because == Because::TargetUnread || self.reason == other.reason)
    }
}

/// What was recorded of an incident, oldest first.
///
/// # Errors
/// The database failed.
pub fn withheld(rows: &Rows<'_>, incident: IncidentId) -> Result<Vec<Withheld>, Fault> {
    let filter = AuditFilter {
        subject: Some(incident.to_string()),
        action: Some(WITHHELD.to_owned()),
        limit: MOST,
        ..AuditFilter::default()
    };
    let records = rows.audit_records(&filter)?;
    Ok(records.into_iter().rev().filter_map(|r| serde_json::from_value(r.detail).ok()).collect())
}

/// Those of `now` that are not on record yet, each once.
pub(super) fn unsaid(known: &[Withheld], now: Vec<Withheld>) -> Vec<Withheld> {
    let mut new: Vec<Withheld> = Vec::new();
    for one in now {
        if !known.iter().chain(&new).any(|k| k.same_as(&one)) {
            new.push(one);
        }
    }
    new
}

/// Puts them on record.
pub(super) fn record(
    tx: &Tx<'_>,
    incident: IncidentId,
    all: &[Withheld],
    now: Time,
) -> Result<(), Fault> {
    let (bot, id) = (Actor::nightjar(), incident.to_string());
    for one in all {
        tx.audit(now, &bot, WITHHELD, &id, &json!(one))?;
    }
    Ok(())
}
