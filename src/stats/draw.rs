//! Numbers that look random and are the same for the same seed, on every machine and in every
//! version: for draws of a method and for series of tests and benches. Not for secrets.

/// A stream of draws: `SplitMix64` (Steele, Lea and Flood 2014, "Fast splittable pseudorandom
/// number generators").
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// The stream of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform, at least 0 and below 1.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform from `low` to `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (self.uniform().max(1e-300), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Exponential of mean 1; finite.
    pub fn exponential(&mut self) -> f64 {
        -(self.uniform() + 1e-17).ln()
    }
}

/// Uniform, at least 0 and below 1, from two words without a stream.
#[must_use]
pub fn draw(a: u64, b: u64) -> f64 {
    let mut x = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xd1b5_4a32);
    for _ in 0..2 {
        x ^= x >> 31;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    (x >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_everywhere_and_has_its_moments() {
        // The first words for the seed 1234567, as other implementations give them.
        let mut draws = Draws::new(1_234_567);
        let words = [draws.bits(), draws.bits(), draws.bits()];
        let known =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(words, known);
        let (mut draws, n) = (Draws::new(1), 100_000);
        let mean = |f: &mut dyn FnMut() -> f64| (0..n).map(|_| f()).sum::<f64>() / f64::from(n);
        assert!((mean(&mut || draws.uniform()) - 0.5).abs() < 0.01);
        assert!((mean(&mut || draws.exponential()) - 1.0).abs() < 0.02);
        assert!(mean(&mut || draws.normal()).abs() < 0.02);
        assert!((mean(&mut || draws.normal().powi(2)) - 1.0).abs() < 0.02);
        let mut i = 0;
        let hashed = mean(&mut || {
            i += 1;
            draw(i, 3)
        });
        assert!((hashed - 0.5).abs() < 0.01, "{hashed}");
    }
}
