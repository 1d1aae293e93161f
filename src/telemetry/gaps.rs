//! What sources could not read, kept until it was read after all: diagnoses, answers and the
//! status show it, so that silence is not taken for health.

use serde::{Deserialize, Serialize};

use crate::model::time::HOUR_MS;
use crate::model::{Batch, Fault, Gap, Time};
use crate::store::{Filter, Index, Record, Rows, Tx};

/// How long (ms) a gap with an end is told of after its end.
const ENDED_MS: i64 = HOUR_MS;

/// One gap of one source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceGap {
    /// Which source.
    pub source: String,
    /// What is missing and why; without an end while it is still missing.
    pub gap: Gap,
    /// When it was last told of (event time).
    pub told_at: Time,
}

fn key(source: &str, what: &str) -> String {
    format!("{source}/{what}")
}

impl Record for SourceGap {
    const KIND: &'static str = "source_gap";

    fn key(&self) -> String {
        key(&self.source, &self.gap.what)
    }

    fn index(&self) -> Index {
        Index { at: self.told_at, parent: self.source.clone(), ..Index::default() }
    }
}

/// Keeps the gaps of a batch; one told again keeps its beginning.
pub(super) fn keep(tx: &Tx<'_>, batch: &Batch) -> Result<(), Fault> {
    for gap in &batch.gaps {
        let mut gap = gap.clone();
        if let Some(old) = tx.get::<SourceGap>(key(&batch.source, &gap.what))? {
            gap.since = old.gap.since.or(gap.since);
        }
        tx.put(&SourceGap { source: batch.source.clone(), gap, told_at: batch.received_at })?;
    }
    Ok(())
}

/// Takes back a gap: what was missing was read.
pub(super) fn mend(tx: &Tx<'_>, source: &str, what: &str) -> Result<(), Fault> {
    tx.remove::<SourceGap>(key(source, what)).map(|_| ())
}

/// Takes back all gaps of a source: what still is missing is told again.
pub(super) fn forget(tx: &Tx<'_>, source: &str) -> Result<(), Fault> {
    for old in tx.list::<SourceGap>(&Filter::parent(source))? {
        tx.remove::<SourceGap>(old.key())?;
    }
    Ok(())
}

/// What is missing of the time between `since` and `until`, in order of telling.
///
/// # Errors
/// The database failed.
pub fn between(rows: &Rows<'_>, since: Time, until: Time) -> Result<Vec<Gap>, Fault> {
    let all = rows.list::<SourceGap>(&Filter::all())?;
    Ok(all
        .into_iter()
        .filter(|g| g.gap.since.unwrap_or(g.told_at) <= until)
        .filter(|g| g.gap.until.is_none_or(|end| end.plus_ms(ENDED_MS) >= since))
        .map(|g| g.gap)
        .collect())
}

/// Sources of which nothing at all could be read for more than `ms` before `now`: their names and
/// since when, by name. A single query that fails is no dead source.
///
/// # Errors
/// The database failed.
pub fn dead(rows: &Rows<'_>, now: Time, ms: i64) -> Result<Vec<(String, Time)>, Fault> {
    let all = rows.list::<SourceGap>(&Filter::all())?;
    let mut dead: Vec<(String, Time)> = all
        .into_iter()
        .filter(|g| g.gap.until.is_none() && !g.gap.what.contains(": "))
        .map(|g| (g.gap.what, g.gap.since.unwrap_or(g.told_at)))
        .filter(|(_, since)| now.ms_since(*since) > ms)
        .collect();
    dead.sort();
    Ok(dead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn at(s: i64) -> Time {
        Time::from_ms(1_800_000_000_000 + s * 1_000)
    }

    fn batch(what: &str, since: i64, until: Option<i64>) -> Batch {
        let gap = Gap {
            what: what.into(),
            why: "no answer within 1 s".into(),
            since: Some(at(since)),
            until: until.map(at),
        };
        Batch { gaps: vec![gap], ..Batch::new("main", at(since)) }
    }

    #[tokio::test]
    async fn a_gap_lasts_from_its_first_telling_until_it_is_mended() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
        store
            .write(|tx| {
                keep(tx, &batch("prometheus main", 0, None))?;
                keep(tx, &batch("prometheus main", 60, None))?;
                keep(tx, &batch("3 alerts of a group", 10, Some(10)))
            })
            .await
            .expect("written");
        let between = async |from: i64, to: i64| -> Vec<(String, Option<Time>)> {
            let found = store.read(move |r| between(r, at(from), at(to))).await.expect("reads");
            found.into_iter().map(|g| (g.what, g.since)).collect()
        };
        assert_eq!(between(-60, -10).await, []);
        let (down, cut) = ("prometheus main".to_owned(), "3 alerts of a group".to_owned());
        assert_eq!(between(50, 90).await, [(cut, Some(at(10))), (down.clone(), Some(at(0)))]);
        // Hours later only what is still missing is told of.
        assert_eq!(between(20_000, 20_060).await, [(down, Some(at(0)))]);
        let dead =
            async |s: i64| store.read(move |r| dead(r, at(s), 300_000)).await.expect("reads");
        assert_eq!(dead(300).await, [], "five minutes are borne");
        store.write(|tx| keep(tx, &batch("prometheus main: up", 0, None))).await.expect("written");
        assert_eq!(dead(301).await, [("prometheus main".to_owned(), at(0))]);
        store.write(|tx| mend(tx, "main", "prometheus main: up")).await.expect("written");
        store.write(|tx| mend(tx, "main", "prometheus main")).await.expect("written");
        assert_eq!(dead(301).await, []);
        assert_eq!(between(20_000, 20_060).await, []);
        store.write(|tx| forget(tx, "main")).await.expect("written");
        assert_eq!(between(0, 60).await, []);
    }
}
