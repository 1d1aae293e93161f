//! The forecast: when a series with a limit will reach it, told long before, in spite of a daily
//! rhythm. A trend is fitted to what the season leaves over, on four time scales.

use serde::{Deserialize, Serialize};

use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{Indicator, Point, Series, Time};
use crate::stats::{Crossing, median, median_and_sigma, theil_sen, time_to_limit};

use super::seasonal::Seasonal;

/// One value is kept for each of these.
const BUCKET_MS: i64 = 5 * MINUTE_MS;
/// Buckets kept: 24 hours.
const KEPT: usize = 288;
/// Windows looked at, as (buckets, stride): one, three, eight and 24 hours of 12 to 48 points.
const WINDOWS: [(usize, usize); 4] = [(12, 1), (36, 1), (96, 2), (288, 6)];
/// A window says nothing of times further ahead than this many of its lengths.
const REACH: f64 = 8.0;
/// Least Mann-Kendall statistic: residuals of one day are correlated, so 2 would be far too little.
const LEAST_Z: f64 = 4.0;
/// Half width of the slope's interval in standard deviations: 95 %, doubled for correlation.
const INTERVAL_Z: f64 = 3.92;
/// Least rise over the window as a share of the limit.
const LEAST_RISE: f64 = 0.04;
/// A fall by this share of the limit between two buckets is a restart: the past is another process.
const RESTART: f64 = 0.15;

/// State of the forecast of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Forecast {
    /// Residuals, oldest first; NaN where a bucket had no value.
    residuals: std::collections::VecDeque<f32>,
    bucket: i64,
    sum: f64,
    n: u32,
    /// Evaluations in a row with (positive) or without (negative) a crossing.
    pub(super) streak: i32,
}

/// What the forecast says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outlook {
    /// In hours from `at`.
    pub(super) crossing: Crossing,
    /// Per hour, in the series' unit.
    pub(super) slope: f64,
    /// The limit.
    pub(super) limit: f64,
    /// Hours of history that the trend rests on.
    pub(super) hours: f64,
    /// Mann-Kendall statistic.
    pub(super) z: f64,
    /// Since when it has been above the level that the window began with.
    pub(super) since: Time,
}

/// What a forecast says after a point.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    /// No bucket closed, or the profile is too young.
    Nothing,
    /// No limit in sight.
    Clear,
    /// A limit ahead.
    Ahead(Outlook),
}

/// The limit of a series: what is known of it, or 1 for a utilisation ratio.
pub(super) fn limit_of(series: &Series) -> Option<f64> {
    // A processor is busy and idle again; it is not used up as memory and disks are.
    if series.metric.contains("cpu") {
        return None;
    }
    let implied =
        (series.indicator == Indicator::Utilization).then_some(match series.unit.as_str() {
            "%" => 100.0,
            _ => 1.0,
        });
    series.limit.filter(|l| l.is_finite() && *l > 0.0).or(implied)
}

impl Forecast {
    pub(super) fn new() -> Self {
        Self {
            residuals: std::collections::VecDeque::new(),
            bucket: i64::MIN,
            sum: 0.0,
            n: 0,
            streak: 0,
        }
    }

    /// Takes in a point; says what the trend says when a bucket closes. Without a horizon it only
    /// learns: two weeks of back-fill are four thousand buckets a series.
    pub(super) fn push(
        &mut self,
        seasonal: &Seasonal,
        point: Point,
        limit: f64,
        horizon_h: Option<f64>,
    ) -> Said {
        let Some(season) = seasonal.season(point.at) else { return Said::Nothing };
        let bucket = point.at.ms().div_euclid(BUCKET_MS);
        let mut said = Said::Nothing;
        if bucket > self.bucket {
            if self.n > 0 {
                self.close(limit);
                said = match horizon_h.map(|h| self.outlook(seasonal, point.at, limit, h)) {
                    Some(Some(outlook)) => Said::Ahead(outlook),
                    Some(None) => Said::Clear,
                    None => Said::Nothing,
                };
            }
            if self.bucket != i64::MIN {
                let missed = (bucket - self.bucket - 1).min(KEPT as i64);
                for _ in 0..missed {
                    self.keep(f32::NAN);
                }
            }
            (self.bucket, self.sum, self.n) = (bucket, 0.0, 0);
        }
        self.sum += point.value - season;
        self.n += 1;
        said
    }

