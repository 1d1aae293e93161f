//! What waits for the morning is told there and then, and says so meanwhile.

use super::platform::World;
use super::telling::platform;
use super::*;
use crate::bus::Event;
use crate::chat::Post;
use crate::model::alert::Suppression;
use crate::stage::Stage as _;
use crate::store::{AuditFilter, Filter, Index, Record, Rows};

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
    let summaries = summaries(&world).await;
    assert_eq!(summaries.len(), 1, "{summaries:?}");
    assert!(summaries[0].contains("1 incident waited for the end"), "{summaries:?}");
    let filter = Filter::parent(id);
    let story = world.store.read(move |r| r.list::<crate::model::TimelineEntry>(&filter));
    let story = story.await.expect("reads");
    let last = story.iter().max_by_key(|e| e.at).expect("written");
    assert_eq!(
        last.text,
        "Told in chats only in the summary of the quiet hours: it was over for an hour when they \
         ended. It stands in the console."
    );
}

/// What is wanted beside the incidents' own messages.
async fn summaries(world: &World) -> Vec<String> {
    let posts = world.store.read(|r| r.list::<Post>(&Filter::all())).await.expect("reads");
    let of = |p: &Post| match &p.content {
        crate::chat::Content::Card { card } if p.key.starts_with("quiet-hours/") => {
            Some(format!("{} {}: {}", p.platform, p.channel, card.text()))
        }
        _ => None,
    };
    posts.iter().filter_map(of).collect()
}

