//! What the stage wants on which platform.

use std::sync::Arc;

use super::platform::{Memory, World, all_sent};
use super::*;
use crate::bus::Event;
use crate::chat::console::Console;
use crate::chat::{Chat as _, Content, Message, Post, RoomPolicy, Urgency};
use crate::stage::Stage as _;
use crate::store::{Filter, Record};

impl World {
    pub(super) async fn put<R: Record>(&self, records: Vec<R>) {
        let write = move |tx: &crate::store::Tx<'_>| records.iter().try_for_each(|r| tx.put(r));
        self.store.write(write).await.expect("writes");
    }

    pub(super) fn notify(&self, platforms: Vec<Platform>) -> Notify {
        Notify::new(self.store.clone(), self.bus.clone(), self.clock.clone(), platforms)
    }
}

pub(super) fn platform(name: &str, channel: &str) -> Platform {
    let routing = Config { channel: channel.into(), routes: Vec::new() };
    Platform { name: name.into(), routing, charts_as_files: false, rooms: RoomPolicy::default() }
}

fn entry(of: &Incident, text: &str, at: Time) -> TimelineEntry {
    TimelineEntry::by_bot(of.id, at, EntryKind::Note, text, None)
}

#[tokio::test]
async fn one_message_per_incident_also_after_a_start_anew() {
    let world = World::new();
    let first = incident();
    let id = first.id;
    world.put(vec![first.clone()]).await;
    world.put(vec![entry(&first, "opened", t0().plus_ms(90_000))]).await;
    let stage = || world.notify(vec![platform("console", "incidents")]);
    let mut notify = stage();
    notify.handle(Event::Incident(id)).await.expect("tells");
    let console =
        Arc::new(Console::new(world.store.clone(), world.bus.clone(), world.clock.clone()));
    world.settle_console(&console).await;
    // An entry that is written later but happened earlier is told all the same.
    world.put(vec![entry(&first, "late word", t0())]).await;
    world.put(vec![Incident { state: IncidentState::Acknowledged, ..first }]).await;
    notify.handle(Event::Incident(id)).await.expect("tells");
    world.settle_console(&console).await;
    stage().sweep().await.expect("a start anew wants it all again");
    world.settle_console(&console).await;
    let messages = world.store.read(|r| r.list::<Message>(&Filter::all())).await.expect("reads");
    let (cards, replies): (Vec<_>, Vec<_>) = messages.into_iter().partition(|m| m.thread.is_none());
    assert_eq!(cards.len(), 1);
    assert_eq!(replies.len(), 2);
    let Content::Card { card } = &cards[0].content else { panic!("the root is a card") };
    assert!(card.context.contains("acknowledged"));
}

