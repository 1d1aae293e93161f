//! How much an incident matters, and whether somebody is woken for it. Pure.
//!
//! Points are added, each part with its reason: **severity** (critical 3, warning 1), **users**
//! (an entry to the system is a member 3, one hop above a member 2, further above 1; who calls it
//! is not known 1), **objective** (a fast burn 4, a slow one 1, after the SRE workbook, chapter 5),
//! **business** (a declared series is critical 3, a warning 2), **radius** (a quarter of all
//! services calls what is ill, directly or not: 2; a tenth: 1) and **confidence** (three signals or
//! two systems agree 1; one signal of ours alone −1). From `page_from` points on it is a page. What
//! only ever was for information is none.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::group::{Group, Member};
use super::relate;
use crate::model::figure::n_of;
use crate::model::priority::{Attention, Priority, PriorityPart};
use crate::model::{Alert, EntityRef, Graph, Severity};

/// Hops up the graph within which users are looked for, and calls count as the radius.
const MOST_HOPS: usize = 6;

/// When somebody is woken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Points from which on an incident is a page rather than a ticket.
    #[schemars(range(min = 1, max = 20))]
    pub page_from: i32,
    /// Services that users reach directly; empty: those that call others and that nothing calls.
    pub user_facing: Vec<String>,
}

impl Default for Rule {
    fn default() -> Self {
        Self { page_from: 4, user_facing: Vec::new() }
    }
}

/// What of an alert bears on priority and kind, beyond what grouping keeps.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weighs {
    /// The condition's name.
    pub(super) name: String,
    /// Burn rate of an objective, and whether it is one to page for.
    burn: Option<(String, f64, bool)>,
    /// The declared series behind it, with its departure.
    stake: Option<String>,
}

impl Weighs {
    pub(super) fn of(alert: &Alert) -> Self {
        let burn = alert.labels.get("objective").map(|objective| {
            let page = alert.labels.get("urgency") == Some("page");
            (objective.to_owned(), alert.value.unwrap_or(0.0), page)
        });
        let stake = alert.annotations.get("stake").map(|stake| {
            let name = stake.split_once(' ').map_or(stake, |(_, name)| name);
            match (alert.value, alert.expected) {
                // Its alert goes on for a while after it has come back.
                (Some(value), Some(band)) if (band.low..=band.high).contains(&value) => {
                    format!("{name} inside its band again")
                }
                (Some(value), Some(band)) if band.mid.abs() > f64::EPSILON => {
                    let off = 100.0 * (value - band.mid) / band.mid.abs();
                    let sign = if off < 0.0 { '−' } else { '+' };
                    format!("{name} {sign}{:.0} %", off.abs())
                }
                _ => format!("{name} departs"),
            }
        });
        Self { name: alert.name().to_owned(), burn, stake }
    }

    pub(super) fn is_objective(&self) -> bool {
        self.burn.is_some()
    }

    pub(super) fn is_business(&self) -> bool {
        self.stake.is_some()
    }
}

/// Hops up the graph within which callers are counted.
const CALLER_HOPS: u32 = 4;

/// What follows from the graph alone, worked out once for each graph.
#[derive(Clone, Debug, Default)]
pub(super) struct Land {
    /// Services by which users come in.
    entries: BTreeSet<EntityRef>,
    n_services: usize,
    /// How many entities are within some hops above one, for those that were asked for.
    callers: BTreeMap<EntityRef, i64>,
}

impl Land {
    /// What follows from a graph under a rule.
    pub(super) fn of(graph: &Graph, rule: &Rule) -> Self {
        let entries = graph.entries(&rule.user_facing);
        let n_services = graph.entities().filter(|e| e.is_service()).count();
        Self { entries, n_services, callers: BTreeMap::new() }
    }

