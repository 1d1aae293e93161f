//! What is done about what happened: who it was, a form at once or into the [`Inlet`].
//!
//! Work is queued and done beside the sockets; whoever waits for an acknowledgement waits for a
//! part of a second and then acknowledges: the work goes on.
//!
//! [`Inlet`]: crate::chat::Inlet

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Slack;
use super::events::{Happened, Spot, inputs};
use super::render::{self, Metadata};
use super::send::IN_CHANNEL;
use crate::chat::{
    Address, Button, Content, Form, FormKind, Inbound, Pressed, Said, Style, Subject, Verb,
};
use crate::model::{Actor, Fault};

/// Work that waits; when it is full nothing more is acknowledged, and Slack sends it again.
pub(super) const QUEUE: usize = 1_024;
/// Works that are done at once.
pub(super) const AT_ONCE: usize = 64;
/// Tries to keep what was said, a second apart at first, each next wait twice as long.
const TRIES: u32 = 6;

/// Something to be done, and who waits for the payload of its acknowledgement.
pub(super) struct Work {
    happened: Happened,
    inputs: Vec<String>,
    ack: oneshot::Sender<Option<Value>>,
}

/// Why something can't be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Slack {
    /// Queues what happened and waits, at most `patience`, for the payload of its acknowledgement.
    ///
    /// # Errors
    /// The queue is full: Slack is to send it again.
    pub(super) async fn queue(
        &self,
        happened: Happened,
        view: &Value,
        patience: Duration,
    ) -> Result<Option<Value>, Full> {
        if happened == Happened::Nothing {
            return Ok(None);
        }
        let (ack, acknowledged) = oneshot::channel();
        let work = Work { happened, inputs: inputs(view), ack };
        if self.inner.queue.try_send(work).is_err() {
            metrics::counter!("nightjar_chat_refused_total", "platform" => "slack").increment(1);
            tracing::warn!("so much came from Slack that it is to send some again");
            return Err(Full);
        }
        Ok(tokio::time::timeout(patience, acknowledged).await.ok().and_then(Result::ok).flatten())
    }

    /// Does one piece of work.
    pub(super) async fn work(&self, work: Work) {
        let Work { happened, inputs, ack } = work;
        self.handle(happened, &inputs, ack).await;
    }

    async fn handle(
        &self,
        happened: Happened,
        inputs: &[String],
        ack: oneshot::Sender<Option<Value>>,
    ) {
        // That nobody waits any more is no matter: the acknowledgement was sent.
        let acknowledge = |ack: oneshot::Sender<Option<Value>>| drop(ack.send(None));
        match happened {
            Happened::Nothing => acknowledge(ack),
            Happened::Said { spot, text, addressed } => {
                let actor = self.actor(&spot.user).await;
                self.keep(self.inbound(&spot, actor, Said::Message { text, addressed })).await;
                acknowledge(ack);
            }
            Happened::Command { spot, text } => {
                let actor = self.actor(&spot.user).await;
                self.keep(self.inbound(&spot, actor, Said::Command { text })).await;
                acknowledge(ack);
            }
            Happened::Pressed { spot, code } => {
                let actor = self.actor(&spot.user).await;
                match self.inner.inlet.press(actor.clone(), code.clone()).await {
                    Ok(Pressed::Nothing) => {
                        self.keep(self.inbound(&spot, actor, Said::Click { code })).await;
                        acknowledge(ack);
                    }
                    other => {
                        acknowledge(ack);
                        self.show(&spot, actor, other, None).await;
                    }
                }
            }
            Happened::Declare { spot, text } => {
                acknowledge(ack);
                let actor = self.actor(&spot.user).await;
                let code = declare();
                let pressed = self.inner.inlet.press(actor.clone(), code).await;
                self.show(&spot, actor, pressed, Some(text)).await;
            }
            Happened::Submitted { spot, code, values } => {
                let actor = self.actor(&spot.user).await;
                let to = address(&spot, actor.clone());
                let faults = self.submitted(&spot, actor, code, values).await;
                let text = faults.values().cloned().collect::<Vec<_>>().join("\n");
                // Where the form has no input or is closed by now, its author is told.
                let shown = ack.send(errors(inputs, faults));
                if !text.is_empty() && (inputs.is_empty() || shown.is_err()) {
                    self.tell(to, &format!("Nothing was done: {text}")).await;
                }
            }
            Happened::Home { user } => {
                acknowledge(ack);
                let actor = self.actor(&user).await;
                if let Err(fault) = self.publish_home(&user, actor).await {
                    tracing::warn!(fault = %fault.chain(), "somebody's home was not shown");
                }
            }
            Happened::Links { spot, urls } => {
                acknowledge(ack);
                self.unfurl(&spot, urls).await;
            }
        }
    }

    fn inbound(&self, spot: &Spot, actor: Actor, said: Said) -> Inbound {
        let trigger = trigger(spot);
        Inbound {
            key: format!("{}:{}", self.inner.platform, spot.key),
            platform: self.inner.platform.clone(),
            channel: spot.channel.clone(),
            thread: spot.thread.clone(),
            message: spot.message.clone(),
            actor,
            at: self.inner.clock.now(),
            trigger,
            said,
        }
    }

    /// Hands something over until it is kept; what can't be kept after a minute is said to its
    /// author, counted and logged.
    async fn keep(&self, inbound: Inbound) {
        let mut wait = Duration::from_secs(1);
        for n in 1..=TRIES {
            match self.inner.inlet.accept(inbound.clone()).await {
                Ok(_) => return,
                Err(fault) if fault.is_transient() && n < TRIES => {
                    tracing::warn!(fault = %fault.chain(), "what was said is not kept yet");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Err(fault) => {
                    metrics::counter!("nightjar_chat_lost_total", "platform" => "slack")
                        .increment(1);
                    tracing::error!(fault = %fault.chain(), "what was said could not be kept");
                    self.tell(inbound.address(), UNKEPT).await;
                    return;
                }
            }
        }
    }

    /// Shows what comes of a button that is not simply handed on.
    async fn show(
        &self,
        spot: &Spot,
        actor: Actor,
        pressed: Result<Pressed, Fault>,
        words: Option<String>,
    ) {
        let address = address(spot, actor);
        match pressed {
            Ok(Pressed::Form(form)) => {
                let form = begin(form, words);
                let metadata = Metadata {
                    code: form.code.clone(),
                    channel: spot.channel.clone(),
                    thread: spot.thread.clone(),
                };
                let view = render::form(&form, &metadata, self.inner.clock.now());
                let trigger = spot.trigger.as_deref().unwrap_or_default();
                if let Err(f) = self.open(trigger, &view).await {
                    metrics::counter!("nightjar_chat_forms_late_total", "platform" => "slack")
                        .increment(1);
                    self.tell(address, &format!("No form was opened: {}.", f.fault)).await;
                }
            }
            Ok(Pressed::Refused(why)) => self.tell(address, &why).await,
            Ok(Pressed::Nothing) => {}
            Err(fault) => {
                tracing::error!(fault = %fault.chain(), "a button could not be looked up");
                self.tell(address, "This can't be looked up now. Press again in a minute.").await;
            }
        }
    }

    async fn tell(&self, to: Address, words: &str) {
        if let Err(fault) = self.whisper(to, Content::text(words)).await {
            tracing::warn!(fault = %fault.chain(), "somebody could not be told something");
        }
    }

    /// Keeps a form, or says what is wrong with it, by field name.
    async fn submitted(
        &self,
        spot: &Spot,
        actor: Actor,
        code: String,
        values: BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let inlet = &self.inner.inlet;
        let unkept = || BTreeMap::from([(String::new(), UNKEPT.to_owned())]);
        let faults = match inlet.faults(actor.clone(), code.clone(), values.clone()).await {
            Ok(faults) => faults,
            Err(fault) => {
                tracing::error!(fault = %fault.chain(), "a form could not be judged");
                return unkept();
            }
        };
        if !faults.is_empty() {
            return faults;
        }
        let inbound = self.inbound(spot, actor, Said::Submit { code, values });
        match inlet.accept(inbound).await {
            Ok(_) => BTreeMap::new(),
            Err(fault) => {
                tracing::error!(fault = %fault.chain(), "a form could not be kept");
                // The form stays open with what was written.
                unkept()
            }
        }
    }

    async fn publish_home(&self, user: &str, actor: Actor) -> Result<(), Fault> {
        let cards = self.inner.inlet.home(actor).await?;
        let body = json!({ "user_id": user, "view": render::home(&cards) });
        Ok(self.post_call("views.publish", &body).await.map(|_| ())?)
    }

    /// Shows what is behind links of ours.
    async fn unfurl(&self, spot: &Spot, urls: Vec<String>) {
        let mut unfurls = serde_json::Map::new();
        for url in urls.into_iter().take(5) {
            match self.inner.inlet.preview(url.clone()).await {
                Ok(Some(card)) => {
                    let blocks = render::content(&Content::card(card)).blocks;
                    unfurls.insert(url, json!({ "blocks": blocks }));
                }
                Ok(None) => {}
                Err(fault) => tracing::warn!(fault = %fault.chain(), "a link was not shown"),
            }
        }
        if unfurls.is_empty() {
            return;
        }
        let body = json!({ "channel": spot.channel, "ts": spot.message, "unfurls": unfurls });
        if let Err(f) = self.post_call("chat.unfurl", &body).await {
            tracing::warn!(fault = %f.fault, "a link was not shown");
        }
    }
}

