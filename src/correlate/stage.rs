//! The running of correlation: alerts from the store in, incidents into the store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::closed;
use super::join::anew;
use super::rest;
use super::{Config, Correlator, Decisions, Learned, Lessons, Verdict};
use crate::bus::{Bus, Event};
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::topology::Edge;
use crate::model::{
    Actor, Alert, AlertId, Change, Diagnosis, EntryKind, Fault, Graph, Harmless, HarmlessState,
    Incident, IncidentId, IncidentState, SharedClock, Silence, Time, TimelineEntry,
};
use crate::stage::Stage;
use crate::store::{Filter, Rows, Store, Tx};

/// Alerts of late that are read at a start to know what flaps.
const MOST_RECALLED: usize = 20_000;

/// What the search for faults has learned stands here in the store.
const LEARNED: &str = "correlate.learned";
/// It is written so often (ms).
const KEEP_MS: i64 = 5 * MINUTE_MS;
/// After an alert was heard of, others are listened for so long (wall time) before all are decided on:
/// what one trouble makes ring comes together.
const QUIET: Duration = Duration::from_millis(250);
/// However many go on coming, the first waits so long at most.
const LONGEST: Duration = Duration::from_millis(600);
/// After a decision there is a rest so many times as long: a storm leaves the others their share.
const REST: u32 = 3;

/// The correlate stage.
pub struct Correlate {
    store: Store,
    bus: Bus,
    clock: SharedClock,
    pub(super) correlator: Correlator,
    loaded: bool,
    learned_at: Time,
    /// What was written last of what the search has learned, and when.
    kept: (Learned, Time),
    /// Alerts that were heard of since the last decision, and when: a storm is read at once.
    heard: Vec<(AlertId, Time)>,
    /// When they are decided on (wall time), by the newest and by the first of them.
    gathered: Option<(Instant, Instant)>,
    /// Not before.
    rested: Instant,
    /// All that fires is not read again before.
    pub(super) read_again: Instant,
    /// When something urgent that waits is looked at again.
    again: Option<Instant>,
}

impl Correlate {
    /// The stage over a store.
    #[must_use]
    pub fn new(config: Config, store: Store, bus: Bus, clock: SharedClock) -> Self {
        let correlator = Correlator::new(config);
        Self {
            store,
            bus,
            clock,
            correlator,
            loaded: false,
            learned_at: Time::MIN,
            kept: (Learned::default(), Time::MIN),
            heard: Vec::new(),
            gathered: None,
            rested: Instant::now(),
            read_again: Instant::now(),
            again: None,
        }
    }

    /// Graph, changes and silences; after a start also the incidents that may still take alerts.
    async fn learn(&mut self, now: Time) -> Result<(), Fault> {
        let all = !self.loaded;
        let memory_ms = super::quiet::memory_ms(self.correlator.config());
        let (graph, changes, (silences, harmless, lessons), (incidents, learned), recent) = self
            .store
            .read(move |r| {
                let graph = Graph::new(&r.list::<Edge>(&Filter::all())?);
                let recent = Filter::all().since(now.plus_ms(-HOUR_MS));
                let changes = r.list::<Change>(&recent)?;
                let silences = r.list::<Silence>(&Filter::all())?;
                let applied = Filter::states([HarmlessState::Applied.as_str()]);
                let quiet = (silences, r.list::<Harmless>(&applied)?, Lessons::load(r)?);
                let incidents = if all {
                    (known(r, now)?, readable(r.value::<Learned>(LEARNED))?)
                } else {
                    (Vec::new(), None)
                };
                let late = Filter::all().since(now.plus_ms(-memory_ms)).newest(MOST_RECALLED);
                let recent =
                    if all && memory_ms > 0 { r.list::<Alert>(&late)? } else { Vec::new() };
                Ok((graph, changes, quiet, incidents, recent))
            })
            .await?;
        if let Some(learned) = learned {
            self.correlator.restore(&learned);
            self.kept = (learned, now);
        }
        let silences = silences.into_iter().filter(|s| s.ends_at > now).collect();
        self.correlator.learn(graph, changes, silences);
        self.correlator.learn_harmless(harmless);
        self.correlator.learn_lessons(lessons);
        self.correlator.recall(&recent);
        for (incident, alerts, (diagnosis, touched)) in incidents {
            if touched {
                self.correlator.touch(incident.id);
            }
            self.correlator.load(incident, &alerts);
            if let Some(diagnosis) = diagnosis {
                self.correlator.diagnosed(&diagnosis);
            }
        }
        (self.loaded, self.learned_at) = (true, now);
        Ok(())
    }

