//! Which incidents are active, as far as anybody looked: the newest at each sweep, and of the others one
//! page after another, so that a sweep reads as much however many there are.

use std::collections::BTreeMap;

use crate::model::{Diagnosis, Fault, Incident, IncidentId, IncidentState, Severity, Time};
use crate::store::{Filter, Record as _, Rows};

/// Incidents in a page.
const PAGE: usize = 50;

/// What is known of an active incident without reading it again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brief {
    pub(super) n_alerts: usize,
    pub(super) state: IncidentState,
    pub(super) severity: Severity,
    pub(super) opened_at: Time,
    /// In which round over all it was met last.
    round: u64,
}

impl Brief {
    /// Of an incident, if it is active.
    pub(super) fn of(incident: &Incident) -> Option<Self> {
        incident.state.is_active().then_some(Self {
            n_alerts: incident.alerts.len(),
            state: incident.state,
            severity: incident.severity,
            opened_at: incident.opened_at,
            round: 0,
        })
    }
}

/// Where the next page begins: past the incident of that time and id.
pub(super) type Cursor = Option<(Time, String)>;

/// What one sweep reads.
#[derive(Debug)]
pub(super) struct Page {
    /// The newest, and those whose turn it is.
    pub(super) incidents: Vec<Incident>,
    next: Cursor,
}

impl Page {
    /// Reads the newest incidents, and others from `cursor` on.
    ///
    /// # Errors
    /// The store failed.
    pub(super) fn read(rows: &Rows<'_>, cursor: Cursor) -> Result<Self, Fault> {
        let states = ["open", "acknowledged", "mitigating", "monitoring"];
        let filter = Filter::states(states).newest(PAGE);
        let mut incidents = rows.list::<Incident>(&filter)?;
        let end = |page: &[Incident]| {
            let last = page.last().filter(|_| page.len() == PAGE);
            last.map(|i| (i.index().at, i.key()))
        };
        let Some(newest) = end(&incidents) else { return Ok(Self { incidents, next: None }) };
        let past = Some(cursor.unwrap_or(newest));
        let others = rows.list::<Incident>(&Filter { past, ..filter })?;
        let next = end(&others);
        incidents.extend(others);
        Ok(Self { incidents, next })
    }

    /// What was thought of those of its incidents that are not `known`.
    ///
    /// # Errors
    /// The store failed.
    pub(super) fn thoughts(
        &self,
        rows: &Rows<'_>,
        known: impl Fn(&IncidentId) -> bool,
    ) -> Result<Vec<Diagnosis>, Fault> {
        let unseen = self.incidents.iter().filter(|i| !known(&i.id));
        unseen.filter_map(|i| rows.get::<Diagnosis>(i.id).transpose()).collect()
    }
}

/// Active incidents.
#[derive(Clone, Debug, Default)]
pub(super) struct Active {
    briefs: BTreeMap<IncidentId, Brief>,
    cursor: Cursor,
    round: u64,
}

impl Active {
    /// Where the next page begins.
    pub(super) fn cursor(&self) -> Cursor {
        self.cursor.clone()
    }

    /// Takes over a page. After the last one those are forgotten that were in none: they are over.
    pub(super) fn take(&mut self, page: &Page) {
        page.incidents.iter().for_each(|i| self.meet(i.id, Brief::of(i)));
        self.cursor.clone_from(&page.next);
        if page.next.is_none() {
            let round = self.round;
            self.briefs.retain(|_, brief| brief.round == round);
            self.round += 1;
        }
    }

    /// Takes over an incident as it was read; `None` where it is over or gone.
    pub(super) fn meet(&mut self, id: IncidentId, brief: Option<Brief>) {
        match brief {
            Some(brief) => self.briefs.insert(id, Brief { round: self.round, ..brief }),
            None => self.briefs.remove(&id),
        };
    }

    pub(super) fn contains(&self, id: IncidentId) -> bool {
        self.briefs.contains_key(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (IncidentId, &Brief)> {
        self.briefs.iter().map(|(id, brief)| (*id, brief))
    }
}
