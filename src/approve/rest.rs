//! Whether an action may run on a target now: one run at a time, cooldown, circuit breaker. Pure;
//! the claim and the offer ask the same.

use super::policy::Config;
use crate::model::action::Effect;
use crate::model::time::{MINUTE_MS, SECOND_MS};
use crate::model::{EntityRef, Fault, Run, RunState, Time};
use crate::store::{Filter, Rows};

/// Runs that are looked at, newest first.
const RECENT: usize = 200;

/// Which rule keeps an action from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Another run is under way on the target.
    Busy,
    /// The action ran there a moment ago.
    Cooldown,
    /// It did not help there, again and again.
    Breaker,
}

/// Why an action can't run on a target now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    pub rule: Rule,
    /// A sentence for a person.
    pub reason: String,
    /// When it is over, where that is known.
    pub until: Option<Time>,
}

/// The runs that can keep an action from running at `now`, newest first, those under way last.
pub(super) fn recent(rows: &Rows<'_>, config: &Config, now: Time) -> Result<Vec<Run>, Fault> {
    let since = now.plus_ms(-span_ms(config));
    let mut runs = rows.list::<Run>(&Filter::all().since(since).newest(RECENT))?;
    runs.extend(rows.list::<Run>(&Filter::states(["running"]))?);
    Ok(runs)
}

fn span_ms(config: &Config) -> i64 {
    i64::from(config.breaker_min.max(config.cooldown_s / 60 + 1)) * MINUTE_MS
}

/// Another run on the target that has not ended.
pub(super) fn busy(runs: &[Run], target: &EntityRef) -> Option<Rest> {
    let other = runs.iter().find(|r| r.target == *target && r.state == RunState::Running)?;
    Some(Rest {
        rule: Rule::Busy,
        reason: format!(
            "{} is already running on {}; wait for its end.",
            other.action,
            other.target.name()
        ),
        until: None,
    })
}

/// Cooldown and circuit breaker of an action (`runbook/action`) on a target. `runs` are those of
/// [`recent`].
pub(super) fn resting(
    runs: &[Run],
    action: &str,
    target: &EntityRef,
    config: &Config,
    now: Time,
) -> Option<Rest> {
    let same: Vec<&Run> =
        runs.iter().filter(|r| r.target == *target && r.action == action && !r.dry_run).collect();
    let cooldown_ms = i64::from(config.cooldown_s) * SECOND_MS;
    if let Some(last) = same.iter().find(|r| now.ms_since(r.started_at) < cooldown_ms) {
        return Some(Rest {
            rule: Rule::Cooldown,
            reason: format!(
                "{action} ran on {} at {} UTC; the cooldown is {} s.",
                target.name(),
                last.started_at.clock_text(),
                config.cooldown_s
            ),
            until: Some(last.started_at.plus_ms(cooldown_ms)),
        });
    }
    let no_help = |r: &&&Run| {
        let effect = r.outcome.as_ref().map(|o| o.effect);
        matches!(effect, Some(Effect::NoChange | Effect::Worse))
    };
    let useless = same.iter().take_while(no_help).count();
    let limit = config.breaker_after as usize;
    if limit == 0 || useless < limit {
        return None;
    }
    Some(Rest {
        rule: Rule::Breaker,
        reason: format!(
            "{action} did not help {useless} times in a row on {}; it rests for {} min.",
            target.name(),
            config.breaker_min
        ),
        // By then the first of the last few is too long ago to count.
        until: same.get(limit - 1).map(|r| r.started_at.plus_ms(span_ms(config))),
    })
}
