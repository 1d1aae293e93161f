//! What earlier incidents teach of one: how alike they are, what was tried in them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::EntityRef;
use super::diagnosis::Similar;

/// One part of a likeness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LikenessPart {
    /// Which: `place`, `conditions`, `motif`, `shapes`, `change` or `words`.
    pub name: String,
    /// Its share of the whole, before parts that say nothing are left out.
    pub weight: f64,
    /// How alike in it, 0 to 1.
    pub likeness: f64,
}

/// Something that was done in an earlier incident and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Tried {
    /// Runbook and action, as `runbook/action`.
    pub action: String,
    /// What it acted on.
    pub target: EntityRef,
    /// Whether it helped.
    pub helped: bool,
    /// Whether it made it worse.
    pub worse: bool,
}

impl Similar {
    /// Its likeness in parts: `conditions 100 %, motif 62 %`.
    #[must_use]
    pub fn parts_text(&self) -> String {
        let part = |p: &LikenessPart| format!("{} {:.0} %", p.name, p.likeness * 100.0);
        self.parts.iter().map(part).collect::<Vec<_>>().join(", ")
    }
}

/// What was tried in all of these and how often it helped, the most helpful first; `None` where
/// nothing was.
#[must_use]
pub fn tried_text(similar: &[Similar]) -> Option<String> {
    let mut counts: Vec<(&str, usize, usize)> = Vec::new();
    for tried in similar.iter().flat_map(|s| &s.tried) {
        let helped = usize::from(tried.helped);
        match counts.iter_mut().find(|(action, ..)| *action == tried.action) {
            Some((_, n, n_helped)) => (*n, *n_helped) = (*n + 1, *n_helped + helped),
            None => counts.push((&tried.action, 1, helped)),
        }
    }
    counts.sort_by(|a, b| b.2.cmp(&a.2).then(a.1.cmp(&b.1)).then(a.0.cmp(b.0)));
    let each: Vec<String> = counts
        .iter()
        .map(|(action, n, helped)| {
            let times = if *n == 1 { "time" } else { "times" };
            format!("{action} {n} {times}, helped {helped}")
        })
        .collect();
    (!each.is_empty()).then(|| format!("In incidents like it: {}.", each.join("; ")))
}
