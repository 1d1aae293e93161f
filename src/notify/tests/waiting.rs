//! What waits for the morning is told there and then, and says so meanwhile.

use super::platform::World;
use super::telling::platform;
use super::*;
use crate::bus::Event;
use crate::chat::Post;
use crate::model::alert::Suppression;
use crate::stage::Stage as _;
use crate::store::{AuditFilter, Filter};

const NIGHT: &str = "[[quiet]]\nname = \"night\"\nfrom = \"22:00\"\nuntil = \"07:00\"";

fn of(attention: Attention) -> Incident {
    let priority = Priority { attention, level: 3, points: 2, page_from: 4, parts: Vec::new() };
    Incident { severity: Severity::Warning, priority: Some(priority), ..incident() }
}

/// The platforms on which the card of the incident is wanted.
async fn cards(world: &World) -> Vec<String> {
    let posts = world.store.read(|r| r.list::<Post>(&Filter::all())).await.expect("reads");
    let mut on: Vec<String> =
        posts.into_iter().filter(|p| p.key.ends_with("/card")).map(|p| p.platform).collect();
    on.sort();
    on
}

#[tokio::test]
async fn a_ticket_at_night_stands_in_the_console_and_is_told_elsewhere_in_the_morning() {
    let world = World::new();
    let ticket = of(Attention::Ticket);
    let id = ticket.id;
    world.put(vec![ticket]).await;
    let platforms = vec![platform("console", "incidents"), platform("slack", "#incidents")];
    let pace: Pace = toml::from_str(NIGHT).expect("settings");
    let mut notify = world.notify(platforms).with_pace(pace);
    world.clock.set(t0());
    for _ in 0..3 {
        notify.handle(Event::Incident(id)).await.expect("tells");
    }
    assert_eq!(cards(&world).await, ["console"]);
    let held = world.store.read(move |r| r.get::<Incident>(id)).await.expect("reads");
    let held = held.expect("it is there").untold.expect("it waits");
    assert_eq!(held.by, "quiet-hours night");
    assert!(held.reason.contains("until 2026-11-20 07:00 UTC"), "{}", held.reason);

    world.clock.set(t0().plus_ms(4 * 3_600_000));
    notify.sweep().await.expect("tells");
    assert_eq!(cards(&world).await, ["console", "slack"]);
    let told = world.store.read(move |r| r.get::<Incident>(id)).await.expect("reads");
    assert_eq!(told.expect("it is there").untold, None);
    let about = AuditFilter { subject: Some(id.to_string()), limit: 9, ..AuditFilter::default() };
    let audited = world.store.read(move |r| r.audit_records(&about)).await.expect("reads");
    let said: Vec<&str> = audited.iter().rev().map(|a| a.action.as_str()).collect();
    assert_eq!(said, ["incident.hold", "incident.tell"]);
}

#[tokio::test]
async fn what_waits_on_by_the_same_rule_shows_how_it_waits_now() {
    let world = World::new();
    world.clock.set(t0());
    let mut first = of(Attention::Ticket);
    first.untold = Some(Suppression {
        by: "quiet-hours night".into(),
        reason: "Not told in chats until yesterday.".into(),
        until: Some(t0().plus_ms(-60_000)),
    });
    let id = first.id;
    world.put(vec![first]).await;
    let pace: Pace = toml::from_str(NIGHT).expect("settings");
    let mut notify = world.notify(vec![platform("slack", "#incidents")]).with_pace(pace);
    notify.handle(Event::Incident(id)).await.expect("tells");
    let held = world.store.read(move |r| r.get::<Incident>(id)).await.expect("reads");
    let held = held.expect("it is there").untold.expect("it waits");
    assert!(held.until.is_some_and(|until| until > t0()), "{:?}", held.until);
    assert!(held.reason.contains("until 2026-11-20 07:00 UTC"), "{}", held.reason);
    let about = AuditFilter { subject: Some(id.to_string()), limit: 9, ..AuditFilter::default() };
    let audited = world.store.read(move |r| r.audit_records(&about)).await.expect("reads");
    assert!(audited.is_empty(), "the same rule is not written down again");
}

