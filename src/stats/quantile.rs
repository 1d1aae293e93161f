//! One quantile of a stream in constant memory.

use serde::{Deserialize, Serialize};

/// The P² algorithm (Jain and Chlamtac 1985, "The P² algorithm for dynamic calculation of quantiles
/// and histograms without storing observations"): five markers, no stored values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamingQuantile {
    q: f64,
    n: u64,
    heights: [f64; 5],
    positions: [f64; 5],
}

impl StreamingQuantile {
    /// An estimator of the `q` quantile (0 to 1).
    #[must_use]
    pub fn new(q: f64) -> Self {
        Self { q: q.clamp(0.0, 1.0), n: 0, heights: [0.0; 5], positions: [1.0, 2.0, 3.0, 4.0, 5.0] }
    }

    /// Takes in a value; what is not finite is ignored.
    pub fn push(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.n < 5 {
            self.heights[self.n as usize] = value;
            self.n += 1;
            if self.n == 5 {
                self.heights.sort_unstable_by(f64::total_cmp);
            }
            return;
        }
        self.n += 1;
        let cell = match self.heights.iter().position(|h| value < *h) {
            Some(0) => {
                self.heights[0] = value;
                0
            }
            Some(i) => i - 1,
            None => {
                self.heights[4] = value;
                3
            }
        };
        for position in &mut self.positions[cell + 1..] {
            *position += 1.0;
        }
        let steps = (self.n - 1) as f64;
        let wanted = [0.0, self.q / 2.0, self.q, f64::midpoint(1.0, self.q), 1.0];
        for (i, wanted) in wanted.into_iter().enumerate().skip(1).take(3) {
            let away = 1.0 + steps * wanted - self.positions[i];
            let room_up = self.positions[i + 1] - self.positions[i] > 1.0;
            let room_down = self.positions[i - 1] - self.positions[i] < -1.0;
            if (away >= 1.0 && room_up) || (away <= -1.0 && room_down) {
                let d = away.signum();
                let h = self.parabolic(i, d);
                self.heights[i] = if self.heights[i - 1] < h && h < self.heights[i + 1] {
                    h
                } else {
                    self.linear(i, d)
                };
                self.positions[i] += d;
            }
        }
    }

    /// The estimate; `None` before the first value, exact up to five values.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        if self.n == 0 {
            return None;
        }
        if self.n < 5 {
            return super::quantile(&self.heights[..self.n as usize], self.q);
        }
        Some(self.heights[2])
    }

    fn parabolic(&self, i: usize, step: f64) -> f64 {
        let (height, place) = (&self.heights, &self.positions);
        height[i]
            + step / (place[i + 1] - place[i - 1])
                * ((place[i] - place[i - 1] + step) * (height[i + 1] - height[i])
                    / (place[i + 1] - place[i])
                    + (place[i + 1] - place[i] - step) * (height[i] - height[i - 1])
                        / (place[i] - place[i - 1]))
    }

    fn linear(&self, i: usize, step: f64) -> f64 {
        let (height, place) = (&self.heights, &self.positions);
        let j = if step > 0.0 { i + 1 } else { i - 1 };
        height[i] + step * (height[j] - height[i]) / (place[j] - place[i])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_comes_close_to_the_exact_quantile(
            values in prop::collection::vec(0.0_f64..1_000.0, 300..600), q in 0.1_f64..0.9,
        ) {
            let mut streaming = StreamingQuantile::new(q);
            for v in &values {
                streaming.push(*v);
            }
            let exact = super::super::quantile(&values, q).expect("values");
            let estimate = streaming.value().expect("values");
            prop_assert!((estimate - exact).abs() < 120.0, "{estimate} and {exact}");
        }
    }

    #[test]
    fn few_values_are_exact() {
        let mut streaming = StreamingQuantile::new(0.5);
        assert_eq!(streaming.value(), None);
        for v in [3.0, f64::NAN, 1.0, 2.0] {
            streaming.push(v);
        }
        assert_eq!(streaming.value(), Some(2.0));
    }
}
