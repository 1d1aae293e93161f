//! A set that knows whom it heard of longest ago.

use std::collections::BTreeMap;

/// Items with the order in which they were last heard of.
#[derive(Clone, Debug)]
pub(super) struct Recent<T> {
    /// When each was heard of last, counted in hearings.
    turns: BTreeMap<T, u64>,
    by_turn: BTreeMap<u64, T>,
    turn: u64,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { turns: BTreeMap::new(), by_turn: BTreeMap::new(), turn: 0 }
    }
}

impl<T: Copy + Ord> Recent<T> {
    /// Takes in an item, or notes that it was heard of again.
    pub(super) fn hear(&mut self, item: T) {
        self.turn += 1;
        if let Some(before) = self.turns.insert(item, self.turn) {
            self.by_turn.remove(&before);
        }
        self.by_turn.insert(self.turn, item);
    }

    pub(super) fn forget(&mut self, item: &T) {
        if let Some(turn) = self.turns.remove(item) {
            self.by_turn.remove(&turn);
        }
    }

    pub(super) fn contains(&self, item: &T) -> bool {
        self.turns.contains_key(item)
    }

    /// Takes out who was heard of longest ago, where there are more than `most`.
    pub(super) fn pop_beyond(&mut self, most: usize) -> Option<T> {
        if self.turns.len() <= most {
            return None;
        }
        let (_, item) = self.by_turn.pop_first()?;
        self.turns.remove(&item);
        Some(item)
    }

    /// Who was heard of longest ago first.
    pub(super) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.by_turn.values().copied()
    }
}
