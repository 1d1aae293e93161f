//! What a series usually does at this hour of the week.

mod renew;
mod week;
mod wire;

use serde::{Deserialize, Serialize};

pub use self::renew::Renewal;
use self::week::{CELLS, Cell, Week};
use super::narrow::{narrow, widen};
use super::{Few, quantile_of_sorted};
use crate::model::Time;
use crate::model::time::{HOUR_MS, MINUTE_MS};

/// Values kept of the running hour; when it is full every second one is dropped and the stride
/// doubles.
const VISIT_CAPACITY: usize = 32;
/// An hour with fewer values says too little to be learned.
const LEAST_PER_VISIT: usize = 4;
/// The band of one hour reaches from its 2nd to its 98th percentile.
const EDGE: f64 = 0.02;
/// Half the width of that band in standard deviations for the 12 to 32 values an hour keeps
/// (expected extremes of a normal sample, between 1.6 and 2.0).
const EDGE_SIGMAS: f64 = 1.8;
/// A daily or weekly event may come this much earlier or later than in the weeks before.
const JITTER_MS: i64 = 10 * MINUTE_MS;
/// Weight of a new visit once two have been seen.
const VISIT_WEIGHT: f64 = 0.3;
/// Share of that weight for an hour of which a part belonged to an episode: a fault does not
/// become normal and a new habit does after some weeks.
const DOUBTFUL_SHARE: f64 = 0.5;
/// Such an hour is learned this long after it began, shortly before the same hour of the next day:
/// until then the band stands as it judged the episode, and so do charts of it.
const REST_MS: i64 = 20 * HOUR_MS;
/// Doubtful hours kept; the oldest gives way, so of a fault without end little is learned.
const RESTING: usize = 24;

/// Visits of an hour of the day from which an hour of the week that is not known itself is judged.
const LEAST_OF_DAY: u8 = 3;

/// How much history an expectation rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Maturity {
    /// The same hour of other days.
    Day,
    /// The same hour of the week, at least twice.
    Week,
}

/// What is expected at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expectation {
    /// Lower edge of what this hour usually shows.
    pub low: f64,
    /// Usual level.
    pub mid: f64,
    /// Upper edge of what this hour usually shows.
    pub high: f64,
    /// Standard deviation of usual noise.
    pub sigma: f64,
    /// What it rests on.
    pub maturity: Maturity,
}

/// Hour-of-week profile: per hour the robust low, middle and high of its visits, in UTC.
///
/// An hour that holds a nightly batch or a weekly surge has a wide band of its own, so what recurs
/// is expected. While an hour has been visited less than twice it leans on the same hour of other
/// days (shrinkage towards the day's profile), with the envelope of them as its band.
///
/// Some 0.8 KiB, whatever it has seen: middles are kept to 1 in 256 of their distance from a common
/// origin, widths of bands to 4.5 %.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "wire::Written", try_from = "wire::Read")]
pub struct Profile {
    week: Week,
    /// Usual noise over all hours, so that the margin beyond a batch hour is not the batch's size.
    typical_sigma: f32,
    /// The running hour since the epoch.
    hour: i64,
    doubtful: bool,
    /// Whether every hour has an expectation.
    is_whole: bool,
    n_running: u8,
    stride: u16,
    skipped: u16,
    /// The first value of the running hour, and how far from it each is.
    base: f32,
    running: [u16; VISIT_CAPACITY],
    /// Hours of which a part belonged to an episode, oldest first.
    resting: Few<Visit>,
}

/// What one hour showed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Visit {
    hour: i64,
    low: f32,
    mid: f32,
    high: f32,
}

impl Default for Profile {
    fn default() -> Self {
        Self::new()
    }
}

