//! The running of tuning: judgements in, proposals with their backtests out.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::gather::{Case, cases};
use super::rule::{Candidate, candidates};
use super::trial::{Tried, World, newest};
use super::words;
use crate::bus::{Bus, Event};
use crate::detect::{Bars, SharedShard};
use crate::learn::{Config, Past};
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{
    Actor, BarOrder, BarScope, EntityRef, Fault, IncidentId, Samples, SharedClock, Time, Tuning,
    TuningId, TuningState,
};
use crate::stage::Stage;
use crate::store::{Filter, Rows, SeriesFilter, Store, Tx};
use crate::{correlate, detect};

/// Judgements are looked through at least this often (ms of event time).
const EVERY_MS: i64 = HOUR_MS;
/// Days before the history of a trial that only teach.
const TEACH_DAYS: i64 = 7;
/// Points that one trial replays at most.
const MOST_POINTS: usize = 1_000_000;
/// Series of one trial at most.
const MOST_SERIES: usize = 40;

/// The tune stage.
pub struct Tune {
    config: Config,
    detect: detect::Config,
    correlate: correlate::Config,
    store: Store,
    bus: Bus,
    clock: SharedClock,
    shard: SharedShard,
    past: Past,
    /// Something was said since judgements were last looked through.
    due: bool,
    looked_at: Time,
}

impl Tune {
    /// The stage over a store; `shard` says which bars stand, `past` is what was read of incidents
    /// before.
    #[must_use]
    pub fn new(
        config: Config,
        (detect, correlate): (detect::Config, correlate::Config),
        (store, bus, clock): (Store, Bus, SharedClock),
        shard: SharedShard,
        past: Past,
    ) -> Self {
        let (due, looked_at) = (true, Time::MIN);
        Self { config, detect, correlate, store, bus, clock, shard, past, due, looked_at }
    }

    async fn look(&mut self, now: Time) -> Result<(), Fault> {
        let since = now.plus_ms(-i64::from(self.config.judgements_days) * DAY_MS);
        let past = self.past.clone();
        let read =
            move |r: &Rows<'_>| Ok((cases(r, &past, since)?, r.list::<Tuning>(&Filter::all())?));
        let (cases, known) = self.store.read(read).await?;
        let least = self.config.judgements as usize;
        let found = candidates(&cases, least, since, |scope, id| counted(&known, scope, id));
        let mut bars = Bars::default();
        for bar in self.shard.bars() {
            bars.obey(&standing(bar.scope, bar.factor), Time::MIN);
        }
        let found: Vec<(TuningId, f64, Candidate)> = found
            .into_iter()
            .map(|c| {
                let from = factor_of(&bars, &c.scope);
                (id_of(&c, from), from, c)
            })
            .collect();
        self.withdraw(&known, &found, now).await?;
        let ids: BTreeSet<TuningId> = found.iter().map(|(id, ..)| *id).collect();
        let is = |t: &Tuning, state| t.state == state && ids.contains(&t.id);
        let mut taken: BTreeSet<EntityRef> = known
            .iter()
            .filter(|t| is(t, TuningState::Open))
            .map(|t| t.scope.entity.clone())
            .collect();
        for (id, from, candidate) in found {
            if known.iter().any(|t| t.id == id) || taken.contains(&candidate.scope.entity) {
                continue;
            }
            let made = self.make((id, from), candidate, (&cases, &bars), now).await?;
            if made.state == TuningState::Open {
                taken.insert(made.scope.entity);
            }
        }
        Ok(())
    }

    /// Tries a candidate and keeps what came of it.
    async fn make(
        &self,
        (id, from): (TuningId, f64),
        candidate: Candidate,
        (cases, bars): (&[Case], &Bars),
        now: Time,
    ) -> Result<Tuning, Fault> {
        let since = now.plus_ms(-i64::from(self.config.history_days) * DAY_MS);
        let scope = candidate.scope.clone();
        let history = self.store.read(move |r| history(r, &scope, since, now)).await?;
        let world = World {
            detect: self.detect.clone(),
            correlate: self.correlate.clone(),
            bars: bars.clone(),
            history: newest(history, MOST_POINTS),
            since,
            until: now,
            new_per_week: self.config.new_per_week,
        };
        let (tried, cases) = (candidate.clone(), cases.to_vec());
        let replays = move || world.judge(&tried, from, &cases);
        let tried = tokio::task::spawn_blocking(replays)
            .await
            .map_err(|e| Fault::permanent("a change of detection can't be tried", e))?;
        let tuning = self.tuning((id, from), &candidate, tried, now);
        let kept = tuning.clone();
        self.store.write(move |tx| keep(tx, &kept, now)).await?;
        metrics::counter!(
            "nightjar_learn_tunings_total", "state" => tuning.state.as_str()
        )
        .increment(1);
        self.bus.publish(Event::Tuning(id));
        Ok(tuning)
    }

    fn tuning(
        &self,
        (id, from): (TuningId, f64),
        candidate: &Candidate,
        tried: Tried,
        now: Time,
    ) -> Tuning {
        Tuning {
            id,
            at: now,
            scope: candidate.scope.clone(),
            from,
            factor: tried.factor,
            state: if tried.made { TuningState::Open } else { TuningState::NotMade },
            title: words::title(&candidate.scope, (from, tried.factor), self.detect.unusual_p),
            why: tried.why,
            trial: tried.trial,
            judged: candidate.judged.clone(),
            expires_at: now.plus_ms(i64::from(self.config.decide_days) * DAY_MS),
            holds_days: self.config.holds_days,
            decided: None,
            until: None,
            taken_back: None,
        }
    }

