//! A storm: 2,000 alerts in 60 s, in Slack and Discord at once, at the rates that they really take.
//! Nothing that a person does waits for it, the offer of a fix overtakes it, and every message ends
//! up right. The figures: `cargo test --test it storm -- --nocapture`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nightjar::chat::{Post, PostState};
use nightjar::model::{Proposal, Time, wall_now};
use nightjar::store::{Filter, Store};
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::bot::Bot;
use crate::support::{eventually, free_port, install_tls};
use crate::{chats, discord_fake as discord, slack_fake as slack};

const PATIENCE: Duration = Duration::from_secs(120);
/// Within this the platforms want an answer to a click.
const AT_ONCE: Duration = Duration::from_secs(3);
/// What must be acted on overtakes what the storm has in line, which takes a minute and more. How
/// fast it is, is printed; a bound that a busy machine breaks would say nothing.
const SOON: Duration = Duration::from_secs(30);
/// Services that alerts come from, and how often they come.
const SERVICES: usize = 10;
const BATCHES: usize = 60;
/// Times that somebody does something on each platform, one every half second.
const DEEDS: usize = 100;

struct World {
    slack: slack::Fake,
    discord: discord::Fake,
    bot: Bot,
}

async fn world() -> World {
    install_tls();
    let (slack, discord) = (slack::Fake::start().await, discord::Fake::start().await);
    slack.look().paced = true;
    // Slack takes its time to say who somebody is.
    slack.look().slow.insert("users.info", Duration::from_millis(1_200));
    let settings = format!(
        "[correlate]\ngroup_wait_s = 1\ndeploy_tolerance_s = 0\n{}\
         [runbooks.settings]\nadmin_url = \"http://127.0.0.1:9/admin\"\n",
        chats::settings(&slack, &discord, "responder")
    );
    let bot = Bot::on(free_port(), &settings).await;
    eventually("connections", PATIENCE, async || slack.n_sockets() == 2).await;
    discord.until("a session", |w| (w.n_identified > 0).then_some(())).await;
    World { slack, discord, bot }
}

fn alert(service: &str, name: &str) -> Value {
    let labels = json!({ "alertname": name, "service": service, "severity": "critical" });
    json!({ "status": "firing", "startsAt": wall_now(), "labels": labels })
}

impl World {
    async fn alerts(&self, alerts: Vec<Value>) {
        let body = json!({ "version": "4", "alerts": alerts });
        assert_eq!(self.bot.door().send("/ingest/alertmanager", &body).await.ok(), Some(200));
    }

    async fn storm(&self) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        for batch in 0..BATCHES {
            tick.tick().await;
            let n = 2_000 * (batch + 1) / BATCHES - 2_000 * batch / BATCHES;
            let many = (0..n).map(|i| {
                let service = format!("service-{}", (batch + i) % SERVICES);
                alert(&service, &format!("Wrong{batch}x{i}"))
            });
            self.alerts(many.collect()).await;
        }
    }

    /// In the midst of it a deploy goes wrong, and there is something to decide.
    async fn offer(&self) {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let deploy = json!({ "kind": "deploy", "service": "orders", "title": "orders 4.7.2",
            "version": "4.7.2", "previous": "4.7.1" });
        assert_eq!(self.bot.door().send("/hooks/deploy", &deploy).await.ok(), Some(200));
        self.alerts(vec![alert("orders", "TooSlow")]).await;
        eventually("a proposal", PATIENCE, async || !self.bot.list("proposals").await.is_empty())
            .await;
    }

    /// New incidents are opened by hand in the midst of it.
    async fn by_hand(&self) {
        for n in 0..12 {
            tokio::time::sleep(Duration::from_millis(4_500)).await;
            let values = json!({ "title": format!("Slow by hand {n}"), "severity": "critical" });
            let key = format!("hand{n}");
            let form = json!({ "code": "v1:declare:none", "values": values, "key": key });
            assert_eq!(self.bot.door().send("/api/v1/submit", &form).await.ok(), Some(200));
        }
    }

    /// What people do in Slack; gives how long each waited for its acknowledgement.
    async fn in_slack(&self) -> Vec<Duration> {
        let mut waits = Vec::new();
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        for n in 0..DEEDS {
            tick.tick().await;
            // Somebody new each time: nothing is known of them.
            let person = format!("U0P{n}");
            let cards = cards(&self.slack);
            let card = cards.get(n % cards.len().max(1));
            let ts = |card: &Value| card["ts"].as_str().expect("a text").to_owned();
            let (kind, payload) = match (n % 5, card) {
                (1, Some(card)) if n % 4 == 0 => {
                    let said =
                        self.slack.say(&person, slack::CHANNEL, Some(&ts(card)), "what changed?");
                    ("events_api", self.slack.event(&said))
                }
                (2, Some(card)) => match button(card, &["acknowledge", "why"]) {
                    Some(i) => {
                        let ts = ts(card);
                        ("interactive", self.slack.click(&person, slack::CHANNEL, &ts, i))
                    }
                    None => continue,
                },
                (3, Some(card)) => match button(card, &["resolve", "silence"]) {
                    Some(i) => {
                        let ts = ts(card);
                        ("interactive", self.slack.click(&person, slack::CHANNEL, &ts, i))
                    }
                    None => continue,
                },
                (4, _) => {
                    let said = self.slack.say(&person, slack::CHANNEL, None, "just talk");
                    ("events_api", self.slack.event(&said))
                }
                _ => {
                    let asked = self.slack.command(&person, slack::CHANNEL, "incidents");
                    ("slash_commands", asked)
                }
            };
            waits.push(self.slack.deliver(kind, payload).await.expect("it is acknowledged").after);
        }
        waits
    }

    /// The same in Discord: how long each waited for its first response.
    async fn in_discord(&self) -> Vec<Duration> {
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        let mut acts = Vec::new();
        for n in 0..DEEDS {
            tick.tick().await;
            let person = if n % 2 == 0 { discord::ADA } else { discord::BOB };
            let cards = self.discord.messages(discord::TEXT);
            let card = cards.get(n % cards.len().max(1));
            let press = |labels: &[&str]| {
                let card = card?;
                let text = card["components"].to_string();
                let label = labels.iter().find(|l| text.contains(&format!("{l:?}")))?;
                let id = card["id"].as_str().and_then(|id| id.parse().ok())?;
                Some(self.discord.press(person, discord::TEXT, id, label))
            };
            let command =
                |sub, given: &[_]| Some(self.discord.command(person, discord::TEXT, sub, given));
            acts.extend(match n % 5 {
                1 if n % 4 == 0 => command("ask", &[("question", "what changed?")]),
                2 => press(&["Acknowledge", "Why?"]),
                3 => press(&["Resolve", "Resolve…", "Silence…"]),
                _ => command("incidents", &[]),
            });
        }
        let mut waits = Vec::new();
        for act in acts {
            let (_, ms) = self.discord.response(act).await;
            waits.push(Duration::from_millis(u64::try_from(ms).expect("few")));
        }
        waits
    }

    /// Waits until nothing is in line on either platform, and nothing was given up.
    async fn settled(&self) {
        self.bot.judged().await;
        for platform in ["slack", "discord"] {
            eventually(&format!("{platform} to have all"), 3 * PATIENCE, async || {
                let outbox = self.bot.get(&format!("/api/v1/outbox?platform={platform}")).await;
                outbox["posts"].as_array().is_some_and(Vec::is_empty)
            })
            .await;
        }
    }
}

