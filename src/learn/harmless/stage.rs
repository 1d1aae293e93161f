//! The running of patterns: incidents and alerts in, patterns and their lifting out.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::gather::cases;
use super::rule::{
    Ask, Candidate, Case, Known, as_kept, asks, because, candidates, count, judge, title,
};
use crate::bus::{Bus, Event};
use crate::learn::{Config, Past};
use crate::model::harmless::{HarmlessOrder, Kept};
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::topology::Edge;
use crate::model::{
    Actor, Alert, Batch, EntryKind, Fault, Graph, Harmless, HarmlessId, HarmlessState, IncidentId,
    SharedClock, Time, TimelineEntry,
};
use crate::stage::Stage;
use crate::store::{Filter, Rows, Store, Tx};

/// Patterns are looked at at least this often, and at most that often (ms of event time).
const EVERY_MS: i64 = HOUR_MS;
const REST_MS: i64 = MINUTE_MS;
/// An alert is counted once it began so long ago: what was decided of it is known by then.
const SETTLED_MS: i64 = 5 * MINUTE_MS;
/// Alerts that one look counts; the next goes on from there.
const MOST_ALERTS: usize = 20_000;
/// Name of the source of orders that nobody pressed a button for.
const SOURCE: &str = "learn";

/// The stage of harmless patterns.
pub struct Hush {
    config: Config,
    store: Store,
    bus: Bus,
    clock: SharedClock,
    past: Past,
    due: bool,
    looked_at: Time,
    /// What was looked for before a confirmed incident in vain: no alert can begin there any more.
    /// Only saves work.
    asked: BTreeSet<Asked>,
}

/// A pattern, since when it stands as it does, and an incident with its onset.
type Asked = (HarmlessId, Time, IncidentId, Time);

impl Hush {
    /// The stage over a store; `past` is what was read of incidents before.
    #[must_use]
    pub fn new(config: Config, store: Store, bus: Bus, clock: SharedClock, past: Past) -> Self {
        let asked = BTreeSet::new();
        Self { config, store, bus, clock, past, due: true, looked_at: Time::MIN, asked }
    }

    async fn look(&mut self, now: Time) -> Result<(), Fault> {
        let since = now.plus_ms(-i64::from(self.config.judgements_days) * DAY_MS);
        let past = self.past.clone();
        let read = self.store.read(move |r| {
            let graph = Graph::new(&r.list::<Edge>(&Filter::all())?);
            Ok((cases(r, &past, since)?, r.list::<Harmless>(&Filter::all())?, graph))
        });
        let (cases, known, graph) = read.await?;
        let counted = |entity: &_, name: &str, id: IncidentId| {
            known
                .iter()
                .filter(|k| ended(k.state) && &k.scope.entity == entity && k.scope.name == name)
                .any(|k| k.judged.contains(&id))
        };
        let found = candidates(&cases, &self.config.harmless, counted);
        let mut changed = Vec::new();
        for candidate in &found {
            if !known.iter().any(|k| same_kind(k, candidate) && !ended(k.state)) {
                changed.extend(self.propose(candidate, now).await?);
            }
        }
        let live: Vec<Harmless> = known.into_iter().filter(|k| !ended(k.state)).collect();
        self.asked.retain(|(id, since, ..)| live.iter().any(|k| (k.id, k.since) == (*id, *since)));
        for rule in live {
            let world = Known { cases: &cases, graph: &graph, now, before: &[] };
            changed.extend(self.move_on(rule, (&found, since), world).await?);
        }
        for id in changed {
            self.bus.publish(Event::Harmless(id));
        }
        Ok(())
    }

    async fn propose(&self, candidate: &Candidate, now: Time) -> Result<Option<HarmlessId>, Fault> {
        let ids: Vec<String> = candidate.judged.iter().map(ToString::to_string).collect();
        let scope = candidate.scope.clone();
        let kind = [scope.entity.to_string(), scope.name.clone()];
        let parts: Vec<&str> = kind.iter().chain(&ids).map(String::as_str).collect();
        let rule = Harmless {
            id: HarmlessId::derive(candidate.newest, &parts),
            at: now,
            state: HarmlessState::Shadow,
            since: now,
            title: title(&scope),
            why: because(candidate),
            judged: candidate.judged.clone(),
            n_dismissed: candidate.n_dismissed,
            kept: Vec::new(),
            n_kept: 0,
            counted_until: now,
            followed: Vec::new(),
            holds_days: self.config.harmless.holds_days,
            n_confirmed: 0,
            decided: None,
            until: None,
            taken_back: None,
            scope,
        };
        let id = rule.id;
        let fresh = self.store.write(move |tx| {
            let fresh = tx.put_new(&rule)?;
            if fresh {
                note(tx, &rule, "harmless.propose", now)?;
            }
            Ok(fresh)
        });
        let fresh = fresh.await?;
        if fresh {
            metrics::counter!("nightjar_learn_harmless_total", "state" => "shadow").increment(1);
        }
        Ok(fresh.then_some(id))
    }

