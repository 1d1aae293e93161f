//! OTLP log records into log lines.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;

use super::resource::{self, Origin};
use super::{Apart, Losses, Rejected, Window};
use crate::model::{Batch, Level, LogLine, Time};

/// Longest body kept, in characters.
const LONGEST_BODY: usize = 16_384;

/// Converts a request; what is not taken is counted. Refused when it takes too much memory.
pub(super) fn convert(
    request: ExportLogsServiceRequest,
    window: Window<'_>,
    batch: &mut Batch,
    losses: &mut Losses,
) -> Result<(), Rejected> {
    let mut apart = Apart::default();
    for group in request.resource_logs {
        let origin = Origin::new(group.resource);
        apart.add(&origin, group.scope_logs.iter().map(|s| s.log_records.len()).sum())?;
        for record in group.scope_logs.into_iter().flat_map(|s| s.log_records) {
            // A record without its own time has the time at which the collector saw it.
            let nanos = [record.time_unix_nano, record.observed_time_unix_nano];
            let at = nanos.into_iter().find(|n| *n > 0).map_or(window.now, Time::from_nanos);
            let at = match window.check(at) {
                Ok(at) => at,
                Err(why) => {
                    losses.add(format!("log record: {why}"));
                    continue;
                }
            };
            let mut attributes = resource::labels(record.attributes);
            for (name, value) in origin.kept.iter() {
                if attributes.get(name).is_none() {
                    attributes.set(name, value);
                }
            }
            let body = record
                .body
                .and_then(resource::text)
                .or_else(|| attributes.get("exception.message").map(str::to_owned))
                .or_else(|| Some(record.event_name.clone()).filter(|n| !n.is_empty()));
            let Some(body) = body else {
                losses.add("log record without a body");
                continue;
            };
            if !record.event_name.is_empty() {
                attributes.set("event.name", resource::cut(record.event_name, 256));
            }
            batch.logs.push(LogLine {
                at,
                entity: origin.entity.clone(),
                level: level(record.severity_number, &record.severity_text, &body),
                body: resource::cut(body, LONGEST_BODY),
                trace_id: resource::id(&record.trace_id, 16),
                attributes,
            });
        }
    }
    Ok(())
}

/// Severity number (1 to 24, four a level), else the severity text, else a level word at the start
/// of the body, else `info`.
pub(super) fn level(number: i32, text: &str, body: &str) -> Level {
    match number {
        1..=4 => Level::Trace,
        5..=8 => Level::Debug,
        9..=12 => Level::Info,
        13..=16 => Level::Warn,
        17..=20 => Level::Error,
        21..=24 => Level::Fatal,
        _ => word(text)
            .or_else(|| body.split_whitespace().take(4).find_map(word))
            .unwrap_or(Level::Info),
    }
}

fn word(text: &str) -> Option<Level> {
    let text = text.trim_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
    Some(match text.as_str() {
        "trace" => Level::Trace,
        "debug" => Level::Debug,
        "info" | "information" | "notice" => Level::Info,
        "warn" | "warning" => Level::Warn,
        "error" | "err" | "severe" => Level::Error,
        "fatal" | "critical" | "crit" | "emerg" | "alert" | "panic" => Level::Fatal,
        _ => return None,
    })
}
