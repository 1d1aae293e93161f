//! What a replay saw, and whether it is what the scenario expects. Pure.

use serde::Serialize;

use crate::demo::expected::{Approved, Check, Observed};
use crate::demo::scenario::Scenario;
use crate::model::action::Effect;

/// What was seen of one scenario. Times are seconds of event time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Seen {
    /// Incidents opened since the scenario began.
    pub n_incidents: usize,
    /// Alerts and repeats that were folded into the incident.
    pub n_reports: u64,
    /// From injection to the incident's message in the chat.
    pub message_after_s: Option<f64>,
    /// From injection until the right cause stood first, for good.
    pub cause_after_s: Option<f64>,
    /// The cause that stood first at the end, as `attribute=name`.
    pub cause: Option<String>,
    /// The pattern of that hypothesis.
    pub pattern: Option<String>,
    /// Its share of belief, 0 to 1.
    pub confidence: Option<f64>,
    /// The suggestion that stood first when there was one, as `runbook/action`.
    pub suggestion: Option<String>,
    /// From injection to the first suggestion.
    pub suggestion_after_s: Option<f64>,
    /// What was approved, in words.
    pub approved: Option<String>,
    /// What the run did to the signal.
    pub effect: Option<Effect>,
    /// The same in a sentence with figures.
    pub outcome: Option<String>,
    /// From the end of the run until the signal was within its usual range.
    pub recovered_after_s: Option<f64>,
    /// From the end of the run until the incident was over.
    pub resolved_after_s: Option<f64>,
    /// Real seconds that all of it took.
    pub wall_s: f64,
}

fn seconds(s: Option<f64>) -> String {
    s.map_or_else(|| "never".to_owned(), |s| format!("after {s:.0} s"))
}

/// Holds what was seen against what the scenario expects. `approved` says whether the first
/// suggestion was to be approved.
#[must_use]
pub(super) fn judge(scenario: &Scenario, seen: &Seen, approved: bool) -> Vec<Check> {
    scenario.expected.check(&Observed {
        n_incidents: seen.n_incidents,
        n_reports: seen.n_reports,
        message_after_s: seen.message_after_s,
        cause: seen.cause.clone(),
        confidence: seen.confidence,
        pattern: seen.pattern.clone(),
        suggestion: seen.suggestion.clone(),
        approved: approved.then(|| Approved {
            effect: seen.effect,
            outcome: seen.outcome.clone(),
            recovered_after_s: seen.recovered_after_s,
            resolved_after_s: seen.resolved_after_s,
        }),
    })
}

/// The verdict as lines for a terminal.
#[must_use]
pub(super) fn render(seen: &Seen, checks: &[Check]) -> String {
    let mut text = String::new();
    for c in checks {
        let mark = if c.met { "ok     " } else { "NOT MET" };
        text.push_str(&format!("{mark}  {}: {}\n", c.expected, c.seen));
    }
    if seen.n_incidents > 0 {
        text.push_str(&format!(
            "\nFrom injection: message {}, right cause first {}, suggestion {}.\n\
             {} reports folded into the incident.\n",
            seconds(seen.message_after_s),
            seconds(seen.cause_after_s),
            seconds(seen.suggestion_after_s),
            seen.n_reports
        ));
    }
    if let Some(approved) = &seen.approved {
        text.push_str(&format!("Approved: {approved}\n"));
    }
    text.push_str(&format!("Took {:.0} s of real time.\n", seen.wall_s));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::scenario::scenario;

    #[test]
    fn what_was_seen_is_held_against_what_the_scenario_expects() {
        let chosen = scenario("pool-exhaustion").expect("shipped");
        let seen = Seen {
            n_incidents: 1,
            message_after_s: Some(110.0),
            cause: Some("service.name=orders".into()),
            confidence: Some(0.93),
            pattern: Some("saturation".into()),
            suggestion: Some("connection-pool-exhausted/restore-concurrency".into()),
            effect: Some(Effect::Helped),
            outcome: Some("Helped: p95 was 1.6 s and is 184 ms.".into()),
            recovered_after_s: Some(90.0),
            resolved_after_s: Some(400.0),
            n_reports: 14,
            ..Seen::default()
        };
        let checks = judge(chosen, &seen, true);
        assert!(checks.iter().all(|c| c.met), "{checks:?}");
        let late = Seen { message_after_s: None, ..seen };
        insta::assert_snapshot!(render(&late, &judge(chosen, &late, true)), @r##"
        ok       one incident: one incident
        NOT MET  a message within 240 s: never
        ok       the cause service.name=orders first: service.name=orders
        ok       a chance of 60 % to 99 %: 93 %
        ok       the pattern saturation first: saturation
        ok       the suggestion connection-pool-exhausted/restore-concurrency or connection-pool-exhausted/roll-back-deploy first: connection-pool-exhausted/restore-concurrency
        ok       the first suggestion helps: Helped: p95 was 1.6 s and is 184 ms.
        ok       the signal recovers within 180 s: after 90 s
        ok       the incident ends: after 400 s

        From injection: message never, right cause first never, suggestion never.
        14 reports folded into the incident.
        Took 0 s of real time.
        "##);
    }
}
