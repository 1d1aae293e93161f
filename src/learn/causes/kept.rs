//! What is confirmed of earlier incidents, each read once: what was read of one stands until it, its
//! diagnosis or what helped in it is another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Causes, Confirmed, confirmed, is_external};
use crate::learn::{Lesson, Taught};
use crate::model::{Diagnosis, Fault, Incident, IncidentId, IncidentState};
use crate::store::{Filter, Rows};

/// Incidents that are over, the newest, of which any is looked at.
const MOST: usize = 1_000;
/// Lessons of runs that are looked at, the newest.
const MOST_LESSONS: usize = 2_000;

/// What differs when something else may be confirmed: how often the incident was written, how often
/// its diagnosis was, where that matters, and the lesson that tells what helped.
type Stamp = (u64, Option<(u64, u64)>, Option<String>);

/// What was read before. Cheap to clone; clones share it.
///
/// The lock is held for a moment only, never while the store is read: what reads it side by side may
/// read the same twice, and nobody waits for it.
#[derive(Clone, Debug, Default)]
pub struct KeptCauses {
    kept: Arc<Mutex<Arc<Kept>>>,
}

#[derive(Debug, Default)]
struct Kept {
    seen: BTreeMap<String, (Stamp, Option<Confirmed>)>,
    /// The newest lesson of what helped in an incident, with what all of them follow from.
    helped: Option<([u8; 32], Arc<Helped>)>,
    /// Incidents read so far.
    n_read: u64,
}

type Helped = BTreeMap<IncidentId, Lesson>;

impl KeptCauses {
    /// How often which kind of change was the cause, as far as it is confirmed by now.
    ///
    /// # Errors
    /// The store failed.
    pub fn read(&self, rows: &Rows<'_>) -> Result<Causes, Fault> {
        let before = self.now();
        let runs = Filter::states(["run"]).newest(MOST_LESSONS);
        let of = rows.digest::<Lesson>(&runs)?;
        let helped = match &before.helped {
            Some((known, helped)) if *known == of => helped.clone(),
            _ => Arc::new(newest(rows.list::<Lesson>(&runs)?)),
        };
        let over = [IncidentState::Resolved.as_str(), IncidentState::Reviewed.as_str()];
        let over = Filter::states(over).newest(MOST);
        let (mut seen, mut n_read) = (BTreeMap::new(), before.n_read);
        for (id, revision) in rows.revisions::<Incident>(&over)? {
            let lesson = id.parse().ok().and_then(|id: IncidentId| helped.get(&id));
            // Most say nothing, and of those the diagnosis does not matter.
            let stamp = |found: &Option<Confirmed>| {
                let matters = found.is_some() || lesson.is_some();
                let diagnosed = matters.then(|| rows.stamp::<Diagnosis>(&id)).transpose()?;
                Ok::<Stamp, Fault>((revision, diagnosed, lesson.map(|l| l.key.clone())))
            };
            let known = match before.seen.get(&id) {
                Some((known, found)) if *known == stamp(found)? => (known.clone(), found.clone()),
                _ => {
                    n_read += 1;
                    let found = one(rows, &id, lesson)?;
                    (stamp(&found)?, found)
                }
            };
            seen.insert(id, known);
        }
        let causes = Causes::of(seen.values().filter_map(|(_, found)| found.as_ref()));
        // Where two read at once the last to end stays; what it has is checked by its stamps anyway.
        let kept = Kept { seen, helped: Some((of, helped)), n_read };
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(kept);
        Ok(causes)
    }

    fn now(&self) -> Arc<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cfg(test)]
    pub(super) fn n_read(&self) -> u64 {
        self.now().n_read
    }
}

/// The newest lesson of each incident in which something helped.
fn newest(lessons: Vec<Lesson>) -> BTreeMap<IncidentId, Lesson> {
    let mut lessons: Vec<Lesson> =
        lessons.into_iter().filter(|l| l.taught == Taught::Helped).collect();
    lessons.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
    lessons.into_iter().map(|l| (l.incident, l)).collect()
}

/// What is confirmed of one; its diagnosis, which is long, is read where anything is.
fn one(rows: &Rows<'_>, id: &str, helped: Option<&Lesson>) -> Result<Option<Confirmed>, Fault> {
    let Some(incident) = rows.get::<Incident>(id)? else { return Ok(None) };
    if helped.is_none() && !is_external(&incident) {
        return Ok(None);
    }
    let diagnosis = rows.get::<Diagnosis>(id)?;
    Ok(diagnosis.and_then(|d| confirmed(&incident, helped, &d)))
}
