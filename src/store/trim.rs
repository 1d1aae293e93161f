//! The trimming of records by their age, and what is spared because an incident that is not over
//! cites it.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;

use super::records::{Filter, Record as _};
use super::sql::{Rows, Tx, fault};
use crate::model::time::DAY_MS;
use crate::model::{
    Alert, Anomaly, Change, Evidence, Fault, Incident, IncidentState, SeriesId, Silence, Time,
};

/// Records of a kind removed in one round; the rest follows in the next.
const ROUND: usize = 500;
/// Incidents removed in one round: each goes with all that belongs to it.
const INCIDENTS: usize = 50;
/// The longest text in a record that may be an id or a key.
const ID_BYTES: usize = 200;

/// What incidents that are not over cite.
#[derive(Clone, Debug, Default)]
pub(super) struct Pinned {
    /// Their series, and since when their points are needed.
    series: BTreeMap<SeriesId, Time>,
    /// Every short text in what belongs to them: among these are all ids that they name.
    texts: BTreeSet<String>,
}

impl Pinned {
    pub(super) fn read(rows: &Rows<'_>) -> Result<Self, Fault> {
        let mut pinned = Self::default();
        for incident in rows
            .list::<Incident>(&Filter::states(IncidentState::ACTIVE.map(IncidentState::as_str)))?
        {
            let since = incident.onset_at.plus_ms(-DAY_MS);
            for alert in rows.list::<Alert>(&Filter::parent(incident.id))? {
                let Some(series) = alert.series else { continue };
                let kept = pinned.series.entry(series).or_insert(since);
                *kept = since.min(*kept);
            }
            for body in rows.bodies_around(&incident.id.to_string())? {
                let texts = body.split('"').filter(|t| (1..=ID_BYTES).contains(&t.len()));
                pinned.texts.extend(texts.map(str::to_owned));
            }
        }
        Ok(pinned)
    }

    /// The row ids of the series, as a JSON list.
    pub(super) fn series_json(&self) -> String {
        let ids: Vec<String> = self.series.keys().map(|id| row_id(*id).to_string()).collect();
        format!("[{}]", ids.join(","))
    }

    fn holds(&self, id: &str) -> bool {
        self.texts.contains(id)
    }
}

fn row_id(id: SeriesId) -> i64 {
    i64::from_ne_bytes(id.0.to_ne_bytes())
}

/// Bodies of all that belongs to an incident. Each part is found by an index of its own.
const AROUND: &str = "SELECT body FROM record WHERE kind = 'incident' AND id = ?1 UNION ALL \
    SELECT body FROM record WHERE parent = ?1 AND kind IN ('alert', 'diagnosis', 'evidence', \
    'proposal', 'run', 'timeline') UNION ALL \
    SELECT body FROM record WHERE kind IN ('message', 'post') AND body ->> 'incident' = ?1";

impl Rows<'_> {
    /// Bodies of all that belongs to an incident: the records under it, and what was said of it.
    fn bodies_around(&self, incident: &str) -> Result<Vec<String>, Fault> {
        self.conn
            .prepare_cached(AROUND)
            .and_then(|mut s| s.query_map([incident], |r| r.get(0))?.collect())
            .map_err(|e| fault("reading what an incident cites", e))
    }
}

