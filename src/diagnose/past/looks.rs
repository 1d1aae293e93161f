//! What an incident looks like, for comparison with others. Pure.
//!
//! Six parts, each a set of words: the conditions with their entity (what is the same thing again);
//! the conditions without (what is alike elsewhere); the motif, which is the roles of the affected
//! entities and the directions of the edges between them; how far out which signals were; the
//! nearest change; and the words that log templates and alerts were told in. The parts of two
//! incidents are compared by the weight of what they share over that of what either has (weighted
//! Jaccard, Ioffe 2010), where a word weighs `ln((1 + n) / (1 + seen))` with `n` incidents compared
//! and `seen` of them having it (Spärck Jones 1972): what every incident has says nothing. The
//! motif's words are those of one round of relabelling after Weisfeiler and Lehman (Shervashidze
//! et al. 2011), so that a fault at other services is found by its shape.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::here::words;
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::topology::EdgeKind;
use crate::model::{Alert, Change, EntityRef, Graph, Incident};

/// Entities whose place in the graph is looked at, the first in trouble.
const MOST_ENTITIES: usize = 30;

/// The parts of a likeness with their weights and what they are called; the weights add up to 1
/// and count anew where a part says nothing of either incident.
pub(in crate::diagnose) const PARTS: [(&str, f64); 6] = [
    ("place", 0.20),
    ("conditions", 0.30),
    ("motif", 0.15),
    ("shapes", 0.10),
    ("change", 0.10),
    ("words", 0.15),
];

/// What an incident looks like: a set of words for each of [`PARTS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::diagnose) struct Looks {
    /// Shared: what was worked out of an earlier incident is compared with many.
    parts: [Arc<BTreeSet<String>>; PARTS.len()],
}

/// Place of the motif among [`PARTS`]: the only part that the graph says something of.
const MOTIF: usize = 2;

/// The role of each of the first entities in trouble, of which the graph makes a motif.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Roles(BTreeMap<EntityRef, String>);

/// How often each word of each part was seen.
#[derive(Clone, Debug, Default)]
pub(in crate::diagnose) struct Common {
    n: usize,
    seen: BTreeMap<(usize, String), usize>,
}

impl Common {
    /// Counts what some incidents have.
    pub(in crate::diagnose) fn of<'a>(all: impl Iterator<Item = &'a Looks>) -> Self {
        let mut common = Self::default();
        for looks in all {
            common.n += 1;
            for (i, words) in looks.parts.iter().enumerate() {
                for word in words.iter() {
                    *common.seen.entry((i, word.clone())).or_default() += 1;
                }
            }
        }
        common
    }

    fn weight(&self, part: usize, word: &str) -> f64 {
        let seen = self.seen.get(&(part, word.to_owned())).copied().unwrap_or(0);
        // Never nothing: two incidents of which both have what all have are still alike in it.
        ((1.0 + self.n as f64) / (1.0 + seen as f64)).ln() + 0.1
    }
}

impl Looks {
    /// The looks of an incident by its alerts, the graph, and the changes about it.
    pub(in crate::diagnose) fn of(
        incident: &Incident,
        alerts: &[Alert],
        graph: &Graph,
        changes: &[Change],
    ) -> Self {
        Self::told(incident, alerts, changes).within(&Roles::of(alerts), graph)
    }

    /// The same without what the graph says of it.
    pub(super) fn told(incident: &Incident, alerts: &[Alert], changes: &[Change]) -> Self {
        let mut parts: [BTreeSet<String>; PARTS.len()] = Default::default();
        let [place, conditions, _motif, shapes, change, said] = &mut parts;
        let names: BTreeSet<String> =
            alerts.iter().map(|a| a.entity.name().to_lowercase()).collect();
        for alert in alerts {
            let what = alert.labels.get("metric").or_else(|| alert.labels.get("template"));
            let condition = format!("{} {}", alert.name(), what.unwrap_or_default());
            place.insert(format!("{} {condition}", alert.entity));
            place.insert(alert.entity.to_string());
            conditions.insert(format!("{} {condition}", alert.entity.attribute()));
            shapes.extend(shape(alert));
            let texts = [alert.labels.get("template"), alert.annotations.get("summary")];
            said.extend(texts.into_iter().flatten().flat_map(words));
        }
        said.extend(words(&incident.title));
        said.retain(|w| !names.contains(w));
        change.extend(nearest(incident, changes));
        Self { parts: parts.map(Arc::new) }
    }

    /// The same with the motif that the graph makes of the roles.
    pub(super) fn within(&self, roles: &Roles, graph: &Graph) -> Self {
        let mut parts = self.parts.clone();
        parts[MOTIF] = Arc::new(motif_of(roles, graph));
        Self { parts }
    }

