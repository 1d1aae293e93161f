//! From judgements over the shadow and a button to what correlation then does, and back.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::rule::{Known, asks, count, judge};
use super::stage::counted;
use super::*;
use crate::bus::Bus;
use crate::command::{Category, Desk, Problem};
use crate::correlate::{self, Correlate};
use crate::detect::lifecycle::told;
use crate::detect::{self, Shard};
use crate::learn::{Config, Past, Patterns};
use crate::model::alert::HARMLESS;
use crate::model::clock::ManualClock;
use crate::model::harmless::{Hours, Kept};
use crate::model::signal::ExternalAlert;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::tuning::Judgement;
use crate::model::*;
use crate::stage::Stage as _;
use crate::store::{AuditFilter, Filter, Store};

/// Midnight.
const T0: Time = Time::from_ms(1_799_971_200_000);

fn day(day: i64, hour: i64, minute: i64) -> Time {
    T0.plus_ms(day * DAY_MS + hour * HOUR_MS + minute * MINUTE_MS)
}

fn kim(role: Role) -> Actor {
    Actor { via: "token".into(), id: "kim".into(), name: "kim".into(), role }
}

/// Detection's part of alerts, correlation, the desk and the stage of patterns over one store.
struct World {
    store: Store,
    clock: Arc<ManualClock>,
    shard: Shard,
    read_to: u64,
    correlate: Correlate,
    hush: Hush,
    desk: Desk,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("t.sqlite")).expect("a store");
        let (bus, clock) = (Bus::default(), ManualClock::new(T0));
        let shared = clock.clone() as SharedClock;
        Self {
            correlate: Correlate::new(
                correlate::Config::default(),
                store.clone(),
                bus.clone(),
                shared.clone(),
            ),
            hush: Hush::new(
                Config::default(),
                store.clone(),
                bus.clone(),
                shared.clone(),
                Past::default(),
            ),
            desk: Desk::new(store.clone(), bus, shared),
            shard: Shard::new(detect::Config::default()),
            read_to: 0,
            store,
            clock,
            _folder: folder,
        }
    }

    /// Another system's word at a time, through the journal as detection reads it.
    async fn tell(&mut self, at: Time, name: &str, (since, until): (Time, Option<Time>)) {
        self.clock.set(at);
        let mut batch = Batch::new("alertmanager", at);
        batch.alerts.push(ExternalAlert {
            system: "alertmanager".into(),
            labels: [("alertname", name), ("service", "pricing"), ("severity", "critical")]
                .into_iter()
                .collect(),
            annotations: Labels::default(),
            starts_at: since,
            ends_at: until,
            generator_url: None,
            episode: None,
            said_at: None,
        });
        self.store.write(move |tx| tx.append_batch(&batch).map(|_| ())).await.expect("kept");
        let from = self.read_to;
        let batches = self.store.read(move |r| r.batches_after(from, 1_000)).await.expect("read");
        for journaled in batches {
            self.read_to = journaled.seq;
            self.shard.observe(&journaled.batch);
            for external in &journaled.batch.alerts {
                let now = journaled.batch.received_at;
                let new = self.shard.alert_of_external(external, now);
                let put = move |tx: &crate::store::Tx<'_>| {
                    let old = tx.get::<Alert>(new.id)?;
                    told(old, new).map_or(Ok(()), |(alert, _)| tx.put(&alert))
                };
                self.store.write(put).await.expect("kept");
            }
        }
        self.correlate.sweep().await.expect("it correlates");
    }

    /// Two minutes of an alert, and what became of it ten minutes later.
    async fn episode(&mut self, since: Time, name: &str) -> Alert {
        for s in [0, 30, 60, 90] {
            self.tell(since.plus_ms(s * 1_000), name, (since, None)).await;
        }
        let end = since.plus_ms(2 * MINUTE_MS);
        self.tell(end, name, (since, Some(end))).await;
        for minute in [3, 5, 8, 10] {
            self.clock.set(since.plus_ms(minute * MINUTE_MS));
            self.correlate.sweep().await.expect("it correlates");
        }
        let alerts = self.store.read(|r| r.list::<Alert>(&Filter::all())).await.expect("read");
        alerts.into_iter().find(|a| a.starts_at == since && a.name() == name).expect("it is kept")
    }

    async fn look(&mut self, at: Time) -> Vec<Harmless> {
        self.clock.set(at);
        self.hush.handle(crate::bus::Event::Tick).await.expect("it hears");
        self.hush.sweep().await.expect("it sweeps");
        self.store.read(|r| r.list::<Harmless>(&Filter::all())).await.expect("read")
    }

    async fn said(&self) -> Vec<String> {
        let filter =
            AuditFilter { action: Some("harmless.".into()), limit: 50, ..AuditFilter::default() };
        let audited = self.store.read(move |r| r.audit_records(&filter)).await.expect("read");
        audited.into_iter().rev().map(|a| a.action).collect()
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, Problem>) -> String {
    result.expect_err("it is refused").to_string()
}

