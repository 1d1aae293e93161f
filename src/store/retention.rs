//! What is kept and for how long: trimming by age and by size, oldest first.
//!
//! The audit log is never trimmed. An incident goes with all that belongs to it, and only once it
//! is over.

use rusqlite::params;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::records::{Filter, Record as _};
use super::sql::{Rows, Tx, fault};
use crate::model::{Alert, Anomaly, Change, Fault, Incident, Time, time::DAY_MS};

/// How much is kept, and for how long (event time). The oldest goes first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Days of metric points.
    #[schemars(range(min = 1, max = 3650))]
    pub metrics_days: u32,
    /// Days of log lines and spans.
    #[schemars(range(min = 1, max = 3650))]
    pub logs_days: u32,
    /// Days of resolved incidents with all that belongs to them. The audit log is never trimmed.
    #[schemars(range(min = 1, max = 36500))]
    pub incidents_days: u32,
    /// Size of the database in megabytes above which the oldest logs, spans and points go before
    /// their time.
    #[schemars(range(min = 64, max = 1_000_000))]
    pub max_mb: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { metrics_days: 30, logs_days: 7, incidents_days: 400, max_mb: 4_096 }
    }
}

/// What one round of trimming removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Incidents.
    pub n_incidents: usize,
    /// Whether the size cap made logs, spans and points go before their time.
    pub by_size: bool,
}

/// Incidents removed in one round; the rest follows in the next.
const ROUND: usize = 50;

impl Rows<'_> {
    /// Bytes of the database that hold something (free pages are not counted: they are used again).
    ///
    /// # Errors
    /// The database failed.
    pub fn used_bytes(&self) -> Result<u64, Fault> {
        let pragma = |name: &str| -> Result<u64, Fault> {
            self.conn
                .pragma_query_value(None, name, |r| r.get::<_, i64>(0))
                .map(i64::unsigned_abs)
                .map_err(|e| fault("measuring the store", e))
        };
        let free = pragma("freelist_count")?;
        Ok(pragma("page_count")?.saturating_sub(free) * pragma("page_size")?)
    }

    fn oldest_signal(&self) -> Result<Option<Time>, Fault> {
        self.conn
            .query_row(
                "SELECT min(at) FROM (SELECT min(at) AS at FROM log UNION ALL \
                 SELECT min(at) FROM span UNION ALL SELECT min(until) FROM chunk)",
                [],
                |r| r.get::<_, Option<i64>>(0),
            )
            .map(|at| at.map(Time::from_ms))
            .map_err(|e| fault("measuring the store", e))
    }
}

impl Tx<'_> {
    /// One round of trimming at `now` (event time).
    ///
    /// # Errors
    /// The database failed.
    pub fn enforce(&self, retention: &Retention, now: Time) -> Result<Trimmed, Fault> {
        let before = |days: u32| now.plus_ms(-i64::from(days) * DAY_MS);
        self.trim_points(before(retention.metrics_days))?;
        self.trim_signals(before(retention.logs_days))?;
        let mut trimmed = Trimmed::default();
        let old = before(retention.incidents_days);
        let over = ["resolved", "reviewed", "merged"];
        let mut filter = Filter::states(over).until(old);
        filter.limit = ROUND;
        for incident in self.list::<Incident>(&filter)? {
            if incident.updated_at < old {
                self.conn
                    .execute("DELETE FROM record WHERE parent = ?", [incident.id.to_string()])
                    .map_err(|e| fault("trimming an incident", e))?;
                self.remove::<Incident>(incident.id)?;
                self.remove_document("incident", &incident.id.to_string())?;
                trimmed.n_incidents += 1;
            }
        }
        for kind in [Change::KIND, Anomaly::KIND] {
            self.conn
                .execute("DELETE FROM record WHERE kind = ? AND at < ?", params![kind, old.ms()])
                .map_err(|e| fault("trimming records", e))?;
        }
        self.conn
            .execute(
                "DELETE FROM record WHERE kind = ? AND state = 'resolved' AND parent = '' AND at < ?",
                params![Alert::KIND, old.ms()],
            )
            .map_err(|e| fault("trimming alerts", e))?;
        let most = u64::from(retention.max_mb) * 1_000_000;
        if self.used_bytes()? > most
            && let Some(oldest) = self.oldest_signal()?
        {
            // A tenth of the kept time goes in a round: the next round measures again.
            let cut = oldest.plus_ms(now.ms_since(oldest).max(0) / 10 + 1);
            self.trim_points(cut)?;
            self.trim_signals(cut)?;
            trimmed.by_size = true;
        }
        Ok(trimmed)
    }
}
