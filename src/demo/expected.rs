//! What a scenario expects of whoever watches, as data, and whether what was observed is that.
//! Pure: `replay` and tests observe, this judges.

use serde::{Deserialize, Serialize};

use crate::model::action::Effect;

/// What is expected of one scenario. Times are seconds of event time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// How many incidents it opens; 0: nobody is to be told.
    pub n_incidents: usize,
    /// The entity that stands first as the cause, as `attribute=name`.
    pub cause: Option<String>,
    /// Within what the chance that it is shown with must lie, 0 to 1: at least as much as a clear
    /// case deserves, and not more than was right of such cases
    /// ([`CALIBRATION`](crate::diagnose::CALIBRATION)).
    #[serde(default)]
    pub chance: Option<[f64; 2]>,
    /// Patterns of the first hypothesis that are right.
    #[serde(default)]
    pub patterns: Vec<String>,
    /// Suggestions that may stand first, as `runbook/action`; each of them mends it.
    #[serde(default)]
    pub suggestions: Vec<String>,
    /// How many alerts and repeats are folded into the incident at least, if nobody mends it.
    #[serde(default)]
    pub min_reports: u64,
    /// From injection to the first message.
    #[serde(default = "message_within_s")]
    pub message_within_s: u32,
    /// From the right fix to a signal within its usual range.
    #[serde(default = "recover_within_s")]
    pub recover_within_s: u32,
}

fn message_within_s() -> u32 {
    300
}

fn recover_within_s() -> u32 {
    180
}

/// What was observed of one scenario. Times are seconds of event time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Incidents opened since it began.
    pub n_incidents: usize,
    /// Alerts and repeats that were folded into the first incident.
    pub n_reports: u64,
    /// From injection to the first message.
    pub message_after_s: Option<f64>,
    /// The cause that stood first at the end, as `attribute=name`.
    pub cause: Option<String>,
    /// Its chance as shown, 0 to 1.
    pub confidence: Option<f64>,
    /// The pattern of that hypothesis.
    pub pattern: Option<String>,
    /// The suggestion that stood first when there was one, as `runbook/action`.
    pub suggestion: Option<String>,
    /// What became of the first suggestion, where it was approved.
    pub approved: Option<Approved>,
}

/// What became of an approved suggestion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Approved {
    /// What the run did to the signal.
    pub effect: Option<Effect>,
    /// The same in a sentence with figures.
    pub outcome: Option<String>,
    /// From the end of the run until the signal was within its usual range.
    pub recovered_after_s: Option<f64>,
    /// From the end of the run until the incident was over.
    pub resolved_after_s: Option<f64>,
}

/// One expectation and what was observed of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
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

fn after(s: Option<f64>) -> String {
    s.map_or_else(|| "never".to_owned(), |s| format!("after {s:.0} s"))
}

fn incidents(n: usize) -> String {
    match n {
        0 => "no incident".into(),
        1 => "one incident".into(),
        n => format!("{n} incidents"),
    }
}

/// One of `right` when any is named; anything will do otherwise.
fn one_of(what: &str, right: &[String], seen: Option<&String>) -> Option<Check> {
    if right.is_empty() {
        return None;
    }
    let expected = format!("{what} {} first", right.join(" or "));
    let met = seen.is_some_and(|s| right.contains(s));
    Some(check(expected, seen.cloned().unwrap_or_else(|| "nothing".into()), met))
}

impl Expected {
    /// Whether it opens an incident.
    #[must_use]
    pub fn opens(&self) -> bool {
        self.n_incidents > 0
    }

