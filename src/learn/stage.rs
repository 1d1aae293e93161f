//! The running of learn: measured runs and false alarms in, lessons out.

use std::time::Duration;

use serde_json::json;

use super::lesson::{Lesson, is_false_alarm, of_incident, of_run};
use crate::bus::{Bus, Event};
use crate::model::{
    Actor, Diagnosis, Fault, Incident, IncidentId, IncidentState, Proposal, Run, RunId,
    SharedClock, Time,
};
use crate::stage::Stage;
use crate::store::{Filter, Rows, Store, Tx};

/// Runs and incidents looked at in one sweep after the first, newest first.
const RECENT: usize = 100;
/// Incidents whose suggestions are made anew after a lesson.
const OPEN: [&str; 4] = ["open", "acknowledged", "mitigating", "monitoring"];

/// The learn stage.
pub struct Learn {
    store: Store,
    bus: Bus,
    clock: SharedClock,
    /// Whether everything that an earlier process left was looked at.
    swept: bool,
}

impl Learn {
    /// The stage over a store.
    #[must_use]
    pub fn new(store: Store, bus: Bus, clock: SharedClock) -> Self {
        Self { store, bus, clock, swept: false }
    }

    async fn run(&self, id: RunId) -> Result<(), Fault> {
        let now = self.clock.now();
        let learned = self.store.write(move |tx| from_run(tx, id, now)).await?;
        self.tell(learned).await
    }

    async fn incident(&self, id: IncidentId) -> Result<(), Fault> {
        // Most incidents teach nothing here; only the others cost a write.
        let matters = move |r: &Rows<'_>| {
            let called = r.get::<Incident>(id)?.is_some_and(|i| i.category.is_some());
            Ok(called || r.get::<Lesson>(id)?.is_some())
        };
        if !self.store.read(matters).await? {
            return Ok(());
        }
        let now = self.clock.now();
        let learned = self.store.write(move |tx| from_incident(tx, id, now)).await?;
        self.tell(learned).await
    }

    /// Lets the suggestions of open incidents be ordered anew.
    async fn tell(&self, learned: bool) -> Result<(), Fault> {
        if !learned {
            return Ok(());
        }
        metrics::counter!("nightjar_learn_lessons_total").increment(1);
        let open = self.store.read(|r| r.list::<Incident>(&Filter::states(OPEN))).await?;
        for incident in open {
            self.bus.publish(Event::Diagnosis(incident.id));
        }
        Ok(())
    }
}

fn from_run(tx: &Tx<'_>, id: RunId, now: Time) -> Result<bool, Fault> {
    let Some(run) = tx.get::<Run>(id)? else { return Ok(false) };
    let Some(proposal) = tx.get::<Proposal>(run.proposal)? else { return Ok(false) };
    let Some(lesson) = of_run(&run, &proposal) else { return Ok(false) };
    if !tx.put_new(&lesson)? {
        return Ok(false);
    }
    record(tx, "lesson.learn", &lesson, now)?;
    Ok(true)
}

fn from_incident(tx: &Tx<'_>, id: IncidentId, now: Time) -> Result<bool, Fault> {
    let Some(incident) = tx.get::<Incident>(id)? else { return Ok(false) };
    let proposals = tx.list::<Proposal>(&Filter::parent(id))?;
    let diagnosis = tx.get::<Diagnosis>(id)?;
    let first = diagnosis.as_ref().and_then(|d| d.hypotheses.first());
    let cause = first.map(|h| (h.pattern.as_str(), &h.entity));
    match of_incident(&incident, cause, &proposals) {
        Some(lesson) if tx.put_new(&lesson)? => {
            record(tx, "lesson.learn", &lesson, now)?;
            Ok(true)
        }
        Some(_) => Ok(false),
        // Reopened, or given another category: it was an incident after all.
        None => match tx.get::<Lesson>(id)? {
            Some(lesson) => {
                tx.remove::<Lesson>(id)?;
                record(tx, "lesson.forget", &lesson, now)?;
                Ok(true)
            }
            None => Ok(false),
        },
    }
}

/// Measured runs and false alarms without their lesson, and lessons of incidents that were called
/// a false alarm and are none any more.
fn unlearned(rows: &Rows<'_>, most: usize) -> Result<(Vec<RunId>, Vec<IncidentId>), Fault> {
    let mut runs = Vec::new();
    for run in rows.list::<Run>(&Filter::states(["done"]).newest(most))? {
        if run.outcome.is_some() && rows.get::<Lesson>(run.id)?.is_none() {
            runs.push(run.id);
        }
    }
    let mut incidents = Vec::new();
    let over = [IncidentState::Resolved.as_str(), IncidentState::Reviewed.as_str()];
    for incident in rows.list::<Incident>(&Filter::states(over).newest(most))? {
        if is_false_alarm(&incident) && rows.get::<Lesson>(incident.id)?.is_none() {
            incidents.push(incident.id);
        }
    }
    for lesson in rows.list::<Lesson>(&Filter::states(["false_alarm"]).newest(most))? {
        let incident = rows.get::<Incident>(lesson.incident)?;
        if incident.is_some_and(|i| !is_false_alarm(&i)) {
            incidents.push(lesson.incident);
        }
    }
    Ok((runs, incidents))
}

fn record(tx: &Tx<'_>, what: &str, lesson: &Lesson, now: Time) -> Result<(), Fault> {
    let detail = json!({
        "pattern": lesson.pattern, "entity": lesson.entity, "actions": lesson.actions,
        "taught": lesson.taught, "incident": lesson.incident.to_string(),
    });
    tx.audit(now, &Actor::nightjar(), what, &lesson.key, &detail)
}

impl Stage for Learn {
    const NAME: &'static str = "learn";
    const SWEEP: Duration = Duration::from_secs(10);

    fn wants(&self, event: &Event) -> bool {
        matches!(event, Event::Run(_) | Event::Incident(_))
    }

    async fn sweep(&mut self) -> Result<(), Fault> {
        let most = if self.swept { RECENT } else { 0 };
        let (runs, incidents) = self.store.read(move |r| unlearned(r, most)).await?;
        for id in runs {
            self.run(id).await?;
        }
        for id in incidents {
            self.incident(id).await?;
        }
        self.swept = true;
        Ok(())
    }

    async fn handle(&mut self, event: Event) -> Result<(), Fault> {
        match event {
            Event::Run(id) => self.run(id).await,
            Event::Incident(id) => self.incident(id).await,
            _ => Ok(()),
        }
    }
}
