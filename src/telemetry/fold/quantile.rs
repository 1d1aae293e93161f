//! Quantiles of histograms, as Prometheus' `histogram_quantile` gives them
//! (<https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile>).

use super::buckets::{Buckets, Explicit, Exponential, edge};

/// How values are taken to lie within an exponential bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::telemetry) enum Within {
    /// Evenly on a logarithmic scale: Prometheus from 3.0 on.
    Exponential,
    /// Evenly: Prometheus before 3.0.
    #[cfg(test)]
    Linear,
}

impl Buckets {
    /// The value below which a share `q` (0 to 1) of all lies. In the last bucket with bounds of its
    /// own, which has no end, that bucket's lower end. `None` without any count.
    pub(in crate::telemetry) fn quantile(&self, q: f64) -> Option<f64> {
        self.quantile_within(q, Within::Exponential)
    }

    pub(in crate::telemetry) fn quantile_within(&self, q: f64, within: Within) -> Option<f64> {
        let total = self.total();
        if !(total > 0.0 && (0.0..=1.0).contains(&q)) {
            return None;
        }
        match self {
            Self::None => None,
            Self::Explicit(e) => e.quantile(q * total),
            Self::Exponential(e) => e.quantile(q * total, within),
        }
        .filter(|v| v.is_finite())
    }
}

/// The bucket in which a rank falls, and how far into it, 0 to 1.
fn find<T: Copy>(buckets: impl Iterator<Item = (T, f64)>, rank: f64) -> Option<(T, f64)> {
    let (mut below, mut last) = (0.0, None);
    for (bucket, count) in buckets.filter(|(_, count)| *count > 0.0) {
        if rank <= below + count {
            return Some((bucket, ((rank - below) / count).clamp(0.0, 1.0)));
        }
        below += count;
        last = Some((bucket, 1.0));
    }
    // Sums of fractions may end a little below their total.
    last
}

impl Explicit {
    fn quantile(&self, rank: f64) -> Option<f64> {
        let (i, share) = find(self.counts.iter().copied().enumerate(), rank)?;
        let bounds = &self.bounds;
        let Some(upper) = bounds.get(i).copied() else { return bounds.last().copied() };
        let lower = match i.checked_sub(1) {
            Some(before) => bounds[before],
            // Values below the first bound are taken to lie above zero, where that is possible.
            None if upper > 0.0 => 0.0,
            None => return Some(upper),
        };
        Some(lower + (upper - lower) * share)
    }
}

impl Exponential {
    fn quantile(&self, rank: f64, within: Within) -> Option<f64> {
        let end = |i: i32| (edge(self.scale, i), edge(self.scale, i.saturating_add(1)));
        let negative = self.negative.iter().rev().map(|(i, c)| {
            let (near, far) = end(*i);
            ((-far, -near), *c)
        });
        // The zero bucket reaches to both sides only where there is something on both.
        let low = if self.negative.is_empty() && !self.positive.is_empty() { 0.0 } else { -1.0 };
        let high = if self.positive.is_empty() && !self.negative.is_empty() { 0.0 } else { 1.0 };
        let zero = ((low * self.threshold, high * self.threshold), self.zero);
        let positive = self.positive.iter().map(|(i, c)| (end(*i), *c));
        let ((lower, upper), share) =
            find(negative.chain(std::iter::once(zero)).chain(positive), rank)?;
        let value = if (lower <= 0.0 && upper >= 0.0) || within != Within::Exponential {
            lower + (upper - lower) * share
        } else {
            // On the negative side the far end is the lower one.
            let (from, to) = (lower.abs().log2(), upper.abs().log2());
            (from + (to - from) * share).exp2().copysign(lower)
        };
        let ends = if upper.is_finite() { value } else { lower };
        Some(ends * self.unit)
    }
}
