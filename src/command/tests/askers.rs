//! What was kept before anybody knew who said it waits until that is known, and no role is guessed.

use std::sync::Mutex;
use std::time::Duration;

use super::attend::{Platform, Process, due, inbound};
use super::*;
use crate::chat::{Button, Content, HeardState, Inbound, Kept, Said, Style, Subject, Verb, Who};
use crate::command::attend::PATIENCE;
use crate::command::forms;

fn unresolved(key: &str, incident: &Incident) -> Inbound {
    let code = format!("v1:acknowledge:{}", incident.id);
    Inbound { unresolved: true, ..inbound(key, Role::Viewer, Said::Click { code }) }
}

fn platform(who: Option<Who>) -> Platform {
    let mut platform = Platform::default();
    platform.who = Mutex::new(who);
    platform
}

fn ada(role: Role) -> Who {
    Who::Person(Actor { via: "slack".into(), ..person("ada", role) })
}

async fn kept(world: &World) -> Kept {
    let all = world.store.read(|r| r.list::<Kept>(&Filter::all())).await.expect("reads");
    all.into_iter().next().expect("something was kept")
}

#[tokio::test(start_paused = true)]
async fn a_click_is_done_once_its_author_is_known() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let mut process = Process::with(&world, platform(None));
    process.hear(unresolved("c", &incident)).await;
    // However often it can't be asked: it is not given up, and it is not done either.
    for _ in 0..3 * PATIENCE {
        process.round().await;
        tokio::time::advance(Duration::from_secs(70)).await;
    }
    assert_eq!((due(&world).await, process.chat.said().len()), (1, 0));
    assert_eq!(world.read(incident.id).await.state, IncidentState::Open);
    *process.chat.who.lock().expect("no panic") = Some(ada(Role::Responder));
    process.round().await;
    let taken = world.read(incident.id).await;
    assert_eq!(taken.owner.expect("somebody has it").name, "ada");
    let kept = kept(&world).await;
    assert!(!kept.inbound.unresolved && kept.inbound.actor.role == Role::Responder, "{kept:?}");
}

#[tokio::test]
async fn what_a_role_may_not_do_is_refused_when_the_role_is_known() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let mut process = Process::with(&world, platform(Some(ada(Role::Viewer))));
    process.hear(unresolved("c", &incident)).await;
    process.attend(&world).await;
    let said = process.chat.said();
    let [(name, Content::Text { text })] = said.as_slice() else { panic!("{said:?}") };
    assert!(name == "ada" && text.contains("you need the role responder"), "{text}");
    assert_eq!(world.read(incident.id).await.state, IncidentState::Open);
}

#[tokio::test(start_paused = true)]
async fn after_an_hour_without_a_name_nothing_is_done_and_that_is_said() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let mut process = Process::with(&world, platform(None));
    process.hear(unresolved("c", &incident)).await;
    process.round().await;
    world.clock.advance(Duration::from_secs(3_601));
    tokio::time::advance(Duration::from_secs(70)).await;
    process.round().await;
    let said = process.chat.said();
    let [(_, Content::Text { text })] = said.as_slice() else { panic!("{said:?}") };
    assert!(text.starts_with("Nothing was done"), "{text}");
    assert_eq!(world.read(incident.id).await.state, IncidentState::Open);
}

#[tokio::test]
async fn a_strangers_words_are_not_kept() {
    let world = World::new();
    let told = Who::Stranger(Some("This bot answers members.".into()));
    let mut process = Process::with(&world, platform(Some(told)));
    let said = Said::Message { text: "my pin is 1234".into(), addressed: true };
    let stranger = Inbound { unresolved: true, ..inbound("m", Role::Viewer, said) };
    process.hear(stranger).await;
    process.attend(&world).await;
    assert_eq!(process.chat.said().len(), 1);
    let kept = kept(&world).await;
    assert_eq!(kept.state, HeardState::Done);
    assert!(!format!("{kept:?}").contains("1234"), "{kept:?}");
}

/// What a platform keeps at once, and what it opens a form for, is what the counter says.
#[tokio::test]
async fn a_verb_asks_nothing_where_its_button_opens_no_form() {
    let world = World::new();
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let (desk, now) = (world.desk.clone(), t0());
    let opened = world.store.read(move |r| {
        let mut opened = Vec::new();
        for verb in Verb::ALL {
            let subject = Subject::Incident(incident.id);
            let (label, style) = (String::new(), Style::Plain);
            let button = Button { verb: *verb, label, style, subject, digest: None };
            let admin = person("ada", Role::Admin);
            if let Ok(form) = forms::open(r, &desk, &admin, &button, now)? {
                opened.push((*verb, form.is_some()));
            }
        }
        Ok(opened)
    });
    let opened = opened.await.expect("reads");
    assert!(opened.len() > 5, "{opened:?}");
    for (verb, asks) in opened {
        assert_eq!(verb.opens_form(), asks, "{verb:?}");
    }
}
