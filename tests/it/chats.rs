//! Slack and Discord at once: an incident stands in both, a click in one changes all, and no kill
//! makes two messages of one or leaves one behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bot::Bot;
use crate::support::{eventually, free_port, install_tls, serve};
use crate::{discord_fake as discord, slack_fake as slack};

mod forms;
mod hostile;

const PATIENCE: Duration = Duration::from_secs(120);

struct Both {
    slack: slack::Fake,
    discord: discord::Fake,
    bot: Bot,
}

/// Both chats as settings, with a role for everybody.
pub(crate) fn settings(slack: &slack::Fake, discord: &discord::Fake, role: &str) -> String {
    format!(
        "[[chat.slack]]\nbot_token = {:?}\napp_token = {:?}\napi_url = {:?}\n\
         channel = \"#incidents\"\nrole = {role:?}\n\
         [[chat.discord]]\ntoken = {:?}\nguilds = [\"{}\"]\napi_url = {:?}\nchannel = \"{}\"\n\
         role = {role:?}\n",
        slack::BOT_TOKEN,
        slack::APP_TOKEN,
        slack.api(),
        discord::TOKEN,
        discord::GUILD,
        discord.base(),
        discord::TEXT,
    )
}

async fn both() -> Both {
    both_as("responder", "").await
}

/// With a role for everybody and more settings.
async fn both_as(role: &str, more: &str) -> Both {
    install_tls();
    let (slack, discord) = (slack::Fake::start().await, discord::Fake::start().await);
    let settings = format!("{more}{}", settings(&slack, &discord, role));
    let bot = Bot::on(free_port(), &settings).await;
    Both { slack, discord, bot }
}

impl Both {
    /// Opens an incident by hand; gives its title.
    async fn declare(&self, n: usize) -> String {
        let title = format!("It is slow, number {n}.");
        let values = json!({ "title": title, "severity": "critical" });
        let form = json!({ "code": "v1:declare:none", "values": values, "key": format!("k{n}") });
        assert_eq!(self.bot.door().send("/api/v1/submit", &form).await.ok(), Some(200));
        title
    }

    /// What Slack shows of an incident: the roots that have its title.
    fn in_slack(&self, title: &str) -> Vec<Value> {
        let mut all = self.slack.messages(slack::CHANNEL);
        all.retain(|m| m["thread_ts"].is_null() || m["thread_ts"] == m["ts"]);
        all.retain(|m| m["text"].as_str().is_some_and(|t| t.contains(title)));
        all
    }

    /// The same of Discord.
    fn in_discord(&self, title: &str) -> Vec<Value> {
        let mut all = self.discord.messages(discord::TEXT);
        all.retain(|m| m["embeds"].to_string().contains(title));
        all
    }

