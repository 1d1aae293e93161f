//! Earlier incidents that look alike: by the conditions that fired, where, and the words they were
//! told in.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::evidence_id;
use super::input::Past;
use crate::model::action::Effect;
use crate::model::diagnosis::{Finding, Similar};
use crate::model::{Alert, Diagnosis, Evidence, Fault, Incident, IncidentId, Run, Time};
use crate::store::{Filter, Rows};

/// Newest earlier incidents that are compared.
const COMPARED: usize = 100;
/// Alerts read of each of them: a storm shows what it is by its first ones.
const ALERTS: usize = 200;
/// Least likeness that is worth telling.
const LEAST: f64 = 0.35;
/// How many are told.
const MOST: usize = 3;

/// What an incident looks like, for comparison.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Looks {
    /// Entity and name of each condition, with its metric or log template.
    conditions: BTreeSet<String>,
    entities: BTreeSet<String>,
    words: BTreeSet<String>,
}

impl Looks {
    pub(super) fn of(incident: &Incident, alerts: &[Alert]) -> Self {
        let mut looks = Self {
            entities: incident.entities.iter().map(ToString::to_string).collect(),
            ..Self::default()
        };
        looks.words.extend(words(&incident.title));
        for alert in alerts {
            looks.entities.insert(alert.entity.to_string());
            let what = alert.labels.get("metric").or_else(|| alert.labels.get("template"));
            looks.conditions.insert(format!(
                "{} {} {}",
                alert.entity,
                alert.name(),
                what.unwrap_or_default()
            ));
            looks.words.extend(alert.labels.get("template").into_iter().flat_map(words));
        }
        looks
    }

    /// Likeness, 0 to 1: half by conditions, the rest by entities and words. Each is the shared
    /// part of the union (Jaccard 1901).
    pub(super) fn likeness(&self, other: &Self) -> f64 {
        0.5 * shared(&self.conditions, &other.conditions)
            + 0.3 * shared(&self.entities, &other.entities)
            + 0.2 * shared(&self.words, &other.words)
    }
}

fn shared(a: &BTreeSet<String>, b: &BTreeSet<String>) -> f64 {
    let union = a.union(b).count();
    if union == 0 { 0.0 } else { a.intersection(b).count() as f64 / union as f64 }
}

/// Words without figures, in lower case.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '-')
        .filter(|w| w.len() > 1 && !w.bytes().any(|b| b.is_ascii_digit()))
        .map(str::to_lowercase)
        .collect::<Vec<_>>()
        .into_iter()
}

/// Earlier incidents like this one, most alike first, for the ranking, for showing, and as
/// evidence. Those that people called no incident are left out.
pub(super) fn alike(
    rows: &Rows<'_>,
    incident: &Incident,
    alerts: &[Alert],
    now: Time,
) -> Result<Vec<(Past, Similar, Evidence)>, Fault> {
    let over = Filter::states(["resolved", "reviewed"]).newest(COMPARED);
    let mut earlier = rows.list::<Incident>(&over)?;
    earlier.retain(|i| {
        i.id != incident.id
            && i.onset_at < incident.onset_at
            && i.category.as_deref() != Some("not_an_incident")
    });
    if earlier.is_empty() {
        return Ok(Vec::new());
    }
    let here = Looks::of(incident, alerts);
    let mut like: Vec<(f64, Incident)> = Vec::new();
    for old in earlier {
        // Without an entity in common the likeness stays below what is told.
        if !old.entities.iter().any(|e| here.entities.contains(&e.to_string())) {
            continue;
        }
        let mut filter = Filter::parent(old.id);
        filter.limit = ALERTS;
        let likeness = here.likeness(&Looks::of(&old, &rows.list::<Alert>(&filter)?));
        if likeness >= LEAST {
            like.push((likeness, old));
        }
    }
    like.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| y.onset_at.cmp(&x.onset_at)));
    like.truncate(MOST);
    if like.is_empty() {
        return Ok(Vec::new());
    }
    let mut helped: BTreeMap<IncidentId, Run> = BTreeMap::new();
    for run in rows.list::<Run>(&Filter::all().newest(500))? {
        if run.outcome.as_ref().is_some_and(|o| o.effect == Effect::Helped) {
            helped.insert(run.incident, run);
        }
    }
    let mut found = Vec::new();
    for (similarity, old) in like {
        let Some(diagnosis) = rows.get::<Diagnosis>(old.id)? else { continue };
        let Some(cause) = diagnosis.hypotheses.first() else { continue };
        let fixed_by = helped.get(&old.id).map(|run| {
            let said = run.outcome.as_ref().map_or("", |o| o.text.as_str());
            format!("{} on {}: {said}", run.action, run.target.name())
        });
        found.push(tell(incident, &old, similarity, cause, fixed_by, now));
    }
    Ok(found)
}

fn tell(
    incident: &Incident,
    old: &Incident,
    similarity: f64,
    cause: &crate::model::Hypothesis,
    fixed_by: Option<String>,
    now: Time,
) -> (Past, Similar, Evidence) {
    let id = evidence_id(incident, &format!("incident {}", old.id));
    let fixed = fixed_by.as_ref().map_or_else(String::new, |f| format!(" What helped: {f}."));
    let evidence = Evidence {
        id,
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
        query: format!("incidents with conditions like those of {}", incident.id),
        since: old.onset_at,
        until: old.resolved_at.unwrap_or(now),
        finding: Finding::Incident {
            incident: old.id,
            title: old.title.clone(),
            similarity,
            fixed_by: fixed_by.clone(),
        },
    };
    let similar = Similar {
        incident: old.id,
        title: old.title.clone(),
        similarity,
        fixed_by: fixed_by.clone(),
        resolved_at: old.resolved_at,
    };
    let past = Past {
        incident: old.id,
        number: old.number,
        similarity,
        entity: cause.entity.clone(),
        pattern: cause.pattern.clone(),
        fixed_by,
        evidence: id,
    };
    (past, similar, evidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(conditions: &[&str], entities: &[&str], said: &str) -> Looks {
        let set = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect();
        Looks { conditions: set(conditions), entities: set(entities), words: words(said).collect() }
    }

    #[test]
    fn likeness_is_one_for_the_same_and_nil_for_nothing_in_common() {
        let a = looks(&["s=a slow", "s=b errors"], &["s=a", "s=b"], "a p95 4.8 s, was 244 ms");
        let b = looks(&["s=c slow"], &["s=c"], "memory 3 GiB");
        assert!((a.likeness(&a) - 1.0).abs() < 1e-12);
        assert!(a.likeness(&b) < 1e-12);
        let later = looks(&["s=a slow", "s=b errors"], &["s=a", "s=b"], "a p95 9.1 s, was 250 ms");
        assert_eq!(a.likeness(&later), 1.0, "figures do not make it another trouble");
        assert_eq!(a.likeness(&b), b.likeness(&a));
    }
}