#[tokio::test]
async fn a_pattern_goes_through_shadow_and_a_button_keeps_quiet_and_is_lifted_by_an_incident() {
    let mut world = World::new();
    let flaky = "HighErrorRate";
    for d in 0..3 {
        let told = world.episode(day(d, 2, 10 * d), flaky).await;
        let id = told.incident.expect("it opened an incident");
        let category = Category::NotAnIncident;
        world
            .desk
            .resolve_as(&kim(Role::Responder), id, category, "cache refill")
            .await
            .expect("judged");
    }
    let [rule] = world.look(day(3, 0, 0)).await.try_into().expect("one pattern");
    assert_eq!((rule.state, rule.n_dismissed), (HarmlessState::Shadow, 3));
    assert_eq!(rule.scope.hours, Some(Hours { from: 2, hours: 1 }));
    assert_eq!(
        rule.title,
        "HighErrorRate on pricing between 02:00 and 03:00 UTC opens no incident by itself."
    );
    let words = refused(world.desk.confirm_harmless(&kim(Role::Approver), rule.id, "").await);
    assert!(words.contains("in shadow still"), "{words}");

    // In shadow it counts, and incidents open all the same.
    for d in [4, 6, 8] {
        assert!(world.episode(day(d, 2, 5), flaky).await.incident.is_some());
        assert_eq!(world.look(day(d, 3, 0)).await[0].state, HarmlessState::Shadow);
    }
    let open = world.look(day(10, 1, 0)).await.remove(0);
    assert_eq!((open.state, open.n_kept, open.followed.len()), (HarmlessState::Open, 3, 0));

    let id = open.id;
    let words = refused(world.desk.confirm_harmless(&kim(Role::Responder), id, "").await);
    assert!(words.contains("need the role approver"), "{words}");
    let held = world.desk.confirm_harmless(&kim(Role::Approver), id, "known").await.expect("yes");
    assert_eq!(held.until, Some(day(38, 1, 0)));
    let words = refused(world.desk.confirm_harmless(&kim(Role::Approver), id, "").await);
    assert!(words.contains("decided already") && words.contains("kim"), "{words}");

    let quiet = world.episode(day(11, 2, 0), flaky).await;
    let why = quiet.suppressed.clone().expect("it was kept quiet");
    assert_eq!((quiet.incident, why.by), (None, format!("learned {id}")));
    assert!(why.reason.contains("Confirmed harmless by kim"), "{}", why.reason);
    let noon = world.episode(day(11, 12, 0), flaky).await;
    assert!(noon.incident.is_some(), "at another time of day it opens one");

    // What it kept quiet comes before an incident that somebody mends.
    let before = world.episode(day(12, 2, 0), flaky).await;
    assert!(before.suppressed.is_some());
    let real = world.episode(day(12, 2, 40), "CheckoutErrors").await;
    let incident = real.incident.expect("it opened an incident");
    assert_eq!(world.look(day(12, 3, 0)).await[0].state, HarmlessState::Applied);
    world
        .desk
        .resolve_as(&kim(Role::Responder), incident, Category::Fixed, "")
        .await
        .expect("said");
    let lifted = world.look(day(12, 4, 0)).await.remove(0);
    assert_eq!((lifted.state, lifted.n_kept), (HarmlessState::Lifted, 2));
    assert!(lifted.why.contains("it began 40 min after an alert that this rule kept quiet"));
    let story = Filter::parent(incident);
    let story = world.store.read(move |r| r.list::<TimelineEntry>(&story)).await.expect("read");
    assert!(story.iter().any(|e| e.text.starts_with("Learned rule lifted: it kept HighErrorRate")));
    assert_eq!(
        world.said().await,
        ["propose", "open", "confirm", "lifted"].map(|what| format!("harmless.{what}"))
    );
    assert!(world.episode(day(13, 2, 0), flaky).await.incident.is_some(), "it opens one again");
    assert_eq!(world.look(day(13, 4, 0)).await.len(), 1, "what was said does not count again");

    // The journal alone marks the same alerts.
    let alerts = world.store.read(|r| r.list::<Alert>(&Filter::all())).await.expect("read");
    let live: BTreeSet<AlertId> =
        alerts.iter().filter(|a| a.annotations.get(HARMLESS).is_some()).map(|a| a.id).collect();
    let mut shard = Shard::new(detect::Config::default());
    let mut again = BTreeSet::new();
    let journal = world.store.read(|r| r.batches_after(0, 10_000)).await.expect("read");
    for journaled in journal {
        shard.observe(&journaled.batch);
        let told = journaled.batch.alerts.iter();
        let told = told.map(|a| shard.alert_of_external(a, journaled.batch.received_at));
        again.extend(told.filter(|a| a.annotations.get(HARMLESS).is_some()).map(|a| a.id));
    }
    assert_eq!((live.len(), live), (2, again));
}

