//! The buckets of a histogram, whichever way they were sent: with bounds of their own (classic
//! histograms of Prometheus, explicit ones of OTLP, native ones with custom bounds) or exponential
//! (OTLP's, and Prometheus' native ones). Differences, sums and quantiles of them.
//!
//! Differing layouts are brought to one that both can be told in without guessing: bounds to those
//! that both have, exponential buckets to the coarser scale and the wider zero bucket (OpenTelemetry
//! data model, "Exponential Histogram": a scale is halved by merging neighbours).

/// Buckets that one point may have. The SDKs' default is 160; more is refused.
pub(in crate::telemetry) const MOST_BUCKETS: usize = 4_096;
/// Scales that OTLP and Prometheus know of.
const SCALES: std::ops::RangeInclusive<i32> = -10..=20;

/// Counts by bucket, or counts a second once divided.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::telemetry) enum Buckets {
    /// The sender gave none.
    #[default]
    None,
    /// With bounds of their own.
    Explicit(Explicit),
    /// Exponential.
    Exponential(Exponential),
}

/// Buckets with bounds: count `i` is of values above bound `i-1` and up to bound `i`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::telemetry) struct Explicit {
    /// Finite, rising.
    pub(super) bounds: Vec<f64>,
    /// One more than bounds: the last is of values above all of them.
    pub(super) counts: Vec<f64>,
}

/// Exponential buckets: index `i` is of values `base^i < |x| <= base^(i+1)`, with
/// `base = 2^(2^-scale)`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::telemetry) struct Exponential {
    pub(super) scale: i32,
    /// Values up to this far from zero are in the zero bucket.
    pub(super) threshold: f64,
    pub(super) zero: f64,
    pub(super) positive: Side,
    pub(super) negative: Side,
    /// What one unit of the sender is in ours (0.001 for milliseconds told in seconds).
    pub(super) unit: f64,
}

/// Counts by index, in order of index.
pub(in crate::telemetry) type Side = Vec<(i32, f64)>;

impl Buckets {
    /// Buckets with bounds. An infinite last bound is taken as what it says. `None` when bounds and
    /// counts contradict each other.
    pub(in crate::telemetry) fn explicit(mut bounds: Vec<f64>, counts: Vec<f64>) -> Option<Self> {
        if counts.is_empty() && bounds.is_empty() {
            return Some(Self::None);
        }
        if bounds.len() == counts.len() && bounds.last() == Some(&f64::INFINITY) {
            bounds.pop();
        }
        let rising = bounds.windows(2).all(|w| w[0] < w[1]) && bounds.iter().all(|b| b.is_finite());
        let sound = counts.iter().all(|c| c.is_finite() && *c >= 0.0);
        (counts.len() == bounds.len() + 1 && counts.len() <= MOST_BUCKETS && rising && sound)
            .then_some(Self::Explicit(Explicit { bounds, counts }))
    }

    /// Exponential buckets, each side in order of index. `None` when they make no sense.
    pub(in crate::telemetry) fn exponential(
        scale: i32,
        (threshold, zero): (f64, f64),
        mut positive: Side,
        mut negative: Side,
    ) -> Option<Self> {
        let many = positive.len() > MOST_BUCKETS || negative.len() > MOST_BUCKETS;
        let sound = |side: &Side| {
            side.iter().all(|(_, c)| c.is_finite() && *c >= 0.0)
                && side.windows(2).all(|w| w[0].0 < w[1].0)
        };
        let zeroed = threshold.is_finite() && threshold >= 0.0 && zero.is_finite() && zero >= 0.0;
        if many || !SCALES.contains(&scale) || !zeroed || !sound(&positive) || !sound(&negative) {
            return None;
        }
        positive.retain(|(_, c)| *c > 0.0);
        negative.retain(|(_, c)| *c > 0.0);
        let unit = 1.0;
        let whole = Exponential { scale, threshold, zero, positive, negative, unit };
        // A sender whose buckets reach into its own zero bucket contradicts itself: the zero bucket
        // takes them.
        let whole = if threshold > 0.0 { whole.alike(&whole).0 } else { whole };
        Some(Self::Exponential(whole))
    }

    /// Told in another unit, each of the old ones being `unit` of the new.
    pub(in crate::telemetry) fn in_unit(mut self, unit: f64) -> Self {
        match &mut self {
            Self::None => {}
            Self::Explicit(e) => e.bounds.iter_mut().for_each(|b| *b *= unit),
            Self::Exponential(e) => e.unit *= unit,
        }
        self
    }

    /// All counts together.
    pub(in crate::telemetry) fn total(&self) -> f64 {
        let side = |s: &Side| s.iter().map(|b| b.1).sum::<f64>();
        match self {
            Self::None => 0.0,
            Self::Explicit(e) => e.counts.iter().sum(),
            Self::Exponential(e) => e.zero + side(&e.positive) + side(&e.negative),
        }
    }

    /// What came since `before`, in the finest layout that both can be told in; `None` when a count
    /// fell or the kind changed: then the count began anew.
    pub(in crate::telemetry) fn since(&self, before: &Self) -> Option<Self> {
        match (self, before) {
            (_, Self::None) | (Self::None, _) => Some(Self::None),
            (Self::Explicit(now), Self::Explicit(old)) => {
                let bounds = common(&now.bounds, &old.bounds);
                let (now, old) = (now.within(&bounds), old.within(&bounds));
                let counts = now.iter().zip(&old).map(|(n, o)| (n >= o).then_some(n - o));
                let counts = counts.collect::<Option<Vec<f64>>>()?;
                Some(Self::Explicit(Explicit { bounds, counts }))
            }
            (Self::Exponential(now), Self::Exponential(old)) => {
                let (now, old) = now.alike(old);
                let zero = (now.zero >= old.zero).then_some(now.zero - old.zero)?;
                let positive = less(&now.positive, &old.positive)?;
                let negative = less(&now.negative, &old.negative)?;
                Some(Self::Exponential(Exponential { zero, positive, negative, ..now }))
            }
            _ => None,
        }
    }

