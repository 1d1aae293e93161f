//! Whose turn it is to be looked at: what was never looked at before what is looked at again. Pure.

use std::collections::{BTreeSet, VecDeque};

use crate::model::{IncidentId, Time};

/// Incidents that are looked at side by side: as many as the store has readers.
pub(super) const ABREAST: usize = 4;

/// Incidents that wait for a look.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    /// Somebody rang for them, or they were never looked at.
    pub heard: BTreeSet<IncidentId>,
    /// Those to be looked at again because time went on, who waits longest first.
    pub again: VecDeque<IncidentId>,
}

impl Turns {
    /// Takes out those that come next, at most [`ABREAST`]: first those that were never `seen`, then
    /// those that were seen longest ago.
    pub(super) fn next(&mut self, seen: impl Fn(&IncidentId) -> Option<Time>) -> Vec<IncidentId> {
        let mut heard: Vec<_> = self.heard.iter().map(|id| (seen(id), *id)).collect();
        heard.sort_unstable();
        let mut next: Vec<IncidentId> = heard.into_iter().map(|(_, id)| id).take(ABREAST).collect();
        self.heard.retain(|id| !next.contains(id));
        while next.len() < ABREAST
            && let Some(id) = self.again.pop_front()
        {
            if !next.contains(&id) {
                next.push(id);
            }
        }
        next
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.heard.is_empty() && self.again.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_look_overtakes_all_that_is_looked_at_again() {
        let id = |n: i64| IncidentId::derive(Time::from_ms(n), &["turn"]);
        let again: VecDeque<_> = (0..8).map(id).collect();
        let heard: BTreeSet<_> = [3, 20, 21, 22].map(id).into();
        let mut turns = Turns { heard, again };
        // The greater its number, the longer ago.
        let seen = |i: &IncidentId| (0..20).find(|n| id(*n) == *i).map(|n| Time::from_ms(-n));
        let first = turns.next(seen);
        assert_eq!(first.len(), ABREAST);
        assert!([20, 21, 22].map(id).iter().all(|n| first[..3].contains(n)), "{first:?}");
        assert_eq!(first[3], id(3), "who was rung for comes next");
        // Another that opens meanwhile waits for one round at most.
        turns.heard.insert(id(23));
        let next = turns.next(seen);
        assert_eq!(next, [id(23), id(0), id(1), id(2)]);
        assert_eq!(turns.next(seen), [3, 4, 5, 6].map(id));
        assert_eq!(turns.next(seen), [id(7)]);
        assert!(turns.is_empty());
        turns.heard.extend((0..6).map(id));
        assert_eq!(turns.next(seen), [5, 4, 3, 2].map(id), "who was seen longest ago");
    }
}
