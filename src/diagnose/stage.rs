//! The running of diagnosis: incidents in, revisions out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use super::active::{Active, Brief, Page};
use super::course;
use super::gather::{Gathered, Kept, MOST_FIRST, MOST_TIME, gather};
use super::input::Ranked;
use super::rank::rank;
use super::spread::likely;
use super::turns::Turns;
use super::without::without;
use crate::bus::{Bus, Event};
use crate::detect::SharedShard;
use crate::detect::slo::Standing;
use crate::learn::Ledger;
use crate::model::diagnosis::Counterfactual;
use crate::model::figure::{count_text, n_of};
use crate::model::time::{HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::model::{
    Actor, Change, Diagnosis, EntryKind, Fault, Gap, Incident, IncidentId, IncidentState,
    SharedClock, Time, TimelineEntry,
};
use crate::runbook::{Library, Situation};
use crate::stage::Stage;
use crate::store::Store;

/// A young incident, and how long (ms) it is one: its evidence still comes in.
const YOUNG_MS: i64 = 10 * MINUTE_MS;
/// A new incident, and how long (ms) it is one: it was opened by its first alerts, the others and what
/// is measured of it are on their way. Until then it is looked at again as soon as it may be.
const NEW_MS: i64 = 30 * SECOND_MS;
/// Event time between two revisions without other news, for a young incident and an older one.
const AGAIN_MS: (i64, i64) = (30 * SECOND_MS, 2 * MINUTE_MS);
/// Incidents that are looked at again in one sweep, the worst first but for every fourth, which waits
/// longest: a first look, which somebody may wait for, comes before them.
const LOOKS: usize = 8;
/// What opens at about the same time is looked at together: others are listened for so long (wall
/// time).
const GATHERS: Duration = Duration::from_millis(30);
/// Rest (wall time) after a look that failed.
const AFTER_FAULT: Duration = Duration::from_secs(1);
/// What was seen of incidents that are not active is known for this long (ms).
const KNOWN_MS: i64 = HOUR_MS;
/// Least event time between two revisions (ms): a storm of alerts is looked at in steps.
const LEAST_MS: i64 = 10 * SECOND_MS;

/// What a revision was made from.
#[derive(Clone, Copy, Debug)]
struct Seen {
    n_alerts: usize,
    state: IncidentState,
    at: Time,
    /// Something may have come to light that it did not see.
    stale: bool,
}

impl Seen {
    /// Whether an incident as it is now, at `now`, is worth another look.
    fn outdated(&self, incident: &Brief, now: Time) -> bool {
        if self.stale {
            return true;
        }
        let since = now.ms_since(self.at);
        let news = self.n_alerts != incident.n_alerts || self.state != incident.state;
        let again = match now.ms_since(incident.opened_at) {
            age if age < NEW_MS => LEAST_MS,
            age if age < YOUNG_MS => AGAIN_MS.0,
            _ => AGAIN_MS.1,
        };
        since >= if news { LEAST_MS } else { again }
    }
}

/// What a look at an incident found.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    /// The incident, if it is active.
    brief: Option<Brief>,
    /// What another revision was made from, if one was made.
    seen: Option<Seen>,
}

/// The diagnose stage.
#[derive(Clone)]
pub struct Diagnose {
    store: Store,
    bus: Bus,
    clock: SharedClock,
    shard: SharedShard,
    library: Arc<Library>,
    /// Services that users reach directly, as they are declared.
    user_facing: Vec<String>,
    /// What the last revision of each incident saw: only news makes another one.
    seen: BTreeMap<IncidentId, Seen>,
    /// What was read of earlier incidents.
    kept: Kept,
    /// Which are active.
    active: Active,
    /// Who waits for a look.
    turns: Turns,
    /// When to begin (wall time).
    due: Option<Instant>,
}

impl Diagnose {
    /// The stage over a store.
    #[must_use]
    pub fn new(
        store: Store,
        bus: Bus,
        clock: SharedClock,
        shard: SharedShard,
        library: Arc<Library>,
    ) -> Self {
        Self {
            store,
            bus,
            clock,
            shard,
            library,
            user_facing: Vec::new(),
            seen: BTreeMap::new(),
            kept: Kept::default(),
            active: Active::default(),
            turns: Turns::default(),
            due: None,
        }
    }

