//! From judgements to a proposal, its button, and what detection then does.

use std::time::Duration;

use super::*;
use crate::backtest::{Run, Setup};
use crate::bus::{Bus, Event};
use crate::command::Category::{self, Fixed, NotAnIncident, Recovered};
use crate::command::{Desk, NewIncident};
use crate::correlate;
use crate::detect::{self, Shard, SharedShard};
use crate::learn::{Config, Past};
use crate::model::clock::ManualClock;
use crate::model::signal::Direction;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::*;
use crate::stage::Stage as _;
use crate::store::{AuditFilter, Filter, Store};

const T0: Time = Time::from_ms(1_800_000_000_000);
/// Hours of history; the first are calm.
const HOURS: i64 = 10;
const CALM: i64 = 5;
/// A bump that is not told at the configured bar.
const LOW: f64 = 0.61;

fn actor(role: Role) -> Actor {
    Actor { via: "token".into(), id: "kim".into(), name: "kim".into(), role }
}

fn series() -> Series {
    let (entity, labels) = (EntityRef::service("orders"), Labels::default());
    Series {
        id: Series::identity("main", "error ratio", &entity, &labels),
        source: "main".into(),
        entity,
        metric: "error ratio".into(),
        labels,
        indicator: Indicator::Errors,
        unit: "1".into(),
        direction: Direction::High,
        query: None,
        limit: None,
        step_ms: 15_000,
    }
}

/// A point every 15 s around 0.4; from minute 20 of an hour for three minutes what `high` says of
/// that hour.
fn batch(i: i64, high: impl Fn(i64) -> f64) -> Batch {
    let at = T0.plus_ms(i * 15_000);
    let noise = ((i * 7_919) % 97) as f64 / 97.0 * 0.04;
    let hour = i / 240;
    let bump = (80..92).contains(&(i % 240)) && hour >= CALM;
    let mut batch = Batch::new("main", at);
    let value = if bump { high(hour) } else { 0.4 } + noise;
    batch.metrics.push(Samples { series: series(), points: vec![Point { at, value }] });
    batch
}

/// How the incident of an hour ended.
type Ended = fn(i64) -> Category;

struct World {
    store: Store,
    bus: Bus,
    clock: std::sync::Arc<ManualClock>,
    shard: SharedShard,
    _folder: tempfile::TempDir,
}

impl World {
    /// A store with the history, the incidents that detection told of it, and their ends.
    async fn new(high: fn(i64) -> f64, ended: Ended) -> Self {
        let detect = detect::Config {
            budget: detect::budget::Config { anomalies_per_day: 0.0, ..Default::default() },
            ..Default::default()
        };
        let setup = Setup { detect, ..Setup::default() };
        let mut run = Run::new(setup, [(series().entity, Time::MIN)].into());
        let mut samples = Samples { series: series(), points: Vec::new() };
        for i in 0..HOURS * 240 {
            let batch = batch(i, high);
            samples.points.extend(batch.metrics[0].points.clone());
            run.take(&batch);
        }
        let outcome = run.finish();
        let n_alerts = outcome.alerts.len();
        assert_eq!(
            outcome.incidents.len() as i64,
            HOURS - CALM,
            "one an hour of {n_alerts} alerts"
        );
        let folder = tempfile::tempdir().expect("a scratch folder");
        let incidents = outcome.incidents.clone();
        let store = Store::open(&folder.path().join("t.sqlite")).expect("a store");
        store
            .write(move |tx| {
                tx.append_points(&samples)?;
                for mut alert in outcome.alerts {
                    let of = outcome.incidents.iter().find(|i| i.alerts.contains(&alert.id));
                    alert.incident = of.map(|i| i.id);
                    tx.put(&alert)?;
                }
                outcome.incidents.iter().try_for_each(|incident| tx.put(incident))
            })
            .await
            .expect("written");
        let clock = ManualClock::new(T0.plus_ms(HOURS * HOUR_MS));
        let desk = Desk::new(store.clone(), Bus::default(), clock.clone() as SharedClock);
        for incident in incidents {
            let category = ended(incident.onset_at.ms_since(T0) / HOUR_MS);
            let kim = actor(Role::Responder);
            desk.resolve_as(&kim, incident.id, category, "as I saw it").await.expect("judged");
        }
        let shard = SharedShard::new(detect::Config::default());
        Self { store, bus: Bus::default(), clock, shard, _folder: folder }
    }

