//! Records seen from outside: where they stand and whether anything changed, without their bodies.

use rusqlite::{params, params_from_iter};
use sha2::{Digest as _, Sha256};

use super::records::{Filter, Record, query};
use super::sql::{Rows, fault};
use crate::model::{Fault, Time};

/// A record without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Its id.
    pub id: String,
    /// Its time.
    pub at: Time,
    /// Its state.
    pub state: String,
    /// What it is about.
    pub subject: String,
}

/// How many there are, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub n: u64,
    /// Time of the oldest.
    pub oldest: Option<Time>,
}

impl Rows<'_> {
    /// The oldest `limit` records with this parent and state, by time, then id.
    ///
    /// # Errors
    /// The database failed.
    pub fn outlines<R: Record>(
        &self,
        parent: &str,
        state: &str,
        limit: usize,
    ) -> Result<Vec<Outline>, Fault> {
        // The kind stands in the text so that an index of one kind alone can serve.
        let sql = format!(
            "SELECT id, at, state, subject FROM record WHERE kind = '{}' AND parent = ? \
             AND state = ? ORDER BY at, id LIMIT ?",
            R::KIND
        );
        self.listed(&sql, (parent, state, limit)).map_err(|e| fault("listing records", e))
    }

    /// As [`outlines`](Self::outlines), the oldest `each` of every subject.
    ///
    /// # Errors
    /// The database failed.
    pub fn outlines_by_subject<R: Record>(
        &self,
        parent: &str,
        state: &str,
        each: usize,
    ) -> Result<Vec<Outline>, Fault> {
        let sql = format!(
            "SELECT id, at, state, subject FROM (SELECT id, at, state, subject, row_number() OVER \
             (PARTITION BY subject ORDER BY at, id) AS place FROM record WHERE kind = '{}' \
             AND parent = ? AND state = ?) WHERE place <= ? ORDER BY at, id",
            R::KIND
        );
        self.listed(&sql, (parent, state, each))
            .map_err(|e| fault("listing records of each subject", e))
    }

    /// Rows of id, time, state and subject, by parent, state and a number.
    fn listed(
        &self,
        sql: &str,
        (parent, state, n): (&str, &str, usize),
    ) -> rusqlite::Result<Vec<Outline>> {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        let outline = |r: &rusqlite::Row<'_>| {
            let at = Time::from_ms(r.get(1)?);
            Ok(Outline { id: r.get(0)?, at, state: r.get(2)?, subject: r.get(3)? })
        };
        self.conn.prepare_cached(sql)?.query_map(params![parent, state, n], outline)?.collect()
    }

    /// How many records have this parent and state, and the oldest one's time.
    ///
    /// # Errors
    /// The database failed.
    pub fn tally<R: Record>(&self, parent: &str, state: &str) -> Result<Tally, Fault> {
        let sql = format!(
            "SELECT count(*), min(at) FROM record WHERE kind = '{}' AND parent = ? AND state = ?",
            R::KIND
        );
        self.conn
            .prepare_cached(&sql)
            .and_then(|mut s| {
                s.query_row(params![parent, state], |r| {
                    let oldest: Option<i64> = r.get(1)?;
                    let n = r.get::<_, i64>(0)?.unsigned_abs();
                    Ok(Tally { n, oldest: oldest.map(Time::from_ms) })
                })
            })
            .map_err(|e| fault("counting records", e))
    }

    /// A digest that is another one after any record that the filter takes was written, made or
    /// removed: SHA-256 over ids and how often each was written. Reads no body.
    ///
    /// # Errors
    /// The database failed.
    pub fn digest<R: Record>(&self, filter: &Filter) -> Result<[u8; 32], Fault> {
        let (sql, values) = query("id, revision", R::KIND, filter);
        let run = || -> rusqlite::Result<[u8; 32]> {
            let mut statement = self.conn.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(values))?;
            let mut hash = Sha256::new();
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                hash.update((id.len() as u64).to_le_bytes());
                hash.update(&id);
                hash.update(row.get::<_, i64>(1)?.to_le_bytes());
            }
            Ok(hash.finalize().into())
        };
        run().map_err(|e| fault("reading what changed", e))
    }

    /// Id of each record that the filter takes, in its order, and how often it was written.
    ///
    /// # Errors
    /// The database failed.
    pub fn revisions<R: Record>(&self, filter: &Filter) -> Result<Vec<(String, u64)>, Fault> {
        let (sql, values) = query("id, revision", R::KIND, filter);
        let run = || -> rusqlite::Result<Vec<(String, u64)>> {
            let mut statement = self.conn.prepare_cached(&sql)?;
            let row = |r: &rusqlite::Row<'_>| Ok((r.get(0)?, r.get::<_, i64>(1)?.unsigned_abs()));
            statement.query_map(params_from_iter(values), row)?.collect()
        };
        run().map_err(|e| fault("listing what was written", e))
    }

    /// What differs after any record with this parent was written, made or removed: their number
    /// and how often they were written, together.
    ///
    /// # Errors
    /// The database failed.
    pub fn stamp<R: Record>(&self, parent: impl ToString) -> Result<(u64, u64), Fault> {
        // The kind stands in the text so that an index of one kind alone can serve.
        let sql = format!(
            "SELECT count(*), coalesce(sum(revision), 0) FROM record \
             WHERE kind = '{}' AND parent = ?",
            R::KIND
        );
        self.conn
            .prepare_cached(&sql)
            .and_then(|mut s| {
                s.query_row(params![parent.to_string()], |r| {
                    Ok((r.get::<_, i64>(0)?.unsigned_abs(), r.get::<_, i64>(1)?.unsigned_abs()))
                })
            })
            .map_err(|e| fault("counting records", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Alert, Incident};
    use crate::store::Store;

    /// How a statement with so many values is carried out.
    fn plan(rows: &Rows<'_>, sql: &str, n: usize) -> Result<String, Fault> {
        let run = || -> rusqlite::Result<Vec<String>> {
            let mut s = rows.conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let steps = s.query_map(params_from_iter(vec!["x"; n]), |r| r.get("detail"))?;
            steps.collect()
        };
        run().map(|steps| steps.join(", ")).map_err(|e| fault("explaining", e))
    }

    #[tokio::test]
    async fn what_is_asked_for_is_found_by_an_index_and_not_among_all_of_its_kind() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("a.sqlite")).expect("opens");
        let plans = store.read(|rows| {
            let mut plans = Vec::new();
            let stamp = "SELECT count(*), coalesce(sum(revision), 0) FROM record";
            for kind in [Alert::KIND, Incident::KIND] {
                plans.push(plan(
                    rows,
                    &format!("{stamp} WHERE kind = '{kind}' AND parent = ?"),
                    1,
                )?);
            }
            let of_one = || Filter::states(["firing"]);
            let filters = [
                Filter::parent("x"),
                Filter::subject("x"),
                of_one(),
                Filter { parent: Some("x".into()), ..of_one() },
                Filter { subject: Some("x".into()), ..of_one() },
                Filter { limit: 200, ..of_one() },
            ];
            for filter in &filters {
                for columns in ["body", "id, revision", "count(*)"] {
                    let (sql, values) = query(columns, Alert::KIND, filter);
                    plans.push(plan(rows, &sql, values.len())?);
                }
            }
            plans.push(plan(rows, "DELETE FROM record WHERE parent = ?", 1)?);
            Ok(plans)
        });
        let plans = plans.await.expect("reads");
        assert!(plans[0].contains("COVERING INDEX record_alerts"), "{plans:?}");
        for plan in &plans {
            let by = ["INDEX record_alerts", "INDEX record_parent", "INDEX record_subject"];
            let found = by.iter().any(|index| plan.contains(index))
                || plan.contains("INDEX record_state (kind=? AND state=?)");
            assert!(found && !plan.contains("SCAN"), "{plans:#?}");
        }
    }
}
