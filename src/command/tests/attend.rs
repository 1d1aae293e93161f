//! What was said is handled once, whatever dies in between, and answered where it was said.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{World, person, t0};
use crate::assist::{self, Assistant};
use crate::chat::{
    Address, Card, Chat, Content, Draft, File, HeardState, Inbound, Kept, Limits, Place, Post,
    PostState, Said, Who, Within,
};
use crate::command::attend::QUESTIONS;
use crate::command::{Attend, Clerk, Counter};
use crate::model::{Fault, Incident, IncidentState, Role};
use crate::stage::{Stage as _, Tasks};
use crate::store::Filter;

/// A platform that notes what it is told. Messages go by the outbox, so none comes here.
#[derive(Default)]
pub(super) struct Platform {
    /// Whether it can say nothing to one person alone.
    pub(super) mute: bool,
    /// How often it fails before it says anything to one person alone.
    pub(super) n_faults: AtomicU32,
    /// How often it fails to take a sign away.
    pub(super) n_unsigned: AtomicU32,
    /// Who people are; `None`: that can't be asked now.
    pub(super) who: Mutex<Option<Who>>,
    // Guards what was said to whom, and the signs of work, in order.
    said: Mutex<Vec<(String, Content)>>,
    signs: Mutex<Vec<(String, bool)>>,
}

impl Platform {
    pub(super) fn said(&self) -> Vec<(String, Content)> {
        self.said.lock().expect("no panic").clone()
    }

    pub(super) fn signs(&self) -> Vec<(String, bool)> {
        self.signs.lock().expect("no panic").clone()
    }
}

impl Chat for Platform {
    fn platform(&self) -> &'static str {
        "slack"
    }

    fn limits(&self) -> Limits {
        Limits {
            text: 4_000,
            card: 4_000,
            answer: 1_000,
            section: 3_000,
            buttons: 25,
            label: 75,
            form_title: 24,
            file_bytes: 1 << 20,
            every_ms: 0,
            edits_a_minute: 0,
            edits_by_channel: false,
            charts_as_files: true,
        }
    }

    fn post(&self, draft: Draft) -> BoxFuture<'_, Result<Place, Fault>> {
        unreachable!("{draft:?} goes by the outbox")
    }

    fn upload(&self, file: File) -> BoxFuture<'_, Result<Place, Fault>> {
        unreachable!("{file:?} goes by the outbox")
    }

    fn ephemeral(&self, to: Address, content: Content) -> BoxFuture<'_, Result<(), Fault>> {
        let count = |n: u32| n.checked_sub(1);
        let said = if self.mute {
            Err(Fault::because("it has no interaction"))
        } else if self.n_faults.fetch_update(SeqCst, SeqCst, count).is_ok() {
            Err(Fault::transient("it is busy", anyhow::anyhow!("503")))
        } else {
            self.said.lock().expect("no panic").push((to.actor.name, content));
            Ok(())
        };
        std::future::ready(said).boxed()
    }

    fn who(&self, _: Inbound) -> BoxFuture<'_, Result<Who, Fault>> {
        let who = self.who.lock().expect("no panic").clone();
        let down = || Fault::transient("asking who it is", anyhow::anyhow!("it is down"));
        std::future::ready(who.ok_or_else(down)).boxed()
    }

    fn working(&self, _to: Address, message: String, on: bool) -> BoxFuture<'_, Result<(), Fault>> {
        self.signs.lock().expect("no panic").push((message, on));
        let count = |n: u32| n.checked_sub(1);
        let busy = self.n_unsigned.fetch_update(SeqCst, SeqCst, count).is_ok();
        let pause = Fault::Transient { context: "too many".into(), after: None, source: None };
        std::future::ready(if busy && !on { Err(pause) } else { Ok(()) }).boxed()
    }
}

/// What a person says on that platform.
pub(super) fn inbound(key: &str, role: Role, said: Said) -> Inbound {
    Inbound {
        key: key.into(),
        platform: "slack".into(),
        channel: "C1".into(),
        thread: None,
        message: Some(format!("m-{key}")),
        actor: crate::model::Actor { via: "slack".into(), ..person("ada", role) },
        at: t0(),
        unresolved: false,
        trigger: None,
        said,
    }
}

