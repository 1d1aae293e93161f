//! The chart as a picture in the thread of the card.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

use super::platform::{Memory, World};
use super::telling::platform;
use super::*;
use crate::bus::Event;
use crate::chat::StoredFile;
use crate::model::diagnosis::Finding;
use crate::stage::Stage as _;
use crate::store::{Filter, Index, Record};

fn evidence(incident: &Incident) -> Evidence {
    let series: Series = serde_json::from_value(json!({
        "id": "00000000000000a1", "source": "shop", "entity": "service.name=checkout",
        "metric": "duration p99", "labels": {}, "indicator": "duration", "unit": "s",
        "direction": "high", "query": null, "limit": null, "step_ms": time::MINUTE_MS,
    }))
    .expect("a series");
    let at = |m: i64| t0().plus_ms(m * time::MINUTE_MS);
    let points = (0..30).map(|m| Point { at: at(m), value: if m < 20 { 0.1 } else { 2.0 } });
    Evidence {
        id: EvidenceId::derive(t0(), &["latency"]),
        incident: Some(incident.id),
        at: at(30),
        summary: "it rose".into(),
        source: "shop".into(),
        query: "q".into(),
        since: at(0),
        until: at(30),
        finding: Finding::Metric {
            series,
            points: points.collect(),
            expected: None,
            bands: Vec::new(),
            before: 0.1,
            after: 2.0,
            onset: Some(at(20)),
        },
    }
}

fn diagnosis(incident: &Incident, changes: Vec<Change>) -> Diagnosis {
    Diagnosis {
        incident: incident.id,
        revision: 1,
        at: t0(),
        summary: String::new(),
        hypotheses: vec![],
        conclusive: false,
        first_look: false,
        evidence: vec![],
        gaps: vec![],
        changes,
        similar: vec![],
        runbooks: vec![],
        charts: vec![evidence(incident).id],
        counterfactuals: Vec::new(),
        steps: Vec::new(),
        reach: crate::model::diagnosis::Reach::default(),
    }
}

fn change() -> Change {
    serde_json::from_value(json!({
        "id": ChangeId::derive(t0(), &["c"]), "kind": "deploy", "entity": "service.name=checkout",
        "at": t0(), "title": "checkout 4.7.2", "version": null, "previous": null, "author": null,
        "url": null, "source": "test", "status": "success", "attributes": {},
    }))
    .expect("a change")
}

#[tokio::test(start_paused = true)]
async fn the_chart_is_uploaded_once_for_each_revision_of_what_it_shows() {
    let world = World::new();
    let (first, chat) = (incident(), Memory::new("slack", 0));
    let id = first.id;
    let slack = Platform { charts_as_files: true, ..platform("slack", "ops") };
    let both = [slack.clone(), platform("console", "incidents")];
    let charts = || Charts::new(world.store.clone(), world.bus.clone(), world.clock.clone(), &both);
    world.put(vec![first.clone()]).await;
    world.put(vec![evidence(&first)]).await;
    world.put(vec![diagnosis(&first, vec![])]).await;
    let mut stage = charts();
    stage.handle(Event::Diagnosis(first.id)).await.expect("looks");
    assert!(world.posts("slack").await.is_empty(), "nothing hangs on a card that is not there");
    world.notify(both.to_vec()).sweep().await.expect("wants");
    stage.sweep().await.expect("draws");
    assert_eq!(world.posts("console").await.len(), 1, "the console draws charts itself");
    world.settle(&chat).await;
    let picture = |key: &str| -> bool { key.contains("/chart/") };
    let pictures = || chat.messages().into_iter().filter(|m| picture(&m.key)).collect::<Vec<_>>();
    let [uploaded] = pictures().try_into().expect("one picture");
    assert!(uploaded.text.starts_with("incident-12.png "), "{uploaded:?}");
    assert_eq!(uploaded.thread.as_deref(), Some("0"), "in the thread of the card");
    let kept = world.store.read(|r| r.list::<StoredFile>(&Filter::all())).await.expect("reads");
    assert!(kept.is_empty(), "its bytes are let go");

    // New points, a new revision of the ranking, a start anew: the same picture.
    world.put(vec![Diagnosis { revision: 2, ..diagnosis(&first, vec![]) }]).await;
    stage.sweep().await.expect("looks");
    charts().sweep().await.expect("looks");
    world.settle(&chat).await;
    assert_eq!(pictures().len(), 1);

    // A change that is marked makes another; one that was not sent yet gives way to the newest.
    world.put(vec![diagnosis(&first, vec![change()])]).await;
    stage.sweep().await.expect("draws");
    let over = Incident { state: IncidentState::Resolved, resolved_at: Some(t0()), ..first };
    world.put(vec![over]).await;
    stage.sweep().await.expect("draws");
    let kept = world.store.read(|r| r.list::<StoredFile>(&Filter::all())).await.expect("reads");
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].bytes().expect("digits")[..4], *b"\x89PNG");
    world.settle(&chat).await;
    assert_eq!(pictures().len(), 2);
    assert!(world.posts("slack").await.contains_key(&format!("{id}/chart/2")));
}

