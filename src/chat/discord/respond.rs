//! Responses to interactions: the first one in time and never before what it stands for is durable,
//! and what follows it.
//!
//! Discord sends nothing twice, so what a person did is kept before they are shown that it was
//! taken. Where that takes longer than the first response may wait, they see that it is worked on,
//! and are told how it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use serenity::model::id::{ApplicationId, InteractionId};
use tokio::time::Instant;

use super::interact::{Deed, FIRST, trigger};
use super::rest::Ask;
use super::trouble::Trouble;
use super::{Inner, for_one, render};
use crate::chat::{Content, Draft, Inbound, Place};
use crate::model::Fault;

/// Responses that were put off, and faulty forms, that are remembered.
const MOST_OPEN: usize = 500;

/// Kinds of responses.
pub(super) mod kind {
    pub(in super::super) const MESSAGE: u8 = 4;
    pub(in super::super) const PUT_OFF: u8 = 5;
    pub(in super::super) const TAKEN: u8 = 6;
    pub(in super::super) const CHANGE: u8 = 7;
    pub(in super::super) const CHOICES: u8 = 8;
    pub(in super::super) const MODAL: u8 = 9;
}

/// Responses that were put off and forms that were faulty.
#[derive(Default)]
pub(super) struct Open {
    /// Tokens of put-off responses by the key of what was said, and whether all see them.
    waiting: BTreeMap<String, (String, bool)>,
    /// What was typed into forms that were not taken, by interaction.
    typed: BTreeMap<u64, BTreeMap<String, String>>,
    /// Interactions that have no first response yet: nothing can follow it before.
    begun: BTreeSet<u64>,
}

impl Open {
    fn trim(&mut self) {
        // Keys begin alike and go on with ids that grow with time: the oldest go first.
        while self.waiting.len() > MOST_OPEN {
            self.waiting.pop_first();
        }
        while self.typed.len() > MOST_OPEN {
            self.typed.pop_first();
        }
    }
}

impl Inner {
    /// Hands something on and then says that it was taken; where handing on takes too long, what is
    /// shown first is that it is worked on.
    pub(super) async fn take(
        &self,
        deed: &Deed,
        inbound: Inbound,
        (kind, data): (u8, Option<Value>),
    ) {
        let failed = "This could not be taken: internal error. Do it again.";
        let accept = self.accept(inbound);
        tokio::pin!(accept);
        let early = tokio::select! {
            done = &mut accept => Some(done),
            () = tokio::time::sleep_until(deed.by) => None,
        };
        let late = match early {
            Some(Ok(_)) => return self.respond(deed, kind, data).await,
            Some(Err(_)) => return self.refuse(deed, failed).await,
            None if kind == kind::PUT_OFF => {
                self.respond(deed, kind, data).await;
                accept.await.err().map(|_| failed)
            }
            None => {
                self.respond(deed, kind::PUT_OFF, Some(for_one(json!({})))).await;
                Some(if accept.await.is_ok() { "It was taken." } else { failed })
            }
        };
        if let Some(words) = late
            && let Err(trouble) = self.follow_up(&trigger(deed), &Content::text(words)).await
        {
            tracing::warn!(reason = %trouble, "what came of a click was not told");
        }
    }

    /// Keeps what was said; tried a few times, because Discord sends nothing twice.
    pub(super) async fn accept(&self, inbound: Inbound) -> Result<bool, Fault> {
        let mut pause = Duration::from_millis(50);
        loop {
            match self.inlet.accept(inbound.clone()).await {
                Err(fault) if fault.is_transient() && pause < Duration::from_secs(5) => {
                    tokio::time::sleep(pause).await;
                    pause *= 3;
                }
                Err(fault) => {
                    metrics::counter!("nightjar_discord_lost_total").increment(1);
                    tracing::error!(error = %fault.chain(), "what a person said was not kept");
                    return Err(fault);
                }
                done => return done,
            }
        }
    }

    /// Notes a command whose answer may take the place of its response, which is put off.
    pub(super) fn put_off(&self, key: &str, token: &str, for_all: bool) {
        let mut open = self.open.lock().expect("nothing panics under this lock");
        open.waiting.insert(key.to_owned(), (token.to_owned(), for_all));
        open.trim();
    }

    /// Notes what was typed into a form that was not taken.
    pub(super) fn note_typed(&self, interaction: u64, typed: BTreeMap<String, String>) {
        let mut open = self.open.lock().expect("nothing panics under this lock");
        open.typed.insert(interaction, typed);
        open.trim();
    }

    /// What was typed into a form that was not taken.
    pub(super) fn typed(&self, interaction: u64) -> Option<BTreeMap<String, String>> {
        self.open.lock().expect("nothing panics under this lock").typed.get(&interaction).cloned()
    }

    /// Notes that an interaction waits for its first response.
    pub(super) fn begun(&self, interaction: u64) {
        self.open.lock().expect("nothing panics under this lock").begun.insert(interaction);
    }

    /// Notes that it has it, or will never have it.
    pub(super) fn responded(&self, interaction: u64) {
        self.open.lock().expect("nothing panics under this lock").begun.remove(&interaction);
        self.answered.notify_waiters();
    }

