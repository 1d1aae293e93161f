//! A change of detection tried on stored points before it is applied: what it would have told
//! instead. Pure; for proposals that follow from feedback.

use serde::{Deserialize, Serialize};

use super::differ::Difference;
use super::pace::Pace;
use super::run::Claim;
use super::truth::{Event, Topic};
use crate::detect::{Config, Shard};
use crate::model::alert::Subject;
use crate::model::{Anomaly, Samples, SeriesId, Time};

/// Stretches of time about which a person said what they were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Confirmed as incidents: whose series, from, to.
    pub confirmed: Vec<(SeriesId, Time, Time)>,
    /// Said not to be one.
    pub dismissed: Vec<(SeriesId, Time, Time)>,
}

/// What a change would have meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Anomalies told as it is now.
    pub n_before: usize,
    /// Anomalies told with the change.
    pub n_after: usize,
    /// Of those, told only as it is now, and only with the change.
    pub n_gone: usize,
    /// See `n_gone`.
    pub n_new: usize,
    /// Confirmed ones that are told as it is now.
    pub n_confirmed: usize,
    /// Confirmed ones that would be missed with the change, though they are told now.
    pub n_missed: usize,
    /// Dismissed ones told as it is now, and still told with the change.
    pub n_dismissed: usize,
    /// See `n_dismissed`.
    pub n_still_told: usize,
}

/// The anomalies that detection with `config` would have told of stored points, in the order of
/// telling. Points before `since` only teach; `history` holds each series once, its points in order
/// of time.
#[must_use]
pub fn replay(config: &Config, history: &[Samples], since: Time) -> Vec<Claim> {
    let (Some(first), Some(last)) = (
        history.iter().filter_map(|t| t.points.first()).map(|p| p.at).min(),
        history.iter().filter_map(|t| t.points.last()).map(|p| p.at).max(),
    ) else {
        return Vec::new();
    };
    let step_ms = history.iter().map(|t| t.series.step_ms).min().unwrap_or(0);
    let mut shard = Shard::new(config.clone());
    let mut claims: Vec<Claim> = Vec::new();
    let mut pace = Pace::new("stored", first, since.max(first), step_ms);
    pace.play(history, last, |batch| {
        for anomaly in shard.observe(batch) {
            // Stored points end somewhere, and that is no silence.
            if matches!(anomaly.subject, Subject::Missing { .. }) {
                continue;
            }
            match claims.iter_mut().find(|c| c.anomaly.id == anomaly.id) {
                Some(known) => known.anomaly = anomaly,
                None => claims.push(Claim { anomaly, told_at: batch.received_at }),
            }
        }
    });
    claims
}

/// Replays stored points with both settings and holds the results against each other and against
/// what people said.
#[must_use]
pub fn trial(
    (before, after): (&Config, &Config),
    history: &[Samples],
    since: Time,
    said: &Said,
) -> Trial {
    let end = history.iter().filter_map(|t| t.points.last()).map(|p| p.at).max();
    let end = end.unwrap_or(since);
    let told = |config| -> Vec<Event> {
        replay(config, history, since).iter().map(|c| event(c, end)).collect()
    };
    let (a, b) = (told(before), told(after));
    let difference = Difference::of(&a, &b);
    let covers = |told: &[Event], (id, from, to): &(SeriesId, Time, Time)| {
        told.iter().any(|e| {
            let about = e.topics.iter().any(|t| t.series.as_ref().is_some_and(|(_, s)| s == id));
            about && e.since <= *to && e.until >= *from
        })
    };
    let confirmed: Vec<_> = said.confirmed.iter().filter(|s| covers(&a, s)).collect();
    let dismissed: Vec<_> = said.dismissed.iter().filter(|s| covers(&a, s)).collect();
    Trial {
        n_before: a.len(),
        n_after: b.len(),
        n_gone: difference.only_a.len(),
        n_new: difference.only_b.len(),
        n_confirmed: confirmed.len(),
        n_missed: confirmed.iter().filter(|s| !covers(&b, s)).count(),
        n_dismissed: dismissed.len(),
        n_still_told: dismissed.iter().filter(|s| covers(&b, s)).count(),
    }
}

impl Trial {
    /// In one sentence.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("It would have told {} instead of {}", self.n_after, self.n_before);
        if self.n_new > 0 {
            text.push_str(&format!(", {} of them new", self.n_new));
        }
        text.push_str(&match (self.n_confirmed, self.n_missed) {
            (0, _) => "; none of them was confirmed by anybody yet".to_owned(),
            (1, 0) => ", missing none that was confirmed (1)".to_owned(),
            (n, 0) => format!(", missing none of the {n} that were confirmed"),
            (n, missed) => format!(", missing {missed} of the {n} that were confirmed"),
        });
        if self.n_dismissed > 0 {
            let (n, still) = (self.n_dismissed, self.n_still_told);
            text.push_str(&format!("; of {n} said to be none, {still} would still be told"));
        }
        text.push('.');
        text
    }
}

/// An anomaly as an event; one that has not ended goes on to `end`.
pub(super) fn event(claim: &Claim, end: Time) -> Event {
    let Anomaly { subject, since, until, .. } = &claim.anomaly;
    let series = match subject {
        Subject::Series { series } => Some((series.metric.clone(), series.id)),
        _ => None,
    };
    let topics = vec![Topic { entity: subject.entity().clone(), series }];
    Event { topics, since: *since, until: until.unwrap_or(end.max(*since)), told_at: claim.told_at }
}
