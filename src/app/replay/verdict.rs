//! What a replay saw, and whether it is what the scenario expects. Pure.

use serde::Serialize;

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
    /// Its share of belief, 0 to 1.
    pub confidence: Option<f64>,
    /// From injection to the first suggestion.
    pub suggestion_after_s: Option<f64>,
    /// What was approved, in words.
    pub approved: Option<String>,
    /// What the run did to the signal.
    pub effect: Option<Effect>,
    /// The same in a sentence with figures.
    pub outcome: Option<String>,
    /// From the end of the run until the incident was over.
    pub resolved_after_s: Option<f64>,
    /// Real seconds that all of it took.
    pub wall_s: f64,
}

/// One expectation and what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Whether that is it.
    pub met: bool,
}

fn check(expected: impl Into<String>, seen: impl Into<String>, met: bool) -> Check {
    Check { expected: expected.into(), seen: seen.into(), met }
}

fn seconds(s: Option<f64>) -> String {
    s.map_or_else(|| "never".to_owned(), |s| format!("after {s:.0} s"))
}

/// Holds what was seen against what the scenario expects. `approved` says whether the first
/// suggestion was to be approved.
#[must_use]
pub(super) fn judge(scenario: &Scenario, seen: &Seen, approved: bool) -> Vec<Check> {
    if !scenario.opens_incident {
        let text = format!("{} incidents", seen.n_incidents);
        return vec![check("no incident", text, seen.n_incidents == 0)];
    }
    let bounds = scenario.bounds;
    let mut all = vec![
        check("one incident", format!("{} incidents", seen.n_incidents), seen.n_incidents == 1),
        check(
            format!("a message within {} s", bounds.message_within_s),
            seconds(seen.message_after_s),
            seen.message_after_s.is_some_and(|s| s <= f64::from(bounds.message_within_s)),
        ),
    ];
    if let Some(root) = &scenario.root {
        let cause = seen.cause.clone().unwrap_or_else(|| "no cause".to_owned());
        let met = seen.cause.as_ref() == Some(root);
        all.push(check(format!("the cause {root} first"), cause, met));
    }
    if approved {
        let outcome = seen.outcome.clone().unwrap_or_else(|| "nothing was measured".to_owned());
        let met = seen.effect == Some(Effect::Helped);
        all.push(check("the first suggestion helps", outcome, met));
        let met = seen.resolved_after_s.is_some();
        all.push(check("the incident ends", seconds(seen.resolved_after_s), met));
    }
    all
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

    fn good() -> Seen {
        Seen {
            n_incidents: 1,
            message_after_s: Some(110.0),
            cause: Some("service.name=orders".into()),
            effect: Some(Effect::Helped),
            resolved_after_s: Some(400.0),
            ..Seen::default()
        }
    }

    fn unmet(key: &str, seen: &Seen) -> Vec<String> {
        let scenario = scenario(key).expect("shipped");
        let checks = judge(scenario, seen, true);
        checks.into_iter().filter(|c| !c.met).map(|c| c.expected).collect()
    }

    #[test]
    fn every_expectation_can_fail() {
        assert!(unmet("pool-exhaustion", &good()).is_empty());
        let two = Seen { n_incidents: 2, ..good() };
        assert_eq!(unmet("pool-exhaustion", &two), ["one incident"]);
        let late = Seen { message_after_s: Some(241.0), ..good() };
        assert_eq!(unmet("pool-exhaustion", &late), ["a message within 240 s"]);
        let wrong = Seen { cause: Some("service.name=checkout".into()), ..good() };
        assert_eq!(unmet("pool-exhaustion", &wrong), ["the cause service.name=orders first"]);
        let useless = Seen { effect: Some(Effect::NoChange), ..good() };
        assert_eq!(unmet("pool-exhaustion", &useless), ["the first suggestion helps"]);
        let endless = Seen { resolved_after_s: None, ..good() };
        assert_eq!(unmet("pool-exhaustion", &endless), ["the incident ends"]);
        assert_eq!(unmet("pool-exhaustion", &Seen::default()).len(), 5);
        assert_eq!(unmet("deploy-blip", &good()), ["no incident"]);
        assert!(unmet("deploy-blip", &Seen::default()).is_empty());
    }
}