pub(super) fn words(text: &str, addressed: bool) -> Said {
    Said::Message { text: text.into(), addressed }
}

fn click(verb: &str, incident: &Incident) -> Said {
    Said::Click { code: format!("v1:{verb}:{}", incident.id) }
}

/// A process over a world: a clerk, his stage, and what runs beside.
pub(super) struct Process {
    pub(super) clerk: Clerk,
    pub(super) chat: Arc<Platform>,
    stage: Attend,
    tasks: Tasks,
}

impl Process {
    pub(super) fn of(world: &World) -> Self {
        Self::with(world, Platform::default())
    }

    pub(super) fn with(world: &World, chat: Platform) -> Self {
        let (chat, tasks) = (Arc::new(chat), Tasks::default());
        let assistant = Assistant::new(world.store.reader(), None, assist::Config::default());
        let counter = Counter::new(world.desk.clone());
        let clerk = Clerk::new(counter, assistant, vec![chat.clone()]);
        let stage = Attend::new(clerk.clone(), tasks.clone());
        Self { clerk, chat, stage, tasks }
    }

    /// Keeps it in the store, however long that takes here.
    pub(super) async fn hear(&self, inbound: Inbound) -> bool {
        self.clerk.counter().keep(inbound).await.expect("kept")
    }

    /// Looks once at what is due; what fails stays.
    pub(super) async fn round(&mut self) {
        self.stage.sweep().await.expect("the store works");
        until(async || self.clerk.is_idle()).await;
    }

    /// Handles all that is due.
    pub(super) async fn attend(&mut self, world: &World) {
        self.stage.sweep().await.expect("the store works");
        until(async || due(world).await == 0 && self.clerk.is_idle()).await;
    }
}

/// Waits for something without sleeping: each look reads the store.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let all = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("it comes about");
}

pub(super) async fn due(world: &World) -> u64 {
    world.store.read(|r| r.count::<Kept>(&Filter::states(["due"]))).await.expect("reads")
}

pub(super) async fn posts(world: &World) -> Vec<Post> {
    world.store.read(|r| r.list::<Post>(&Filter::all())).await.expect("reads")
}

/// The incident's card as it stands on the platform, as message `root` of channel `C1`.
async fn carded(world: &World) -> Incident {
    let incident = world.incident(1, IncidentState::Open, 1).await;
    let place = Place { platform: "slack".into(), channel: "C1".into(), message: "root".into() };
    let card = Content::card(Card::words("card", "words"));
    let post =
        Post::new(format!("{}/card", incident.id), ("slack", "C1"), Within::Channel, card, t0());
    let (state, id) = (PostState::Sent, Some(incident.id));
    let post = Post { place: Some(place), incident: id, state, ..post };
    world.store.write(move |tx| tx.put(&post)).await.expect("written");
    incident
}

