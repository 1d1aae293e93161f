//! Who may follow if an incident goes on, as its diagnosis has it.

use super::Scene;
use crate::model::{Diagnosis, EntityRef, Fault, Incident};

/// Services that are told.
const MOST: usize = 3;

impl Scene<'_> {
    /// The likeliest to follow; with `about` only those that are or would follow it.
    pub(super) fn ahead(&mut self, i: &Incident, d: &Diagnosis, about: Option<&EntityRef>) {
        if !i.state.is_active() {
            return;
        }
        let known = d.reach.followers.iter().filter(|f| f.chance.is_some());
        let asked = known.filter(|f| about.is_none_or(|e| f.entity == *e || f.through == *e));
        for follower in asked.take(MOST) {
            let fact = format!("If #{} goes on: {}", i.number, follower.text);
            let mark = self.draft.record(format!("diagnosis {}", i.id), fact.clone());
            self.draft.line(format!("- {fact} {mark}"));
        }
    }

    /// The same for every active incident in which an entity may follow or be followed.
    pub(super) fn ahead_of(&mut self, entity: &EntityRef) -> Result<(), Fault> {
        let active: Vec<Incident> =
            self.incidents.iter().filter(|i| i.state.is_active()).take(MOST).cloned().collect();
        for i in active {
            if let Some(d) = self.rows.get::<Diagnosis>(i.id)? {
                self.ahead(&i, &d, Some(entity));
            }
        }
        Ok(())
    }
}
