//! Episodes: an event is told at its onset; what follows stays below until it grows or is over.
//!
//! Onsets, not rows, are counted for the calibration, so that a series whose evidence is smooth
//! (an event spans many rows) and one whose evidence is noisy (each row is its own event) tell
//! equally many events at one threshold: declustering as in extreme-value practice (Coles 2001,
//! "An Introduction to Statistical Modeling of Extreme Values", ch. 5).

use serde::{Deserialize, Serialize};

use super::sketch::{ONSETS, ROWS, Sketch};

/// Rows in which what was told fades to 1/e.
const TOLD_ROWS: f32 = 400.0;
/// By how much evidence must exceed what was told to be a new onset.
const MARGIN: f32 = 0.1;
/// Further margin just after an onset, and the rows in which it fades: a flank is not many events.
const FLANK_MARGIN: f32 = 0.8;
const FLANK_ROWS: f32 = 6.0;
/// Weight of the rows just before an onset in its evidence, and how many they are, about. An event
/// that builds up is more often real than a lone spike.
const BUILD_UP: f32 = 0.6;
const BUILD_UP_ROWS: f32 = 3.5;

/// What was told lately, how often onsets came, and how often such rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Episodes {
    told: f32,
    since_onset: f32,
    build_up: f32,
    rows: Sketch,
    onsets: Sketch,
}

/// A row as part of an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Told {
    /// Evidence with build-up, in nats.
    pub evidence: f32,
    /// `-ln` of the chance of a row with such evidence.
    pub row_surprise: f32,
    /// `-ln` of the chance that a row is the onset of such an episode: the calibrated p-value.
    /// `None` when the row is no onset.
    pub onset_surprise: Option<f32>,
}

impl Episodes {
    /// Judges a row with the given evidence (nats, not negative) and learns it.
    pub(super) fn judge(&mut self, evidence: f32) -> Told {
        self.told -= self.told / TOLD_ROWS;
        self.since_onset += 1.0;
        let margin = MARGIN + FLANK_MARGIN * (-self.since_onset / FLANK_ROWS).exp();
        let gate = evidence;
        let evidence = gate + BUILD_UP * self.build_up;
        self.build_up += gate - self.build_up / BUILD_UP_ROWS;

        let row_surprise = self.rows.surprise(evidence);
        self.rows.push(evidence, ROWS);
        let is_onset = gate > self.told * (1.0 + margin);
        let onset_surprise = is_onset.then(|| self.onsets.surprise(evidence));
        if is_onset {
            self.since_onset = 0.0;
            self.onsets.push(evidence, ONSETS);
        } else {
            self.onsets.push_below();
        }
        self.told = self.told.max(gate);
        Told { evidence, row_surprise, onset_surprise }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_once_and_again_when_it_grows() {
        let mut episodes = Episodes::default();
        for i in 0..2_000 {
            episodes.judge(if i % 50 == 0 { 0.5 } else { 0.0 });
        }
        let told: Vec<bool> = [9.0, 9.0, 8.0, 9.1, 30.0, 9.0]
            .into_iter()
            .map(|e| episodes.judge(e).onset_surprise.is_some())
            .collect();
        assert_eq!(told, [true, false, false, false, true, false]);
    }
}
