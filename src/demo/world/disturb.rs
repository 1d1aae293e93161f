//! How a fault spreads: its direct effects, and what callers feel of what they call.

use super::{Episode, World};
use crate::demo::town::{SERVICES, service_index};
use crate::model::Time;

/// What disturbs the requests of one service at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disturbance {
    /// Share of requests that are slow.
    pub slow_share: f64,
    /// Seconds that those take.
    pub slow_s: f64,
    /// Share of requests that fail.
    pub errors: f64,
    /// Seconds until those have failed.
    pub error_s: f64,
    /// Factor on the request rate.
    pub rate: f64,
}

impl Disturbance {
    /// None at all.
    pub const NONE: Self =
        Self { slow_share: 0.0, slow_s: 0.0, errors: 0.0, error_s: 0.0, rate: 1.0 };

    /// Adds an independent disturbance; the times are means weighted by share.
    fn join(&mut self, slow: (f64, f64), errors: (f64, f64)) {
        let mix = |(share, time): (f64, f64), (more, with): (f64, f64)| {
            let total = share + more;
            let mean = if total > 0.0 { (share * time + more * with) / total } else { 0.0 };
            (1.0 - (1.0 - share) * (1.0 - more), mean)
        };
        (self.slow_share, self.slow_s) = mix((self.slow_share, self.slow_s), slow);
        (self.errors, self.error_s) = mix((self.errors, self.error_s), errors);
    }
}

impl World {
    /// The disturbance of a service (by position) at a time.
    ///
    /// A caller feels a callee's disturbance one hop later: slow callees make the share of its
    /// requests that call them slow, up to its timeout; failures of a callee it needs are retried
    /// once and then fail; an optional callee only costs the wait until the timeout.
    #[must_use]
    pub fn disturbance(&self, service: usize, at: Time) -> Disturbance {
        let near: Vec<&Episode> = self.near(at).collect();
        Self::felt(service, at, &near)
    }

    /// Episodes that can be felt at a time.
    pub(super) fn near(&self, at: Time) -> impl Iterator<Item = &Episode> {
        self.episodes.iter().filter(move |e| e.is_near(at))
    }

    fn felt(service: usize, at: Time, near: &[&Episode]) -> Disturbance {
        let mut sum = Disturbance::NONE;
        if near.is_empty() {
            return sum;
        }
        let plan = &SERVICES[service];
        for episode in near {
            let strength = episode.strength(at);
            if strength == 0.0 {
                continue;
            }
            for effect in episode.scenario.effect.iter().filter(|e| e.on == plan.name) {
                sum.join(
                    (effect.slow_share * strength, effect.slow_s * (0.35 + 0.65 * strength)),
                    (effect.errors * strength, effect.error_s),
                );
                sum.rate *= 1.0 + (effect.rate - 1.0) * strength;
            }
        }
        let hop_s = near.iter().map(|e| e.scenario.onset.hop_s).fold(0.0, f64::max);
        let earlier = at.plus_ms(-(hop_s * 1_000.0) as i64);
        for call in plan.calls {
            let Some(callee) = service_index(call.to) else { continue };
            let below = Self::felt(callee, earlier, near);
            let slow = (call.share * below.slow_share, below.slow_s.min(call.timeout_s));
            if call.optional {
                sum.join(slow, (0.0, 0.0));
                let wait_s = below.error_s.min(call.timeout_s);
                sum.join((call.share * below.errors, wait_s), (0.0, 0.0));
            } else {
                // One retry: a failure counts when both attempts fail. Failures of one fault are
                // strongly correlated, so the second attempt fails nearly as often as the first.
                let failed = below.errors.powf(1.2);
                let error_s = (2.0 * below.error_s).min(call.timeout_s);
                sum.join(slow, (call.share * failed, error_s));
            }
        }
        sum
    }
}