    /// How many entities depend on one, directly or not, within some hops.
    pub(super) fn n_callers(&mut self, graph: &Graph, of: &EntityRef) -> i64 {
        if let Some(n) = self.callers.get(of) {
            return *n;
        }
        let n = relate::within(graph, of, CALLER_HOPS, false).len() as i64;
        // Of names that the graph does not know there is no end, and nothing to work out.
        if n > 0 {
            self.callers.insert(of.clone(), n);
        }
        n
    }
}

fn part(name: &str, points: i32, why: String) -> PriorityPart {
    PriorityPart { name: name.into(), points, why }
}

/// What some alerts tell together.
struct Tells<'a> {
    worst: Severity,
    /// Burn rates of objectives and declared series, each with how bad it is.
    burns: Vec<&'a (String, f64, bool)>,
    stakes: Vec<(Severity, &'a String)>,
    /// Different signals beyond mere information, systems that tell of them, and whether ours does.
    n_signals: usize,
    n_systems: usize,
    ours: bool,
}

impl<'a> Tells<'a> {
    /// What one alert tells.
    fn of_one(member: &'a Member) -> Self {
        let n = usize::from(member.severity > Severity::Info);
        Self {
            worst: member.severity,
            burns: member.weighs.burn.iter().collect(),
            stakes: member.weighs.stake.iter().map(|stake| (member.severity, stake)).collect(),
            n_signals: n,
            n_systems: n,
            ours: n > 0 && member.system.is_none(),
        }
    }

    /// What all of an incident tell.
    fn of_all(group: &'a Group) -> Self {
        let weighty = || group.sums.weighty.iter().filter_map(|id| group.members.get(id));
        let (n_systems, ours) = group.sums.systems();
        Self {
            worst: group.sums.worst().unwrap_or(Severity::Info),
            burns: weighty().filter_map(|m| m.weighs.burn.as_ref()).collect(),
            stakes: weighty()
                .filter_map(|m| Some((m.severity, m.weighs.stake.as_ref()?)))
                .collect(),
            n_signals: group.sums.n_signals(),
            n_systems,
            ours,
        }
    }
}

fn severity(tells: &Tells<'_>) -> PriorityPart {
    let (points, word) = match tells.worst {
        Severity::Critical => (3, "critical"),
        Severity::Warning => (1, "a warning"),
        Severity::Info => (0, "for information"),
    };
    part("severity", points, word.into())
}

/// Entities above the members with the fewest hops to one of them; members themselves at 0. One
/// walk for all of them: a storm has many members.
fn above<'a>(
    members: impl Iterator<Item = &'a EntityRef>,
    graph: &'a Graph,
) -> BTreeMap<&'a EntityRef, usize> {
    // One by one: thousands of members are of a few entities, and gathering sorts them all.
    let mut found: BTreeMap<&EntityRef, usize> = BTreeMap::new();
    for member in members {
        found.insert(member, 0);
    }
    let mut edge: Vec<&EntityRef> = found.keys().copied().collect();
    for hops in 1..=MOST_HOPS {
        let mut next = Vec::new();
        for (above, _) in edge.iter().flat_map(|at| graph.dependents(at)) {
            if let Entry::Vacant(new) = found.entry(above) {
                new.insert(hops);
                next.push(above);
            }
        }
        edge = next;
    }
    found
}

fn users(above: &BTreeMap<&EntityRef, usize>, graph: &Graph, land: &Land) -> PriorityPart {
    let nearest = land.entries.iter().filter_map(|e| Some((*above.get(e)?, e))).min();
    let known = above
        .keys()
        .any(|e| graph.dependents(e).next().is_some() || graph.dependencies(e).next().is_some());
    match nearest {
        Some((0, entry)) => part("users", 3, format!("users reach it ({})", entry.name())),
        Some((hops, entry)) => {
            let points = if hops == 1 { 2 } else { 1 };
            let hops = n_of(hops as u64, "hop");
            part("users", points, format!("users reach it ({} is {hops} up)", entry.name()))
        }
        None if known => part("users", 0, "no service that users reach calls it".into()),
        None => part("users", 1, "who calls it is not known".into()),
    }
}

