//! Slack as a chat platform: cards as blocks, forms as modals, Socket Mode or signed HTTP.
//!
//! Takes what `notify` and `command` want said, gives what people do to the [`Inlet`]. Guarantees:
//! a key stands once (it is in the message's metadata, and the channel is read for it when a try
//! is in doubt); every envelope is acknowledged within a second, and none before it is durable;
//! what Slack delivers twice has the same [`Inbound::key`](crate::chat::Inbound::key); a token that
//! counts no more and a Slack that is down are told by [`Chat::health`] and stop nothing else.

mod advice;
mod check;
mod config;
mod events;
mod handle;
mod http;
mod people;
pub(crate) mod render;
mod room;
mod run;
mod scopes;
mod send;
mod socket;
mod stream;
mod web;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, RwLock};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::mpsc;

pub use check::{Finding, check};
pub use config::{Config, IncidentChannels};
pub use http::verify;
pub use scopes::{NEEDED, ROOMS, Scope};

use self::web::{Failure, Web};
use crate::chat::room::{Keep, Kept};
use crate::chat::seek::Seeks;
use crate::chat::{
    Address, Chat, Content, Draft, File, Health, Hook, Hooked, Inbound, Inlet, Limits, Place,
    RoomPolicy, Who,
};
use crate::model::{Fault, SharedClock};

/// One Slack workspace. Cheap to clone.
#[derive(Clone)]
pub struct Slack {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    platform: String,
    web: Web,
    inlet: Arc<dyn Inlet>,
    clock: SharedClock,
    // Why Slack can't be used, by cause (the token, the network, the socket); empty: it can.
    down: Mutex<BTreeMap<Cause, String>>,
    // Ids of channels by name; a name that is not there is asked for again.
    channels: tokio::sync::Mutex<BTreeMap<String, String>>,
    // People and groups as Slack told them.
    known: Mutex<people::Known>,
    /// Searches for messages in doubt.
    seeks: Seeks,
    /// Answers in the making that are streamed.
    streams: stream::Streams,
    // People who did something on their home that is not told yet: it is shown anew then.
    at_home: Mutex<BTreeSet<String>>,
    // Who the bot is, once Slack said it.
    me: RwLock<events::Me>,
    // What came from Slack, and its other end.
    queue: mpsc::Sender<handle::Work>,
    works: tokio::sync::Mutex<mpsc::Receiver<handle::Work>>,
}

/// What is said while no connection stands.
const NOT_CONNECTED: &str = "Socket Mode is not connected; it is tried again every few seconds";

/// Weight of the text of an answer that one message shows whole, beside its footer.
const ANSWER: usize = 9_000;

/// What can keep Slack from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Token,
    Network,
    Socket,
}

