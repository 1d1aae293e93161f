//! Who is asked for more: what entities' own request rates did at the onset. Pure.
//!
//! A rise is told when the level since differs from the level before by more than both what so few
//! points of such a spread bring about and what traffic does by itself within minutes. With it,
//! trouble that came from outside is told from trouble that began within: where users ask more, the
//! rates rise from the entry down; where one service calls another more often than it is called
//! itself, the rise begins there.

use std::collections::BTreeMap;

use super::weigh::{Kind, Scene};
use crate::model::{EntityRef, Time};
use crate::stats;

/// Points needed before and since.
const FEWEST: (usize, usize) = (8, 3);
/// Standard errors of the difference between two medians.
const SURE: f64 = 3.0;
/// Traffic moves this many times within half an hour without being news.
pub(super) const NEWS: f64 = 1.25;
/// Efficiency of a median: its standard error is so many times that of a mean.
const MEDIAN: f64 = 1.2533;

/// The requests of one entity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// Level before the onset, in the unit of its series.
    pub before: f64,
    /// Level since.
    pub since: f64,
    /// Whether it rose beyond its own noise.
    pub rose: bool,
    /// Since when, where it rose: the first sample of the rise that goes on at the onset, or of the first
    /// after it. What rose before and was over then is another rise.
    pub since_when: Option<Time>,
}

impl Demand {
    /// How many times as much is asked.
    #[must_use]
    pub fn times(&self) -> f64 {
        self.since / self.before
    }
}

/// A rise that falls back for so long (s) at most goes on: rates are noisy, and samples are missing.
const LULL_S: f64 = 120.0;

/// By entity; those whose requests are not measured are left out.
pub type Demands = BTreeMap<EntityRef, Demand>;

/// Reads the request rates of a scene whose times count from `onset`, the busiest series of each entity.
pub(super) fn demands(entities: &[EntityRef], scene: &Scene, onset: Time) -> Demands {
    let mut found = Demands::new();
    let rates = scene.series.iter().filter(|s| s.kind == Kind::Traffic && !s.outgoing);
    for series in rates {
        let Some(entity) = entities.get(series.service) else { continue };
        let Some(demand) = demand(&series.points, onset) else { continue };
        if found.get(entity).is_none_or(|known| known.before < demand.before) {
            found.insert(entity.clone(), demand);
        }
    }
    found
}

/// What one series did; times are seconds from the onset. The minute around it belongs to neither
/// side: rates are smoothed.
fn demand(points: &[(f64, f64)], onset: Time) -> Option<Demand> {
    let side = |of: &dyn Fn(f64) -> bool| -> Vec<f64> {
        let level = points.iter().filter(|(at, v)| of(*at) && *v > 0.0 && v.is_finite());
        level.map(|(_, v)| v.ln()).collect()
    };
    let (old, new) = (side(&|at| at < -30.0), side(&|at| at >= 30.0));
    if old.len() < FEWEST.0 || new.len() < FEWEST.1 {
        return None;
    }
    let (before, sigma) = stats::median_and_sigma(&old)?;
    let since = stats::median(&new)?;
    let error = MEDIAN * sigma * (1.0 / old.len() as f64 + 1.0 / new.len() as f64).sqrt();
    let rose = since - before > (SURE * error).max(NEWS.ln());
    let middle = f64::midpoint(before, since).exp();
    let since_when = began(points, middle).filter(|_| rose);
    let since_when = since_when.map(|at| onset.plus_ms((at * 1e3) as i64));
    Some(Demand { before: before.exp(), since: since.exp(), rose, since_when })
}

/// When (s from the onset) that began which holds at the onset, or begins next after it: at least
/// `middle`, in two samples on end at least.
fn began(points: &[(f64, f64)], middle: f64) -> Option<f64> {
    let high = points.windows(2).filter(|w| w.iter().all(|(_, v)| *v >= middle));
    let mut runs: Vec<(f64, f64)> = Vec::new();
    for (from, to) in high.map(|w| (w[0].0, w[1].0)) {
        match runs.last_mut().filter(|run| from - run.1 <= LULL_S) {
            Some(run) => run.1 = to,
            None => runs.push((from, to)),
        }
    }
    runs.into_iter().find(|run| run.1 >= 0.0).map(|run| run.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(before: f64, since: f64, spread: f64) -> Vec<(f64, f64)> {
        let noise = |i: i64| (spread * (i as f64 * 12.9898).sin()).exp();
        let level = |at: i64| if at < 0 { before } else { since };
        (-40..10).map(|i| (i as f64 * 30.0, level(i) * noise(i))).collect()
    }

    #[test]
    fn a_rise_is_told_beyond_its_noise_and_beyond_what_traffic_does_anyway() {
        let zero = Time::from_ms(0);
        let demand = |p: &[(f64, f64)]| demand(p, zero);
        let rose = |p: &[(f64, f64)]| demand(p).map(|d| d.rose);
        assert_eq!(rose(&points(50.0, 90.0, 0.05)), Some(true));
        assert_eq!(rose(&points(50.0, 55.0, 0.01)), Some(false), "clear, and no news");
        assert_eq!(rose(&points(50.0, 65.0, 0.8)), Some(false), "lost in its noise");
        assert_eq!(rose(&points(50.0, 20.0, 0.05)), Some(false));
        assert_eq!(rose(&points(50.0, 90.0, 0.05)[..20]), None, "nothing since");
        let risen = demand(&points(50.0, 100.0, 0.0)).expect("measured");
        assert!((risen.times() - 2.0).abs() < 1e-9);
        assert_eq!(risen.since_when, Some(zero));
        assert_eq!(demand(&points(50.0, 20.0, 0.05)).expect("measured").since_when, None);
    }
    #[test]
    fn a_rise_began_when_that_began_which_goes_on_at_the_onset() {
        let zero = Time::from_ms(0);
        let began = |high: &dyn Fn(i64) -> bool| {
            let level = |at: i64| if high(at) { 100.0 } else { 50.0 };
            let points: Vec<(f64, f64)> =
                (-240..20).map(|i| (i as f64 * 30.0, level(i * 30))).collect();
            let found = demand(&points, zero).expect("measured");
            assert!(found.rose);
            found.since_when.map(|at| at.ms_since(zero) / 1_000)
        };
        let blip = |at: i64| (-6_000..-5_800).contains(&at);
        assert_eq!(began(&|at| at >= 0 || blip(at)), Some(0), "an early blip is over");
        assert_eq!(began(&|at| at >= -240 || blip(at)), Some(-240), "the rise came before");
        assert_eq!(began(&|at| at >= 120 || blip(at)), Some(120), "or after");
        let dips = |at: i64| (-90..-30).contains(&at) || at == 30;
        assert_eq!(began(&|at| at >= -240 && !dips(at)), Some(-240), "it goes on after a lull");
        let falls = |at: i64| (-300..=-120).contains(&at);
        assert_eq!(began(&|at| at >= -600 && !falls(at)), Some(-90), "it was over for minutes");
    }
}