#[tokio::test]
async fn a_ticket_that_becomes_a_page_is_told_at_once_and_so_is_a_page() {
    let world = World::new();
    world.clock.set(t0());
    let ticket = of(Attention::Ticket);
    let id = ticket.id;
    world.put(vec![ticket]).await;
    let pace: Pace = toml::from_str(NIGHT).expect("settings");
    let mut notify = world.notify(vec![platform("slack", "#incidents")]).with_pace(pace);
    notify.handle(Event::Incident(id)).await.expect("tells");
    assert!(cards(&world).await.is_empty());
    world.put(vec![of(Attention::Page)]).await;
    notify.handle(Event::Incident(id)).await.expect("tells");
    assert_eq!(cards(&world).await, ["slack"]);
}

#[tokio::test]
async fn what_is_critical_is_told_at_night_though_it_is_a_ticket() {
    let world = World::new();
    world.clock.set(t0());
    let ticket = of(Attention::Ticket);
    let id = ticket.id;
    let critical = Incident { severity: Severity::Critical, ..ticket.clone() };
    world.put(vec![ticket]).await;
    let pace: Pace = toml::from_str(NIGHT).expect("settings");
    let mut notify = world.notify(vec![platform("slack", "#incidents")]).with_pace(pace);
    notify.handle(Event::Incident(id)).await.expect("tells");
    assert!(cards(&world).await.is_empty());
    let held = world.store.read(move |r| r.get::<Incident>(id)).await.expect("reads");
    assert_eq!(
        held.expect("it is there").untold.expect("it waits").reason,
        "Not told in chats until 2026-11-20 07:00 UTC: it is a ticket, and the quiet hours \
         \"night\" run. It is told at once if it becomes a page or critical."
    );
    world.put(vec![critical]).await;
    notify.handle(Event::Incident(id)).await.expect("tells");
    assert_eq!(cards(&world).await, ["slack"], "an alert of it has become critical");
    let told = world.store.read(move |r| r.get::<Incident>(id)).await.expect("reads");
    assert_eq!(told.expect("it is there").untold, None);
}

#[tokio::test]
async fn what_is_over_long_before_the_morning_is_not_said_to_be_told() {
    let world = World::new();
    world.clock.set(t0());
    let ticket = of(Attention::Ticket);
    let id = ticket.id;
    world.put(vec![ticket]).await;
    let platforms = vec![platform("console", "incidents"), platform("slack", "#incidents")];
    let pace: Pace = toml::from_str(NIGHT).expect("settings");
    let mut notify = world.notify(platforms).with_pace(pace);
    notify.handle(Event::Incident(id)).await.expect("tells");
    let over = t0().plus_ms(1_800_000);
    let held = world.store.read(move |r| r.get::<Incident>(id)).await.expect("reads");
    let held = held.expect("it is there");
    assert!(held.untold.is_some());
    let state = IncidentState::Resolved;
    world.put(vec![Incident { state, resolved_at: Some(over), updated_at: over, ..held }]).await;
    world.clock.set(over);
    notify.handle(Event::Incident(id)).await.expect("tells");
    world.clock.set(t0().plus_ms(4 * 3_600_000));
    notify.sweep().await.expect("tells");
    assert_eq!(cards(&world).await, ["console"]);
    let after = world.store.read(move |r| r.get::<Incident>(id)).await.expect("reads");
    assert_eq!(after.expect("it is there").untold, None);
    let about = AuditFilter { subject: Some(id.to_string()), limit: 9, ..AuditFilter::default() };
    let audited = world.store.read(move |r| r.audit_records(&about)).await.expect("reads");
    let said: Vec<&str> = audited.iter().rev().map(|a| a.action.as_str()).collect();
    assert_eq!(said, ["incident.hold", "incident.lapse"]);
    let filter = Filter::parent(id);
    let story = world.store.read(move |r| r.list::<crate::model::TimelineEntry>(&filter));
    let story = story.await.expect("reads");
    let last = story.iter().max_by_key(|e| e.at).expect("written");
    assert_eq!(
        last.text,
        "Not told in chats where it was not yet: it was over for an hour by the time that nothing \
         held it back any more. It stands in the console."
    );
}
