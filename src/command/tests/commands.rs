//! Commands: how they are split and read, what they show, and who may.

use proptest::prelude::*;

use super::attend::{Platform, Process, inbound, posts};
use super::{World, person, t0};
use crate::chat::{Completion, Content, Inlet as _, Kept, Said};
use crate::command::words::{Command, parse, split};
use crate::model::{Incident, IncidentState, Role, Silence};
use crate::store::Filter;

#[test]
fn words_are_split_as_people_type_them() {
    for (text, words) in [
        ("silence orders --for '2 h'", vec!["silence", "orders", "--for", "2 h"]),
        ("a \"b c\" d", vec!["a", "b c", "d"]),
        ("a “b c” d", vec!["a", "b c", "d"]),
        ("alertname=~\"Disk .*\"", vec!["alertname=~Disk .*"]),
        ("what's up", vec!["what's", "up"]),
        ("'open for ever", vec!["'open", "for", "ever"]),
        ("\"\" x", vec!["", "x"]),
        (r#"a "b \"c\" \\ \.d" e"#, vec!["a", r#"b "c" \ \.d"#, "e"]),
        (" \t\n ", vec![]),
    ] {
        assert_eq!(split(text), words, "{text}");
    }
}

#[test]
fn each_command_is_read_and_mistakes_are_told_with_help() {
    assert_eq!(parse(""), Ok(Command::Help));
    assert_eq!(parse("approve-list"), Ok(Command::Approvals));
    assert_eq!(parse("incidents --all"), Ok(Command::Incidents { all: true }));
    let ask = parse("ask why isn't 'orders fast --since when?").expect("a question");
    let question = vec!["why isn't 'orders fast --since when?".to_owned()];
    assert_eq!(ask, Command::Ask { question });
    let silence = parse("silence orders env!=prod —for 2h --reason “it is noisy”");
    assert_eq!(
        silence,
        Ok(Command::Silence {
            matchers: vec!["orders".into(), "env!=prod".into()],
            length: "2h".into(),
            reason: "it is noisy".into(),
        })
    );
    for (text, word) in [
        ("dance", "unrecognized subcommand"),
        ("silence orders", "--reason"),
        ("silence", "required"),
        ("incident", "required"),
        ("status now please", "unexpected argument"),
        ("runbook", "required"),
        ("declare", "required"),
        ("declare x --severity apocalyptic", "apocalyptic"),
        ("ask", "required"),
    ] {
        let help = parse(text).expect_err(text);
        assert!(help.contains(word) && help.contains("Write `help`"), "{text}: {help}");
        assert!(!help.contains('\u{1b}'), "no colours in a chat");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_within_bounds(text in "\\PC{0,400}|[\"'“” a-z=~-]{0,60}") {
        if let Err(help) = parse(&text) {
            prop_assert!(help.chars().count() < 2_000);
        }
    }

    /// Words that need no quotes are the words; quoted ones come back whole.
    #[test]
    fn what_is_quoted_stays_whole(words in proptest::collection::vec("[a-z0-9 .*=-]{0,12}", 0..6)) {
        let quoted: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
        prop_assert_eq!(split(&quoted.join(" ")), words);
    }

    #[test]
    fn splitting_loses_no_letter(text in "\\PC{0,200}") {
        let letters = |t: &str| t.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        prop_assert_eq!(letters(&split(&text).concat()), letters(&text));
    }
}

/// What a command shows to whoever types it.
pub(super) async fn shown(world: &World, role: Role, text: &str) -> String {
    let mut process = Process::of(world);
    let n = world.store.read(|r| r.count::<Kept>(&Filter::all())).await.expect("reads");
    let key = format!("typed:{n}");
    process.hear(inbound(&key, role, Said::Command { text: text.into() })).await;
    process.attend(world).await;
    let said = process.chat.said();
    assert_eq!(said.len(), 1, "{text}: {said:?}");
    match &said[0].1 {
        Content::Text { text } => text.clone(),
        Content::Card { card } => card.text(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn lists_show_what_there_is_to_that_person_alone() {
    let world = World::new();
    assert!(shown(&world, Role::Viewer, "silences").await.contains("There is none"));
    assert!(shown(&world, Role::Viewer, "incidents").await.contains("No incident is active"));
    let incident = world.incident(1, IncidentState::Open, 1).await;
    world.incident(2, IncidentState::Resolved, 1).await;
    let text = shown(&world, Role::Viewer, "incidents --all").await;
    assert!(text.contains("#1 orders is slow (critical, open") && text.contains("#2"), "{text}");
    assert!(!shown(&world, Role::Viewer, "approve-list").await.contains("[Approve"));
    let p = crate::model::Proposal {
        incident: incident.id,
        ..crate::approve::tests::sample::proposal()
    };
    world.store.write(move |tx| tx.put(&p)).await.expect("written");
    let text = shown(&world, Role::Viewer, "approvals").await;
    assert!(text.contains("Set it back") && text.contains("[Approve…]"), "{text}");
    // Of two plans each button says to which one it belongs.
    let other = crate::model::Proposal {
        id: crate::model::ProposalId::derive(t0(), &["another"]),
        incident: incident.id,
        title: "Roll it back".into(),
        ..crate::approve::tests::sample::proposal()
    };
    world.store.write(move |tx| tx.put(&other)).await.expect("written");
    let text = shown(&world, Role::Viewer, "approvals").await;
    assert!(text.contains("2. ") && text.contains("[Approve 1…] [Schedule 1…]"), "{text}");
    assert!(text.contains("[Ignore 2…]"), "{text}");
    let text = shown(&world, Role::Viewer, "home").await;
    for word in
        ["Active incidents:", "2 to decide on", "[Acknowledge #1]", "[Approve 1…]", "Your sil"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    for name in ["incident 1", "incident #1", &format!("incident {}", incident.id)] {
        assert!(shown(&world, Role::Viewer, name).await.contains("#1 orders is slow"), "{name}");
    }
    let text = shown(&world, Role::Viewer, "incident 77").await;
    assert!(text.contains("does not exist"), "{text}");
    let text = shown(&world, Role::Viewer, "why 1").await;
    assert!(text.contains("Why: #1") && text.contains("decision 0"), "{text}");
    assert!(shown(&world, Role::Viewer, "oncall").await.contains("nobody has it"));
    let text = shown(&world, Role::Viewer, "runbook restart-everything").await;
    assert!(text.contains("No runbook is called `restart-everything`"), "{text}");
    let text = shown(&world, Role::Viewer, "help").await;
    assert!(text.contains("silence:") && text.contains("approvals:"), "{text}");
    assert_eq!(posts(&world).await, []);
}

#[tokio::test]
async fn deeds_by_command_keep_to_roles_and_are_done_once() {
    let world = World::new();
    let line = "silence orders alertname=~\"Slow .*\" --for '2 h' --reason 'planned work'";
    let text = shown(&world, Role::Viewer, line).await;
    assert!(text.contains("you need the role responder"), "{text}");
    let text = shown(&world, Role::Responder, line).await;
    assert!(text.starts_with("Silenced until 2026-11-20 05:00 UTC by ada"), "{text}");
    let made = world.store.read(|r| r.list::<Silence>(&Filter::all())).await.expect("reads");
    let matchers: Vec<String> = made[0].matchers.iter().map(ToString::to_string).collect();
    assert_eq!(
        (made.len(), matchers),
        (1, vec!["service=\"orders\"".into(), "alertname=~\"Slow .*\"".into()])
    );
    assert!(shown(&world, Role::Viewer, "silences").await.contains("by ada: planned work"));
    for wrong in ["--for ages --reason x", "--for '300 d' --reason x", "x=~( --reason x"] {
        let text = shown(&world, Role::Responder, &format!("silence a {wrong}")).await;
        assert!(!text.starts_with("Silenced"), "{text}");
    }
    let text =
        shown(&world, Role::Responder, "declare checkout <!channel> pays twice --service checkout")
            .await;
    assert_eq!(text, "Incident #1 is open: checkout <!channel> pays twice.");
    let all = world.store.read(|r| r.list::<Incident>(&Filter::all())).await.expect("reads");
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].declared_by.as_ref().map(|a| a.name.as_str()), Some("ada"));
    assert_eq!(all[0].entities[0].to_string(), "service.name=checkout");
}

#[tokio::test]
async fn an_incident_is_worked_on_by_command_as_by_button() {
    let mut world = World::new();
    let bea = person("bea", Role::Responder);
    world.desk =
        world.desk.clone().with_people(std::sync::Arc::new(move |_| Ok(vec![bea.clone()])));
    let incident = world.incident(1, IncidentState::Open, 1).await;
    world.incident(2, IncidentState::Open, 1).await;
    let id = incident.id;
    for (line, words, state) in [
        ("ack 1", "Incident #1 is yours.", IncidentState::Acknowledged),
        ("assign #1 --to Bea", "Incident #1 is bea's now.", IncidentState::Acknowledged),
        (
            "assign 1 --to zed",
            "Nobody who may respond is known as `zed`",
            IncidentState::Acknowledged,
        ),
        ("note 1 @everyone look", "Your update stands in the thread.", IncidentState::Acknowledged),
        ("resolve 1 --as external it was DNS", "Incident #1 is resolved.", IncidentState::Resolved),
        ("ack 1", "so it can't become acknowledged", IncidentState::Resolved),
        ("reopen 1 it is back", "Incident #1 is open again.", IncidentState::Open),
        ("merge 1 2 the same", "It is part of incident #2 now.", IncidentState::Merged),
        ("note 77 hello", "does not exist", IncidentState::Merged),
    ] {
        let before = world.read(id).await;
        let refused = shown(&world, Role::Viewer, line).await;
        assert!(
            refused.contains("you need the role responder") || refused.contains("does not"),
            "{refused}"
        );
        assert_eq!(world.read(id).await, before);
        let text = shown(&world, Role::Responder, line).await;
        assert!(text.contains(words), "{line}: {text}");
        assert_eq!(world.read(id).await.state, state, "{line}");
    }
    assert!(world.timeline(id).await.iter().any(|e| e.text == "ada: @everyone look"));
}

#[tokio::test]
async fn questions_by_command_are_answered_in_the_channel() {
    let world = World::new();
    let mut process = Process::with(&world, Platform::default());
    let asked = ["ask what is going on?", "status", "why is orders slow", "status orders"];
    for (n, text) in asked.iter().enumerate() {
        let said = Said::Command { text: (*text).to_owned() };
        process.hear(inbound(&n.to_string(), Role::Viewer, said)).await;
    }
    process.attend(&world).await;
    let found = posts(&world).await;
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().all(|p| p.within == crate::chat::Within::Channel));
    assert_eq!(process.chat.said(), []);
}

#[tokio::test]
async fn words_are_completed_and_a_person_has_a_page() {
    let world = World::new();
    let process = Process::of(&world);
    let counter = process.clerk.counter();
    world.incident(1, IncidentState::Open, 1).await;
    world.incident(2, IncidentState::Acknowledged, 1).await;
    let complete = async |what, typed: &str| {
        let found = counter.complete(what, typed.to_owned()).await.expect("reads");
        found.into_iter().map(|(value, _)| value).collect::<Vec<_>>()
    };
    assert_eq!(complete(Completion::Service, "ORD").await, ["orders"]);
    assert_eq!(complete(Completion::Service, "zebra").await, [""; 0]);
    assert_eq!(complete(Completion::Incident, "2").await, ["2"]);
    assert_eq!(complete(Completion::Incident, "slow").await.len(), 2);
    assert_eq!(complete(Completion::Runbook, "").await, [""; 0]);
    let page = counter.home(person("ada", Role::Responder)).await.expect("reads");
    let text: Vec<String> = page.iter().map(crate::chat::Card::text).collect();
    let text = text.join("\n");
    for word in
        ["Active incidents", "[Acknowledge]", "Nothing waits for a decision", "Your silences"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
}
