//! Custom periods: departures of one series that come every so often (a job every five hours, a
//! compaction every hundred minutes), found from the data, whatever the hour of the week is.
//!
//! Of each departure that lasted its onset, length and severity are kept: the onsets are a bounded
//! sketch of the series in which a period shows plainly, however long it is. A period is taken for
//! real when the chance that onsets without any rhythm fall so well on its grid (a binomial tail,
//! times the number of periods tried: Bonferroni) is small. From then on a departure that begins
//! when one is due, and is no worse than those before, is usual; one out of step is not.

use serde::{Deserialize, Serialize};

use crate::model::Time;
use crate::model::time::{MINUTE_MS, duration_text};

/// Onsets kept.
const KEPT: usize = 16;
/// Onsets on the grid before a period is told of.
const LEAST_ONSETS: usize = 5;
/// Chance below which onsets without rhythm would look like this.
const CHANCE: f64 = 1e-3;
/// How far from its grid an onset may lie, as a share of the period, and at least (ms).
const JITTER: f64 = 0.04;
const LEAST_JITTER_MS: i64 = 2 * MINUTE_MS;
/// Shortest period (ms).
const SHORTEST_MS: i64 = 20 * MINUTE_MS;
/// A departure that lasts longer than this share of the period is no event of it.
const LONGEST: f64 = 0.6;
/// Between two onsets may lie so many places of the grid without one.
const MOST_MISSED: i64 = 3;
/// Places without an onset after which a period is forgotten: the profile may expect some of them.
const FORGOTTEN: i64 = 24;
/// By how many octaves an event may be worse than those before (as [`super::usual::severity`]).
const WORSE: f64 = 1.0;

/// A departure that is over.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Onset {
    at: Time,
    lasted_ms: i64,
    severity: f32,
}

/// A period that was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Period {
    every_ms: i64,
    /// The newest onset on its grid.
    last: Time,
    severity: f32,
    /// Onsets on its grid so far.
    n: u32,
}

/// What is known of the departures of a series in time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Cycle {
    onsets: Vec<Onset>,
    found: Option<Period>,
}

/// How a departure stands to a period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Due {
    /// No period is known.
    Unknown,
    /// One was due, up to this severity.
    Now(f64),
    /// None was due.
    Not,
}

impl Period {
    fn jitter_ms(&self) -> i64 {
        jitter_ms(self.every_ms)
    }

    /// How many periods after the newest onset a time lies, and how far from the grid (ms).
    fn place(&self, at: Time) -> (i64, i64) {
        let since = at.ms_since(self.last);
        let k = (since + self.every_ms / 2).div_euclid(self.every_ms);
        (k, since - k * self.every_ms)
    }

    fn is_due(&self, at: Time) -> bool {
        let (k, off) = self.place(at);
        (1..=FORGOTTEN).contains(&k) && off.abs() <= self.jitter_ms()
    }

    fn limit(&self) -> f64 {
        f64::from(self.severity) + WORSE
    }
}

impl Cycle {
    /// Whether a departure that begins at a time is one of a period.
    pub(super) fn due(&self, at: Time) -> Due {
        match &self.found {
            None => Due::Unknown,
            Some(period) if period.is_due(at) => Due::Now(period.limit()),
            Some(_) => Due::Not,
        }
    }

    /// Takes in a departure that is over; says whether it was one of a period.
    pub(super) fn learn(&mut self, since: Time, until: Time, severity: f64) -> bool {
        let lasted_ms = until.ms_since(since).max(0);
        if self.onsets.len() >= KEPT {
            self.onsets.remove(0);
        }
        self.onsets.push(Onset { at: since, lasted_ms, severity: severity as f32 });
        if let Some(period) = &mut self.found {
            let (k, _) = period.place(since);
            if k > FORGOTTEN {
                self.found = None;
            } else if period.is_due(since) {
                let every_ms = since.ms_since(period.last) / k.max(1);
                period.every_ms += (every_ms - period.every_ms) / 8;
                period.last = since;
                // What grows slowly is followed; what was worse once is forgotten.
                let limit = period.severity + WORSE as f32;
                period.severity = (period.severity - 0.05).max((severity as f32).min(limit));
                period.n += 1;
                return true;
            }
        }
        if self.found.is_none() {
            self.found = self.find();
        }
        self.found.is_some_and(|p| p.last == since)
    }

    /// The period of the onsets, if there is one.
    fn find(&self) -> Option<Period> {
        let newest = self.onsets.last()?;
        if self.onsets.len() < LEAST_ONSETS {
            return None;
        }
        let mut tried: Vec<i64> = Vec::new();
        for before in self.onsets.iter().rev().skip(1) {
            let apart = newest.at.ms_since(before.at);
            for k in 1..=MOST_MISSED {
                let every = apart / k;
                let is_new = |t: &i64| (t - every).abs() > jitter_ms(every) / 2;
                if every >= SHORTEST_MS && tried.iter().all(is_new) {
                    tried.push(every);
                }
            }
        }
        // Each is held against a wide grid and, for jobs that start on the minute, a narrow one.
        let grids = |every_ms: i64| [1, 4].map(|part| (every_ms, jitter_ms(every_ms) / part));
        let n_tried = 2.0 * tried.len() as f64;
        let best = tried
            .into_iter()
            .flat_map(grids)
            .filter_map(|(every_ms, jitter)| self.weigh(every_ms, jitter))
            .min_by(|a, b| a.0.total_cmp(&b.0))?;
        (best.0 * n_tried < CHANCE).then_some(best.1)
    }

