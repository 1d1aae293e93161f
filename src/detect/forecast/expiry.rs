//! What ends at a known time: certificates. Nothing is estimated; the value is the end itself.

use serde::{Deserialize, Serialize};

use crate::model::alert::{Anomaly, Band, Subject};
use crate::model::signal::Direction;
use crate::model::time::{HOUR_MS, duration_text};
use crate::model::{AnomalyId, Point, Series, Time};

/// Its name in anomalies.
pub(in crate::detect) const EXPIRY: &str = "expiry/1";
/// Metrics whose values are times of an end, in seconds since the epoch, as exporters name them.
const NAMES: [&str; 5] = [
    "probe_ssl_earliest_cert_expiry",
    "x509_cert_not_after",
    "ssl_cert_not_after",
    "certmanager_certificate_expiration_timestamp_seconds",
    "kubelet_certificate_manager_server_expiration_seconds",
];
/// It is told again after this long (ms): people forget what is two weeks off.
const RETELL_MS: i64 = 6 * HOUR_MS;
/// Values above this are milliseconds.
const MILLISECONDS: f64 = 1e11;

/// Whether a series gives the time of an end.
pub(in crate::detect) fn is_expiry(series: &Series) -> bool {
    series.metric.ends_with(".expires_at") || NAMES.iter().any(|n| series.metric == *n)
}

/// An end that is near.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::detect) struct Expiring {
    ends_at: Time,
    horizon_ms: i64,
    told_at: Time,
}

impl Expiring {
    /// Moves on by a point: what is near is told, now and then again; what was renewed is over.
    pub(in crate::detect) fn step(
        slot: &mut Option<Self>,
        series: &Series,
        point: Point,
        horizon_h: u32,
        out: &mut Vec<Anomaly>,
    ) {
        let seconds = if point.value > MILLISECONDS { point.value / 1e3 } else { point.value };
        // Zero stands for "no certificate was seen".
        let Some(ends_at) = Time::from_seconds(seconds).filter(|t| *t > Time::MIN) else { return };
        let horizon_ms = i64::from(horizon_h) * HOUR_MS;
        if let Some(before) = *slot
            && (before.ends_at != ends_at)
        {
            out.push(before.claim(series, point.at, Some(point.at)));
            *slot = None;
        }
        if ends_at.ms_since(point.at) > horizon_ms {
            return;
        }
        let due = slot.is_none_or(|s| point.at.ms_since(s.told_at) >= RETELL_MS);
        if due {
            let now = Self { ends_at, horizon_ms, told_at: point.at };
            *slot = Some(now);
            out.push(now.claim(series, point.at, None));
        }
    }

    /// Its end because the series is gone.
    pub(in crate::detect) fn vanished(self, series: &Series, now: Time) -> Anomaly {
        Anomaly { unseen: true, ..self.claim(series, now, Some(now)) }
    }

    fn claim(self, series: &Series, at: Time, until: Option<Time>) -> Anomaly {
        let left_ms = self.ends_at.ms_since(at);
        let hours = left_ms as f64 / HOUR_MS as f64;
        let since = self.ends_at.plus_ms(-self.horizon_ms).min(at);
        let name = series.entity.name();
        let why = if until.is_some() {
            format!(
                "The certificate of {name} that ended {} is no longer in use.",
                self.ends_at.minute_text()
            )
        } else if left_ms > 0 {
            format!(
                "The certificate of {name} ends in {}, {}; the time is known exactly.",
                duration_text(left_ms),
                self.ends_at.minute_text()
            )
        } else {
            format!(
                "The certificate of {name} ended {} ago, {}.",
                duration_text(-left_ms),
                self.ends_at.minute_text()
            )
        };
        Anomaly {
            id: AnomalyId::derive(
                since,
                &[&series.id.to_string(), &self.ends_at.to_string(), EXPIRY],
            ),
            subject: Subject::Series { series: series.clone() },
            detector: EXPIRY.to_owned(),
            since,
            at,
            until,
            value: hours,
            peak: hours,
            expected: Band {
                low: self.horizon_ms as f64 / HOUR_MS as f64,
                mid: 2_160.0,
                high: 8_760.0,
            },
            // Certain as it is, it is as urgent as little time is left.
            score: if hours <= 48.0 { 12.0 } else { 6.0 },
            direction: Direction::Low,
            why,
            unseen: false,
            grounds: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Indicator;

    #[test]
    fn an_end_is_told_of_in_time_and_over_once_it_is_renewed() {
        let mut series = crate::detect::tests::series(Indicator::Custom, "s");
        series.metric = "tls.certificate.expires_at".into();
        assert!(is_expiry(&series));
        let end = Time::parse("2026-12-01T00:00:00Z").expect("valid");
        let (mut slot, mut out) = (None, Vec::new());
        let mut at = end.plus_ms(-400 * HOUR_MS);
        while at < end.plus_ms(-300 * HOUR_MS) {
            let point = Point { at, value: end.seconds() };
            Expiring::step(&mut slot, &series, point, 336, &mut out);
            at = at.plus_ms(HOUR_MS);
        }
        assert_eq!(out.len(), 6, "once, and every six hours again");
        assert_eq!(out[0].value, 336.0);
        assert!(out.iter().all(|a| a.id == out[0].id && a.until.is_none()));
        assert_eq!(
            out[0].why,
            "The certificate of checkout ends in 14 d 0 h, 2026-12-01 00:00 UTC; the time is known \
             exactly."
        );
        let renewed = Point { at, value: end.plus_ms(90 * 24 * HOUR_MS).seconds() };
        Expiring::step(&mut slot, &series, renewed, 336, &mut out);
        let last = out.last().expect("it is over");
        assert_eq!((last.id, last.until, slot), (out[0].id, Some(at), None));
        Expiring::step(&mut slot, &series, Point { at, value: 0.0 }, 336, &mut out);
        assert_eq!(slot, None, "zero is no time");
    }
}
