//! The tree that leads from a line to few templates: by shape and leading word, and, for templates
//! whose variables stand for whole chunks, by the count of chunks and leading word.

use super::cache::ByHash;
use super::lex::mix;
use super::miner::TemplateId;

/// Where in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Key {
    /// Hash of the shape.
    pub(super) shape: u64,
    /// Blank-separated chunks.
    pub(super) chunks: u64,
    /// Hash of the leading word, 0 when it varies.
    pub(super) leading: u64,
}

impl Key {
    /// The same for templates whose leading word varies.
    fn unled(self) -> Self {
        Self { leading: 0, ..self }
    }

    fn by_shape(self) -> u64 {
        mix(self.shape, self.leading)
    }

    fn by_chunks(self) -> u64 {
        mix(self.chunks, self.leading)
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    shapes: ByHash<Vec<u32>>,
    /// Ids and slots, lowest id first.
    chunks: ByHash<Vec<(TemplateId, u32)>>,
}

/// Most templates that are looked at by their chunks.
const MOST_CHUNKED: usize = 64;

impl Tree {
    pub(super) fn hang(&mut self, key: Key, id: TemplateId, slot: u32) {
        self.shapes.0.entry(key.by_shape()).or_default().push(slot);
        let leaf = self.chunks.0.entry(key.by_chunks()).or_default();
        leaf.insert(leaf.partition_point(|e| e.0 < id), (id, slot));
    }

    pub(super) fn unhang(&mut self, key: Key, id: TemplateId, slot: u32) {
        if let Some(leaf) = self.shapes.0.get_mut(&key.by_shape()) {
            leaf.retain(|s| *s != slot);
            if leaf.is_empty() {
                self.shapes.0.remove(&key.by_shape());
            }
        }
        if let Some(leaf) = self.chunks.0.get_mut(&key.by_chunks()) {
            if let Ok(at) = leaf.binary_search(&(id, slot)) {
                leaf.remove(at);
            }
            if leaf.is_empty() {
                self.chunks.0.remove(&key.by_chunks());
            }
        }
    }

    /// Slots of the templates of this shape and leading word.
    pub(super) fn leaf(&self, key: Key) -> &[u32] {
        self.shapes.0.get(&key.by_shape()).map_or(&[], |leaf| leaf)
    }

    /// Slots of the templates that such a line may join.
    pub(super) fn alike(&self, key: Key) -> impl Iterator<Item = u32> {
        let unled = if key.leading == 0 { &[] } else { self.leaf(key.unled()) };
        self.leaf(key).iter().chain(unled).copied()
    }

    /// Slots of templates with as many chunks, which may cover such a line.
    pub(super) fn chunked(&self, key: Key) -> impl Iterator<Item = u32> {
        let leaf = |key: Key| self.chunks.0.get(&key.by_chunks()).map_or(&[][..], |leaf| leaf);
        let unled = if key.leading == 0 { &[] } else { leaf(key.unled()) };
        leaf(key).iter().take(MOST_CHUNKED).chain(unled.iter().take(MOST_CHUNKED)).map(|e| e.1)
    }
}
