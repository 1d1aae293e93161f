//! How alike two incidents are at the same place: by the conditions that fired, where, and the
//! words they were told in. Pure.

use std::collections::BTreeSet;

use crate::model::{Alert, Incident};

/// What an incident looks like at its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Here {
    /// Entity and name of each condition, with its metric or log template.
    conditions: BTreeSet<String>,
    entities: BTreeSet<String>,
    words: BTreeSet<String>,
}

impl Here {
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

    /// Likeness, 0 to 1: half by conditions, the rest by entities and words; 0 without an entity in
    /// common. Each is the shared part of the union (Jaccard 1901).
    pub(super) fn likeness(&self, other: &Self) -> f64 {
        if self.entities.is_disjoint(&other.entities) {
            return 0.0;
        }
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
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '-')
        .filter(|w| w.len() > 1 && !w.bytes().any(|b| b.is_ascii_digit()))
        .map(str::to_lowercase)
        .collect::<Vec<_>>()
        .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(conditions: &[&str], entities: &[&str], said: &str) -> Here {
        let set = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect();
        Here { conditions: set(conditions), entities: set(entities), words: words(said).collect() }
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
