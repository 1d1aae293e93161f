//! The templates themselves, in a bounded number of slots, and the tree that leads to them.

use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::lex::{Kind, Token};
use super::miner::{Merge, TemplateId};
use super::pattern::Pattern;
use super::tree::Key;
use super::tree::Tree;

/// Most templates under one leaf of the tree: bounds the time of a search.
const LEAF: usize = 128;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    id: TemplateId,
    /// How many more times the eviction's hand passes it by; the more lines, the more.
    credit: u32,
    lines: u64,
    key: Key,
    pattern: Pattern,
}

/// Words in one place of a full leaf from which that place varies.
const CROWD: usize = LEAF / 2;
/// Most passes of the eviction's hand that a template outlives without a line.
const MOST_CREDIT: u32 = 8;

impl Entry {
    #[inline]
    fn count(&mut self, lines: u64) {
        self.lines = self.lines.saturating_add(lines).max(1);
        self.credit = (self.lines.ilog2()).min(MOST_CREDIT);
    }
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub(super) struct Slots {
    capacity: u32,
    next: TemplateId,
    all: Vec<Option<Entry>>,
    /// Slots that hold nothing; the lowest is used first.
    free: BTreeSet<u32>,
    tree: Tree,
    /// Where the search for a template to evict goes on.
    hand: u32,
    /// What was evicted last.
    gone: Option<Pattern>,
}

/// What a snapshot keeps: the rest follows from it.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    capacity: u32,
    next: TemplateId,
    all: Vec<Option<Entry>>,
    hand: u32,
}

impl From<Slots> for Kept {
    fn from(slots: Slots) -> Self {
        let Slots { capacity, next, all, hand, .. } = slots;
        Self { capacity, next, all, hand }
    }
}

impl From<Kept> for Slots {
    fn from(kept: Kept) -> Self {
        let mut slots = Self { next: kept.next, hand: kept.hand, ..Self::new(kept.capacity) };
        slots.all = kept.all;
        slots.all.truncate(slots.capacity as usize);
        for (slot, entry) in slots.all.iter().enumerate() {
            match entry {
                Some(e) => slots.tree.hang(e.key, e.id, slot as u32),
                None => _ = slots.free.insert(slot as u32),
            }
        }
        slots
    }
}

impl Slots {
    pub(super) fn new(capacity: u32) -> Self {
        Self {
            capacity: capacity.max(1),
            next: 0,
            all: Vec::new(),
            free: BTreeSet::new(),
            tree: Tree::default(),
            hand: 0,
            gone: None,
        }
    }

    fn entry(&self, slot: u32) -> &Entry {
        self.all[slot as usize].as_ref().expect("slots are handed out while they are held")
    }

    fn entry_mut(&mut self, slot: u32) -> &mut Entry {
        self.all[slot as usize].as_mut().expect("slots are handed out while they are held")
    }

    /// Whether the slot still holds that template.
    #[inline]
    pub(super) fn holds(&self, slot: u32, id: TemplateId) -> bool {
        self.all.get(slot as usize).is_some_and(|e| e.as_ref().is_some_and(|e| e.id == id))
    }

    /// Counts a line for the template, if the slot still holds it.
    #[inline]
    pub(super) fn touch(&mut self, slot: u32, id: TemplateId) -> bool {
        match self.all.get_mut(slot as usize) {
            Some(Some(entry)) if entry.id == id => {
                entry.count(1);
                true
            }
            _ => false,
        }
    }

    pub(super) fn id(&self, slot: u32) -> TemplateId {
        self.entry(slot).id
    }

    pub(super) fn lines(&self, slot: u32) -> u64 {
        self.entry(slot).lines
    }

    pub(super) fn pattern(&self, slot: u32) -> &Pattern {
        &self.entry(slot).pattern
    }

