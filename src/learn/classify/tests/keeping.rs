//! Versions in the store: born in shadow, promoted, rolled back, demoted when they drift.

use std::sync::Arc;

use super::*;
use crate::bus::Bus;
use crate::learn::classify::Classify;
use crate::learn::classify::keeper::{VAIN, Vain};
use crate::model::classify::Watch;
use crate::model::clock::ManualClock;
use crate::stage::Stage as _;
use crate::store::{AuditFilter, Filter, Store};

struct Desk {
    store: Store,
    clock: Arc<ManualClock>,
    keeper: Keeper,
    stage: Classify,
    _folder: tempfile::TempDir,
}

fn operator() -> Actor {
    let name = "operator".to_owned();
    Actor { via: "console".into(), id: name.clone(), name, role: Role::Approver }
}

impl Desk {
    fn open(config: Config) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("c.sqlite")).expect("a store");
        let clock = ManualClock::new(t0());
        let keeper = Keeper::new(config, store.clone(), clock.clone());
        let stage = Classify::new(keeper.clone(), Bus::default(), clock.clone());
        Self { store, clock, keeper, stage, _folder: folder }
    }

    /// Lets incidents happen: each is told, looked at in its time, and judged.
    async fn live(&mut self, all: &[Told]) {
        for told in all {
            let told = told.clone();
            self.clock.set(told.incident.opened_at.plus_ms(61_000).max(self.clock.now()));
            let open = Incident {
                state: IncidentState::Open,
                category: None,
                closed_by: None,
                resolved_at: None,
                ..told.incident.clone()
            };
            let (alerts, changes) = (told.alerts.clone(), told.changes.clone());
            self.store
                .write(move |tx| {
                    alerts.iter().try_for_each(|a| tx.put(a))?;
                    changes.iter().try_for_each(|c| tx.put(c))?;
                    tx.put(&open)
                })
                .await
                .expect("written");
            self.stage.sweep().await.expect("swept");
            let lesson = lesson_of(&told);
            self.store
                .write(move |tx| {
                    lesson.iter().try_for_each(|l| tx.put(l))?;
                    tx.put(&told.incident)
                })
                .await
                .expect("written");
        }
    }

    async fn predictions(&self, version: u32) -> Vec<Prediction> {
        let of = Filter::subject(version);
        self.store.read(move |r| r.list::<Prediction>(&of)).await.expect("read")
    }

    async fn version(&self, version: u32) -> Classifier {
        let read = self.store.read(move |r| r.get::<Classifier>(version)).await;
        read.expect("read").expect("the version")
    }
}

fn by_hand() -> Config {
    Config { train: false, ..Config::default() }
}

#[tokio::test]
async fn a_version_is_born_in_shadow_and_rolled_back_to_the_same_answers() {
    let all = Site::shop().history(190, t0(), 31);
    let mut desk = Desk::open(by_hand());
    desk.live(&all[..20]).await;
    let refused = desk.keeper.train(&operator()).await.expect("the store works");
    assert!(refused.is_err_and(|r| r.to_string().contains("Too little was said")));
    desk.live(&all[20..90]).await;

    let first = desk.keeper.train(&operator()).await.expect("trained").expect("enough was said");
    assert_eq!((first.version, first.state), (1, ClassifierState::Shadow));
    let again = desk.keeper.train(&operator()).await.expect("trained");
    assert!(again.is_err_and(|r| r.to_string().contains("the trees would be the same")));
    desk.live(&all[90..100]).await;
    let told = desk.predictions(1).await;
    assert_eq!(told.len(), 10, "it answers in shadow");
    assert!(told.iter().all(|p| !p.shown) && told.iter().any(|p| !p.answers.is_empty()));
    let last = all[99].incident.id;
    let shown = desk.store.read(move |r| r.live_prediction(last)).await.expect("read");
    assert_eq!(shown, None, "nobody sees it");

    let live = desk.keeper.promote(&operator(), None, "good enough").await.expect("the store");
    assert_eq!(live.expect("promoted").state, ClassifierState::Live);
    desk.live(&all[100..150]).await;
    assert!(desk.predictions(1).await.iter().any(|p| p.shown && !p.answers.is_empty()));
    let second = desk.keeper.train(&operator()).await.expect("trained").expect("more was said");
    assert_eq!(second.version, 2);
    desk.keeper.promote(&operator(), Some(2), "newer").await.expect("kept").expect("promoted");
    assert_eq!(desk.version(1).await.state, ClassifierState::Former);

    // The former version gives its answers again, to the last bit.
    let gone = all[120].incident.id;
    let (said, hash) = (format!("{gone}/1"), desk.version(1).await.hash);
    let before = desk.store.read(move |r| r.get::<Prediction>(said)).await.expect("read");
    let back = desk.keeper.rollback(&operator(), None, "worse").await.expect("kept").expect("back");
    assert_eq!((back.version, back.state, &back.hash), (1, ClassifierState::Live, &hash));
    let answers = desk
        .store
        .read(move |r| {
            let kept = r.get::<Kept>(&back.hash)?.expect("its trees are kept");
            let snapshot = r.get::<Snapshot>(gone)?.expect("its snapshot");
            let history = super::super::gather::history(r, 2_000)?;
            Ok(kept.trained.answers(&back.card, &history, &snapshot))
        })
        .await
        .expect("read");
    assert_eq!(Some(answers), before.map(|p| p.answers));

    // Every deed left a record.
    let audit = AuditFilter { limit: 100, ..AuditFilter::default() };
    let records = desk.store.read(move |r| r.audit_records(&audit)).await.expect("read");
    let deeds = records.iter().filter(|r| r.action.starts_with("classifier.")).count();
    assert_eq!(deeds, 2 + 1 + 2 + 2, "trained twice, promoted, took over, rolled back");
}

