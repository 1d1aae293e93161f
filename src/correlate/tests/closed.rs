//! What is over holds against alerts that fire on.

use super::*;
use crate::bus::{Bus, Event};
use crate::model::clock::ManualClock;
use crate::model::{IncidentId, Role};
use crate::stage::Stage as _;
use crate::store::{Filter, Store};

struct World {
    store: Store,
    clock: std::sync::Arc<ManualClock>,
    stage: Correlate,
    _folder: tempfile::TempDir,
}

impl World {
    /// A world in which `alert` opened an incident that ann then closed, at second 60.
    async fn closed(alert: &Alert, category: &'static str) -> (Self, IncidentId) {
        let (mut world, id) = Box::pin(Self::open(alert)).await;
        let incident = world.incidents().await.remove(0);
        world.moved(&incident, IncidentState::Resolved, Some(category)).await;
        (world, id)
    }

    /// A world in which `alert` opened an incident.
    async fn open(alert: &Alert) -> (Self, IncidentId) {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("c.sqlite")).expect("opens");
        let clock = ManualClock::new(at(0));
        let stage = Correlate::new(Config::default(), store.clone(), Bus::default(), clock.clone());
        let mut world = Self { store, clock, stage, _folder: folder };
        world.tell(alert, 0).await;
        world.pass(0).await;
        world.pass(30).await;
        let id = world.incidents().await.remove(0).id;
        (world, id)
    }

    async fn moved(&mut self, from: &Incident, to: IncidentState, category: Option<&str>) {
        self.moved_at(60, from, to, category).await;
    }

    async fn moved_at(
        &mut self,
        seconds: i64,
        from: &Incident,
        to: IncidentState,
        category: Option<&str>,
    ) {
        let ann = Actor {
            via: "console".into(),
            id: "ann".into(),
            name: "ann".into(),
            role: Role::Responder,
        };
        let (mut next, _) =
            machine::transition(from, to, &ann, at(seconds), "by hand").expect("may");
        next.category = category.map(str::to_owned).or(next.category);
        self.store.write(move |tx| tx.put(&next)).await.expect("writes");
        self.stage.handle(Event::Incident(from.id)).await.expect("hears");
    }

    /// Stores an alert as detection does: what correlation decided stays.
    async fn tell(&mut self, alert: &Alert, seconds: i64) {
        let (id, mut alert) = (alert.id, alert.clone());
        alert.updated_at = at(seconds);
        self.store
            .write(move |tx| {
                if let Some(old) = tx.get::<Alert>(id)? {
                    (alert.incident, alert.decision) = (old.incident, old.decision);
                }
                tx.put(&alert)
            })
            .await
            .expect("writes");
    }

    /// Sweeps at a second, and a little later again.
    async fn pass(&mut self, seconds: i64) {
        for later in [0, 2] {
            self.clock.set(at(seconds + later));
            self.stage.sweep().await.expect("sweeps");
            for incident in self.incidents().await {
                self.stage.handle(Event::Incident(incident.id)).await.expect("hears");
            }
        }
    }

    fn restart(&mut self) {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        self.stage = Correlate::new(Config::default(), store, Bus::default(), clock);
    }

    async fn incidents(&self) -> Vec<Incident> {
        self.store.read(|r| r.list::<Incident>(&Filter::all())).await.expect("reads")
    }

    async fn states(&self) -> Vec<(IncidentState, u32)> {
        self.incidents().await.iter().map(|i| (i.state, i.n_reopened)).collect()
    }

    async fn decision(&self, alert: &Alert) -> String {
        let id = alert.id;
        let alert = self.store.read(move |r| r.get::<Alert>(id)).await.expect("reads");
        alert.and_then(|a| a.decision).expect("decided")
    }
}

fn errors(onset: i64) -> Alert {
    alert("orders", "HighErrorRate", "critical", onset)
}

const OVER: (IncidentState, u32) = (IncidentState::Resolved, 0);

#[tokio::test]
async fn what_a_person_closed_stays_closed_while_its_alert_fires_on() {
    for (category, verb) in [("not_an_incident", "called no incident"), ("fixed", "resolved")] {
        let a = errors(0);
        let (mut world, id) = World::closed(&a, category).await;
        for seconds in [70, 120, 600, 3_000] {
            world.pass(seconds).await;
            assert_eq!(world.states().await, [OVER], "{category} at {seconds}");
        }
        let said = world.decision(&a).await;
        let start = format!("Incident #1 was {verb} by ann at 03:01:00 UTC; it fires still.");
        assert!(said.starts_with(&start), "{said}");
        // Long after the window, in a new process, and once it was reviewed.
        world.restart();
        world.pass(9_000).await;
        assert_eq!(world.states().await, [OVER], "{category}");
        let incident = world.incidents().await.remove(0);
        assert_eq!((incident.id, incident.category.as_deref()), (id, Some(category)));
        world.moved(&incident, IncidentState::Reviewed, None).await;
        world.pass(9_100).await;
        assert_eq!(world.states().await, [(IncidentState::Reviewed, 0)], "{category}");
        // It ends, and fires again: that is news.
        world.tell(&ended(a, 9_200), 9_200).await;
        world.pass(9_200).await;
        world.tell(&errors(9_300), 9_300).await;
        world.pass(9_300).await;
        world.pass(9_400).await;
        assert_eq!(world.incidents().await.len(), 2, "{category}");
    }
}

