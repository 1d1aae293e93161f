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

/// Lags of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Lags {
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
    pub(super) fn learn(&mut self, shape: Shape, weight: f64) {
        let total: f64 = self.counts.iter().sum();
        for i in 0..BINS {
            let width = EDGES[i + 1] - EDGES[i];
            // Smoothed over the neighbours, by density, not by count.
            let at = |j: usize| self.counts[j] / (EDGES[j + 1] - EDGES[j]);
            let left = if i > 0 { at(i - 1) } else { at(i) };
            let right = if i + 1 < BINS { at(i + 1) } else { at(i) };
            let seen = 0.25f64.mul_add(left + right, 0.5 * at(i));
            let middle = f64::midpoint(EDGES[i], EDGES[i + 1]);
            let guess = (split_normal(EDGES[i] + width * 0.2, shape)
                + split_normal(middle, shape)
                + split_normal(EDGES[i] + width * 0.8, shape))
                / 3.0;
            self.density[i] = (weight * guess + seen) / (weight + total);
        }
    }

    /// Density at a lag, per second.
    pub(super) fn density(&self, lag_s: f64) -> f64 {
        bin(lag_s).map_or(0.0, |bin| self.density[bin])
    }

    pub(super) fn peak(&self) -> f64 {
        self.density.iter().copied().fold(0.0, f64::max)
    }
}
