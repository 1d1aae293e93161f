//! The pooled distribution of episode surprises over all entities, and its tail.
//!
//! A histogram over nats with exponentially fading weights. Where enough episodes lie above, the
//! share above is what was seen; beyond, the tail is exponential: peaks over a threshold with a
//! generalised Pareto tail (Pickands 1975, "Statistical inference using extreme order statistics";
//! Coles 2001, "An Introduction to Statistical Modeling of Extreme Values", ch. 4) whose shape is
//! held at ξ = 0, because `-ln p` of a calibrated detector is exponential with rate 1. That rate is
//! also the prior, so that a young pool starts from the detectors' own word.

use serde::{Deserialize, Serialize};

/// Bins a nat, and how many there are: 0 to 64 nats, the last one open.
const PER_NAT: f64 = 4.0;
const BINS: usize = 256;
/// Episodes that must lie above a surprise for their share to be taken as seen.
const SEEN: f64 = 30.0;
/// Episodes that the prior rate of the tail counts for.
const PRIOR: f64 = 8.0;
/// The null is fitted to the part of the pool from five times this share down to it. Real faults lie
/// above; so many episodes must lie there too that the faults hardly move its edge.
const NULL_ABOVE: f64 = 300.0;
const NULL_SHARE: (f64, f64) = (0.002, 0.1);
const NULL_FROM: f64 = 5.0;

/// The pool: bins up to the highest that was ever used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pool {
    bins: Vec<f64>,
    n: f64,
}

/// An exponential tail: share above a surprise, and the rate at which it falls beyond.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Tail {
    pub(super) from: f64,
    pub(super) share: f64,
    pub(super) rate: f64,
}

impl Tail {
    /// The share above a surprise at or beyond `from`.
    pub(super) fn above(&self, surprise: f64) -> f64 {
        self.share * (-self.rate * (surprise - self.from).max(0.0)).exp()
    }

    /// The surprise with a share above it, at or beyond `from`.
    fn level(&self, share: f64) -> f64 {
        self.from + ((self.share / share).ln() / self.rate).max(0.0)
    }
}

fn bin_of(surprise: f64) -> usize {
    (surprise.max(0.0) * PER_NAT).min((BINS - 1) as f64) as usize
}

fn edge(bin: usize) -> f64 {
    bin as f64 / PER_NAT
}

impl Pool {
    /// Episodes known, faded ones in part.
    pub(super) fn n(&self) -> f64 {
        self.n
    }

    /// Takes in an episode with a weight of at most 1.
    pub(super) fn learn(&mut self, surprise: f64, weight: f64) {
        let bin = bin_of(surprise);
        if bin >= self.bins.len() {
            self.bins.resize(bin + 1, 0.0);
        }
        self.bins[bin] += weight;
        self.n += weight;
    }

    /// Takes out an episode again: it has grown, or it belongs elsewhere.
    pub(super) fn unlearn(&mut self, surprise: f64, weight: f64) {
        let Some(bin) = self.bins.get_mut(bin_of(surprise)) else { return };
        let weight = bin.min(weight);
        *bin -= weight;
        self.n = (self.n - weight).max(0.0);
    }

    /// Fades everything by a factor.
    pub(super) fn fade(&mut self, factor: f64) {
        for bin in &mut self.bins {
            *bin *= factor;
        }
        self.n = self.bins.iter().sum();
    }

    /// The share of episodes at or above a surprise, 1 while nothing is known.
    pub(super) fn above(&self, surprise: f64) -> f64 {
        let tail = self.tail();
        if surprise >= tail.from { tail.above(surprise) } else { self.counted(surprise) / self.n }
    }

    /// The surprise that a share (0 to 1) of the episodes exceed.
    pub(super) fn level(&self, share: f64) -> f64 {
        let tail = self.tail();
        if share <= tail.share {
            return tail.level(share.max(f64::MIN_POSITIVE));
        }
        self.edge_above(share * self.n)
    }

    /// What ordinary episodes look like: the tail of the body alone, in which the far tail, where
    /// real faults are, counts as censored (the empirical null of Efron 2004, "Large-scale
    /// simultaneous hypothesis testing", with the estimate of a censored exponential sample).
    pub(super) fn null(&self) -> Tail {
        if self.n < 1.0 {
            return self.tail();
        }
        let share = (NULL_ABOVE / self.n).clamp(NULL_SHARE.0, NULL_SHARE.1);
        let start = bin_of(self.edge_above(NULL_FROM * share * self.n));
        let above: f64 = self.bins.iter().skip(start).sum();
        let until = bin_of(self.edge_above(share * self.n)).max(start + 1);
        let (mut count, mut excess) = (0.0, 0.0);
        for (bin, weight) in self.bins.iter().enumerate().skip(start) {
            if bin < until {
                count += weight;
                excess += weight * (edge(bin) + 0.5 / PER_NAT - edge(start));
            } else {
                excess += weight * (edge(until) - edge(start));
            }
        }
        Tail {
            from: edge(start),
            share: (above / self.n).clamp(f64::MIN_POSITIVE, 1.0),
            rate: rate(count, excess),
        }
    }

    /// The chance that an ordinary episode is at least as surprising.
    pub(super) fn p(&self, surprise: f64, null: &Tail) -> f64 {
        if surprise >= null.from || self.n < 1.0 {
            return null.above(surprise);
        }
        (self.counted(surprise) / self.n).clamp(0.0, 1.0)
    }

    /// The tail beyond what is seen often enough.
    fn tail(&self) -> Tail {
        if self.n < 1.0 {
            return Tail { from: 0.0, share: 1.0, rate: 1.0 };
        }
        let from = self.edge_above(SEEN.min(self.n));
        let start = bin_of(from);
        let (mut count, mut excess) = (0.0, 0.0);
        for (bin, weight) in self.bins.iter().enumerate().skip(start) {
            count += weight;
            excess += weight * (edge(bin) + 0.5 / PER_NAT - edge(start));
        }
        Tail {
            from: edge(start),
            share: (count / self.n).clamp(f64::MIN_POSITIVE, 1.0),
            rate: rate(count, excess),
        }
    }

    /// The highest edge with at least so many episodes above it.
    fn edge_above(&self, wanted: f64) -> f64 {
        let mut above = 0.0;
        for (bin, weight) in self.bins.iter().enumerate().rev() {
            above += weight;
            // Sums of fading weights are not exact.
            if *weight > 0.0 && above >= wanted * (1.0 - 1e-9) {
                return edge(bin);
            }
        }
        0.0
    }

    /// Episodes at or above a surprise, evenly spread within a bin.
    fn counted(&self, surprise: f64) -> f64 {
        let bin = bin_of(surprise);
        let Some(here) = self.bins.get(bin) else { return 0.0 };
        let above: f64 = self.bins[bin + 1..].iter().sum();
        let part = (1.0 - (surprise - edge(bin)) * PER_NAT).clamp(0.0, 1.0);
        above + part * here
    }
}

/// The rate of an exponential sample with the prior of rate 1.
fn rate(count: f64, excess: f64) -> f64 {
    ((count + PRIOR) / (excess + PRIOR)).clamp(0.05, 20.0)
}
