//! Log lines with full-text search, spans, and calls per edge and minute.

use rusqlite::{params, params_from_iter, types::Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::search::fts_query;
use super::sql::{Rows, Tx, fault};
use crate::model::{EntityRef, Fault, Labels, Level, LogLine, Span, Time, time::MINUTE_MS};

/// Which log lines; newest first.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Only of this entity.
    pub entity: Option<EntityRef>,
    /// At least this severe.
    pub level: Option<Level>,
    /// Words that must all occur.
    pub text: Option<String>,
    /// Not before.
    pub since: Option<Time>,
    /// Before.
    pub until: Option<Time>,
    /// At most so many; 0 means 100.
    pub limit: usize,
}

/// Which spans; newest first.
#[derive(Clone, Debug, Default)]
pub struct SpanFilter {
    /// Only of this entity.
    pub entity: Option<EntityRef>,
    /// Only of this trace.
    pub trace_id: Option<String>,
    /// Only failed ones.
    pub failed: bool,
    /// Not before.
    pub since: Option<Time>,
    /// Before.
    pub until: Option<Time>,
    /// At most so many; 0 means 100.
    pub limit: usize,
}

/// Calls along one edge over a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EdgeStats {
    /// Caller.
    pub from: EntityRef,
    /// Callee.
    pub to: EntityRef,
    /// Calls.
    pub n: u64,
    /// Failed ones.
    pub n_failed: u64,
    /// Mean duration in milliseconds.
    pub mean_ms: f64,
    /// Longest in milliseconds.
    pub max_ms: f64,
}

const LEVELS: [Level; 6] =
    [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Fatal];

fn level_of(n: i64) -> Level {
    *LEVELS.get(n.clamp(0, 5) as usize).expect("clamped to the six levels")
}

fn conditions(
    parts: &mut Vec<String>,
    values: &mut Vec<Value>,
    since: Option<Time>,
    until: Option<Time>,
) {
    for (op, time) in [(">=", since), ("<", until)] {
        if let Some(time) = time {
            parts.push(format!("at {op} ?"));
            values.push(Value::from(time.ms()));
        }
    }
}

fn limit_of(limit: usize) -> i64 {
    if limit == 0 { 100 } else { limit as i64 }
}

impl Tx<'_> {
    /// Writes log lines.
    ///
    /// # Errors
    /// The database failed.
    pub fn append_logs(&self, lines: &[LogLine]) -> Result<(), Fault> {
        let run = || -> rusqlite::Result<()> {
            let mut s = self.conn.prepare_cached(
                "INSERT INTO log (at, entity, level, body, trace_id, attributes) \
                 VALUES (?, ?, ?, ?, ?, ?)",
            )?;
            for l in lines {
                let attributes =
                    serde_json::to_string(&l.attributes).expect("labels are a map of strings");
                let level = l.level as i64;
                s.execute(params![
                    l.at.ms(),
                    l.entity.to_string(),
                    level,
                    l.body,
                    l.trace_id,
                    attributes
                ])?;
            }
            Ok(())
        };
        run().map_err(|e| fault("writing log lines", e))
    }

    /// Writes spans.
    ///
    /// # Errors
    /// The database failed.
    pub fn append_spans(&self, spans: &[Span]) -> Result<(), Fault> {
        let run = || -> rusqlite::Result<()> {
            let mut s = self.conn.prepare_cached(
                "INSERT INTO span (at, entity, trace_id, failed, duration_ms, body) \
                 VALUES (?, ?, ?, ?, ?, ?)",
            )?;
            for span in spans {
                let body = serde_json::to_string(span).expect("span durations are finite");
                s.execute(params![
                    span.at.ms(),
                    span.entity.to_string(),
                    span.trace_id,
                    span.failed,
                    span.duration_ms,
                    body
                ])?;
            }
            Ok(())
        };
        run().map_err(|e| fault("writing spans", e))
    }

    /// Counts one call along an edge in the minute of `at`.
    ///
    /// # Errors
    /// The database failed.
    pub fn count_call(
        &self,
        from: &EntityRef,
        to: &EntityRef,
        at: Time,
        duration_ms: f64,
        failed: bool,
    ) -> Result<(), Fault> {
        self.conn
            .prepare_cached(
                "INSERT INTO edge_minute (source, target, minute, n, n_failed, sum_ms, max_ms) \
                 VALUES (?1, ?2, ?3, 1, ?4, ?5, ?5) ON CONFLICT DO UPDATE SET n = n + 1, \
                 n_failed = n_failed + excluded.n_failed, sum_ms = sum_ms + excluded.sum_ms, \
                 max_ms = max(max_ms, excluded.max_ms)",
            )
            .and_then(|mut s| {
                let minute = at.floor_to(MINUTE_MS).ms();
                s.execute(params![from.to_string(), to.to_string(), minute, failed, duration_ms])
            })
            .map_err(|e| fault("counting calls", e))?;
        Ok(())
    }

    /// Removes log lines, spans and edge counts before `before`.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_signals(&self, before: Time) -> Result<(), Fault> {
        let run = || -> rusqlite::Result<()> {
            self.conn.execute("DELETE FROM log WHERE at < ?", [before.ms()])?;
            self.conn.execute("DELETE FROM span WHERE at < ?", [before.ms()])?;
            self.conn.execute("DELETE FROM edge_minute WHERE minute < ?", [before.ms()])?;
            Ok(())
        };
        run().map_err(|e| fault("trimming logs and spans", e))
    }
}

