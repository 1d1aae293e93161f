//! An entity: one or several series that share rows, and the one score of each row.
//!
//! A score has two parts. At an onset that is rare enough it lies above one half and ranks events;
//! everywhere else it lies below and follows how far the values are from their long-run level, so
//! that the rows of an episode stay above the ordinary ones.

use serde::{Deserialize, Serialize};

use super::episode::{Episodes, Told};
use super::track::{Judgement, Track};

/// Onsets whose surprise and evidence together reach this many nats score one half or more.
const HALF_NATS: f64 = 13.0;
/// How steeply weaker onsets fall back among the other rows.
const STEEPNESS: i32 = 8;
/// Rows over which departures are averaged.
const BODY_ROWS: f32 = 2.0;
/// Departure (`ln(1 + x)` of mean absolute deviations) that scores a quarter.
const BODY_QUARTER: f64 = 2.0;
/// Weight of the joint surprise in the body of many series, whose mean departure loses that they
/// depart together; one series needs none.
const JOINT: f32 = 0.1;

/// State of an entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    tracks: Vec<Track>,
    episodes: Episodes,
    body: f32,
    joint: f32,
}

/// What is said of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Verdict {
    /// 0 to 1, never saturating: ranks rows of all entities.
    pub score: f64,
    /// The row as part of an episode; its onset surprise is the calibrated p-value.
    pub told: Told,
    /// Index of the series with the most evidence.
    pub series: usize,
    /// What that series looks like.
    pub judgement: Judgement,
}

impl Entity {
    /// An entity of `columns` series.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        let joint = JOINT * (1.0 - 1.0 / (columns.max(1) as f32).sqrt());
        Self {
            tracks: vec![Track::default(); columns],
            episodes: Episodes::default(),
            body: 0.0,
            joint,
        }
    }

    /// Judges a row by what came before and learns it. Values that are not finite are missing;
    /// `None` when all are.
    pub fn push(&mut self, at_ms: i64, values: &[f64]) -> Option<Verdict> {
        let mut verdict = Verdict::default();
        let (mut evidence, mut departure, mut n) = (0.0, 0.0, 0.0);
        for (i, (track, value)) in self.tracks.iter_mut().zip(values).enumerate() {
            if !value.is_finite() {
                continue;
            }
            let judgement = track.push(at_ms, *value);
            evidence += judgement.evidence * judgement.evidence;
            departure += judgement.departure.ln_1p().powi(2);
            if n == 0.0 || judgement.evidence > verdict.judgement.evidence {
                (verdict.series, verdict.judgement) = (i, judgement);
            }
            n += 1.0;
        }
        if n == 0.0 {
            return None;
        }
        verdict.told = self.episodes.judge((evidence / n).sqrt());
        self.body += ((departure / n).sqrt() - self.body) / BODY_ROWS;
        verdict.score = self.score(&verdict.told);
        Some(verdict)
    }

    fn score(&self, told: &Told) -> f64 {
        let body = f64::from(self.body + self.joint * told.row_surprise);
        let body = 0.5 * body / (body + BODY_QUARTER);
        let Some(surprise) = told.onset_surprise else {
            return body;
        };
        let nats = f64::from(surprise + told.evidence) / HALF_NATS;
        let onset = if nats < 1.0 { 0.5 * nats.powi(STEEPNESS) } else { 1.0 - 0.5 / nats };
        body.max(onset)
    }
}