    async fn everywhere(&self, title: &str, word: &str) {
        eventually(&format!("{title} {word} in both"), PATIENCE, async || {
            let (a, b) = (self.in_slack(title), self.in_discord(title));
            a.len() == 1
                && b.len() == 1
                && a[0].to_string().contains(word)
                && b[0].to_string().contains(word)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_stands_in_both_and_a_click_in_one_changes_all() {
    let both = both().await;
    let title = both.declare(1).await;
    both.everywhere(&title, "open").await;
    let card = both.in_discord(&title).remove(0);
    let message = card["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    both.discord.press(discord::ADA, discord::TEXT, message, "Acknowledge");
    both.everywhere(&title, "acknowledged").await;
    assert_eq!(both.bot.list("incidents").await[0]["owner"]["id"], discord::ADA.to_string());
    // And the other way round: the form of Slack ends it in Discord.
    let card = both.in_slack(&title).remove(0);
    let blocks = card["blocks"].as_array().cloned().unwrap_or_default();
    let buttons = blocks.iter().filter(|b| b["type"] == "actions");
    let mut buttons = buttons.flat_map(|b| b["elements"].as_array().cloned().unwrap_or_default());
    let resolve = buttons.position(|b| b.to_string().contains("v1:resolve:")).expect("a button");
    let ts = card["ts"].as_str().expect("a text");
    let click = both.slack.click(slack::BO, slack::CHANNEL, ts, resolve);
    both.slack.deliver("interactive", click).await.expect("it is acknowledged");
    eventually("a form", PATIENCE, async || !both.slack.look().views.is_empty()).await;
    let reason = json!({ "type": "plain_text_input", "value": "the cache was cold" });
    let sent = both.slack.submit(slack::BO, &[("reason", reason)]);
    let ack = both.slack.deliver("interactive", sent).await.expect("it is acknowledged");
    assert_eq!(ack.payload, None, "nothing is wrong with it");
    both.everywhere(&title, "resolved").await;
}

/// A click that is under way while the process is killed.
enum Click {
    /// Its payload, and whether it was acknowledged.
    Slack(Value, Arc<AtomicBool>),
    /// The interaction.
    Discord(u64),
}

impl Both {
    /// Lets somebody take an incident, in the one or the other, and does not wait for what comes of
    /// it.
    fn take(&self, title: &str, in_slack: bool) -> Click {
        if !in_slack {
            let card = self.in_discord(title).remove(0);
            let message = card["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
            let act = self.discord.press(discord::ADA, discord::TEXT, message, "Acknowledge");
            return Click::Discord(act);
        }
        let card = self.in_slack(title).remove(0);
        let ts = card["ts"].as_str().expect("a text");
        let click = self.slack.click(slack::ANN, slack::CHANNEL, ts, 0);
        let code = click["actions"][0]["value"].as_str().expect("a code");
        assert!(code.starts_with("v1:acknowledge:"), "{code}");
        let acknowledged = Arc::new(AtomicBool::new(false));
        let (fake, payload, told) = (self.slack.clone(), click.clone(), acknowledged.clone());
        serve(async move {
            if fake.deliver("interactive", payload).await.is_some() {
                told.store(true, Ordering::Relaxed);
            }
        });
        Click::Slack(click, acknowledged)
    }

    /// Whether the person saw that it was taken.
    fn is_taken(&self, click: &Click) -> bool {
        match click {
            Click::Slack(_, acknowledged) => acknowledged.load(Ordering::Relaxed),
            Click::Discord(act) => self.discord.world().acts[act].response.is_some(),
        }
    }

    /// The references of what stands beneath an incident's card in Discord.
    fn beneath(&self, title: &str) -> Vec<String> {
        let card = self.in_discord(title).remove(0);
        let thread = card["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        let reference = |m: &Value| {
            let text = m.to_string();
            text.rfind("ref ").map(|at| text[at + 4..at + 16].to_owned())
        };
        self.discord.messages(thread).iter().filter_map(reference).collect()
    }

    /// Starts the bot again, until it hears both.
    async fn again(&mut self) {
        let sessions = self.discord.world().n_identified;
        self.bot.again().await;
        self.discord.until("a session", |w| (w.n_identified > sessions).then_some(())).await;
        eventually("a connection", PATIENCE, async || self.slack.n_sockets() > 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_leave_one_message_on_each_platform_and_lose_no_click() {
    const KILLS: u64 = 100;
    let mut both = both().await;
    both.discord.world().limits = false;
    let (mut titles, mut clicks) = (Vec::new(), Vec::new());
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for n in 0..KILLS {
        if n % 4 == 0 {
            titles.push(both.declare(titles.len() + 1).await);
        }
        if n % 3 == 0 {
            // The platform has it, and the process ends before it knows.
            both.slack.trouble("chat.postMessage", slack::Trouble::DoneUnsaid);
            both.discord.fail("/messages", discord::Fail::Swallow);
        }
        if n % 4 == 2 {
            // Somebody takes what stands, and the process ends about when they are told.
            let title = titles.last().expect("one was opened").clone();
            both.everywhere(&title, "open").await;
            // Slack is slow to say who it is.
            both.slack.trouble("users.info", slack::Trouble::Late(Duration::from_secs(1)));
            clicks.push((title.clone(), both.take(&title, n % 8 == 2)));
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        match n % 16 {
            // Once they were told that it was taken, and at about the time.
            2 | 6 => {
                let (_, click) = clicks.last().expect("somebody clicked");
                eventually("an acknowledgement", PATIENCE, async || both.is_taken(click)).await;
            }
            10 | 14 => tokio::time::sleep(Duration::from_millis(random % 60)).await,
            _ => tokio::time::sleep(Duration::from_millis(random % 400)).await,
        }
        both.bot.kill();
        if n % 4 == 1 {
            both.again().await;
        } else {
            both.bot.again().await;
        }
    }
    both.bot.kill();
    // Whatever was said before the kill was said; Slack's envelopes wait 3 s.
    tokio::time::sleep(Duration::from_secs(3)).await;
    both.again().await;
    assert_eq!(both.bot.list("incidents").await.len(), titles.len());
    let (taken, lost): (Vec<_>, Vec<_>) =
        clicks.into_iter().partition(|(_, click)| both.is_taken(click));
    println!("{} clicks were acknowledged before the kill, {} were not", taken.len(), lost.len());
    assert!(taken.len() >= 13, "those that were waited for, and what was in time besides");
    for (title, _) in &taken {
        both.everywhere(title, "acknowledged").await;
    }
    for (title, click) in lost {
        // Slack sends again what was not acknowledged; in Discord the person sees that it failed.
        match click {
            Click::Slack(payload, _) => {
                both.slack.deliver("interactive", payload).await.expect("it is acknowledged");
            }
            Click::Discord(_) if both.in_discord(&title)[0].to_string().contains("Acknowledge") => {
                both.take(&title, false);
            }
            Click::Discord(_) => {}
        }
    }
    for title in &titles {
        both.everywhere(title, "acknowledged").await;
    }
    for incident in both.bot.list("incidents").await {
        let path = format!("/api/v1/incidents/{}", incident["id"].as_str().expect("an id"));
        let story = both.bot.get(&path).await["timeline"].take();
        let takes = story.as_array().expect("a story").iter();
        let takes = takes.filter(|e| e["text"].as_str().is_some_and(|t| t.ends_with(" has it")));
        assert_eq!(takes.count(), 1, "it was taken once: {story}");
    }
    // Whatever was tried twice stood once all the time: nothing was taken back.
    let removed = both.slack.n_calls("chat.delete");
    assert_eq!(removed, 0);
    let said = |m: &Value| m["metadata"]["event_payload"]["key"].as_str().map(str::to_owned);
    let mut stand: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for message in both.slack.messages(slack::CHANNEL) {
        stand.entry(said(&message).unwrap_or_default()).or_default().push(message);
    }
    stand.retain(|key, all| !key.is_empty() && all.len() > 1);
    assert!(stand.is_empty(), "no key stands twice in Slack, threads included: {stand:#?}");
    // The same in the threads of Discord, where who took it is told in each.
    for title in &titles {
        eventually("a word in the thread", PATIENCE, async || !both.beneath(title).is_empty())
            .await;
        let mut all = both.beneath(title);
        let n = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), n, "no key stands twice beneath {title}");
    }
}