impl Slack {
    /// A workspace by its settings. Nothing is connected yet.
    ///
    /// # Errors
    /// The machine has no certificate authorities.
    pub fn new(config: Config, inlet: Arc<dyn Inlet>, clock: SharedClock) -> Result<Self, Fault> {
        let web = Web::new(&config.api_url, &config.bot_token)?;
        let platform = match config.name.as_str() {
            "" => "slack".to_owned(),
            name => format!("slack:{name}"),
        };
        let mut down = BTreeMap::new();
        if config.app_token.is_some() {
            down.insert(Cause::Socket, NOT_CONNECTED.to_owned());
        }
        let (queue, works) = mpsc::channel(handle::QUEUE);
        let inner = Inner {
            config,
            platform,
            web,
            inlet,
            clock,
            down: Mutex::new(down),
            channels: tokio::sync::Mutex::default(),
            known: Mutex::default(),
            seeks: Seeks::default(),
            streams: stream::Streams::default(),
            at_home: Mutex::default(),
            me: RwLock::default(),
            queue,
            works: tokio::sync::Mutex::new(works),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Notes what a call says about the connection, and gives the call's result on.
    fn noted(&self, result: Result<Value, Failure>) -> Result<Value, Failure> {
        match &result {
            Ok(_) => {
                self.mark(Cause::Token, None);
                self.mark(Cause::Network, None);
            }
            Err(f) if f.is_revoked() => self.mark(Cause::Token, Some(f.fault.to_string())),
            Err(f) if f.is_said_by_slack() => self.mark(Cause::Network, None),
            Err(f) => self.mark(Cause::Network, Some(f.fault.to_string())),
        }
        result
    }

    fn mark(&self, cause: Cause, why: Option<String>) {
        let mut down = self.inner.down.lock().expect("no code panics while it holds this lock");
        let changed = match why {
            Some(why) => down.insert(cause, why).is_none(),
            None => down.remove(&cause).is_some(),
        };
        if changed {
            let platform = &self.inner.platform;
            let why = down.get(&cause);
            tracing::warn!(chat.platform = %platform, ?cause, ?why, "Slack's health changed");
        }
    }

    async fn post_call(&self, method: &str, body: &Value) -> Result<Value, Failure> {
        self.noted(self.inner.web.post(method, body).await)
    }

    async fn get_call(&self, method: &str, args: &[(&str, &str)]) -> Result<Value, Failure> {
        self.noted(self.inner.web.get(method, args).await)
    }

    fn me(&self) -> events::Me {
        self.inner.me.read().expect("no code panics while it holds this lock").clone()
    }

    fn place(&self, channel: &str, message: &str) -> Place {
        Place {
            platform: self.inner.platform.clone(),
            channel: channel.to_owned(),
            message: message.to_owned(),
        }
    }
}

impl Chat for Slack {
    fn platform(&self) -> &str {
        &self.inner.platform
    }

    fn limits(&self) -> Limits {
        Limits {
            text: 11_000,
            card: 12_000,
            answer: ANSWER,
            section: 3_000,
            buttons: 25,
            label: 75,
            form_title: 24,
            file_bytes: 20 << 20,
            every_ms: 1_050,
            edits_a_minute: 50,
            edits_by_channel: false,
            charts_as_files: true,
        }
    }

    fn health(&self) -> Health {
        let down = self.inner.down.lock().expect("no code panics while it holds this lock");
        match down.values().next() {
            None => Health::Up,
            Some(why) => Health::Down { why: why.clone() },
        }
    }

    fn lane(&self, channel: &str) -> String {
        self.known_id(channel).unwrap_or_else(|| channel.to_owned())
    }

    fn post(&self, draft: Draft) -> BoxFuture<'_, Result<Place, Fault>> {
        async move {
            let asker = draft.asker.clone();
            let place = self.write(draft).await?;
            if let Some(asker) = asker {
                self.renew_home(&asker).await;
            }
            Ok(place)
        }
        .boxed()
    }

    fn upload(&self, file: File) -> BoxFuture<'_, Result<Place, Fault>> {
        self.bring(file).boxed()
    }

    fn ephemeral(&self, to: Address, content: Content) -> BoxFuture<'_, Result<(), Fault>> {
        async move {
            let user = to.actor.id.clone();
            let told = self.whisper(to, content).await;
            self.renew_home(&user).await;
            told
        }
        .boxed()
    }

    fn working(&self, to: Address, message: String, on: bool) -> BoxFuture<'_, Result<(), Fault>> {
        self.sign(to, message, on).boxed()
    }

    fn dress(&self, place: Place, on: bool) -> BoxFuture<'_, Result<(), Fault>> {
        self.pin(place, on).boxed()
    }

    fn who(&self, inbound: Inbound) -> BoxFuture<'_, Result<Who, Fault>> {
        async move { self.identify(&inbound.actor.id).await.map(Who::Person) }.boxed()
    }

    fn rooms(&self) -> RoomPolicy {
        let own = &self.inner.config.incident_channels;
        RoomPolicy { severities: own.severities.clone(), is_channel: true, closes: own.archive }
    }

    fn room(&self, keep: Keep) -> BoxFuture<'_, Result<Kept, Fault>> {
        self.keep_room(keep).boxed()
    }

    fn hook(&self, hook: Hook) -> BoxFuture<'_, Option<Hooked>> {
        self.called(hook).boxed()
    }
}
