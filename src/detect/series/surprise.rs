//! How surprising a point is by its series' own past: the ensemble is asked, and what it says goes
//! to the episode, to the watch over detectors and to the pool.

use super::super::config::Config;
use super::super::drift::Row;
use super::super::grounds::Surprise;
use super::super::pooled::Pooled;
use super::{SeriesState, Word};
use crate::model::Point;

/// Points of a series before its past says how surprising a point is: two and a half hours at 15 s,
/// three and a half days of history at 5 min.
pub(super) const KNOWN_POINTS: u32 = 1_000;
/// What leaves its band this soon (ms, or in usual steps) after an onset belongs to it.
const ONSET_MS: i64 = 120_000;
const ONSET_STEPS: i64 = 4;

impl SeriesState {
    /// Asks for the memory that the next point needs, while other things are done; see
    /// [`Entity::fetch`](super::Entity::fetch).
    pub(in super::super) fn fetch(&self) {
        self.ensemble.fetch();
    }

    /// How surprising a point is. Nothing of a departure that was called is learned: a fault does
    /// not become what is usual.
    pub(super) fn surprise(
        &mut self,
        config: &Config,
        pooled: &Pooled,
        (point, step_ms): (Point, i64),
        word: &mut Word,
    ) -> Surprise {
        if self.rare.departure.as_ref().is_some_and(|e| e.called) {
            return Surprise::default();
        }
        let before = self.ensemble.n_rows();
        let verdict = self.ensemble.push_fetched(point.at.ms(), &[point.value]).unwrap_or_default();
        if before < KNOWN_POINTS {
            return Surprise::default();
        }
        word.nats = verdict.told.row_surprise;
        let heard = pooled.hear(&verdict);
        let nats = heard.nats(config.drift.pool_learns);
        word.row = Some(Row {
            heard,
            onset_surprise: nats.map(f64::from),
            departure: f64::from(verdict.judgement.departure),
            step_ms,
            repeats: point.value == self.last_value,
        });
        if self.unheeded {
            return Surprise::default();
        }
        let mut surprise = Surprise::of(nats.unwrap_or(0.0), &verdict, before);
        let fresh = point.at.ms_since(self.onset.0) <= ONSET_MS.max(ONSET_STEPS * self.step_ms);
        if surprise.nats() > 0.0 && (!fresh || surprise.nats() >= self.onset.1) {
            self.onset = (point.at, surprise.nats());
        } else if fresh {
            surprise.follows(self.onset.1);
        }
        surprise
    }
}