    /// A store with the same series, of which detection told nothing, while a person opened an
    /// incident by hand at each bump and resolved it as fixed.
    async fn missed(high: fn(i64) -> f64) -> Self {
        let mut samples = Samples { series: series(), points: Vec::new() };
        for i in 0..HOURS * 240 {
            samples.points.extend(batch(i, high).metrics[0].points.clone());
        }
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("t.sqlite")).expect("a store");
        store.write(move |tx| tx.append_points(&samples).map(drop)).await.expect("written");
        let clock = ManualClock::new(T0);
        let desk = Desk::new(store.clone(), Bus::default(), clock.clone() as SharedClock);
        let kim = actor(Role::Responder);
        for hour in CALM..HOURS {
            let bump = T0.plus_ms(hour * HOUR_MS + 20 * MINUTE_MS);
            clock.advance(Duration::from_millis(bump.ms_since(clock.now()).unsigned_abs()));
            let new = NewIncident {
                title: "orders fail".into(),
                service: Some("orders".into()),
                severity: Severity::Critical,
                text: String::new(),
            };
            let opened = desk.declare(&kim, new).await.expect("opened");
            clock.advance(Duration::from_secs(180));
            desk.resolve_as(&kim, opened.id, Fixed, "by hand").await.expect("judged");
        }
        clock.advance(Duration::from_secs(37 * 60));
        let shard = SharedShard::new(detect::Config::default());
        Self { store, bus: Bus::default(), clock, shard, _folder: folder }
    }

    async fn tune(&self) -> Vec<Tuning> {
        let reach = (self.store.clone(), self.bus.clone(), self.clock.clone() as SharedClock);
        let judged_by = (detect::Config::default(), correlate::Config::default());
        let mut stage =
            Tune::new(Config::default(), judged_by, reach, self.shard.clone(), Past::default());
        stage.sweep().await.expect("it sweeps");
        // Twice is as once.
        stage.handle(Event::Tick).await.expect("it hears");
        stage.sweep().await.expect("it sweeps again");
        self.store.read(|r| r.list(&Filter::all())).await.expect("read")
    }

    fn desk(&self) -> Desk {
        Desk::new(self.store.clone(), self.bus.clone(), self.clock.clone() as SharedClock)
    }

    /// The orders in the journal, for a shard to hear.
    async fn orders(&self) -> Vec<BarOrder> {
        let batches = self.store.read(|r| r.batches_after(0, 100)).await.expect("read");
        batches.into_iter().flat_map(|j| j.batch.bars).collect()
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, crate::command::Problem>) -> String {
    result.expect_err("it is refused").to_string()
}

