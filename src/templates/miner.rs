//! The streaming miner: finds a line's template or makes one, within bounds.
//!
//! A line is lexed and masked ([`super::lex`]); lines with the same masked tokens share a signature,
//! which a cache maps to its template at once. A signature not seen before goes down a tree of fixed
//! depth (shape, leading word) to a short list of templates, in the manner of Drain (He, Zhu, Zheng,
//! Lyu 2017), where it joins the cheapest one, or becomes a template. Templates that turn out to
//! differ in one word that takes many values are merged later ([`super::holes`]).

use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::holes::Holes;
use super::lex::{Token, lex};
use super::pattern::{Pattern, key};
use super::runs::fold_lists;
use super::slots::Slots;

/// Stable number of a template within its miner.
pub type TemplateId = u32;

/// Where a line belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Which template.
    pub id: TemplateId,
    /// Whether this line made it.
    pub is_new: bool,
    /// Another template that had to go to make room for it.
    pub evicted: Option<TemplateId>,
}

/// Two templates turned out to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    /// No longer given.
    pub from: TemplateId,
    /// Stands for both from now on.
    pub into: TemplateId,
}

/// A bounded set of templates. The same lines in the same order give the same templates.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Miner {
    slots: Slots,
    cache: Cache,
    holes: Holes,
    lines: u64,
    merges: Vec<Merge>,
    #[serde(skip)]
    tokens: Vec<Token>,
}

/// Merges that wait to be taken; older ones are dropped when nobody takes them.
const MOST_MERGES: usize = 1_024;

impl Miner {
    /// A miner that keeps at most `capacity` (at least 1) templates.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        Self {
            slots: Slots::new(capacity),
            cache: Cache::new(capacity),
            holes: Holes::new(capacity),
            lines: 0,
            merges: Vec::new(),
            tokens: Vec::new(),
        }
    }

    /// Finds the message's template or makes one. Takes any bytes; time is linear in the part that
    /// is looked at, the first 2 KiB.
    pub fn learn(&mut self, message: &[u8]) -> Match {
        let mut tokens = std::mem::take(&mut self.tokens);
        let signature = lex(message, &mut tokens);
        self.lines += 1;
        let found = match self.cache.get(signature) {
            Some((slot, id)) if self.slots.touch(slot, id) => {
                Match { id, is_new: false, evicted: None }
            }
            _ => self.learn_signature(message, &mut tokens, signature),
        };
        self.tokens = tokens;
        found
    }

    #[cold]
    #[inline(never)]
    fn learn_signature(
        &mut self,
        message: &[u8],
        tokens: &mut Vec<Token>,
        signature: u64,
    ) -> Match {
        fold_lists(tokens);
        let key = key(tokens);
        let mut nearest = self.slots.nearest(key, tokens);
        if nearest.is_none() && self.slots.thin(key, &mut self.merges) {
            nearest = self.slots.nearest(key, tokens);
        }
        if let Some((slot, cost)) = nearest {
            let id = self.slots.join(slot, tokens);
            self.cache.put(signature, slot, id);
            if cost > 0.0 {
                // It stands for more than before: it may now be like others.
                let into = self.settle(slot);
                return Match { id: into, is_new: false, evicted: None };
            }
            return Match { id, is_new: false, evicted: None };
        }
        if let Some(slot) = self.slots.covering(key, tokens) {
            let id = self.slots.id(slot);
            self.slots.touch(slot, id);
            self.cache.put(signature, slot, id);
            return Match { id, is_new: false, evicted: None };
        }
        let (slot, id, evicted) = self.slots.insert(Pattern::new(message, tokens), key);
        self.cache.put(signature, slot, id);
        let into = self.settle(slot);
        Match { id: into, is_new: into == id, evicted }
    }

    /// Counts the template's words at their places, and merges templates that differ in one place
    /// only once that has taken enough values; gives the id that stands for the template then.
    fn settle(&mut self, slot: u32) -> TemplateId {
        let mut slot = slot;
        // Each round makes at least one word of the template vary.
        for _ in 0..8 {
            let Some((places, others)) = self.holes.count(&self.slots, slot) else { break };
            slot = self.slots.merge(slot, &places, &others, &mut self.merges);
        }
        self.slots.absorb_covered(slot, &mut self.merges);
        if self.merges.len() > MOST_MERGES {
            self.merges.drain(..self.merges.len() - MOST_MERGES);
        }
        self.slots.id(slot)
    }

    /// The template that a message would belong to, without learning it.
    #[must_use]
    pub fn find(&self, message: &[u8]) -> Option<TemplateId> {
        let mut tokens = Vec::new();
        let signature = lex(message, &mut tokens);
        if let Some((slot, id)) = self.cache.get(signature)
            && self.slots.holds(slot, id)
        {
            return Some(id);
        }
        fold_lists(&mut tokens);
        let key = key(&tokens);
        let nearest = self.slots.nearest(key, &tokens).map(|(slot, _)| slot);
        nearest.or_else(|| self.slots.covering(key, &tokens)).map(|slot| self.slots.id(slot))
    }

    /// A template's text; `None` when it was evicted or merged.
    #[must_use]
    pub fn text(&self, id: TemplateId) -> Option<String> {
        self.slots.by_id(id).map(|p| p.text())
    }

    /// The text that the template evicted last had.
    #[must_use]
    pub fn evicted_text(&self) -> Option<String> {
        self.slots.evicted().map(|p| p.text())
    }

    /// All templates with how many lines each has had, in order of first sight.
    pub fn iter(&self) -> impl Iterator<Item = (TemplateId, String, u64)> {
        self.slots.iter().map(|(id, p, n)| (id, p.text(), n))
    }

    /// The merges since this was last called, in order; at most 1,024 are kept.
    pub fn take_merges(&mut self) -> Vec<Merge> {
        std::mem::take(&mut self.merges)
    }

    /// Whether merges wait to be taken.
    #[must_use]
    pub fn has_merges(&self) -> bool {
        !self.merges.is_empty()
    }

    /// How many lines it has learned.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }
}
