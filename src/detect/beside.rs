//! Views beside the bands: what a band around single values can't see. Each stands only by series of
//! its kind, so that the others pay nothing for it.
//!
//! What kind a series is of is read off its description and its first values: counts of rare
//! events, shares between two bounds, or amounts. Their findings are held, called and ended like any
//! departure, with the same grounds, and the budget is asked for those that could open an incident.

use serde::{Deserialize, Serialize};

use crate::model::alert::{Anomaly, Band};
use crate::model::time::{HOUR_MS, duration_text};
use crate::model::{Point, Series, Time, figure};
use crate::stats::Few;

use super::counts::Counts;
use super::episode::{Claim, Episode, Rules, advance};
use super::grounds::Surprise;
use super::ratio::Ratio;
use super::rollup;
use super::series::never_usual;
use super::skew::Skew;
use super::spread::Spread;
use super::telling::told;
use super::view::{Facts, Opinion};

/// Values that a series is known by.
const SAMPLE: u16 = 200;
/// Share of zeros that makes whole numbers counts of rare events, and the mean below which others
/// are.
const ZEROS: f64 = 0.4;
const SMALL: f64 = 4.0;
/// Share of repeated values from which a series is not lively enough to have noise.
const REPEATS: f64 = 0.2;
/// Share of the least surprise that a share must show by its own past: a busy resource that is
/// often near its bound is no news, however long it is.
const SHARE_NATS: f64 = 0.5;
/// Cutting a count off here loses nothing that matters.
const MOST_COUNT: f64 = 1_000.0;

/// What a view found at a point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finding {
    pub(super) opinion: Opinion,
    /// What it looked at, in the series' unit: a mean of the newest points, their unrest.
    pub(super) value: f64,
}

/// The views beside the bands of one series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Beside {
    manner: Manner,
    spread: Option<Box<Spread>>,
    /// What they found, under way.
    open: Few<Episode>,
}

/// What kind of numbers a series gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
enum Manner {
    /// Nothing is known of it.
    #[default]
    New,
    /// Its first values.
    Young(Box<Sample>),
    /// Whole numbers, most of them small.
    Counts(Box<Counts>),
    /// Between two bounds.
    Share(Box<Ratio>),
    /// Above zero.
    Amount(Box<Skew>),
    /// Anything else.
    Other,
}

/// What the first values say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sample {
    n: u16,
    zeros: u16,
    repeats: u16,
    broken: u16,
    beyond: u16,
    below: u16,
    last: f64,
    mean: f64,
}

/// What is known when the views are asked about a live point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) series: &'a Series,
    pub(super) rules: Rules,
    pub(super) surprise: Surprise,
    pub(super) step_ms: i64,
    /// The point before.
    pub(super) before: Point,
    /// A departure of the values was called: nothing new is told beside it.
    pub(super) is_told: bool,
    /// The values depart, told or not: what they do is no noise.
    pub(super) is_departing: bool,
}

impl Beside {
    /// What the view that knows the series' own distribution thinks of a value: it leads as the
    /// bands do, and must agree with them.
    pub(super) fn among(&self, facts: &Facts<'_>, point: Point) -> Option<Opinion> {
        match &self.manner {
            Manner::Amount(skew) => skew.judge(facts, point),
            _ => None,
        }
    }

    /// The series lives by other rules from now on: how much it moves is learned anew.
    pub(super) fn restart(&mut self) {
        if let Some(spread) = &mut self.spread {
            **spread = Spread::default();
        }
    }

    /// Asks the other views about a live point and moves what they found on.
    pub(super) fn judge(
        &mut self,
        facts: &Facts<'_>,
        point: Point,
        asked: &Asked<'_>,
        out: &mut Vec<Anomaly>,
    ) {
        let findings = [
            match &self.manner {
                Manner::Counts(counts) => counts.judge(facts, point),
                Manner::Share(ratio) => ratio.judge(facts, point),
                _ => None,
            },
            self.spread.as_ref().and_then(|s| s.judge(facts, (asked.before, point), asked.step_ms)),
        ];
        for finding in findings.into_iter().flatten() {
            let id = finding.opinion.detector;
            // They look at many points at once and at their own past: only how busy a resource is,
            // which is held against the odds of a time, needs a further word of it.
            let asks = id == Ratio::ID && !never_usual(facts.indicator);
            let rules = Rules {
                least_nats: if asks { asked.rules.least_nats } else { 0.0 },
                least_share: if asks { SHARE_NATS } else { 0.0 },
                least_points: 3,
                ..asked.rules
            };
            let score = finding.opinion.score / facts.bar.max(f64::MIN_POSITIVE);
            let at = self.open.iter().position(|e| e.detector == id);
            // What another view tells of needs no second word.
            let has_other = asked.is_departing || !self.open.is_empty();
            let is_told = asked.is_told || (id == Spread::ID && has_other);
            if at.is_none() && (is_told || score < facts.config.threshold) {
                continue;
            }
            let mut slot = at.map(|at| Box::new(self.open.remove(at)));
            let claim = Claim {
                at: point.at,
                value: finding.value,
                score,
                expected: finding.opinion.expected,
                detector: id,
                surprise: asked.surprise,
            };
            out.extend(advance(&mut slot, asked.series, &claim, &rules));
            let Some(episode) = slot else { continue };
            if self.adopt(facts, asked.series, &episode, out) {
                continue;
            }
            self.open.push(*episode);
        }
    }