const UNKEPT: &str = "This could not be kept now, and nothing was done. Try again in a minute.";

/// The trigger as it goes through the port, with the word on where ephemeral answers belong.
fn trigger(spot: &Spot) -> Option<String> {
    let end = if spot.in_channel { IN_CHANNEL } else { "" };
    spot.trigger.as_ref().map(|t| format!("{t}{end}")).filter(|t| !t.is_empty())
}

fn address(spot: &Spot, actor: Actor) -> Address {
    let (channel, thread) = (spot.channel.clone(), spot.thread.clone());
    Address { actor, channel, thread, trigger: trigger(spot) }
}

fn declare() -> String {
    let (label, style) = (String::new(), Style::Plain);
    Button { verb: Verb::Declare, label, style, subject: Subject::Nothing, digest: None }.code()
}

/// A form with words in its first text that has none.
fn begin(mut form: Form, words: Option<String>) -> Form {
    let empty = form.fields.iter_mut().filter(|f| f.value.is_empty());
    let mut texts = empty.filter(|f| matches!(f.kind, FormKind::Lines | FormKind::Text));
    if let (Some(words), Some(field)) = (words.filter(|w| !w.is_empty()), texts.next()) {
        field.value = match field.kind {
            FormKind::Text => words.lines().next().unwrap_or_default().chars().take(150).collect(),
            _ => words,
        };
    }
    form
}

/// The payload that shows faults in a form; one about no input of it stands at the first. `None`:
/// there are none, or the form has no input.
fn errors(inputs: &[String], faults: BTreeMap<String, String>) -> Option<Value> {
    let first = inputs.first().filter(|_| !faults.is_empty())?;
    let mut shown: BTreeMap<&String, String> = BTreeMap::new();
    for (name, fault) in faults {
        let at = inputs.iter().find(|i| **i == name).unwrap_or(first);
        let all = shown.entry(at).or_default();
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(&fault);
    }
    Some(json!({ "response_action": "errors", "errors": shown }))
}