    /// With the services that users reach directly; none: those that call others and that nothing
    /// calls.
    #[must_use]
    pub fn facing(self, user_facing: Vec<String>) -> Self {
        Self { user_facing, ..self }
    }

    /// Looks at an incident, if there is something to look at.
    async fn diagnose(&self, id: IncidentId) -> Result<Look, Fault> {
        let (now, shard) = (self.clock.now(), self.shard.clone());
        let incident = self.store.read(move |r| r.get::<Incident>(id)).await?;
        let Some((brief, incident)) = incident.and_then(|i| Some((Brief::of(&i)?, i))) else {
            return Ok(Look::default());
        };
        let known = self.seen.get(&id);
        if known.is_some_and(|seen| !seen.outdated(&brief, now)) {
            return Ok(Look { brief: Some(brief), seen: None });
        }
        let most = if known.is_none() { MOST_FIRST } else { MOST_TIME };
        let (n_alerts, state) = (incident.alerts.len(), incident.state);
        let seen = Seen { n_alerts, state, at: now, stale: false };
        let standings = shard.standings();
        let gathered = gather(
            &self.store,
            incident,
            (&shard, self.user_facing.clone(), &self.kept),
            (now, most),
        )
        .await?;
        let (before, ledger) =
            self.store.read(move |r| Ok((r.get::<Diagnosis>(id)?, Ledger::read(r)?))).await?;
        let kept = before.as_ref().filter(|_| seen.state == IncidentState::Monitoring);
        let (gathered, mut ranked, tried) = judged(gathered, kept.is_none()).await?;
        // What is measured after a fix or at the end tells of recovery, not of the fault: figures
        // and words follow it, the causes stay as they were found. A fix that did not help opens
        // the incident again, and the causes with it.
        if let Some(before) = kept {
            ranked.hypotheses.clone_from(&before.hypotheses);
            ranked.conclusive = before.conclusive;
        }
        let (counterfactuals, untried) = match kept {
            Some(before) => (before.counterfactuals.clone(), None),
            None => tried,
        };
        let mut diagnosis = self.compose(&gathered, ranked, before.as_ref(), now);
        diagnosis.counterfactuals = counterfactuals;
        diagnosis.gaps.extend(untried);
        let (gathered, mut diagnosis) = coursed(gathered, diagnosis, standings, now).await?;
        // What people said of incidents like this one belongs to what is going on.
        let first = diagnosis.hypotheses.first();
        if let Some(doubt) = first.and_then(|h| ledger.doubt(&h.pattern, &h.entity)) {
            diagnosis.summary = format!("{} {doubt}", diagnosis.summary);
        }
        let ahead = likely(&diagnosis.reach.followers).filter(|_| diagnosis.conclusive);
        let text = told(&diagnosis, before.as_ref());
        let text = text.map(|told| [told].into_iter().chain(ahead).collect::<Vec<_>>().join(" "));
        let changes = entries(id, &diagnosis);
        let evidence = gathered.evidence;
        let first = diagnosis.revision == 1;
        self.store
            .write(move |tx| {
                evidence.iter().try_for_each(|e| tx.put(e))?;
                tx.put(&diagnosis)?;
                for entry in &changes {
                    tx.put_new(entry)?;
                }
                if let Some(text) = text {
                    tx.put(&TimelineEntry::by_bot(id, now, EntryKind::Diagnosis, text, None))?;
                    let detail = json!({
                        "revision": diagnosis.revision, "conclusive": diagnosis.conclusive,
                        "hypotheses": diagnosis.hypotheses.iter().map(|h| json!({
                            "entity": h.entity, "pattern": h.pattern, "confidence": h.confidence,
                        })).collect::<Vec<_>>(),
                    });
                    tx.audit(
                        now,
                        &Actor::nightjar(),
                        "incident.diagnose",
                        &id.to_string(),
                        &detail,
                    )?;
                }
                Ok(())
            })
            .await?;
        metrics::counter!("nightjar_diagnose_revisions_total", "first" => first.to_string())
            .increment(1);
        self.bus.publish(Event::Diagnosis(id));
        Ok(Look { brief: Some(brief), seen: Some(seen) })
    }