fn case(number: u64, onset_at: Time, judgement: Judgement) -> Case {
    let pricing = EntityRef::service("pricing");
    Case {
        incident: IncidentId::derive(onset_at, &[&number.to_string()]),
        number,
        title: "pricing is slow".into(),
        onset_at,
        judgement,
        by_itself: judgement == Judgement::Unsaid,
        entities: vec![pricing.clone()],
        kinds: [((pricing, "Slow".to_owned()), Severity::Warning)].into(),
        declared: false,
    }
}

fn found(cases: &[Case]) -> Vec<Candidate> {
    candidates(cases, &Patterns::default(), |_, _, _| false)
}

#[test]
fn enough_must_speak_and_none_against() {
    use Judgement::{Confirmed, Dismissed, Unsaid};
    let all = |what: &[Judgement]| -> Vec<Case> {
        what.iter().zip(1..).map(|(j, n)| case(n, day(n as i64, 5 * n as i64, 0), *j)).collect()
    };
    assert!(found(&all(&[Dismissed, Dismissed, Unsaid])).is_empty(), "two and a half");
    let made = found(&all(&[Dismissed, Dismissed, Unsaid, Unsaid]));
    assert_eq!((made.len(), made[0].n_dismissed, made[0].scope.hours), (1, 2, None));
    assert_eq!(made[0].scope.most, Severity::Warning);
    assert!(found(&all(&[Dismissed, Dismissed, Dismissed, Confirmed])).is_empty());
    assert_eq!(found(&all(&[Unsaid; 6])).len(), 1);
    let mut several = all(&[Dismissed; 4]);
    several[0].kinds.insert((EntityRef::service("cart"), "Slow".into()), Severity::Warning);
    several[1].declared = true;
    assert!(found(&several).is_empty(), "two told nothing of this kind alone");
    // A confirmed one at another time of day leaves a pattern of the night alone.
    let mut night: Vec<Case> =
        (0..3).map(|n| case(n, day(n as i64, 23 + n as i64, 0), Dismissed)).collect();
    night.push(case(9, day(4, 12, 0), Confirmed));
    let made = found(&night);
    assert_eq!(made[0].scope.hours, Some(Hours { from: 23, hours: 3 }));
    assert!(made[0].scope.to_string().ends_with("between 23:00 and 02:00 UTC"));
}

