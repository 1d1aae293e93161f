//! Datadog's webhook: what its monitors say into a batch.
//!
//! Datadog has no format of its own: it fills the variables of a payload that people paste, which is
//! `deploy/connect/datadog-webhook.json`. Every field that does not fit is named with what to do;
//! fields that are not known are left alone.
//! Variables: <https://docs.datadoghq.com/integrations/webhooks/>.
//!
//! | transition | becomes |
//! |---|---|
//! | `Triggered`, `Re-Triggered`, `Renotify` | fires, by the monitor's priority; critical without one |
//! | `Warn`, `Re-Warn`, or any with the type `warning` | fires, at most a warning |
//! | `No Data`, `Re-No Data` | fires, at most a warning, and says nothing but that nothing is heard |
//! | `Recovered` | over |
//!
//! A word of Datadog names no start that its end would repeat: the alert is known again by monitor,
//! cycle and scope.

mod fields;
mod tags;

use std::collections::BTreeMap;

use serde_json::Value;

use self::fields::Fields;
use crate::model::alert::NO_DATA;
use crate::model::signal::ExternalAlert;
use crate::model::{Batch, Labels, Time};

/// The system's name on its alerts.
pub const SYSTEM: &str = "datadog";

/// The variable behind each field that is read.
const VARIABLES: [(&str, &str); 16] = [
    ("alert_id", "$ALERT_ID"),
    ("alert_cycle_key", "$ALERT_CYCLE_KEY"),
    ("alert_transition", "$ALERT_TRANSITION"),
    ("alert_title", "$ALERT_TITLE"),
    ("alert_scope", "$ALERT_SCOPE"),
    ("alert_type", "$ALERT_TYPE"),
    ("alert_priority", "$ALERT_PRIORITY"),
    ("alert_status", "$ALERT_STATUS"),
    ("alert_metric", "$ALERT_METRIC"),
    ("priority", "$PRIORITY"),
    ("tags", "$TAGS"),
    ("hostname", "$HOSTNAME"),
    ("date", "$DATE"),
    ("last_updated", "$LAST_UPDATED"),
    ("link", "$LINK"),
    ("text", "$TEXT_ONLY_MSG"),
];

/// What a transition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Alert,
    Warn,
    NoData,
    Recovered,
}

impl Said {
    fn of(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        match text.strip_prefix("re-").unwrap_or(&text) {
            "triggered" | "renotify" => Some(Self::Alert),
            "warn" => Some(Self::Warn),
            "no data" => Some(Self::NoData),
            "recovered" => Some(Self::Recovered),
            _ => None,
        }
    }
}

/// Decodes one delivery.
///
/// # Errors
/// What is wrong with each field and what to do about it, by the field's name (`body` for the whole).
pub fn decode(body: &[u8], now: Time) -> Result<Batch, BTreeMap<String, String>> {
    let alert = read(body, now).inspect_err(|_| {
        metrics::counter!("nightjar_datadog_undecodable_total").increment(1);
    })?;
    let mut batch = Batch::new(SYSTEM, now);
    batch.alerts.push(alert);
    Ok(batch)
}