/// The cards in Slack's channel.
fn cards(fake: &slack::Fake) -> Vec<Value> {
    let mut roots = fake.messages(slack::CHANNEL);
    roots.retain(|m| {
        let key = m["metadata"]["event_payload"]["key"].as_str();
        key.is_some_and(|k| k.ends_with("/card"))
    });
    roots
}

/// Which button of a message asks for one of these.
fn button(message: &Value, verbs: &[&str]) -> Option<usize> {
    let blocks = message["blocks"].as_array()?.iter().filter(|b| b["type"] == "actions");
    let mut elements = blocks.flat_map(|b| b["elements"].as_array().into_iter().flatten());
    elements.position(|e| {
        let value = e["value"].as_str().unwrap_or_default();
        verbs.iter().any(|verb| value.starts_with(&format!("v1:{verb}:")))
    })
}

/// The reference that a message of Discord ends with.
fn reference(key: &str) -> String {
    let digest = sha2::Sha256::digest(key.as_bytes());
    format!("ref {}", nightjar::model::id::hex(&digest[..6]))
}

/// Figures of one kind.
#[derive(Default)]
struct Figures(Vec<Duration>);

impl Figures {
    fn share(&self, share: f64) -> Duration {
        self.0[((self.0.len() - 1) as f64 * share).round() as usize]
    }

    fn most(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }

    /// Sorts and prints them.
    fn told(mut self, what: &str) -> Self {
        self.0.sort();
        let ms = |d: Duration| d.as_millis();
        match self.0.len() {
            0 => println!("{what:<32} none"),
            n => println!(
                "{what:<32} n {n:>4}   p50 {:>6} ms   p99 {:>6} ms   most {:>6} ms",
                ms(self.share(0.5)),
                ms(self.share(0.99)),
                ms(self.most())
            ),
        }
        self
    }
}

fn kind(key: &str) -> &'static str {
    match key {
        key if key.ends_with("/card") => "new incident card",
        key if key.starts_with("answer:") => "answer",
        key if key.contains("/chart/") => "chart",
        _ => "thread delta",
    }
}

