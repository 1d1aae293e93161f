//! Discord as a chat platform: messages out over REST, words and clicks in over the gateway.
//!
//! What Discord lacks, and what stands in for it:
//!
//! | asked for | here |
//! |---|---|
//! | date and time picker, more than 25 choices in a form | text inputs with help; read by `chat::form`, choices by label, value or beginning |
//! | text to read in a form | a filled-in input that is not sent on |
//! | form after a form (what was wrong) | an ephemeral list of faults with a button that opens the form as it was filled in |
//! | a dialog that asks once more | an ephemeral message with the button that does it |
//! | thread replies without a mention | where `message_content` is configured and granted; else a mention or `/nightjar` |
//! | ephemeral words outside an interaction, or 15 min after it | a direct message; where that is closed, a reply that names the person and pings nobody |
//! | a thread's message in the channel too | none: the card in the channel is edited in place and says it |
//! | message metadata for our key | a short reference at the end of each message (`render`) |
//! | streaming answers | 👀 and the typing sign while it is worked on, the deferred response of `/nightjar ask` until the answer takes its place |
//! | a channel of its own for an incident, topic, bookmark | the incident's thread or forum post, whose name carries its state, and a pin |
//! | message shortcuts | commands of a message's menu (Apps) |
//! | the bot's home | `/nightjar home`, for that person alone |
//! | preview of links to incidents | none: the page behind a link tells nothing without a login |
//!
//! Guarantees: one message for a key, also after a crash (`enforce_nonce` for a short while, the
//! history before a doubtful send); a first response to every interaction within 2 s, whatever is
//! slow, and none says that something is taken before it is durable; nobody is pinged; limits of the API are kept and waited out; no token in the log.

mod check;
mod commands;
mod config;
mod events;
mod find;
mod gateway;
mod interact;
mod missed;
mod modal;
mod pace;
mod places;
mod post;
mod render;
mod respond;
mod rest;
mod roles;
mod shortcuts;
mod socket;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod trouble;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;
use serenity::http::{LightMethod, Route};
use serenity::model::id::{ChannelId, MessageId};
use tokio::sync::OnceCell;

pub use check::{Finding, check};
pub use config::Config;

use super::room::{Keep, Kept};
use super::seek::Seeks;
use super::{
    Address, Chat, Content, Draft, File, Health, Inbound, Inlet, Limits, Place, RoomPolicy, Who,
};
use crate::model::{Fault, Severity, SharedClock};
use places::{Kind, given_id, id};
use rest::{Ask, Rest};
use trouble::Trouble;

/// One Discord bot and its guilds. Cheap to clone.
#[derive(Clone)]
pub struct Discord {
    inner: Arc<Inner>,
}

/// Weight of the text of an answer that one message shows whole: an embed's description.
const ANSWER: usize = 3_700;

/// Who the bot is.
#[derive(Clone, Copy, Debug)]
struct Me {
    user: u64,
    application: u64,
}

struct Inner {
    config: Config,
    platform: String,
    rest: Rest,
    inlet: Arc<dyn Inlet>,
    clock: SharedClock,
    me: OnceCell<Me>,
    // Guards what kind of channel each is.
    kinds: Mutex<BTreeMap<u64, Kind>>,
    /// Searches for messages in doubt.
    seeks: Seeks,
    // Guards when threads were named lately.
    named: Mutex<places::Named>,
    // Guards what is known of people who were asked about.
    known: Mutex<roles::Known>,
    // Guards responses that were put off and forms that were faulty.
    open: Mutex<respond::Open>,
    // Tells that a first response was sent.
    answered: tokio::sync::Notify,
    // Guards how far was heard, and what may have been missed.
    missed: Mutex<missed::Missed>,
    // Guards why no events come; `None`: they do.
    deaf: Mutex<Option<String>>,
}