    /// Counts what came, and moves a pattern on unless a person was faster.
    async fn move_on(
        &mut self,
        rule: Harmless,
        (found, since): (&[Candidate], Time),
        known: Known<'_>,
    ) -> Result<Option<HarmlessId>, Fault> {
        let (now, before) = (known.now, rule.clone());
        let until = now.plus_ms(-SETTLED_MS);
        let mut asks = asks(&rule, &self.config.harmless, known.cases, known.graph);
        asks.retain(|a| !self.asked.contains(&(rule.id, rule.since, a.incident, a.onset_at)));
        let looked: Vec<Asked> = asks
            .iter()
            .filter(|a| !a.is_home && now.ms_since(a.onset_at) >= HOUR_MS)
            .map(|a| (rule.id, rule.since, a.incident, a.onset_at))
            .collect();
        let read = self.store.read(move |r| {
            let earlier = earlier(r, &rule, &asks)?;
            Ok((counted(r, rule, until, MOST_ALERTS)?, earlier))
        });
        let (rule, earlier) = read.await?;
        let known = Known { before: &earlier, ..known };
        let mut next = judge(&rule, &self.config.harmless, &known);
        let waits = matches!(next.state, HarmlessState::Shadow | HarmlessState::Open);
        if waits && next.n_confirmed == 0 && !found.iter().any(|c| same_kind(&next, c)) {
            next.why = withdrawn(&next, known.cases, since, self.config.judgements_days);
            (next.state, next.since) = (HarmlessState::Withdrawn, now);
        }
        if next == before {
            self.asked.extend(looked);
            return Ok(None);
        }
        let (id, lifts) = (next.id, next.state == HarmlessState::Lifted);
        let tell = lifts.then(|| next.followed.first().map(|f| f.incident)).flatten();
        let done = self.store.write(move |tx| keep(tx, &before, &next, now)).await?;
        self.asked.extend(looked);
        if let Some(incident) = tell.filter(|_| done) {
            self.bus.publish(Event::Incident(incident));
        }
        Ok(done.then_some(id))
    }
}

/// Whether it stands no more.
fn ended(state: HarmlessState) -> bool {
    use HarmlessState::{Declined, Lifted, TakenBack, Withdrawn};
    matches!(state, Declined | Lifted | TakenBack | Withdrawn)
}

fn same_kind(rule: &Harmless, candidate: &Candidate) -> bool {
    let (a, b) = (&rule.scope, &candidate.scope);
    a.entity == b.entity && a.name == b.name
}

/// Why a pattern waits no longer: what spoke for it is too old to count, or is seen otherwise now.
fn withdrawn(rule: &Harmless, cases: &[Case], since: Time, days: u32) -> String {
    let n = rule.judged.len();
    let is_old = |id: &IncidentId| id.at() < since && !cases.iter().any(|c| c.incident == *id);
    let n_old = rule.judged.iter().filter(|id| is_old(id)).count();
    let speaks = |id: &IncidentId| cases.iter().any(|c| c.incident == *id && c.speaks());
    let n_otherwise = rule.judged.iter().filter(|id| !is_old(id) && !speaks(id)).count();
    let mut parts = Vec::new();
    if n_old > 0 {
        parts.push(format!("{n_old} of the {n} are older than {days} days and count no more"));
    }
    if n_otherwise > 0 {
        parts.push(format!("{n_otherwise} of the {n} are judged otherwise by now"));
    }
    if parts.is_empty() {
        parts.push("an incident of the same kind was confirmed".to_owned());
    }
    format!("Too few incidents speak for it: {}.", parts.join("; "))
}