    /// Chooses among all that are active who is looked at next.
    fn choose(&mut self, now: Time) {
        let seen = &self.seen;
        let first = self.active.iter().filter(|(id, _)| !seen.contains_key(id));
        self.turns.heard.extend(first.map(|(id, _)| id));
        let waiting = self.active.iter().filter_map(|(id, brief)| {
            let seen = seen.get(&id).filter(|seen| seen.outdated(brief, now))?;
            Some((brief.severity, seen.at, id))
        });
        self.turns.choose(waiting.collect(), LOOKS);
        if !self.turns.is_empty() {
            self.due.get_or_insert_with(Instant::now);
        }
    }

    fn compose(
        &self,
        gathered: &Gathered,
        ranked: Ranked,
        before: Option<&Diagnosis>,
        now: Time,
    ) -> Diagnosis {
        let input = &gathered.input;
        let first = ranked.hypotheses.first();
        let mut situation = Situation::of(&input.incident, first, &ranked.changes, &input.alerts);
        let own = first.and_then(|h| input.logs.get(&h.entity)).into_iter().flatten();
        situation.logs.extend(own.map(|s| s.template.clone()));
        let runbooks = self
            .library
            .matching(&situation)
            .into_iter()
            .map(|m| (m.runbook.front.id.clone(), m.runbook.front.title.clone()))
            .collect();
        let firing = input.alerts.iter().filter(|a| a.is_firing()).count();
        let summary = format!(
            "{}. {}, on {}.",
            input.incident.title.trim_end_matches('.'),
            match (firing, input.alerts.len()) {
                (1, 1) => "1 alert fires".to_owned(),
                (n, all) =>
                    format!("{} of {} fire", count_text(n as u64), n_of(all as u64, "alert")),
            },
            match input.incident.entities.len() {
                1 => "1 entity".to_owned(),
                n => format!("{} entities", count_text(n as u64)),
            }
        );
        Diagnosis {
            incident: input.incident.id,
            revision: before.map_or(1, |b| b.revision + 1),
            at: now,
            summary,
            hypotheses: ranked.hypotheses,
            conclusive: ranked.conclusive,
            first_look: gathered.input.early,
            evidence: gathered.evidence.iter().map(|e| e.id).collect(),
            gaps: gathered.gaps.clone(),
            changes: ranked.changes,
            similar: gathered.similar.clone(),
            runbooks,
            charts: gathered.charts.clone(),
            counterfactuals: Vec::new(),
            steps: Vec::new(),
            reach: crate::model::diagnosis::Reach::default(),
        }
    }
}

/// What ranking again without single pieces of evidence gave, and what was not tried.
type Tried = (Vec<Counterfactual>, Option<Gap>);

/// Ranks, and ranks again without single pieces of evidence when asked to. With tens of thousands of
/// alerts this takes long, so not on a thread that others' requests wait for.
async fn judged(gathered: Gathered, again: bool) -> Result<(Gathered, Ranked, Tried), Fault> {
    let work = move || {
        let ranked = rank(&gathered.input);
        let tried = if again { without(&gathered.input, &ranked) } else { (Vec::new(), None) };
        (gathered, ranked, tried)
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Fault::permanent("an incident's causes can't be ranked", e))
}

/// Adds how it came about, whom it touches and who may follow, not on a thread that others' requests wait
/// for: with a large graph and many earlier incidents there is much to count.
async fn coursed(
    gathered: Gathered,
    mut diagnosis: Diagnosis,
    standings: Vec<Standing>,
    now: Time,
) -> Result<(Gathered, Diagnosis), Fault> {
    let work = move || {
        let (input, causes) = (&gathered.input, &diagnosis.hypotheses);
        diagnosis.steps = course::steps(input, causes, &gathered.entries);
        let ahead = (gathered.faces.as_slice(), standings.as_slice(), &gathered.known);
        diagnosis.reach = course::reach(input, causes, ahead, gathered.business.clone(), now);
        (gathered, diagnosis)
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Fault::permanent("what follows of an incident can't be worked out", e))
}

/// Changes that hypotheses name, for the timeline, at the time they were made.
fn entries(id: IncidentId, diagnosis: &Diagnosis) -> Vec<TimelineEntry> {
    let named = |c: &&Change| diagnosis.hypotheses.iter().any(|h| h.change == Some(c.id));
    let changes = diagnosis.changes.iter().filter(named);
    let entry = |c: &Change| {
        let by = c.author.as_ref().map_or_else(String::new, |a| format!(" by {a}"));
        let text = format!("{}{by}", c.line());
        TimelineEntry::by_bot(id, c.at, EntryKind::Change, text, Some(c.id.to_string()))
    };
    changes.map(entry).collect()
}