    /// Takes away what no longer follows from what was said.
    async fn withdraw(
        &self,
        known: &[Tuning],
        found: &[(TuningId, f64, Candidate)],
        now: Time,
    ) -> Result<(), Fault> {
        let stale: Vec<Tuning> = known
            .iter()
            .filter(|t| matches!(t.state, TuningState::Open | TuningState::NotMade))
            .filter(|t| !found.iter().any(|(id, ..)| *id == t.id))
            .cloned()
            .collect();
        let why = "What was said of incidents has changed since.";
        for tuning in stale {
            self.moves(tuning, TuningState::Withdrawn, why, now).await?;
        }
        Ok(())
    }

    /// Ends what has waited or held for its time.
    async fn end(&self, now: Time) -> Result<(), Fault> {
        let states = [TuningState::Open, TuningState::Applied].map(TuningState::as_str);
        let all = self.store.read(move |r| r.list::<Tuning>(&Filter::states(states))).await?;
        for tuning in all {
            match tuning.state {
                TuningState::Open if tuning.expires_at <= now => {
                    let why = "Nobody decided on it in time.";
                    self.moves(tuning, TuningState::Withdrawn, why, now).await?;
                }
                TuningState::Applied if tuning.until.is_some_and(|until| until <= now) => {
                    let why = "Its time is over: detection is as configured again.";
                    self.moves(tuning, TuningState::Lapsed, why, now).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Moves a proposal on unless a person was faster.
    async fn moves(
        &self,
        tuning: Tuning,
        to: TuningState,
        why: &'static str,
        now: Time,
    ) -> Result<(), Fault> {
        let (id, from) = (tuning.id, tuning.state);
        let moved = Tuning { state: to, ..tuning };
        let done = self
            .store
            .write(move |tx| {
                let done = tx.replace_in_state(&moved, from.as_str())?;
                if done {
                    let what = format!("tuning.{}", to.as_str());
                    let detail = json!({ "scope": moved.scope.to_string(), "why": why });
                    tx.audit(now, &Actor::nightjar(), &what, &id.to_string(), &detail)?;
                }
                Ok(done)
            })
            .await?;
        if done {
            self.bus.publish(Event::Tuning(id));
        }
        Ok(())
    }
}

fn keep(tx: &Tx<'_>, tuning: &Tuning, now: Time) -> Result<(), Fault> {
    if tx.put_new(tuning)? {
        let detail = json!({
            "scope": tuning.scope.to_string(), "from": tuning.from, "factor": tuning.factor,
            "state": tuning.state, "why": tuning.why, "judged": tuning.judged,
        });
        tx.audit(now, &Actor::nightjar(), "tuning.propose", &tuning.id.to_string(), &detail)?;
    }
    Ok(())
}

/// Whether an incident has spoken for a change of the scope, or of one that overlaps it, on which a
/// person decided.
fn counted(known: &[Tuning], scope: &BarScope, incident: IncidentId) -> bool {
    known
        .iter()
        .filter(|t| t.decided.is_some())
        .filter(|t| t.scope.contains(scope) || scope.contains(&t.scope))
        .any(|t| t.judged.contains(&incident))
}

fn id_of(candidate: &Candidate, from: f64) -> TuningId {
    let mut parts = vec![format!("{:?}", candidate.scope), format!("{:?} {from}", candidate.way)];
    parts.extend(candidate.judged.iter().map(ToString::to_string));
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    TuningId::derive(candidate.newest, &parts)
}

fn standing(scope: BarScope, factor: f64) -> BarOrder {
    let tuning = TuningId::derive(Time::MIN, &["standing"]);
    BarOrder { scope, factor, until: Time::MAX, tuning, by: Actor::nightjar() }
}

/// The factor that holds for all of a scope: that of the narrowest bar that contains it.
fn factor_of(bars: &Bars, scope: &BarScope) -> f64 {
    let all = bars.all();
    let over = all.iter().filter(|b| b.scope.contains(scope));
    over.max_by_key(|b| b.scope.narrowness()).map_or(1.0, |b| b.factor)
}

/// The stored points of a scope's series, with what came before to learn from.
fn history(
    rows: &Rows<'_>,
    scope: &BarScope,
    since: Time,
    now: Time,
) -> Result<Vec<Samples>, Fault> {
    let filter = SeriesFilter { entity: Some(scope.entity.clone()), indicator: scope.indicator };
    let mut all = Vec::new();
    for series in rows.list_series(&filter)? {
        if !scope.covers(&series) || all.len() >= MOST_SERIES {
            continue;
        }
        let points = rows.points(series.id, since.plus_ms(-TEACH_DAYS * DAY_MS), now)?;
        if !points.is_empty() {
            all.push(Samples { series, points });
        }
    }
    Ok(all)
}

impl Stage for Tune {
    const NAME: &'static str = "tune";
    const SWEEP: Duration = Duration::from_secs(5);

    fn wants(&self, event: &Event) -> bool {
        matches!(event, Event::Run(_) | Event::Incident(_) | Event::Tuning(_))
    }

    async fn sweep(&mut self) -> Result<(), Fault> {
        let now = self.clock.now();
        self.end(now).await?;
        if self.config.propose && (self.due || now.ms_since(self.looked_at) >= EVERY_MS) {
            (self.due, self.looked_at) = (false, now);
            self.look(now).await?;
        }
        Ok(())
    }

    /// Judgements come in bursts, and a trial takes a while: the next sweep looks at all of them.
    async fn handle(&mut self, _: Event) -> Result<(), Fault> {
        self.due = true;
        Ok(())
    }
}