impl World {
    /// Brings the console to what is wanted.
    async fn settle_console(&self, console: &Arc<Console>) {
        let stop = tokio_util::sync::CancellationToken::new();
        let chat: Arc<dyn crate::chat::Chat> = console.clone();
        let deliver = Deliver::new(self.store.clone(), self.bus.clone(), self.clock.clone(), chat);
        let running = deliver.run(stop.clone());
        let watching = async {
            loop {
                let standing = self.standing("console").await;
                if standing.n_waiting + standing.n_due + standing.n_trying == 0 {
                    return stop.cancel();
                }
                tokio::task::yield_now().await;
            }
        };
        let (ended, ()) = tokio::join!(running, watching);
        ended.expect("delivers");
    }
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_down_holds_up_no_other_and_a_card_stays_in_its_channel() {
    let world = World::new();
    let first = incident();
    let second = Incident { id: IncidentId::derive(t0(), &["second"]), number: 8, ..incident() };
    world.put(vec![first.clone(), second]).await;
    let (down, up) = (Memory::new("down", 0), Memory::new("up", 0));
    down.set(super::platform::Mood::Down);
    let stage =
        |channel: &str| world.notify(vec![platform("down", channel), platform("up", channel)]);
    stage("incidents").sweep().await.expect("wants");
    // Something new to say, after a start anew with other routes.
    let settle_up = async || {
        let stop = tokio_util::sync::CancellationToken::new();
        tokio::select! {
            ended = world.deliver(&down).run(stop.clone()) => panic!("{ended:?}"),
            () = world.settle(&up) => {}
        }
    };
    settle_up().await;
    world.put(vec![Incident { state: IncidentState::Acknowledged, ..first }]).await;
    stage("elsewhere").sweep().await.expect("wants");
    settle_up().await;
    let cards = up.messages();
    assert_eq!(cards.len(), 2, "both incidents are told where it works");
    assert!(cards.iter().all(|m| m.channel == "incidents"), "{cards:?}");
    assert_eq!(cards.iter().map(|m| m.n_edits).sum::<usize>(), 1, "the news was told in place");
    assert!(down.messages().is_empty());
    let standing = world.standing("down").await;
    assert_eq!(standing.n_due + standing.n_trying, 2, "nothing is lost: {standing:?}");
    assert!(standing.ledger.error.is_some_and(|e| e.contains("503")));
    down.set(super::platform::Mood::Up);
    world.settle(&down).await;
    assert_eq!(down.messages().len(), 2);
    assert!(down.messages().iter().all(|m| m.channel == "incidents"));
}

#[tokio::test]
async fn an_incident_stands_on_each_platform_in_the_channel_of_its_routing() {
    let world = World::new();
    let first = incident();
    world.put(vec![first.clone()]).await;
    world.put(vec![entry(&first, "opened", t0())]).await;
    let mut notify = world.notify(vec![platform("a", "ops"), platform("b", "on-call")]);
    notify.sweep().await.expect("wants");
    for (name, channel) in [("a", "ops"), ("b", "on-call")] {
        let posts = world.posts(name).await;
        assert_eq!(posts.len(), 2);
        assert!(posts.values().all(|p| p.channel == channel), "{posts:?}");
        let delta = posts.values().find(|p| p.key != format!("{}/card", first.id)).expect("one");
        assert_eq!(delta.within, crate::chat::Within::Post(format!("{}/card", first.id)));
    }
}

#[tokio::test]
async fn urgency_follows_what_changed_and_nothing_is_written_when_nothing_did() {
    let world = World::new();
    let first = incident();
    let (id, key) = (first.id, format!("{}/card", first.id));
    world.put(vec![first.clone()]).await;
    let mut notify = world.notify(vec![platform("a", "ops")]);
    let card = async || -> Post { world.posts("a").await.remove(&key).expect("a card") };
    let sent = async || {
        let post = Post { state: crate::chat::PostState::Sent, ..card().await };
        world.put(vec![post]).await;
    };
    notify.handle(Event::Incident(id)).await.expect("wants");
    assert_eq!(card().await.urgency, Urgency::Opening);
    // Not sent yet: an offer makes it more urgent, looks do not make it less.
    world.put(vec![proposal(&first)]).await;
    notify.sweep().await.expect("wants");
    assert_eq!(card().await.urgency, Urgency::Decision);
    world.put(vec![Incident { n_reports: 9, ..first.clone() }]).await;
    notify.sweep().await.expect("wants");
    assert_eq!(card().await.urgency, Urgency::Decision);
    sent().await;
    world.put(vec![Incident { n_reports: 10, ..first.clone() }]).await;
    notify.sweep().await.expect("wants");
    assert_eq!(card().await.urgency, Urgency::Cosmetic, "the offer stands already");
    sent().await;
    let gone = Proposal { state: ProposalState::Ignored, ..proposal(&first) };
    world.put(vec![gone]).await;
    notify.sweep().await.expect("wants");
    assert_eq!(card().await.urgency, Urgency::Delta);
    sent().await;
    let mut heard = world.bus.subscribe();
    notify.sweep().await.expect("looks");
    world.bus.publish(Event::Tick);
    assert_eq!(heard.next().await, crate::bus::Heard::Event(Event::Tick), "nothing was wanted");
}

#[tokio::test]
async fn an_offer_that_expires_changes_the_card_by_itself() {
    let world = World::new();
    let first = incident();
    world.put(vec![first.clone()]).await;
    world.put(vec![proposal(&first)]).await;
    let mut notify = world.notify(vec![platform("a", "ops")]);
    notify.sweep().await.expect("wants");
    let text = async || format!("{:?}", world.posts("a").await);
    assert!(text().await.contains("Approve…"));
    world.clock.set(proposal(&first).expires_at);
    notify.sweep().await.expect("wants");
    assert!(!text().await.contains("Approve…"));
}

#[tokio::test]
async fn what_matters_most_is_shown_in_the_channel_too() {
    let world = World::new();
    let first = incident();
    let (person, at) = (Actor { via: "slack".into(), ..Actor::nightjar() }, t0().plus_ms(60_000));
    let person = Actor { id: "U1".into(), name: "Ada".into(), ..person };
    let mut approved = proposal(&first);
    approved.decisions.push(action::Decision {
        actor: person.clone(),
        verdict: Verdict::Approve,
        digest: approved.digest.clone(),
        reason: String::new(),
        at,
    });
    let about = Some(approved.id.to_string());
    let end = crate::correlate::machine::transition(
        &first,
        IncidentState::Resolved,
        &person,
        at,
        "all alerts ended",
    );
    let (_, end) = end.expect("it may end");
    let entries = vec![
        TimelineEntry::by_bot(first.id, at, EntryKind::State, "Opened by x.", None),
        TimelineEntry::by_bot(first.id, at, EntryKind::Alert, "y joined", None),
        TimelineEntry::by(person.clone(), first.id, at, EntryKind::Proposal, "Approved", about),
        TimelineEntry::by_bot(first.id, at, EntryKind::Verification, "It helped", None),
        end,
    ];
    world.put(vec![first]).await;
    world.put(vec![approved]).await;
    world.put(entries).await;
    world.notify(vec![platform("a", "ops")]).sweep().await.expect("wants");
    let posts = world.posts("a").await;
    let text = |p: &Post| match &p.content {
        Content::Text { text } => text.split_once("UTC ").map(|(_, t)| t.to_owned()),
        _ => None,
    };
    let mut shown: Vec<_> = posts.values().filter(|p| p.broadcast).filter_map(text).collect();
    shown.sort();
    assert_eq!(shown, ["Approved", "Incident resolved: all alerts ended", "It helped"]);
}

#[tokio::test]
async fn a_platform_connected_today_is_not_told_of_what_is_long_over() {
    let world = World::new();
    let over = Incident {
        state: IncidentState::Resolved,
        resolved_at: Some(t0()),
        updated_at: t0(),
        ..incident()
    };
    world.put(vec![over]).await;
    world.clock.set(t0().plus_ms(2 * time::HOUR_MS));
    world.notify(vec![platform("a", "ops")]).sweep().await.expect("looks");
    assert!(world.posts("a").await.is_empty());
    let chat = Memory::new("a", 0);
    assert!(Platform::of(chat.as_ref(), Config::default()).charts_as_files);
    assert_eq!(chat.platform(), "a");
}

#[tokio::test(start_paused = true)]
async fn the_card_is_the_one_to_find_until_its_incident_is_over() {
    let world = World::new();
    let (first, chat) = (incident(), Memory::new("slack", 0));
    world.put(vec![first.clone()]).await;
    world.put(vec![entry(&first, "opened", t0())]).await;
    let mut notify = world.notify(vec![platform("slack", "ops")]);
    notify.sweep().await.expect("wants");
    let marked = async |on: bool| {
        let card =
            world.posts("slack").await.into_values().find(|p| p.dress().is_some() || p.dressed);
        card.map_or(!on, |card| card.dressed == on && card.dress().is_none())
    };
    world.deliver_until(&chat, async || marked(true).await).await;
    let taken = Incident { state: IncidentState::Acknowledged, ..first.clone() };
    let over = Incident { state: IncidentState::Resolved, resolved_at: Some(t0()), ..first };
    for (next, on) in [(taken, true), (over, false)] {
        world.put(vec![next]).await;
        notify.sweep().await.expect("wants");
        // In one life: a mark that a crash cuts off is made again, which changes nothing there.
        let done = async || all_sent(&world.posts("slack").await) && marked(on).await;
        world.deliver_until(&chat, done).await;
    }
    assert_eq!(chat.dressed(), [("0".to_owned(), true), ("0".to_owned(), false)]);
}

#[tokio::test(start_paused = true)]
async fn alerts_that_join_within_a_minute_are_one_entry_that_grows_also_after_a_start() {
    let world = World::new();
    let first = incident();
    let join = |n: i64| {
        let at = t0().plus_ms(n * 100);
        let text = format!("shop-{n:03} is slow. Same service as the first.");
        let subject = Some(AlertId::derive(at, &["a"]).to_string());
        TimelineEntry::by_bot(first.id, at, EntryKind::Alert, text, subject)
    };
    let again = TimelineEntry::by_bot(first.id, t0(), EntryKind::Alert, "Fires again: x", None);
    world.put(vec![first.clone()]).await;
    world.put(vec![again, join(0)]).await;
    let mut notify = world.notify(vec![platform("a", "ops")]);
    notify.sweep().await.expect("wants");
    let said = async || -> Vec<String> {
        let posts = world.posts("a").await.into_values();
        let texts = posts.filter_map(|p| match p.content {
            Content::Text { text } => Some(text),
            _ => None,
        });
        let mut texts: Vec<String> = texts.collect();
        texts.sort();
        texts
    };
    let alone = [
        "03:00:00 UTC Fires again: x",
        "03:00:00 UTC shop-000 is slow. Same service as the first.",
    ];
    assert_eq!(said().await, alone);
    // 299 more within half a minute.
    for all in (1..300).collect::<Vec<i64>>().chunks(100) {
        world.put(all.iter().map(|n| join(*n)).collect()).await;
        world
            .put(vec![Incident { n_reports: 9_000 + all[0].unsigned_abs(), ..first.clone() }])
            .await;
        notify.sweep().await.expect("wants");
    }
    let grown = said().await;
    assert_eq!(grown.len(), 2, "{grown:?}");
    assert!(grown[0].starts_with("03:00:00 UTC 300 alerts joined: shop-000 is slow, shop-001"));
    assert!(grown[0].ends_with("shop-007 is slow and 292 more."), "{}", grown[0]);
    world.notify(vec![platform("a", "ops")]).sweep().await.expect("wants");
    assert_eq!(said().await, grown, "a start tells nothing anew");
}