    /// Takes the alerts that were heard of, as they stand now; each waits since it was heard of.
    async fn take_heard(&mut self) -> Result<(), Fault> {
        self.gathered = None;
        let heard = std::mem::take(&mut self.heard);
        if heard.is_empty() {
            return Ok(());
        }
        let asked = heard.clone();
        let alerts = self.store.read(move |r| {
            let mut seen = BTreeSet::new();
            let first = asked.into_iter().filter(|(id, _)| seen.insert(*id));
            first.map(|(id, at)| Ok((r.get::<Alert>(id)?, at))).collect::<Result<Vec<_>, Fault>>()
        });
        // What could not be read is read the next time: it may be over when the sweep looks.
        let alerts = alerts.await.inspect_err(|_| self.heard = heard)?;
        for (alert, at) in alerts {
            if let Some(alert) = alert {
                self.correlator.take(&alert, at);
            }
        }
        Ok(())
    }

    /// Writes what the search has learned, if there is news.
    async fn keep_learned(&mut self, now: Time) -> Result<(), Fault> {
        let learned = self.correlator.learned();
        if learned != self.kept.0 {
            let news = learned.clone();
            self.store.write(move |tx| tx.put_value(LEARNED, &news)).await?;
        }
        self.kept = (learned, now);
        Ok(())
    }

    /// Takes what was heard of and decides.
    async fn decide_on_heard(&mut self) -> Result<(), Fault> {
        let now = self.clock.now();
        self.take_heard().await?;
        self.decide(now).await
    }

    async fn decide(&mut self, now: Time) -> Result<(), Fault> {
        if now.ms_since(self.kept.1) >= KEEP_MS {
            self.keep_learned(now).await?;
        }
        let started = Instant::now();
        let decisions = self.correlator.decide(now);
        let done = self.write_down(now, decisions).await;
        self.rested = Instant::now() + REST * started.elapsed();
        let next = self.correlator.next_look();
        self.again = next.map(|at| {
            let ms = u64::try_from(at.ms_since(now)).unwrap_or(0);
            self.rested + self.clock.wall(Duration::from_millis(ms)).max(QUIET)
        });
        done
    }

    async fn write_down(&mut self, now: Time, decisions: Decisions) -> Result<(), Fault> {
        if decisions == Decisions::default() {
            return Ok(());
        }
        for verdict in decisions.verdicts.iter().filter(|v| v.suppressed.is_some()) {
            let by =
                verdict.suppressed.as_ref().map_or("", |s| s.by.split(' ').next().unwrap_or(""));
            metrics::counter!("nightjar_correlate_suppressed_total", "by" => by.to_owned())
                .increment(1);
        }
        // Whoever looks at what is held back hears of it; one bell a round is enough.
        let quiet = decisions.verdicts.iter().find(|v| v.suppressed.is_some()).map(|v| v.alert);
        let ids = self.store.write(move |tx| write(tx, now, decisions)).await;
        match ids {
            Ok((ids, renamed)) => {
                for (from, into) in renamed {
                    self.correlator.rename(from, into);
                }
                for id in ids {
                    self.bus.publish(Event::Incident(id));
                }
                if let Some(id) = quiet {
                    self.bus.publish(Event::Alert(id));
                }
                Ok(())
            }
            Err(e) => {
                // What was decided is lost with the transaction: begin again from the store.
                self.loaded = false;
                self.correlator = self.correlator.emptied();
                Err(e)
            }
        }
    }
}

impl Stage for Correlate {
    const NAME: &'static str = "correlate";
    const SWEEP: Duration = Duration::from_secs(2);

    fn wants(&self, event: &Event) -> bool {
        matches!(
            event,
            Event::Alert(_)
                | Event::Incident(_)
                | Event::Diagnosis(_)
                | Event::Silence(_)
                | Event::Harmless(_)
                | Event::Change(_)
                | Event::Tick
        )
    }

    async fn sweep(&mut self) -> Result<(), Fault> {
        let now = self.clock.now();
        let was_loaded = self.loaded;
        self.learn(now).await?;
        let started = Instant::now();
        if was_loaded && started < self.read_again {
            return self.decide(now).await;
        }
        let firing = self.store.read(|r| r.list::<Alert>(&Filter::states(["firing"]))).await?;
        // An end whose doorbell was lost: believed to fire, and the store says otherwise.
        let fire: BTreeSet<_> = firing.iter().map(|a| a.id).collect();
        let mut lost = self.correlator.believed_firing();
        lost.retain(|id| !fire.contains(id));
        let ended = self.store.read(move |r| {
            lost.into_iter()
                .filter_map(|id| r.get::<Alert>(id).transpose())
                .collect::<Result<Vec<_>, _>>()
        });
        for alert in ended.await?.iter().chain(&firing) {
            self.correlator.take(alert, now);
        }
        self.read_again = Instant::now() + rest::after_reading(started.elapsed());
        self.decide(now).await
    }

