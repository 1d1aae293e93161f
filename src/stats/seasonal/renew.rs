//! A profile whose series lives by other rules now: what changed is told from the hours that
//! departed, and the profile begins again from what is left of it.

use super::week::{CELLS, Cell};
use super::{LEAST_OF_DAY, Profile, Visit};
use crate::model::Time;
use crate::model::time::HOUR_MS;
use crate::stats::median;

/// Hours that must have departed to say what changed.
const LEAST_HOURS: usize = 6;
/// A level or scale explains a change when what is left of it, in the middle, is below this share.
const LEFT: f64 = 0.35;
/// A scale must leave less than this share of what a level leaves: adding is the simpler change.
const SIMPLER: f64 = 0.7;
/// How much wider or narrower bands may have become.
const WIDTHS: (f64, f64) = (0.25, 4.0);

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Renewal {
    /// All hours moved by this much.
    Level(f64),
    /// All hours are this many times what they were.
    Scale(f64),
    /// The hours changed apart: the last day stands for all days until each is learned anew.
    Rhythm,
}

impl Profile {
    /// Takes what the doubtful hours since a time showed as normal from now on. `offset` is what is
    /// added to the profile at present; it is taken in and must be set to 0 by the caller. `None`
    /// when too few hours are known: nothing was changed.
    pub fn renew(&mut self, since: Time, offset: f64) -> Option<Renewal> {
        let begin = since.ms().div_euclid(HOUR_MS);
        let visits: Vec<Visit> = self.resting.iter().copied().filter(|v| v.hour >= begin).collect();
        let hour_of = |v: &Visit| Time::from_ms(v.hour.saturating_mul(HOUR_MS)).hour_of_week();
        // (was, is, how many times as wide)
        let pairs: Vec<(f64, f64, f64)> = visits
            .iter()
            .filter_map(|v| {
                let was = self.expectation(hour_of(v))?;
                let wide = (was.high - was.low).max(f64::MIN_POSITIVE);
                Some((was.mid + offset, f64::from(v.mid), f64::from(v.high - v.low) / wide))
            })
            .collect();
        if pairs.len() < LEAST_HOURS {
            return None;
        }
        let renewal = told_by(&pairs);
        let widths: Vec<f64> = pairs.iter().map(|p| p.2).collect();
        let wider = median(&widths).unwrap_or(1.0).clamp(WIDTHS.0, WIDTHS.1);
        for hour in (0..CELLS).filter(|h| self.week.visits(*h) > 0).collect::<Vec<_>>() {
            let Cell { low, mid, high } = self.week.cell(hour);
            let to = match renewal {
                Renewal::Level(by) => mid + offset + by,
                Renewal::Scale(times) => (mid + offset) * times,
                Renewal::Rhythm => mid + offset,
            };
            let by = if renewal == Renewal::Rhythm { 1.0 } else { wider };
            let cell = Cell { low: to - (mid - low) * by, mid: to, high: to + (high - mid) * by };
            self.week.set(hour, cell);
        }
        if renewal == Renewal::Rhythm {
            self.begin_again(&visits, hour_of);
        } else {
            self.typical_sigma *= wider as f32;
        }
        self.week.centre();
        self.forget_doubtful();
        Some(renewal)
    }

    /// Each hour of the day that departed counts as seen once, on all days alike, so that the next
    /// visits weigh much; the others stay as they are but are as little sure.
    fn begin_again(&mut self, visits: &[Visit], hour_of: impl Fn(&Visit) -> usize) {
        for visit in visits {
            let of_day = hour_of(visit) % 24;
            let cell =
                Cell { low: visit.low.into(), mid: visit.mid.into(), high: visit.high.into() };
            for hour in (of_day..CELLS).step_by(24) {
                self.week.set(hour, cell);
                self.week.set_visits(hour, 1);
            }
        }
        for hour in 0..CELLS {
            self.week.set_visits(hour, self.week.visits(hour).min(1));
        }
        const { assert!(LEAST_OF_DAY <= 7, "one visit on each day says what the hour shows") };
    }
}

/// What changed between what was expected and what was seen.
fn told_by(pairs: &[(f64, f64, f64)]) -> Renewal {
    let middle = |of: &dyn Fn(&(f64, f64, f64)) -> f64| {
        median(&pairs.iter().map(of).collect::<Vec<_>>()).unwrap_or(0.0)
    };
    let by = middle(&|p| p.1 - p.0);
    let change = middle(&|p| (p.1 - p.0).abs());
    let left_of_level = middle(&|p| (p.1 - p.0 - by).abs());
    let is_positive = pairs.iter().all(|p| p.0 > 0.0 && p.1 > 0.0);
    let times = if is_positive { middle(&|p| p.1 / p.0) } else { 1.0 };
    let left_of_scale =
        if is_positive { middle(&|p| (p.1 - p.0 * times).abs()) } else { f64::INFINITY };
    if left_of_scale < SIMPLER * left_of_level && left_of_scale < LEFT * change {
        Renewal::Scale(times)
    } else if left_of_level < LEFT * change {
        Renewal::Level(by)
    } else {
        Renewal::Rhythm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::{DAY_MS, MINUTE_MS};

    fn sine(at: Time, hours_late: i64) -> f64 {
        let day = at.plus_ms(-hours_late * HOUR_MS).ms() as f64 / DAY_MS as f64;
        100.0 + 50.0 * (day * std::f64::consts::TAU).sin()
    }

    /// Two weeks of a rhythm, then a day of another in doubt; what changed, and the profile.
    fn renewed(f: impl Fn(Time) -> f64) -> (Option<Renewal>, Profile, Time) {
        let start = Time::parse("2026-11-02T00:00:00Z").expect("valid");
        let change = start.plus_ms(15 * DAY_MS + 10 * HOUR_MS);
        let mut profile = Profile::new();
        let mut at = start;
        while at < change.plus_ms(25 * HOUR_MS) {
            let wobble = ((at.ms() / MINUTE_MS) as f64 * 1.7).sin();
            let is_new = at >= change;
            profile.push(at, wobble + if is_new { f(at) } else { sine(at, 0) });
            if is_new {
                profile.doubt();
            }
            at = at.plus_ms(5 * MINUTE_MS);
        }
        (profile.renew(change, 0.0), profile, at)
    }

    fn worst(profile: &Profile, from: Time, f: impl Fn(Time) -> f64) -> f64 {
        (0..168)
            .map(|h| from.plus_ms(h * HOUR_MS + HOUR_MS / 2))
            .map(|at| (profile.expected(at).expect("whole").mid - f(at)).abs())
            .fold(0.0, f64::max)
    }

    #[test]
    fn a_level_a_scale_and_a_rhythm_are_told_apart_and_hold_for_the_week() {
        let by = |at| sine(at, 0) + 80.0;
        let (what, profile, now) = renewed(by);
        assert!(matches!(what, Some(Renewal::Level(x)) if (x - 80.0).abs() < 2.0), "{what:?}");
        assert!(worst(&profile, now, by) < 5.0);
        let times = |at| 2.5 * sine(at, 0);
        let (what, profile, now) = renewed(times);
        assert!(matches!(what, Some(Renewal::Scale(x)) if (x - 2.5).abs() < 0.1), "{what:?}");
        assert!(worst(&profile, now, times) < 8.0);
        let late = |at| sine(at, 9);
        let (what, profile, now) = renewed(late);
        assert_eq!(what, Some(Renewal::Rhythm));
        assert!(worst(&profile, now, late) < 12.0, "{}", worst(&profile, now, late));
    }
}