    fn keep(&mut self, residual: f32) {
        if self.residuals.len() >= KEPT {
            self.residuals.pop_front();
        }
        self.residuals.push_back(residual);
    }

    fn close(&mut self, limit: f64) {
        let residual = (self.sum / f64::from(self.n)) as f32;
        let fell = self
            .residuals
            .iter()
            .rev()
            .find(|r| !r.is_nan())
            .is_some_and(|last| f64::from(last - residual) > RESTART * limit);
        if fell {
            self.residuals.clear();
        }
        self.keep(residual);
    }

    fn outlook(
        &self,
        seasonal: &Seasonal,
        at: Time,
        limit: f64,
        horizon_h: f64,
    ) -> Option<Outlook> {
        let mut best: Option<Outlook> = None;
        for (length, stride) in WINDOWS {
            let hours = length as f64 * BUCKET_MS as f64 / HOUR_MS as f64;
            let end = self.residuals.len();
            // The longest window needs only be nearly full: a leak is judged by what there is.
            if end < length * 9 / 10 {
                break;
            }
            let start = end.saturating_sub(length);
            let points: Vec<(f64, f64)> = (start..end)
                .rev()
                .step_by(stride)
                .map(|i| {
                    let x = (i as f64 - end as f64 + 0.5) * BUCKET_MS as f64 / HOUR_MS as f64;
                    (x, f64::from(self.residuals[i]))
                })
                .filter(|(_, y)| y.is_finite())
                .collect();
            let ordered: Vec<(f64, f64)> = points.into_iter().rev().collect();
            if ordered.len() < length / stride * 3 / 4 {
                continue;
            }
            // Most windows rise by nothing: a look at both ends spares the slopes of all pairs.
            let quarter = ordered.len() / 4;
            let level = |part: &[(f64, f64)]| {
                median(&part.iter().map(|(_, y)| *y).collect::<Vec<_>>()).unwrap_or(0.0)
            };
            let rise = level(&ordered[ordered.len() - quarter..]) - level(&ordered[..quarter]);
            if rise < LEAST_RISE * limit / 2.0 {
                continue;
            }
            let Some(trend) = theil_sen(&ordered, INTERVAL_Z) else { continue };
            let recent = theil_sen(&ordered[ordered.len() / 2..], INTERVAL_Z);
            let goes_on = recent.is_some_and(|r| r.slope > 0.4 * trend.slope);
            if trend.z < LEAST_Z
                || trend.slope_low <= 0.0
                || trend.slope * hours < LEAST_RISE * limit
                || !goes_on
            {
                continue;
            }
            let season =
                |x: f64| seasonal.season(at.plus_ms((x * HOUR_MS as f64) as i64)).unwrap_or(0.0);
            let ahead = horizon_h.min(REACH * hours);
            // Steps of a quarter of an hour are finer than any forecast of hours deserves.
            let Some(crossing) =
                time_to_limit(&trend, trend.intercept, limit, (ahead, 0.25), season)
            else {
                continue;
            };
            let since = self.rise_began(start, at);
            best = Some(Outlook { crossing, slope: trend.slope, limit, hours, z: trend.z, since });
        }
        // The longest window that sees it has the steadiest slope.
        best
    }

