//! How long after its cause a sign shows: a broad guess at first, what was seen here later on.

/// Middle, left and right width of a lag, in seconds.
pub(super) type Shape = (f64, f64, f64);

/// Density of a split normal at `x`, per unit.
pub(super) fn split_normal(x: f64, (middle, left, right): Shape) -> f64 {
    let width = if x < middle { left } else { right };
    let z = (x - middle) / width;
    let peak = 2.0 / ((2.0 * std::f64::consts::PI).sqrt() * (left + right));
    peak * (-0.5 * z * z).exp()
}

/// Edges of the bins in which lags are counted, in seconds.
const EDGES: [f64; 24] = [
    -120.0, -75.0, -45.0, -30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 75.0, 90.0,
    105.0, 120.0, 150.0, 180.0, 240.0, 300.0, 400.0, 500.0, 600.0,
];
pub(super) const BINS: usize = EDGES.len() - 1;

/// Systems pass faults on at different paces: factors of the guessed shape, and what is believed of
/// each before anything was seen.
const PACES: [(f64, f64); 3] = [(0.35, 0.1), (1.0, 0.8), (3.0, 0.1)];

/// So much of what a lag says of the pace is believed: lags of one fault are much alike.
const SAYS: f64 = 0.3;

/// Least density (per second) of any lag under any pace: outliers say little of it.
const LEAST: f64 = 2e-4;

/// Density of a guess, at a lag.
fn guess_at(bin: usize, (middle, left, right): Shape, pace: f64) -> f64 {
    let (from, width) = (EDGES[bin], EDGES[bin + 1] - EDGES[bin]);
    let shape = (middle * pace, left * pace, right * pace);
    let at = |share: f64| split_normal(width.mul_add(share, from), shape);
    (at(0.2) + at(0.5) + at(0.8)) / 3.0
}

/// Lags of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Lags {
    /// What each pace has one expect in each bin, per second.
    guesses: [[f64; BINS]; PACES.len()],
    counts: [f64; BINS],
    /// Density per bin, once worked out.
    density: [f64; BINS],
}

fn bin(x: f64) -> Option<usize> {
    if !(EDGES[0]..EDGES[BINS]).contains(&x) {
        return None;
    }
    Some(EDGES.partition_point(|e| *e <= x) - 1)
}

impl Lags {
    /// Lags of which this is guessed.
    pub(super) fn of(shape: Shape) -> Self {
        let guesses = PACES.map(|(pace, _)| std::array::from_fn(|i| guess_at(i, shape, pace)));
        Self { guesses, ..Self::default() }
    }

    /// How many lags fell into each bin.
    pub(super) fn counts(&self) -> &[f64; BINS] {
        &self.counts
    }

    /// Takes over counts of before.
    pub(super) fn recall(&mut self, counts: [f64; BINS]) {
        for (mine, more) in self.counts.iter_mut().zip(counts) {
            *mine += more;
        }
    }

    pub(super) fn count(&mut self, lag_s: f64) {
        if let Some(bin) = bin(lag_s) {
            self.counts[bin] += 1.0;
        }
    }

    /// Works out densities; the guess weighs as much as `weight` lags.
    pub(super) fn learn(&mut self, weight: f64) {
        let total: f64 = self.counts.iter().sum();
        let paces = self.paces();
        for i in 0..BINS {
            // Smoothed over the neighbours, by density, not by count.
            let at = |j: usize| self.counts[j] / (EDGES[j + 1] - EDGES[j]);
            let left = if i > 0 { at(i - 1) } else { at(i) };
            let right = if i + 1 < BINS { at(i + 1) } else { at(i) };
            let seen = 0.25f64.mul_add(left + right, 0.5 * at(i));
            let guess: f64 = paces.iter().zip(&self.guesses).map(|(p, g)| p * g[i]).sum();
            self.density[i] = (weight * guess + seen) / (weight + total);
        }
    }

    /// How likely each pace is, after what was counted.
    fn paces(&self) -> [f64; PACES.len()] {
        let logs: [f64; PACES.len()] = std::array::from_fn(|pace| {
            let seen = self.counts.iter().zip(&self.guesses[pace]).filter(|(n, _)| **n > 0.0);
            let told: f64 = seen.map(|(n, guess)| n * (guess + LEAST).ln()).sum();
            PACES[pace].1.ln() + SAYS * told
        });
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let all: f64 = logs.iter().map(|l| (l - most).exp()).sum();
        logs.map(|l| (l - most).exp() / all)
    }

    /// The lag (s) below which all but this share of what is expected lies.
    pub(super) fn latest(&self, share: f64) -> f64 {
        let mass = |i: usize| self.density[i] * (EDGES[i + 1] - EDGES[i]);
        let all: f64 = (0..BINS).map(mass).sum();
        let mut left = 0.0;
        for i in (0..BINS).rev() {
            left += mass(i);
            if left > share * all {
                return EDGES[i + 1];
            }
        }
        EDGES[BINS]
    }

    /// Density at a lag, per second.
    pub(super) fn density(&self, lag_s: f64) -> f64 {
        bin(lag_s).map_or(0.0, |bin| self.density[bin])
    }

    pub(super) fn peak(&self) -> f64 {
        self.density.iter().copied().fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lags of callers, with these seen.
    fn seen(lags: &[f64]) -> Lags {
        let mut all = Lags::of((25.0, 35.0, 70.0));
        for lag in lags {
            all.count(*lag);
        }
        all.learn(60.0);
        all
    }

    #[test]
    fn a_few_lags_tell_how_fast_a_system_passes_faults_on() {
        let (none, slow, quick) = (seen(&[]), seen(&[170.0; 12]), seen(&[4.0; 12]));
        assert!(slow.density(270.0) > 3.0 * none.density(270.0), "{slow:?}");
        assert!(slow.latest(0.03) > none.latest(0.03));
        assert!(quick.density(100.0) < 0.5 * none.density(100.0), "{quick:?}");
        assert!(quick.density(15.0) > 1.3 * none.density(15.0));
        let mixed = seen(&[170.0, 4.0, 25.0]);
        assert!((0.5..2.0).contains(&(mixed.density(60.0) / none.density(60.0))), "few, unlike");
        for lags in [none, slow, quick] {
            let mass = |i: usize| lags.density[i] * (EDGES[i + 1] - EDGES[i]);
            assert!((0.7..1.1).contains(&(0..BINS).map(mass).sum::<f64>()), "{lags:?}");
        }
    }
}
