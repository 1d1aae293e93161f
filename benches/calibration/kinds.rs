//! Quiet series of 22 kinds, as services and machines have them: nothing in them is an anomaly.

use std::f64::consts::TAU;

use nightjar::model::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use nightjar::stats::Draws;

/// A Monday at midnight.
const START_MS: i64 = 1_600_041_600_000;
/// Steps of time; each series has one of them.
const STEPS_MS: [i64; 6] =
    [15 * SECOND_MS, 30 * SECOND_MS, MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS];

/// Names of the kinds.
pub(crate) const KINDS: [&str; 22] = [
    "gamma noise on a daily ramp",
    "Weibull with a daily rhythm",
    "overdispersed counts with weekends",
    "nine of ten are zero",
    "share that wanders (logit)",
    "share of few errors",
    "sawtooth that is collected",
    "three levels that change",
    "moving average of 20",
    "slow oscillation",
    "Laplace",
    "Pareto, heavy tail",
    "queue: births and deaths",
    "nightly job",
    "counts that excite themselves",
    "uniform",
    "load of an autoscaled group",
    "pink noise",
    "mean of 20 with 1 % slow ones",
    "thermometer in quarters",
    "share near its cap",
    "bursts of any length",
];

/// A series under way.
pub(crate) struct Quiet {
    kind: usize,
    draws: Draws,
    at_ms: i64,
    step_ms: i64,
    /// What a kind remembers.
    a: f64,
    b: f64,
    c: f64,
    ring: [f64; 20],
    n: usize,
}

impl Quiet {
    pub(crate) fn new(kind: usize, seed: u64) -> Self {
        Self {
            kind,
            draws: Draws::new(seed.wrapping_mul(7_919) ^ ((kind as u64) << 40) ^ 0x5eed),
            at_ms: START_MS,
            step_ms: STEPS_MS[seed as usize % STEPS_MS.len()],
            a: 0.0,
            b: 0.0,
            c: 0.0,
            ring: [0.0; 20],
            n: 0,
        }
    }

    /// The next row: its time and value.
    pub(crate) fn row(&mut self) -> (i64, f64) {
        let at = self.at_ms;
        let value = self.value(at);
        self.at_ms += self.step_ms;
        self.n += 1;
        (at, value)
    }

    fn value(&mut self, at: i64) -> f64 {
        let day = at.rem_euclid(DAY_MS) as f64 / DAY_MS as f64;
        let rhythm = (TAU * day).sin();
        // The epoch began on a Thursday.
        let weekend = (at.div_euclid(DAY_MS) + 3).rem_euclid(7) >= 5;
        match self.kind {
            0 => 10.0 + 40.0 * day + 2.0 * self.gamma(3.0),
            1 => (5.0 + 2.0 * rhythm) * self.draws.exponential().powf(1.0 / 1.5),
            2 => {
                let mean = if weekend { 6.0 } else { 20.0 } * (1.0 + 0.5 * rhythm);
                let drawn = mean * self.gamma(3.0) / 3.0;
                self.poisson(drawn)
            }
            3 if self.draws.uniform() < 0.9 => 0.0,
            3 => 1.0 + self.poisson(4.0),
            4 => {
                self.a = 0.97 * self.a + 0.24 * self.draws.normal();
                1.0 / (1.0 + (-1.5 - self.a).exp())
            }
            5 => {
                let calls = self.poisson(80.0).max(1.0);
                (self.poisson(0.02 * calls) / calls).min(1.0)
            }
            6 => {
                self.a += 1.0 + 0.5 * self.draws.normal();
                if self.a > 200.0 + 20.0 * self.b {
                    (self.a, self.b) = (20.0, self.draws.normal());
                }
                self.a
            }
            7 => {
                if self.draws.uniform() < 0.004 {
                    self.b = (3.0 * self.draws.uniform()).floor();
                }
                50.0 + 30.0 * self.b + (1.0 + self.b) * self.draws.normal()
            }
            8 => {
                self.ring[self.n % 20] = self.draws.normal();
                100.0 + self.ring.iter().sum::<f64>()
            }
            9 => {
                let next = 1.9 * self.a - 0.95 * self.b + self.draws.normal();
                (self.a, self.b) = (next, self.a);
                500.0 + next
            }
            10 => {
                let far = self.draws.exponential();
                50.0 + if self.draws.uniform() < 0.5 { far } else { -far }
            }
            11 => self.draws.uniform().max(1e-9).powf(-1.0 / 1.5),
            12 => {
                let deaths = self.poisson(0.02 * self.a);
                self.a = (self.a + self.poisson(2.0) - deaths).max(0.0);
                self.a
            }
            13 => {
                let runs = (24.0 * day).floor() == 3.0;
                let load = if runs { 60.0 + 15.0 * self.draws.normal() } else { 10.0 };
                load + 2.0 * self.draws.normal()
            }
            14 => {
                self.a = 0.8 * self.a + 0.15;
                let n = self.poisson(0.3 + self.a);
                self.a += 0.12 * n;
                n
            }
            15 => 10.0 * self.draws.uniform(),
            16 => {
                self.c = 0.995 * self.c + 0.1 * self.draws.normal();
                let load = 30.0 + 20.0 * rhythm + 8.0 * self.c;
                let wanted = (load / 10.0).ceil();
                if wanted > self.b || wanted < self.b - 1.0 {
                    self.b = wanted;
                }
                load / self.b.max(1.0) * (1.0 + 0.05 * self.draws.normal())
            }
            17 => {
                self.a = 0.7 * self.a + self.draws.normal();
                self.b = 0.97 * self.b + 0.3 * self.draws.normal();
                self.c = 0.997 * self.c + 0.1 * self.draws.normal();
                20.0 + self.a + self.b + self.c
            }
            18 => {
                let mut sum = 0.0;
                for _ in 0..20 {
                    let is_slow = self.draws.uniform() < 0.01;
                    let drawn = self.draws.exponential();
                    sum += if is_slow { 80.0 * drawn } else { 8.0 + drawn };
                }
                sum / 20.0
            }
            19 => {
                self.a = 0.9999 * self.a + 0.03 * self.draws.normal();
                let warm = 22.0 + 3.0 * rhythm + self.a + 0.15 * self.draws.normal();
                (4.0 * warm).round() / 4.0
            }
            20 => {
                self.a = 0.9 * self.a + 0.3 * self.draws.normal();
                (0.8 + 0.15 * rhythm + 0.1 * self.a).clamp(0.0, 1.0)
            }
            _ => {
                if self.c <= 0.0 && self.draws.uniform() < 0.01 {
                    self.c = 2.0 + self.poisson(6.0);
                    self.b = 10.0 + 10.0 * self.gamma(2.0);
                }
                if self.c <= 0.0 {
                    return self.gamma(2.0);
                }
                self.c -= 1.0;
                self.b * (1.0 + 0.2 * self.draws.normal())
            }
        }
    }

    /// Of this mean: by the times between events; of a large one, nearly normal.
    fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 40.0 {
            return (mean + mean.sqrt() * self.draws.normal()).round().max(0.0);
        }
        let (mut n, mut time) = (0.0, self.draws.exponential());
        while time < mean {
            n += 1.0;
            time += self.draws.exponential();
        }
        n
    }

    /// Of this shape, a whole number: a sum of so many exponential ones.
    fn gamma(&mut self, shape: f64) -> f64 {
        (0..shape as usize).map(|_| self.draws.exponential()).sum()
    }
}