#[tokio::test]
async fn at_the_end_of_the_night_one_message_says_what_waited_and_what_of_it_is_over() {
    use IncidentState::{Merged, Open, Resolved};
    let world = World::new();
    world.clock.set(t0());
    let night = |n: u64, state: IncidentState, minutes: i64| {
        let onset = t0().plus_ms(minutes * 60_000);
        let over = (!state.is_active()).then(|| onset.plus_ms(14 * 60_000));
        Incident {
            id: IncidentId::derive(onset, &["night"]),
            number: n,
            title: format!("Errors of service {n}"),
            state,
            onset_at: onset,
            resolved_at: over,
            updated_at: over.unwrap_or(onset),
            category: over.map(|_| "not_seen_to_recover".into()),
            ..of(Attention::Ticket)
        }
    };
    world.put(vec![night(1, Resolved, 0), night(2, Open, 5), night(3, Merged, 6)]).await;
    let platforms =
        || ["console", "slack", "discord"].map(|name| platform(name, "incidents")).to_vec();
    let pace: Pace = toml::from_str(NIGHT).expect("settings");
    let mut notify = world.notify(platforms()).with_pace(pace.clone());
    world.clock.set(t0().plus_ms(20 * 60_000));
    notify.sweep().await.expect("tells");
    // Over for long, it waits on for the summary; a start in between forgets nothing.
    world.clock.set(t0().plus_ms(3 * 3_600_000));
    notify.sweep().await.expect("tells");
    assert!(summaries(&world).await.is_empty());
    let mut notify = world
        .notify(platforms())
        .with_pace(pace)
        .with_console(Some("https://nightjar.example.com"));
    world.clock.set(t0().plus_ms(4 * 3_600_000));
    for _ in 0..2 {
        notify.sweep().await.expect("tells");
    }
    let said = summaries(&world).await;
    assert_eq!(said.len(), 2, "{said:?}");
    let on_discord = said.iter().find(|s| s.starts_with("discord ")).expect("there too");
    let on_slack = said.iter().find(|s| s.starts_with("slack ")).expect("there too");
    assert_eq!(on_discord.replace("discord ", "slack "), *on_slack);
    insta::assert_snapshot!(on_slack, @r#"
    slack incidents: 2 incidents waited for the end of the quiet hours "night"
    until 2026-11-20 07:00 UTC

    Still going on:
    - #2 Errors of service 2 (warning, 3 h 55 min since 2026-11-20 03:05 UTC)

    Over by now:
    - #1 Errors of service 1 (warning, 14 min since 2026-11-20 03:00 UTC, not seen to recover)
    What goes on, or ended within the last hour, has a message of its own.
    "#);
    let on = ["console", "console", "console", "discord", "slack"];
    assert_eq!(cards(&world).await, on, "what goes on has its own");
    world.clock.set(t0().plus_ms(5 * 3_600_000));
    notify.handle(Event::Incident(night(2, Open, 5).id)).await.expect("tells");
    assert_eq!(summaries(&world).await, said, "once");
}

#[tokio::test]
async fn one_ticket_that_goes_on_needs_no_summary() {
    let world = World::new();
    world.clock.set(t0());
    world.put(vec![of(Attention::Ticket)]).await;
    let pace: Pace = toml::from_str(NIGHT).expect("settings");
    let mut notify = world.notify(vec![platform("slack", "#incidents")]).with_pace(pace);
    notify.sweep().await.expect("tells");
    assert!(cards(&world).await.is_empty());
    world.clock.set(t0().plus_ms(4 * 3_600_000));
    notify.sweep().await.expect("tells");
    assert_eq!(cards(&world).await, ["slack"]);
    assert!(summaries(&world).await.is_empty());
}

#[tokio::test]
async fn quiet_hours_that_go_over_into_others_are_summed_up_at_the_end_of_the_last() {
    let world = World::new();
    world.clock.set(t0());
    let ticket = of(Attention::Ticket);
    let id = ticket.id;
    let over = t0().plus_ms(1_800_000);
    let state = IncidentState::Resolved;
    let ticket = Incident { state, resolved_at: Some(over), updated_at: over, ..ticket };
    // On a platform that was not there when it was told elsewhere it waits, and there alone.
    let told = of(Attention::Page);
    let told = Incident { id: IncidentId::derive(t0(), &["told"]), number: 2, ..told };
    world.put(vec![ticket.clone(), told.clone()]).await;
    let two = format!("{NIGHT}\n[[quiet]]\nname = \"day\"\nfrom = \"07:00\"\nuntil = \"10:00\"");
    let pace: Pace = toml::from_str(&two).expect("settings");
    let slack = || platform("slack", "#incidents");
    let mut notify = world.notify(vec![slack()]).with_pace(pace.clone());
    let hour = |n: i64| t0().plus_ms(n * 3_600_000);
    for now in [t0(), over, hour(2)] {
        world.clock.set(now);
        notify.sweep().await.expect("tells");
    }
    let quieter = Incident { priority: ticket.priority.clone(), ..told };
    world.put(vec![quieter]).await;
    let both = vec![slack(), platform("discord", "incidents")];
    let mut notify = world.notify(both).with_pace(pace);
    for n in 3..7 {
        world.clock.set(hour(n));
        notify.sweep().await.expect("tells");
        assert!(summaries(&world).await.is_empty(), "{n}");
        let held = world.store.read(move |r| r.get::<Incident>(id)).await.expect("reads");
        assert!(held.expect("it is there").untold.is_some(), "{n}");
    }
    world.clock.set(hour(7));
    notify.sweep().await.expect("tells");
    let said = summaries(&world).await;
    assert_eq!(said.len(), 2, "{said:?}");
    let of = |name: &str| said.iter().find(|s| s.starts_with(name)).expect("each has one");
    assert!(of("slack").contains("1 incident waited for the end of the quiet hours \"day\""));
    assert!(of("discord").contains("2 incidents waited"), "{said:?}");
}

/// In place of a run: what stands there can't be read as one.
#[derive(serde::Serialize, serde::Deserialize)]
struct Torn(IncidentId);

impl Record for Torn {
    const KIND: &'static str = <Run as Record>::KIND;

    fn key(&self) -> String {
        format!("torn of {}", self.0)
    }

    fn index(&self) -> Index {
        let parent = self.0.to_string();
        Index { at: t0(), state: "done".into(), parent, subject: String::new() }
    }
}

#[tokio::test]
async fn what_can_t_be_told_when_the_hours_end_is_told_later_however_long_it_is_over() {
    let world = World::new();
    let pace: Pace = toml::from_str(NIGHT).expect("settings");
    let mut notify = world.notify(vec![platform("slack", "#incidents")]).with_pace(pace);
    world.clock.set(t0());
    let over = t0().plus_ms(1_800_000);
    let held = |n: u64| Incident {
        id: IncidentId::derive(t0(), &[&n.to_string()]),
        number: n,
        state: IncidentState::Resolved,
        resolved_at: Some(over),
        updated_at: over,
        ..of(Attention::Ticket)
    };
    let ids = [1, 2, 3].map(|n| held(n).id);
    world.put([1, 2, 3].map(held).to_vec()).await;
    notify.sweep().await.expect("tells");
    let untold = async || {
        let read = move |r: &Rows<'_>| ids.map(|id| r.get::<Incident>(id)).into_iter().collect();
        let all: Vec<Option<Incident>> = world.store.read(read).await.expect("reads");
        all.into_iter().flatten().filter(|i| i.untold.is_some()).map(|i| i.id).collect::<Vec<_>>()
    };
    assert_eq!(untold().await.len(), 3);
    let torn = *ids.iter().min().expect("three");
    world.store.write(move |tx| tx.put(&Torn(torn))).await.expect("writes");
    world.clock.set(t0().plus_ms(4 * 3_600_000));
    notify.sweep().await.expect_err("one can't be read");
    assert_eq!(untold().await, [torn], "the others don't wait for it");
    assert_eq!(summaries(&world).await.len(), 1);
    world.store.write(move |tx| tx.remove::<Torn>(Torn(torn).key())).await.expect("writes");
    world.clock.set(t0().plus_ms(3 * 86_400_000 + 12 * 3_600_000));
    notify.sweep().await.expect("tells");
    assert!(untold().await.is_empty());
    assert_eq!(summaries(&world).await.len(), 1, "once");
}
