//! Whose turn it is to be looked at: what was never looked at before what is looked at again. Pure.

use std::collections::{BTreeSet, VecDeque};

use crate::model::{IncidentId, Severity, Time};

/// Incidents that are looked at side by side: as many as the store has readers.
pub(super) const ABREAST: usize = 4;

/// Incidents that wait for a look.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    /// Somebody rang for them, or they were never looked at.
    pub heard: BTreeSet<IncidentId>,
    /// Those to be looked at again because time went on, who waits longest first.
    pub again: VecDeque<IncidentId>,
    /// How far in a round the looks have come: who waits longest keeps its turn however few of those
    /// chosen are looked at before others are chosen.
    turn: usize,
}

/// Who is worth another look, and since when it waits.
pub(super) type Waiting = (Severity, Time, IncidentId);

impl Turns {
    /// Chooses who is looked at again, at most so many: of each round the worst, those first that wait
    /// longest, and one that waits longest of all, so that nobody is left out however much is critical.
    pub(super) fn choose(&mut self, mut waiting: Vec<Waiting>, most: usize) {
        waiting.sort_unstable_by_key(|(_, since, id)| (*since, *id));
        let mut worst = waiting.clone();
        worst.sort_by_key(|(severity, ..)| std::cmp::Reverse(*severity));
        let (mut worst, mut oldest) = (worst.into_iter(), waiting.into_iter());
        let mut chosen = BTreeSet::new();
        self.again.clear();
        while self.again.len() < most {
            let is_fair = (self.turn + self.again.len() + 1).is_multiple_of(ABREAST);
            let from = if is_fair { &mut oldest } else { &mut worst };
            let Some((.., id)) = from.find(|(.., id)| !chosen.contains(id)) else { break };
            chosen.insert(id);
            self.again.push_back(id);
        }
    }

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
            self.turn = (self.turn + 1) % ABREAST;
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
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_first_look_overtakes_all_that_is_looked_at_again() {
        let id = |n: i64| IncidentId::derive(Time::from_ms(n), &["turn"]);
        let again: VecDeque<_> = (0..8).map(id).collect();
        let heard: BTreeSet<_> = [3, 20, 21, 22].map(id).into();
        let mut turns = Turns { heard, again, ..Turns::default() };
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
    #[test]
    fn the_worst_are_looked_at_first_and_nobody_is_left_out() {
        use Severity::{Critical, Warning};
        let id = |n: i64| IncidentId::derive(Time::from_ms(n), &["turn"]);
        // Thirty critical ones, and ten warnings that wait longer or shorter.
        let mut since: BTreeMap<i64, i64> = (0..40).map(|n| (n, n * 7 % 40)).collect();
        let severity = |n: i64| if n < 30 { Critical } else { Warning };
        let mut turns = Turns::default();
        let mut looked: BTreeMap<i64, usize> = BTreeMap::new();
        for now in 0..60 {
            let waiting = since.iter().map(|(n, at)| (severity(*n), Time::from_ms(*at), id(*n)));
            turns.choose(waiting.collect(), 8);
            let chosen: Vec<i64> = turns
                .again
                .iter()
                .map(|i| (0..40).find(|n| id(*n) == *i).expect("one of them"))
                .collect();
            assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), 8, "none of them twice");
            assert!(chosen[..3].iter().chain(&chosen[4..7]).all(|n| *n < 30), "{chosen:?}");
            for n in chosen {
                *looked.entry(n).or_default() += 1;
                since.insert(n, 1_000 + now);
            }
        }
        assert_eq!(looked.len(), 40, "{looked:?}");
        turns.choose(
            vec![(Warning, Time::from_ms(3), id(3)), (Critical, Time::from_ms(4), id(4))],
            8,
        );
        assert_eq!(turns.again, [id(4), id(3)]);
        turns.choose((0..4).map(|n| (Warning, Time::from_ms(-n), id(n))).collect(), 8);
        assert_eq!(turns.again, [3, 2, 1, 0].map(id), "those first that wait longest");
    }

    #[test]
    fn who_waits_longest_has_its_turn_though_others_are_chosen_after_every_other_look() {
        let id = |n: i64| IncidentId::derive(Time::from_ms(n), &["turn"]);
        let mut turns = Turns::default();
        let mut looked = BTreeSet::new();
        for now in 0..4 {
            // A warning that waits longest, and critical ones that come anew.
            let critical = (1..9).map(|n| (Severity::Critical, Time::from_ms(n + now), id(n)));
            let oldest = (Severity::Warning, Time::from_ms(0), id(0));
            turns.choose(critical.chain([oldest]).collect(), 8);
            turns.heard = [100, 101, 102].map(|n| id(n + 3 * now)).into();
            looked.extend(turns.next(|_| None));
        }
        assert!(looked.contains(&id(0)), "{looked:?}");
    }
}