impl Profile {
    /// An empty profile.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            week: Week::new(),
            typical_sigma: 0.0,
            hour: i64::MIN,
            doubtful: false,
            is_whole: false,
            n_running: 0,
            stride: 1,
            skipped: 0,
            base: 0.0,
            running: [0; VISIT_CAPACITY],
            resting: Few::new(),
        }
    }

    /// Takes in a value. Values of an hour before the running one are ignored: their hour is closed.
    pub fn push(&mut self, at: Time, value: f64) {
        let value = value as f32;
        let hour = at.ms().div_euclid(HOUR_MS);
        if !value.is_finite() || hour < self.hour {
            return;
        }
        if hour > self.hour {
            self.close_hour();
            self.hour = hour;
        }
        self.skipped += 1;
        if self.skipped < self.stride {
            return;
        }
        self.skipped = 0;
        if self.n_running == 0 {
            self.base = value;
        }
        self.running[usize::from(self.n_running)] = narrow(value - self.base);
        self.n_running += 1;
        if usize::from(self.n_running) >= VISIT_CAPACITY {
            // The second of each pair gives way.
            for i in 1..VISIT_CAPACITY / 2 {
                self.running[i] = self.running[2 * i];
            }
            self.n_running = (VISIT_CAPACITY / 2) as u8;
            self.stride = self.stride.saturating_mul(2);
        }
    }

    /// Marks the running hour as part of an episode: nothing of it is learned before
    /// [`Profile::settle`] is called a good while later, and then with half the weight.
    pub fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// Learns the doubtful hours that have rested long enough. To be called while no episode is
    /// under way: nothing of an episode may widen the band that judges it.
    pub fn settle(&mut self, now: Time) {
        while let Some(visit) = self.resting.first().copied()
            && now.ms().saturating_sub(visit.hour.saturating_mul(HOUR_MS)) >= REST_MS
        {
            self.resting.remove(0);
            self.learn(visit, DOUBTFUL_SHARE);
        }
    }

    /// Forgets the doubtful hours since a time: they were judged by what they are not.
    pub fn forget_since(&mut self, since: Time) {
        let hour = since.ms().div_euclid(HOUR_MS);
        self.resting.retain(|v| v.hour < hour);
    }

    /// Forgets the doubtful hours: the level that they showed is taken as normal at once.
    pub fn forget_doubtful(&mut self) {
        self.resting = Few::new();
    }

    /// Whether any hour has been learned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        (0..CELLS).all(|h| self.week.visits(h) == 0)
    }

    /// Whether something is expected of every hour of the week.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// How many hours of the week have been visited at least twice.
    #[must_use]
    pub fn n_mature(&self) -> usize {
        (0..CELLS).filter(|h| self.week.visits(*h) >= 2).count()
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.resting.heap_bytes()
    }

    /// What is expected at a time; `None` while neither this hour of the week nor this hour of the
    /// day has been seen often enough.
    #[must_use]
    pub fn expected(&self, at: Time) -> Option<Expectation> {
        let hour = at.hour_of_week();
        let here = self.expectation(hour)?;
        let mut all = here;
        for neighbour in [at.plus_ms(-JITTER_MS), at.plus_ms(JITTER_MS)] {
            let next = neighbour.hour_of_week();
            if next != hour
                && let Some(cell) = self.expectation(next)
            {
                all.low = all.low.min(cell.low);
                all.high = all.high.max(cell.high);
            }
        }
        all.mid = self.interpolated(at, here.mid).clamp(all.low, all.high);
        Some(all)
    }

    /// The level between the centres of this hour and the nearer neighbour.
    fn interpolated(&self, at: Time, here: f64) -> f64 {
        let into = (at.ms().rem_euclid(HOUR_MS)) as f64 / HOUR_MS as f64 - 0.5;
        let neighbour = at.plus_ms(if into < 0.0 { -HOUR_MS } else { HOUR_MS });
        match self.expectation(neighbour.hour_of_week()) {
            Some(cell) => here + (cell.mid - here) * into.abs(),
            None => here,
        }
    }

    fn expectation(&self, hour: usize) -> Option<Expectation> {
        let visits = self.week.visits(hour);
        let typical = f64::from(self.typical_sigma);
        if visits >= 2 {
            let Cell { low, mid, high } = self.week.cell(hour);
            return Some(Expectation {
                low,
                mid,
                high,
                sigma: ((high - low) / 2.0 / EDGE_SIGMAS).min(2.0 * typical),
                maturity: Maturity::Week,
            });
        }
        let same = || (hour % 24..CELLS).step_by(24).filter(|h| self.week.visits(*h) > 0);
        if same().map(|h| self.week.visits(h)).sum::<u8>() < LEAST_OF_DAY {
            return None;
        }
        let mut mids: Vec<f64> = same().map(|h| self.week.cell(h).mid).collect();
        mids.sort_unstable_by(f64::total_cmp);
        let day = quantile_of_sorted(&mids, 0.5)?;
        let mid = if visits == 1 { f64::midpoint(day, self.week.cell(hour).mid) } else { day };
        Some(Expectation {
            low: same().map(|h| self.week.cell(h).low).fold(mid, f64::min),
            mid,
            high: same().map(|h| self.week.cell(h).high).fold(mid, f64::max),
            sigma: 2.0 * typical,
            maturity: Maturity::Day,
        })
    }

    fn close_hour(&mut self) {
        let n = usize::from(std::mem::take(&mut self.n_running));
        self.stride = 1;
        self.skipped = 0;
        let doubtful = std::mem::take(&mut self.doubtful);
        if n < LEAST_PER_VISIT {
            return;
        }
        let mut values = self.running.map(|d| f64::from(self.base) + f64::from(widen(d)));
        let values = &mut values[..n];
        values.sort_unstable_by(f64::total_cmp);
        let edge = |q| quantile_of_sorted(values, q).expect("at least four values") as f32;
        let visit =
            Visit { hour: self.hour, low: edge(EDGE), mid: edge(0.5), high: edge(1.0 - EDGE) };
        if !doubtful {
            self.learn(visit, 1.0);
            return;
        }
        if self.resting.len() >= RESTING {
            self.resting.remove(0);
        }
        self.resting.push(visit);
    }

    fn note_whole(&mut self) {
        let seen = |h: usize| (h..CELLS).step_by(24).map(|h| self.week.visits(h)).sum::<u8>();
        self.is_whole = self.is_whole || (0..24).all(|h| seen(h) >= LEAST_OF_DAY);
    }

    fn learn(&mut self, visit: Visit, trust: f64) {
        let at = Time::from_ms(visit.hour.saturating_mul(HOUR_MS)).hour_of_week();
        let visits = self.week.visits(at);
        let weight = match visits {
            0 => 1.0,
            // Two visits count the same; a fault in one of them widens the hour only by half.
            1 => 0.5 * trust,
            _ => VISIT_WEIGHT * trust,
        };
        let seen = Cell { low: visit.low.into(), mid: visit.mid.into(), high: visit.high.into() };
        let old = if visits == 0 { seen } else { self.week.cell(at) };
        let towards = |old: f64, new: f64| old + weight * (new - old);
        let new = Cell {
            low: towards(old.low, seen.low),
            mid: towards(old.mid, seen.mid),
            high: towards(old.high, seen.high),
        };
        self.week.set(at, new);
        self.week.set_visits(at, visits.saturating_add(1));
        self.week.centre();
        self.note_whole();
        let sigma = f64::from(visit.high - visit.low) / 2.0 / EDGE_SIGMAS;
        let typical = f64::from(self.typical_sigma);
        // A batch hour is not typical: it moves the usual noise by a clipped step only.
        let step = if typical > 0.0 { sigma.min(2.0 * typical) } else { sigma };
        let weight = if typical > 0.0 { 0.05 } else { 1.0 };
        self.typical_sigma = (typical + weight * (step - typical)) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::DAY_MS;

    /// Two weeks at five minutes from a Monday 00:00.
    fn learned(f: impl Fn(Time) -> f64) -> (Profile, Time) {
        let start = Time::parse("2026-11-02T00:00:00Z").expect("valid");
        let mut profile = Profile::new();
        let end = start.plus_ms(14 * DAY_MS);
        let mut at = start;
        while at <= end {
            profile.push(at, f(at));
            at = at.plus_ms(5 * MINUTE_MS);
        }
        (profile, end)
    }

    fn wobble(at: Time) -> f64 {
        ((at.ms() / MINUTE_MS) as f64 * 1.7).sin()
    }

    #[test]
    fn a_nightly_batch_is_expected_and_the_same_load_at_noon_is_not() {
        let (profile, end) = learned(|at| {
            let minute = at.ms().rem_euclid(DAY_MS) / MINUTE_MS;
            if (130..150).contains(&minute) { 90.0 } else { 30.0 + wobble(at) }
        });
        let night = profile.expected(end.plus_ms(140 * MINUTE_MS)).expect("learned");
        assert!(night.high > 85.0, "{night:?}");
        let noon = profile.expected(end.plus_ms(12 * HOUR_MS)).expect("learned");
        assert!(noon.high < 35.0 && noon.sigma < 2.0, "{noon:?}");
        assert_eq!(noon.maturity, Maturity::Week);
    }

    #[test]
    fn the_daily_rhythm_is_followed_within_the_hour() {
        let rhythm = |at: Time| {
            100.0 + 50.0 * ((at.ms() as f64 / DAY_MS as f64) * std::f64::consts::TAU).sin()
        };
        let (profile, end) = learned(rhythm);
        for quarter in 0..96 {
            let at = end.plus_ms(quarter * 15 * MINUTE_MS);
            let e = profile.expected(at).expect("learned");
            assert!((e.mid - rhythm(at)).abs() < 4.0, "{e:?} at {at}: {}", rhythm(at));
        }
    }

    #[test]
    fn a_young_profile_leans_on_the_hour_of_the_day() {
        let start = Time::parse("2026-11-02T00:00:00Z").expect("valid");
        let mut profile = Profile::new();
        let mut at = start;
        assert_eq!(profile.expected(at), None);
        while at < start.plus_ms(4 * DAY_MS) {
            profile.push(at, 10.0 + wobble(at));
            at = at.plus_ms(5 * MINUTE_MS);
        }
        let e = profile.expected(at.plus_ms(HOUR_MS)).expect("three days of this hour");
        assert_eq!(e.maturity, Maturity::Day);
        assert!(e.low < 10.0 && e.high > 10.0);
    }

    #[test]
    fn nothing_of_an_episode_is_learned_before_it_has_rested() {
        let (mut profile, end) = learned(|at| 10.0 + wobble(at));
        let before: Vec<_> = (0..30).map(|h| profile.expected(end.plus_ms(h * HOUR_MS))).collect();
        for minute in 1..3 * 60 {
            let at = end.plus_ms(minute * MINUTE_MS);
            profile.push(at, 100.0);
            profile.doubt();
        }
        let now = end.plus_ms(4 * HOUR_MS);
        profile.push(now, 10.0);
        profile.settle(now);
        let after: Vec<_> = (0..30).map(|h| profile.expected(end.plus_ms(h * HOUR_MS))).collect();
        assert_eq!(before, after, "the band and its past stand as they judged");
        let next_day = end.plus_ms(DAY_MS);
        profile.settle(next_day);
        let e = profile.expected(end.plus_ms(7 * DAY_MS + HOUR_MS)).expect("learned");
        assert!(e.high > 15.0 && e.high < 40.0, "a habit begins to be learned: {e:?}");
    }

    #[test]
    fn a_fault_in_one_week_does_not_become_normal() {
        let (profile, end) = learned(|at| {
            let faulty = at >= Time::parse("2026-11-10T10:00:00Z").expect("valid")
                && at < Time::parse("2026-11-10T12:00:00Z").expect("valid");
            if faulty { 100.0 } else { 10.0 + wobble(at) }
        });
        let e = profile.expected(end.plus_ms(DAY_MS + 11 * HOUR_MS)).expect("learned");
        assert!(e.high < 65.0, "{e:?}");
    }
}
