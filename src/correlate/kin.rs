//! What alerts say about faults: each alert's beginning is put to the search for faults, and what
//! it finds tells which alerts are of one kin.

use std::collections::BTreeMap;

use super::config::Config;
use super::fit::{Fit, Kin, Knobs, Onset};
use crate::model::time::HOUR_MS;
use crate::model::{Alert, AlertId, Change, EntityRef, Graph, Labels, Time};

/// Labels whose values begin with the name of what an alert is about, when nothing names it.
const NAMED_BY: [&str; 8] =
    ["service", "job", "app", "deployment", "container", "pod", "pod_name", "instance"];
/// The signs of all alerts, and the faults that explain them.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    fit: Fit,
    signs: BTreeMap<AlertId, u32>,
    /// Entities of the graph by name, for alerts that name only a pod or an address.
    known: BTreeMap<String, EntityRef>,
    scope_labels: Vec<String>,
    same_without: Vec<String>,
    /// Something came or was learned since the last look.
    unseen: bool,
    forgot: Time,
}

impl Evidence {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            fit: Fit::new(Knobs::default()),
            signs: BTreeMap::new(),
            known: BTreeMap::new(),
            scope_labels: config.scope_labels.clone(),
            same_without: config.same_without.clone(),
            unseen: false,
            forgot: Time::MIN,
        }
    }

    /// Takes over the graph and the changes of late.
    pub(super) fn learn(&mut self, graph: &Graph, changes: &[Change]) {
        let mut news = false;
        for entity in graph.entities() {
            self.known.entry(entity.name().to_owned()).or_insert_with(|| entity.clone());
            for (below, _) in graph.dependencies(entity) {
                news |= self.fit.depends(&entity.to_string(), &below.to_string());
            }
        }
        self.fit.clear_changes();
        for change in changes {
            let scope = self.scope_of(&change.attributes);
            let scope = Some(scope.as_str()).filter(|s| !s.is_empty());
            self.fit.changed(&change.entity.to_string(), scope, change.at.ms());
        }
        if news {
            self.fit.doubt();
            self.unseen = true;
        }
    }

    /// Takes in an alert that was not seen before.
    pub(super) fn begin(&mut self, alert: &Alert) {
        if self.signs.contains_key(&alert.id) {
            return;
        }
        let (scope, place) = (self.scope_of(&alert.labels), self.place_of(alert));
        let sign = self.fit.begin(&Onset {
            condition: self.condition_of(alert),
            scope: &scope,
            place: &place.to_string(),
            name: alert.name(),
            at_ms: alert.starts_at.ms(),
        });
        self.signs.insert(alert.id, sign);
        self.unseen = true;
    }

    /// Looks for faults anew if something came.
    pub(super) fn look(&mut self, now: Time) {
        if !std::mem::take(&mut self.unseen) {
            return;
        }
        self.fit.revise(now.ms());
        if now.ms_since(self.forgot) > HOUR_MS {
            self.forgot = now;
            self.fit.forget(now.ms());
            let fit = &self.fit;
            self.signs.retain(|_, sign| fit.is_kept(*sign));
        }
    }

    /// Of which kin an alert is; `None` for one that never began, or long ago.
    pub(super) fn kin(&self, alert: AlertId) -> Option<Kin> {
        self.signs.get(&alert).map(|sign| self.fit.group(*sign))
    }

    fn scope_of(&self, labels: &Labels) -> String {
        let values = self.scope_labels.iter().filter_map(|name| labels.get(name));
        values.collect::<Vec<_>>().join("/")
    }

    /// Identity of the condition: labels without those that tell witnesses and grades apart.
    fn condition_of(&self, alert: &Alert) -> u64 {
        let labels: Labels = alert
            .labels
            .iter()
            .filter(|(name, _)| !self.same_without.iter().any(|w| w == name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        labels.fingerprint().0
    }

    /// What an alert is about: its entity, or, where the graph does not know that, the known entity
    /// that its labels begin with (`cart-6f9c-x2x7p` is a pod of `cart`).
    fn place_of(&self, alert: &Alert) -> EntityRef {
        if self.known.is_empty() || self.known.contains_key(alert.entity.name()) {
            return self.known.get(alert.entity.name()).unwrap_or(&alert.entity).clone();
        }
        for name in NAMED_BY {
            let Some(mut text) = alert.labels.get(name) else { continue };
            loop {
                if let Some(entity) = self.known.get(text) {
                    return entity.clone();
                }
                match text.rfind(['-', '.', ':', '/']) {
                    Some(cut) => text = &text[..cut],
                    None => break,
                }
            }
        }
        alert.entity.clone()
    }
}