#[tokio::test]
async fn false_alarms_become_a_proposal_that_a_button_applies_and_takes_back() {
    let world = World::new(|_| 0.81, |_| NotAnIncident).await;
    let [tuning] = world.tune().await.try_into().expect("one proposal");
    assert_eq!(tuning.state, TuningState::Open, "{tuning:?}");
    assert_eq!(tuning.scope, BarScope::series(&series()));
    assert!(tuning.from == 1.0 && tuning.factor > 1.0 && tuning.judged.len() == 5, "{tuning:?}");
    let trial = tuning.trial.clone().expect("it was tried");
    assert_eq!((trial.incidents.before, trial.incidents.after), (5, 0), "{}", trial.text);
    assert!(trial.told.iter().all(|j| !j.stays && j.replayed), "{:?}", trial.told);

    let (desk, id) = (world.desk(), tuning.id);
    let words = refused(desk.apply_tuning(&actor(Role::Responder), id, "").await);
    assert!(words.contains("need the role approver"), "{words}");
    let applied = desk.apply_tuning(&actor(Role::Approver), id, "known noise").await.expect("yes");
    assert_eq!(applied.until, Some(world.clock.now().plus_ms(56 * DAY_MS)));
    let words = refused(desk.apply_tuning(&actor(Role::Approver), id, "").await);
    assert!(words.contains("decided already") && words.contains("kim"), "{words}");
    let orders = world.orders().await;
    assert_eq!(orders.len(), 1, "the second press orders nothing");
    desk.take_back_tuning(&actor(Role::Approver), id, "needed after all").await.expect("yes");
    assert!(
        refused(desk.take_back_tuning(&actor(Role::Admin), id, "").await).contains("taken back")
    );
    let [put, back] = world.orders().await.try_into().expect("two orders");
    let audited = world
        .store
        .read(|r| {
            r.audit_records(&AuditFilter {
                action: Some("tuning.".into()),
                limit: 9,
                ..AuditFilter::default()
            })
        })
        .await
        .expect("read");
    let mut said: Vec<&str> = audited.iter().map(|a| a.action.as_str()).collect();
    said.sort_unstable();
    assert_eq!(said, ["tuning.apply", "tuning.propose", "tuning.take_back"]);

    // The same data: told, quiet once the order came, told again once it was taken back.
    let mut shard = Shard::new(detect::Config::default());
    let mut told = std::collections::BTreeSet::new();
    for i in 0..11 * 240 {
        let mut batch = batch(i, |_| 0.81);
        match i / 240 {
            7 if i % 240 == 0 => batch.bars.push(put.clone()),
            9 if i % 240 == 0 => batch.bars.push(back.clone()),
            _ => {}
        }
        if !shard.observe(&batch).is_empty() {
            told.insert(i / 240);
        }
    }
    assert_eq!(Vec::from_iter(told), [5, 6, 9, 10]);
    // What was decided needs new judgements.
    assert_eq!(world.tune().await.len(), 1);
}

#[tokio::test]
async fn a_change_that_would_lose_a_confirmed_incident_is_not_made_and_says_so() {
    let one_real: Ended = |hour| if hour == 8 { Fixed } else { NotAnIncident };
    let world = World::new(|_| 0.81, one_real).await;
    let [tuning] = world.tune().await.try_into().expect("one was looked at");
    assert_eq!(tuning.state, TuningState::NotMade);
    assert!(tuning.why.contains("which was confirmed, would no longer be told"), "{}", tuning.why);
    let words = refused(world.desk().apply_tuning(&actor(Role::Admin), tuning.id, "").await);
    assert!(words.contains("not made"), "{words}");

    // Where what was real was further out, the others go and it stays.
    let world = World::new(|hour| if hour == 8 { 2.4 } else { 0.81 }, one_real).await;
    let [tuning] = world.tune().await.try_into().expect("one proposal");
    assert_eq!(tuning.state, TuningState::Open, "{}", tuning.why);
    let trial = tuning.trial.expect("it was tried");
    let real: Vec<_> =
        trial.told.iter().filter(|j| j.judgement == tuning::Judgement::Confirmed).collect();
    assert!(real.len() == 1 && real[0].stays, "{}", trial.text);
    assert!(trial.told.iter().filter(|j| j.stays).count() <= 2, "{}", trial.text);
}