    /// When the rise began: after the last bucket that lay at the level of the window's first
    /// eighth. A window is as long as it is; dating a rise back to its start would put the onset
    /// before the change that caused it.
    fn rise_began(&self, start: usize, at: Time) -> Time {
        let window: Vec<f64> = self.residuals.iter().skip(start).map(|r| f64::from(*r)).collect();
        let first: Vec<f64> =
            window[..=window.len() / 8].iter().copied().filter(|r| r.is_finite()).collect();
        let (level, sigma) = median_and_sigma(&first).unwrap_or((f64::NEG_INFINITY, 0.0));
        let last = window.iter().rfind(|r| r.is_finite()).copied().unwrap_or(level);
        // A tenth of the way up is above the noise of any window that passed the tests above.
        let edge = level + (3.0 * sigma).max(0.1 * (last - level));
        let begun = window.iter().rposition(|r| *r <= edge).map_or(0, |i| i + 1);
        at.plus_ms(-((window.len() - begun) as i64) * BUCKET_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::view::{Detector as _, Facts};
    use crate::model::time::DAY_MS;

    const LIMIT: f64 = 2_000.0;

    /// Feeds two weeks of a daily rhythm, then `f` for some hours, at five minutes; gives the hour
    /// of the first outlook and what it said.
    fn first_outlook(hours: i64, extra: impl Fn(f64) -> f64) -> Option<(f64, Outlook)> {
        let config = super::super::Config::default();
        let mut series = crate::detect::tests::series(Indicator::Usage, "By");
        series.limit = Some(LIMIT);
        let start = Time::parse("2026-11-02T00:00:00Z").expect("valid");
        let leak_at = start.plus_ms(14 * DAY_MS + 5 * HOUR_MS);
        let (mut seasonal, mut forecast) = (Seasonal::new(), Forecast::new());
        let mut at = start;
        while at < leak_at.plus_ms(hours * HOUR_MS) {
            let day = (at.ms() as f64 / DAY_MS as f64 * std::f64::consts::TAU).sin();
            let noise = ((at.ms() / MINUTE_MS) as f64 * 0.77).sin() * 8.0;
            let since = at.ms_since(leak_at) as f64 / HOUR_MS as f64;
            let value = 700.0 + 150.0 * day + noise + if since > 0.0 { extra(since) } else { 0.0 };
            let point = Point { at, value };
            let facts = Facts::new(&config, &series, seasonal.expected(at), true);
            let said = forecast.push(&seasonal, point, LIMIT, Some(72.0));
            seasonal.learn(&facts, point, false);
            if let Said::Ahead(outlook) = said {
                return Some((since, outlook));
            }
            at = at.plus_ms(BUCKET_MS);
        }
        None
    }

    #[test]
    fn a_slow_leak_is_seen_long_before_it_kills_in_spite_of_the_rhythm() {
        let (hour, outlook) = first_outlook(24, |h| 50.0 * h).expect("50 an hour is a leak");
        assert!(hour < 6.0, "found only after {hour} h");
        // Truth: 700 + 50 h + rhythm reaches 2,000 about 24 h after the leak began.
        let at = hour + outlook.crossing.expected;
        assert!((20.0..30.0).contains(&at), "{at}: {outlook:?}");
        assert!(outlook.crossing.earliest <= outlook.crossing.expected);
        let start = Time::parse("2026-11-02T00:00:00Z").expect("valid");
        let began = outlook.since.ms_since(start.plus_ms(14 * DAY_MS + 5 * HOUR_MS));
        assert!((-HOUR_MS..2 * HOUR_MS).contains(&began), "the rise is dated {began} ms off");
    }

    #[test]
    fn a_rise_within_a_long_window_is_dated_to_where_it_began() {
        let mut forecast = Forecast::new();
        for i in 0..36_u16 {
            let noise = f32::from(i % 3);
            forecast.keep(if i < 24 { noise } else { 40.0 * f32::from(i - 23) + noise });
        }
        let at = Time::from_ms(1_000 * BUCKET_MS);
        let began = forecast.rise_began(0, at);
        let minutes = at.ms_since(began) / MINUTE_MS;
        assert!((50..=60).contains(&minutes), "{minutes} min");
    }

    #[test]
    fn a_rhythm_of_another_height_is_no_leak() {
        let louder = |h: f64| 60.0 * ((h / 24.0) * std::f64::consts::TAU).sin();
        assert_eq!(first_outlook(48, louder), None);
        assert_eq!(first_outlook(48, |_| 120.0), None, "a step is no leak");
    }
}
