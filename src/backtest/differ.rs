//! What two configurations would have told of the same history: only the one, only the other, both.

use serde::Serialize;

use super::truth::{Event, Topic};

/// Two events, one of each side, that are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// Place on the first side.
    pub a: usize,
    /// Place on the second side.
    pub b: usize,
    /// By how many milliseconds the first side told it earlier; negative: later.
    pub earlier_ms: i64,
}

/// The difference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Told only by the first side: places.
    pub only_a: Vec<usize>,
    /// Told only by the second side: places.
    pub only_b: Vec<usize>,
    /// Told by both.
    pub both: Vec<Pair>,
}

impl Difference {
    /// Pairs events that share an entity or series and overlap, the longest overlap first; each is
    /// paired once.
    #[must_use]
    pub fn of(a: &[Event], b: &[Event]) -> Self {
        let mut near: Vec<(i64, usize, usize)> = Vec::new();
        for (i, x) in a.iter().enumerate() {
            for (j, y) in b.iter().enumerate() {
                let overlap = x.until.min(y.until).ms_since(x.since.max(y.since));
                if overlap >= 0 && shares(&x.topics, &y.topics) {
                    near.push((-overlap, i, j));
                }
            }
        }
        near.sort_unstable();
        let (mut free_a, mut free_b) = (vec![true; a.len()], vec![true; b.len()]);
        let mut both = Vec::new();
        for (_, i, j) in near {
            if free_a[i] && free_b[j] {
                (free_a[i], free_b[j]) = (false, false);
                both.push(Pair { a: i, b: j, earlier_ms: b[j].told_at.ms_since(a[i].told_at) });
            }
        }
        both.sort_by_key(|p| (p.a, p.b));
        let left = |free: &[bool]| (0..free.len()).filter(|i| free[*i]).collect();
        Self { only_a: left(&free_a), only_b: left(&free_b), both }
    }

    /// How many of both the first side told earlier, and how many later.
    #[must_use]
    pub fn earlier_later(&self) -> (usize, usize) {
        let n = |holds: fn(i64) -> bool| self.both.iter().filter(|p| holds(p.earlier_ms)).count();
        (n(|ms| ms > 0), n(|ms| ms < 0))
    }
}

fn shares(a: &[Topic], b: &[Topic]) -> bool {
    a.iter().any(|x| {
        b.iter().any(|y| match (&x.series, &y.series) {
            (Some((_, x)), Some((_, y))) => x == y,
            _ => x.entity == y.entity,
        })
    })
}
