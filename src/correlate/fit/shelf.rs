//! A list that forgets its beginning: numbers stay what they were.

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

/// Items numbered from 0 on, of which the oldest may be gone.
#[derive(Clone, Debug)]
pub(super) struct Shelf<T> {
    gone: usize,
    items: VecDeque<T>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { gone: 0, items: VecDeque::new() }
    }
}

impl<T> Shelf<T> {
    /// The number that the next item gets.
    pub(super) fn next(&self) -> u32 {
        (self.gone + self.items.len()) as u32
    }

    pub(super) fn push(&mut self, item: T) {
        self.items.push_back(item);
    }

    pub(super) fn pop(&mut self) {
        self.items.pop_back();
    }

    /// The oldest number that is still there.
    pub(super) fn first(&self) -> u32 {
        self.gone as u32
    }

    /// An item, unless it is gone.
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.items.get((number as usize).checked_sub(self.gone)?)
    }

    /// Forgets the oldest items for which `old` holds.
    pub(super) fn forget(&mut self, old: impl Fn(&T) -> bool) {
        while self.items.front().is_some_and(&old) {
            self.items.pop_front();
            self.gone += 1;
        }
    }
}

impl<T> Index<usize> for Shelf<T> {
    type Output = T;

    fn index(&self, number: usize) -> &T {
        &self.items[number - self.gone]
    }
}

impl<T> IndexMut<usize> for Shelf<T> {
    fn index_mut(&mut self, number: usize) -> &mut T {
        &mut self.items[number - self.gone]
    }
}
