//! Episodes: an event is told at its onset; what follows stays below until it grows or is over.
//!
//! Onsets, not rows, are counted for the calibration, so that a series whose evidence is smooth
//! (an event spans many rows) and one whose evidence is noisy (each row is its own event) tell
//! equally many events at one threshold: declustering as in extreme-value practice (Coles 2001,
//! "An Introduction to Statistical Modeling of Extreme Values", ch. 5).

use serde::{Deserialize, Serialize};

use super::count::Sample;
use super::sketch::{ONSETS, ROWS, Sketch, faded};

/// Rows in which what was told fades to 1/e, at this interval of rows. At other intervals it goes
/// with the root: between so many rows and so much time, as resampled series ask for (60 rows at
/// half an hour, 500 at half a minute).
const TOLD_ROWS: f32 = 180.0;
const TOLD_INTERVAL_MS: f32 = 300_000.0;
/// Intervals outside are taken as these: a gap does not forget what was told.
const INTERVALS_MS: (i64, i64) = (1_000, 7_200_000);
/// By how much evidence must exceed what was told to be a new onset.
const MARGIN: f32 = 0.05;
/// Further margin just after an onset, and the rows in which it fades: a flank is not many events.
const FLANK_MARGIN: f32 = 0.15;
const FLANK_KEPT: f32 = 0.904_84;
/// Weight of the rows just before an onset in its evidence, and how many they are, about. An event
/// that builds up is more often real than a lone spike.
const BUILD_UP: f32 = 0.3;
const BUILD_UP_ROWS: f32 = 3.5;

/// What was told lately, how often onsets came, and how often such rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Episodes {
    told: f32,
    /// Time of the last row in milliseconds.
    last_ms: i64,
    flank: f32,
    build_up: f32,
    rows: Sketch,
    onsets: Sketch,
}

/// A row as part of an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Told {
    /// Evidence with build-up, in nats.
    pub evidence: f32,
    /// The rows' interval over five minutes.
    pub intervals: f32,
    /// `-ln` of the chance of a row with such evidence.
    pub row_surprise: f32,
    /// `-ln` of the chance that a row is the onset of such an episode: the calibrated p-value.
    /// `None` when the row is no onset.
    pub onset_surprise: Option<f32>,
    /// What stands for it where onsets of several series are ranked; no chance.
    pub onset_rank: Option<f32>,
}

impl Episodes {
    /// Asks for the memory of the counts; see [`fetch`](super::row::fetch).
    #[inline]
    pub(super) fn fetch(&self) {
        self.rows.fetch();
        self.onsets.fetch();
    }

    /// Judges a row with the given evidence (nats, not negative) and learns it.
    pub(super) fn judge(&mut self, at_ms: i64, evidence: f32) -> Told {
        let interval = at_ms.saturating_sub(self.last_ms).clamp(INTERVALS_MS.0, INTERVALS_MS.1);
        self.last_ms = at_ms;
        let intervals = interval as f32 * (1.0 / TOLD_INTERVAL_MS);
        self.told = faded(self.told - self.told * (intervals.sqrt() * (1.0 / TOLD_ROWS)));
        self.flank = faded(self.flank * FLANK_KEPT);
        let gate = evidence;
        let evidence = gate + BUILD_UP * self.build_up;
        self.build_up = faded(self.build_up + gate - self.build_up * (1.0 / BUILD_UP_ROWS));

        let sample = Sample::new(self.rows.number());
        let row_surprise = self.rows.surprise(evidence, ROWS);
        self.rows.push(evidence, ROWS, sample);
        let is_onset = gate > self.told * (1.0 + MARGIN + self.flank);
        let onset_surprise = is_onset.then(|| self.onsets.surprise(evidence, ONSETS));
        let onset_rank = is_onset.then(|| self.onsets.rank(evidence, ONSETS));
        if is_onset {
            self.flank = FLANK_MARGIN;
            self.onsets.push(evidence, ONSETS, Sample::new(self.onsets.number()));
        } else {
            self.onsets.push_below();
        }
        self.told = self.told.max(gate);
        Told { evidence, intervals, row_surprise, onset_surprise, onset_rank }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_once_and_again_when_it_grows() {
        let mut episodes = Episodes::default();
        for i in 0..2_000 {
            episodes.judge(i * 60_000, if i % 50 == 0 { 0.5 } else { 0.0 });
        }
        let told: Vec<bool> = [9.0, 9.0, 8.0, 9.1, 30.0, 9.0]
            .into_iter()
            .map(|e| episodes.judge(2_000 * 60_000, e).onset_surprise.is_some())
            .collect();
        assert_eq!(told, [true, false, false, false, true, false]);
    }
}