    /// The chance that so many onsets lie on the grid of a period without having one, with the
    /// period, refined.
    fn weigh(&self, every_ms: i64, jitter: i64) -> Option<(f64, Period)> {
        let (newest, oldest) = (self.onsets.last()?, self.onsets.first()?);
        let (mut anchor, mut hits, mut places, mut misses) = (newest.at, 0_u32, 0_u32, 0_i64);
        let (mut severity, mut first, mut k, mut at_first) = (newest.severity, anchor, 0_i64, 0);
        let fits = |o: &Onset| (o.lasted_ms as f64) < LONGEST * every_ms as f64;
        if !fits(newest) {
            return None;
        }
        while anchor.plus_ms(-every_ms) >= oldest.at.plus_ms(-jitter) {
            anchor = anchor.plus_ms(-every_ms);
            (places, k) = (places + 1, k + 1);
            let near = |o: &&Onset| o.at.ms_since(anchor).abs() <= jitter && fits(o);
            if let Some(onset) = self.onsets.iter().find(near) {
                (anchor, hits, misses) = (onset.at, hits + 1, 0);
                (first, at_first, severity) = (onset.at, k, severity.max(onset.severity));
            } else {
                misses += 1;
                if misses > MOST_MISSED {
                    return None;
                }
            }
        }
        if (hits as usize) + 1 < LEAST_ONSETS {
            return None;
        }
        let span = newest.at.ms_since(oldest.at).max(1) as f64;
        let share = (self.onsets.len() as f64 * 2.0 * jitter as f64 / span).min(1.0);
        // One place defines the period.
        let chance = binomial_tail(places - 1, hits - 1, share);
        let every_ms = newest.at.ms_since(first) / at_first.max(1);
        Some((chance, Period { every_ms, last: newest.at, severity, n: hits + 1 }))
    }

    /// The period in words, for the reason of an anomaly that began at a time.
    pub(super) fn words(&self, at: Time) -> Option<String> {
        let period = self.found.as_ref()?;
        let how = if period.is_due(at) {
            "this one was due, but is worse"
        } else {
            "this one is out of step"
        };
        Some(format!(
            "Such a departure comes every {} here ({} times so far, the last at {} UTC) and is \
             usual then; {how}.",
            duration_text(period.every_ms),
            period.n,
            period.last.clock_text()
        ))
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.onsets.capacity() * size_of::<Onset>()
    }
}

fn jitter_ms(every_ms: i64) -> i64 {
    ((every_ms as f64 * JITTER) as i64).max(LEAST_JITTER_MS)
}

/// The chance of at least `least` hits in `n` tries of chance `p`.
fn binomial_tail(n: u32, least: u32, p: f64) -> f64 {
    let (mut term, mut sum) = ((1.0 - p).powi(n as i32), 0.0);
    if p >= 1.0 {
        return 1.0;
    }
    for k in 0..=n {
        if k >= least {
            sum += term;
        }
        term *= p / (1.0 - p) * f64::from(n - k) / f64::from(k + 1);
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::HOUR_MS;

    const START: Time = Time::from_ms(1_793_577_600_000);

    fn learned(times: impl IntoIterator<Item = i64>) -> Cycle {
        let mut cycle = Cycle::default();
        for ms in times {
            let at = START.plus_ms(ms);
            cycle.learn(at, at.plus_ms(10 * MINUTE_MS), 4.0);
        }
        cycle
    }

    #[test]
    fn a_period_of_five_hours_is_found_with_jitter_and_gaps() {
        let jitter = |i: i64| (i * 7_919 % 11 - 5) * MINUTE_MS;
        let times = (0..9).filter(|i| *i != 3).map(|i| i * 5 * HOUR_MS + jitter(i));
        let cycle = learned(times);
        let due = START.plus_ms(9 * 5 * HOUR_MS);
        assert_eq!(cycle.due(due), Due::Now(5.0), "{cycle:?}");
        assert_eq!(cycle.due(due.plus_ms(2 * HOUR_MS)), Due::Not);
        insta::assert_snapshot!(cycle.words(due.plus_ms(2 * HOUR_MS)).expect("found"), @"Such a departure comes every 4 h 59 min here (7 times so far, the last at 15:58:00 UTC) and is usual then; this one is out of step.");
    }

    #[test]
    fn times_without_rhythm_have_no_period() {
        let mut state = 88_172_645_463_325_252_u64;
        let mut n_found = 0;
        for _ in 0..500 {
            let mut at = 0;
            let cycle = learned((0..16).map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let u = (state >> 11) as f64 / (1_u64 << 53) as f64;
                at += (-u.max(1e-9).ln() * 5.0 * HOUR_MS as f64) as i64 + 15 * MINUTE_MS;
                at
            }));
            n_found += usize::from(cycle.found.is_some());
        }
        assert!(n_found <= 5, "{n_found} of 500");
    }

    #[test]
    fn a_period_that_ended_is_forgotten() {
        let mut cycle = learned((0..8).map(|i| i * 2 * HOUR_MS));
        assert_ne!(cycle.due(START.plus_ms(16 * HOUR_MS)), Due::Unknown);
        let late = START.plus_ms(100 * HOUR_MS);
        assert_eq!(cycle.due(late), Due::Not, "nobody waits for ever");
        cycle.learn(late, late, 4.0);
        assert_eq!(cycle.due(late), Due::Unknown);
    }
}
