//! Since when more calls fail or are slow, or more lines are errors, than before.
//!
//! A window of what comes seldom is minutes long, and a fault does not begin where a window does.
//! Sums of what exceeds a reference are kept call by call, and none falls below 0: the last time that
//! one left 0 is where the share is likeliest to have risen (Page 1954, "Continuous Inspection
//! Schemes"). The right reference depends on the share before and after, which is known only
//! at the end, so there are several.

use serde::{Deserialize, Serialize};

use super::share::Rise;
use crate::model::Time;

/// References, as shares of what is counted.
const REFERENCES: [f32; 5] = [0.04, 0.08, 0.15, 0.25, 0.4];
/// A sum goes no higher, so that it is 0 again soon after a fault: 10 calls for the highest reference, 100
/// for the lowest.
const MOST: f32 = 4.0;
/// Bounds of the shares that are compared.
const BOUNDS: (f64, f64) = (0.001, 0.999);

/// The sums of one kind, each with when it left 0.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Since {
    sums: [(f32, Time); REFERENCES.len()],
}

impl Since {
    /// Counts a call or a line of the time `at`.
    pub(super) fn count(&mut self, hit: bool, at: Time) {
        for ((sum, since), reference) in self.sums.iter_mut().zip(REFERENCES) {
            if hit && *sum <= 0.0 {
                *since = at;
            }
            *sum = (*sum + f32::from(u8::from(hit)) - reference).clamp(0.0, MOST);
        }
    }

    /// When a rise began that is seen `now`: no sooner than the first window that says so, and before now,
    /// for clocks of others may be wrong.
    pub(super) fn of(&self, rise: &Rise, now: Time) -> Time {
        self.rose(rise.usual, rise.share).map_or(rise.since, |at| at.min(now).max(rise.since))
    }

    /// When the share rose, given what it was and is (0 to 1); `None` where no sum says so.
    fn rose(&self, usual: f64, share: f64) -> Option<Time> {
        let (p, q) = (usual.clamp(BOUNDS.0, BOUNDS.1), share.clamp(BOUNDS.0, BOUNDS.1));
        if q <= p {
            return None;
        }
        // What a call that does not count takes from the ratio of likelihoods, against what one that
        // does adds and that together.
        let least = ((1.0 - p) / (1.0 - q)).ln();
        // Chance before the rise moves it to too early a time more than one after it to too late a one, so
        // that it is half of the share at least.
        let reference = (least / ((q / p).ln() + least)).max(q / 2.0);
        let place = REFERENCES.iter().rposition(|r| f64::from(*r) <= reference).unwrap_or(0);
        let (sum, since) = self.sums[place];
        (sum > 0.0).then_some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Draws;

    #[test]
    fn a_rise_is_dated_to_where_it_began_whatever_was_usual() {
        for (usual, share) in [(0.0, 0.9), (0.01, 0.9), (0.01, 0.2), (0.05, 0.9), (0.05, 0.4)] {
            let mut draws = Draws::new(7);
            let mut off: Vec<i64> = (0..200)
                .map(|_| {
                    let mut since = Since::default();
                    // A second between calls; it rises with the 301st.
                    for call in 0..360 {
                        let hit = draws.uniform() < if call < 300 { usual } else { share };
                        since.count(hit, Time::from_ms(call * 1_000));
                    }
                    since.rose(usual, share).expect("it rose").ms() / 1_000 - 300
                })
                .collect();
            off.sort_unstable();
            let (low, middle, high) = (off[20], off[100], off[180]);
            let wide = (3.0 / share) as i64;
            assert!(
                low >= -wide && (-1..=1 + wide / 2).contains(&middle) && high <= 2 * wide,
                "{usual} to {share}: {low} {middle} {high}"
            );
        }
    }

    #[test]
    fn what_is_usual_began_at_no_time_and_a_fault_that_is_over_is_forgotten() {
        let mut since = Since::default();
        assert_eq!(since.rose(0.0, 0.5), None);
        for call in 0..100 {
            since.count(call < 50, Time::from_ms(call));
        }
        assert_eq!(since.rose(0.0, 0.9), None, "it is over");
        assert_eq!(since.rose(0.5, 0.2), None, "it fell");
        since.count(true, Time::from_ms(100));
        assert_eq!(since.rose(0.0, 0.9), Some(Time::from_ms(100)));
    }
}
