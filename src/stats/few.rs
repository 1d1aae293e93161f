//! A list that is nearly always empty, in the room of one pointer.

use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Values in order. Where there are none it takes eight bytes, a third of what a vector does, and
/// nothing on the heap.
#[derive(Clone, Debug, PartialEq)]
pub struct Few<T>(Option<Box<Items<T>>>);

#[derive(Clone, Debug, PartialEq)]
struct Items<T> {
    all: Vec<T>,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        self.0.as_ref().map_or(&[], |items| &items.all)
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(all: Vec<T>) -> Self {
        Self((!all.is_empty()).then(|| Box::new(Items { all })))
    }
}

impl<T> Few<T> {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Adds one at the end.
    pub fn push(&mut self, value: T) {
        self.0.get_or_insert_with(|| Box::new(Items { all: Vec::new() })).all.push(value);
    }

    /// All of them; none are left.
    pub fn take(&mut self) -> Vec<T> {
        self.0.take().map_or_else(Vec::new, |items| items.all)
    }

    /// Takes one out that is there.
    ///
    /// # Panics
    /// Where there is none at this place.
    pub fn remove(&mut self, at: usize) -> T {
        let mut all = self.take();
        let value = all.remove(at);
        *self = all.into();
        value
    }

    /// Keeps those that a condition holds for.
    pub fn retain(&mut self, keeps: impl FnMut(&T) -> bool) {
        let mut all = self.take();
        all.retain(keeps);
        *self = all.into();
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |i| size_of::<Items<T>>() + i.all.capacity() * size_of::<T>())
    }
}

/// As a sequence.
impl<T: Serialize> Serialize for Few<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.deref().serialize(to)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::deserialize(from).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list_that_costs_nothing_while_empty() {
        let mut few: Few<u64> = Few::new();
        assert_eq!((size_of_val(&few), few.heap_bytes(), few.len()), (8, 0, 0));
        few.push(3);
        few.push(4);
        few.push(5);
        assert_eq!((few.remove(1), few.to_vec()), (4, vec![3, 5]));
        let bytes = rmp_serde::to_vec(&few).expect("packs");
        assert_eq!(bytes, rmp_serde::to_vec(&vec![3_u64, 5]).expect("packs"));
        assert_eq!(rmp_serde::from_slice::<Few<u64>>(&bytes).expect("reads"), few);
        few.retain(|n| *n > 3);
        assert!(few.heap_bytes() > 0);
        assert_eq!((few.take(), few.heap_bytes()), (vec![5], 0));
    }
}
