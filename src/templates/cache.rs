//! From the signature of a line to its template, at once; bounded by two generations.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Entries of one generation, for each template that may be kept.
const FOR_EACH: usize = 4;

/// How many entries one generation has at a capacity of templates.
pub(super) fn generation(capacity: u32) -> usize {
    (capacity as usize).saturating_mul(FOR_EACH).clamp(256, 16_384)
}

/// Takes keys that are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(b);
        }
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// A map whose keys are hashes; written in order of its keys, so that equal maps give equal bytes.
#[derive(Clone, Debug)]
pub(super) struct ByHash<V>(pub(super) HashMap<u64, V, BuildHasherDefault<Hashed>>);

impl<V> Default for ByHash<V> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<V: Serialize> Serialize for ByHash<V> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().collect::<BTreeMap<_, _>>())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for ByHash<V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(BTreeMap::<u64, V>::deserialize(from)?.into_iter().collect()))
    }
}

/// Two generations: when the young one is full, it becomes the old one and the old one is dropped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Cache {
    generation: usize,
    young: ByHash<(u32, u32)>,
    old: ByHash<(u32, u32)>,
}

impl Cache {
    pub(super) fn new(capacity: u32) -> Self {
        let (young, old) = (ByHash::default(), ByHash::default());
        Self { generation: generation(capacity), young, old }
    }

    /// The slot and id under which the signature's template was last known.
    #[inline]
    pub(super) fn get(&self, signature: u64) -> Option<(u32, u32)> {
        self.young.0.get(&signature).or_else(|| self.old.0.get(&signature)).copied()
    }

    pub(super) fn put(&mut self, signature: u64, slot: u32, id: u32) {
        if self.young.0.len() >= self.generation {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.0.insert(signature, (slot, id));
    }
}