    /// How alike two are in each of [`PARTS`]; `None` where neither has anything to compare.
    pub(in crate::diagnose) fn alike(
        &self,
        other: &Self,
        common: &Common,
    ) -> [Option<f64>; PARTS.len()] {
        std::array::from_fn(|i| {
            let (a, b) = (&self.parts[i], &other.parts[i]);
            let sum = |words: &mut dyn Iterator<Item = &String>| {
                words.map(|w| common.weight(i, w)).sum::<f64>()
            };
            let all = sum(&mut a.union(b));
            (all > 0.0).then(|| sum(&mut a.intersection(b)) / all)
        })
    }

    /// Conditions, metrics and templates that two have in common, whatever the entity.
    pub(in crate::diagnose) fn shared(&self, other: &Self) -> usize {
        self.parts[1].intersection(&other.parts[1]).count()
    }
}

/// The whole likeness, 0 to 1, of its parts.
pub(in crate::diagnose) fn whole(parts: &[Option<f64>; PARTS.len()]) -> f64 {
    let known = parts.iter().zip(PARTS).filter_map(|(p, (_, weight))| Some(((*p)?, weight)));
    let (sum, weights) = known.fold((0.0, 0.0), |(s, w), (p, weight)| (s + p * weight, w + weight));
    if weights > 0.0 { sum / weights } else { 0.0 }
}

/// Which signal went which way and how far, in powers of two.
fn shape(alert: &Alert) -> Option<String> {
    let (value, band) = (alert.value?, alert.expected?);
    let signal = alert.indicator.map_or_else(|| "other".to_owned(), |i| format!("{i:?}"));
    if band.mid <= 0.0 || value <= 0.0 {
        let way = if value > band.mid { "up" } else { "down" };
        return Some(format!("{signal} {way}"));
    }
    let powers = (value / band.mid).log2().clamp(-6.0, 6.0);
    let way = if powers >= 0.0 { "up" } else { "down" };
    // Steps 0, 1, 2 and 3 and more: below double, below four times, below sixteen times, above.
    let step = match powers.abs() {
        p if p < 1.0 => 0,
        p if p < 2.0 => 1,
        p if p < 4.0 => 2,
        _ => 3,
    };
    Some(format!("{signal} {way} {step}"))
}

/// What an entity is and which signals of it are out: its role, whatever its name.
fn role(entity: &EntityRef, alerts: &[Alert]) -> String {
    let own = alerts.iter().filter(|a| a.entity == *entity);
    let signals: BTreeSet<String> = own
        .map(|a| match a.indicator {
            Some(indicator) => format!("{indicator:?}"),
            None if a.labels.get("template").is_some() => "Log".to_owned(),
            None => a.name().to_owned(),
        })
        .collect();
    let signals: Vec<String> = signals.into_iter().collect();
    format!("{}:{}", entity.attribute(), signals.join("+"))
}

impl Roles {
    pub(super) fn of(alerts: &[Alert]) -> Self {
        let mut entities: Vec<&EntityRef> = Vec::new();
        for alert in alerts {
            if entities.len() < MOST_ENTITIES && !entities.contains(&&alert.entity) {
                entities.push(&alert.entity);
            }
        }
        Self(entities.into_iter().map(|e| (e.clone(), role(e, alerts))).collect())
    }
}

/// Roles, edges between roles, and each role with the roles below and above it.
fn motif_of(Roles(roles): &Roles, graph: &Graph) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = roles.values().cloned().collect();
    for (entity, role) in roles {
        let near = |all: &mut dyn Iterator<Item = (&EntityRef, EdgeKind)>| {
            let named = all.filter_map(|(e, k)| Some(format!("{k:?} {}", roles.get(e)?)));
            named.collect::<BTreeSet<String>>()
        };
        let below = near(&mut graph.dependencies(entity));
        let above = near(&mut graph.dependents(entity));
        found.extend(below.iter().map(|b| format!("{role} > {b}")));
        found.insert(format!("{role} below {below:?} above {above:?}"));
    }
    found
}

/// The kind of the nearest change before the onset, and whether it was at an affected entity.
fn nearest(incident: &Incident, changes: &[Change]) -> Option<String> {
    let lead = |c: &&Change| incident.onset_at.ms_since(c.at);
    let near = changes.iter().filter(|c| (-5 * MINUTE_MS..=2 * HOUR_MS).contains(&lead(c)));
    let here = |c: &&Change| incident.entities.contains(&c.entity);
    let nearest = near.min_by_key(|c| (!here(c), lead(c).abs(), c.id))?;
    here(&nearest).then(|| format!("{:?}", nearest.kind))
}
