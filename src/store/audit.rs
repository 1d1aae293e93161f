//! The audit log: append-only (triggers refuse anything else) and hash-chained.
//!
//! Each record's hash is the SHA-256 of the hash before it and of the record's own fields, each
//! preceded by its length, so that no byte can move from one field to another. The first record
//! follows 64 zeros. A cut end is not seen by the chain alone: compare the last hash with one
//! that was written down elsewhere.

use rusqlite::{OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::sql::{Rows, Tx, fault};
use crate::model::{Actor, Fault, Time, id::hex};

/// One record of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    /// Place in the chain, counted up from 1.
    pub seq: u64,
    /// When (event time).
    pub at: Time,
    /// Who.
    pub actor: Actor,
    /// What was decided or done: `incident.correlate`, `alert.join`, `alert.hold`, `proposal.approve`, …
    pub action: String,
    /// Id of what it was about.
    pub subject: String,
    /// Why, with figures.
    pub detail: serde_json::Value,
    /// The chain's hash up to here, 64 hexadecimal digits.
    pub hash: String,
}

/// Where the chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log is broken at record {seq}: {reason}")]
pub struct AuditBreak {
    /// The first record that does not fit.
    pub seq: u64,
    /// Why.
    pub reason: String,
}

/// Which audit records.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only about this id.
    pub subject: Option<String>,
    /// Only by whoever has this name or id.
    pub actor: Option<String>,
    /// Only actions that begin so, such as `proposal.`.
    pub action: Option<String>,
    /// Not before (event time).
    pub since: Option<Time>,
    /// Before (event time).
    pub until: Option<Time>,
    /// Only before this place; for paging.
    pub before: Option<u64>,
    /// At most so many, newest first.
    pub limit: usize,
}

struct Raw {
    seq: i64,
    at: i64,
    actor: String,
    action: String,
    subject: String,
    detail: String,
    hash: String,
}

impl Raw {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            at: row.get(1)?,
            actor: row.get(2)?,
            action: row.get(3)?,
            subject: row.get(4)?,
            detail: row.get(5)?,
            hash: row.get(6)?,
        })
    }

    fn hash_after(&self, previous: &str) -> String {
        let mut hash = Sha256::new();
        let (seq, at) = (self.seq.to_string(), self.at.to_string());
        for text in [previous, &seq, &at, &self.actor, &self.action, &self.subject, &self.detail] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        hex(&hash.finalize())
    }

    fn record(self) -> Result<AuditRecord, Fault> {
        let bad = |e| Fault::permanent(format!("audit record {} can't be read", self.seq), e);
        Ok(AuditRecord {
            seq: self.seq.unsigned_abs(),
            at: Time::from_ms(self.at),
            actor: serde_json::from_str(&self.actor).map_err(bad)?,
            action: self.action,
            subject: self.subject,
            detail: serde_json::from_str(&self.detail).map_err(bad)?,
            hash: self.hash,
        })
    }
}

const COLUMNS: &str = "seq, at, actor, action, subject, detail, hash";
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Tx<'_> {
    /// Appends one record to the chain.
    ///
    /// # Errors
    /// The database failed.
    pub fn audit(
        &self,
        at: Time,
        actor: &Actor,
        action: &str,
        subject: &str,
        detail: &serde_json::Value,
    ) -> Result<(), Fault> {
        let last: Option<(i64, String)> = self
            .conn
            .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
            .and_then(|mut s| s.query_row([], |r| Ok((r.get(0)?, r.get(1)?))).optional())
            .map_err(|e| fault("reading the audit log's end", e))?;
        let (seq, previous) = last.unwrap_or((0, GENESIS.to_owned()));
        let mut raw = Raw {
            seq: seq + 1,
            at: at.ms(),
            actor: serde_json::to_string(actor).expect("an actor has only strings"),
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail: detail.to_string(),
            hash: String::new(),
        };
        raw.hash = raw.hash_after(&previous);
        self.conn
            .prepare_cached(
                "INSERT INTO audit (seq, at, actor, action, subject, detail, hash) \
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )
            .and_then(|mut s| {
                s.execute(params![
                    raw.seq,
                    raw.at,
                    raw.actor,
                    raw.action,
                    raw.subject,
                    raw.detail,
                    raw.hash
                ])
            })
            .map_err(|e| fault("appending to the audit log", e))?;
        Ok(())
    }
}

impl Rows<'_> {
    /// Records, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn audit_records(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, Fault> {
        let sql = format!(
            "SELECT {COLUMNS} FROM audit WHERE (?1 IS NULL OR subject = ?1) \
             AND (?2 IS NULL OR seq < ?2) \
             AND (?4 IS NULL OR actor ->> 'name' = ?4 OR actor ->> 'id' = ?4) \
             AND (?5 IS NULL OR substr(action, 1, length(?5)) = ?5) \
             AND (?6 IS NULL OR at >= ?6) AND (?7 IS NULL OR at < ?7) \
             ORDER BY seq DESC LIMIT ?3"
        );
        let run = || -> rusqlite::Result<Vec<Raw>> {
            let before = filter.before.map(|b| b as i64);
            let mut s = self.conn.prepare_cached(&sql)?;
            let (since, until) = (filter.since.map(Time::ms), filter.until.map(Time::ms));
            let values = params![
                filter.subject,
                before,
                filter.limit as i64,
                filter.actor,
                filter.action,
                since,
                until
            ];
            s.query_map(values, Raw::from_row)?.collect()
        };
        let rows = run().map_err(|e| fault("reading the audit log", e))?;
        rows.into_iter().map(Raw::record).collect()
    }

    /// Walks the whole chain. `Ok` gives the number of records and the last hash.
    ///
    /// # Errors
    /// The database failed; a broken chain is the inner `Err`.
    pub fn audit_verify(&self) -> Result<Result<(u64, String), AuditBreak>, Fault> {
        let failed = |e| fault("reading the audit log", e);
        let mut statement = self
            .conn
            .prepare_cached(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq"))
            .map_err(failed)?;
        let rows = statement.query_map([], Raw::from_row).map_err(failed)?;
        let (mut n, mut previous) = (0_u64, GENESIS.to_owned());
        for raw in rows {
            let raw = raw.map_err(failed)?;
            let seq = raw.seq.unsigned_abs();
            if seq != n + 1 {
                let reason = format!("record {} is missing", n + 1);
                return Ok(Err(AuditBreak { seq: n + 1, reason }));
            }
            if raw.hash_after(&previous) != raw.hash {
                let reason = "its content does not give its hash: it was changed".to_owned();
                return Ok(Err(AuditBreak { seq, reason }));
            }
            (n, previous) = (seq, raw.hash);
        }
        Ok(Ok((n, previous)))
    }
}
