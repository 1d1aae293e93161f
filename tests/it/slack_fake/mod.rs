//! A server that speaks Slack's Web API and Socket Mode and is as strict as the real one: it
//! enforces the documented limits, scopes, membership, triggers and error shapes, keeps messages
//! with their metadata, and records when each envelope was acknowledged. What goes wrong on the
//! way is scripted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::{any, post};
use nightjar::model::Time;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::serve;

mod api;
mod limits;
mod read;
mod rooms;
mod socket;
mod streams;
mod wire;

pub(crate) use rooms::Room;

/// The tokens that it takes; they are none.
pub(crate) const BOT_TOKEN: &str = "xoxb-not-a-real-token";
pub(crate) const APP_TOKEN: &str = "xapp-not-a-real-token";
/// Who the bot is.
pub(crate) const BOT_USER: &str = "U0BOT";
pub(crate) const BOT_ID: &str = "B0BOT";
/// A channel that the bot is in, one that it is not in, and an archived one.
pub(crate) const CHANNEL: &str = "C0INCIDENTS";
pub(crate) const OTHER: &str = "C0OTHER";
pub(crate) const ARCHIVED: &str = "C0ARCHIVED";
/// People: an approver by group, one known by e-mail, and anybody.
pub(crate) const ANN: &str = "U0ANN";
pub(crate) const BO: &str = "U0BO";
pub(crate) const CY: &str = "U0CY";
/// The group that Ann is in.
pub(crate) const GROUP: &str = "S0ONCALL";

/// Whether this is somebody of the workspace: besides the three anybody whose id begins so.
pub(crate) fn is_person(id: &str) -> bool {
    [ANN, BO, CY].contains(&id) || id.starts_with("U0P")
}

/// What goes wrong with a call.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// 429 with this `Retry-After`.
    Limited(u64),
    /// A page of a proxy, with this status.
    Html(u16),
    /// An error in Slack's words.
    Error(&'static str),
    /// It is done, late.
    Late(Duration),
    /// It is done, and the answer breaks off.
    DoneUnsaid,
}

/// How an envelope was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Ack {
    /// How long after it was sent.
    pub(crate) after: Duration,
    /// What came with it.
    pub(crate) payload: Option<Value>,
}

/// A state of a message that people could see.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// The key in its metadata.
    pub(crate) key: String,
    /// Since when.
    pub(crate) at: Time,
    /// Its blocks, as text.
    pub(crate) blocks: String,
}

struct Trigger {
    at: Instant,
    used: bool,
}

