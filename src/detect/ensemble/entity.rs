//! An entity: one or several series that share rows, and the one score of each row.
//!
//! A score has two parts. At an onset that is rare enough it lies above one half and ranks events;
//! everywhere else it lies below and follows how far the values are from their long-run level, so
//! that the rows of an episode stay above the ordinary ones.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::episode::{Episodes, Told};
use super::pool::{Class, Kind, Pool};
use super::sketch::{faded, log2};
use super::track::{Judgement, Track};
use crate::detect::apart::Former;

/// Weight of an onset's evidence beside its surprise, and of `ln` of the rows' interval in units of
/// five minutes: of two onsets of the same chance a row, that of the slower series is the rarer a
/// day, and it is by the day that somebody is woken.
const EVIDENCE: f32 = 0.6;
const SLOWNESS: f32 = 1.0 + EVIDENCE;
/// What onsets of sparse series are ranked down by, in nats: the score that a plain quiet series
/// reaches at one rate is reached by them half as often again.
const SPARSE: f32 = 1.0;
/// Onsets whose surprise and weighted evidence together reach this many nats score one half or more.
const HALF_NATS: f64 = 19.0;
/// An onset that scores one half and a little more, this many times [`HALF_NATS`], is taken as told
/// of. For a while another one must come to so many times its nats to be ranked as an onset too: one
/// event often brings several, of which only the first is news, unless it was a mere beginning. What
/// is asked falls to 1/e in so many rows, which at other intervals than five minutes go with the
/// root, as for what was told in an episode.
const TOLD_OF: f64 = 1.1;
const HUSH: f32 = 2.0;
const HUSH_ROWS: f32 = 100.0;
/// How steeply weaker onsets fall back among the other rows.
const STEEPNESS: i32 = 8;
/// Rows over which departures are averaged.
const BODY_ROWS: f32 = 2.0;
/// Departure (`ln(1 + x)` of mean absolute deviations) that scores a quarter.
const BODY_QUARTER: f64 = 1.5;
/// Weight of the surprise of the row's joint evidence in the body: of very many series, whose mean
/// departure loses that they depart together, and of one.
const JOINT: f32 = 0.8;
const JOINT_OF_ONE: f32 = 0.2;

/// State of an entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    tracks: Box<[Track]>,
    episodes: Episodes,
    body: f32,
    /// An older form has the weight of joint evidence here.
    joint: Former,
    /// How many times [`HALF_NATS`] an onset must reach now to be ranked as one.
    #[serde(default)]
    hush: f32,
}

/// What is said of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Verdict {
    /// 0 to 1, never saturating: ranks rows of all entities.
    pub score: f64,
    /// The row as part of an episode, by the past of this entity alone; see [`Self::onset_nats`].
    pub told: Told,
    /// Index of the series with the most evidence.
    pub series: usize,
    /// The class of that series before this row.
    pub class: Class,
    /// What that series looks like.
    pub judgement: Judgement,
}

/// What the pool makes of onsets before it has learned from anybody: the same for all, so that a
/// verdict depends on its own series alone.
static DEFAULT: LazyLock<Pool> = LazyLock::new(Pool::onsets);

impl Verdict {
    /// `-ln p` of the onset, `p` being the chance that a row of a quiet series of this class is the
    /// onset of such an episode; `None` when the row is no onset.
    #[must_use]
    pub fn onset_nats(&self) -> Option<f32> {
        self.told.onset_surprise.map(|own| DEFAULT.surprise(self.class, own))
    }
}

impl Default for Entity {
    /// An entity of one series.
    fn default() -> Self {
        Self::new(1)
    }
}

impl Entity {
    /// How many rows of its first series are known.
    #[must_use]
    pub fn n_rows(&self) -> u32 {
        self.tracks.first().map_or(0, Track::n_rows)
    }