#[tokio::test]
async fn going_back_twice_goes_back_two_steps_and_only_to_what_may_be_live() {
    let mut desk = Desk::open(by_hand());
    let all = Site::shop().history(105, t0(), 31);
    for (version, part) in (1..).zip([&all[..85], &all[85..90], &all[90..95], &all[95..]]) {
        desk.live(part).await;
        desk.keeper.train(&operator()).await.expect("trained").expect("more was said");
        if version < 4 {
            desk.keeper.promote(&operator(), None, "").await.expect("kept").expect("promoted");
        }
    }
    let states = async |desk: &Desk| {
        let mut states = Vec::new();
        for version in 1..=4 {
            states.push(desk.version(version).await.state.as_str());
        }
        states
    };
    let mut back = Vec::new();
    assert_eq!(states(&desk).await, ["former", "former", "live", "shadow"]);
    let never = desk.keeper.rollback(&operator(), Some(4), "").await.expect("the store");
    assert!(never.is_err_and(|r| r.to_string().contains("was never live")));
    for _ in 0..2 {
        desk.clock.set(desk.clock.now().plus_ms(1_000));
        let to = desk.keeper.rollback(&operator(), None, "worse").await.expect("kept");
        back.push(to.expect("back").version);
    }
    assert_eq!(back, [2, 1], "not to the version just left");
    assert_eq!(states(&desk).await, ["live", "former", "former", "shadow"]);

    // Promoted again after a rollback, it counts again; what drifts does not.
    desk.keeper.promote(&operator(), Some(2), "").await.expect("kept").expect("promoted");
    desk.clock.set(desk.clock.now().plus_ms(1_000));
    desk.keeper.promote(&operator(), Some(3), "").await.expect("kept").expect("promoted");
    let drifting = Classifier {
        watch: Some(Watch {
            at: desk.clock.now(),
            drifts: true,
            text: "Its answers are worse.".into(),
            n_recent: 0,
            moved: Vec::new(),
            live: Vec::new(),
        }),
        ..desk.version(2).await
    };
    desk.store.write(move |tx| tx.put(&drifting)).await.expect("written");
    let named = desk.keeper.rollback(&operator(), Some(2), "").await.expect("the store");
    assert!(named.is_err_and(|r| r.to_string().contains("drifts")));
    let past = desk.keeper.rollback(&operator(), None, "").await.expect("kept").expect("back");
    assert_eq!(past.version, 1, "the drifting one is passed over");
    let useless = |c: Classifier| {
        let mut useless = c;
        useless.card.heads.iter_mut().for_each(|h| h.brier = h.base_brier);
        useless
    };
    let former = useless(desk.version(3).await);
    desk.store.write(move |tx| tx.put(&former)).await.expect("written");
    let named = desk.keeper.rollback(&operator(), Some(3), "").await.expect("the store");
    assert!(named.is_err_and(|r| r.to_string().contains("not better")));
    assert_eq!(states(&desk).await, ["live", "former", "former", "shadow"]);
}