impl Rows<'_> {
    /// Log lines that the filter takes, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn logs(&self, filter: &LogFilter) -> Result<Vec<LogLine>, Fault> {
        let mut parts = vec!["1".to_owned()];
        let mut values = Vec::new();
        if let Some(entity) = &filter.entity {
            parts.push("entity = ?".into());
            values.push(Value::from(entity.to_string()));
        }
        if let Some(level) = filter.level {
            parts.push("level >= ?".into());
            values.push(Value::from(level as i64));
        }
        conditions(&mut parts, &mut values, filter.since, filter.until);
        if let Some(query) = filter.text.as_deref().and_then(|t| fts_query(t, " ")) {
            parts.push("id IN (SELECT rowid FROM log_text WHERE log_text MATCH ?)".into());
            values.push(Value::from(query));
        }
        values.push(Value::from(limit_of(filter.limit)));
        let sql = format!(
            "SELECT at, entity, level, body, trace_id, attributes FROM log WHERE {} \
             ORDER BY at DESC, id DESC LIMIT ?",
            parts.join(" AND ")
        );
        let run = || -> rusqlite::Result<Vec<LogLine>> {
            let mut s = self.conn.prepare_cached(&sql)?;
            s.query_map(params_from_iter(values), |r| {
                let entity: String = r.get(1)?;
                let attributes: String = r.get(5)?;
                Ok(LogLine {
                    at: Time::from_ms(r.get(0)?),
                    entity: entity.parse().unwrap_or_else(|_| EntityRef::service("unknown")),
                    level: level_of(r.get(2)?),
                    body: r.get(3)?,
                    trace_id: r.get(4)?,
                    attributes: serde_json::from_str::<Labels>(&attributes).unwrap_or_default(),
                })
            })?
            .collect()
        };
        run().map_err(|e| fault("reading log lines", e))
    }

    /// Spans that the filter takes, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn spans(&self, filter: &SpanFilter) -> Result<Vec<Span>, Fault> {
        let mut parts = vec!["1".to_owned()];
        let mut values = Vec::new();
        let entity = filter.entity.as_ref().map(ToString::to_string);
        for (column, text) in [("entity", entity), ("trace_id", filter.trace_id.clone())] {
            if let Some(text) = text {
                parts.push(format!("{column} = ?"));
                values.push(Value::from(text));
            }
        }
        if filter.failed {
            parts.push("failed = 1".into());
        }
        conditions(&mut parts, &mut values, filter.since, filter.until);
        values.push(Value::from(limit_of(filter.limit)));
        let sql = format!(
            "SELECT body FROM span WHERE {} ORDER BY at DESC, id DESC LIMIT ?",
            parts.join(" AND ")
        );
        let run = || -> rusqlite::Result<Vec<String>> {
            let mut s = self.conn.prepare_cached(&sql)?;
            s.query_map(params_from_iter(values), |r| r.get(0))?.collect()
        };
        run()
            .map_err(|e| fault("reading spans", e))?
            .iter()
            .map(|b| {
                serde_json::from_str(b)
                    .map_err(|e| Fault::permanent("a stored span can't be read", e))
            })
            .collect()
    }

    /// Calls per edge with `since <= minute < until`, busiest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn edge_stats(&self, since: Time, until: Time) -> Result<Vec<EdgeStats>, Fault> {
        let run = || -> rusqlite::Result<Vec<EdgeStats>> {
            let mut s = self.conn.prepare_cached(
                "SELECT source, target, sum(n), sum(n_failed), sum(sum_ms) / sum(n), max(max_ms) \
                 FROM edge_minute WHERE minute >= ? AND minute < ? \
                 GROUP BY source, target ORDER BY 3 DESC, 1, 2",
            )?;
            s.query_map([since.ms(), until.ms()], |r| {
                let entity = |i: usize| -> rusqlite::Result<EntityRef> {
                    let text: String = r.get(i)?;
                    Ok(text.parse().unwrap_or_else(|_| EntityRef::service("unknown")))
                };
                Ok(EdgeStats {
                    from: entity(0)?,
                    to: entity(1)?,
                    n: r.get::<_, i64>(2)?.unsigned_abs(),
                    n_failed: r.get::<_, i64>(3)?.unsigned_abs(),
                    mean_ms: r.get(4)?,
                    max_ms: r.get(5)?,
                })
            })?
            .collect()
        };
        run().map_err(|e| fault("reading edge counts", e))
    }
}