    /// Both together, in the finest layout that both can be told in; the first where the kinds
    /// differ and nothing can be said of both.
    pub(in crate::telemetry) fn plus(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Explicit(a), Self::Explicit(b)) => {
                let bounds = common(&a.bounds, &b.bounds);
                let (a, b) = (a.within(&bounds), b.within(&bounds));
                let counts = a.iter().zip(&b).map(|(a, b)| a + b).collect();
                Self::Explicit(Explicit { bounds, counts })
            }
            (Self::Exponential(a), Self::Exponential(b)) => {
                let (a, b) = a.alike(b);
                Self::Exponential(Exponential {
                    zero: a.zero + b.zero,
                    positive: more(&a.positive, &b.positive),
                    negative: more(&a.negative, &b.negative),
                    ..a
                })
            }
            (Self::None, some) | (some, _) => some.clone(),
        }
    }

    /// Divided by seconds.
    pub(in crate::telemetry) fn per_second(mut self, seconds: f64) -> Self {
        match &mut self {
            Self::None => {}
            Self::Explicit(e) => e.counts.iter_mut().for_each(|c| *c /= seconds),
            Self::Exponential(e) => {
                e.zero /= seconds;
                e.positive.iter_mut().chain(&mut e.negative).for_each(|b| b.1 /= seconds);
            }
        }
        self
    }
}

/// The bounds that both have. Where they share none, one bucket of everything is left.
fn common(a: &[f64], b: &[f64]) -> Vec<f64> {
    if a == b {
        return a.to_vec();
    }
    a.iter().filter(|x| b.binary_search_by(|y| y.total_cmp(x)).is_ok()).copied().collect()
}

impl Explicit {
    /// The counts within fewer bounds, each of which it has.
    fn within(&self, bounds: &[f64]) -> Vec<f64> {
        if bounds.len() == self.bounds.len() {
            return self.counts.clone();
        }
        let mut out = vec![0.0; bounds.len() + 1];
        let mut place = 0;
        for (i, count) in self.counts.iter().enumerate() {
            let upper = self.bounds.get(i).copied().unwrap_or(f64::INFINITY);
            while bounds.get(place).is_some_and(|b| *b < upper) {
                place += 1;
            }
            out[place] += count;
        }
        out
    }
}

impl Exponential {
    /// Both in the coarser scale and with the wider zero bucket of the two.
    fn alike(&self, other: &Self) -> (Self, Self) {
        let (mut a, mut b) = (self.clone(), other.clone());
        let scale = a.scale.min(b.scale);
        a.coarsen(scale);
        b.coarsen(scale);
        let mut threshold = a.threshold.max(b.threshold);
        // A bucket that the threshold cuts in two can't be split: it goes into the zero bucket.
        loop {
            let wider = [&a, &b]
                .iter()
                .flat_map(|e| e.positive.iter().chain(&e.negative))
                .map(|(i, _)| (edge(scale, *i), edge(scale, i.saturating_add(1))))
                .filter(|(lower, upper)| *lower < threshold && threshold < *upper)
                .map(|(_, upper)| upper)
                .fold(threshold, f64::max);
            if wider <= threshold {
                break;
            }
            threshold = wider;
        }
        a.widen_zero(threshold);
        b.widen_zero(threshold);
        (a, b)
    }

    fn coarsen(&mut self, scale: i32) {
        // 31 halvings leave one bucket a side, below and above 1.
        let by = self.scale.saturating_sub(scale).clamp(0, 31);
        if by > 0 {
            for side in [&mut self.positive, &mut self.negative] {
                let mut coarse: Side = Vec::with_capacity(side.len());
                for (i, count) in side.iter() {
                    match coarse.last_mut() {
                        Some(last) if last.0 == i >> by => last.1 += count,
                        _ => coarse.push((i >> by, *count)),
                    }
                }
                *side = coarse;
            }
        }
        self.scale = self.scale.min(scale);
    }

    fn widen_zero(&mut self, threshold: f64) {
        let (scale, zero) = (self.scale, &mut self.zero);
        for side in [&mut self.positive, &mut self.negative] {
            side.retain(|(i, count)| {
                let within = edge(scale, i.saturating_add(1)) <= threshold;
                *zero += if within { *count } else { 0.0 };
                !within
            });
        }
        self.threshold = threshold;
    }
}

/// The lower end of a bucket: `base^index`.
pub(super) fn edge(scale: i32, index: i32) -> f64 {
    (f64::from(index) * f64::from(-scale).exp2()).exp2()
}

/// Count by count; `None` when one fell.
fn less(now: &Side, old: &Side) -> Option<Side> {
    let mut left = old.iter().filter(|b| b.1 > 0.0).peekable();
    let mut out = Vec::with_capacity(now.len());
    for (index, count) in now {
        let before = match left.peek() {
            Some(b) if b.0 == *index => left.next().map_or(0.0, |b| b.1),
            Some(b) if b.0 < *index => return None,
            _ => 0.0,
        };
        if *count < before {
            return None;
        }
        if *count > before {
            out.push((*index, count - before));
        }
    }
    left.next().is_none().then_some(out)
}

fn more(a: &Side, b: &Side) -> Side {
    let mut all: Side = a.iter().chain(b).copied().collect();
    all.sort_by_key(|b| b.0);
    all.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        kept.1 += if same { next.1 } else { 0.0 };
        same
    });
    all
}
