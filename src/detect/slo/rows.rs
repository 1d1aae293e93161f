//! The series that feed one objective: for how long each point stands, what comes twice or late,
//! and how much each series weighs.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::ledger::LONGEST_MS;
use crate::model::Time;
use crate::model::time::{DAY_MS, SECOND_MS};

/// Series of one objective; further ones are left out and counted.
const MOST_ROWS: usize = 1_000;
/// Holes remembered of a series: what comes late is taken where it fills one.
const HOLES: usize = 4;
/// A gap of more than this many usual steps is a hole.
const HOLE_STEPS: f64 = 2.5;

/// What is kept of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    last: Time,
    step_ms: i64,
    /// From when to when, and the step before (ms).
    holes: VecDeque<(i64, i64, i64)>,
}

/// All series of an objective.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rows {
    by_series: BTreeMap<u64, Row>,
    /// Newest events a second, by what the series are about and their labels.
    weights: BTreeMap<u64, f64>,
    /// Points that came twice or too late.
    pub(super) n_late: u64,
    /// Points of series beyond those that are followed.
    pub(super) n_beyond: u64,
}

/// How a point is to be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// For how long before its time it stands (ms).
    pub(super) dt_ms: i64,
    /// It came late, and fills a hole.
    pub(super) fills: bool,
}

impl Rows {
    /// How a point of a series is to be entered; `None` for what is known already or fills nothing.
    pub(super) fn stretch(&mut self, series: u64, at: Time, usual_ms: i64) -> Option<Stretch> {
        if !self.by_series.contains_key(&series) && self.by_series.len() >= MOST_ROWS {
            self.n_beyond += 1;
            return None;
        }
        let usual_ms = usual_ms.clamp(SECOND_MS, LONGEST_MS);
        let Some(row) = self.by_series.get_mut(&series) else {
            let row = Row { last: at, step_ms: usual_ms, holes: VecDeque::new() };
            self.by_series.insert(series, row);
            return Some(Stretch { dt_ms: usual_ms, fills: false });
        };
        let gap = at.ms_since(row.last);
        if gap <= 0 {
            let hole =
                row.holes.iter_mut().find(|(from, until, _)| *from < at.ms() && at.ms() <= *until);
            let Some((from, _, step_ms)) = hole else {
                self.n_late += 1;
                return None;
            };
            let dt_ms = (at.ms() - *from).min(*step_ms);
            // What comes late comes in order: what lies before it in the hole stays unknown.
            *from = at.ms();
            return Some(Stretch { dt_ms, fills: true });
        }
        let dt_ms = if gap as f64 > HOLE_STEPS * row.step_ms as f64 || gap > LONGEST_MS {
            let dt = row.step_ms.min(gap);
            if row.holes.len() >= HOLES {
                row.holes.pop_front();
            }
            row.holes.push_back((row.last.ms(), at.ms() - dt, dt));
            dt
        } else {
            gap
        };
        // A longer step is believed from its second point on.
        row.step_ms = gap.min(LONGEST_MS);
        row.last = at;
        Some(Stretch { dt_ms, fills: false })
    }

    /// Notes how many events a second there are of what `key` stands for.
    pub(super) fn weigh(&mut self, key: u64, rate: f64) {
        if self.weights.len() < MOST_ROWS || self.weights.contains_key(&key) {
            self.weights.insert(key, rate.max(0.0));
        }
    }

    /// How much a share counts: its events a second where they are known, else as much as any.
    pub(super) fn weight(&self, key: u64) -> f64 {
        self.weights.get(&key).copied().unwrap_or(1.0)
    }

    /// Longest usual step (ms).
    pub(super) fn step_ms(&self) -> i64 {
        self.by_series.values().map(|r| r.step_ms).max().unwrap_or(0)
    }

    /// How many series feed it.
    pub(super) fn n(&self) -> usize {
        self.by_series.len()
    }

    /// Forgets series that were silent for a day while others spoke.
    pub(super) fn forget(&mut self) {
        let Some(newest) = self.by_series.values().map(|r| r.last).max() else { return };
        self.by_series.retain(|_, r| newest.ms_since(r.last) <= DAY_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_stand_for_their_step_and_late_ones_fill_holes_once() {
        let mut rows = Rows::default();
        let at = |s: i64| Time::from_ms(1_000_000_000 + s * 1_000);
        let mut take = |s| rows.stretch(7, at(s), 15_000).map(|t| (t.dt_ms / 1_000, t.fills));
        assert_eq!(take(0), Some((15, false)));
        assert_eq!(take(15), Some((15, false)));
        assert_eq!(take(15), None, "the same point again");
        assert_eq!(take(45), Some((30, false)), "one lost scrape is no hole");
        assert_eq!(take(60), Some((15, false)));
        assert_eq!(take(300), Some((15, false)), "four minutes of silence are");
        assert_eq!(take(100), Some((15, true)));
        assert_eq!(take(100), None);
        assert_eq!(take(30), None, "known already");
        assert_eq!(rows.n_late, 3);
    }
}