pub(super) fn card_of(post: &Post) -> &Card {
    match &post.content {
        Content::Card { card } => card,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_question_is_answered_once_where_it_was_asked() {
    let world = World::new();
    let incident = carded(&world).await;
    let mut process = Process::of(&world);
    let in_thread = Inbound {
        thread: Some("root".into()),
        ..inbound("q1", Role::Viewer, words("what is going on?", false))
    };
    assert!(process.hear(in_thread.clone()).await);
    assert!(!process.hear(in_thread.clone()).await, "delivered twice");
    process.hear(inbound("q2", Role::Viewer, words("status?", true))).await;
    process.hear(inbound("q3", Role::Viewer, words("lunch, anybody?", false))).await;
    for (n, text) in
        ["I have a look", "@bea can you look?", "<@U7> what is this?", "is it"].iter().enumerate()
    {
        let heard = inbound(&format!("t{n}"), Role::Viewer, words(text, false));
        process.hear(Inbound { thread: Some("root".into()), ..heard }).await;
    }
    process.attend(&world).await;
    assert!(!process.hear(in_thread).await, "delivered again after it was answered");
    process.attend(&world).await;
    let answers: Vec<Post> =
        posts(&world).await.into_iter().filter(|p| p.key.starts_with("answer:")).collect();
    let places: Vec<_> = answers.iter().map(|p| (p.key.as_str(), &p.within, p.incident)).collect();
    assert_eq!(
        places,
        [
            ("answer:slack:q1", &Within::Message("root".into()), Some(incident.id)),
            ("answer:slack:q2", &Within::Message("m-q2".into()), None),
            ("answer:slack:t3", &Within::Message("root".into()), Some(incident.id)),
        ],
        "talk that is not for us is left alone"
    );
    assert!(card_of(&answers[0]).footer.contains("No model used"), "{answers:?}");
    assert!(answers.iter().all(|p| p.state == PostState::Due));
    let mut signs = process.chat.signs();
    signs.sort();
    let on = |name: &str| (format!("m-{name}"), true);
    assert_eq!(signs, [on("q1"), on("q2"), on("t3")], "no answer stands yet");
    assert_eq!(process.chat.said(), []);
}

#[tokio::test]
async fn what_a_dead_process_left_is_answered_by_the_next_one_once() {
    let world = World::new();
    carded(&world).await;
    let first = Process::of(&world);
    first.hear(inbound("q", Role::Viewer, words("status?", true))).await;
    // It dies here. The platform, unsure, delivers again to the next one.
    drop(first);
    assert_eq!((due(&world).await, posts(&world).await.len()), (1, 1));
    let mut second = Process::of(&world);
    assert!(!second.hear(inbound("q", Role::Viewer, words("status?", true))).await);
    second.attend(&world).await;
    let mut third = Process::of(&world);
    third.attend(&world).await;
    assert_eq!(posts(&world).await.len(), 2, "the card and one answer");
}

#[tokio::test]
async fn an_end_leaves_questions_to_the_next_start() {
    let world = World::new();
    let mut process = Process::of(&world);
    let turns = process.stage.turns.clone();
    let held = turns.try_acquire_many(u32::try_from(QUESTIONS).expect("few")).expect("free");
    process.hear(inbound("q", Role::Viewer, words("status?", true))).await;
    process.stage.sweep().await.expect("the store works");
    until(async || !process.chat.signs().is_empty()).await;
    assert!(process.tasks.drain(Duration::from_secs(10)).await, "it does not wait for a model");
    drop(held);
    assert_eq!((due(&world).await, posts(&world).await.len()), (1, 0));
    Process::of(&world).attend(&world).await;
    assert_eq!(posts(&world).await.len(), 1);
}

#[tokio::test]
async fn slow_questions_hold_up_no_click() {
    let world = World::new();
    let incident = carded(&world).await;
    let mut process = Process::of(&world);
    let turns = process.stage.turns.clone();
    let held = turns.try_acquire_many(u32::try_from(QUESTIONS).expect("few")).expect("free");
    for n in 0..3 {
        process.hear(inbound(&format!("q{n}"), Role::Viewer, words("status?", true))).await;
    }
    process.hear(inbound("c", Role::Responder, click("acknowledge", &incident))).await;
    process.stage.sweep().await.expect("the store works");
    until(async || due(&world).await == 3).await;
    assert_eq!(world.read(incident.id).await.state, IncidentState::Acknowledged);
    // The sign of work is there although nobody had time yet; a second look starts nothing anew.
    until(async || process.chat.signs().len() == 3).await;
    process.stage.sweep().await.expect("the store works");
    drop(held);
    process.attend(&world).await;
    assert_eq!(posts(&world).await.len(), 4, "the card and three answers");
}

#[tokio::test]
async fn a_click_is_done_once_with_its_mark_or_refused_to_that_person_alone() {
    let world = World::new();
    let incident = carded(&world).await;
    let mut process = Process::of(&world);
    process.hear(inbound("v", Role::Viewer, click("acknowledge", &incident))).await;
    process.attend(&world).await;
    let said = process.chat.said();
    assert_eq!(said.len(), 1);
    let (name, Content::Text { text }) = &said[0] else { panic!("{said:?}") };
    assert!(
        name == "ada" && text.contains("you need the role responder; you have viewer"),
        "{text}"
    );
    assert_eq!(world.timeline(incident.id).await, []);

    let heard = inbound("c", Role::Responder, click("acknowledge", &incident));
    process.hear(heard.clone()).await;
    // The process dies right after the deed: the mark was set with it.
    let heard = process.clerk.counter().stamped(heard);
    let Said::Click { code } = &heard.said else { unreachable!() };
    let done = process.clerk.perform(&heard, code, &[].into()).await.expect("she may");
    assert_eq!(done.words, "Incident #1 is yours.");
    assert_eq!(due(&world).await, 0);
    let again = process.clerk.perform(&heard, code, &[].into()).await;
    assert!(super::refusal(again).to_string().contains("handled already"));
    Process::of(&world).attend(&world).await;
    assert_eq!(world.timeline(incident.id).await.len(), 1);
    assert_eq!(posts(&world).await.len(), 1, "the timeline tells it, no answer does");
}

#[tokio::test]
async fn a_platform_that_cannot_whisper_names_the_person_in_the_thread() {
    let world = World::new();
    let incident = carded(&world).await;
    let mut process = Process::with(&world, Platform { mute: true, ..Platform::default() });
    let heard = inbound("v", Role::Viewer, click("acknowledge", &incident));
    process.hear(Inbound { thread: Some("root".into()), ..heard }).await;
    process.hear(inbound("h", Role::Viewer, Said::Command { text: "approvals".into() })).await;
    process.attend(&world).await;
    let found = posts(&world).await;
    let of = |key: &str| found.iter().find(|p| p.key == key).expect("it is said in the open");
    let Content::Text { text } = &of("answer:slack:v").content else { panic!("{found:?}") };
    assert!(text.starts_with("ada: To acknowledge an incident you need"), "{text}");
    assert_eq!(of("answer:slack:v").within, Within::Message("root".into()));
    assert_eq!(card_of(of("answer:slack:h")).context, "For ada");
    assert_eq!(of("answer:slack:h").within, Within::Channel);
}

#[tokio::test]
async fn why_and_silence_are_told_in_the_thread() {
    let world = World::new();
    let incident = carded(&world).await;
    let mut process = Process::of(&world);
    let here = |heard: Inbound| Inbound { thread: Some("root".into()), ..heard };
    process.hear(here(inbound("w", Role::Viewer, click("why", &incident)))).await;
    let values = [
        ("matchers".to_owned(), "service=\"orders\"".to_owned()),
        ("duration".to_owned(), "2 h".to_owned()),
        ("reason".to_owned(), "@everyone <!channel> deploys".to_owned()),
    ];
    let code = format!("v1:silence:{}", incident.id);
    let said = Said::Submit { code, values: values.into() };
    process.hear(here(inbound("s", Role::Responder, said))).await;
    process.attend(&world).await;
    let found = posts(&world).await;
    let of = |key: &str| found.iter().find(|p| p.key == key).expect("it is told");
    assert!(card_of(of("answer:slack:w")).title.starts_with("Why: #1"), "{found:?}");
    let home = Within::Post(format!("{}/card", incident.id));
    assert!([of("answer:slack:w"), of("answer:slack:s")].iter().all(|p| p.within == home));
    let Content::Text { text } = &of("answer:slack:s").content else { panic!("{found:?}") };
    assert!(
        text.starts_with("Silenced until 2026-11-20 05:00 UTC by ada: service=\"orders\""),
        "{text}"
    );
}

#[tokio::test]
async fn talk_of_any_kind_is_handled_and_kept_within_bounds() {
    let world = World::new();
    carded(&world).await;
    let mut process = Process::of(&world);
    let long = "why ".repeat(2_500);
    let key = "password=not-a-real-secret-hunter2";
    let texts = ["", "   ", "@everyone", "<!channel>", "\u{202e}evil", &long, key, "`rm -rf /`"];
    for (n, text) in texts.iter().enumerate() {
        process.hear(inbound(&format!("m{n}"), Role::Viewer, words(text, true))).await;
        let command = Said::Command { text: (*text).to_owned() };
        process.hear(inbound(&format!("c{n}"), Role::Viewer, command)).await;
        let code = Said::Click { code: (*text).to_owned() };
        process.hear(inbound(&format!("b{n}"), Role::Viewer, code)).await;
    }
    process.attend(&world).await;
    let all = world.store.read(|r| r.list::<Kept>(&Filter::all())).await.expect("reads");
    assert_eq!(all.len(), 3 * texts.len());
    assert!(all.iter().all(|kept| kept.state == HeardState::Done && kept.inbound.at == t0()));
    for (_, content) in process.chat.said() {
        let Content::Text { text } = content else { panic!("{content:?}") };
        assert!(text.chars().count() < 2_500, "{text}");
    }
    for post in posts(&world).await {
        assert!(!format!("{:?}", post.content).contains("hunter2"), "{post:?}");
    }
    // Nor does what was said itself, a form's values included; what a click carries is a code.
    let values = [("reason".to_owned(), key.to_owned())].into();
    let sent = Said::Submit { code: "v1:declare:none".into(), values };
    process.hear(inbound("form", Role::Viewer, sent)).await;
    let all = world.store.read(|r| r.list::<Kept>(&Filter::all())).await.expect("reads");
    let words = all.iter().filter(|k| !matches!(k.inbound.said, Said::Click { .. }));
    for kept in words {
        assert!(!format!("{:?}", kept.inbound.said).contains("hunter2"), "{kept:?}");
    }
}

#[tokio::test]
async fn the_next_process_goes_on_with_a_thread_of_another_platform() {
    let world = World::new();
    carded(&world).await;
    let mut process = Process::of(&world);
    // Nobody is connected there any more: it is answered by the outbox when somebody is again.
    let elsewhere = Inbound {
        platform: "discord".into(),
        ..inbound("x", Role::Viewer, Said::Command { text: "help".into() })
    };
    process.hear(elsewhere).await;
    process.attend(&world).await;
    let found = posts(&world).await;
    let post = found.iter().find(|p| p.platform == "discord").expect("it waits there");
    assert_eq!(post.key, "answer:discord:x");
}

#[tokio::test]
async fn an_answer_unfolds_in_its_own_message_and_its_end_stands() {
    let world = World::new();
    carded(&world).await;
    let mut process = Process::of(&world);
    let question = inbound("q", Role::Viewer, words("status?", true));
    process.hear(question.clone()).await;
    let question = process.clerk.counter().stamped(question);
    let tell = async |texts: &[&str]| {
        let (progress, heard) = tokio::sync::mpsc::channel(8);
        for text in texts {
            let text = (*text).to_owned();
            progress.send(assist::Progress::Sentence { text }).await.expect("there is room");
        }
        drop(progress);
        process.clerk.unfold(&question, None, heard).await;
        let found = posts(&world).await;
        found.into_iter().find(|p| p.key == "answer:slack:q").expect("it is shown")
    };
    let making = tell(&["orders is slow [1].", "So is auth [2]."]).await;
    assert_eq!(card_of(&making).footer, "Being answered …");
    let text = card_of(&making).text();
    assert!(text.contains("orders is slow") && !text.contains("auth"), "not faster: {text}");
    assert_eq!(due(&world).await, 1, "what is shown is not the answer yet");
    process.attend(&world).await;
    let (progress, heard) = tokio::sync::mpsc::channel(8);
    let late = assist::Progress::Sentence { text: "Late words.".into() };
    progress.send(late).await.expect("there is room");
    drop(progress);
    process.clerk.unfold(&question, None, heard).await;
    let found = posts(&world).await;
    let answers: Vec<&Post> = found.iter().filter(|p| p.key == "answer:slack:q").collect();
    assert_eq!(answers.len(), 1);
    assert!(card_of(answers[0]).footer.contains("No model used"), "{answers:?}");
}