#[tokio::test]
async fn a_new_episode_reopens_what_was_resolved_by_hand_and_not_what_was_no_incident() {
    for (category, after) in [("fixed", (IncidentState::Open, 1)), ("not_an_incident", OVER)] {
        let a = errors(0);
        let (mut world, _) = World::closed(&a, category).await;
        world.tell(&ended(a, 90), 90).await;
        world.pass(100).await;
        let again = errors(200);
        world.tell(&again, 200).await;
        world.pass(200).await;
        world.pass(300).await;
        assert_eq!(world.states().await, [after], "{category}");
        assert_eq!(world.incidents().await[0].alerts.len(), 2, "{category}");
        if after == OVER {
            let said = world.decision(&again).await;
            assert!(said.contains("; this is the same condition."), "{said}");
            // It goes on beyond the window and opens nothing; over and firing again, it does.
            world.pass(4_000).await;
            assert_eq!(world.states().await, [OVER]);
            world.tell(&ended(again, 4_010), 4_010).await;
            world.pass(4_020).await;
            world.tell(&errors(4_100), 4_100).await;
            world.pass(4_100).await;
            world.pass(4_200).await;
            assert_eq!(world.incidents().await.len(), 2);
        }
    }
}

#[tokio::test]
async fn what_a_person_reopened_gets_the_whole_quiet_time_again() {
    let a = errors(0);
    let (mut world, _) = World::closed(&a, "fixed").await;
    world.tell(&ended(a, 90), 90).await;
    world.pass(100).await;
    let incident = world.incidents().await.remove(0);
    // Its alert has been quiet for half an hour when ann reopens it.
    world.moved_at(1_900, &incident, IncidentState::Open, None).await;
    for (seconds, state) in [
        (1_905, IncidentState::Monitoring),
        (2_190, IncidentState::Monitoring),
        (2_201, IncidentState::Resolved),
    ] {
        world.pass(seconds).await;
        assert_eq!(world.states().await, [(state, 1)], "at {seconds}");
    }
}

#[tokio::test]
async fn another_condition_or_a_worse_one_is_not_kept_quiet() {
    for other in [
        alert("orders", "HighLatency", "critical", 100),
        alert("orders", "ErrorBudget", "critical", 100),
    ] {
        let a = alert("orders", "HighErrorRate", "warning", 0);
        let (mut world, id) = World::closed(&a, "not_an_incident").await;
        world.tell(&other, 100).await;
        world.pass(100).await;
        world.pass(200).await;
        let incidents = world.incidents().await;
        assert_eq!(incidents.len(), 2, "{}", other.name());
        let first = incidents.iter().find(|i| i.id == id).expect("kept");
        assert_eq!((first.state, first.n_reopened), OVER, "the person's word stands");
    }
}

#[tokio::test]
async fn what_looks_back_does_not_reopen_what_ended_by_itself() {
    let (a, mut burns) = (errors(0), alert("orders", "ErrorBudgetBurn", "warning", 10));
    burns.source = AlertSource::Detector { detector: "slo-ticket/1".into() };
    burns.annotations.set(crate::model::alert::LOOKS_BACK, "true");
    let (mut world, id) = World::open(&a).await;
    world.tell(&burns, 40).await;
    world.pass(40).await;
    world.tell(&ended(a, 90), 90).await;
    for seconds in [100, 400] {
        world.pass(seconds).await;
    }
    assert_eq!(world.states().await, [OVER]);
    // It is told again and again while it fires on: within the window, beyond it, after a start.
    for seconds in [460, 900, 3_000, 9_000, 12_000] {
        if seconds == 9_000 {
            world.restart();
        }
        world.tell(&burns, seconds).await;
        world.pass(seconds).await;
        assert_eq!(world.states().await, [OVER], "at {seconds}");
    }
    let said = world.decision(&burns).await;
    assert!(said.contains("looks back over hours: it fires on for what is over"), "{said}");
    // Another fault is an incident of its own so long after, and takes nothing of it.
    world.tell(&errors(12_100), 12_100).await;
    world.pass(12_100).await;
    world.pass(12_200).await;
    assert_eq!(world.states().await.len(), 2);
    // It is over and begins again: that is news.
    world.tell(&ended(burns.clone(), 12_300), 12_300).await;
    world.pass(12_300).await;
    let first = world.incidents().await.into_iter().find(|i| i.id == id).expect("kept");
    assert_eq!((first.state, first.n_reopened, first.alerts.len()), (OVER.0, 0, 2));
}

#[tokio::test]
async fn what_looks_back_and_grows_worse_is_news() {
    let (a, mut burns) = (errors(0), alert("orders", "ErrorBudgetBurn", "warning", 10));
    burns.source = AlertSource::Detector { detector: "slo-ticket/1".into() };
    burns.annotations.set(crate::model::alert::LOOKS_BACK, "true");
    let (mut world, _) = World::open(&a).await;
    world.tell(&burns, 40).await;
    world.pass(40).await;
    world.tell(&ended(a, 90), 90).await;
    for seconds in [100, 400] {
        world.pass(seconds).await;
    }
    assert_eq!(world.states().await, [OVER]);
    burns.severity = Severity::Critical;
    world.tell(&burns, 500).await;
    for seconds in [500, 530, 560] {
        world.pass(seconds).await;
    }
    assert_ne!(world.states().await, [OVER]);
}