    async fn handle(&mut self, event: Event) -> Result<(), Fault> {
        let now = self.clock.now();
        if !self.loaded {
            return self.sweep().await;
        }
        match event {
            // A moment later all that came together is read and decided on.
            Event::Alert(id) => {
                self.heard.push((id, now));
                let at = Instant::now();
                let first = self.gathered.map_or(at + LONGEST, |(_, first)| first);
                self.gathered = Some((at + QUIET, first));
                Ok(())
            }
            Event::Incident(id) => {
                let asked = !self.correlator.is_touched(id);
                let read = move |r: &Rows<'_>| {
                    let touched = asked && is_touched(r, id)?;
                    Ok(r.get::<Incident>(id)?.map(|incident| (incident, touched)))
                };
                let Some((incident, touched)) = self.store.read(read).await? else {
                    return Ok(());
                };
                if touched {
                    self.correlator.touch(id);
                }
                if self.correlator.refresh(&incident) {
                    let alerts =
                        self.store.read(move |r| r.list::<Alert>(&Filter::parent(id))).await?;
                    self.correlator.load(incident, &alerts);
                }
                Ok(())
            }
            Event::Diagnosis(id) => {
                let found = self.store.read(move |r| r.get::<Diagnosis>(id)).await?;
                if let Some(diagnosis) = found {
                    self.correlator.diagnosed(&diagnosis);
                }
                Ok(())
            }
            Event::Tick => self.decide_on_heard().await,
            _ => self.learn(now).await,
        }
    }

    fn wakes(&self) -> Option<Instant> {
        let gathered = self.gathered.map(|(newest, first)| newest.min(first).max(self.rested));
        gathered.into_iter().chain(self.again).min()
    }

    async fn wake(&mut self) -> Result<(), Fault> {
        // A failure is for the next sweep, not for another waking at once.
        (self.gathered, self.again) = (None, None);
        if !self.loaded {
            return self.sweep().await;
        }
        self.decide_on_heard().await
    }

    async fn stop(&mut self) -> Result<(), Fault> {
        // What was not loaded yet would be written over with nothing.
        if !self.loaded {
            return Ok(());
        }
        self.keep_learned(self.clock.now()).await
    }
}

/// An incident with its alerts, what is thought of it, and whether people have acted on it.
type Known = (Incident, Vec<Alert>, (Option<Diagnosis>, bool));

/// What was stored and can't be read any more is learned anew: grouping goes on without it.
///
/// # Errors
/// The store failed.
fn readable(found: Result<Option<Learned>, Fault>) -> Result<Option<Learned>, Fault> {
    match found {
        Err(fault @ Fault::Permanent { .. }) => {
            tracing::warn!(error = fault.chain(), "what the search had learned is learned anew");
            Ok(None)
        }
        found => found,
    }
}

/// Incidents that are active, ended so lately that they may be reopened, or are over while alerts of them
/// fire on; with their alerts.
fn known(rows: &Rows<'_>, now: Time) -> Result<Vec<Known>, Fault> {
    let states = ["open", "acknowledged", "mitigating", "monitoring", "resolved", "reviewed"];
    let firing = rows.list::<Alert>(&Filter::states(["firing"]))?;
    let fires: BTreeSet<IncidentId> = firing.iter().filter_map(|a| a.incident).collect();
    let mut found = Vec::new();
    for incident in rows.list::<Incident>(&Filter::states(states))? {
        let lately = incident.resolved_at.is_none_or(|t| now.ms_since(t) < 2 * HOUR_MS);
        if lately || fires.contains(&incident.id) {
            let alerts = rows.list::<Alert>(&Filter::parent(incident.id))?;
            let diagnosis = rows.get::<Diagnosis>(incident.id)?;
            let touched = is_touched(rows, incident.id)?;
            found.push((incident, alerts, (diagnosis, touched)));
        }
    }
    Ok(found)
}

/// Whether a person has done or said something about an incident.
fn is_touched(rows: &Rows<'_>, id: IncidentId) -> Result<bool, Fault> {
    let entries = rows.list::<TimelineEntry>(&Filter::parent(id))?;
    Ok(entries.iter().any(|e| !e.actor.is_bot()))
}

/// Incidents that were written, and those that had to have another id for it.
type Written = (BTreeSet<IncidentId>, BTreeMap<IncidentId, IncidentId>);