    fn is_begun(&self, interaction: u64) -> bool {
        self.open.lock().expect("nothing panics under this lock").begun.contains(&interaction)
    }

    /// Waits until an interaction has its first response: what is durable may be answered before.
    async fn follows(&self, interaction: &str) {
        let Ok(interaction) = interaction.parse::<u64>() else { return };
        let sent = async {
            loop {
                let told = self.answered.notified();
                if !self.is_begun(interaction) {
                    return;
                }
                told.await;
            }
        };
        // Discord forgets an interaction without a response after 3 s.
        let _ = tokio::time::timeout(2 * FIRST, sent).await;
    }

    /// Sends the first response; once more where the first try failed in time.
    pub(super) async fn respond(&self, deed: &Deed, kind: u8, data: Option<Value>) {
        let begin = Instant::now();
        let mut body = json!({ "type": kind });
        if let Some(data) = data {
            body["data"] = data;
        }
        let interaction_id = InteractionId::new(deed.id);
        let route = || Route::InteractionResponse { interaction_id, token: &deed.token };
        let answered = async {
            for _ in 0..2 {
                let ask = Ask::new(LightMethod::Post, route()).body(&body);
                let answer = tokio::time::timeout(FIRST, self.rest.once(&ask)).await;
                match answer {
                    Ok(Ok(_)) => return,
                    Ok(Err(Trouble::Down(_) | Trouble::Limited { .. }))
                        if begin.elapsed() < FIRST / 4 =>
                    {
                        tokio::time::sleep(FIRST / 10).await;
                    }
                    Ok(Err(trouble)) => {
                        metrics::counter!("nightjar_discord_unanswered_total").increment(1);
                        tracing::warn!(reason = %trouble, "an interaction was not answered");
                        return;
                    }
                    Err(_) => break,
                }
            }
            metrics::counter!("nightjar_discord_unanswered_total").increment(1);
            tracing::warn!("an interaction was not answered in time");
        };
        answered.await;
        self.responded(deed.id);
    }

    /// Says something to one person through their interaction; `false` where it is over.
    pub(super) async fn follow_up(
        &self,
        trigger: &str,
        content: &Content,
    ) -> Result<bool, Trouble> {
        let Some((interaction, token)) = trigger.split_once(':') else { return Ok(false) };
        self.follows(interaction).await;
        let application_id = ApplicationId::new(self.me().await?.application);
        let was_open = {
            let mut open = self.open.lock().expect("nothing panics under this lock");
            let key =
                open.waiting.iter().find(|(_, (t, _))| t == token).map(|(key, _)| key.clone());
            key.and_then(|key| open.waiting.remove(&key)).is_some_and(|(_, open)| open)
        };
        if was_open {
            // The first message after an open response would take its place before everybody.
            self.take_back(application_id, token).await?;
        }
        let body = for_one(render::message(None, content));
        let route = Route::WebhookFollowupMessages { application_id, token };
        match self.rest.ask(Ask::new(LightMethod::Post, route).body(&body)).await {
            Ok(_) => Ok(true),
            Err(Trouble::Refused { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Takes a response that was put off away again.
    async fn take_back(&self, application_id: ApplicationId, token: &str) -> Result<(), Trouble> {
        let route = Route::WebhookOriginalInteractionResponse { application_id, token };
        match self.rest.ask(Ask::new(LightMethod::Delete, route)).await {
            Ok(_) | Err(Trouble::Refused { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Puts an answer in the place of the response that was put off for it, where there is one that
    /// still lives.
    pub(super) async fn answer_in_place(
        &self,
        draft: &Draft,
        body: &Value,
    ) -> Result<Option<Place>, Trouble> {
        let Some(key) = draft.key.strip_prefix("answer:") else { return Ok(None) };
        let token = {
            let open = self.open.lock().expect("nothing panics under this lock");
            open.waiting.get(key).cloned()
        };
        let Some((token, open)) = token else { return Ok(None) };
        self.follows(key.rsplit(':').next().unwrap_or_default()).await;
        let application_id = ApplicationId::new(self.me().await?.application);
        if !open {
            // The answer is for all, and only one person would see it there.
            self.take_back(application_id, &token).await?;
            self.open.lock().expect("nothing panics under this lock").waiting.remove(key);
            return Ok(None);
        }
        let route = Route::WebhookOriginalInteractionResponse { application_id, token: &token };
        let answer = self.rest.ask(Ask::new(LightMethod::Patch, route).body(body)).await;
        let place = match answer {
            Ok(message) => {
                let text = |name: &str| message[name].as_str().map(str::to_owned);
                let place = text("channel_id").zip(text("id"));
                let platform = self.platform.clone();
                place.map(|(channel, message)| Place { platform, channel, message })
            }
            // The interaction is over: an ordinary message follows.
            Err(Trouble::Refused { .. }) => None,
            // It may have arrived: the next try is the same edit.
            Err(other) => return Err(other),
        };
        self.open.lock().expect("nothing panics under this lock").waiting.remove(key);
        Ok(place)
    }
}