#[tokio::test]
async fn without_a_version_before_rolling_back_shows_nothing() {
    let mut desk = Desk::open(by_hand());
    desk.live(&Site::platform().history(80, t0(), 5)).await;
    let none = desk.keeper.rollback(&operator(), None, "").await.expect("the store");
    assert!(none.is_err_and(|r| r.to_string().contains("nothing to roll back")));
    desk.keeper.train(&operator()).await.expect("trained").expect("enough was said");
    desk.keeper.promote(&operator(), None, "").await.expect("kept").expect("promoted");
    let twice = desk.keeper.promote(&operator(), Some(1), "").await.expect("the store");
    assert!(twice.is_err_and(|r| r.to_string().contains("live already")));
    let back = desk.keeper.rollback(&operator(), None, "").await.expect("kept").expect("back");
    assert_eq!((back.version, back.state), (1, ClassifierState::Shadow));
    let unknown = desk.keeper.promote(&operator(), Some(9), "").await.expect("the store");
    assert!(unknown.is_err_and(|r| matches!(r, Refused::NotFound(_))));
}

#[tokio::test]
async fn another_kind_of_incidents_sends_a_live_version_back_to_shadow() {
    let mut desk = Desk::open(by_hand());
    let known = Site::shop().history(90, t0(), 8);
    desk.live(&known).await;
    desk.keeper.train(&operator()).await.expect("trained").expect("enough was said");
    desk.keeper.promote(&operator(), None, "").await.expect("kept").expect("promoted");
    let on = |from: Time| from.plus_ms(DAY_MS);
    let end = known.last().map_or_else(t0, |t| t.incident.opened_at);
    let same = Site::shop().history(50, on(end), 9);
    desk.live(&same).await;
    let version = desk.version(1).await;
    let watch = version.watch.expect("it was looked at");
    assert_eq!(version.state, ClassifierState::Live, "{}", watch.text);
    assert!(watch.n_recent >= 40 && watch.live.iter().any(|l| l.n > 15), "{watch:?}");
    let end = same.last().map_or_else(t0, |t| t.incident.opened_at);
    desk.live(&Site::platform().history(100, on(end), 10)).await;
    let version = desk.version(1).await;
    let watch = version.watch.expect("it was looked at");
    assert_eq!(version.state, ClassifierState::Shadow, "{}", watch.text);
    // Features have no names of services: the sites look alike, and its answers are wrong there.
    assert!(watch.drifts && watch.text.contains("chance does not explain"), "{}", watch.text);
    let deed = version.deeds.last().expect("its moves");
    assert!(deed.reason.starts_with("It drifts."), "{}", deed.reason);
    let refused = desk.keeper.promote(&operator(), Some(1), "").await.expect("the store");
    assert!(refused.is_err_and(|r| r.to_string().contains("drifts")));
}

#[tokio::test]
async fn it_trains_by_itself_once_enough_was_said() {
    let mut desk = Desk::open(Config::default());
    let all = Site::shop().history(80, t0(), 4);
    desk.live(&all[..30]).await;
    let none = desk.store.read(|r| r.count::<Classifier>(&Filter::all())).await.expect("read");
    assert_eq!(none, 0, "silent before");
    desk.live(&all[30..]).await;
    let versions = desk.store.read(|r| r.list::<Classifier>(&Filter::all())).await.expect("read");
    assert!(versions.len() >= 2, "trained anew as more was said");
    let shadows = versions.iter().filter(|v| v.state == ClassifierState::Shadow).count();
    assert_eq!((shadows, versions.iter().any(|v| v.state == ClassifierState::Live)), (1, false));
}

