//! Histograms, explicit and exponential, as one kind of buckets; differences and percentiles.

use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogramDataPoint, HistogramDataPoint};

/// Buckets that one point may have. The SDKs' default is 160; more is refused.
const MOST_BUCKETS: usize = 4_096;

/// What happened in one interval, by bucket `(above, up to, count)`, in the metric's unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets(pub(super) Vec<(f64, f64, f64)>);

impl Buckets {
    /// Buckets of an explicit histogram. `None` when the lists contradict each other.
    pub(super) fn explicit(point: &HistogramDataPoint) -> Option<Self> {
        let (bounds, counts) = (&point.explicit_bounds, &point.bucket_counts);
        if counts.is_empty() && bounds.is_empty() {
            return Some(Self::default());
        }
        let rising = bounds.windows(2).all(|w| w[0] < w[1]) && bounds.iter().all(|b| b.is_finite());
        if counts.len() != bounds.len() + 1 || counts.len() > MOST_BUCKETS || !rising {
            return None;
        }
        let above = |i: usize| if i == 0 { 0.0_f64.min(bounds[0]) } else { bounds[i - 1] };
        let bucket = |(i, count): (usize, &u64)| {
            let upper = bounds.get(i).copied().unwrap_or(f64::INFINITY);
            let lower = if bounds.is_empty() { 0.0 } else { above(i) };
            (lower, upper, *count as f64)
        };
        Some(Self(counts.iter().enumerate().map(bucket).collect()))
    }

    /// Buckets of an exponential histogram: bucket `i` holds `base^i < x <= base^(i+1)` with
    /// `base = 2^(2^-scale)` (OpenTelemetry data model, "ExponentialHistogram"). Negative values
    /// make no sense for durations and are left out.
    pub(super) fn exponential(point: &ExponentialHistogramDataPoint) -> Option<Self> {
        let mut buckets = vec![(0.0, point.zero_threshold.max(0.0), point.zero_count as f64)];
        let Some(positive) = &point.positive else { return Some(Self(buckets)) };
        if positive.bucket_counts.len() > MOST_BUCKETS || !(-10..=20).contains(&point.scale) {
            return None;
        }
        let width = 2_f64.powi(-point.scale);
        for (i, count) in (0_i32..).zip(&positive.bucket_counts) {
            let index = f64::from(positive.offset.checked_add(i)?);
            let (lower, upper) = ((index * width).exp2(), ((index + 1.0) * width).exp2());
            if *count > 0 && lower.is_finite() {
                buckets.push((lower, upper, *count as f64));
            }
        }
        Some(Self(buckets))
    }

    /// What came since `before`; `None` when a count fell or a bucket went (a restart, or another
    /// scale).
    pub(super) fn since(&self, before: &Self) -> Option<Self> {
        let mut old = before.0.iter().filter(|b| b.2 > 0.0).peekable();
        let mut out = Vec::with_capacity(self.0.len());
        for bucket in &self.0 {
            let earlier = match old.peek() {
                Some(o) if (o.0, o.1) == (bucket.0, bucket.1) => old.next().map_or(0.0, |o| o.2),
                _ => 0.0,
            };
            if bucket.2 < earlier {
                return None;
            }
            out.push((bucket.0, bucket.1, bucket.2 - earlier));
        }
        old.next().is_none().then_some(Self(out))
    }

    /// Divided by seconds.
    pub(super) fn per_second(mut self, seconds: f64) -> Self {
        self.0.iter_mut().for_each(|b| b.2 /= seconds);
        self
    }
}

/// The `q` quantile over several sets of buckets, by linear interpolation within the bucket it
/// falls in; in a bucket without an upper end, that bucket's lower end (as Prometheus does).
pub(super) fn quantile<'a>(sets: impl Iterator<Item = &'a Buckets>, q: f64) -> Option<f64> {
    let mut all: Vec<(f64, f64, f64)> =
        sets.flat_map(|s| s.0.iter().copied()).filter(|b| b.2 > 0.0).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.total_cmp(&b.0)));
    // The same bucket of several streams is one bucket.
    all.dedup_by(|next, kept| {
        let same = (next.0, next.1) == (kept.0, kept.1);
        if same {
            kept.2 += next.2;
        }
        same
    });
    let total: f64 = all.iter().map(|b| b.2).sum();
    let mut left = total * q;
    let last = all.last().copied()?;
    for (lower, upper, count) in all {
        if left <= count {
            let inside = if upper.is_finite() { (upper - lower) * (left / count) } else { 0.0 };
            return Some(lower + inside);
        }
        left -= count;
    }
    Some(if last.1.is_finite() { last.1 } else { last.0 })
}
