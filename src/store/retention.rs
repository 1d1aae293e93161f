//! What is kept and for how long: trimming by age and by size, oldest first.
//!
//! Never trimmed are the audit log, lessons, and whatever an incident cites that is not over. An
//! incident goes with all that belongs to it, and only once it is over. The size cap reaches
//! telemetry alone; when that does not suffice, it is said and not hidden.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sql::{Rows, Tx, fault};
use super::trim::Pinned;
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{Fault, Time};

/// How much is kept, and for how long (event time). The oldest goes first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Days of metric points.
    #[schemars(range(min = 1, max = 3650))]
    pub metrics_days: u32,
    /// Days of log lines, spans and calls counted by edge.
    #[schemars(range(min = 1, max = 3650))]
    pub logs_days: u32,
    /// Days of resolved incidents with all that belongs to them, of changes, and of anomalies.
    /// The audit log is never trimmed.
    #[schemars(range(min = 1, max = 36500))]
    pub incidents_days: u32,
    /// Days of chat messages, their files, and the evidence of answers.
    #[schemars(range(min = 1, max = 36500))]
    pub messages_days: u32,
    /// Days for which it is remembered what was heard in chats, so that nothing is handled twice.
    #[schemars(range(min = 1, max = 3650))]
    pub heard_days: u32,
    /// Days of ended silences.
    #[schemars(range(min = 1, max = 36500))]
    pub silences_days: u32,
    /// Days after which a call or placement that was not seen again leaves the service graph.
    #[schemars(range(min = 1, max = 3650))]
    pub graph_days: u32,
    /// Days of what sources could not read, since it was last told.
    #[schemars(range(min = 1, max = 3650))]
    pub gaps_days: u32,
    /// Size of the database in megabytes above which the oldest logs, spans and points go before
    /// their time. The newest hour stays, and nothing else goes.
    #[schemars(range(min = 64, max = 1_000_000))]
    pub max_mb: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            metrics_days: 30,
            logs_days: 7,
            incidents_days: 400,
            messages_days: 180,
            heard_days: 7,
            silences_days: 90,
            graph_days: 30,
            gaps_days: 30,
            max_mb: 4_096,
        }
    }
}

/// A store above its cap although all telemetry but the newest hour is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AboveCap {
    /// Bytes that hold something.
    pub used_bytes: u64,
    /// The cap.
    pub cap_bytes: u64,
}

impl std::fmt::Display for AboveCap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the store holds {} MB, above its cap of {} MB, and what is left is no telemetry that \
             could go: raise retention.max_mb, or lower the days of incidents and messages",
            self.used_bytes / 1_000_000,
            self.cap_bytes / 1_000_000
        )
    }
}

/// What one round of trimming did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Incidents removed.
    pub n_incidents: usize,
    /// Other records removed by their own age.
    pub n_records: usize,
    /// Whether the size cap made logs, spans and points go before their time.
    pub by_size: bool,
    /// Set while the cap can't be reached.
    pub above_cap: Option<AboveCap>,
}

impl Trimmed {
    /// Says in metric and log what the size cap did. `was_above`: the round before already found
    /// that it can't be reached, which is logged once.
    pub fn tell(&self, was_above: bool) {
        if self.by_size {
            tracing::warn!("the store is above its size cap: the oldest telemetry goes early");
        }
        let over = self.above_cap.map_or(0, |a| a.used_bytes - a.cap_bytes);
        metrics::gauge!("nightjar_store_above_cap_bytes").set(over as f64);
        if let Some(above) = self.above_cap.filter(|_| !was_above) {
            tracing::error!(reason = %above, "the size cap of the store can't be reached");
        }
    }
}

/// Key of the newest [`AboveCap`] in the store.
const ABOVE_CAP: &str = "store_above_cap";
/// The newest telemetry (ms), which the size cap spares: detection and diagnosis live on it.
const SPARED_MS: i64 = HOUR_MS;

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

    /// Whether the last round of trimming left the store above its cap.
    ///
    /// # Errors
    /// The database failed.
    pub fn above_cap(&self) -> Result<Option<AboveCap>, Fault> {
        Ok(self.value::<Option<AboveCap>>(ABOVE_CAP)?.flatten())
    }

    /// Time of the oldest telemetry that may go.
    fn oldest_signal(&self, pinned: &Pinned) -> Result<Option<Time>, Fault> {
        self.conn
            .query_row(
                "SELECT min(at) FROM (SELECT min(at) AS at FROM log UNION ALL \
                 SELECT min(at) FROM span UNION ALL SELECT min(until) FROM chunk \
                 WHERE series NOT IN (SELECT value FROM json_each(?)))",
                [pinned.series_json()],
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
        let pinned = Pinned::read(self)?;
        self.trim_points(before(retention.metrics_days), &pinned)?;
        self.trim_signals(before(retention.logs_days))?;
        let mut trimmed = Trimmed {
            n_incidents: self.trim_incidents(before(retention.incidents_days))?,
            ..Trimmed::default()
        };
        let old = before(retention.incidents_days);
        trimmed.n_records = self.trim_found(old, &pinned)?
            + self.trim_messages(before(retention.messages_days), &pinned)?
            + self.trim_heard(before(retention.heard_days))?
            + self.trim_silences(before(retention.silences_days))?
            + self.trim_graph(before(retention.graph_days))?
            + self.trim_gaps(before(retention.gaps_days))?;
        let cap_bytes = u64::from(retention.max_mb) * 1_000_000;
        if self.used_bytes()? > cap_bytes {
            trimmed.by_size = self.trim_by_size(now, &pinned)?;
            let used_bytes = self.used_bytes()?;
            if used_bytes > cap_bytes && !trimmed.by_size {
                trimmed.above_cap = Some(AboveCap { used_bytes, cap_bytes });
            }
        }
        if self.above_cap()? != trimmed.above_cap {
            self.put_value(ABOVE_CAP, &trimmed.above_cap)?;
        }
        Ok(trimmed)
    }

    /// Lets a tenth of the kept time of telemetry go; the next round measures again. Says whether
    /// there was anything that could.
    fn trim_by_size(&self, now: Time, pinned: &Pinned) -> Result<bool, Fault> {
        let spared = now.plus_ms(-SPARED_MS);
        let Some(oldest) = self.oldest_signal(pinned)?.filter(|at| *at < spared) else {
            return Ok(false);
        };
        let cut = oldest.plus_ms(now.ms_since(oldest).max(0) / 10 + 1).min(spared);
        self.trim_points(cut, pinned)?;
        self.trim_signals(cut)?;
        Ok(true)
    }
}