impl Tx<'_> {
    /// Removes points (whole chunks) that ended before `before`, and series not seen since. Of
    /// pinned series only what is older than they need goes.
    ///
    /// # Errors
    /// The database failed.
    pub(super) fn trim_points(&self, before: Time, pinned: &Pinned) -> Result<(), Fault> {
        let spared = pinned.series_json();
        let run = || -> rusqlite::Result<()> {
            for (table, column) in [("chunk", "until"), ("point", "at"), ("series", "seen_at")] {
                let id = if table == "series" { "id" } else { "series" };
                let sql = format!(
                    "DELETE FROM {table} WHERE {column} < ?1 \
                     AND {id} NOT IN (SELECT value FROM json_each(?2))"
                );
                self.conn.execute(&sql, params![before.ms(), spared])?;
            }
            for (id, since) in &pinned.series {
                let cut = before.min(*since).ms();
                for (table, column) in [("chunk", "until"), ("point", "at")] {
                    let sql = format!("DELETE FROM {table} WHERE series = ?1 AND {column} < ?2");
                    self.conn.execute(&sql, params![row_id(*id), cut])?;
                }
            }
            Ok(())
        };
        run().map_err(|e| fault("trimming metric points", e))
    }

    /// Removes incidents that were over before `before`, with all that belongs to them.
    pub(super) fn trim_incidents(&self, before: Time) -> Result<usize, Fault> {
        let mut filter =
            Filter::states(IncidentState::OVER.map(IncidentState::as_str)).until(before);
        filter.limit = INCIDENTS;
        let mut n = 0;
        for incident in self.list::<Incident>(&filter)? {
            if incident.updated_at < before {
                let id = incident.id.to_string();
                self.conn
                    .execute("DELETE FROM record WHERE parent = ?", [&id])
                    .map_err(|e| fault("trimming an incident", e))?;
                // Their parent is the platform.
                let rooms = "DELETE FROM record WHERE kind = 'room' AND body ->> 'incident' = ?";
                self.conn
                    .execute(rooms, [&id])
                    .map_err(|e| fault("trimming an incident's rooms", e))?;
                self.remove::<Incident>(&id)?;
                self.remove_document("incident", &id)?;
                n += 1;
            }
        }
        Ok(n)
    }

    /// Changes, anomalies, and resolved alerts that no incident took.
    pub(super) fn trim_found(&self, before: Time, pinned: &Pinned) -> Result<usize, Fault> {
        Ok(self.trim(Change::KIND, "1", before, pinned)?
            + self.trim(Anomaly::KIND, "1", before, pinned)?
            + self.trim(Alert::KIND, "state = 'resolved' AND parent = ''", before, pinned)?)
    }

    /// Chat messages with their files, posts to other platforms, and evidence of answers. A
    /// thread's first message stays as long as an answer in it; what is still to be sent stays.
    pub(super) fn trim_messages(&self, before: Time, pinned: &Pinned) -> Result<usize, Fault> {
        let of_active = format!(
            "(SELECT i.id FROM record i WHERE i.kind = 'incident' AND i.state IN ('{}'))",
            IncidentState::ACTIVE.map(IncidentState::as_str).join("','")
        );
        let spares = format!("coalesce(body ->> 'incident', '') NOT IN {of_active}");
        let message = format!(
            "{spares} AND NOT EXISTS (SELECT 1 FROM record reply WHERE reply.kind = 'message' \
             AND reply.subject = record.id AND reply.at >= ?2) \
             AND NOT EXISTS (SELECT 1 FROM record root WHERE root.kind = 'message' \
             AND root.id = record.subject AND root.body ->> 'incident' IN {of_active})"
        );
        let post = format!("{spares} AND state IN ('sent', 'refused', 'waiting')");
        Ok(self.trim("message", &message, before, pinned)?
            + self.trim("post", &post, before, pinned)?
            + self.trim("file", "1", before, pinned)?
            + self.trim(Evidence::KIND, "parent = ''", before, pinned)?)
    }

    /// What was heard in chats and handled.
    pub(super) fn trim_heard(&self, before: Time) -> Result<usize, Fault> {
        self.trim("inbound", "state = 'done'", before, &Pinned::default())
    }

    /// Silences that ended before.
    pub(super) fn trim_silences(&self, before: Time) -> Result<usize, Fault> {
        let mut n = 0;
        for silence in self.list::<Silence>(&Filter::all().until(before))? {
            if silence.ends_at < before {
                n += usize::from(self.remove::<Silence>(silence.id)?);
            }
        }
        Ok(n)
    }

    /// Learned calls and placements that were not seen since; declared ones stay.
    pub(super) fn trim_graph(&self, before: Time) -> Result<usize, Fault> {
        let learned = "coalesce(body ->> 'declared', 0) = 0";
        self.trim("edge", learned, before, &Pinned::default())
    }

    /// Gaps that were last told of before.
    pub(super) fn trim_gaps(&self, before: Time) -> Result<usize, Fault> {
        self.trim("source_gap", "1", before, &Pinned::default())
    }

    /// Removes records of a kind from before `before` for which `condition` holds, the oldest
    /// first, but for those that are pinned.
    fn trim(
        &self,
        kind: &str,
        condition: &str,
        before: Time,
        pinned: &Pinned,
    ) -> Result<usize, Fault> {
        let run = || -> rusqlite::Result<usize> {
            let sql = format!(
                "SELECT id FROM record WHERE kind = ?1 AND at < ?2 AND {condition} ORDER BY at"
            );
            let mut select = self.conn.prepare_cached(&sql)?;
            let ids = select.query_map(params![kind, before.ms()], |r| r.get::<_, String>(0))?;
            let mut old = Vec::new();
            for id in ids {
                let id = id?;
                if !pinned.holds(&id) {
                    old.push(id);
                }
                if old.len() == ROUND {
                    break;
                }
            }
            let mut delete =
                self.conn.prepare_cached("DELETE FROM record WHERE kind = ?1 AND id = ?2")?;
            for id in &old {
                delete.execute(params![kind, id])?;
            }
            Ok(old.len())
        };
        run().map_err(|e| fault("trimming records", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn what_belongs_to_an_incident_is_found_without_reading_everything_else() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("a.sqlite")).expect("opens");
        let plan = store.read(|rows| {
            let explain = format!("EXPLAIN QUERY PLAN {AROUND}");
            let steps = rows
                .conn
                .prepare(&explain)
                .and_then(|mut s| s.query_map(["i"], |r| r.get::<_, String>("detail"))?.collect());
            steps.map_err(|e| fault("explaining", e))
        });
        let plan: Vec<String> = plan.await.expect("reads");
        assert!(plan.iter().any(|step| step.contains("record_incident")), "{plan:?}");
        assert!(plan.iter().all(|step| !step.starts_with("SCAN")), "{plan:?}");
    }
}
