//! The plain signed webhook: one JSON object that any pipeline can send with `curl`.

use serde_json::Value;

use super::{Seen, diff, json, text, verify};
use crate::model::{Batch, Change, ChangeId, ChangeKind, EntityRef, Labels, Time};
use crate::telemetry::Rejected;

/// How far the sender's clock may differ from ours, and so how long a delivery may be repeated.
const WINDOW_MS: i64 = 5 * 60 * 1_000;

/// The headers of a delivery.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainHeaders<'a> {
    /// `X-Nightjar-Timestamp`: Unix seconds.
    pub timestamp: Option<&'a str>,
    /// `X-Nightjar-Signature`: `sha256=<hex>` over `<timestamp>.<body>`.
    pub signature: Option<&'a str>,
}

/// Checks and decodes one delivery. `now` is event time, `wall` the real time that the signature's
/// time is held against. After a transient fault of the intake call [`Seen::forget`] with the
/// signature.
///
/// # Errors
/// 401 for a wrong or stale signature, 409 for a repeated delivery, 400 for what makes no sense.
pub fn decode_plain(
    headers: PlainHeaders<'_>,
    body: &[u8],
    (now, wall): (Time, Time),
    secret: &[u8],
    seen: &Seen,
) -> Result<Batch, Rejected> {
    let stamp = headers.timestamp.unwrap_or_default();
    verify(secret, &[stamp.as_bytes(), b".", body], headers.signature)?;
    let seconds: i64 = stamp
        .parse()
        .map_err(|_| Rejected::invalid("X-Nightjar-Timestamp: expected Unix seconds"))?;
    let sent = Time::from_ms(seconds.saturating_mul(1_000));
    if wall.ms_since(sent).saturating_abs() > WINDOW_MS {
        metrics::counter!("nightjar_changes_unsigned_total").increment(1);
        return Err(Rejected::unsigned(
            "X-Nightjar-Timestamp is more than 5 minutes off; check the clock and sign anew",
        ));
    }
    let change = read(body, stamp, now)?;
    seen.note(headers.signature.unwrap_or_default())?;
    let mut batch = Batch::new("webhook", now);
    batch.changes.push(change);
    Ok(batch)
}

fn read(body: &[u8], stamp: &str, now: Time) -> Result<Change, Rejected> {
    let value = json(body)?;
    let get = |key: &str| text(&value, &format!("/{key}"));
    let need =
        |key: &str| get(key)?.ok_or_else(|| Rejected::invalid(format!("/{key}: missing or empty")));
    if !value.is_object() {
        return Err(Rejected::invalid("expected an object"));
    }
    let kind: ChangeKind = serde_json::from_value(need("kind")?.into()).map_err(|_| {
        Rejected::invalid(
            "/kind: expected deploy, config, network_policy, scale, flag, migration, schema, \
             provider or other",
        )
    })?;
    let entity = match (get("service")?, get("entity")?) {
        (Some(service), None) => EntityRef::service(service),
        (None, Some(entity)) => {
            entity.parse().map_err(|e| Rejected::invalid(format!("/entity: {e}")))?
        }
        _ => return Err(Rejected::invalid("give either /service or /entity")),
    };
    let told = match get("at")? {
        Some(at) => Some(Time::parse(&at).map_err(|e| Rejected::invalid(format!("/at: {e}")))?),
        None => None,
    };
    let mut attributes: Labels = match value.get("attributes") {
        None | Some(serde_json::Value::Null) => Labels::default(),
        Some(map) => serde_json::from_value(map.clone())
            .map_err(|e| Rejected::invalid(format!("/attributes: expected texts by name: {e}")))?,
    };
    let status = get("status")?;
    if !kind.is_ours() && of_provider(&value, told, status.as_deref())? {
        let ended = match attributes.get(Change::ENDED_AT) {
            Some(at) => Time::parse(at)
                .map_err(|e| Rejected::invalid(format!("/attributes/{}: {e}", Change::ENDED_AT)))?,
            None => now,
        };
        attributes.set(Change::ENDED_AT, ended.min(now).to_string());
    }
    let title = need("title")?;
    let diff = differs(&value, &title, &attributes)?;
    // Without a time of its own a change is known again by the time that was signed.
    let named = entity.to_string();
    let id = match told {
        Some(at) => ChangeId::derive(at, &["webhook", &named, &title]),
        None => ChangeId::derive(Time::MIN, &["webhook", &named, &title, stamp]),
    };
    Ok(Change {
        id,
        kind,
        entity,
        // A clock that is ahead: a change can't take effect after it was told.
        at: told.unwrap_or(now).min(now),
        title,
        version: get("version")?,
        previous: get("previous")?,
        author: get("author")?,
        url: get("url")?,
        source: "webhook".to_owned(),
        status: status
            .unwrap_or_else(|| (if kind.is_ours() { "success" } else { "open" }).to_owned()),
        attributes,
        diff,
    })
}

/// States of a provider's incident or maintenance that is over, as Statuspage names them.
const OVER: [&str; 3] = ["resolved", "completed", "postmortem"];

/// Whether a provider's event is over, and what of the fields makes no sense for one: nothing of it can
/// be put back, and the time at which its end was told is not when it began.
fn of_provider(value: &Value, told: Option<Time>, status: Option<&str>) -> Result<bool, Rejected> {
    for key in ["version", "previous", "before", "after"] {
        if value.get(key).is_some_and(|v| !v.is_null()) {
            return Err(Rejected::invalid(format!(
                "/{key}: leave it out, a provider's event has none to go back to"
            )));
        }
    }
    let over = status.is_some_and(|s| OVER.iter().any(|word| s.eq_ignore_ascii_case(word)));
    if over && told.is_none() {
        return Err(Rejected::invalid(
            "/at: missing; of a provider's event that is over, say when it began",
        ));
    }
    Ok(over)
}

/// What `before` and `after` (as Terraform's plans call them) tell of what was changed.
fn differs(value: &Value, title: &str, attributes: &Labels) -> Result<Vec<String>, Rejected> {
    let (before, after) = (value.get("before"), value.get("after"));
    // A value without a name of its own is the one that the title or an attribute names.
    let named = [before, after].into_iter().flatten().any(|v| v.is_object() || v.is_array());
    let mut names: Vec<&str> = attributes.iter().map(|(_, value)| value).collect();
    names.extend(attributes.iter().map(|(name, _)| name));
    if !named {
        names.extend(title.split(|c: char| c.is_whitespace() || ",;:=()\"'".contains(c)));
    }
    diff::lines(before, after, &names)
}
