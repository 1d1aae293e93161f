//! What is done about what happened: who it was, a form at once or into the [`Inlet`].
//!
//! Work is done beside the sockets, and acknowledged once it is durable: what a person did is kept
//! by their id before Slack is asked who that is, so that it takes one commit. The inlet sets aside
//! on disk what the store does not commit in time; should even that fail, nothing is acknowledged
//! and Slack sends it again, or shows the person that it did not work. What keeps nothing (a form
//! to open, a page to show) is acknowledged at once.
//!
//! [`Inlet`]: crate::chat::Inlet

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Slack;
use super::events::{Happened, Spot, inputs};
use super::render::{self, Metadata};
use super::send::IN_CHANNEL;
use crate::chat::{Address, Button, Content, Inbound, Pressed, Said, Style, Subject, Verb};
use crate::model::{Actor, Fault};

/// Work that waits; when it is full nothing more is acknowledged, and Slack sends it again.
pub(super) const QUEUE: usize = 1_024;
/// Works that are done at once.
pub(super) const AT_ONCE: usize = 64;
/// Tries to keep what was said, 50 ms apart at first, each next wait three times as long.
const TRIES: u32 = 7;
/// How long a form's answers are looked at before they are kept: they are judged again where they
/// are handled.
const JUDGE: Duration = Duration::from_millis(300);

/// Something to be done, and who waits for the payload of its acknowledgement.
pub(super) struct Work {
    happened: Happened,
    inputs: Vec<String>,
    ack: Acknowledge,
}

/// Where the payload of an acknowledgement goes once what was done is durable; dropped without:
/// it is not acknowledged.
type Acknowledge = oneshot::Sender<Option<Value>>;

/// Something can't be acknowledged: it is not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unkept;

impl Slack {
    /// Queues what happened and waits, at most `patience`, for the payload of its acknowledgement.
    ///
    /// # Errors
    /// It is not durable by then, or the queue is full: Slack is to send it again. It is kept all
    /// the same when that can be done, and once however often it comes.
    pub(super) async fn queue(
        &self,
        happened: Happened,
        view: &Value,
        patience: Duration,
    ) -> Result<Option<Value>, Unkept> {
        if happened == Happened::Nothing {
            return Ok(None);
        }
        let (ack, acknowledged) = oneshot::channel();
        let work = Work { happened, inputs: inputs(view), ack };
        let refused = || {
            metrics::counter!("nightjar_chat_refused_total", "platform" => "slack").increment(1);
            Unkept
        };
        if self.inner.queue.try_send(work).is_err() {
            tracing::warn!("so much came from Slack that it is to send some again");
            return Err(refused());
        }
        let Ok(Ok(payload)) = tokio::time::timeout(patience, acknowledged).await else {
            tracing::warn!("what came from Slack is not durable in time: it is to send it again");
            return Err(refused());
        };
        Ok(payload)
    }

    /// Does one piece of work.
    pub(super) async fn work(&self, work: Work) {
        let Work { happened, inputs, ack } = work;
        self.handle(happened, &inputs, ack).await;
    }

    async fn handle(&self, happened: Happened, inputs: &[String], ack: Acknowledge) {
        match happened {
            Happened::Nothing => done(ack),
            Happened::Said { spot, text, addressed } => {
                self.keep(self.inbound(&spot, Said::Message { text, addressed }), ack, None).await;
            }
            Happened::Command { spot, text } => {
                let taken = taken(&text);
                self.keep(self.inbound(&spot, Said::Command { text }), ack, taken).await;
            }
            Happened::Pressed { spot, code } => {
                if Button::parse(&code).is_ok_and(|button| !button.verb.opens_form()) {
                    return self.keep(self.inbound(&spot, Said::Click { code }), ack, None).await;
                }
                done(ack);
                self.open_form(&spot, code, None).await;
            }
            Happened::Declare { spot, text } => {
                done(ack);
                self.open_form(&spot, declare(), Some(text)).await;
            }
            Happened::Submitted { spot, code, values } => {
                let to = address(&spot, self.nobody(&spot.user));
                let faults = self.submitted(&spot, code, values).await;
                let text = faults.values().cloned().collect::<Vec<_>>().join("\n");
                // Where the form has no input or is closed by now, its author is told.
                let shown = ack.send(errors(inputs, faults));
                if !text.is_empty() && (inputs.is_empty() || shown.is_err()) {
                    self.tell(to, &format!("Nothing was done: {text}")).await;
                }
            }
            Happened::Home { user } => {
                done(ack);
                let known = self.actor(&user).await;
                let actor = known.unwrap_or_else(|| self.nobody(&user));
                if let Err(fault) = self.publish_home(&user, actor).await {
                    tracing::warn!(fault = %fault.chain(), "somebody's home was not shown");
                }
            }
            Happened::Links { spot, urls } => {
                done(ack);
                self.unfurl(&spot, urls).await;
            }
        }
    }