/// How long what was wanted took to be seen, by kind.
fn latencies(
    posts: &[Post],
    proposals: &[Proposal],
    first: impl Fn(&str, &str) -> Option<Time>,
) -> BTreeMap<&'static str, Figures> {
    let mut all: BTreeMap<&'static str, Figures> = BTreeMap::new();
    let mut add = |kind, wanted: Time, seen: Option<Time>| {
        let Some(seen) = seen else { return };
        let ms = u64::try_from(seen.ms_since(wanted)).unwrap_or(0);
        all.entry(kind).or_default().0.push(Duration::from_millis(ms));
    };
    for post in posts {
        add(kind(&post.key), post.at, first(&post.key, ""));
    }
    for proposal in proposals {
        let card = format!("{}/card", proposal.incident);
        let button = format!("v1:approve:{}", proposal.id);
        add("offer of a fix", proposal.created_at, first(&card, &button));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_delays_no_click_and_no_offer() {
    let mut world = world().await;
    let begun = Instant::now();
    let ((), slack_waits, discord_waits, (), ()) = tokio::join!(
        world.storm(),
        world.in_slack(),
        world.in_discord(),
        world.offer(),
        world.by_hand()
    );
    let stormed = begun.elapsed();
    world.settled().await;
    let settled = begun.elapsed();

    // When it is over every card stands once, in its newest form.
    let incidents = world.bot.list("incidents").await;
    let in_slack = cards(&world.slack);
    let in_discord = world.discord.messages(discord::TEXT);
    for incident in &incidents {
        let word = |name: &str| incident[name].as_str().unwrap_or_default().to_owned();
        let key = format!("{}/card", word("id"));
        let own = in_slack.iter().filter(|c| c["metadata"]["event_payload"]["key"] == *key);
        let own: Vec<&str> = own.filter_map(|c| c["text"].as_str()).collect();
        assert!(own.len() == 1 && own[0].contains(&word("title")), "{own:?}");
        assert!(own[0].contains(&word("state")), "{own:?} is {}", word("state"));
        let mark = reference(&key);
        let own = in_discord.iter().map(ToString::to_string).filter(|m| m.contains(&mark));
        let own: Vec<String> = own.collect();
        assert!(own.len() == 1 && own[0].contains(&word("state")), "{own:?}");
    }
    assert_eq!(in_slack.len(), incidents.len());
    assert_eq!(world.slack.look().pinged, [""; 0]);

    // Each key stands once, also in the threads.
    world.bot.kill();
    let store = Store::open(&world.bot.data().join("nightjar.sqlite")).expect("opens");
    let read = store.read(|r| Ok((r.list::<Post>(&Filter::all())?, r.list(&Filter::all())?)));
    let (posts, proposals): (Vec<Post>, Vec<Proposal>) = read.await.expect("reads");
    assert!(!proposals.is_empty(), "something was to be decided");
    let on = |platform: &str| {
        let mut own = posts.clone();
        own.retain(|p| p.platform == platform);
        assert!(own.iter().all(|p| p.state == PostState::Sent), "{own:#?}");
        own
    };
    let (slack_posts, discord_posts) = (on("slack"), on("discord"));
    let is_file = |key: &str| kind(key) == "chart";
    for post in slack_posts.iter().filter(|p| !is_file(&p.key)) {
        let all = world.slack.messages(slack::CHANNEL);
        let own = all.iter().filter(|m| m["metadata"]["event_payload"]["key"] == *post.key);
        assert_eq!(own.count(), 1, "{}", post.key);
    }
    let everything: Vec<String> = {
        let world = world.discord.world();
        world.messages.values().flatten().map(ToString::to_string).collect()
    };
    for post in &discord_posts {
        let mark = reference(&post.key);
        let n = everything.iter().filter(|m| m.contains(&mark)).count();
        assert_eq!(n, 1, "{}", post.key);
    }

    println!("2,000 alerts in {stormed:.1?}, all told after {settled:.1?}");
    let slack_acks = Figures(slack_waits).told("slack: acknowledgement");
    let discord_acks = Figures(discord_waits).told("discord: first response");
    let shown = world.slack.look().shown.clone();
    let seen = |key: &str, part: &str| {
        shown.iter().find(|s| s.key == key && s.blocks.contains(part)).map(|s| s.at)
    };
    let in_slack = latencies(&slack_posts, &proposals, seen);
    let shown = world.discord.world().shown.clone();
    let seen = |key: &str, part: &str| {
        let mark = reference(key);
        shown.iter().find(|(_, m)| m.contains(&mark) && m.contains(part)).map(|(at, _)| *at)
    };
    let in_discord = latencies(&discord_posts, &proposals, seen);
    let mut most = BTreeMap::new();
    for (platform, figures) in [("slack", in_slack), ("discord", in_discord)] {
        for (kind, figures) in figures {
            let figures = figures.told(&format!("{platform}: {kind}"));
            most.insert((platform, kind), figures.most());
        }
    }
    let refused = world.discord.n_answered(429);
    println!("discord: {refused} requests were one too many for a limit");
    assert!(slack_acks.most() < AT_ONCE && discord_acks.most() < AT_ONCE);
    for platform in ["slack", "discord"] {
        assert!(most[&(platform, "offer of a fix")] < SOON, "{platform}: offer of a fix");
        // Every service has an incident of its own, all at once, and a channel takes one message a
        // second: the last card waits for the others.
        let queue = Duration::from_secs(SERVICES as u64);
        assert!(most[&(platform, "new incident card")] < SOON + queue, "{platform}: new card");
    }
}
