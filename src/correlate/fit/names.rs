//! Numbers for names: of places, scopes and alerts. What is forgotten gives its number to the next.

use std::collections::{BTreeMap, BTreeSet};

/// Numbers for names.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) ids: BTreeMap<String, u32>,
    pub(super) by_id: Vec<String>,
    /// Numbers whose names were forgotten: the next new names get them.
    free: Vec<u32>,
    /// When each was last asked for, counted in askings.
    asked: Vec<u64>,
    turn: u64,
}

impl Names {
    pub(super) fn id(&mut self, name: &str) -> u32 {
        self.turn += 1;
        if let Some(id) = self.ids.get(name) {
            self.asked[*id as usize] = self.turn;
            return *id;
        }
        let id = if let Some(id) = self.free.pop() {
            self.asked[id as usize] = self.turn;
            name.clone_into(&mut self.by_id[id as usize]);
            id
        } else {
            self.by_id.push(name.to_owned());
            self.asked.push(self.turn);
            self.by_id.len() as u32 - 1
        };
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// So many names at most, those asked for last, in order of their numbers.
    pub(super) fn latest(&self, most: usize) -> Vec<String> {
        let mut ids: Vec<u32> = self.ids.values().copied().collect();
        ids.sort_unstable_by_key(|id| std::cmp::Reverse(self.asked[*id as usize]));
        ids.truncate(most);
        ids.sort_unstable();
        ids.into_iter().map(|id| self.by_id[id as usize].clone()).collect()
    }

    /// Forgets all but these and those asked for last, of which so many are kept. Gives the numbers
    /// of what is forgotten.
    pub(super) fn keep_latest(&mut self, mut used: BTreeSet<u32>, most: usize) -> Vec<u32> {
        if self.len() <= most {
            return Vec::new();
        }
        let mut others: Vec<u32> =
            self.ids.values().copied().filter(|id| !used.contains(id)).collect();
        others.sort_unstable_by_key(|id| std::cmp::Reverse(self.asked[*id as usize]));
        used.extend(others.into_iter().take(most.saturating_sub(used.len())));
        let n_free = self.free.len();
        self.keep(&used);
        self.free[n_free..].to_vec()
    }

    /// Forgets all names but these.
    pub(super) fn keep(&mut self, used: &BTreeSet<u32>) {
        let (names, free) = (&mut self.by_id, &mut self.free);
        self.ids.retain(|_, id| {
            let is_used = used.contains(id);
            if !is_used {
                names[*id as usize] = String::new();
                free.push(*id);
            }
            is_used
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_last_and_what_is_used_stays_and_numbers_are_used_again() {
        let mut names = Names::default();
        for n in 0..100 {
            names.id(&format!("n{n}"));
        }
        names.id("n3");
        let gone = names.keep_latest(BTreeSet::from([0, 1]), 10);
        assert_eq!((names.len(), gone.len()), (10, 90));
        assert!(["n0", "n1", "n3", "n99"].iter().all(|n| names.ids.contains_key(*n)));
        assert_eq!(names.latest(3), ["n3", "n98", "n99"]);
        assert!(gone.contains(&names.id("another")));
        assert!(names.keep_latest(BTreeSet::new(), 11).is_empty(), "there is room");
        let used: BTreeSet<u32> = names.ids.values().copied().collect();
        assert!(names.keep_latest(used, 4).is_empty(), "what is used is kept, however much");
    }
}