fn read(body: &[u8], now: Time) -> Result<ExternalAlert, BTreeMap<String, String>> {
    let whole = |why: String| BTreeMap::from([("body".to_owned(), why)]);
    let value: Value = serde_json::from_slice(body).map_err(|e| {
        let form = body.first().is_some_and(|b| *b != b'{') && body.contains(&b'=');
        whole(if form {
            "not JSON but a form: take the check off “Encode as form” in the webhook".to_owned()
        } else {
            format!("not JSON: {e}; paste deploy/connect/datadog-webhook.json as the payload")
        })
    })?;
    let Value::Object(top) = value else {
        let why = "expected an object: paste deploy/connect/datadog-webhook.json as the payload";
        return Err(whole(why.to_owned()));
    };
    let mut fields = Fields::of(top);
    let monitor = fields.needed("alert_id");
    let cycle = fields.needed("alert_cycle_key");
    let title = fields.needed("alert_title");
    let transition = fields.needed("alert_transition");
    let said = Said::of(&transition);
    if said.is_none() && !transition.is_empty() {
        fields.wrong(
            "alert_transition",
            format!(
                "`{}` is none of Triggered, Re-Triggered, Renotify, Warn, Re-Warn, No Data, Re-No \
                 Data, Recovered: use this webhook in monitors alone",
                transition.chars().take(40).collect::<String>()
            ),
        );
    }
    let date = fields.time("date");
    let updated = fields.maybe_time("last_updated");
    let scope = tags::list(&fields.texts("alert_scope"));
    let told = fields.texts("tags");
    let texts = |fields: &mut Fields, names: &[&'static str]| -> Vec<(&'static str, String)> {
        names.iter().filter_map(|n| Some((*n, fields.text(n)?))).collect()
    };
    let said_more =
        texts(&mut fields, &["alert_status", "text", "alert_metric", "hostname", "link"]);
    let more: BTreeMap<&str, String> = said_more.into_iter().collect();
    let ranks = texts(&mut fields, &["alert_priority", "alert_type", "priority"]);
    let ranks: BTreeMap<&str, String> = ranks.into_iter().collect();
    // What is repeated is the state that holds, which only the type says.
    let warns = ranks.get("alert_type").is_some_and(|t| t.eq_ignore_ascii_case("warning"));
    let said = if warns && said == Some(Said::Alert) { Some(Said::Warn) } else { said };
    let wrong = fields.all_wrong();
    let (Some(said), Some(date), true) = (said, date, wrong.is_empty()) else { return Err(wrong) };

    // A clock ahead of ours: nothing is said before it happened.
    let said_at = updated.unwrap_or(date).max(date).min(now);
    let mut labels = tags::labels(&scope, &tags::list(&told), more.get("hostname"));
    labels.set("alertname", bare(&title));
    labels.set("datadog_monitor", monitor.clone());
    labels.set("severity", severity(said, &ranks, &labels));
    if let Some(metric) = more.get("alert_metric") {
        labels.set("metric", metric.clone());
    }
    let mut annotations = Labels::default().with("summary", bare(&title));
    let described = more.get("alert_status").or_else(|| more.get("text"));
    for (name, text) in [
        ("description", described),
        ("text", more.get("text").filter(|_| more.contains_key("alert_status"))),
        ("tags", Some(&told).filter(|t| !t.is_empty())),
        ("datadog_transition", Some(&transition)),
        ("datadog_priority", ranks.get("alert_priority")),
    ] {
        if let Some(text) = text {
            annotations.set(name, text.clone());
        }
    }
    if said == Said::NoData {
        annotations.set(NO_DATA, "true");
    }
    // A digest: what names an episode must come through redaction as it is.
    let mut of = Labels::default().with("monitor", monitor).with("cycle", cycle);
    let mut scope: Vec<String> = scope.into_iter().map(|(k, v)| format!("{k}:{v}")).collect();
    scope.sort();
    of.set("scope", scope.join(","));
    Ok(ExternalAlert {
        system: SYSTEM.to_owned(),
        labels,
        annotations,
        starts_at: date.min(said_at),
        ends_at: (said == Said::Recovered).then_some(said_at),
        generator_url: more.get("link").cloned(),
        episode: Some(of.fingerprint().to_string()),
        said_at: Some(said_at),
    })
}

/// How bad, as the monitor says it: by its priority where it has one, else by a tag `severity` with
/// the words that every source may use, else by which of its thresholds is passed.
fn severity(said: Said, ranks: &BTreeMap<&str, String>, labels: &Labels) -> &'static str {
    let tagged = labels.get("severity").map(str::to_owned);
    let rank = ranks.get("alert_priority").cloned().or(tagged).unwrap_or_default();
    let low = ranks.get("priority").is_some_and(|p| p.eq_ignore_ascii_case("low"));
    let grave = match rank.to_ascii_lowercase().as_str() {
        "" if low => "info",
        "" | "p1" | "p2" | "1" | "2" | "critical" | "page" | "error" | "fatal" | "high" => {
            "critical"
        }
        "p4" | "p5" | "4" | "5" | "info" | "none" | "low" | "debug" => "info",
        _ => "warning",
    };
    match said {
        // Its end makes nothing worse than it was while it lasted.
        Said::Recovered => "info",
        Said::Warn | Said::NoData if grave == "critical" => "warning",
        _ => grave,
    }
}

/// A title without what Datadog puts before it, which is the same for all groups of a monitor: `Host
/// is down` of `[P1] [Triggered on {host:a}] Host is down`.
fn bare(title: &str) -> &str {
    let mut rest = title.trim();
    while let Some((head, tail)) = rest.strip_prefix('[').and_then(|r| r.split_once("] ")) {
        let first = head.split(" on {").next().unwrap_or(head);
        let rank = first.len() == 2 && first.starts_with('P');
        let state = Said::of(first).is_some() || first.eq_ignore_ascii_case("test");
        if !rank && !state {
            break;
        }
        rest = tail.trim_start();
    }
    if rest.is_empty() { title.trim() } else { rest }
}

#[cfg(test)]
mod tests;