/// Gives incidents of this decision another id where the store has one of theirs that was opened
/// before and is over: what is forgotten here is not written over, and nothing fires on in it.
fn rename_over(
    tx: &Tx<'_>,
    decisions: &mut Decisions,
) -> Result<BTreeMap<IncidentId, IncidentId>, Fault> {
    let mut renamed = BTreeMap::new();
    for incident in decisions.incidents.iter_mut().filter(|i| i.number == 0) {
        if let Some(stored) = tx.get::<Incident>(incident.id)?
            && stored.state == IncidentState::Merged
            && stored.opened_at != incident.opened_at
        {
            let id = anew(incident);
            renamed.insert(incident.id, id);
            incident.id = id;
        }
    }
    for entry in &mut decisions.entries {
        if let Some(id) = renamed.get(&entry.incident) {
            let (text, subject) = (std::mem::take(&mut entry.text), entry.subject.take());
            *entry = TimelineEntry::by_bot(*id, entry.at, entry.kind, text, subject);
        }
    }
    for verdict in &mut decisions.verdicts {
        verdict.incident = verdict.incident.map(|id| *renamed.get(&id).unwrap_or(&id));
    }
    Ok(renamed)
}

fn write(tx: &Tx<'_>, now: Time, mut decisions: Decisions) -> Result<Written, Fault> {
    let renamed = rename_over(tx, &mut decisions)?;
    let mut ids = BTreeSet::new();
    for mut incident in decisions.incidents {
        ids.insert(incident.id);
        if let Some(stored) = tx.get::<Incident>(incident.id)? {
            keep_what_people_did(&mut incident, &stored);
        } else {
            incident.number = tx.next_number("incident")?;
            metrics::counter!("nightjar_correlate_incidents_total").increment(1);
        }
        tx.put(&incident)?;
    }
    for entry in &decisions.entries {
        tx.put_new(entry)?;
        ids.insert(entry.incident);
    }
    let bot = Actor::nightjar();
    // What was opened, moved on or merged goes into the audit log with its reason.
    for entry in decisions.entries.iter().filter(|e| e.kind == EntryKind::State) {
        let detail = json!({ "text": entry.text, "at": entry.at });
        tx.audit(now, &bot, "incident.correlate", &entry.incident.to_string(), &detail)?;
    }
    let mut joins: BTreeMap<IncidentId, Vec<(AlertId, String)>> = BTreeMap::new();
    for verdict in decisions.verdicts {
        let Some(mut alert) = tx.get::<Alert>(verdict.alert)? else { continue };
        // So does what was kept from people.
        let over = verdict.incident.is_none() && !alert.is_firing();
        if verdict.suppressed.is_some() || over {
            let by = verdict.suppressed.as_ref().map(|s| s.by.as_str());
            let detail = json!({ "decision": verdict.decision, "by": by });
            tx.audit(now, &bot, "alert.hold", &alert.id.to_string(), &detail)?;
        }
        if let Some(incident) = verdict.incident.filter(|i| alert.incident != Some(*i)) {
            joins.entry(incident).or_default().push((alert.id, verdict.decision.clone()));
        }
        verdict.apply(&mut alert);
        tx.put(&alert)?;
    }
    // One record per incident for all that joined it in this round: a storm of a thousand alerts
    // is a few records, and each alert keeps its own reason.
    for (incident, joined) in joins {
        let first_reason = joined.first().map(|(_, reason)| reason);
        let alerts: Vec<AlertId> = joined.iter().map(|(alert, _)| *alert).collect();
        let detail = json!({ "n": alerts.len(), "first_reason": first_reason, "alerts": alerts });
        tx.audit(now, &bot, "alert.join", &incident.to_string(), &detail)?;
    }
    Ok((ids, renamed))
}

/// A person may have acted between our reading and our writing: their word stands.
fn keep_what_people_did(incident: &mut Incident, stored: &Incident) {
    incident.number = stored.number;
    incident.untold.clone_from(&stored.untold);
    incident.owner = stored.owner.clone().or(incident.owner.take());
    incident.acknowledged_at = stored.acknowledged_at.or(incident.acknowledged_at);
    let closed = closed::by_person(stored);
    let reopened = incident.n_reopened > stored.n_reopened;
    let ours = matches!(incident.state, IncidentState::Resolved | IncidentState::Monitoring)
        && !closed
        && incident.n_reopened >= stored.n_reopened;
    if ours || reopened || incident.state == IncidentState::Merged {
        return;
    }
    let fires = matches!(incident.state, IncidentState::Open | IncidentState::Acknowledged);
    let back = fires && stored.state == IncidentState::Monitoring && incident.quiet_since.is_none();
    if !back {
        incident.state = stored.state;
        incident.category.clone_from(&stored.category);
        incident.resolved_at = stored.resolved_at;
        incident.closed_by.clone_from(&stored.closed_by);
        incident.n_reopened = stored.n_reopened;
        incident.reopened_at = stored.reopened_at;
    }
}

impl Verdict {
    /// Writes the decision into its alert.
    pub fn apply(self, alert: &mut Alert) {
        if let Some(system) = self.witness {
            if !alert.witnesses.contains(&system) {
                alert.witnesses.push(system);
            }
            return;
        }
        alert.incident = self.incident;
        alert.suppressed = self.suppressed;
        alert.decision = Some(self.decision);
    }
}