    /// Learns a point; `departing` says that it belongs to a departure of the values, and whether that
    /// is told of; beside the usual step stands the point before.
    pub(super) fn learn(
        &mut self,
        facts: &Facts<'_>,
        point: Point,
        (departing, is_told): (bool, bool),
        (step_ms, before): (i64, Point),
    ) {
        let is_open = |id: &str| self.open.iter().any(|e| e.detector == id);
        let told = departing || is_open(Counts::ID) || is_open(Ratio::ID);
        let restless = departing || is_open(Spread::ID);
        if !facts.backfill
            && let Some(spread) = &mut self.spread
        {
            // The steps of a fault are no noise: they must not be told of in its wake.
            if !is_told {
                spread.learn((before, point), step_ms, restless);
            }
        }
        match &mut self.manner {
            Manner::New => {
                let sample = Sample { last: f64::NAN, ..Sample::default() };
                self.manner = Manner::Young(Box::new(sample));
                self.learn(facts, point, (departing, is_told), (step_ms, before));
            }
            Manner::Young(sample) => {
                sample.push(point.value, facts.bound);
                if sample.n >= SAMPLE {
                    self.spread = sample.is_lively().then(Box::default);
                    self.manner = sample.manner(facts);
                }
            }
            Manner::Counts(_) if !is_count(point.value) => self.manner = Manner::Other,
            Manner::Counts(counts) => counts.learn(point, told),
            Manner::Share(_) if facts.bound.is_none_or(|b| !(0.0..=b).contains(&point.value)) => {
                self.manner = Manner::Other;
            }
            Manner::Share(ratio) => ratio.learn(facts, point, told),
            Manner::Amount(skew) => skew.learn(facts, point, departing),
            Manner::Other => {}
        }
    }

    /// Bytes that it keeps elsewhere.
    pub(super) fn heap_bytes(&self) -> usize {
        let manner = match &self.manner {
            Manner::Young(_) => size_of::<Sample>(),
            Manner::Counts(_) => size_of::<Counts>(),
            Manner::Share(_) => size_of::<Ratio>(),
            Manner::Amount(_) => size_of::<Skew>(),
            Manner::New | Manner::Other => 0,
        };
        let spread = self.spread.as_ref().map_or(0, |_| size_of::<Spread>());
        manner + spread + self.open.heap_bytes()
    }

    /// Whether something is open.
    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// What is open, to be ended by somebody who knows why.
    pub(super) fn take_open(&mut self) -> Vec<Episode> {
        self.open.take()
    }

    /// Ends what has lasted so long that it counts as normal; says whether it did.
    fn adopt(
        &mut self,
        facts: &Facts<'_>,
        series: &Series,
        episode: &Episode,
        out: &mut Vec<Anomaly>,
    ) -> bool {
        let lasted_ms = episode.at.ms_since(episode.since);
        let patience_ms = i64::from(facts.config.adopt_after_h) * HOUR_MS;
        let never = never_usual(facts.indicator) && episode.detector != Spread::ID;
        if !episode.called || never || lasted_ms < patience_ms {
            return false;
        }
        if episode.detector == Spread::ID {
            self.spread.iter_mut().for_each(|s| s.restart(episode.at));
        }
        match &mut self.manner {
            Manner::Counts(counts) if episode.detector == Counts::ID => counts.restart(),
            Manner::Share(ratio) if episode.detector == Ratio::ID => ratio.restart(),
            _ => {}
        }
        let mut anomaly = told(series, episode, Some(episode.at));
        anomaly.why = format!(
            "{} It has lasted {}, so it counts as normal from now on.",
            anomaly.why,
            duration_text(lasted_ms)
        );
        out.push(anomaly);
        true
    }
}