fn objective(tells: &Tells<'_>) -> Option<PriorityPart> {
    let burns = tells.burns.iter();
    let (name, burn, page) =
        burns.max_by(|a, b| a.2.cmp(&b.2).then(a.1.total_cmp(&b.1)).then_with(|| b.0.cmp(&a.0)))?;
    let points = if *page { 4 } else { 1 };
    Some(part("objective", points, format!("{name} burns {burn:.0}×")))
}

fn business(tells: &Tells<'_>) -> Option<PriorityPart> {
    let staked = tells.stakes.iter();
    let (severity, stake) = staked.max_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(a.1)))?;
    let points = if *severity == Severity::Critical { 3 } else { 2 };
    Some(part("business", points, (*stake).clone()))
}

fn radius(above: &BTreeMap<&EntityRef, usize>, land: &Land) -> Option<PriorityPart> {
    let all = land.n_services;
    let hit = above.keys().filter(|e| e.is_service()).count();
    if all < 4 || hit == 0 {
        return None;
    }
    let points = match hit as f64 / all as f64 {
        share if share >= 0.25 => 2,
        share if share >= 0.1 => 1,
        _ => 0,
    };
    Some(part("radius", points, format!("{hit} of {} may feel it", n_of(all as u64, "service"))))
}

fn confidence(tells: &Tells<'_>) -> Option<PriorityPart> {
    match (tells.n_signals, tells.n_systems) {
        (n, n_systems @ 2..) => {
            let n = n_of(n as u64, "signal");
            Some(part("confidence", 1, format!("{n} of {n_systems} systems agree")))
        }
        (n @ 3.., _) => Some(part("confidence", 1, format!("{n} signals agree"))),
        (1, _) if tells.ours => Some(part("confidence", -1, "one signal alone says so".into())),
        _ => None,
    }
}

/// The points that its place gives whatever alerts there: users and radius.
pub(super) fn points_of_place(entity: &EntityRef, graph: &Graph, land: &Land) -> i32 {
    let above = above(std::iter::once(entity), graph);
    let radius = radius(&above, land).map_or(0, |p| p.points);
    users(&above, graph, land).points + radius
}

/// The points of one alert by itself, without those of its place.
pub(super) fn alone(member: &Member) -> i32 {
    let tells = Tells::of_one(member);
    let more = [objective(&tells), business(&tells), confidence(&tells)];
    severity(&tells).points + more.into_iter().flatten().map(|p| p.points).sum::<i32>()
}

/// The priority of what the alerts of an incident tell.
fn priority(group: &Group, (graph, land): (&Graph, &Land), rule: &Rule) -> Priority {
    let above = above(group.sums.entities(), graph);
    let tells = Tells::of_all(group);
    let mut parts = vec![severity(&tells), users(&above, graph, land)];
    parts.extend(objective(&tells));
    parts.extend(business(&tells));
    parts.extend(radius(&above, land));
    parts.extend(confidence(&tells));
    parts.sort_by_key(|p| -p.points);
    let points: i32 = parts.iter().map(|p| p.points).sum();
    let pages = points >= rule.page_from && tells.worst > Severity::Info;
    let level = match points {
        p if pages && p >= rule.page_from + 4 => 1,
        _ if pages => 2,
        p if 2 * p >= rule.page_from => 3,
        _ => 4,
    };
    let attention = if pages { Attention::Page } else { Attention::Ticket };
    Priority { attention, level, points, page_from: rule.page_from, parts }
}

impl Group {
    /// Works out how much the incident matters and of what kind it is.
    pub(super) fn weigh(
        &mut self,
        (graph, land): (&Graph, &Land),
        config: &Config,
        changes: &[crate::model::Change],
    ) {
        if self.members.is_empty() {
            return;
        }
        let priority = priority(self, (graph, land), &config.priority);
        let taxonomy = super::taxonomy::taxonomy(self, graph, changes);
        self.incident.priority = Some(priority);
        self.incident.taxonomy = Some(taxonomy);
    }
}
