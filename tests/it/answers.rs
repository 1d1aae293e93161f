//! Long answers in Slack and Discord: in parts, each in the thread and whole, as they grow and when
//! they are made; longer ones in a file.

use std::sync::Arc;
use std::time::Duration;

use nightjar::assist::{Answer, Cost};
use nightjar::bus::{Bus, Event};
use nightjar::chat::outbox::Standing;
use nightjar::chat::{Chat, Content, Post, Urgency, Within, discord, slack};
use nightjar::command::Parts;
use nightjar::model::clock::SystemClock;
use nightjar::model::wall_now;
use nightjar::notify::Deliver;
use nightjar::store::Store;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{eventually, install_tls, serve};

const PATIENCE: Duration = Duration::from_secs(120);

/// An outbox whose posts are brought to one platform.
struct World {
    store: Store,
    bus: Bus,
    room: usize,
    post: Post,
    _ends: DropGuard,
    _folder: tempfile::TempDir,
}

impl World {
    /// Beneath a question in a channel.
    fn new(chat: Arc<dyn Chat>, channel: &str, question: &str) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("a.sqlite")).expect("a store");
        let (bus, shutdown) = (Bus::default(), CancellationToken::new());
        let (platform, room) = (chat.platform().to_owned(), chat.limits().answer);
        let deliver = Deliver::new(store.clone(), bus.clone(), Arc::new(SystemClock), chat);
        let ends = shutdown.clone();
        serve(async move { deliver.run(ends).await.expect("the store works") });
        let post = Post::new(
            "answer:q",
            (&platform, channel),
            Within::Message(question.into()),
            Content::text(""),
            wall_now(),
        );
        let post = Post { urgency: Urgency::Answer, ..post };
        Self { store, bus, room, post, _ends: shutdown.drop_guard(), _folder: folder }
    }

    /// Wants an answer so far, or the whole of it, and waits until it stands.
    async fn want(&self, text: &str, is_made: bool) {
        let parts = if is_made {
            let answer = Answer {
                text: text.into(),
                intent: "why".into(),
                citations: Vec::new(),
                gaps: Vec::new(),
                notes: vec!["No model used.".into()],
                model: None,
                cost: Cost::default(),
                took_ms: 1,
            };
            Parts::of(&answer, self.room, self.post.clone())
        } else {
            Parts::making(text, "Being answered …", self.room, self.post.clone())
        };
        self.store.write(move |tx| parts.want(tx)).await.expect("the store works");
        self.bus.publish(Event::Outbox);
        eventually("all parts", PATIENCE, async || {
            let platform = self.post.platform.clone();
            let read = self.store.read(move |r| Standing::of(r, &platform)).await;
            let standing = read.expect("reads");
            assert_eq!(standing.n_refused, 0);
            standing.n_due + standing.n_trying + standing.n_waiting == 0
        })
        .await;
    }
}

/// So much telemetry in an answer that it needs about this room, with names that would ping.
fn text(n_chars: usize) -> String {
    let mut text = String::from("Orders waits for its pool.");
    for n in 0.. {
        if text.len() > n_chars {
            break;
        }
        text.push_str(&format!("\n\nAt 03:{:02} <!channel> & @everyone saw it {n}:\n", n % 60));
        text.push_str("```\nselect id from orders where state is open\n```");
        text.push_str(&format!("\nIt took {n} ms; {}", "the pool was full; ".repeat(15).trim()));
    }
    text
}

