//! Whether a look is a first one. Pure.
//!
//! Seconds after a fault began its first alerts are known and little else, and what stands first then is
//! right less often ([`super::belief`]). That is a matter of how long its evidence has been there: an
//! incident that waited for others before it was opened, or that was split off from another, is new
//! and its evidence is not.

use crate::model::time::{MINUTE_MS, SECOND_MS};
use crate::model::{Alert, Incident, Time};

/// A look is a first one as long (ms) after the first word on the trouble.
const EARLY_MS: i64 = 10 * SECOND_MS;
/// Words on one trouble follow each other within this (ms): an alert that had been there for longer
/// when the next was heard tells nothing of what began with that.
const APART_MS: i64 = 2 * MINUTE_MS;

/// Whether what is known of an incident is what is known at first.
pub(super) fn is_early(incident: &Incident, alerts: &[Alert], now: Time) -> bool {
    let mut known: Vec<Time> = alerts.iter().map(|a| a.known_at.unwrap_or(a.starts_at)).collect();
    known.sort_unstable_by(|a, b| b.cmp(a));
    let mut first = incident.opened_at;
    for (n, at) in known.iter().enumerate() {
        if n > 0 && known[n - 1].ms_since(*at) > APART_MS {
            break;
        }
        first = first.min(*at);
    }
    now.ms_since(first) < EARLY_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::tests::{alert, at, input, service};
    use crate::model::{Graph, Indicator};

    /// Whether it is early at 100 s for an incident opened at `opened` whose alerts are known since.
    fn early(opened: i64, known: &[i64]) -> bool {
        let told = |(n, since): (usize, &i64)| {
            let entity = service(&format!("s{n}"));
            let told = alert(&entity, Indicator::Errors, 50.0, -300);
            Alert { known_at: Some(at(*since)), ..told }
        };
        let alerts: Vec<Alert> = known.iter().enumerate().map(told).collect();
        let mut incident = input(Graph::default(), alerts.clone(), Vec::new()).incident;
        incident.opened_at = at(opened);
        is_early(&incident, &alerts, at(100))
    }

    #[test]
    fn a_look_is_a_first_one_shortly_after_the_first_word_on_the_trouble() {
        assert!(early(98, &[97, 98, 99]), "however long ago its onset");
        assert!(!early(98, &[78]), "it waited for others before it was opened");
        assert!(!early(98, &[78, 99]), "one more has come since");
        assert!(!early(98, &[-500, -490]), "split off from an older one");
        assert!(!early(20, &[97]), "people opened it before, or it goes on");
        assert!(early(98, &[97, -200]), "what had been there for minutes is not of this");
        assert!(!early(98, &[97, 0, -100]), "what came one after another is");
        assert!(early(98, &[]) && !early(80, &[]), "opened by a person");
    }

    #[test]
    fn what_does_not_say_since_when_it_is_known_is_known_since_its_onset() {
        let old = alert(&service("web"), Indicator::Errors, 50.0, 40);
        let mut incident = input(Graph::default(), vec![old.clone()], Vec::new()).incident;
        incident.opened_at = at(98);
        assert!(!is_early(&incident, &[old], at(100)));
    }
}
