//! Metric series: what they are, and their points (new ones as rows, older ones in packed chunks).

use rusqlite::{OptionalExtension as _, params, params_from_iter};

use super::sql::{Rows, Tx, fault};
use crate::model::{EntityRef, Fault, Indicator, Point, Samples, Series, SeriesId, Time};

/// Points of a series that stay rows before they are packed into a chunk.
const HEAD_POINTS: i64 = 720;

/// Which series.
#[derive(Clone, Debug, Default)]
pub struct SeriesFilter {
    /// Only of this entity.
    pub entity: Option<EntityRef>,
    /// Only of this indicator.
    pub indicator: Option<Indicator>,
}

/// The query for a filter: only what it names stands in it, because a condition that may be absent keeps
/// the index from being used, and every series there is would be looked at for those of one entity.
fn list_query(filter: &SeriesFilter) -> (String, Vec<String>) {
    let entity = filter.entity.as_ref().map(ToString::to_string);
    let indicator =
        filter.indicator.map(|i| serde_json::to_string(&i).expect("an indicator is one word"));
    let given = [("entity = ?", entity), ("indicator = ?", indicator)];
    let (terms, values): (Vec<&str>, Vec<String>) =
        given.into_iter().filter_map(|(term, value)| Some((term, value?))).unzip();
    let only =
        if terms.is_empty() { String::new() } else { format!("WHERE {} ", terms.join(" AND ")) };
    (format!("SELECT body FROM series {only}ORDER BY entity, metric, id"), values)
}

fn row_id(id: SeriesId) -> i64 {
    i64::from_ne_bytes(id.0.to_ne_bytes())
}

fn pack(points: &[Point]) -> Result<Vec<u8>, Fault> {
    let bad = |e| Fault::permanent("metric points can't be packed", anyhow::Error::new(e));
    let config = pco::ChunkConfig::default();
    let times: Vec<i64> = points.iter().map(|p| p.at.ms()).collect();
    let values: Vec<f64> = points.iter().map(|p| p.value).collect();
    let times = pco::standalone::simple_compress(&times, &config).map_err(bad)?;
    let values = pco::standalone::simple_compress(&values, &config).map_err(bad)?;
    let mut body = (times.len() as u32).to_le_bytes().to_vec();
    body.extend(times);
    body.extend(values);
    Ok(body)
}

fn unpack(body: &[u8]) -> Result<Vec<Point>, Fault> {
    let short = || Fault::because("a stored chunk of metric points is cut short");
    let bad = |e| Fault::permanent("a stored chunk can't be unpacked", anyhow::Error::new(e));
    let (head, rest) = body.split_first_chunk::<4>().ok_or_else(short)?;
    let split = u32::from_le_bytes(*head) as usize;
    let (times, values) = rest.split_at_checked(split).ok_or_else(short)?;
    let times: Vec<i64> = pco::standalone::simple_decompress(times).map_err(bad)?;
    let values: Vec<f64> = pco::standalone::simple_decompress(values).map_err(bad)?;
    let pairs = times.into_iter().zip(values);
    Ok(pairs.map(|(at, value)| Point { at: Time::from_ms(at), value }).collect())
}

impl Tx<'_> {
    /// Writes what a series is and its new points. A point with a time that is already there is
    /// kept as it was first seen.
    ///
    /// # Errors
    /// The database failed.
    pub fn append_points(&self, samples: &Samples) -> Result<(), Fault> {
        let id = row_id(samples.series.id);
        let seen = samples.points.last().map_or(0, |p| p.at.ms());
        let body = serde_json::to_string(&samples.series)
            .map_err(|e| Fault::permanent("a series can't be written", e))?;
        let indicator = serde_json::to_string(&samples.series.indicator)
            .map_err(|e| Fault::permanent("a series can't be written", e))?;
        let run = || -> rusqlite::Result<()> {
            self.conn
                .prepare_cached(
                    "INSERT INTO series (id, entity, metric, indicator, seen_at, body) \
                     VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET \
                     seen_at = max(seen_at, excluded.seen_at), body = excluded.body",
                )?
                .execute(params![
                    id,
                    samples.series.entity.to_string(),
                    samples.series.metric,
                    indicator,
                    seen,
                    body
                ])?;
            let mut insert = self.conn.prepare_cached(
                "INSERT INTO point (series, at, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            )?;
            for p in &samples.points {
                insert.execute(params![id, p.at.ms(), p.value])?;
            }
            Ok(())
        };
        run().map_err(|e| fault("writing metric points", e))
    }

    /// Packs rows of points into chunks, for at most `limit` series that have enough of them.
    /// Gives how many were packed; 0 means that there is nothing to do.
    ///
    /// # Errors
    /// The database failed.
    pub fn pack_points(&self, limit: usize) -> Result<usize, Fault> {
        let failed = |e| fault("packing metric points", e);
        let due: Vec<i64> = self
            .conn
            .prepare_cached("SELECT series FROM point GROUP BY series HAVING count(*) >= ? LIMIT ?")
            .and_then(|mut s| s.query_map([HEAD_POINTS, limit as i64], |r| r.get(0))?.collect())
            .map_err(failed)?;
        for id in &due {
            let points = self.head(*id, i64::MIN, i64::MAX)?;
            let (Some(first), Some(last)) = (points.first(), points.last()) else { continue };
            let (since, until) = (first.at.ms(), last.at.ms());
            let body = pack(&points)?;
            let run = || -> rusqlite::Result<()> {
                // Late points may start at the same time as an older chunk: then step aside.
                let mut key = since;
                let mut taken = self
                    .conn
                    .prepare_cached("SELECT 1 FROM chunk WHERE series = ? AND since = ?")?;
                while taken.exists(params![id, key])? {
                    key -= 1;
                }
                self.conn
                    .prepare_cached(
                        "INSERT INTO chunk (series, since, until, n, body) VALUES (?, ?, ?, ?, ?)",
                    )?
                    .execute(params![id, key, until, points.len() as i64, body])?;
                self.conn
                    .prepare_cached("DELETE FROM point WHERE series = ? AND at <= ?")?
                    .execute(params![id, until])?;
                Ok(())
            };
            run().map_err(failed)?;
        }
        Ok(due.len())
    }
}