/// All that the workspace holds.
pub(crate) struct Workspace {
    pub(crate) messages: BTreeMap<String, Vec<Value>>,
    pub(crate) ephemeral: Vec<Value>,
    pub(crate) views: Vec<Value>,
    pub(crate) homes: BTreeMap<String, Value>,
    pub(crate) files: BTreeMap<String, Value>,
    pub(crate) bytes: BTreeMap<String, Vec<u8>>,
    pub(crate) signs: BTreeSet<(String, String, String)>,
    pub(crate) pins: BTreeSet<(String, String)>,
    pub(crate) statuses: Vec<(String, String)>,
    pub(crate) unfurls: Vec<Value>,
    /// Channels that were made here, by id.
    pub(crate) rooms: BTreeMap<String, Room>,
    /// Every call: its method and when it came.
    pub(crate) calls: Vec<(String, Instant)>,
    /// Whoever was named in a message.
    pub(crate) pinged: Vec<String>,
    /// What the bot token was granted.
    pub(crate) scopes: BTreeSet<String>,
    /// Its id, which every payload carries.
    pub(crate) team: String,
    /// Whether tokens count.
    pub(crate) revoked: bool,
    /// Whether the app-level token no longer counts.
    pub(crate) app_revoked: bool,
    /// Seconds for which a connection stands, as it is told.
    pub(crate) connection_s: u64,
    /// Whether the workspace has streams.
    pub(crate) streams: bool,
    /// Whether a channel takes one message a second, and all messages fifty edits a minute.
    pub(crate) paced: bool,
    /// How long each call of a method takes.
    pub(crate) slow: BTreeMap<&'static str, Duration>,
    /// Every state of every message of ours.
    pub(crate) shown: Vec<Shown>,
    edits: VecDeque<Instant>,
    trouble: VecDeque<(String, Trouble)>,
    last_post: BTreeMap<String, Instant>,
    triggers: BTreeMap<String, Trigger>,
    waiting: BTreeMap<String, (Instant, tokio::sync::oneshot::Sender<Ack>)>,
    sockets: Vec<mpsc::UnboundedSender<socket::Order>>,
    tickets: BTreeSet<String>,
    n: u64,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Fake {
    // Guards all that the workspace holds; held only while a call changes it.
    workspace: Arc<Mutex<Workspace>>,
    port: u16,
    socket_port: u16,
}

impl Fake {
    /// A workspace with three channels and three people.
    pub(crate) async fn start() -> Self {
        let workspace = Workspace {
            messages: BTreeMap::new(),
            ephemeral: Vec::new(),
            views: Vec::new(),
            homes: BTreeMap::new(),
            files: BTreeMap::new(),
            bytes: BTreeMap::new(),
            signs: BTreeSet::new(),
            pins: BTreeSet::new(),
            statuses: Vec::new(),
            unfurls: Vec::new(),
            rooms: BTreeMap::new(),
            calls: Vec::new(),
            pinged: Vec::new(),
            scopes: nightjar::chat::slack::NEEDED.iter().map(|s| s.name.to_owned()).collect(),
            team: "T0".into(),
            revoked: false,
            app_revoked: false,
            connection_s: 18_060,
            streams: true,
            paced: false,
            slow: BTreeMap::new(),
            shown: Vec::new(),
            edits: VecDeque::new(),
            trouble: VecDeque::new(),
            last_post: BTreeMap::new(),
            triggers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            sockets: Vec::new(),
            tickets: BTreeSet::new(),
            n: 0,
        };
        let http = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let ws = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = http.local_addr().expect("bound").port();
        let socket_port = ws.local_addr().expect("bound").port();
        let fake = Self { workspace: Arc::new(Mutex::new(workspace)), port, socket_port };
        let router = Router::new()
            .route("/api/{method}", any(wire::call))
            .route("/upload/{file}", post(wire::upload))
            .route("/control/{what}", post(wire::control))
            .with_state(fake.clone());
        serve(async move { axum::serve(http, router).await.expect("it serves") });
        serve(socket::listen(ws, fake.clone()));
        fake
    }

    /// The base address, as a person writes it.
    pub(crate) fn api(&self) -> String {
        format!("http://127.0.0.1:{}/api/", self.port)
    }

    /// Where a script makes people act.
    pub(crate) fn control_url(&self) -> String {
        format!("http://127.0.0.1:{}/control/", self.port)
    }

    /// The workspace; not to be held over an await.
    pub(crate) fn look(&self) -> MutexGuard<'_, Workspace> {
        self.workspace.lock().expect("no code panics while it holds this lock")
    }

    /// The next call of a method has this trouble.
    pub(crate) fn trouble(&self, method: &str, trouble: Trouble) {
        self.look().trouble.push_back((method.to_owned(), trouble));
    }

    fn team(&self) -> String {
        self.look().team.clone()
    }

    /// The messages of a channel, oldest first.
    pub(crate) fn messages(&self, channel: &str) -> Vec<Value> {
        self.look().messages.get(channel).cloned().unwrap_or_default()
    }

    /// How often a method was called.
    pub(crate) fn n_calls(&self, method: &str) -> usize {
        self.look().calls.iter().filter(|(m, _)| m == method).count()
    }

    /// How many connections stand.
    pub(crate) fn n_sockets(&self) -> usize {
        self.look().sockets.iter().filter(|s| !s.is_closed()).count()
    }

    /// A trigger that is valid for 3 s and once.
    pub(crate) fn trigger(&self) -> String {
        let mut workspace = self.look();
        let id = format!("T.{}", workspace.next());
        workspace.triggers.insert(id.clone(), Trigger { at: Instant::now(), used: false });
        id
    }

    /// Somebody says something: a message of a channel, kept, and its event.
    pub(crate) fn say(&self, user: &str, channel: &str, thread: Option<&str>, text: &str) -> Value {
        let mut workspace = self.look();
        let ts = workspace.ts();
        let mut message = json!({ "type": "message", "user": user, "text": text, "ts": ts });
        if let Some(thread) = thread {
            message["thread_ts"] = thread.into();
        }
        workspace.messages.entry(channel.to_owned()).or_default().push(message.clone());
        message["channel"] = channel.into();
        message["channel_type"] = if channel.starts_with('D') { "im" } else { "channel" }.into();
        message["event_ts"] = ts.into();
        message
    }

