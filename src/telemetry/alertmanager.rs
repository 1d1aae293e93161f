//! Alertmanager's webhook, version 4: other systems' alerts into a batch.
//!
//! Strict about types, with the path of what is wrong; fields that are not known are left alone.
//! Format: <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
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
    read(body, now).map_or_else(|| read_closely(body, now), Ok).map_err(|message| {
        metrics::counter!("nightjar_alertmanager_undecodable_total").increment(1);
        Rejected::invalid(message)
    })
}

/// An object: of a list serde would take the fields by their places.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// What is read of a delivery. What is not known is passed over without being kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivery<'a> {
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    alerts: Vec<Object<Sent<'a>>>,
    truncated_alerts: Option<u64>,
}

/// One alert as it is sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    labels: Labels,
    annotations: Option<Labels>,
    #[serde(borrow)]
    starts_at: Cow<'a, str>,
    #[serde(borrow)]
    ends_at: Option<Cow<'a, str>>,
    #[serde(rename = "generatorURL")]
    generator_url: Option<String>,
}

/// Reads a delivery in which nothing is wrong; `None` leaves it to [`read_closely`]. A storm is
/// thousands of these, and most of each is what nobody asks for.
fn read(body: &[u8], now: Time) -> Option<Batch> {
    let text = std::str::from_utf8(body).ok()?;
    let Object(sent) = serde_json::from_str::<Object<Delivery<'_>>>(text).ok()?;
    if sent.version != "4" || sent.truncated_alerts.unwrap_or(0) > 0 {
        return None;
    }
    let mut batch = Batch::new(SYSTEM, now);
    let alerts = sent.alerts.into_iter();
    batch.alerts = alerts.map(|Object(alert)| alert.read(now)).collect::<Option<_>>()?;
    Some(batch)
}

impl Sent<'_> {
    fn read(self, now: Time) -> Option<ExternalAlert> {
        let resolved = match &*self.status {
            "firing" => false,
            "resolved" => true,
            _ => return None,
        };
        let starts_at = Time::parse(&self.starts_at).ok().filter(|t| *t > Time::MIN)?;
        let ended = self.ends_at.filter(|_| resolved);
        let ended = ended.map(|text| Time::parse(&text)).transpose().ok()?;
        Some(ExternalAlert {
            system: SYSTEM.to_owned(),
            labels: Some(self.labels).filter(|labels| !labels.0.is_empty())?,
            annotations: self.annotations.unwrap_or_default(),
            starts_at,
            ends_at: resolved.then(|| end_of(ended.filter(|t| *t > Time::MIN), starts_at, now)),
            generator_url: self.generator_url.filter(|url| !url.is_empty()),
            episode: None,
            said_at: None,
        })
    }
}

/// When an alert ended that is said to have: not before it began nor after it was told.
fn end_of(told: Option<Time>, starts_at: Time, now: Time) -> Time {
    told.unwrap_or(now).max(starts_at).min(now)
}

/// Reads any delivery, or says what is wrong with it.
fn read_closely(body: &[u8], now: Time) -> Result<Batch, String> {
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
    let ends_at =
        if resolved { Some(end_of(time(&alert, "endsAt", path)?, starts_at, now)) } else { None };
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

    #[test]
    fn both_ways_of_reading_give_the_same_and_what_is_odd_is_read_closely() {
        let fine = [
            r#""status":"firing","startsAt":"2027-01-15T07:00:00Z","endsAt":"0001-01-01T00:00:00Z""#,
            r#""status":"resolved","startsAt":"2027-01-15T07:00:00Z","endsAt":"2027-01-15T07:30:00Z","annotations":null"#,
            r#""status":"resolved","startsAt":"2027-01-15T07:00:00Z","endsAt":"2027-01-15T06:00:00Z","generatorURL":"""#,
            r#""status":"resolved","startsAt":"2027-01-15T07:00:00Z","endsAt":"2099-01-01T00:00:00Z","annotations":{"a\n":"\u00e9\"","b":"é"}"#,
            r#""status":"resolved","startsAt":"2027-01-15T07:00:00+02:00","generatorURL":"http:\/\/x","more":[{},[1e3]]"#,
            r#""status":"resolved","startsAt":"2027-01-15T07:00:00Z","endsAt":"0001-01-01T00:00:00Z""#,
        ];
        let odd = [
            r#""status":"firing","startsAt":"2027-01-15T07:00:00Z","endsAt":7"#,
            r#""status":"other","status":"firing","startsAt":"2027-01-15T07:00:00Z""#,
            r#""status":"firing","startsAt":"0001-01-01T00:00:00Z""#,
            r#""status":"resolved","startsAt":"2027-01-15T07:00:00Z","endsAt":"soon""#,
            r#""status":null,"startsAt":"2027-01-15T07:00:00Z""#,
            r#""status":"firing","startsAt":"2027-01-15T07:00:00Z","labels":{}"#,
            r#""status":"firing","startsAt":"2027-01-15T07:00:00Z","labels":[["a","b"]]"#,
            r#""status":"firing","startsAt":"2027-01-15T07:00:00Z","generatorURL":1"#,
        ];
        let labels = r#""labels":{"b":"2","alertname":"Slow","a":"1","a":"3"}"#;
        let body = |alert: &str| {
            let alert = format!("{{{labels},{alert}}}");
            format!(r#"{{"version":"4","groupKey":"x","truncatedAlerts":0,"alerts":[{alert}]}}"#)
        };
        for alert in fine {
            let quick = read(body(alert).as_bytes(), NOW);
            assert_eq!(quick.as_ref(), read_closely(body(alert).as_bytes(), NOW).as_ref().ok());
            assert!(quick.is_some(), "{alert}");
        }
        let listed = r#"["firing",{"alertname":"Slow"},null,"2027-01-15T07:00:00Z",null,null]"#;
        let whole = format!(r#"{{"version":"4","alerts":[{listed}]}}"#);
        let cut =
            format!(r#"{{"version":"4","alerts":[{{{labels},{}}}],"truncatedAlerts":2}}"#, fine[0]);
        for odd in odd.map(body).into_iter().chain([whole, cut, r#"["4",[],0]"#.to_owned()]) {
            assert_eq!(read(odd.as_bytes(), NOW), None, "{odd}");
            assert_eq!(decode(odd.as_bytes(), NOW).ok(), read_closely(odd.as_bytes(), NOW).ok());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(&body, NOW).is_err());
        }
    }
}
