//! Traffic's daily and weekly rhythm and noise without history: pure functions of seed and time.

use crate::model::Time;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};

/// A well-mixed 64-bit hash of three words (the finalizer of `SplitMix64`, applied in a chain).
#[must_use]
pub fn hash(seed: u64, a: u64, b: u64) -> u64 {
    let mut x = seed;
    for word in [a, b] {
        x = x.wrapping_add(word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
    }
    x
}

/// A number in 0..1 from a hash.
#[must_use]
pub fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// Smooth noise of mean 0 within -1..1: values hashed at multiples of `period_ms`, joined by a
/// smooth curve.
#[must_use]
pub fn wave(seed: u64, stream: u64, at: Time, period_ms: i64) -> f64 {
    let cell = at.ms().div_euclid(period_ms);
    let x = at.ms().rem_euclid(period_ms) as f64 / period_ms as f64;
    let s = x * x * (3.0 - 2.0 * x);
    let left = unit(hash(seed, stream, cell as u64));
    let right = unit(hash(seed, stream, (cell + 1) as u64));
    2.0 * (left + (right - left) * s) - 1.0
}

/// Noise as load has it: slow drift, minutes, and a fast part, within about -1..1.
#[must_use]
pub fn noise(seed: u64, stream: u64, at: Time) -> f64 {
    0.35 * wave(seed, stream, at, 2 * HOUR_MS)
        + 0.35 * wave(seed, stream ^ 0x51, at, 7 * MINUTE_MS)
        + 0.30 * wave(seed, stream ^ 0xa3, at, 20_000)
}

/// Rises from 0 at `from` to 1 at `to`, smoothly; 0 before, 1 after.
#[must_use]
pub fn ramp(x: f64, from: f64, to: f64) -> f64 {
    let s = ((x - from) / (to - from).max(1e-9)).clamp(0.0, 1.0);
    s * s * (3.0 - 2.0 * s)
}

/// Hour of the day with a fraction, 0..24, UTC.
#[must_use]
pub fn hour_of_day(at: Time) -> f64 {
    at.ms().rem_euclid(DAY_MS) as f64 / HOUR_MS as f64
}

/// Traffic relative to the week's mean: low at night, high in the afternoon, less at weekends,
/// and a surge every Friday evening.
#[must_use]
pub fn traffic(at: Time) -> f64 {
    let hour = hour_of_day(at);
    let angle = (hour - 14.5) / 24.0 * std::f64::consts::TAU;
    let day = 1.0 + 0.48 * angle.cos() + 0.10 * (2.0 * angle).cos();
    day * weekend(at) * (1.0 + 1.3 * friday_evening(at))
}

/// How far the Friday evening surge is in force, 0 to 1: from 18:00 to 22:00 UTC with half an
/// hour of rise and an hour of fall.
#[must_use]
pub fn friday_evening(at: Time) -> f64 {
    let hour = at.ms().rem_euclid(7 * DAY_MS) as f64 / HOUR_MS as f64;
    // 1970-01-01 was a Thursday: Friday begins 24 hours into such a week.
    let x = hour - 24.0;
    ramp(x, 17.75, 18.25) * (1.0 - ramp(x, 21.0, 22.0))
}

/// How far the nightly batch is in force, 0 to 1: from 02:00 to 02:40 UTC.
#[must_use]
pub fn nightly_batch(at: Time) -> f64 {
    let hour = hour_of_day(at);
    ramp(hour, 2.0, 2.03) * (1.0 - ramp(hour, 2.63, 2.67))
}

fn weekend(at: Time) -> f64 {
    let day = at.ms().rem_euclid(7 * DAY_MS) as f64 / DAY_MS as f64;
    // Saturday is day 2 and Sunday day 3 of a week that starts on Thursday.
    1.0 - 0.18 * ramp(day, 1.9, 2.2) * (1.0 - ramp(day, 3.9, 4.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).expect("valid")
    }

    #[test]
    fn the_surge_is_on_friday_evening_only() {
        assert!(friday_evening(at("2026-11-20T19:30:00Z")) > 0.99);
        assert_eq!(friday_evening(at("2026-11-19T19:30:00Z")), 0.0);
        assert_eq!(friday_evening(at("2026-11-21T19:30:00Z")), 0.0);
        assert!(traffic(at("2026-11-20T19:30:00Z")) > 1.8 * traffic(at("2026-11-19T19:30:00Z")));
    }

    #[test]
    fn the_batch_is_at_two_every_night() {
        for day in ["2026-11-16", "2026-11-21"] {
            assert!(nightly_batch(at(&format!("{day}T02:20:00Z"))) > 0.99);
            assert_eq!(nightly_batch(at(&format!("{day}T01:59:00Z"))), 0.0);
            assert_eq!(nightly_batch(at(&format!("{day}T02:45:00Z"))), 0.0);
        }
    }

    #[test]
    fn noise_is_centred_bounded_and_smooth() {
        let start = at("2026-11-16T00:00:00Z");
        let values: Vec<f64> =
            (0..20_000).map(|i| noise(7, 3, start.plus_ms(i * 30_000))).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!(values.iter().all(|v| v.abs() <= 1.0));
        let step = (noise(7, 3, start.plus_ms(100)) - noise(7, 3, start)).abs();
        assert!(step < 0.02, "{step}");
    }
}
