//! The streaming miner: a bounded set of templates, found by length and leading word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::mask::mask;

/// Stable number of a template within its miner.
pub type TemplateId = u32;

/// Where a line belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Which template.
    pub id: TemplateId,
    /// Whether this line made it.
    pub is_new: bool,
    /// Another template that had to go to make room for it.
    pub evicted: Option<TemplateId>,
}

/// A bounded set of templates. The same lines in the same order give the same templates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Miner {
    capacity: u32,
    next: TemplateId,
    lines: u64,
    templates: BTreeMap<TemplateId, Template>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Template {
    tokens: Vec<String>,
    n: u64,
    /// The line count at which it was last seen: the least recent one is evicted.
    seen: u64,
}

/// Share of equal tokens from which a line belongs to a template.
const LIKENESS: f64 = 0.6;
const WILD: &str = "<*>";

impl Miner {
    /// A miner that keeps at most `capacity` (at least 1) templates.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        Self { capacity: capacity.max(1), next: 0, lines: 0, templates: BTreeMap::new() }
    }

    /// Finds the line's template or makes one; tokens that differ become `<*>`.
    pub fn learn(&mut self, line: &str) -> Match {
        let tokens = mask(line);
        self.lines += 1;
        if let Some(id) = self.nearest(&tokens) {
            let template = self.templates.get_mut(&id).expect("nearest gives an id it has");
            for (old, new) in template.tokens.iter_mut().zip(&tokens) {
                if old != new {
                    WILD.clone_into(old);
                }
            }
            template.n += 1;
            template.seen = self.lines;
            return Match { id, is_new: false, evicted: None };
        }
        let evicted = if self.templates.len() >= self.capacity as usize {
            let oldest = self.templates.iter().min_by_key(|(id, t)| (t.seen, **id));
            oldest.map(|(id, _)| *id)
        } else {
            None
        };
        if let Some(id) = evicted {
            self.templates.remove(&id);
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.templates.insert(id, Template { tokens, n: 1, seen: self.lines });
        Match { id, is_new: true, evicted }
    }

    /// The template that a line would belong to, without learning it.
    #[must_use]
    pub fn find(&self, line: &str) -> Option<TemplateId> {
        self.nearest(&mask(line))
    }

    /// A template's text.
    #[must_use]
    pub fn text(&self, id: TemplateId) -> Option<String> {
        self.templates.get(&id).map(|t| t.tokens.join(" "))
    }

    /// All templates with how many lines each has had, in order of first sight.
    pub fn iter(&self) -> impl Iterator<Item = (TemplateId, String, u64)> {
        self.templates.iter().map(|(id, t)| (*id, t.tokens.join(" "), t.n))
    }

    /// How many lines it has learned.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    fn nearest(&self, tokens: &[String]) -> Option<TemplateId> {
        let mut best: Option<(usize, TemplateId)> = None;
        for (id, template) in &self.templates {
            // Same length and same leading word (unless one of them varies), as Drain's first two
            // levels have it.
            if template.tokens.len() != tokens.len() || !leads_alike(&template.tokens, tokens) {
                continue;
            }
            let equal =
                template.tokens.iter().zip(tokens).filter(|(a, b)| a == b && *a != WILD).count();
            let wild = template.tokens.iter().zip(tokens).filter(|(a, _)| *a == WILD).count();
            let fixed = tokens.len() - wild;
            let enough = equal as f64 >= LIKENESS * fixed as f64 && (equal > 0 || fixed == 0);
            if enough && best.is_none_or(|(most, _)| equal > most) {
                best = Some((equal, *id));
            }
        }
        best.map(|(_, id)| id)
    }
}

fn leads_alike(a: &[String], b: &[String]) -> bool {
    match (a.first(), b.first()) {
        (Some(x), Some(y)) => x == y || x == WILD || y == WILD,
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn many_lines_of_few_statements_give_few_templates() {
        let mut miner = Miner::new(100);
        for i in 0..5_000 {
            miner.learn(&format!("request {i} served in {} ms", i % 90));
            miner.learn(&format!("connection to 10.1.{}.{}:5432 refused", i % 7, i % 250));
            miner.learn(&format!("pool orders-db exhausted: {i} waiters after 3{i} ms"));
            miner.learn(&format!("user {} logged in", ["anna", "ben", "cleo"][i % 3]));
        }
        let all: Vec<String> = miner.iter().map(|(_, text, _)| text).collect();
        insta::assert_debug_snapshot!(all, @r#"
        [
            "request <*> served in <*> ms",
            "connection to <*> refused",
            "pool orders-db exhausted <*> waiters after <*> ms",
            "user <*> logged in",
        ]
        "#);
        assert_eq!(miner.lines(), 20_000);
    }

    #[test]
    fn unlike_errors_stay_apart() {
        let mut miner = Miner::new(100);
        let a = miner.learn("connection refused by auth-db");
        let b = miner.learn("deadlock detected in orders");
        assert!(a.is_new && b.is_new && a.id != b.id);
        assert_eq!(miner.find("connection refused by auth-db"), Some(a.id));
        assert_eq!(miner.find("something else entirely happened"), None);
    }

    #[test]
    fn the_least_recent_template_makes_room() {
        let mut miner = Miner::new(2);
        let first = miner.learn("alpha one");
        miner.learn("beta two");
        assert_eq!(miner.learn("gamma three").evicted, Some(first.id));
        assert_eq!(miner.iter().count(), 2);
    }

    proptest! {
        #[test]
        fn any_text_is_taken_and_found_again(lines in prop::collection::vec(".{0,120}", 1..60)) {
            let mut miner = Miner::new(20);
            for line in &lines {
                let m = miner.learn(line);
                prop_assert!(miner.text(m.id).is_some());
                prop_assert!(miner.iter().count() <= 20);
            }
            let packed = rmp_serde::to_vec(&miner).expect("packs");
            let again: Miner = rmp_serde::from_slice(&packed).expect("unpacks");
            prop_assert_eq!(again, miner);
        }
    }
}