impl Discord {
    /// A bot of these settings; nothing is connected yet.
    ///
    /// # Errors
    /// No client can be made of the settings.
    pub fn new(config: Config, inlet: Arc<dyn Inlet>, clock: SharedClock) -> Result<Self, Fault> {
        let platform = match config.name.as_str() {
            "" => "discord".to_owned(),
            name => format!("discord:{name}"),
        };
        let rest = Rest::new(&config.api_url, &config.token)?;
        let inner = Inner {
            config,
            platform,
            rest,
            inlet,
            clock,
            me: OnceCell::new(),
            kinds: Mutex::default(),
            named: Mutex::default(),
            seeks: Seeks::default(),
            known: Mutex::default(),
            open: Mutex::default(),
            answered: tokio::sync::Notify::new(),
            missed: Mutex::default(),
            deaf: Mutex::new(None),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Inner {
    /// Who the bot is; asked once.
    async fn me(&self) -> Result<Me, Trouble> {
        let ask = async {
            let user = self.rest.ask(Ask::new(LightMethod::Get, Route::UserMe)).await?;
            let route = Route::Oauth2ApplicationCurrent;
            let application = self.rest.ask(Ask::new(LightMethod::Get, route)).await?;
            Ok(Me { user: given_id(&user)?, application: given_id(&application)? })
        };
        self.me.get_or_try_init(|| ask).await.copied()
    }

    async fn say_to_one(&self, to: Address, content: Content) -> Result<(), Trouble> {
        if let Some(trigger) = &to.trigger
            && self.follow_up(trigger, &content).await?
        {
            return Ok(());
        }
        let body = render::message(None, &content);
        match self.whisper(&to.actor.id, &body).await {
            Err(Trouble::Refused { .. }) => {}
            other => return other,
        }
        let Content::Text { text } = content else {
            return Err(Trouble::Refused {
                status: 403,
                code: 50_007,
                text: format!("{} takes no direct messages", to.actor.name),
            });
        };
        let text = format!("For {}: {text}", to.actor.name);
        let body = render::message(None, &Content::text(text));
        let root = to.thread.map(|message| Place {
            platform: self.platform.clone(),
            channel: to.channel.clone(),
            message,
        });
        let target = self.target(&to.channel, root.as_ref()).await?;
        self.rest.send_message(target.channel(), &body).await.map(|_| ())
    }

    /// Shows or takes away the sign that a question was taken. It is a looks matter: what fails is
    /// left.
    async fn sign(&self, to: &Address, message: &str, on: bool) -> Result<(), Trouble> {
        let root = to.thread.as_deref().filter(|root| *root != message);
        let channel = match (id(&to.channel)?, root) {
            (channel, None) => channel,
            (channel, Some(root)) => match self.kind(channel).await? {
                Kind::Text { .. } | Kind::Forum { .. } => id(root)?,
                _ => channel,
            },
        };
        let channel_id = ChannelId::new(channel);
        if on {
            let ask = Ask::new(LightMethod::Post, Route::ChannelTyping { channel_id });
            self.rest.ask(ask).await?;
        }
        let Ok(message) = id(message) else { return Ok(()) };
        let method = if on { LightMethod::Put } else { LightMethod::Delete };
        let message_id = MessageId::new(message);
        // 👀, as addresses spell it.
        let reaction = "%F0%9F%91%80";
        let route = Route::ChannelMessageReactionMe { channel_id, message_id, reaction };
        self.rest.ask(Ask::new(method, route)).await.map(|_| ())
    }

    async fn pin(&self, place: &Place, on: bool) -> Result<(), Trouble> {
        let (channel, message) = self.standing(place).await?;
        let (channel_id, message_id) = (ChannelId::new(channel), MessageId::new(message));
        let method = if on { LightMethod::Put } else { LightMethod::Delete };
        let route = Route::ChannelPin { channel_id, message_id };
        self.rest.ask(Ask::new(method, route)).await.map(|_| ())
    }
}

impl Chat for Discord {
    fn platform(&self) -> &str {
        &self.inner.platform
    }

    fn limits(&self) -> Limits {
        Limits {
            text: 2_000,
            card: 6_000,
            answer: ANSWER,
            section: 4_096,
            buttons: 25,
            label: 80,
            form_title: 45,
            file_bytes: 10 << 20,
            every_ms: 1_000,
            edits_a_minute: 0,
            edits_by_channel: true,
            charts_as_files: true,
        }
    }

    fn health(&self) -> Health {
        let deaf = self.inner.deaf.lock().expect("nothing panics under this lock").clone();
        self.inner.rest.down().or(deaf).map_or(Health::Up, |why| Health::Down { why })
    }

    fn post(&self, draft: Draft) -> BoxFuture<'_, Result<Place, Fault>> {
        async move {
            let what = format!("write into Discord's channel {}", draft.channel);
            self.inner.write(&draft).await.map_err(|t| t.fault(&what))
        }
        .boxed()
    }

    fn upload(&self, file: File) -> BoxFuture<'_, Result<Place, Fault>> {
        async move {
            let what = format!("upload {} into Discord's channel {}", file.name, file.channel);
            self.inner.show(&file).await.map_err(|t| t.fault(&what))
        }
        .boxed()
    }

    fn ephemeral(&self, to: Address, content: Content) -> BoxFuture<'_, Result<(), Fault>> {
        async move {
            let what = format!("tell {} something on Discord", to.actor.name);
            self.inner.say_to_one(to, content).await.map_err(|t| t.fault(&what))
        }
        .boxed()
    }

    fn working(&self, to: Address, message: String, on: bool) -> BoxFuture<'_, Result<(), Fault>> {
        async move {
            let signed = self.inner.sign(&to, &message, on).await;
            match signed.map_err(|t| t.fault("change the sign at a question on Discord")) {
                // What the bot may not do, or the message does not take, is left.
                Err(fault) if !fault.is_transient() => {
                    tracing::debug!(reason = fault.chain(), "a sign was not changed");
                    Ok(())
                }
                signed => signed,
            }
        }
        .boxed()
    }

    fn who(&self, inbound: Inbound) -> BoxFuture<'_, Result<Who, Fault>> {
        async move {
            let what = format!("look up {} on Discord", inbound.actor.name);
            self.inner.who(&inbound).await.map_err(|t| t.fault(&what))
        }
        .boxed()
    }

    fn dress(&self, place: Place, on: bool) -> BoxFuture<'_, Result<(), Fault>> {
        async move {
            self.inner.pin(&place, on).await.map_err(|t| t.fault("pin a message on Discord"))
        }
        .boxed()
    }

    fn rooms(&self) -> RoomPolicy {
        let severities = vec![Severity::Info, Severity::Warning, Severity::Critical];
        RoomPolicy { severities, ..RoomPolicy::default() }
    }

    fn room(&self, keep: Keep) -> BoxFuture<'_, Result<Kept, Fault>> {
        async move {
            let named = self.inner.name_thread(&keep.card, &keep.room.title).await;
            named.map_err(|t| t.fault("name an incident's thread on Discord"))?;
            Ok(Kept::default())
        }
        .boxed()
    }
}

/// Flags of a message that one person sees.
const EPHEMERAL: u64 = 64;

/// A body with the flags of an ephemeral message.
fn for_one(mut body: serde_json::Value) -> serde_json::Value {
    body["flags"] = json!(EPHEMERAL);
    body
}