    /// What was said, by whom as far as that is known without asking.
    fn inbound(&self, spot: &Spot, said: Said) -> Inbound {
        // On one's own home there is no channel but oneself.
        if spot.channel == spot.user {
            self.at_home().insert(spot.user.clone());
        }
        let trigger = trigger(spot);
        let known = self.fresh(&spot.user);
        let unresolved = known.is_none();
        let actor = known.unwrap_or_else(|| self.nobody(&spot.user));
        Inbound {
            key: format!("{}:{}", self.inner.platform, spot.key),
            platform: self.inner.platform.clone(),
            channel: spot.channel.clone(),
            thread: spot.thread.clone(),
            message: spot.message.clone(),
            actor,
            unresolved,
            at: self.inner.clock.now(),
            trigger,
            said,
        }
    }

    /// Hands something over until it is kept, and acknowledges it then; what can't be kept within
    /// some 20 s is said to its author, counted and logged.
    async fn keep(&self, inbound: Inbound, ack: Acknowledge, taken: Option<Value>) {
        let mut wait = Duration::from_millis(50);
        for n in 1..=TRIES {
            match self.inner.inlet.accept(inbound.clone()).await {
                Ok(_) => return drop(ack.send(taken)),
                Err(fault) if fault.is_transient() && n < TRIES => {
                    tracing::warn!(fault = %fault.chain(), "what was said is not kept yet");
                    tokio::time::sleep(wait).await;
                    wait *= 3;
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

    /// Opens the form of a button that asks something, or says why not.
    async fn open_form(&self, spot: &Spot, code: String, words: Option<String>) {
        let Some(actor) = self.actor(&spot.user).await else {
            metrics::counter!("nightjar_chat_forms_unnamed_total", "platform" => "slack")
                .increment(1);
            self.tell(address(spot, self.nobody(&spot.user)), UNNAMED).await;
            // So that it is known when they press again.
            if let Err(fault) = self.identify(&spot.user).await {
                tracing::warn!(fault = %fault.chain(), "who pressed a button is not known yet");
            }
            return;
        };
        let pressed = self.inner.inlet.press(actor.clone(), code).await;
        self.show(spot, actor, pressed, words).await;
    }

    /// Shows what comes of a button that asks something.
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
                let form = form.beginning_with(&words.unwrap_or_default());
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
        code: String,
        values: BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let inlet = &self.inner.inlet;
        let unkept = || BTreeMap::from([(String::new(), UNKEPT.to_owned())]);
        let judged = inlet.faults(self.fresh(&spot.user), code.clone(), values.clone());
        match tokio::time::timeout(JUDGE, judged).await {
            Ok(Ok(faults)) if !faults.is_empty() => return faults,
            Ok(Err(fault)) => {
                tracing::error!(fault = %fault.chain(), "a form could not be judged");
                return unkept();
            }
            Ok(Ok(_)) | Err(_) => {}
        }
        match inlet.accept(self.inbound(spot, Said::Submit { code, values })).await {
            Ok(_) => BTreeMap::new(),
            Err(fault) => {
                tracing::error!(fault = %fault.chain(), "a form could not be kept");
                // The form stays open with what was written.
                unkept()
            }
        }
    }

    fn at_home(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.inner.at_home.lock().expect("no code panics while it holds this lock")
    }

    /// Shows the home of somebody anew who did something there, now that it is done.
    pub(super) async fn renew_home(&self, user: &str) {
        if !self.at_home().remove(user) {
            return;
        }
        let actor = self.actor(user).await.unwrap_or_else(|| self.nobody(user));
        if let Err(fault) = self.publish_home(user, actor).await {
            tracing::warn!(fault = %fault.chain(), "somebody's home was not shown anew");
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

/// Acknowledges. That nobody waits any more is no matter: it is done once however often it comes.
fn done(ack: Acknowledge) {
    drop(ack.send(None));
}

/// What is shown at once to whoever typed a command that asks something: its answer takes a while.
fn taken(command: &str) -> Option<Value> {
    let asks = matches!(command.split_whitespace().next(), Some("ask" | "why" | "status"));
    asks.then(|| json!({ "response_type": "ephemeral", "text": "Looking into it …" }))
}

/// What is said instead of a refusal that nobody decided.
const UNNAMED: &str =
    "Slack did not say in time who you are, so nothing was opened; press again in a few seconds.";
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