#[tokio::test]
async fn incidents_that_detection_missed_become_a_proposal_to_tell_more() {
    let world = World::missed(|_| LOW).await;
    let tunings = world.tune().await;
    let of = |i| tunings.iter().find(|t| t.scope == BarScope::indicator(series().entity, i));
    let tuning = of(Indicator::Errors).expect("errors of orders were tried");
    assert_eq!(tuning.state, TuningState::Open, "{tuning:?}");
    assert!(tuning.from == 1.0 && tuning.factor < 1.0 && tuning.judged.len() == 5, "{tuning:?}");
    let trial = tuning.trial.clone().expect("it was tried");
    assert!(trial.alerts.before <= 1 && trial.alerts.after >= 4, "{}", trial.text);
    // One change at a time for an entity.
    assert!(tunings.iter().all(|t| t.id == tuning.id || t.state != TuningState::Open));

    world.desk().apply_tuning(&actor(Role::Approver), tuning.id, "").await.expect("yes");
    let [order] = world.orders().await.try_into().expect("one order");
    let told = |order: Option<&BarOrder>| {
        let mut shard = Shard::new(detect::Config::default());
        let mut hours = std::collections::BTreeSet::new();
        for i in 0..HOURS * 240 {
            let mut batch = batch(i, |_| LOW);
            if i == 7 * 240 {
                batch.bars.extend(order.cloned());
            }
            if !shard.observe(&batch).is_empty() {
                hours.insert(i / 240);
            }
        }
        Vec::from_iter(hours)
    };
    let (before, after) = (told(None), told(Some(&order)));
    assert!(before.len() <= 1, "{before:?}");
    let early = |hours: &[i64]| hours.iter().copied().filter(|h| *h < 7).collect::<Vec<_>>();
    assert_eq!(early(&after), early(&before), "the order holds from hour 7 on");
    assert!(after.len() >= before.len() + 2, "{after:?} rather than {before:?}");
}

#[tokio::test]
async fn too_few_judgements_say_nothing_and_a_proposal_goes_with_them() {
    let few: Ended = |hour| if hour < 7 { NotAnIncident } else { Recovered };
    assert_eq!(World::new(|_| 0.81, few).await.tune().await, []);

    let world = World::new(|_| 0.81, |_| NotAnIncident).await;
    let id = world.tune().await[0].id;
    // Three of five are looked at again and were real after all.
    let all: Vec<Incident> = world.store.read(|r| r.list(&Filter::all())).await.expect("read");
    let changed: Vec<Incident> = all
        .into_iter()
        .take(3)
        .map(|i| Incident { category: Some("recovered".into()), ..i })
        .collect();
    let written = world.store.write(move |tx| changed.iter().try_for_each(|i| tx.put(i)));
    written.await.expect("written");
    let [withdrawn] = world.tune().await.try_into().expect("no other");
    assert_eq!((withdrawn.id, withdrawn.state), (id, TuningState::Withdrawn));
}

#[tokio::test]
async fn what_was_applied_lapses_and_what_nobody_decided_is_withdrawn() {
    let world = World::new(|_| 0.81, |_| NotAnIncident).await;
    let id = world.tune().await[0].id;
    world.desk().apply_tuning(&actor(Role::Approver), id, "").await.expect("yes");
    world.clock.advance(std::time::Duration::from_secs(57 * 86_400));
    assert_eq!(world.tune().await[0].state, TuningState::Lapsed);

    let world = World::new(|_| 0.81, |_| NotAnIncident).await;
    world.tune().await;
    world.clock.advance(std::time::Duration::from_secs(15 * 86_400));
    let states: Vec<TuningState> = world.tune().await.iter().map(|t| t.state).collect();
    assert_eq!(states[0], TuningState::Withdrawn);
}

#[test]
fn steps_are_bounded() {
    assert_eq!(Way::Raise.rungs(1.0), [1.25, 1.5, 2.0]);
    assert_eq!(Way::Raise.rungs(2.0), [2.5]);
    assert_eq!(Way::Raise.rungs(2.5), [0.0; 0]);
    assert_eq!(Way::Lower.rungs(1.0), [0.8, 0.6]);
    assert_eq!(Way::Lower.rungs(2.5), [2.0, 1.5, 1.25]);
    assert_eq!(Way::Lower.rungs(0.6), [0.0; 0]);
}
