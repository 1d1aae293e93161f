//! Alertmanager's webhook, version 4: other systems' alerts into a batch.
//!
//! Strict about types, with the path of what is wrong; fields that are not known are left alone.
//! Format: <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.

use serde_json::{Map, Value};

use super::Rejected;
use crate::model::signal::ExternalAlert;
use crate::model::{Batch, Gap, Labels, Time};

/// The system's name on its alerts.
pub const SYSTEM: &str = "alertmanager";

/// Decodes one delivery.
///
/// # Errors
/// 400 with the path of the first thing that is wrong.
pub fn decode(body: &[u8], now: Time) -> Result<Batch, Rejected> {
    read(body, now).map_err(|message| {
        metrics::counter!("nightjar_alertmanager_undecodable_total").increment(1);
        Rejected::invalid(message)
    })
}

fn read(body: &[u8], now: Time) -> Result<Batch, String> {
    let value: Value = serde_json::from_slice(body).map_err(|e| format!("not JSON: {e}"))?;
    let Value::Object(mut top) = value else { return Err("expected an object".to_owned()) };
    match top.get("version") {
        Some(Value::String(v)) if v == "4" => {}
        Some(other) => return Err(format!("version: {other} is not taken, only \"4\"")),
        None => return Err("version: missing".to_owned()),
    }
    let Some(Value::Array(alerts)) = top.remove("alerts") else {
        return Err("alerts: expected a list".to_owned());
    };
    let mut batch = Batch::new(SYSTEM, now);
    for (i, alert) in alerts.into_iter().enumerate() {
        let path = format!("alerts[{i}]");
        let Value::Object(alert) = alert else {
            return Err(format!("{path}: expected an object"));
        };
        batch.alerts.push(read_alert(alert, &path, now)?);
    }
    match top.get("truncatedAlerts") {
        None | Some(Value::Null) => {}
        Some(n) => {
            let n = n.as_u64().ok_or("truncatedAlerts: expected a count")?;
            if n > 0 {
                batch.gaps.push(Gap {
                    what: format!("{n} alerts of a group"),
                    why: "Alertmanager cut the delivery (max_alerts); raise it or set it to 0"
                        .to_owned(),
                    since: None,
                    until: Some(now),
                });
            }
        }
    }
    Ok(batch)
}

fn read_alert(
    mut alert: Map<String, Value>,
    path: &str,
    now: Time,
) -> Result<ExternalAlert, String> {
    let labels = texts(alert.remove("labels"), "labels", path)?;
    if labels.0.is_empty() {
        return Err(format!("{path}.labels: an alert without labels has no identity"));
    }
    let resolved = match alert.get("status").and_then(Value::as_str) {
        Some("firing") => false,
        Some("resolved") => true,
        _ => return Err(format!("{path}.status: expected \"firing\" or \"resolved\"")),
    };
    // As sent, even if ahead of our clock: each repeat and the end name the alert by it.
    let starts_at =
        time(&alert, "startsAt", path)?.ok_or_else(|| format!("{path}.startsAt: missing"))?;
    // While it fires `endsAt` is zero (year 1) or a time-out in the future.
    let ends_at = if resolved {
        Some(time(&alert, "endsAt", path)?.unwrap_or(now).max(starts_at).min(now))
    } else {
        None
    };
    let generator_url = match alert.remove("generatorURL") {
        None | Some(Value::Null) => None,
        Some(Value::String(url)) => Some(url).filter(|u| !u.is_empty()),
        Some(_) => return Err(format!("{path}.generatorURL: expected a text")),
    };
    let annotations = texts(alert.remove("annotations"), "annotations", path)?;
    let system = SYSTEM.to_owned();
    Ok(ExternalAlert {
        system,
        labels,
        annotations,
        starts_at,
        ends_at,
        generator_url,
        episode: None,
        said_at: None,
    })
}

fn texts(value: Option<Value>, key: &str, path: &str) -> Result<Labels, String> {
    let inner = match value {
        None | Some(Value::Null) => return Ok(Labels::default()),
        Some(Value::Object(inner)) => inner,
        Some(_) => return Err(format!("{path}.{key}: expected an object of texts")),
    };
    inner
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            _ => Err(format!("{path}.{key}.{name}: expected a text")),
        })
        .collect()
}

fn time(map: &Map<String, Value>, key: &str, path: &str) -> Result<Option<Time>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            let at = Time::parse(text).map_err(|e| format!("{path}.{key}: {e}"))?;
            Ok(Some(at).filter(|t| *t > Time::MIN))
        }
        Some(_) => Err(format!("{path}.{key}: expected an RFC 3339 time")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Time = Time::from_ms(1_800_000_000_000);

    fn delivery(alert: &str, rest: &str) -> Result<Batch, Rejected> {
        decode(format!(r#"{{"version":"4","alerts":[{alert}]{rest}}}"#).as_bytes(), NOW)
    }

    #[test]
    fn firing_and_resolved_alerts_are_read_and_truncation_is_a_gap() {
        let firing = r#"{"status":"firing","labels":{"alertname":"Slow"},"startsAt":"2027-01-15T07:00:00Z","endsAt":"0001-01-01T00:00:00Z","unknown":1}"#;
        let batch = delivery(firing, r#","truncatedAlerts":3"#).expect("decodes");
        assert_eq!(batch.alerts[0].ends_at, None);
        assert!(batch.gaps[0].what.contains('3'));
        let resolved = r#"{"status":"resolved","labels":{"alertname":"Slow"},"startsAt":"2027-01-15T07:00:00Z","endsAt":"2027-01-15T07:30:00Z"}"#;
        let batch = delivery(resolved, "").expect("decodes");
        assert_eq!(batch.alerts[0].ends_at.map(Time::clock_text).as_deref(), Some("07:30:00"));
    }

    #[test]
    fn a_senders_clock_ahead_neither_splits_an_alert_nor_keeps_it_open() {
        use crate::detect::lifecycle::{alert_of_external, renewed};
        let started = NOW.plus_ms(10 * crate::model::time::MINUTE_MS);
        let told = |status: &str, after_s: i64| {
            let now = NOW.plus_ms(after_s * crate::model::time::SECOND_MS);
            let body = serde_json::json!({ "version": "4", "alerts": [{
                "status": status, "labels": { "alertname": "Slow" },
                "startsAt": started, "endsAt": started.plus_ms(60_000),
            }]});
            let batch = decode(body.to_string().as_bytes(), now).expect("decodes");
            alert_of_external(&batch.alerts[0], now)
        };
        let (first, repeat, end) = (told("firing", 0), told("firing", 60), told("resolved", 120));
        assert_eq!((first.id, first.id), (repeat.id, end.id), "one alert");
        assert_eq!(first.starts_at, NOW, "nothing is shown to begin after it was told");
        let last = renewed(renewed(first, repeat), end);
        assert!(!last.is_firing(), "{last:?}");
        assert_eq!((last.starts_at, last.ends_at), (NOW, Some(NOW.plus_ms(120_000))));
    }

    #[test]
    fn a_wrong_type_is_refused_with_its_path() {
        let alert =
            r#"{"status":"firing","labels":{"alertname":7},"startsAt":"2027-01-15T07:00:00Z"}"#;
        let rejected = delivery(alert, "").expect_err("refused");
        assert_eq!(rejected.message, "alerts[0].labels.alertname: expected a text");
        assert_eq!(decode(b"{\"version\":\"3\"}", NOW).expect_err("refused").status, 400);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(&body, NOW).is_err());
        }
    }
}