impl Sample {
    fn push(&mut self, value: f64, bound: Option<f64>) {
        self.n += 1;
        self.zeros += u16::from(value == 0.0);
        self.repeats += u16::from(value == self.last);
        self.broken += u16::from(!is_count(value));
        self.below += u16::from(value <= 0.0);
        self.beyond += u16::from(bound.is_none_or(|b| !(0.0..=b).contains(&value)));
        self.last = value;
        self.mean += (value - self.mean) / f64::from(self.n);
    }

    fn is_lively(&self) -> bool {
        f64::from(self.repeats) < REPEATS * f64::from(self.n)
    }

    fn manner(&self, facts: &Facts<'_>) -> Manner {
        let zeros = f64::from(self.zeros) / f64::from(self.n.max(1));
        let constant = self.repeats + 1 >= self.n;
        if self.beyond == 0 && self.broken > 0 {
            Manner::Share(Box::default())
        } else if self.broken == 0
            && facts.bound.is_none()
            && (zeros >= ZEROS || (self.mean <= SMALL && !constant && zeros > 0.0))
        {
            Manner::Counts(Box::default())
        } else if self.below == 0 && self.is_lively() {
            Manner::Amount(Box::default())
        } else {
            Manner::Other
        }
    }
}

fn is_count(value: f64) -> bool {
    (0.0..=MOST_COUNT).contains(&value) && value.fract() == 0.0
}

/// The normal deviate that is exceeded with a chance of `e^ln_p` on one side, for chances up to a
/// tenth; 0 above. From the asymptotic expansion of the tail (Abramowitz and Stegun 26.2.12), which
/// two rounds bring to 1 %.
pub(super) fn deviates(ln_p: f64) -> f64 {
    if ln_p > -2.3 {
        return 0.0;
    }
    let mut square = -2.0 * ln_p;
    for _ in 0..4 {
        let z = square.max(1.0);
        square = -2.0 * ln_p - (std::f64::consts::TAU * z).ln() - 2.0 * (1.0 / z).ln_1p();
    }
    square.max(0.0).sqrt().min(1e3)
}

/// Whether a finding is for information only: what a series' noise does wakes nobody.
pub(super) fn informs_only(detector: &str) -> bool {
    detector == Spread::ID
}

/// Whether a finding is one of a view beside the bands: what it tells of no band did, so somebody
/// should look when it is strong and nobody need get up.
pub(super) fn sees_beside(detector: &str) -> bool {
    matches!(detector, Counts::ID | Ratio::ID | Spread::ID | rollup::ID)
}

/// A share in per cent, as exact as its distance from the nearer bound asks for: 99.95 % is not 100 %.
pub(super) fn share_text(share: f64, unit: &str) -> String {
    let percent = if unit == "%" { share } else { 100.0 * share };
    let digits = match percent.min(100.0 - percent).abs() {
        // In the middle, and at the bound but for rounding.
        ..1e-5 | 10.0.. => 0,
        1.0.. => 1,
        0.1.. => 2,
        0.01.. => 3,
        _ => 4,
    };
    format!("{percent:.digits$} %")
}

/// Why a view beside the bands told of an episode; `None` for the other views.
pub(super) fn why(series: &Series, episode: &Episode) -> Option<String> {
    let show = |v| match episode.detector.as_str() {
        Ratio::ID => share_text(v, &series.unit),
        _ => figure(v, &series.unit),
    };
    let (name, Band { low, high, .. }) = (&series.metric, episode.expected);
    let since: Time = episode.since;
    let (what, of) = match episode.detector.as_str() {
        Counts::ID => ("events a point on average of the newest", "by the rate that they come at"),
        Ratio::ID => ("on average of the newest points", "by its usual odds at this time"),
        Spread::ID => ("the usual step from one point to the next", "by its unrest so far"),
        _ => return None,
    };
    Some(format!(
        "{name}: {} {what} (at worst {}); {} to {} is expected {of}, {:.1} standard deviations or \
         their equivalent at worst, since {} UTC ({}).",
        show(episode.value),
        show(episode.peak),
        show(low.max(0.0)),
        show(high),
        episode.score,
        since.clock_text(),
        episode.detector
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviates_are_those_of_a_normal_distribution() {
        for (p, z) in [(0.022_750_13, 2.0), (0.001_349_9, 3.0), (3.167_1e-5, 4.0), (9.866e-10, 6.0)]
        {
            let got = deviates(f64::ln(p));
            assert!((got - z).abs() < 0.03, "{p}: {got}");
        }
        assert_eq!(deviates(-0.1), 0.0);
        assert!(deviates(-1e9).is_finite());
    }
}
