//! The seasonal view: what this hour of the week usually shows, moved by what the last half day
//! adds, with a margin of recent noise.

mod residuals;

use serde::{Deserialize, Serialize};

use self::residuals::Residuals;
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{Point, Time};
use crate::stats::seasonal::{Maturity, Renewal};
use crate::stats::{Expectation, Profile};

use super::view::{Detector, Facts, Opinion};

/// Time constant of the offset: a lasting small shift (growth, a new version) is followed within
/// a day, and a fault is not, since nothing is learned while it lasts.
const OFFSET_MS: f64 = 12.0 * HOUR_MS as f64;
/// The band's edges already hold noise of about this many standard deviations.
const INSIDE_SIGMAS: f64 = 1.8;

/// State of the view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Seasonal {
    pub(super) profile: Profile,
    offset: f64,
    /// The newest residuals, to know today's noise.
    residuals: Residuals,
    last: Time,
    /// Standard deviation of the residuals; kept so that judging sorts nothing.
    noise: f32,
    since_noise: u8,
    /// It lives by other rules since a while: its hours wait until these count as normal.
    #[serde(skip)]
    pub(super) is_unsettled: bool,
    /// The day is judged as another: nothing of it is learned as what it is by the calendar.
    #[serde(skip)]
    pub(super) is_other_day: bool,
}

impl Seasonal {
    pub(super) const ID: &'static str = "seasonal/1";

    pub(super) fn new() -> Self {
        Self {
            profile: Profile::new(),
            offset: 0.0,
            residuals: Residuals::new(),
            last: Time::MIN,
            noise: 0.0,
            since_noise: 0,
            is_unsettled: false,
            is_other_day: false,
        }
    }

    /// What is expected of a time, with the offset applied.
    pub(super) fn expected(&self, at: Time) -> Option<Expectation> {
        let e = self.profile.expected(at)?;
        let offset = self.offset;
        let sigma = e.sigma.max(f64::from(self.noise));
        Some(Expectation {
            low: e.low + offset,
            mid: e.mid + offset,
            high: e.high + offset,
            sigma,
            ..e
        })
    }

    /// The level of a time without the offset: the season that a forecast adds to its trend.
    pub(super) fn season(&self, at: Time) -> Option<f64> {
        self.profile.expected(at).map(|e| e.mid)
    }

    /// Takes what its hours have shown since a time as normal; `None` when too little is known of
    /// them, and nothing is changed.
    pub(super) fn renew(&mut self, since: Time) -> Option<Renewal> {
        let renewal = self.profile.renew(since, self.offset)?;
        self.offset = 0.0;
        self.residuals.clear();
        Some(renewal)
    }

    /// Takes a new level as normal: `by` more than was expected.
    pub(super) fn adopt(&mut self, by: f64) {
        self.offset += by;
        self.residuals.clear();
        self.profile.forget_doubtful();
    }
}

impl Detector for Seasonal {
    fn judge(&self, facts: &Facts<'_>, point: Point) -> Option<Opinion> {
        let e = facts.expected?;
        // Other days stand in for this one: they are less sure.
        let doubt = if e.maturity == Maturity::Week { 1.0 } else { 1.5 };
        let margin = (facts.config.threshold - INSIDE_SIGMAS).max(1.0) * e.sigma * doubt;
        let expected = facts.band((e.low, e.mid, e.high), margin);
        let score = facts.score(point.value, &expected);
        Some(Opinion { detector: Self::ID, expected, score, leads: true })
    }

    fn learn(&mut self, facts: &Facts<'_>, point: Point, departing: bool) {
        if let Some(e) = facts.expected.filter(|e| !departing && e.maturity == Maturity::Week) {
            // `facts.expected` holds the offset already: the residual is what is left.
            let residual = point.value - e.mid;
            let elapsed = point.at.ms_since(self.last).clamp(0, HOUR_MS) as f64;
            // Steps are clipped to a few sigmas, so a value inside a wide batch hour moves little.
            let clip = 2.0 * e.sigma.max(1e-12);
            self.offset += (elapsed / OFFSET_MS).min(1.0) * residual.clamp(-clip, clip);
            self.residuals.push(residual);
            self.since_noise += 1;
            if self.since_noise >= 8 {
                self.since_noise = 0;
                self.noise = self.residuals.sigma().map_or(0.0, |s| s as f32);
            }
        }
        self.last = point.at;
        if self.is_other_day {
            self.profile.forget_since(point.at.plus_ms(-DAY_MS));
            return;
        }
        // In this order: the point may begin an hour, and closes the one before as it was.
        self.profile.push(point.at, point.value);
        if departing {
            self.profile.doubt();
        } else if !self.is_unsettled {
            self.profile.settle(point.at);
        }
    }
}
