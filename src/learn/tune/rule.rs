//! Which judgements speak for which change. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::Case;
use crate::model::tuning::Judgement;
use crate::model::{BarScope, EntityRef, IncidentId, Indicator, Time};

/// The factors that a bar may have.
pub const RUNGS: [f64; 7] = [0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5];
/// A change is at most so many times the factor that holds now, or its part.
const MOST_STEP: f64 = 2.0;

/// Which way a bar is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Less is called.
    Raise,
    /// More is called.
    Lower,
}

impl Way {
    /// The rungs to try from a factor on, the nearest first.
    #[must_use]
    pub fn rungs(self, from: f64) -> Vec<f64> {
        // Rungs are what they are; a hair of tolerance for what was stored and read again.
        let hair = 1e-9;
        match self {
            Self::Raise => RUNGS
                .into_iter()
                .filter(|r| *r > from + hair && *r <= MOST_STEP * from + hair)
                .collect(),
            Self::Lower => RUNGS
                .into_iter()
                .rev()
                .filter(|r| *r < from - hair && *r >= from / MOST_STEP - hair)
                .collect(),
        }
    }
}

/// A change that enough judgements speak for.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Of which series.
    pub scope: BarScope,
    /// Which way.
    pub way: Way,
    /// The incidents that speak for it, in order.
    pub judged: Vec<IncidentId>,
    /// When the newest of them was judged.
    pub newest: Time,
}

/// All changes that at least `least` judgements since `since` speak for, the narrowest of an entity
/// first. `counted` says whether an incident has spoken already for a change of the scope, or of one
/// that overlaps it, on which a person decided.
#[must_use]
pub fn candidates(
    cases: &[Case],
    least: usize,
    since: Time,
    counted: impl Fn(&BarScope, IncidentId) -> bool,
) -> Vec<Candidate> {
    let votes: Vec<(&Case, Way, BarScope)> = cases
        .iter()
        .filter(|c| c.judged_at >= since)
        .flat_map(|c| votes(c).into_iter().map(move |(way, scope)| (c, way, scope)))
        .collect();
    let scopes: BTreeSet<(Way, &BarScope)> = votes.iter().map(|(_, w, s)| (*w, s)).collect();
    let mut found = Vec::new();
    for (way, scope) in scopes {
        let speaking: BTreeMap<IncidentId, Time> = votes
            .iter()
            .filter(|(c, w, s)| *w == way && scope.contains(s) && !counted(scope, c.incident))
            .map(|(c, ..)| (c.incident, c.judged_at))
            .collect();
        if speaking.len() >= least.max(2) {
            found.push(Candidate {
                scope: scope.clone(),
                way,
                newest: speaking.values().copied().max().unwrap_or(since),
                judged: speaking.into_keys().collect(),
            });
        }
    }
    found.sort_by(|a, b| {
        let place = |c: &Candidate| (c.scope.entity.clone(), 2 - c.scope.narrowness(), c.way);
        place(a).cmp(&place(b)).then_with(|| a.scope.cmp(&b.scope))
    });
    found
}

/// What one incident speaks for.
fn votes(case: &Case) -> Vec<(Way, BarScope)> {
    match case.judgement {
        Judgement::Dismissed => {
            scopes_of(case).into_iter().map(|scope| (Way::Raise, scope)).collect()
        }
        // Others told it, and of whom it was about none of our series did.
        Judgement::Confirmed if case.others => case
            .entities
            .iter()
            .filter(|e| e.is_service() && !case.told.iter().any(|t| t.series.entity == **e))
            .flat_map(|e| {
                [Indicator::Errors, Indicator::Duration]
                    .map(|i| (Way::Lower, BarScope::indicator(e.clone(), i)))
            })
            .collect(),
        Judgement::Confirmed | Judgement::Unsaid => Vec::new(),
    }
}

/// For each entity that told an incident the narrowest scope that holds all of its series.
fn scopes_of(case: &Case) -> Vec<BarScope> {
    let mut by_entity: BTreeMap<&EntityRef, Vec<&crate::model::Series>> = BTreeMap::new();
    for told in &case.told {
        by_entity.entry(&told.series.entity).or_default().push(&told.series);
    }
    by_entity
        .into_iter()
        .map(|(entity, series)| {
            let first = series[0];
            if series.iter().all(|s| s.id == first.id) {
                BarScope::series(first)
            } else if series.iter().all(|s| s.indicator == first.indicator) {
                BarScope::indicator(entity.clone(), first.indicator)
            } else {
                BarScope::entity(entity.clone())
            }
        })
        .collect()
}
