//! Earlier incidents that look alike: by structure and by words, at the same place or at others,
//! with what was tried in them and how it went.
//!
//! Two measures. For showing, [`looks`]: an incident of the same structure at other services is
//! found too. For the ranking, which wants to know where the cause was, [`here`]: only
//! incidents that share an entity, by the conditions that fired, where, and the words.

mod here;
mod looks;
#[cfg(test)]
mod tests;
mod tried;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::here::Here;
use self::looks::{Common, Looks, PARTS, Roles, whole};
use super::gather::evidence_id;
use super::input::Past;
use super::kept::ByRevision;
use crate::model::diagnosis::{Finding, LikenessPart, Similar};
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{
    Alert, Change, Diagnosis, Evidence, Fault, Graph, Hypothesis, Incident, Run, Time,
};
use crate::store::{Filter, Rows};

/// Newest earlier incidents that are compared.
const COMPARED: usize = 200;
/// Alerts read of each of them: a storm shows what it is by its first ones.
const ALERTS: usize = 100;
/// Of those that were not read yet, one look reads so many, the newest: the next reads on.
const MOST_READ: usize = 100;
/// Least likeness that is worth telling; at least one condition must be shared besides.
const LEAST: f64 = 0.35;
/// Least likeness at the same place that counts for the ranking.
const LEAST_HERE: f64 = 0.35;
/// How many are kept, for what was tried in them; a card names the first three.
const MOST: usize = 8;
/// How many count for the ranking.
const MOST_HERE: usize = 3;

/// What was found: for the ranking, for showing, and as evidence.
#[derive(Default)]
pub(super) struct Alike {
    pub(super) past: Vec<Past>,
    pub(super) similar: Vec<Similar>,
    pub(super) evidence: Vec<Evidence>,
}

/// One earlier incident with what it is compared by.
struct Old {
    incident: Incident,
    here: f64,
    parts: [Option<f64>; PARTS.len()],
    likeness: f64,
    shared: usize,
}

/// What an earlier incident looked like, but for what the graph of today says of it.
#[derive(Debug)]
struct Seen {
    /// Without its list of alerts, which nothing here needs.
    incident: Incident,
    looks: Looks,
    roles: Roles,
    here: Here,
}

/// What earlier incidents looked like, each read once until it is written again: what is told later of a
/// change before its onset counts from then on. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptLooks {
    kept: ByRevision<Seen>,
}

impl KeptLooks {
    /// The newest incidents that are over, newest first, without those that people called no incident.
    fn read(&self, rows: &Rows<'_>) -> Result<Vec<Arc<Seen>>, Fault> {
        let over = Filter::states(["resolved", "reviewed"]).newest(COMPARED);
        let over = rows.revisions::<Incident>(&over)?;
        let seen = self.kept.read(&over, MOST_READ, |id| seen(rows, id))?;
        Ok(seen.into_iter().map(|(_, seen)| seen).collect())
    }
}

fn seen(rows: &Rows<'_>, id: &str) -> Result<Option<Seen>, Fault> {
    let Some(mut incident) = rows.get::<Incident>(id)? else { return Ok(None) };
    if incident.category.as_deref() == Some("not_an_incident") {
        return Ok(None);
    }
    incident.alerts = Vec::new();
    let alerts = rows.list::<Alert>(&Filter { limit: ALERTS, ..Filter::parent(id) })?;
    let about = Filter::all()
        .since(incident.onset_at.plus_ms(-2 * HOUR_MS))
        .until(incident.onset_at.plus_ms(5 * MINUTE_MS));
    let looks = Looks::told(&incident, &alerts, &rows.list::<Change>(&about)?);
    let (roles, here) = (Roles::of(&alerts), Here::of(&incident, &alerts));
    Ok(Some(Seen { incident, looks, roles, here }))
}

/// Earlier incidents like this one, most alike first. Those that people called no incident are left
/// out.
pub(super) fn alike(
    rows: &Rows<'_>,
    kept: &KeptLooks,
    (incident, alerts): (&Incident, &[Alert]),
    (graph, changes): (&Graph, &[Change]),
    now: Time,
) -> Result<Alike, Fault> {
    let mut earlier = kept.read(rows)?;
    earlier
        .retain(|old| old.incident.id != incident.id && old.incident.onset_at < incident.onset_at);
    if earlier.is_empty() {
        return Ok(Alike::default());
    }
    let (own, here) = (Looks::of(incident, alerts, graph, changes), Here::of(incident, alerts));
    // The graph of then is not kept; that of now has the same shape where nothing was moved.
    let looks: Vec<Looks> = earlier.iter().map(|old| old.looks.within(&old.roles, graph)).collect();
    let common = Common::of(looks.iter());
    let compared = |(old, looks): (Arc<Seen>, Looks)| {
        let parts = own.alike(&looks, &common);
        let (likeness, shared) = (whole(&parts), own.shared(&looks));
        let here = here.likeness(&old.here);
        let counts = here >= LEAST_HERE || (likeness >= LEAST && shared > 0);
        let incident = || old.incident.clone();
        counts.then(|| Old { incident: incident(), here, parts, likeness, shared })
    };
    let all: Vec<Old> = earlier.into_iter().zip(looks).filter_map(compared).collect();
    tell(rows, incident, all, now)
}