    /// An entity of `columns` series.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self {
            tracks: vec![Track::default(); columns].into(),
            episodes: Episodes::default(),
            body: 0.0,
            joint: Former,
            hush: 0.0,
        }
    }

    /// Asks for the memory that the next row needs, and does not wait for it. Who judges many series
    /// in turn asks for each while the one before is judged: it changes nothing but the time.
    #[inline]
    pub fn fetch(&self) {
        self.episodes.fetch();
        for track in &self.tracks {
            track.fetch();
        }
    }

    /// Judges a row by what came before and learns it. Values that are not finite are missing;
    /// `None` when all are.
    pub fn push(&mut self, at_ms: i64, values: &[f64]) -> Option<Verdict> {
        self.fetch();
        self.push_fetched(at_ms, values)
    }

    /// As [`Self::push`], for who called [`Self::fetch`] a while ago.
    pub fn push_fetched(&mut self, at_ms: i64, values: &[f64]) -> Option<Verdict> {
        let mut verdict = Verdict::default();
        let (evidence, departure) = if let [track] = &mut *self.tracks {
            let value = values.first().filter(|value| value.is_finite())?;
            verdict.class = track.class();
            verdict.judgement = track.push(at_ms, *value);
            (verdict.judgement.evidence, far(verdict.judgement.departure))
        } else {
            self.together(at_ms, values, &mut verdict)?
        };
        verdict.told = self.episodes.judge(at_ms, evidence);
        self.body += (departure - self.body) * (1.0 / BODY_ROWS);
        verdict.score = self.score(&verdict.told, verdict.class.kind);
        Some(verdict)
    }

    /// Judges a row of several series: gives its evidence and how far it is from its level, the
    /// quadratic means of all.
    fn together(
        &mut self,
        at_ms: i64,
        values: &[f64],
        verdict: &mut Verdict,
    ) -> Option<(f32, f32)> {
        let (mut evidence, mut departure, mut n) = (0.0, 0.0, 0.0_f32);
        for (i, (track, value)) in self.tracks.iter_mut().zip(values).enumerate() {
            if !value.is_finite() {
                continue;
            }
            let class = track.class();
            let judgement = track.push(at_ms, *value);
            evidence += judgement.excess * judgement.excess;
            departure += far(judgement.departure).powi(2);
            if n == 0.0 || judgement.evidence > verdict.judgement.evidence {
                (verdict.series, verdict.class, verdict.judgement) = (i, class, judgement);
            }
            n += 1.0;
        }
        (n > 0.0).then(|| ((evidence / n).sqrt(), (departure / n).sqrt()))
    }

    fn score(&mut self, told: &Told, kind: Kind) -> f64 {
        let joint = (told.row_surprise - std::f32::consts::LN_2).max(0.0);
        let weight = match self.tracks.len() {
            0 | 1 => JOINT_OF_ONE,
            n => JOINT + (JOINT_OF_ONE - JOINT) / (n as f32).sqrt(),
        };
        let body = f64::from(self.body + weight * joint);
        let body = 0.5 * body / (body + BODY_QUARTER);
        self.hush = faded(self.hush - self.hush * (told.intervals.sqrt() * (1.0 / HUSH_ROWS)));
        let Some(rank) = told.onset_rank else {
            return body;
        };
        let slowness = log2(told.intervals) * std::f32::consts::LN_2;
        let rank = if kind == Kind::Sparse { rank - SPARSE } else { rank };
        let nats = rank + EVIDENCE * told.evidence + SLOWNESS * slowness;
        let nats = f64::from(nats.max(0.0)) / HALF_NATS;
        if nats < f64::from(self.hush) {
            return body;
        }
        if nats >= TOLD_OF {
            self.hush = HUSH * nats as f32;
        }
        let onset = if nats < 1.0 { 0.5 * nats.powi(STEEPNESS) } else { 1.0 - 0.5 / nats };
        body.max(onset)
    }
}

/// A departure on the scale of the body.
fn far(departure: f32) -> f32 {
    log2(1.0 + departure) * std::f32::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_an_onset_that_was_told_ranks_low_unless_it_is_far_greater() {
        let onset = |nats| Told { intervals: 1.0, onset_rank: Some(nats), ..Told::default() };
        let quiet = Told { onset_rank: None, ..onset(0.0) };
        let mut entity = Entity::new(1);
        assert!(entity.score(&onset(15.0), Kind::Plain) < 0.5, "too weak to be told");
        let first = entity.score(&onset(25.0), Kind::Plain);
        assert!(first > 0.5, "what was too weak hushes nothing");
        entity.score(&quiet, Kind::Plain);
        assert!(entity.score(&onset(28.0), Kind::Plain) < 0.5, "the same event again");
        let grown = entity.score(&onset(60.0), Kind::Plain);
        assert!(grown > first, "it was but the beginning");
        for _ in 0..300 {
            entity.score(&quiet, Kind::Plain);
        }
        let later = entity.score(&onset(25.0), Kind::Sparse);
        assert!(
            later > 0.5 && later < first,
            "another event, hours later, and sparse ones a little less"
        );
    }
}