/// The pattern's alerts in confirmed incidents, and before those that are near: from the store,
/// because a pattern lists only its newest.
fn earlier(rows: &Rows<'_>, rule: &Harmless, asks: &[Ask]) -> Result<Vec<Kept>, Fault> {
    let mut found = Vec::new();
    for ask in asks {
        let home = ask.is_home.then(|| Filter::parent(ask.incident));
        let near = |since| Filter::all().since(since).until(ask.onset_at.plus_ms(1));
        for filter in home.into_iter().chain(ask.since.map(near)) {
            let alerts = rows.list::<Alert>(&filter)?;
            found.extend(alerts.iter().filter_map(|alert| as_kept(rule, alert)));
        }
    }
    Ok(found)
}

/// The pattern with the alerts that it counts, at most so many and the oldest first, and the homes
/// that they have found since. The next look goes on from the last one read.
pub(super) fn counted(
    rows: &Rows<'_>,
    mut rule: Harmless,
    until: Time,
    most: usize,
) -> Result<Harmless, Fault> {
    let from = rule.counted_until;
    if from < until {
        let mut filter = Filter { limit: most, ..Filter::all().since(from).until(until) };
        let mut alerts = rows.list::<Alert>(&filter)?;
        let last = alerts.last().map_or(until, |a| a.starts_at);
        let mut read_to = if alerts.len() < most { until } else { last };
        if read_to == from {
            // So many began at one instant: they are read at once, or it would never go on.
            read_to = from.plus_ms(1);
            filter = Filter::all().since(from).until(read_to);
            alerts = rows.list::<Alert>(&filter)?;
        }
        count(&mut rule, &alerts, read_to);
    }
    for kept in rule.kept.iter_mut().filter(|k| k.incident.is_none()) {
        kept.incident = rows.get::<Alert>(kept.alert)?.and_then(|a| a.incident);
    }
    Ok(rule)
}

/// Keeps a pattern as it now stands; whoever pressed a button meanwhile wins.
fn keep(tx: &Tx<'_>, before: &Harmless, next: &Harmless, now: Time) -> Result<bool, Fault> {
    if !tx.replace_in_state(next, before.state.as_str())? {
        return Ok(false);
    }
    if before.state == next.state {
        return Ok(true);
    }
    metrics::counter!("nightjar_learn_harmless_total", "state" => next.state.as_str()).increment(1);
    note(tx, next, &format!("harmless.{}", next.state.as_str()), now)?;
    if before.state == HarmlessState::Applied {
        let mut batch = Batch::new(SOURCE, now);
        batch.harmless.push(HarmlessOrder {
            id: next.id,
            scope: next.scope.clone(),
            until: now,
            by: Actor::nightjar(),
        });
        tx.append_batch(&batch)?;
    }
    if let (HarmlessState::Lifted, Some(first)) = (next.state, next.followed.first()) {
        let did = if before.state == HarmlessState::Applied { "kept" } else { "would have kept" };
        let text = format!(
            "Learned rule lifted: it {did} {} quiet ({}), and this incident followed. Such alerts \
             open incidents again.",
            next.scope, first.alert
        );
        let subject = Some(next.id.to_string());
        tx.put_new(&TimelineEntry::by_bot(first.incident, now, EntryKind::State, text, subject))?;
    }
    Ok(true)
}

fn note(tx: &Tx<'_>, rule: &Harmless, what: &str, now: Time) -> Result<(), Fault> {
    let detail = json!({
        "scope": rule.scope.to_string(), "why": rule.why, "n_kept": rule.n_kept,
        "judged": rule.judged, "followed": rule.followed,
    });
    tx.audit(now, &Actor::nightjar(), what, &rule.id.to_string(), &detail)
}

impl Stage for Hush {
    const NAME: &'static str = "harmless";
    const SWEEP: Duration = Duration::from_secs(5);

    fn wants(&self, event: &Event) -> bool {
        matches!(event, Event::Run(_) | Event::Incident(_) | Event::Harmless(_))
    }

    async fn sweep(&mut self) -> Result<(), Fault> {
        let now = self.clock.now();
        let rested_ms = now.ms_since(self.looked_at);
        let due = rested_ms >= EVERY_MS || (self.due && rested_ms >= REST_MS);
        if self.config.harmless.propose && due {
            (self.due, self.looked_at) = (false, now);
            self.look(now).await?;
        }
        Ok(())
    }

    async fn handle(&mut self, _: Event) -> Result<(), Fault> {
        self.due = true;
        Ok(())
    }
}
