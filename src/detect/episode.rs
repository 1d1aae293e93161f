//! An episode: from the first point outside, held until it is sure, to the last, with hysteresis.

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::grounds::Surprise;
use super::telling::told;
use super::usual::severity;
use crate::model::alert::Band;
use crate::model::signal::Direction;
use crate::model::{Anomaly, Series, Time};

/// Share of points that must be outside while a departure is held.
const OUTSIDE: f64 = 0.65;
/// A departure that was not called is over, however long it was, once it has been inside for so many times
/// as long as clears one that was, and for so many points: what comes later is another.
const BACK: (i64, u32) = (5, 8);
/// An episode goes on while the score is above this share of the threshold.
const HYSTERESIS: f64 = 0.75;
/// Points rarer than this many times the least surprise (nats) are never excused as usual.
const EXCUSED: f64 = 1.0;
/// A called episode is told again after this long (ms), or when it got a quarter worse.
const RETELL_MS: i64 = 60_000;

/// What one point says, already fused over all views.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Claim {
    pub(super) at: Time,
    pub(super) value: f64,
    pub(super) score: f64,
    pub(super) expected: Band,
    pub(super) detector: &'static str,
    /// What the ensemble said of the point.
    pub(super) surprise: Surprise,
}

/// Times and thresholds of an episode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) threshold: f64,
    pub(super) hold_ms: i64,
    pub(super) clear_ms: i64,
    /// Points outside before it is called.
    pub(super) least_points: u32,
    /// How surprising its points must be by the series' own past (nats), unless it is far out or
    /// lasts; 0 while that past is too short to say.
    pub(super) least_nats: f64,
    /// Which share of them there must be, however far out it is and however long it lasts.
    pub(super) least_share: f64,
    /// It must be worse than this ([`severity`]): such departures are usual for the series.
    pub(super) usual: Option<f64>,
    /// It must be worse than this ([`severity`]), however surprising its points are: one is due, or
    /// a change that it is part of has been told.
    pub(super) excused: Option<f64>,
}

impl Rules {
    /// Those of a view that looks at many points at once, or at several series: held and cleared as
    /// configured, with no word of a single series' own past.
    pub(super) fn held(config: &Config, least_points: u32) -> Self {
        Self {
            threshold: config.threshold,
            hold_ms: i64::from(config.hold_s) * 1_000,
            clear_ms: i64::from(config.clear_s) * 1_000,
            least_points,
            least_nats: 0.0,
            least_share: 0.0,
            usual: None,
            excused: None,
        }
    }
}

/// A departure under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Episode {
    pub(super) since: Time,
    pub(super) at: Time,
    pub(super) value: f64,
    pub(super) peak: f64,
    pub(super) score: f64,
    pub(super) expected: Band,
    pub(super) detector: String,
    pub(super) direction: Direction,
    pub(super) called: bool,
    last_out: Time,
    n_out: u32,
    n_in: u32,
    told_at: Time,
    told_score: f64,
    #[serde(default)]
    pub(super) surprise: Surprise,
    /// What else is to be said of it.
    #[serde(default)]
    pub(super) note: String,
}

/// What changed by one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing worth telling.
    Quiet,
    /// A held departure fell back: it never was an anomaly.
    Dropped,
    /// It was called.
    Called,
    /// It is told again: worse, or a while later.
    Retold,
    /// It ended, at `last_out`.
    Ended,
}

impl Episode {
    /// A new departure.
    pub(super) fn start(claim: &Claim) -> Self {
        let up = claim.value >= claim.expected.mid;
        Self {
            since: claim.at,
            at: claim.at,
            value: claim.value,
            peak: claim.value,
            score: claim.score,
            expected: claim.expected,
            detector: claim.detector.to_owned(),
            direction: if up { Direction::High } else { Direction::Low },
            called: false,
            last_out: claim.at,
            n_out: 1,
            n_in: 0,
            told_at: claim.at,
            told_score: 0.0,
            surprise: claim.surprise,
            note: String::new(),
        }
    }

    /// When it ended, once [`Step::Ended`] was said: the last point outside.
    pub(super) fn ended_at(&self) -> Time {
        self.last_out
    }

    /// Goes on by one point.
    pub(super) fn step(&mut self, claim: &Claim, rules: &Rules) -> Step {
        self.at = claim.at;
        self.value = claim.value;
        self.expected = claim.expected;
        let edge = if self.called { HYSTERESIS * rules.threshold } else { rules.threshold };
        self.surprise.join(&claim.surprise);
        if claim.score >= edge {
            self.last_out = claim.at;
            self.n_out += 1;
            if claim.score > self.score {
                claim.detector.clone_into(&mut self.detector);
            }
            self.score = self.score.max(claim.score);
            let worse = match self.direction {
                Direction::Low => claim.value < self.peak,
                Direction::High | Direction::Both => claim.value > self.peak,
            };
            if worse {
                self.peak = claim.value;
            }
        } else {
            self.n_in += 1;
        }
        if !self.called {
            let share = f64::from(self.n_out) / f64::from(self.n_out + self.n_in);
            let back_ms = self.at.ms_since(self.last_out);
            let is_back = self.n_in >= BACK.1 && back_ms >= BACK.0 * rules.clear_ms;
            if share < OUTSIDE || is_back {
                return Step::Dropped;
            }
            let lasted_ms = self.last_out.ms_since(self.since);
            let held = lasted_ms >= rules.hold_ms;
            if held
                && self.n_out >= rules.least_points
                && claim.score >= edge
                && self.weighs_enough(rules, lasted_ms)
            {
                self.called = true;
                return self.tell(Step::Called);
            }
            return Step::Quiet;
        }
        if self.at.ms_since(self.last_out) >= rules.clear_ms {
            return Step::Ended;
        }
        let worse = self.score >= 1.25 * self.told_score;
        if worse || self.at.ms_since(self.told_at) >= RETELL_MS {
            return self.tell(Step::Retold);
        }
        Step::Quiet
    }