#[tokio::test]
async fn a_refused_training_is_tried_again_only_once_something_changed() {
    let mut desk = Desk::open(by_hand());
    let all = Site::shop().history(61, t0(), 4);
    desk.live(&all[..60]).await;
    desk.keeper.train(&operator()).await.expect("trained").expect("enough was said");
    // By itself from now on, with one more that is said to be of a kind too rare to be learned.
    let config = Config { train: true, ..by_hand() };
    desk.keeper = Keeper::new(config, desk.store.clone(), desk.clock.clone());
    desk.stage = Classify::new(desk.keeper.clone(), Bus::default(), desk.clock.clone());
    let planned = |told: &Told| {
        let mut told = told.clone();
        let person = operator();
        (told.incident.category, told.incident.closed_by) = (Some("planned".into()), Some(person));
        told.tried.clear();
        told
    };
    desk.live(&[planned(&all[60])]).await;
    let refused = async |desk: &Desk| {
        desk.store.read(|r| r.value::<Vain>(VAIN)).await.expect("read").map(|v| v.at)
    };
    assert_eq!(refused(&desk).await, None);
    let after_h = async |desk: &mut Desk, hours: i64| {
        desk.clock.set(desk.clock.now().plus_ms(hours * 3_600_000));
        desk.stage.sweep().await.expect("swept");
        refused(desk).await
    };
    let first = after_h(&mut desk, 8 * 24).await.expect("old and more was said: it is tried");
    for _ in 0..3 {
        assert_eq!(after_h(&mut desk, 2).await, Some(first), "nothing changed");
    }
    // What another version wrote there and nobody can read any more costs one training.
    desk.store.write(|tx| tx.put_value(VAIN, &"as it was")).await.expect("written");
    let first = Some(after_h(&mut desk, 2).await.expect("tried")).filter(|at| *at > first);
    let first = first.expect("tried anew");
    assert_eq!(after_h(&mut desk, 2).await, Some(first), "and known again");
    // Of one of which nobody had said anything somebody does now.
    let unsaid = all[..60].iter().rfind(|t| t.incident.closed_by.is_none() && t.tried.is_empty());
    let said = planned(unsaid.expect("one")).incident;
    desk.store.write(move |tx| tx.put(&said)).await.expect("written");
    let again = after_h(&mut desk, 2).await;
    let versions = desk.store.read(|r| r.count::<Classifier>(&Filter::all())).await.expect("read");
    assert!(again > Some(first) || versions > 1, "something was said: it is tried again");
}

#[tokio::test]
async fn what_could_be_learned_is_read_anew_only_when_something_was_said() {
    let mut desk = Desk::open(by_hand());
    let all = Site::shop().history(20, t0(), 9);
    desk.live(&all).await;
    let config = by_hand();
    let whole = async |desk: &Desk| {
        let config = config.clone();
        let read = desk.store.read(move |r| keeper::standing(r, &config)).await;
        read.expect("read")
    };
    let first = desk.keeper.standing().await.expect("read");
    assert_eq!(*first, whole(&desk).await);
    let again = desk.keeper.standing().await.expect("read");
    assert!(Arc::ptr_eq(&first, &again), "nothing changed, nothing is read");
    // Said of one; then a fix measured at another; then one more incident.
    let mut judged = all.iter().find(|t| t.incident.closed_by.is_none()).cloned().expect("one");
    judged.incident.category = Some("not_an_incident".into());
    judged.incident.closed_by = Some(operator());
    let (one, other) = (judged.incident.clone(), all[1].incident.id);
    let lesson = Lesson {
        given: None,
        key: "another run".into(),
        at: t0().plus_ms(400 * DAY_MS),
        pattern: "traffic".into(),
        entity: all[1].at.clone(),
        actions: vec!["scale/out".into()],
        incident: other,
        run: None,
        taught: Taught::Helped,
    };
    let mut before = first;
    for turn in 0..3 {
        let (one, lesson) = (one.clone(), lesson.clone());
        match turn {
            0 => desk.store.write(move |tx| tx.put(&one)).await.expect("written"),
            1 => desk.store.write(move |tx| tx.put(&lesson)).await.expect("written"),
            _ => {
                let from = all[19].incident.opened_at.plus_ms(DAY_MS);
                desk.live(&Site::shop().history(1, from, 2)).await;
            }
        }
        let now = desk.keeper.standing().await.expect("read");
        assert_eq!(*now, whole(&desk).await, "turn {turn}");
        assert_ne!(now.data_hash, before.data_hash, "turn {turn}");
        before = now;
    }
}
