//! Heartbeats by push: a job or an agent says that it lives, and how soon it will again. Silence
//! beyond that is an anomaly (a dead man's switch), and so is a beat that says that it failed.
//!
//! Takes the body of `POST /ingest/heartbeat` and `now`; gives a batch with one beat, or why not.

use serde::Deserialize;

use super::Rejected;
use super::prometheus::duration_ms;
use crate::model::signal::Beat;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::model::{Batch, EntityRef, Time};

/// Longest name and text kept, in characters.
const LONGEST: usize = 200;
/// Shortest and longest time between beats.
const EVERY_MS: std::ops::RangeInclusive<i64> = 10 * SECOND_MS..=400 * DAY_MS;

/// One heartbeat as it is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    name: String,
    every: String,
    grace: Option<String>,
    service: Option<String>,
    entity: Option<String>,
    status: Option<Status>,
    text: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Failed,
    Ended,
}

/// Decodes one heartbeat.
///
/// # Errors
/// 400 with what is wrong and how it is written.
pub fn decode(body: &[u8], now: Time) -> Result<Batch, Rejected> {
    const FORM: &str = r#"{"name":"backup.nightly","every":"1d","grace":"1h","service":"backup"}"#;
    let sent: Sent = serde_json::from_slice(body)
        .map_err(|e| Rejected::invalid(format!("not a heartbeat: {e}; write {FORM}")))?;
    let name = sent.name.trim();
    if name.is_empty() || name.chars().count() > LONGEST {
        let text = format!("`name` must have 1 to {LONGEST} characters; write {FORM}");
        return Err(Rejected::invalid(text));
    }
    let duration = |what: &str, text: &str| {
        duration_ms(text).ok_or_else(|| {
            let text = text.chars().take(40).collect::<String>();
            Rejected::invalid(format!("`{what}` is `{text}`; write it as 90s, 15m, 6h or 1d"))
        })
    };
    let every_ms = duration("every", &sent.every)?;
    if !EVERY_MS.contains(&every_ms) {
        return Err(Rejected::invalid("`every` must lie between 10s and 400d"));
    }
    // A fifth of the interval, since jobs start late when machines are busy; a day is long enough
    // for anything.
    let usual_ms = (every_ms / 5).clamp(MINUTE_MS, 6 * HOUR_MS);
    let grace_ms = sent.grace.as_deref().map_or(Ok(usual_ms), |text| duration("grace", text))?;
    let grace_ms = grace_ms.clamp(0, *EVERY_MS.end());
    let entity = match (sent.entity, sent.service) {
        (Some(text), _) => text.parse().map_err(Rejected::invalid)?,
        (None, Some(service)) if !service.is_empty() => EntityRef::service(service),
        (None, _) => EntityRef::new("nightjar.heartbeat", name),
    };
    let failed = (sent.status == Some(Status::Failed)).then(|| {
        let text = sent.text.unwrap_or_default();
        text.chars().take(LONGEST).collect()
    });
    let beat = Beat {
        name: name.to_owned(),
        entity,
        at: now,
        every_ms,
        grace_ms,
        failed,
        ended: sent.status == Some(Status::Ended),
    };
    Ok(Batch { beats: vec![beat], ..Batch::new("heartbeat", now) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_ms(1_800_000_000_000);

    #[test]
    fn a_heartbeat_says_who_lives_and_until_when() {
        let body =
            br#"{"name":"backup.nightly","every":"1d","status":"failed","text":"disk full"}"#;
        let beat = decode(body, NOW).expect("sound").beats.remove(0);
        assert_eq!(beat.entity, EntityRef::new("nightjar.heartbeat", "backup.nightly"));
        assert_eq!((beat.every_ms, beat.grace_ms), (DAY_MS, DAY_MS / 5));
        assert_eq!(beat.failed.as_deref(), Some("disk full"));
        let body = br#"{"name":"cron","every":"5m","grace":"30s","service":"orders"}"#;
        let beat = decode(body, NOW).expect("sound").beats.remove(0);
        assert_eq!((beat.entity, beat.grace_ms), (EntityRef::service("orders"), 30_000));
    }

    #[test]
    fn what_is_wrong_is_said_with_how_to_write_it() {
        for (body, word) in [
            (r"{}", "name"),
            (r#"{"name":"","every":"5m"}"#, "1 to 200"),
            (r#"{"name":"x","every":"soon"}"#, "90s"),
            (r#"{"name":"x","every":"1s"}"#, "10s"),
            (r#"{"name":"x","every":"5m","entity":"x"}"#, "attribute=name"),
            (r#"{"name":"x","every":"5m","evry":"5m"}"#, "evry"),
        ] {
            let refused = decode(body.as_bytes(), NOW).expect_err(body);
            assert!(refused.status == 400 && refused.message.contains(word), "{}", refused.message);
        }
    }
}
