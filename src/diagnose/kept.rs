//! What was read of incidents that are over, each once: it stands until the incident is written again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::Fault;

/// How often an incident was written, and what was found of it if it counts.
type Read<T> = (u64, Option<Arc<T>>);

/// What was read before, by incident. Cheap to clone; clones share it.
///
/// Its lock guards the map alone and is not held while the store is read: looks that go on side by side
/// may read the same incident twice, and none waits for another.
#[derive(Debug)]
pub(super) struct ByRevision<T> {
    kept: Arc<Mutex<BTreeMap<String, Read<T>>>>,
}

impl<T> Clone for ByRevision<T> {
    fn clone(&self) -> Self {
        Self { kept: self.kept.clone() }
    }
}

impl<T> Default for ByRevision<T> {
    fn default() -> Self {
        Self { kept: Arc::default() }
    }
}

impl<T> ByRevision<T> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Read<T>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is of each of `wanted` (id and how often it was written), in this order; the others are
    /// forgotten. At most `most` are read by `one`, the first of those that are not known: the next call
    /// reads on.
    ///
    /// # Errors
    /// Those of `one`. What was read before the failure is kept.
    pub(super) fn read(
        &self,
        wanted: &[(String, u64)],
        most: usize,
        mut one: impl FnMut(&str) -> Result<Option<T>, Fault>,
    ) -> Result<Vec<(String, Arc<T>)>, Fault> {
        let known: BTreeMap<String, Read<T>> = self.lock().clone();
        let (mut now, mut n_read, mut failed) = (BTreeMap::new(), 0, None);
        for (id, revision) in wanted {
            let read = match known.get(id) {
                Some(known) if known.0 == *revision => known.clone(),
                _ if n_read >= most || failed.is_some() => continue,
                _ => match one(id) {
                    Ok(found) => {
                        n_read += 1;
                        (*revision, found.map(Arc::new))
                    }
                    Err(fault) => {
                        failed = Some(fault);
                        continue;
                    }
                },
            };
            now.insert(id.clone(), read);
        }
        self.keep(wanted, &now);
        if let Some(fault) = failed {
            return Err(fault);
        }
        let found = |(id, _): &(String, u64)| Some((id.clone(), now.get(id)?.1.clone()?));
        Ok(wanted.iter().filter_map(found).collect())
    }

    /// Keeps what was read now, and what others read meanwhile.
    fn keep(&self, wanted: &[(String, u64)], now: &BTreeMap<String, Read<T>>) {
        let mut kept = self.lock();
        let mut before = std::mem::take(&mut *kept);
        for (id, _) in wanted {
            let both = now.get(id).cloned().into_iter().chain(before.remove(id));
            if let Some(newest) = both.max_by_key(|read| read.0) {
                kept.insert(id.clone(), newest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(n: u64) -> Vec<(String, u64)> {
        (0..n).map(|i| (format!("i{i:03}"), 1)).collect()
    }

    #[test]
    fn one_call_reads_so_many_and_the_next_reads_on() {
        let (kept, all) = (ByRevision::default(), wanted(150));
        let look = |most: usize| {
            let mut n_read = 0;
            let found = kept.read(&all, most, |id| {
                n_read += 1;
                Ok(Some(id.to_owned()))
            });
            (n_read, found.expect("nothing fails").len())
        };
        assert_eq!([60, 60, 60, 60].map(look), [(60, 60), (60, 120), (30, 150), (0, 150)]);
    }

    #[test]
    fn while_one_reads_others_are_not_held_up_and_what_they_read_is_kept() {
        let (kept, all) = (ByRevision::default(), wanted(4));
        let found = kept.read(&all, 2, |id| {
            assert!(kept.kept.try_lock().is_ok(), "the lock is free while the store is read");
            if id == "i000" {
                let meanwhile = kept.read(&all, 9, |id| Ok(Some(format!("{id} by another"))));
                assert_eq!(meanwhile.expect("nothing fails").len(), 4);
            }
            Ok(Some(id.to_owned()))
        });
        let ids = |found: Vec<(String, Arc<String>)>| -> Vec<String> {
            found.into_iter().map(|(id, _)| id).collect()
        };
        assert_eq!(ids(found.expect("nothing fails")), ["i000", "i001"]);
        let again = kept.read(&all, 0, |_| Ok(None)).expect("nothing is read");
        assert_eq!(again.len(), 4);
    }

    #[test]
    fn a_failure_loses_nothing_that_was_read() {
        let (kept, all) = (ByRevision::default(), wanted(3));
        let broken = |id: &str| match id {
            "i001" => Err(Fault::permanent("it can't be read", std::fmt::Error)),
            _ => Ok(Some(id.len())),
        };
        kept.read(&all, 9, broken).expect_err("one can't be read");
        let first = kept.read(&all, 0, |_| Ok(None)).expect("nothing is read");
        assert_eq!(first.len(), 1);
        // Written again, it is read again; those not asked for are forgotten.
        let newer = [("i000".to_owned(), 2)];
        let again = kept.read(&newer, 9, |_| Ok(Some(7))).expect("nothing fails");
        assert_eq!(*again[0].1, 7);
        assert_eq!(kept.lock().len(), 1);
    }
}