fn rule(state: HarmlessState) -> Harmless {
    let made =
        found(&[1, 2, 3].map(|n| case(n, day(n as i64, 5 * n as i64, 0), Judgement::Dismissed)));
    Harmless {
        id: HarmlessId::derive(T0, &["a test"]),
        at: T0,
        scope: made[0].scope.clone(),
        state,
        since: T0,
        title: String::new(),
        why: String::new(),
        judged: made[0].judged.clone(),
        n_dismissed: 3,
        kept: Vec::new(),
        n_kept: 3,
        counted_until: T0,
        followed: Vec::new(),
        holds_days: 28,
        n_confirmed: 1,
        decided: None,
        until: Some(day(28, 0, 0)),
        taken_back: None,
    }
}

#[test]
fn a_confirmed_pattern_lapses_into_its_shadow_and_a_near_incident_lifts_one_there_too() {
    let graph = Graph::default();
    let at = |now: Time, cases: &[Case], rule: &Harmless| {
        judge(rule, &Patterns::default(), &Known { cases, graph: &graph, now, before: &[] })
    };
    let applied = rule(HarmlessState::Applied);
    assert_eq!(at(day(27, 23, 0), &[], &applied).state, HarmlessState::Applied);
    let lapsed = at(day(28, 0, 0), &[], &applied);
    assert_eq!((lapsed.state, lapsed.n_kept, lapsed.until), (HarmlessState::Shadow, 0, None));
    assert_eq!(lapsed.n_confirmed, 1, "it has to be confirmed anew");

    let mut shadow = rule(HarmlessState::Shadow);
    let kept = Kept { alert: AlertId::derive(T0, &["a"]), at: day(2, 0, 0), incident: None };
    shadow.kept.push(kept);
    let after = |minutes| [case(7, day(2, 0, minutes), Judgement::Confirmed)];
    assert_eq!(at(day(8, 0, 0), &after(119), &shadow).state, HarmlessState::Lifted);
    assert_eq!(at(day(8, 0, 0), &after(121), &shadow).state, HarmlessState::Open);
    assert_eq!(at(day(6, 0, 0), &after(121), &shadow).state, HarmlessState::Shadow);
    let mut far = after(60);
    far[0].entities = vec![EntityRef::service("search")];
    assert_eq!(at(day(8, 0, 0), &far, &shadow).state, HarmlessState::Open);
}

#[test]
fn alerts_are_counted_once_and_what_is_graver_not_at_all() {
    let mut rule = rule(HarmlessState::Shadow);
    rule.n_kept = 0;
    let alerts = [
        external("warning", day(1, 0, 0)),
        external("critical", day(1, 1, 0)),
        external("info", day(1, 2, 0)),
    ];
    count(&mut rule, &alerts, day(2, 0, 0));
    count(&mut rule, &alerts, day(3, 0, 0));
    assert_eq!((rule.n_kept, rule.kept.len()), (1, 1));
}

fn external(severity: &str, since: Time) -> Alert {
    let external = ExternalAlert {
        system: "alertmanager".into(),
        labels: [("alertname", "Slow"), ("service", "pricing"), ("severity", severity)]
            .into_iter()
            .collect(),
        annotations: Labels::default(),
        starts_at: since,
        ends_at: None,
        generator_url: None,
        episode: None,
        said_at: None,
    };
    detect::lifecycle::alert_of_external(&external, since)
}