    pub(super) fn by_id(&self, id: TemplateId) -> Option<&Pattern> {
        self.all.iter().flatten().find(|e| e.id == id).map(|e| &e.pattern)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TemplateId, &Pattern, u64)> {
        let mut all: Vec<_> = self.all.iter().flatten().collect();
        all.sort_unstable_by_key(|e| e.id);
        all.into_iter().map(|e| (e.id, &e.pattern, e.lines))
    }

    /// The template that such a line joins and what that costs: one that covers it, with the most
    /// words in common, else the cheapest.
    pub(super) fn nearest(&self, key: Key, tokens: &[Token]) -> Option<(u32, f64)> {
        let mut best: Option<(u32, f64, u32, TemplateId)> = None;
        for slot in self.tree.alike(key) {
            let entry = self.entry(slot);
            if entry.pattern.parts.len() != tokens.len() {
                continue;
            }
            if let Some((cost, same)) = entry.pattern.cost(tokens)
                && best.is_none_or(|(_, c, s, id)| {
                    cost < c || (cost <= c && (same > s || (same == s && entry.id < id)))
                })
            {
                best = Some((slot, cost, same, entry.id));
            }
        }
        best.map(|(slot, cost, ..)| (slot, cost))
    }

    /// The template that covers such a line chunk by chunk, with the most words in common.
    pub(super) fn covering(&self, key: Key, tokens: &[Token]) -> Option<u32> {
        let mut best: Option<(u32, u32)> = None;
        for slot in self.tree.chunked(key) {
            if let Some(same) = self.pattern(slot).covers_chunks(tokens)
                && best.is_none_or(|(_, s)| same > s)
            {
                best = Some((slot, same));
            }
        }
        best.map(|(slot, _)| slot)
    }

    /// Takes in the templates, of whatever shape, that this one covers chunk by chunk.
    pub(super) fn absorb_covered(&mut self, slot: u32, merges: &mut Vec<Merge>) {
        let entry = self.entry(slot);
        if !entry.pattern.parts.iter().any(|p| p.kind == Kind::Var) {
            return;
        }
        let covered: Vec<u32> = self
            .tree
            .chunked(entry.key)
            .filter(|s| *s != slot && entry.pattern.covers_chunks_of(self.pattern(*s)))
            .collect();
        for other in covered {
            self.absorb(slot, other, merges);
        }
    }

    /// Takes a line into the template.
    pub(super) fn join(&mut self, slot: u32, tokens: &[Token]) -> TemplateId {
        let entry = self.entry_mut(slot);
        entry.count(1);
        entry.pattern.widen(tokens);
        let id = entry.id;
        self.rehang(slot);
        id
    }

    /// Adds a template with its first line; gives its slot and id, and what had to go for it.
    pub(super) fn insert(
        &mut self,
        pattern: Pattern,
        key: Key,
    ) -> (u32, TemplateId, Option<TemplateId>) {
        let mut evicted = None;
        let leaf = self.tree.leaf(key);
        let slot = if leaf.len() >= LEAF {
            let victim = leaf.iter().copied().min_by_key(|s| {
                let e = self.entry(*s);
                (e.credit, e.lines, e.id)
            });
            victim.inspect(|s| evicted = self.evict(*s))
        } else {
            None
        };
        let slot = slot.or_else(|| self.free.first().copied()).unwrap_or_else(|| {
            if self.all.len() < self.capacity as usize {
                self.all.push(None);
                return self.all.len() as u32 - 1;
            }
            let s = self.victim();
            evicted = self.evict(s);
            s
        });
        self.free.remove(&slot);
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.all[slot as usize] = Some(Entry { id, credit: 0, lines: 1, key, pattern });
        self.tree.hang(key, id, slot);
        (slot, id, evicted)
    }

    /// The clock algorithm: the first from the hand on whose credit is used up. A flood of new
    /// templates does not push out those that many lines have.
    fn victim(&mut self) -> u32 {
        for _ in 0..=(MOST_CREDIT as usize + 1) * self.all.len() {
            let slot = self.hand % self.all.len().max(1) as u32;
            self.hand = slot + 1;
            if let Some(entry) = &mut self.all[slot as usize] {
                if entry.credit == 0 {
                    return slot;
                }
                entry.credit -= 1;
            }
        }
        0
    }

