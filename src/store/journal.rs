//! The journal of accepted batches, and the snapshots of detector state that let it be trimmed.

use rusqlite::{OptionalExtension as _, params};

use super::sql::{Rows, Tx, fault};
use crate::model::{Batch, Fault};

/// A batch with its place in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Journaled {
    /// Place, counted up from 1.
    pub seq: u64,
    /// The batch.
    pub batch: Batch,
}

/// State of a detector shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last place of the journal that the state has seen.
    pub seq: u64,
    /// The state.
    pub body: Vec<u8>,
}

impl Tx<'_> {
    /// Appends a batch and gives its place.
    ///
    /// # Errors
    /// The database failed.
    pub fn append_batch(&self, batch: &Batch) -> Result<u64, Fault> {
        let body = rmp_serde::to_vec_named(batch)
            .map_err(|e| Fault::permanent("a batch can't be encoded", e))?;
        self.conn
            .prepare_cached("INSERT INTO journal (at, source, body) VALUES (?, ?, ?)")
            .and_then(|mut s| s.insert(params![batch.received_at.ms(), batch.source, body]))
            .map(i64::unsigned_abs)
            .map_err(|e| fault("appending to the journal", e))
    }

    /// Removes batches up to and including `seq`.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_journal(&self, seq: u64) -> Result<usize, Fault> {
        self.conn
            .prepare_cached("DELETE FROM journal WHERE seq <= ?")
            .and_then(|mut s| s.execute([seq as i64]))
            .map_err(|e| fault("trimming the journal", e))
    }

    /// Writes a snapshot, in place of the one with the same name.
    ///
    /// # Errors
    /// The database failed.
    pub fn put_snapshot(&self, name: &str, snapshot: &Snapshot) -> Result<(), Fault> {
        self.conn
            .prepare_cached(
                "INSERT INTO snapshot (name, seq, body) VALUES (?, ?, ?) \
                 ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, body = excluded.body",
            )
            .and_then(|mut s| s.execute(params![name, snapshot.seq as i64, snapshot.body]))
            .map_err(|e| fault("writing a snapshot", e))?;
        Ok(())
    }
}

impl Rows<'_> {
    /// Up to `limit` batches after `seq`, in order.
    ///
    /// # Errors
    /// The database failed or a batch can't be decoded.
    pub fn batches_after(&self, seq: u64, limit: usize) -> Result<Vec<Journaled>, Fault> {
        let run = || -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
            let mut s = self.conn.prepare_cached(
                "SELECT seq, body FROM journal WHERE seq > ? ORDER BY seq LIMIT ?",
            )?;
            s.query_map([seq as i64, limit as i64], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
        };
        let rows = run().map_err(|e| fault("reading the journal", e))?;
        rows.into_iter()
            .map(|(seq, body)| {
                let batch = rmp_serde::from_slice(&body)
                    .map_err(|e| Fault::permanent(format!("batch {seq} can't be decoded"), e))?;
                Ok(Journaled { seq: seq.unsigned_abs(), batch })
            })
            .collect()
    }

    /// Place of the newest batch ever appended; 0 before the first.
    ///
    /// # Errors
    /// The database failed.
    pub fn journal_end(&self) -> Result<u64, Fault> {
        self.conn
            .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'journal'")
            .and_then(|mut s| s.query_row([], |r| r.get::<_, i64>(0)).optional())
            .map(|seq| seq.unwrap_or(0).unsigned_abs())
            .map_err(|e| fault("reading the journal's end", e))
    }

    /// A snapshot by its name.
    ///
    /// # Errors
    /// The database failed.
    pub fn snapshot(&self, name: &str) -> Result<Option<Snapshot>, Fault> {
        self.conn
            .prepare_cached("SELECT seq, body FROM snapshot WHERE name = ?")
            .and_then(|mut s| {
                s.query_row([name], |r| {
                    Ok(Snapshot { seq: r.get::<_, i64>(0)?.unsigned_abs(), body: r.get(1)? })
                })
                .optional()
            })
            .map_err(|e| fault("reading a snapshot", e))
    }
}