/// Evidence that can't be read: it has lost all that it was.
struct Torn(String);

impl Record for Torn {
    const KIND: &'static str = Evidence::KIND;
    fn key(&self) -> String {
        self.0.clone()
    }
    fn index(&self) -> Index {
        Index { at: t0(), ..Index::default() }
    }
}

impl Serialize for Torn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("torn")
    }
}

impl<'de> Deserialize<'de> for Torn {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self(String::new()))
    }
}

#[tokio::test(start_paused = true)]
async fn charts_that_cannot_be_drawn_hold_up_no_other() {
    let world = World::new();
    let slack = Platform { charts_as_files: true, ..platform("slack", "ops") };
    let mut stage = Charts::new(
        world.store.clone(),
        world.bus.clone(),
        world.clock.clone(),
        std::slice::from_ref(&slack),
    );
    let good = incident();
    let torn = EvidenceId::derive(t0(), &["torn"]);
    world.put(vec![Torn(torn.to_string())]).await;
    for n in 0..9_u64 {
        let id = IncidentId::derive(t0(), &["bad", &n.to_string()]);
        let bad = Incident { id, number: 100 + n, ..good.clone() };
        world.put(vec![Diagnosis { charts: vec![torn], ..diagnosis(&bad, vec![]) }]).await;
        world.put(vec![bad]).await;
    }
    world.put(vec![good.clone()]).await;
    world.put(vec![evidence(&good)]).await;
    world.put(vec![diagnosis(&good, vec![])]).await;
    world.notify(vec![slack]).sweep().await.expect("wants");
    for _ in 0..3 {
        stage.sweep().await.expect_err("the fault is told");
    }
    let key = format!("{}/chart/1", good.id);
    assert!(world.posts("slack").await.contains_key(&key), "three rounds get past nine bad ones");
}

#[tokio::test(start_paused = true)]
async fn an_incidents_own_channel_gets_the_chart_too_although_it_comes_later() {
    let world = World::new();
    let (first, chat) = (incident(), Memory::new("slack", 0));
    let slack = Platform { charts_as_files: true, ..platform("slack", "ops") };
    world.put(vec![first.clone()]).await;
    world.put(vec![evidence(&first)]).await;
    world.put(vec![diagnosis(&first, vec![])]).await;
    world.notify(vec![slack.clone()]).sweep().await.expect("wants");
    let (store, bus, clock) = (world.store.clone(), world.bus.clone(), world.clock.clone());
    let mut stage = Charts::new(store, bus, clock, &[slack]);
    stage.sweep().await.expect("draws");
    world.settle(&chat).await;
    let card = crate::chat::Card::words("#12", "slow");
    let room = super::super::rooms::room(&first, &card, "slack", t0());
    let room = crate::chat::Room { channel: Some("C-room".into()), ..room };
    let told = super::super::rooms::card(
        first.id,
        ("slack", "C-room"),
        crate::chat::Content::card(card),
        t0(),
    );
    let write = move |tx: &crate::store::Tx<'_>| room.want(tx).and(told.want(tx)).map(|_| ());
    world.store.write(write).await.expect("written");
    for _ in 0..2 {
        stage.sweep().await.expect("draws");
        world.settle(&chat).await;
    }
    let posts = world.posts("slack").await;
    let charts: Vec<&String> = posts.keys().filter(|key| key.contains("chart/")).collect();
    assert_eq!(charts, [&format!("{}/chart/1", first.id), &format!("{}/room-chart/1", first.id)]);
    assert_eq!(posts[charts[1]].channel, "C-room");
    let pictures = chat.messages().into_iter().filter(|m| m.key.contains("chart/")).count();
    assert_eq!(pictures, 2);
}