impl Rows<'_> {
    fn head(&self, id: i64, since: i64, until: i64) -> Result<Vec<Point>, Fault> {
        self.conn
            .prepare_cached(
                "SELECT at, value FROM point WHERE series = ? AND at >= ? AND at < ? ORDER BY at",
            )
            .and_then(|mut s| {
                s.query_map([id, since, until], |r| {
                    Ok(Point { at: Time::from_ms(r.get(0)?), value: r.get(1)? })
                })?
                .collect()
            })
            .map_err(|e| fault("reading metric points", e))
    }

    /// Points of a series with `since <= at < until`, in order of time, each time once.
    ///
    /// # Errors
    /// The database failed or a chunk can't be unpacked.
    pub fn points(&self, id: SeriesId, since: Time, until: Time) -> Result<Vec<Point>, Fault> {
        let bodies: Vec<Vec<u8>> = self
            .conn
            .prepare_cached(
                "SELECT body FROM chunk WHERE series = ? AND until >= ? AND since < ? ORDER BY since",
            )
            .and_then(|mut s| {
                s.query_map([row_id(id), since.ms(), until.ms()], |r| r.get(0))?.collect()
            })
            .map_err(|e| fault("reading metric points", e))?;
        let mut points = Vec::new();
        for body in bodies {
            points.extend(unpack(&body)?.into_iter().filter(|p| since <= p.at && p.at < until));
        }
        points.extend(self.head(row_id(id), since.ms(), until.ms())?);
        points.sort_by_key(|p| p.at);
        points.dedup_by_key(|p| p.at);
        Ok(points)
    }

    /// What a series is.
    ///
    /// # Errors
    /// The database failed.
    pub fn series(&self, id: SeriesId) -> Result<Option<Series>, Fault> {
        let body: Option<String> = self
            .conn
            .prepare_cached("SELECT body FROM series WHERE id = ?")
            .and_then(|mut s| s.query_row([row_id(id)], |r| r.get(0)).optional())
            .map_err(|e| fault("reading a series", e))?;
        body.map(|b| read(&b)).transpose()
    }

    /// All series that the filter takes, by entity and metric.
    ///
    /// # Errors
    /// The database failed.
    pub fn list_series(&self, filter: &SeriesFilter) -> Result<Vec<Series>, Fault> {
        let (sql, values) = list_query(filter);
        let run = || -> rusqlite::Result<Vec<String>> {
            let mut s = self.conn.prepare_cached(&sql)?;
            s.query_map(params_from_iter(values), |r| r.get(0))?.collect()
        };
        run().map_err(|e| fault("listing series", e))?.iter().map(|b| read(b)).collect()
    }

    /// Whether any series of an entity is stored.
    ///
    /// # Errors
    /// The database failed.
    pub fn is_measured(&self, entity: &EntityRef) -> Result<bool, Fault> {
        self.conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM series WHERE entity = ?)")
            .and_then(|mut s| s.query_row([entity.to_string()], |r| r.get(0)))
            .map_err(|e| fault("looking for a series", e))
    }
}

fn read(body: &str) -> Result<Series, Fault> {
    serde_json::from_str(body).map_err(|e| Fault::permanent("a stored series can't be read", e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn series_of_one_entity_are_searched_for_and_not_gone_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
        let entity = Some(EntityRef::service("web"));
        for indicator in [None, Some(Indicator::Rate)] {
            let filter = SeriesFilter { entity: entity.clone(), indicator };
            let plan = store.read(move |r| {
                let (sql, values) = list_query(&filter);
                let run = || -> rusqlite::Result<Vec<String>> {
                    let mut s = r.conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                    s.query_map(params_from_iter(values), |r| r.get(3))?.collect()
                };
                run().map_err(|e| fault("asking for a plan", e))
            });
            let plan = plan.await.expect("reads");
            assert!(plan[0].starts_with("SEARCH series USING INDEX series_entity"), "{plan:?}");
        }
    }
}
