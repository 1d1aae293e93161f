//! Late points: a short wait that puts points of one series in order of their time.
//!
//! A streaming detector takes points in order only, and a point that comes after a newer one of its
//! series is lost to it. Waiting costs time, though, and almost all series come in order. So a
//! series waits only while it is known to come out of order: from its first late point (which is
//! lost, and counted) until an hour without another. Points that come out of order within one batch
//! are sorted without any wait. What was released is never taken back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::shard::SKEW_MS;
use crate::model::time::{HOUR_MS, SECOND_MS};
use crate::model::{Point, Time};

/// A series waits until this long (ms) after its last late point.
const MODE_MS: i64 = HOUR_MS;
/// Bounds of the wait (ms), which is two of the series' steps.
const WAIT_MS: (i64, i64) = (10 * SECOND_MS, 60 * SECOND_MS);
/// Points that one series holds back; the oldest goes on when there are more.
const MOST_POINTS: usize = 32;
/// Series that wait at the same time; a further one goes on as it comes.
const MOST_SERIES: usize = 10_000;

/// Series that wait, by identity.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Reorder {
    held: BTreeMap<u64, Held>,
    /// Points that came late and were put in order all the same.
    pub(super) n_saved: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Held {
    /// In order of time, each time once: the first word stands.
    points: Vec<Point>,
    newest: Time,
    wait_ms: i64,
    /// When it stops waiting.
    until: Time,
}

impl Held {
    /// Takes a point in; says whether it came out of order.
    fn insert(&mut self, point: Point) -> bool {
        let late = point.at < self.newest;
        self.newest = self.newest.max(point.at);
        if let Err(place) = self.points.binary_search_by_key(&point.at, |p| p.at) {
            self.points.insert(place, point);
            return late;
        }
        false
    }

    /// What has waited long enough at `now`, or finds no room. The series' own newest time counts as
    /// well, for senders whose clock is ahead.
    fn release(&mut self, now: Time) -> Vec<Point> {
        let limit = now.max(self.newest).plus_ms(-self.wait_ms);
        let waited = self.points.partition_point(|p| p.at <= limit);
        let n = waited.max(self.points.len().saturating_sub(MOST_POINTS));
        self.points.drain(..n).collect()
    }
}

impl Reorder {
    /// The points of a series that go on now, in order, of those that came. `last` is the newest one
    /// that went on before, `step_ms` the usual distance.
    pub(super) fn admit<'a>(
        &mut self,
        series: u64,
        (last, step_ms): (Time, i64),
        points: &'a [Point],
        now: Time,
    ) -> Cow<'a, [Point]> {
        let ordered = points.windows(2).all(|w| w[0].at <= w[1].at);
        let Some(held) = self.held.get_mut(&series) else {
            if ordered && points.first().is_none_or(|p| p.at >= last) {
                return Cow::Borrowed(points);
            }
            let mut sorted = points.to_vec();
            sorted.sort_by_key(|p| p.at);
            if sorted.first().is_some_and(|p| p.at < last) && self.held.len() < MOST_SERIES {
                let wait_ms = step_ms.saturating_mul(2).clamp(WAIT_MS.0, WAIT_MS.1);
                let newest = sorted.last().map_or(last, |p| p.at.max(last));
                let until = now.plus_ms(MODE_MS);
                self.held.insert(series, Held { points: Vec::new(), newest, wait_ms, until });
            }
            return Cow::Owned(sorted);
        };
        // What can't be judged at all waits for nothing.
        let (good, bad): (Vec<Point>, Vec<Point>) = points
            .iter()
            .copied()
            .partition(|p| p.value.is_finite() && p.at.ms_since(now) <= SKEW_MS);
        for point in good {
            if held.insert(point) {
                held.until = now.plus_ms(MODE_MS);
                self.n_saved += u64::from(point.at > last);
            }
        }
        let mut out = held.release(now);
        out.extend(bad);
        Cow::Owned(out)
    }

    /// What has waited long enough by now, of series of which nothing came.
    pub(super) fn due(&mut self, now: Time) -> Vec<(u64, Vec<Point>)> {
        let mut out = Vec::new();
        self.held.retain(|series, held| {
            let over = now > held.until;
            let points = if over { std::mem::take(&mut held.points) } else { held.release(now) };
            if !points.is_empty() {
                out.push((*series, points));
            }
            !over
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(s: i64) -> Time {
        Time::from_ms(1_800_000_000_000 + s * 1_000)
    }

    fn point(s: i64) -> Point {
        Point { at: at(s), value: s as f64 }
    }

    fn seconds(points: &[Point]) -> Vec<i64> {
        points.iter().map(|p| p.at.ms_since(at(0)) / 1_000).collect()
    }

    #[test]
    fn a_series_in_order_never_waits_and_one_out_of_order_does() {
        let mut reorder = Reorder::default();
        let mut last = at(-1);
        let mut pass = |reorder: &mut Reorder, s: &[i64], now: i64| {
            let points: Vec<Point> = s.iter().map(|s| point(*s)).collect();
            let out = reorder.admit(7, (last, 5_000), &points, at(now)).into_owned();
            last = out.iter().map(|p| p.at).fold(last, Time::max);
            seconds(&out)
        };
        assert_eq!(pass(&mut reorder, &[0], 0), [0]);
        assert_eq!(pass(&mut reorder, &[10, 5], 10), [5, 10], "sorted within a batch");
        // A late one: it is lost, and the series waits from now on.
        assert_eq!(pass(&mut reorder, &[7], 11), [7]);
        assert_eq!(pass(&mut reorder, &[20], 20), [0_i64; 0]);
        assert_eq!(pass(&mut reorder, &[15], 21), [0_i64; 0]);
        assert_eq!(pass(&mut reorder, &[25], 27), [15], "in order, ten seconds later");
        assert_eq!(reorder.n_saved, 1);
        // What is no number does not wait.
        let nan = Point { at: at(28), value: f64::NAN };
        assert_eq!(reorder.admit(7, (at(15), 5_000), &[nan], at(28)).len(), 1);
        // Nothing more comes: ticks let the rest go on.
        let due = reorder.due(at(40));
        assert_eq!((due[0].0, seconds(&due[0].1)), (7, vec![20, 25]));
        assert!(reorder.due(at(4_000)).is_empty() && reorder.held.is_empty());
    }

    proptest! {
        #[test]
        fn any_order_comes_out_ascending_once_and_within_bounds(
            steps in proptest::collection::vec((-100_i64..100, 0_i64..20), 1..120),
        ) {
            let mut reorder = Reorder::default();
            let (mut now, mut last, mut seen) = (0, at(-1_000), Vec::new());
            // The first one begins the wait; what it lets through may be late, as without it.
            reorder.admit(1, (at(10_000), 5_000), &[point(-999)], at(0));
            for (offset, passed) in steps {
                now += passed;
                let out = reorder.admit(1, (last, 5_000), &[point(now + offset)], at(now)).into_owned();
                let held = reorder.held.get(&1).expect("it waits");
                prop_assert!(held.points.len() <= MOST_POINTS);
                for p in out.iter().filter(|p| p.at > last) {
                    seen.push(p.at);
                }
                last = seen.last().copied().unwrap_or(last);
            }
            prop_assert!(seen.windows(2).all(|w| w[0] < w[1]));
        }
    }
}