    /// How bad it has been so far; `None` while it was not even held.
    pub(super) fn severity(&self, rules: &Rules) -> Option<f64> {
        let lasted_ms = self.last_out.ms_since(self.since);
        let held = lasted_ms >= rules.hold_ms && self.n_out >= rules.least_points;
        let holds = lasted_ms as f64 / rules.hold_ms.max(1) as f64;
        held.then(|| severity(self.score / rules.threshold, holds))
    }

    fn weighs_enough(&self, rules: &Rules, lasted_ms: i64) -> bool {
        let times = self.score / rules.threshold;
        let holds = lasted_ms as f64 / rules.hold_ms.max(1) as f64;
        if rules.excused.is_some_and(|limit| severity(times, holds) < limit) {
            return false;
        }
        // What its own past has not seen the like of is never excused by habit.
        let known = f64::from(self.surprise.nats()) < EXCUSED * rules.least_nats;
        if known && rules.usual.is_some_and(|usual| severity(times, holds) < usual) {
            return false;
        }
        if f64::from(self.surprise.nats()) < rules.least_share * rules.least_nats {
            return false;
        }
        rules.least_nats <= 0.0 || self.surprise.suffices(rules.least_nats, times, holds)
    }

    fn tell(&mut self, step: Step) -> Step {
        self.told_at = self.at;
        self.told_score = self.score;
        step
    }
}

/// Moves an episode on by one claim; gives what is to be told.
pub(super) fn advance(
    slot: &mut Option<Box<Episode>>,
    series: &Series,
    claim: &Claim,
    rules: &Rules,
) -> Option<Anomaly> {
    let Some(episode) = slot else {
        if claim.score >= rules.threshold {
            let mut episode = Episode::start(claim);
            episode.called = rules.hold_ms == 0;
            let anomaly = episode.called.then(|| told(series, &episode, None));
            *slot = Some(Box::new(episode));
            return anomaly;
        }
        return None;
    };
    match episode.step(claim, rules) {
        Step::Quiet => None,
        Step::Dropped => {
            *slot = None;
            None
        }
        Step::Called | Step::Retold => Some(told(series, episode, None)),
        Step::Ended => {
            let anomaly = told(series, episode, Some(episode.ended_at()));
            *slot = None;
            Some(anomaly)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        threshold: 4.0,
        hold_ms: 60_000,
        clear_ms: 120_000,
        least_points: 4,
        least_nats: 0.0,
        least_share: 0.0,
        usual: None,
        excused: None,
    };

    /// Feeds scores at 15 s and gives what was said, one letter a point.
    fn run(scores: &[f64]) -> String {
        run_by(&RULES, scores)
    }

    fn run_by(rules: &Rules, scores: &[f64]) -> String {
        let mut episode: Option<Episode> = None;
        let mut said = String::new();
        for (i, score) in scores.iter().enumerate() {
            let expected = Band { low: 0.0, mid: 1.0, high: 2.0 };
            let at = Time::from_ms(1_000_000 + i as i64 * 15_000);
            let claim = Claim {
                at,
                value: 1.0 + score / 4.0,
                score: *score,
                expected,
                detector: "t/1",
                surprise: Surprise::default(),
            };
            let step = match &mut episode {
                Some(e) => e.step(&claim, rules),
                None if *score >= rules.threshold => {
                    episode = Some(Episode::start(&claim));
                    Step::Quiet
                }
                None => Step::Quiet,
            };
            said.push(match step {
                Step::Quiet => '.',
                Step::Dropped => 'd',
                Step::Called => 'C',
                Step::Retold => 'r',
                Step::Ended => 'E',
            });
            if matches!(step, Step::Dropped | Step::Ended) {
                episode = None;
            }
        }
        said
    }

    #[test]
    fn hold_hysteresis_and_end() {
        for (scores, said) in [
            // Called after a minute, told again each minute, ended two minutes after the last.
            (vec![5.0; 10], "....C...r."),
            (vec![5.0, 5.0, 1.0, 1.0], "...d"),
            (vec![5.0, 5.0, 5.0, 1.0, 5.0, 5.0], "....C."),
            ([vec![6.0; 5], vec![3.5; 5], vec![1.0; 8]].concat(), "....C...r...r...rE"),
            (vec![5.0, 5.0, 5.0, 5.0, 5.0, 9.0], "....Cr"),
        ] {
            assert_eq!(run(&scores), said, "{scores:?}");
        }
    }

    #[test]
    fn what_was_excused_and_is_back_is_no_beginning_of_what_comes_later() {
        let excused = Rules { excused: Some(1e9), ..RULES };
        // An hour outside, and then inside: it is over after ten minutes.
        let said = run_by(&excused, &[vec![5.0; 240], vec![1.0; 60]].concat());
        assert_eq!(said.find('d'), Some(279), "{said}");
        // Where points are few, as many of them are waited for.
        let sparse = Rules { clear_ms: 15_000, ..excused };
        let said = run_by(&sparse, &[vec![5.0; 240], vec![1.0; 60]].concat());
        assert_eq!(said.find('d'), Some(247), "{said}");
    }
}
