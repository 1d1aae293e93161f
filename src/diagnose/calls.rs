//! Calls along the edges of the graph, before and after the onset: who really waits for whom.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::evidence_id;
use crate::model::diagnosis::Finding;
use crate::model::figure::figure;
use crate::model::time::MINUTE_MS;
use crate::model::{EntityRef, Evidence, Fault, Incident, Time};
use crate::store::{EdgeStats, Rows};

/// Looked at after the onset, at most (ms).
const AFTER_MS: i64 = 15 * MINUTE_MS;
/// Looked at before the onset (ms).
const BEFORE_MS: i64 = 30 * MINUTE_MS;
/// Calls needed on either side to say anything.
const FEWEST: u64 = 8;
/// Evidence kept.
const MOST: usize = 8;

/// What became of the calls from one entity to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calls {
    /// Since the onset.
    pub n: u64,
    /// Failed ones.
    pub n_failed: u64,
    /// Mean duration (ms).
    pub mean_ms: f64,
    /// In a stretch before the onset.
    pub n_before: u64,
    /// Failed ones before.
    pub n_failed_before: u64,
    /// Mean duration before (ms).
    pub mean_before_ms: f64,
}

impl Calls {
    /// Whether they take at least twice as long as before, and noticeably longer.
    #[must_use]
    pub fn slow(&self) -> bool {
        self.mean_ms >= 2.0 * self.mean_before_ms && self.mean_ms - self.mean_before_ms >= 5.0
    }

    /// Whether they fail more often than before: at least one in twenty, and three times as often.
    #[must_use]
    pub fn failing(&self) -> bool {
        let share = |n: u64, of: u64| n as f64 / of.max(1) as f64;
        let now = share(self.n_failed, self.n);
        now >= 0.05 && now >= 3.0 * share(self.n_failed_before, self.n_before)
    }

    /// Which share of them is answered, as a multiple of the share before.
    #[must_use]
    pub fn answered(&self) -> f64 {
        let share = |failed: u64, of: u64| 1.0 - failed as f64 / of.max(1) as f64;
        share(self.n_failed, self.n) / share(self.n_failed_before, self.n_before).max(0.01)
    }

    /// Whether whoever waits for these calls waits no longer than before, and gets its answers.
    #[must_use]
    pub fn as_usual(&self) -> bool {
        !self.failing() && self.mean_ms < 1.5 * self.mean_before_ms + 2.0
    }

    /// In words: `112 ms a call, 8 ms before`.
    pub(super) fn words(&self) -> String {
        let ms = |value: f64| figure(value / 1e3, "s");
        let time = format!("{} a call, {} before", ms(self.mean_ms), ms(self.mean_before_ms));
        if self.failing() {
            format!("{} of {} calls failed; {time}", self.n_failed, self.n)
        } else {
            time
        }
    }
}

/// Calls by caller and callee.
pub type CallsByEdge = BTreeMap<(EntityRef, EntityRef), Calls>;

/// Calls along all edges around the onset, and how many requests each answered before it.
#[derive(Clone, Debug, Default)]
pub(super) struct Flows {
    /// Along each edge with enough calls before and since.
    pub(super) by_edge: CallsByEdge,
    /// Calls along each edge before.
    before: BTreeMap<(EntityRef, EntityRef), u64>,
    /// Calls that each answered before, and that each made.
    answered: BTreeMap<EntityRef, u64>,
    made: BTreeMap<EntityRef, u64>,
}

impl Flows {
    /// Counts the calls before the onset; those of which enough are known since are `by_edge`.
    pub(super) fn of(stats: impl IntoIterator<Item = EdgeStats>, by_edge: CallsByEdge) -> Self {
        let mut flows = Self { by_edge, ..Self::default() };
        for stats in stats {
            *flows.made.entry(stats.from.clone()).or_default() += stats.n;
            *flows.answered.entry(stats.to.clone()).or_default() += stats.n;
            flows.before.insert((stats.from, stats.to), stats.n);
        }
        flows
    }

    /// What became of the calls along an edge.
    pub(super) fn calls(&self, from: &EntityRef, to: &EntityRef) -> Option<&Calls> {
        self.by_edge.get(&(from.clone(), to.clone()))
    }

    /// The share (0 to 1) of the requests to `from` with which it called `to` before the onset; of whom
    /// no calls are counted, the share of the calls that it made. `None` where too few are known.
    pub(super) fn share(&self, from: &EntityRef, to: &EntityRef) -> Option<f64> {
        let n = *self.before.get(&(from.clone(), to.clone()))?;
        let known = |of: &BTreeMap<EntityRef, u64>| of.get(from).copied().filter(|n| *n >= FEWEST);
        let of = known(&self.answered).or_else(|| known(&self.made))?;
        Some((n as f64 / of as f64).min(1.0))
    }
}

/// Calls along all edges, around the onset.
pub(super) fn read(rows: &Rows<'_>, onset: Time, now: Time) -> Result<Flows, Fault> {
    // Counted by minute: the minute of the onset belongs to neither side.
    let minute = Time::from_ms(onset.ms().div_euclid(MINUTE_MS) * MINUTE_MS);
    let after = (minute.plus_ms(MINUTE_MS), now.min(minute.plus_ms(AFTER_MS)));
    if after.1 <= after.0 {
        return Ok(Flows::default());
    }
    let before = rows.edge_stats(minute.plus_ms(-BEFORE_MS), minute)?;
    let old_of: BTreeMap<(&EntityRef, &EntityRef), &EdgeStats> =
        before.iter().map(|s| ((&s.from, &s.to), s)).collect();
    let mut found = CallsByEdge::new();
    for stats in rows.edge_stats(after.0, after.1)? {
        let Some(old) = old_of.get(&(&stats.from, &stats.to)) else { continue };
        if stats.n >= FEWEST && old.n >= FEWEST {
            let calls = Calls {
                n: stats.n,
                n_failed: stats.n_failed,
                mean_ms: stats.mean_ms,
                n_before: old.n,
                n_failed_before: old.n_failed,
                mean_before_ms: old.mean_ms,
            };
            found.insert((stats.from, stats.to), calls);
        }
    }
    Ok(Flows::of(before, found))
}

/// Evidence for the edges that say something: first those that fail or got slow, then those that
/// clear a callee.
pub(super) fn evidence(
    incident: &Incident,
    calls: &CallsByEdge,
    troubled: &BTreeSet<EntityRef>,
    now: Time,
) -> Vec<Evidence> {
    let mut telling: Vec<(&(EntityRef, EntityRef), &Calls)> = calls
        .iter()
        .filter(|((_, to), c)| c.failing() || c.slow() || troubled.contains(to))
        .collect();
    telling.sort_by_key(|(edge, c)| (!c.failing(), !c.slow(), (*edge).clone()));
    telling
        .into_iter()
        .take(MOST)
        .map(|((from, to), c)| Evidence {
            id: evidence_id(incident, &format!("calls {from} {to}")),
            incident: Some(incident.id),
            at: now,
            summary: format!("calls from {} to {}: {}", from.name(), to.name(), c.words()),
            source: "store".into(),
            query: format!("calls from {from} to {to}, from spans"),
            since: incident.onset_at.plus_ms(-BEFORE_MS),
            until: now.min(incident.onset_at.plus_ms(AFTER_MS)),
            finding: Finding::Edge {
                from: from.clone(),
                to: to.clone(),
                n: c.n,
                n_failed: c.n_failed,
                mean_ms: c.mean_ms,
                n_before: c.n_before,
                n_failed_before: c.n_failed_before,
                mean_before_ms: c.mean_before_ms,
            },
        })
        .collect()
}