/// What the thread is told: the first ranking, another favourite, or a confidence that moved by
/// ten percentage points. An early look says that it is one; its chances are those of early looks, so
/// that what the next one differs by is no news, but that nothing stands out any more is.
pub(super) fn told(new: &Diagnosis, old: Option<&Diagnosis>) -> Option<String> {
    let first = new.hypotheses.first()?;
    let say = |h: &crate::model::Hypothesis| {
        format!("{} ({:.0} %)", h.statement.trim_end_matches('.'), h.confidence * 100.0)
    };
    let look = if new.first_look { " at a first look" } else { "" };
    let Some(before) = old.and_then(|o| o.hypotheses.first()) else {
        return Some(if new.conclusive {
            format!("Likely cause{look}: {}.", say(first))
        } else {
            format!("Inconclusive{look}; no cause stands out. Nearest: {}.", say(first))
        });
    };
    if new.conclusive && old.is_some_and(|o| !o.conclusive) {
        return Some(format!("A likely cause stands out now: {}.", say(first)));
    }
    if before.entity != first.entity || before.pattern != first.pattern {
        return Some(format!("Another cause is now more likely: {}.", say(first)));
    }
    let moved = first.confidence - before.confidence;
    let early = old.filter(|o| o.first_look);
    let is_news = early.map_or(moved.abs() >= 0.1, |o| o.conclusive && !new.conclusive);
    is_news.then(|| {
        let word = if moved > 0.0 { "stronger" } else { "weaker" };
        format!("The hypothesis got {word}: {}.", say(first))
    })
}

impl Stage for Diagnose {
    const NAME: &'static str = "diagnose";
    const SWEEP: Duration = Duration::from_secs(5);

    fn wants(&self, event: &Event) -> bool {
        matches!(event, Event::Incident(_) | Event::Change(_))
    }

    async fn sweep(&mut self) -> Result<(), Fault> {
        let seen: BTreeSet<IncidentId> = self.seen.keys().copied().collect();
        let cursor = self.active.cursor();
        let read = self.store.read(move |r| {
            let page = Page::read(r, cursor)?;
            // Seen before a start.
            let before = page.thoughts(r, |id| seen.contains(id))?;
            Ok((page, before))
        });
        let ((page, before), now) = (read.await?, self.clock.now());
        self.active.take(&page);
        for diagnosis in before {
            let Some(incident) = page.incidents.iter().find(|i| i.id == diagnosis.incident) else {
                continue;
            };
            let (n_alerts, state) = (incident.alerts.len(), incident.state);
            let seen = Seen { n_alerts, state, at: diagnosis.at, stale: true };
            self.seen.insert(incident.id, seen);
        }
        let active = &self.active;
        self.seen.retain(|id, seen| now.ms_since(seen.at) < KNOWN_MS || active.contains(*id));
        self.choose(now);
        Ok(())
    }

    async fn handle(&mut self, event: Event) -> Result<(), Fault> {
        match event {
            Event::Incident(id) => {
                self.turns.heard.insert(id);
                self.due.get_or_insert_with(|| Instant::now() + GATHERS);
                Ok(())
            }
            // A change told late may be the cause of what goes on: look again at all.
            Event::Change(_) => {
                self.seen.values_mut().for_each(|seen| seen.stale = true);
                self.sweep().await
            }
            _ => Ok(()),
        }
    }

    fn wakes(&self) -> Option<Instant> {
        self.due
    }

    /// Looks at some, side by side; between two such rounds it hears what is new.
    async fn wake(&mut self) -> Result<(), Fault> {
        let batch = self.turns.next(|id| self.seen.get(id).map(|seen| seen.at));
        let looks = join_all(batch.iter().map(|id| self.diagnose(*id))).await;
        let mut done = Ok(());
        for (id, look) in batch.into_iter().zip(looks) {
            match look {
                Ok(Look { brief, seen }) => {
                    self.active.meet(id, brief);
                    self.seen.extend(seen.map(|seen| (id, seen)));
                }
                Err(fault) => {
                    tracing::error!(incident = %id, error = fault.chain(), "not looked at; tried again");
                    self.turns.heard.insert(id);
                    done = Err(fault);
                }
            }
        }
        let pause = if done.is_ok() { Duration::ZERO } else { AFTER_FAULT };
        self.due = (!self.turns.is_empty()).then(|| Instant::now() + pause);
        done
    }
}
