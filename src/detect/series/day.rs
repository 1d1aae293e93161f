//! The day that a series' points are judged as, and what they say of it.

use super::SeriesState;
use crate::detect::calendar::{VOTE_MS, Verdict, Vote};
use crate::model::time::{DAY_MS, MINUTE_MS};
use crate::model::{Indicator, Point, Time};
use crate::stats::seasonal::Maturity;

/// Two days differ when their bands, so many standard deviations wider each, have nothing in common.
const APART_SIGMAS: f64 = 2.0;
/// What looks like the stand-in's day is not called for so long while the day has not shown itself.
const PATIENCE_MS: i64 = 90 * MINUTE_MS;

impl SeriesState {
    /// The time whose hour of the week a time is judged by.
    pub(super) fn as_day(&self, at: Time) -> Time {
        at.plus_ms(i64::from(self.day.shift) * DAY_MS)
    }

    /// Whether it tells of something that no holiday brings: errors, slow answers, lost business.
    pub(in crate::detect) fn troubles_the_day(&self, is_business: bool) -> bool {
        let felt = matches!(
            self.series.indicator,
            Indicator::Errors | Indicator::Duration | Indicator::Availability
        );
        (felt || is_business) && self.is_told()
    }

    /// The vote of a point, when it is the first of a quarter of an hour and the day is open.
    pub(super) fn voted(&self, before: Time, point: Point) -> Option<Vote> {
        let quarter = |at: Time| at.ms().div_euclid(VOTE_MS);
        let is_open = matches!(self.day.verdict, Verdict::Open | Verdict::Recognised);
        if !is_open || quarter(before) == quarter(point.at) {
            return None;
        }
        self.looks_like(point)
    }

    /// Which of the two days a value looks like; `None` where they are too much alike.
    fn looks_like(&self, point: Point) -> Option<Vote> {
        let (own, other) = self.both_days(point.at)?;
        if own.0 <= other.1 && other.0 <= own.1 {
            return None;
        }
        let is_in = |(low, high): (f64, f64)| (low..=high).contains(&point.value);
        Some(match (is_in(own), is_in(other)) {
            (true, _) => Vote::Own,
            (_, true) => Vote::StandIn,
            _ => Vote::Neither,
        })
    }

    /// What a time usually shows on its own day and on the stand-in's, from the lowest to the
    /// highest; `None` while either is young.
    fn both_days(&self, at: Time) -> Option<((f64, f64), (f64, f64))> {
        let edges = |at: Time| {
            let e = self.seasonal.expected(at).filter(|e| e.maturity == Maturity::Week)?;
            Some((e.low - APART_SIGMAS * e.sigma, e.high + APART_SIGMAS * e.sigma))
        };
        let stand_in = at.plus_ms(i64::from(self.day.stand_in) * DAY_MS);
        Some((edges(at)?, edges(stand_in)?))
    }

    /// Whether a departure that began at a time waits until the day has shown itself: one of
    /// traffic, while nothing that users or the business feel is told of.
    pub(super) fn waits_for_the_day(&self, since: Time, point: Point) -> bool {
        self.day.verdict == Verdict::Open
            && self.series.indicator == Indicator::Rate
            && !self.day.is_troubled
            && self.day.will_show
            && point.at.ms_since(since) < PATIENCE_MS
            && self.both_days(point.at).is_some_and(|(_, (l, h))| (l..=h).contains(&point.value))
    }
}
