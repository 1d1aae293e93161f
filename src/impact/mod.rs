//! Impact: what business and cost series did after the technical ones of an incident.
//!
//! Takes active incidents and the series that are declared in `detect.business`; gives one timeline
//! entry for each declared series that followed a technical one, with lag, correlation, its interval
//! and how often that comes about by chance. Hears `Incident`, and sweeps; publishes `Incident` for
//! what it told. Guarantees: nothing is told that is not significant, and each pair once.

mod pair;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use pair::{GRID_MS, SPAN_MS, Side, judge};

use crate::bus::{Bus, Event};
use crate::detect::SharedShard;
use crate::detect::business::{Business, declared};
use crate::model::time::MINUTE_MS;
use crate::model::{
    Alert, EntryKind, Fault, Incident, IncidentId, IncidentState, Point, Series, SharedClock, Time,
    TimelineEntry,
};
use crate::stage::Stage;
use crate::store::{Filter, Rows, SeriesFilter, Store};

/// An incident is looked at this long (ms of event time) after it opened, and so often from then on:
/// what follows comes later, and a departure must have lasted to be compared.
const FIRST_MS: i64 = 10 * MINUTE_MS;
const AGAIN_MS: i64 = 10 * MINUTE_MS;
/// Technical series of an incident that are compared, the strangest first.
const MOST_TECHNICAL: usize = 3;
/// Declared series that are compared.
const MOST_DECLARED: usize = 12;

/// The impact stage.
pub struct Impact {
    store: Store,
    bus: Bus,
    clock: SharedClock,
    shard: SharedShard,
    business: Vec<Business>,
    /// When each active incident was last looked at.
    looked: BTreeMap<IncidentId, Time>,
}

/// A series with its points and what was expected.
struct Told {
    series: Series,
    name: String,
    points: Vec<Point>,
}

/// What is compared for one incident.
struct Work {
    incident: Incident,
    technical: Vec<(Told, bool)>,
    declared: Vec<Told>,
    /// Subjects of what was told already.
    known: Vec<String>,
}

impl Impact {
    /// The stage over a store; `shard` says what was expected.
    #[must_use]
    pub fn new(
        business: Vec<Business>,
        store: Store,
        bus: Bus,
        clock: SharedClock,
        shard: SharedShard,
    ) -> Self {
        Self { store, bus, clock, shard, business, looked: BTreeMap::new() }
    }

    async fn look(&mut self) -> Result<(), Fault> {
        if self.business.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let states = [IncidentState::Open, IncidentState::Acknowledged, IncidentState::Mitigating];
        let states = states.map(IncidentState::as_str);
        let active = self.store.read(move |r| r.list::<Incident>(&Filter::states(states))).await?;
        self.looked.retain(|id, _| active.iter().any(|i| i.id == *id));
        for incident in active {
            let due = match self.looked.get(&incident.id) {
                Some(last) => now.ms_since(*last) >= AGAIN_MS,
                None => now.ms_since(incident.onset_at) >= FIRST_MS,
            };
            if due {
                self.looked.insert(incident.id, now);
                self.of_incident(incident, now).await?;
            }
        }
        Ok(())
    }

    async fn of_incident(&self, incident: Incident, now: Time) -> Result<(), Fault> {
        let business = self.business.clone();
        let work = self.store.read(move |r| gather(r, incident, &business, now)).await?;
        let mut entries = Vec::new();
        for told in &work.declared {
            for (technical, rose) in &work.technical {
                let subject = format!("impact {} {}", told.series.id, technical.series.id);
                if work.known.contains(&subject) {
                    break;
                }
                let [first, then] = [technical, told]
                    .map(|t| Side { name: &t.name, residuals: self.residuals(t, now) });
                let onset = work.incident.onset_at;
                if let Some(text) = judge(&first, &then, *rose, (onset, now)) {
                    let (id, kind) = (work.incident.id, EntryKind::Impact);
                    let entry = TimelineEntry::by_bot(id, now, kind, text, Some(subject));
                    entries.push(entry);
                    break;
                }
                // Hundreds of thousands of products each: others are let in between.
                tokio::task::yield_now().await;
            }
        }
        if entries.is_empty() {
            return Ok(());
        }
        metrics::counter!("nightjar_impact_told_total").increment(entries.len() as u64);
        self.store
            .write(move |tx| entries.iter().try_for_each(|e| tx.put_new(e).map(drop)))
            .await?;
        self.bus.publish(Event::Incident(work.incident.id));
        Ok(())
    }

    /// What is left of a series without its rhythm, on the common grid.
    fn residuals(&self, told: &Told, now: Time) -> Vec<f64> {
        pair::on_grid(&told.points, now, |at| {
            self.shard.expected(told.series.id, at).map(|band| band.mid)
        })
    }
}

/// Reads what is compared: the incident's strangest measured series, and the declared ones.
fn gather(
    rows: &Rows<'_>,
    incident: Incident,
    business: &[Business],
    now: Time,
) -> Result<Work, Fault> {
    let since = now.plus_ms(-SPAN_MS - GRID_MS);
    let read = |series: Series, name: String| -> Result<Told, Fault> {
        let points = rows.points(series.id, since, now.plus_ms(1))?;
        Ok(Told { series, name, points })
    };
    let all = rows.list_series(&SeriesFilter::default())?;
    let mut alerts = rows.list::<Alert>(&Filter::parent(incident.id))?;
    alerts.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
    let mut technical: Vec<(Told, bool)> = Vec::new();
    for alert in alerts {
        let series = all.iter().find(|s| alert.series == Some(s.id));
        let fresh = |s: &&Series| technical.iter().all(|(t, _)| t.series.id != s.id);
        let Some(series) = series.filter(|s| declared(business, s).is_none()).filter(fresh) else {
            continue;
        };
        let Some((value, band)) = alert.value.zip(alert.expected) else { continue };
        let name = format!("{} {}", series.entity.name(), series.metric);
        technical.push((read(series.clone(), name)?, value >= band.mid));
        if technical.len() == MOST_TECHNICAL {
            break;
        }
    }
    let mut told = Vec::new();
    for series in all {
        let Some(name) = declared(business, &series).map(|b| b.name.clone()) else { continue };
        if told.len() == MOST_DECLARED || technical.is_empty() {
            break;
        }
        let name = format!("{name} of {}", series.entity.name());
        told.push(read(series, name)?);
    }
    let story = rows.list::<TimelineEntry>(&Filter::parent(incident.id))?;
    let impacts = story.into_iter().filter(|e| e.kind == EntryKind::Impact);
    let known = impacts.filter_map(|e| e.subject).collect();
    Ok(Work { incident, technical, declared: told, known })
}

impl Stage for Impact {
    const NAME: &'static str = "impact";
    const SWEEP: Duration = Duration::from_secs(5);

    fn wants(&self, event: &Event) -> bool {
        matches!(event, Event::Incident(_))
    }

    async fn sweep(&mut self) -> Result<(), Fault> {
        self.look().await
    }

    async fn handle(&mut self, _: Event) -> Result<(), Fault> {
        self.look().await
    }
}