    fn evict(&mut self, slot: u32) -> Option<TemplateId> {
        let entry = self.remove(slot)?;
        self.gone = Some(entry.pattern);
        Some(entry.id)
    }

    /// What was evicted last.
    pub(super) fn evicted(&self) -> Option<&Pattern> {
        self.gone.as_ref()
    }

    fn remove(&mut self, slot: u32) -> Option<Entry> {
        let entry = self.all[slot as usize].take()?;
        self.tree.unhang(entry.key, entry.id, slot);
        self.free.insert(slot);
        Some(entry)
    }

    /// Moves a template to its place in the tree after its leading word began to vary.
    fn rehang(&mut self, slot: u32) {
        let entry = self.entry(slot);
        let (id, old) = (entry.id, entry.key);
        let new = Key { leading: entry.pattern.leading(), ..old };
        if old != new {
            self.tree.unhang(old, id, slot);
            self.entry_mut(slot).key = new;
            self.tree.hang(new, id, slot);
        }
    }

    /// Makes one template of those that differ in these places only: the one with the lowest id stays.
    pub(super) fn merge(
        &mut self,
        slot: u32,
        places: &[usize],
        others: &[u32],
        merges: &mut Vec<Merge>,
    ) -> u32 {
        let all = || others.iter().copied().chain([slot]);
        let into = all().min_by_key(|s| self.id(*s)).unwrap_or(slot);
        for &place in places {
            self.entry_mut(into).pattern.vary(place);
        }
        self.rehang(into);
        for s in all().filter(|s| *s != into) {
            self.absorb(into, s, merges);
        }
        // Others under its leaves that it now covers.
        let key = self.entry(into).key;
        let mut leaf = self.tree.leaf(key).to_vec();
        leaf.sort_unstable_by_key(|s| self.id(*s));
        for s in leaf {
            if s != into && self.entry(into).pattern.covers(&self.entry(s).pattern) {
                self.absorb(into, s, merges);
            }
        }
        into
    }

    /// Makes vary, in a leaf that is full, the places that take a new word in most templates; gives
    /// whether that made any room. Free text ends up as one template this way.
    pub(super) fn thin(&mut self, key: Key, merges: &mut Vec<Merge>) -> bool {
        let mut leaf = self.tree.leaf(key).to_vec();
        if leaf.len() < LEAF {
            return false;
        }
        leaf.sort_unstable_by_key(|s| self.id(*s));
        let length = leaf.iter().map(|s| self.pattern(*s).parts.len()).min().unwrap_or(0);
        let mut words = Vec::with_capacity(leaf.len());
        let mut crowded = Vec::new();
        for place in 0..length {
            words.clear();
            let parts = leaf.iter().map(|s| self.pattern(*s).parts[place]);
            words.extend(parts.filter(|p| p.kind != Kind::Punct).map(|p| p.hash));
            words.sort_unstable();
            words.dedup();
            if words.len() >= CROWD {
                crowded.push(place);
            }
        }
        if crowded.is_empty() {
            return false;
        }
        for &slot in &leaf {
            for &place in &crowded {
                self.entry_mut(slot).pattern.vary(place);
            }
        }
        let mut first: BTreeMap<Vec<u64>, u32> = BTreeMap::new();
        for &slot in &leaf {
            let hashes = self.pattern(slot).parts.iter().map(|p| p.hash).collect();
            match first.entry(hashes) {
                Vacant(place) => _ = place.insert(slot),
                Occupied(place) => self.absorb(*place.get(), slot, merges),
            }
        }
        for slot in first.into_values() {
            self.rehang(slot);
        }
        true
    }

    fn absorb(&mut self, into: u32, from: u32, merges: &mut Vec<Merge>) {
        if let Some(gone) = self.remove(from) {
            let entry = self.entry_mut(into);
            entry.count(gone.lines);
            merges.push(Merge { from: gone.id, into: entry.id });
        }
    }
}