    /// Holds what was observed against what is expected: every expectation in a fixed order.
    #[must_use]
    pub fn check(&self, seen: &Observed) -> Vec<Check> {
        let number = check(
            incidents(self.n_incidents),
            incidents(seen.n_incidents),
            seen.n_incidents == self.n_incidents,
        );
        if !self.opens() {
            return vec![number];
        }
        let mut all = vec![
            number,
            check(
                format!("a message within {} s", self.message_within_s),
                after(seen.message_after_s),
                seen.message_after_s.is_some_and(|s| s <= f64::from(self.message_within_s)),
            ),
        ];
        all.extend(one_of("the cause", self.cause.as_slice(), seen.cause.as_ref()));
        all.extend(self.chance.map(|[least, most]| {
            let share = |c: f64| format!("{:.0} %", c * 100.0);
            check(
                format!("a chance of {} to {}", share(least), share(most)),
                seen.confidence.map_or_else(|| "none".to_owned(), share),
                seen.confidence.is_some_and(|c| (least..=most).contains(&c)),
            )
        }));
        all.extend(one_of("the pattern", &self.patterns, seen.pattern.as_ref()));
        all.extend(one_of("the suggestion", &self.suggestions, seen.suggestion.as_ref()));
        match &seen.approved {
            // A fix ends the flood before it is complete.
            None if self.min_reports > 0 => all.push(check(
                format!("at least {} reports in one incident", self.min_reports),
                format!("{} reports", seen.n_reports),
                seen.n_reports >= self.min_reports,
            )),
            None => {}
            Some(approved) => {
                let outcome =
                    approved.outcome.clone().unwrap_or_else(|| "nothing was measured".into());
                let helped = approved.effect == Some(Effect::Helped);
                all.push(check("the first suggestion helps", outcome, helped));
                let (within, back) = (self.recover_within_s, approved.recovered_after_s);
                all.push(check(
                    format!("the signal recovers within {within} s"),
                    after(back),
                    back.is_some_and(|s| s <= f64::from(within)),
                ));
                let over = approved.resolved_after_s;
                all.push(check("the incident ends", after(over), over.is_some()));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::scenario::{scenario, scenarios};

    fn good() -> Observed {
        Observed {
            n_incidents: 1,
            n_reports: 1_100,
            message_after_s: Some(110.0),
            cause: Some("service.name=auth".into()),
            confidence: Some(0.9),
            pattern: Some("network_policy".into()),
            suggestion: Some("network-policy-blocks-dependency/revert-policy".into()),
            approved: None,
        }
    }

    fn helped() -> Approved {
        Approved {
            effect: Some(Effect::Helped),
            outcome: Some("Helped: 2 s, was 9 s.".into()),
            recovered_after_s: Some(75.0),
            resolved_after_s: Some(400.0),
        }
    }

    fn unmet(key: &str, seen: &Observed) -> Vec<String> {
        let expected = &scenario(key).expect("shipped").expected;
        expected.check(seen).into_iter().filter(|c| !c.met).map(|c| c.expected).collect()
    }

    #[test]
    fn every_expectation_can_fail() {
        let key = "policy-cut";
        assert!(unmet(key, &good()).is_empty());
        assert!(
            unmet(key, &Observed { approved: Some(helped()), n_reports: 9, ..good() }).is_empty()
        );
        for (seen, expected) in [
            (Observed { n_incidents: 2, ..good() }, "one incident"),
            (Observed { message_after_s: Some(241.0), ..good() }, "a message within 240 s"),
            (Observed { cause: None, ..good() }, "the cause service.name=auth first"),
            (Observed { confidence: Some(0.5), ..good() }, "a chance of 60 % to 99 %"),
            (Observed { confidence: Some(0.999), ..good() }, "a chance of 60 % to 99 %"),
            (
                Observed { pattern: Some("traffic".into()), ..good() },
                "the pattern network_policy first",
            ),
            (
                Observed { suggestion: Some("memory-leak/rolling-restart".into()), ..good() },
                "the suggestion network-policy-blocks-dependency/revert-policy first",
            ),
            (Observed { n_reports: 999, ..good() }, "at least 1000 reports in one incident"),
            (
                Observed {
                    approved: Some(Approved { effect: Some(Effect::NoChange), ..helped() }),
                    ..good()
                },
                "the first suggestion helps",
            ),
            (
                Observed {
                    approved: Some(Approved { recovered_after_s: Some(181.0), ..helped() }),
                    ..good()
                },
                "the signal recovers within 180 s",
            ),
            (
                Observed {
                    approved: Some(Approved { recovered_after_s: None, ..helped() }),
                    ..good()
                },
                "the signal recovers within 180 s",
            ),
            (
                Observed {
                    approved: Some(Approved { resolved_after_s: None, ..helped() }),
                    ..good()
                },
                "the incident ends",
            ),
        ] {
            assert_eq!(unmet(key, &seen), [expected]);
        }
        assert_eq!(unmet("deploy-blip", &good()), ["no incident"]);
        assert!(unmet("deploy-blip", &Observed::default()).is_empty());
    }

    #[test]
    fn every_scenario_says_what_it_expects_of_whom_there_is() {
        let town = |entity: &str| {
            let name = entity.rsplit('=').next().unwrap_or_default();
            crate::demo::town::service_index(name).is_some()
                || crate::demo::town::node_index(name).is_some()
        };
        for s in scenarios() {
            let e = &s.expected;
            assert_eq!(e.opens(), e.cause.is_some(), "{}", s.key);
            assert_eq!(e.opens(), !e.suggestions.is_empty() && !e.patterns.is_empty(), "{}", s.key);
            assert_eq!(e.opens(), !s.fix.is_empty(), "{}", s.key);
            assert_eq!(e.opens(), e.chance.is_some(), "{}", s.key);
            // What is clear is to be shown as clear, and not above what was right of such cases.
            let right = crate::diagnose::CALIBRATION.last().map_or(0.0, |row| row.1);
            assert!(
                e.chance.is_none_or(|[least, most]| least >= 0.6 && most <= right),
                "{}",
                s.key
            );
            assert!(e.cause.iter().all(|c| town(c)), "{}: {:?}", s.key, e.cause);
        }
    }

    #[test]
    fn the_leak_is_told_long_before_it_kills() {
        let s = scenario("slow-leak").expect("shipped");
        let n = crate::demo::town::service_index("recommendations").expect("there");
        let plan = &crate::demo::town::SERVICES[n];
        let leak = s.effect[0].leak;
        let life_s = (plan.memory_limit - 1.06 * plan.memory) / leak * 3_600.0;
        assert!(f64::from(s.expected.message_within_s) < 0.5 * life_s, "{life_s}");
    }
}