#[tokio::test]
async fn many_alerts_are_counted_oldest_first_over_several_looks() {
    let world = World::new();
    let mut alerts: Vec<Alert> = (0..7).map(|n| external("warning", day(1, 0, n))).collect();
    // Of one instant there are more than one look takes.
    for n in 0..3_u8 {
        let id = AlertId::derive(day(1, 0, 3), &[&n.to_string()]);
        alerts.push(Alert { id, ..external("warning", day(1, 0, 3)) });
    }
    world.store.write(move |tx| alerts.iter().try_for_each(|a| tx.put(a))).await.expect("kept");
    let mut counting = Harmless { n_kept: 0, ..rule(HarmlessState::Shadow) };
    let until = day(2, 0, 0);
    let mut seen = Vec::new();
    while counting.counted_until < until {
        let from = counting.clone();
        let read = world.store.read(move |r| counted(r, from, until, 3));
        counting = read.await.expect("read");
        seen.push(counting.n_kept);
    }
    assert_eq!(seen.last(), Some(&10), "each is counted once: {seen:?}");
    assert!(seen.len() > 2, "{seen:?}");
}

#[tokio::test]
async fn an_alert_that_is_listed_no_more_lifts_a_noisy_pattern_all_the_same() {
    let mut world = World::new();
    let at = day(3, 1, 0);
    // 150 newer ones push the one before the incident off the list.
    let mut alerts = vec![external("warning", day(1, 11, 30))];
    alerts.extend((0..150).map(|n| external("warning", day(2, 0, n))));
    let noisy = rule(HarmlessState::Applied);
    let real = Incident {
        opened_at: day(1, 12, 0),
        onset_at: day(1, 12, 0),
        entities: vec![EntityRef::service("pricing")],
        category: Some("fixed".into()),
        closed_by: Some(kim(Role::Responder)),
        ..crate::approve::tests::sample::incident_as(None, IncidentState::Resolved)
    };
    let confirmed = real.id;
    let put = {
        let noisy = noisy.clone();
        move |tx: &crate::store::Tx<'_>| {
            tx.put(&noisy)?;
            tx.put(&real)?;
            alerts.iter().try_for_each(|a| tx.put(a))
        }
    };
    world.store.write(put).await.expect("kept");
    let lifted = world.look(at).await.remove(0);
    assert_eq!((lifted.state, lifted.n_kept - noisy.n_kept), (HarmlessState::Lifted, 151));
    assert!(lifted.kept.iter().all(|k| k.at >= day(2, 0, 0)), "its list is short");
    let first = &lifted.followed[0];
    assert_eq!((first.incident, first.after_ms), (confirmed, 30 * MINUTE_MS));

    let far = Case {
        entities: vec![EntityRef::service("search")],
        ..case(8, day(1, 12, 0), Judgement::Confirmed)
    };
    let near = case(9, T0.plus_ms(HOUR_MS), Judgement::Confirmed);
    let asked = asks(&noisy, &Patterns::default(), &[far, near], &Graph::default());
    let since: Vec<Option<Time>> = asked.iter().map(|a| a.since).collect();
    assert_eq!(since, [None, Some(T0)], "not from before it held");
}

#[tokio::test]
async fn a_pattern_whose_incidents_grew_old_says_so_when_it_is_withdrawn() {
    let mut world = World::new();
    let shadow = Harmless { n_confirmed: 0, ..rule(HarmlessState::Shadow) };
    world.store.write(move |tx| tx.put(&shadow)).await.expect("kept");
    let gone = world.look(day(70, 0, 0)).await.remove(0);
    assert_eq!(gone.state, HarmlessState::Withdrawn);
    assert_eq!(
        gone.why,
        "Too few incidents speak for it: 3 of the 3 are older than 56 days and count no more."
    );
}