/// Puts what was found into words and records.
fn tell(
    rows: &Rows<'_>,
    incident: &Incident,
    mut all: Vec<Old>,
    now: Time,
) -> Result<Alike, Fault> {
    let mut found = Alike::default();
    all.sort_by(|a, b| {
        b.here.total_cmp(&a.here).then_with(|| b.incident.onset_at.cmp(&a.incident.onset_at))
    });
    for old in all.iter().filter(|o| o.here >= LEAST_HERE).take(MOST_HERE) {
        let (runs, cause) = outcome(rows, &old.incident)?;
        let Some(cause) = cause else { continue };
        found.past.push(Past {
            incident: old.incident.id,
            number: old.incident.number,
            similarity: old.here,
            entity: cause.entity,
            pattern: cause.pattern,
            fixed_by: fixed_by(&runs),
            evidence: proof_id(incident, &old.incident),
        });
    }
    let known: BTreeMap<_, f64> = found.past.iter().map(|p| (p.incident, p.similarity)).collect();
    all.sort_by(|a, b| {
        b.likeness
            .total_cmp(&a.likeness)
            .then_with(|| b.incident.onset_at.cmp(&a.incident.onset_at))
    });
    let mut shown = 0;
    for old in &all {
        let is_shown = old.likeness >= LEAST && old.shared > 0 && shown < MOST;
        if !is_shown && !known.contains_key(&old.incident.id) {
            continue;
        }
        let (runs, cause) = outcome(rows, &old.incident)?;
        let Some(cause) = cause else { continue };
        found.evidence.push(proof(incident, old, &cause, fixed_by(&runs), now));
        if is_shown {
            shown += 1;
            found.similar.push(similar(old, &cause, &runs));
        }
    }
    Ok(found)
}

/// The runs of an earlier incident, and its likely cause.
fn outcome(rows: &Rows<'_>, old: &Incident) -> Result<(Vec<Run>, Option<Hypothesis>), Fault> {
    let runs = rows.list::<Run>(&Filter::parent(old.id))?;
    let diagnosis = rows.get::<Diagnosis>(old.id)?;
    Ok((runs, diagnosis.and_then(|d| d.hypotheses.into_iter().next())))
}

/// What helped, and how, by the newest run that did.
fn fixed_by(runs: &[Run]) -> Option<String> {
    use crate::model::action::Effect;
    let helped = |r: &&Run| r.outcome.as_ref().is_some_and(|o| o.effect == Effect::Helped);
    let run = runs.iter().filter(helped).max_by_key(|r| (r.started_at, r.id))?;
    let said = run.outcome.as_ref().map_or("", |o| o.text.as_str());
    Some(format!("{} on {}: {said}", run.action, run.target.name()))
}

fn similar(old: &Old, cause: &Hypothesis, runs: &[Run]) -> Similar {
    let part = |(likeness, (name, weight)): (&Option<f64>, (&str, f64))| {
        let likeness = (*likeness)?;
        Some(LikenessPart { name: name.to_owned(), weight, likeness })
    };
    Similar {
        incident: old.incident.id,
        title: old.incident.title.clone(),
        similarity: old.likeness,
        fixed_by: fixed_by(runs),
        resolved_at: old.incident.resolved_at,
        parts: old.parts.iter().zip(PARTS).filter_map(part).collect(),
        at: Some(cause.entity.clone()),
        tried: tried::of(runs),
    }
}

fn proof_id(incident: &Incident, old: &Incident) -> crate::model::EvidenceId {
    evidence_id(incident, &format!("incident {}", old.id))
}

fn proof(
    incident: &Incident,
    old: &Old,
    cause: &Hypothesis,
    fixed_by: Option<String>,
    now: Time,
) -> Evidence {
    let fixed = fixed_by.as_ref().map_or_else(String::new, |f| format!(" What helped: {f}."));
    let similarity = old.likeness;
    let old = &old.incident;
    Evidence {
        id: proof_id(incident, old),
        incident: Some(incident.id),
        at: now,
        summary: format!(
            "Incident #{} of {} is {:.0} % alike: {}. Its likely cause: {}{fixed}",
            old.number,
            old.onset_at.minute_text(),
            similarity * 100.0,
            old.title.trim_end_matches('.'),
            cause.statement
        ),
        source: "store".into(),
        query: format!("incidents with a structure like that of {}", incident.id),
        since: old.onset_at,
        until: old.resolved_at.unwrap_or(now),
        finding: Finding::Incident {
            incident: old.id,
            title: old.title.clone(),
            similarity,
            fixed_by,
        },
    }
}