/// Words as they are compared: without white space and marks of code.
fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '`' && *c != '\u{200b}').collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_grows_in_its_slack_thread_and_a_longer_one_ends_in_a_file() {
    use crate::slack_fake::{ANN, BOT_TOKEN, CHANNEL, Fake};
    install_tls();
    let fake = Fake::start().await;
    let config: slack::Config = serde_json::from_value(json!({
        "bot_token": BOT_TOKEN, "api_url": fake.api(), "channel": CHANNEL,
        "signing_secret": "not-a-real-secret",
    }))
    .expect("settings");
    let inlet = Arc::new(crate::discord::Desk::default());
    let chat = slack::Slack::new(config, inlet, Arc::new(SystemClock)).expect("good settings");
    let question = fake.say(ANN, CHANNEL, None, "why?")["ts"].as_str().expect("a text").to_owned();
    let world = World::new(Arc::new(chat), CHANNEL, &question);
    let answers = || fake.messages(CHANNEL).split_off(1);
    let said = |message: &Value| -> String {
        let blocks = message["blocks"].as_array().expect("blocks");
        let sections = blocks.iter().filter(|b| b["type"] == "section");
        let texts: Vec<&str> = sections.filter_map(|b| b["text"]["text"].as_str()).collect();
        let text = texts.join("\n").replace("&lt;", "<").replace("&gt;", ">");
        text.replace("&amp;", "&")
    };

    world.want(&text(3_000), false).await;
    assert_eq!(answers().len(), 1);
    world.want(&text(14_000), false).await;
    world.want(&text(20_000), true).await;
    let found = answers();
    assert!(found.len() > 2, "{} messages", found.len());
    assert!(found.iter().all(|m| m["thread_ts"] == *question));
    let whole: String = found.iter().map(&said).collect();
    assert_eq!(bare(&whole), bare(&text(20_000)));
    for message in &found {
        assert_eq!(said(message).matches("```").count() % 2, 0, "{message}");
    }
    let n_edits = fake.n_calls("chat.update");
    assert!(n_edits <= 4, "a part that stays is not edited: {n_edits}");
    // It became too long for the thread: what stands stays, and the whole is a file.
    world.want(&text(90_000), true).await;
    let found = answers();
    let file = found.last().expect("the file");
    let name = file["files"][0]["name"].as_str().expect("a name");
    assert!(name.starts_with("answer-") && name.contains(".md"), "{name}");
    assert!(found[found.len() - 2].to_string().contains("Goes on in the file below"));
    let bytes = fake.look().bytes.values().next().cloned().expect("the bytes");
    assert_eq!(String::from_utf8(bytes).expect("text"), text(90_000));
    assert_eq!(fake.look().pinged, [""; 0]);
    // And shorter again.
    world.want("It is over.", true).await;
    let found = answers();
    assert!(said(&found[0]).contains("It is over.") && said(&found[1]).contains("it ends there"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_grows_in_its_discord_thread_and_a_longer_one_ends_in_a_file() {
    use crate::discord_fake::{ADA, Fake, GUILD, TEXT, TOKEN};
    install_tls();
    let fake = Fake::start().await;
    let config: discord::Config = serde_json::from_value(json!({
        "token": TOKEN, "guilds": [GUILD.to_string()], "api_url": fake.base(),
        "channel": TEXT.to_string(),
    }))
    .expect("settings");
    let inlet = Arc::new(crate::discord::Desk::default());
    let chat = discord::Discord::new(config, inlet, Arc::new(SystemClock)).expect("good settings");
    let question = fake.say(ADA, TEXT, "why?");
    let world = World::new(Arc::new(chat), &TEXT.to_string(), &question.to_string());
    // The thread of a message has its id.
    let answers = || fake.messages(question);
    let said = |message: &Value| -> String {
        let embeds = message["embeds"].as_array().expect("embeds");
        let texts: Vec<&str> = embeds.iter().filter_map(|e| e["description"].as_str()).collect();
        texts.join("\n").replace('\\', "")
    };

    world.want(&text(1_500), false).await;
    assert_eq!(answers().len(), 1);
    world.want(&text(5_000), false).await;
    world.want(&text(8_000), true).await;
    let found = answers();
    assert!(found.len() > 2, "{} messages", found.len());
    let whole: String = found.iter().map(&said).collect();
    assert_eq!(bare(&whole), bare(&text(8_000)));
    world.want(&text(60_000), true).await;
    let found = answers();
    let file = found.last().expect("the file");
    assert_eq!(file["attachments"][0]["filename"], "answer.md");
    let id: u64 = file["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    assert_eq!(fake.world().files[&id].1, text(60_000).as_bytes());
    assert!(found[found.len() - 2].to_string().contains("Goes on in the file below"));
    assert!(!whole.contains("@everyone"), "nobody is named: {whole}");
    world.want("It is over.", true).await;
    let found = answers();
    assert!(said(&found[0]).contains("It is over."));
    assert!(found[1]["content"].as_str().is_some_and(|t| t.contains("it ends there")), "{found:?}");
}