    /// An event's payload.
    pub(crate) fn event(&self, event: &Value) -> Value {
        let team = self.team();
        let n = self.look().next();
        json!({
            "type": "event_callback", "token": "none", "team_id": team, "api_app_id": "A0",
            "event": event, "event_id": format!("Ev{n}"), "event_time": 1_763_607_600,
        })
    }

    /// The payload of a click on the n-th button of a message.
    pub(crate) fn click(&self, user: &str, channel: &str, ts: &str, n: usize) -> Value {
        let (trigger, team) = (self.trigger(), self.team());
        let messages = self.messages(channel);
        let message = messages.iter().find(|m| m["ts"] == ts).expect("the message stands").clone();
        let blocks = message["blocks"].as_array().cloned().unwrap_or_default();
        let buttons = blocks.iter().filter(|b| b["type"] == "actions");
        let mut buttons =
            buttons.flat_map(|b| b["elements"].as_array().cloned().unwrap_or_default());
        let mut action = buttons.nth(n).expect("the message has such a button");
        action["action_ts"] = self.look().ts().into();
        let mut container = json!({
            "type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": false,
        });
        if !message["thread_ts"].is_null() {
            container["thread_ts"] = message["thread_ts"].clone();
        }
        json!({
            "type": "block_actions", "user": { "id": user, "username": user, "team_id": team },
            "api_app_id": "A0", "team": { "id": team, "domain": "shop" },
            "channel": { "id": channel, "name": "incidents" }, "container": container,
            "message": message, "trigger_id": trigger, "actions": [action],
        })
    }

    /// The payload of a choice in the menu of a message: the option whose value begins so.
    pub(crate) fn choose(&self, user: &str, channel: &str, ts: &str, value: &str) -> Value {
        let mut payload = self.click(user, channel, ts, 0);
        let blocks = payload["message"]["blocks"].as_array().cloned().unwrap_or_default();
        let elements = blocks.iter().flat_map(|b| b["elements"].as_array().into_iter().flatten());
        let menu = elements.clone().find(|e| e["options"].is_array()).expect("it has a menu");
        let mut options = menu["options"].as_array().into_iter().flatten();
        let begins = |o: &&Value| o["value"].as_str().is_some_and(|v| v.starts_with(value));
        payload["actions"] = json!([{
            "type": menu["type"], "action_id": menu["action_id"], "block_id": "b",
            "selected_option": options.find(begins).expect("it has such an option"),
            "action_ts": self.look().ts(),
        }]);
        payload
    }

    /// The payload of sending the newest modal with these answers.
    pub(crate) fn submit(&self, user: &str, answers: &[(&str, Value)]) -> Value {
        let mut view = self.look().views.last().expect("a modal is open").clone();
        // What nobody touched comes back as it stood at first.
        for block in view["blocks"].as_array().cloned().unwrap_or_default() {
            let (name, element) = (block["block_id"].as_str(), &block["element"]);
            if let (Some(name), "input") = (name, block["type"].as_str().unwrap_or_default()) {
                view["state"]["values"][name]["value"] = json!({
                    "type": element["type"], "value": element["initial_value"],
                    "selected_option": element["initial_option"],
                    "selected_date_time": element["initial_date_time"],
                });
            }
        }
        for (name, value) in answers {
            view["state"]["values"][*name]["value"] = value.clone();
        }
        json!({
            "type": "view_submission", "user": { "id": user }, "team": { "id": self.team() },
            "api_app_id": "A0", "view": view, "trigger_id": self.trigger(),
        })
    }

    /// The payload of a slash command.
    pub(crate) fn command(&self, user: &str, channel: &str, text: &str) -> Value {
        json!({
            "command": "/nightjar", "text": text, "user_id": user, "user_name": user,
            "channel_id": channel, "channel_name": "incidents", "team_id": self.team(),
            "team_domain": "shop", "api_app_id": "A0", "is_enterprise_install": "false",
            "response_url": "http://127.0.0.1:1/none", "trigger_id": self.trigger(),
        })
    }
}

impl Workspace {
    fn next(&mut self) -> u64 {
        self.n += 1;
        self.n
    }

    /// A time stamp that no other message has.
    fn ts(&mut self) -> String {
        let n = self.next();
        let seconds = nightjar::model::wall_now().ms() / 1_000;
        format!("{seconds}.{n:06}")
    }

    fn take_trouble(&mut self, method: &str) -> Option<Trouble> {
        let at = self.trouble.iter().position(|(m, _)| m == method)?;
        self.trouble.remove(at).map(|(_, trouble)| trouble)
    }
}
