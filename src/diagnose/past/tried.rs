//! What was tried in earlier incidents, and how it went. Pure.

use crate::model::Run;
use crate::model::action::Effect;
use crate::model::diagnosis::Tried;

/// What the measured runs of one incident say, in the order in which they were made. A dry run and
/// one that could not be measured say nothing.
pub(super) fn of(runs: &[Run]) -> Vec<Tried> {
    let mut made: Vec<&Run> = runs.iter().filter(|r| !r.dry_run).collect();
    made.sort_by_key(|r| (r.started_at, r.id));
    let tried = |run: &&Run| {
        let outcome = run.outcome.as_ref().filter(|o| o.effect != Effect::Unmeasured)?;
        Some(Tried {
            action: run.action.clone(),
            target: run.target.clone(),
            helped: outcome.effect == Effect::Helped,
            worse: outcome.effect == Effect::Worse,
        })
    };
    made.iter().filter_map(tried).collect()
}
