//! Whether an alert belongs to a group of alerts: by entity, by the service graph, by onset.

use std::collections::{BTreeMap, BTreeSet};

use super::config::Config;
use crate::model::time::{MINUTE_MS, duration_text};
use crate::model::{EntityRef, Graph, Time};

/// A caller may be noticed this much (ms) before the callee that troubles it.
const SLACK_MS: i64 = 3 * MINUTE_MS;
/// Entities that the graph does not know are related only by an onset this near (ms).
const UNKNOWN_MS: i64 = 2 * MINUTE_MS;

/// How an alert is related to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The same entity.
    Same,
    /// It depends on a member: it feels what the member does.
    DependsOnMember,
    /// A member that nothing else explains depends on it.
    ExplainsMember,
    /// The graph knows nothing of it, and its onset is near.
    NearInTime,
}

/// A relation with its reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) kind: Kind,
    pub(super) hops: usize,
    pub(super) gap_ms: i64,
    pub(super) reason: String,
}

/// Entities within some hops down (`down`) or up the graph, with their distance.
pub(super) fn within(
    graph: &Graph,
    from: &EntityRef,
    hops: u32,
    down: bool,
) -> BTreeMap<EntityRef, usize> {
    #[cfg(test)]
    WALKS.with(|walks| walks.set(walks.get() + 1));
    let mut found = BTreeMap::new();
    let mut edge: BTreeSet<EntityRef> = [from.clone()].into();
    for hop in 1..=hops as usize {
        let mut next = BTreeSet::new();
        for at in &edge {
            let mut visit = |e: &EntityRef| {
                if e != from && !found.contains_key(e) {
                    found.insert(e.clone(), hop);
                    next.insert(e.clone());
                }
            };
            if down {
                graph.dependencies(at).for_each(|(e, _)| visit(e));
            } else {
                graph.dependents(at).for_each(|(e, _)| visit(e));
            }
        }
        edge = next;
    }
    found
}

/// Hops down the graph by which alerts are put in order of decision.
const DEEP: u32 = 6;

/// What surrounds one entity; worked out once per entity and graph.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) below: BTreeMap<EntityRef, usize>,
    pub(super) above: BTreeMap<EntityRef, usize>,
    /// What it depends on within more hops.
    pub(super) deep: BTreeSet<EntityRef>,
    /// Points of priority that the place gives, where somebody asks for them.
    pub(super) points: i32,
    known: bool,
}

impl Surroundings {
    pub(super) fn of(graph: &Graph, entity: &EntityRef, config: &Config) -> Self {
        let below = within(graph, entity, config.max_hops, true);
        let above = within(graph, entity, config.max_hops, false);
        let deep = within(graph, entity, DEEP, true).into_keys().collect();
        let known = !below.is_empty() || !above.is_empty();
        Self { below, above, deep, points: 0, known }
    }
}

/// Whether something alerting on `entity` since `onset` belongs to a group whose entities began to
/// alert at `members`. `explained` are members that depend on another, earlier or equally early
/// member: an extra cause below them explains nothing new.
pub(super) fn link(
    config: &Config,
    around: &Surroundings,
    entity: &EntityRef,
    onset: Time,
    members: &BTreeMap<EntityRef, Time>,
    explained: &BTreeSet<EntityRef>,
) -> Option<Link> {
    let window = i64::from(config.join_window_min) * MINUTE_MS;
    if let Some(since) = members.get(entity) {
        let reason = format!("{} already belongs to the incident", entity.name());
        let gap_ms = onset.ms_since(*since).abs();
        return Some(Link { kind: Kind::Same, hops: 0, gap_ms, reason });
    }
    let mut offers: Vec<Link> = Vec::new();
    for (member, since) in members {
        let gap = onset.ms_since(*since);
        if let Some(hops) = around.below.get(member)
            && (-SLACK_MS..=window).contains(&gap)
        {
            let reason = format!(
                "{} depends on {} ({hops} hop{}), which has been alerting since {} UTC; onsets {} apart",
                entity.name(),
                member.name(),
                if *hops == 1 { "" } else { "s" },
                since.clock_text(),
                duration_text(gap)
            );
            offers.push(Link {
                kind: Kind::DependsOnMember,
                hops: *hops,
                gap_ms: gap.abs(),
                reason,
            });
        }
        if let Some(hops) = around.above.get(member)
            && (-window..=SLACK_MS).contains(&gap)
            && !explained.contains(member)
        {
            let reason = format!(
                "{} of the incident depends on {} ({hops} hop{}) and nothing else explains it; onsets {} apart",
                member.name(),
                entity.name(),
                if *hops == 1 { "" } else { "s" },
                duration_text(gap)
            );
            offers.push(Link {
                kind: Kind::ExplainsMember,
                hops: *hops,
                gap_ms: gap.abs(),
                reason,
            });
        }
    }
    if offers.is_empty() && !around.known {
        let nearest = members.values().map(|s| onset.ms_since(*s).abs()).min()?;
        if nearest <= UNKNOWN_MS {
            let reason = format!(
                "the service graph does not know {}, and it began {} from the incident's alerts",
                entity.name(),
                duration_text(nearest)
            );
            offers.push(Link { kind: Kind::NearInTime, hops: 0, gap_ms: nearest, reason });
        }
    }
    offers.into_iter().min_by_key(|l| (l.kind, l.hops, l.gap_ms))
}

/// Members that depend on another member that began no later (within the slack).
pub(super) fn explained(
    graph: &Graph,
    config: &Config,
    members: &BTreeMap<EntityRef, Time>,
) -> BTreeSet<EntityRef> {
    let is = |entity: &&EntityRef| is_explained(graph, config, members, entity, None);
    members.keys().filter(is).cloned().collect()
}

/// Whether a member depends on another member (but `not` this) that began no later (within the
/// slack).
pub(super) fn is_explained(
    graph: &Graph,
    config: &Config,
    members: &BTreeMap<EntityRef, Time>,
    entity: &EntityRef,
    not: Option<&EntityRef>,
) -> bool {
    let Some(onset) = members.get(entity) else { return false };
    let below = within(graph, entity, config.max_hops, true);
    let below = below.keys().filter(|b| Some(*b) != not);
    below.filter_map(|b| members.get(b)).any(|s| s.ms_since(*onset) <= SLACK_MS)
}

/// Brings `explained` up to date after `entity` became a member, or began earlier than was known:
/// itself, and members that depend on it. To go through all of them for each that joins would cost
/// a storm its square.
pub(super) fn explain(
    graph: &Graph,
    config: &Config,
    members: &BTreeMap<EntityRef, Time>,
    entity: &EntityRef,
    explained: &mut BTreeSet<EntityRef>,
) {
    let Some(since) = members.get(entity) else { return };
    if is_explained(graph, config, members, entity, None) {
        explained.insert(entity.clone());
    } else {
        explained.remove(entity);
    }
    for above in within(graph, entity, config.max_hops, false).into_keys() {
        if members.get(&above).is_some_and(|onset| since.ms_since(*onset) <= SLACK_MS) {
            explained.insert(above);
        }
    }
}

#[cfg(test)]
thread_local! {
    /// How often the graph was walked from an entity.
    pub(super) static WALKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
