//! Incidents' own channels: kept past those that can't be, closed when all is said.

use super::platform::{Memory, World, text};
use super::*;
use crate::bus::Event;
use crate::chat::room::RoomState;
use crate::chat::{Card, Chat as _, Content, Post, Room, Urgency, Within};
use crate::stage::Stage as _;

fn stage(world: &World, chat: &std::sync::Arc<Memory>) -> Rooms {
    let (store, bus, clock) = (world.store.clone(), world.bus.clone(), world.clock.clone());
    Rooms::new(store, bus, clock, vec![chat.clone()])
}

fn nth(n: u64) -> Incident {
    let id = IncidentId::derive(t0(), &["room", &n.to_string()]);
    Incident { id, number: n, ..incident() }
}

fn card_of(of: &Incident) -> (Card, Post) {
    let card = Card::words("#12", "slow");
    let key = super::super::stage::card_key(of.id);
    let post = Post::new(key, ("slack", "ops"), Within::Channel, Content::card(card.clone()), t0());
    (card, Post { incident: Some(of.id), ..post })
}

async fn want(world: &World, room: Room) {
    world.store.write(move |tx| room.want(tx).map(|_| ())).await.expect("written");
}

#[tokio::test(start_paused = true)]
async fn twenty_channels_that_cannot_be_kept_hold_up_no_other() {
    let (world, chat) = (World::new(), Memory::new("slack", 0));
    assert!(chat.rooms().closes);
    for n in 0..50 {
        let one = nth(n);
        let (card, post) = card_of(&one);
        let room = super::super::rooms::room(&one, &card, "slack", t0().plus_ms(1));
        // Some have no card yet, some can't be made.
        if (23..48).contains(&n) {
            chat.stick(&room.name);
        }
        if n > 22 {
            world.want([post]).await;
        }
        want(&world, room).await;
    }
    world.settle(&chat).await;
    let mut rooms = stage(&world, &chat);
    for _ in 0..2 {
        rooms.handle(Event::Outbox).await.expect("keeps");
    }
    assert_eq!(chat.kept().len(), 2, "in two rounds");
}

#[tokio::test(start_paused = true)]
async fn a_channel_is_closed_when_all_that_is_to_be_said_there_stands() {
    let (world, chat) = (World::new(), Memory::new("slack", 0));
    let one = Incident { state: IncidentState::Resolved, resolved_at: Some(t0()), ..nth(1) };
    let (card, post) = card_of(&one);
    let room = super::super::rooms::room(&one, &card, "slack", t0());
    let channel = format!("C-{}", room.name);
    want(&world, Room { channel: Some(channel.clone()), is_over: true, ..room }).await;
    let told = Content::card(card);
    let told = super::super::rooms::card(one.id, ("slack", &channel), told, world.clock.now());
    world.want([post, told]).await;
    world.settle(&chat).await;
    let mut rooms = stage(&world, &chat);
    rooms.sweep().await.expect("keeps");
    assert_eq!(chat.kept(), [], "the card has just been told");
    world.clock.set(world.clock.now().plus_ms(11_000));
    let chart = text("slack", "chart", Urgency::Delta, "x");
    world.want([Post { channel, ..chart }]).await;
    rooms.sweep().await.expect("keeps");
    assert_eq!(chat.kept(), [], "the chart does not stand yet");
    world.settle(&chat).await;
    rooms.sweep().await.expect("keeps");
    assert_eq!(chat.kept().iter().map(|k| k.1).collect::<Vec<_>>(), [true]);
    let kept = world.store.read(move |r| r.get::<Room>(Room::row("slack", one.id))).await;
    assert_eq!(kept.expect("reads").expect("it is there").state, RoomState::Closed);
}
