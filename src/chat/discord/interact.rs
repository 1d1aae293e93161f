//! Interactions: clicks, forms and commands, each answered first within 2 s whatever is slow.
//!
//! A click opens a form (which must be the first response), or is taken and acknowledged silently,
//! or is refused before the person's eyes alone. A command is put off: `ask` openly, because its
//! answer takes the place of the response (and so do `status` and `runbook`), all others for that person alone.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use serenity::model::id::{ApplicationId, InteractionId};
use tokio::time::Instant;

use super::modal;
use super::rest::Ask;
use super::roles::STRANGER;
use super::trouble::Trouble;
use super::{Inner, for_one, render};
use crate::chat::{Completion, Content, Draft, Form, Inbound, Place, Pressed, Said, people};
use crate::model::{Actor, Fault};

/// Within so long the first response is sent; Discord forgets the interaction after 3 s.
pub(super) const FIRST: Duration = Duration::from_secs(2);
/// How long what lies behind the inlet may take before the response is sent without it.
pub(super) const THINK: Duration = Duration::from_millis(1_400);
/// Responses that were put off, and faulty forms, that are remembered.
const MOST_OPEN: usize = 500;
/// What the code of the button begins with that opens a faulty form again.
const AGAIN: &str = "again:";

/// Kinds of responses.
mod kind {
    pub(super) const MESSAGE: u8 = 4;
    pub(super) const PUT_OFF: u8 = 5;
    pub(super) const TAKEN: u8 = 6;
    pub(super) const CHANGE: u8 = 7;
    pub(super) const CHOICES: u8 = 8;
    pub(super) const MODAL: u8 = 9;
}

/// Responses that were put off and forms that were faulty.
#[derive(Default)]
pub(super) struct Open {
    /// Tokens of put-off responses by the key of what was said, and whether all see them.
    waiting: BTreeMap<String, (String, bool)>,
    /// What was typed into forms that were not taken, by interaction.
    typed: BTreeMap<u64, BTreeMap<String, String>>,
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

/// What a person did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Pressed a button.
    Click { code: String },
    /// Sent a form.
    Submit { code: String, typed: BTreeMap<String, String> },
    /// Used the command; `form` is the code of the form that it opens.
    Command { text: String, form: Option<&'static str> },
    /// Types the option of a command.
    Complete { what: Option<Completion>, typed: String },
}

/// One interaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    pub(super) id: u64,
    pub(super) token: String,
    pub(super) guild: Option<u64>,
    pub(super) channel: u64,
    /// The channel that the thread belongs to, where it was done in one.
    pub(super) parent: Option<u64>,
    pub(super) user: u64,
    pub(super) name: String,
    /// Roles in the guild.
    pub(super) roles: Vec<String>,
    /// The message of the button, and whether only this person sees it.
    pub(super) message: Option<(u64, bool)>,
    pub(super) what: What,
    /// Until when what lies behind the inlet may think.
    pub(super) by: Instant,
}

impl Inner {
    /// Who a user is here.
    pub(super) fn actor(&self, user: u64, name: &str, roles: &[String]) -> Actor {
        let (id, config) = (user.to_string(), &self.config);
        let role = people::role_of(&config.people, config.role, &id, None, roles);
        Actor { via: "discord".into(), id, name: name.to_owned(), role }
    }

    /// Whether the guild is one that this bot serves; direct conversations are, with its members.
    pub(super) fn serves(&self, guild: Option<u64>) -> bool {
        guild.is_none_or(|guild| self.config.guilds.iter().any(|g| *g == guild.to_string()))
    }

    /// Answers an interaction and hands on what it says.
    pub(super) async fn interact(&self, mut deed: Deed) {
        if !self.serves(deed.guild) {
            self.refuse(
                &deed,
                "This bot does not serve this server: its id is not in chat.discord.guilds.",
            )
            .await;
            return;
        }
        if deed.guild.is_none() {
            let known =
                tokio::time::timeout_at(deed.by - THINK / 2, self.roles_of(deed.user)).await;
            let Some(roles) = known.ok().flatten() else {
                metrics::counter!("nightjar_discord_strangers_total").increment(1);
                self.refuse(&deed, STRANGER).await;
                return;
            };
            deed.roles = roles;
        }
        let actor = self.actor(deed.user, &deed.name, &deed.roles);
        match deed.what.clone() {
            What::Click { code } => self.clicked(&deed, actor, code).await,
            What::Submit { code, typed } => self.submitted(&deed, actor, code, typed).await,
            What::Command { text, form } => self.commanded(&deed, actor, text, form).await,
            What::Complete { what, typed } => self.completed(&deed, what, typed).await,
        }
        metrics::histogram!("nightjar_discord_interaction_ms")
            .record((deed.by - THINK).elapsed().as_secs_f64() * 1_000.0);
    }

    async fn clicked(&self, deed: &Deed, actor: Actor, code: String) {
        let (code, again) = match code.strip_prefix(AGAIN).and_then(|rest| rest.split_once(':')) {
            Some((id, code)) => (code.to_owned(), id.parse::<u64>().ok()),
            None => (code, None),
        };
        match self.press(deed, actor.clone(), code.clone()).await {
            Ok(Pressed::Form(form)) => {
                let typed = again.and_then(|id| {
                    let open = self.open.lock().expect("nothing panics under this lock");
                    open.typed.get(&id).cloned()
                });
                let form = Form { code, ..form };
                let form = typed.map_or(form.clone(), |typed| modal::refilled(form, &typed));
                self.respond(deed, kind::MODAL, Some(modal::modal(&form))).await;
            }
            Ok(Pressed::Nothing) => {
                let inbound = self.inbound(deed, actor, Said::Click { code });
                self.take(deed, inbound, (kind::TAKEN, None)).await;
            }
            Ok(Pressed::Refused(why)) | Err(why) => self.refuse(deed, &why).await,
        }
    }

    /// What a button opens, or a sentence for the person when that is not known in time.
    async fn press(&self, deed: &Deed, actor: Actor, code: String) -> Result<Pressed, String> {
        match tokio::time::timeout_at(deed.by, self.inlet.press(actor, code)).await {
            Ok(Ok(pressed)) => Ok(pressed),
            Ok(Err(fault)) => {
                tracing::error!(error = %fault.chain(), "a button could not be looked up");
                Err("This could not be looked up: internal error. Press again.".into())
            }
            Err(_) => Err("This took too long to look up. Press again in a moment.".into()),
        }
    }

    async fn submitted(
        &self,
        deed: &Deed,
        actor: Actor,
        code: String,
        typed: BTreeMap<String, String>,
    ) {
        let form = match self.press(deed, actor.clone(), code.clone()).await {
            Ok(Pressed::Form(form)) => form,
            Ok(Pressed::Refused(why)) => return self.refuse(deed, &why).await,
            Ok(Pressed::Nothing) => {
                return self.refuse(deed, "This form is not asked for any more.").await;
            }
            Err(why) => return self.refuse_form(deed, &code, typed, &[why]).await,
        };
        let (values, mut faults) = modal::answers(&form, &typed);
        if faults.is_empty() {
            let asked = self.inlet.faults(actor.clone(), code.clone(), values.clone());
            match tokio::time::timeout_at(deed.by, asked).await {
                Ok(Ok(found)) => {
                    let label = |name: &str| {
                        let field = form.fields.iter().find(|f| f.name == name);
                        field.map_or_else(|| name.to_owned(), |f| f.label.clone())
                    };
                    let line = |(name, why): (&String, &String)| format!("{}: {why}", label(name));
                    faults.extend(found.iter().map(line));
                }
                Ok(Err(fault)) => {
                    tracing::error!(error = %fault.chain(), "a form could not be checked");
                    faults.push("It could not be checked: internal error. Send it again.".into());
                }
                // It is checked again where it is handled, and a refusal follows from there.
                Err(_) => {}
            }
        }
        if !faults.is_empty() {
            return self.refuse_form(deed, &code, typed, &faults).await;
        }
        let inbound = self.inbound(deed, actor, Said::Submit { code, values });
        let response = match deed.message {
            Some((_, false)) => (kind::TAKEN, None),
            Some((_, true)) => (kind::CHANGE, Some(plain("Sent."))),
            None => (kind::MESSAGE, Some(for_one(plain("Sent.")))),
        };
        self.take(deed, inbound, response).await;
    }

    async fn commanded(&self, deed: &Deed, actor: Actor, text: String, form: Option<&'static str>) {
        if let Some(code) = form {
            return self.clicked(deed, actor, code.to_owned()).await;
        }
        let open = matches!(text.split_whitespace().next(), Some("ask" | "status"));
        let inbound = self.inbound(deed, actor, Said::Command { text });
        {
            let mut all = self.open.lock().expect("nothing panics under this lock");
            all.waiting.insert(inbound.key.clone(), (deed.token.clone(), open));
            all.trim();
        }
        let body = if open { json!({}) } else { for_one(json!({})) };
        self.respond(deed, kind::PUT_OFF, Some(body)).await;
        if self.accept(inbound).await.is_err() {
            let words = "This could not be taken: internal error. Send it again.";
            if let Err(trouble) = self.follow_up(&trigger(deed), &Content::text(words)).await {
                tracing::warn!(reason = %trouble, "a failed command was not told");
            }
        }
    }

    async fn completed(&self, deed: &Deed, what: Option<Completion>, typed: String) {
        let found = match what {
            Some(what) => tokio::time::timeout_at(deed.by, self.inlet.complete(what, typed)).await,
            None => Ok(Ok(Vec::new())),
        };
        let found = found.unwrap_or(Ok(Vec::new())).unwrap_or_default();
        let choice = |(value, label): &(String, String)| {
            let name = super::text::line(label, 100);
            let name = if name.trim().is_empty() { value.clone() } else { name };
            json!({ "name": name, "value": value })
        };
        let short = found.iter().filter(|(value, _)| (1..=100).contains(&value.len()));
        let choices: Vec<Value> = short.take(25).map(choice).collect();
        self.respond(deed, kind::CHOICES, Some(json!({ "choices": choices }))).await;
    }

    /// Hands something on and responds; where handing on takes long, the response goes first.
    async fn take(&self, deed: &Deed, inbound: Inbound, (kind, data): (u8, Option<Value>)) {
        let failed = "This could not be taken: internal error. Press again.";
        let accept = self.accept(inbound);
        tokio::pin!(accept);
        let early = tokio::select! {
            done = &mut accept => Some(done),
            () = tokio::time::sleep_until(deed.by) => None,
        };
        match early {
            Some(Ok(_)) => self.respond(deed, kind, data).await,
            Some(Err(_)) => self.refuse(deed, failed).await,
            None => {
                self.respond(deed, kind, data).await;
                if accept.await.is_err()
                    && let Err(trouble) =
                        self.follow_up(&trigger(deed), &Content::text(failed)).await
                {
                    tracing::warn!(reason = %trouble, "a failed click was not told");
                }
            }
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

    fn inbound(&self, deed: &Deed, actor: Actor, said: Said) -> Inbound {
        let (channel, thread) = match (deed.parent, deed.message) {
            // The first message of a forum's post stands, by our count, in the forum.
            (Some(parent), Some((m, _))) if m == deed.channel => (parent, Some(m)),
            (_, Some((m, _))) => (deed.channel, Some(m)),
            (Some(parent), None) => (parent, Some(deed.channel)),
            (None, None) => (deed.channel, None),
        };
        Inbound {
            key: format!("{}:interaction:{}", self.platform, deed.id),
            platform: self.platform.clone(),
            channel: channel.to_string(),
            thread: thread.map(|t| t.to_string()),
            message: None,
            actor,
            at: self.clock.now(),
            trigger: Some(trigger(deed)),
            said,
        }
    }

    async fn refuse(&self, deed: &Deed, why: &str) {
        let body = for_one(render::message(None, &Content::text(why)));
        if matches!(deed.what, What::Complete { .. }) {
            return self.respond(deed, kind::CHOICES, Some(json!({ "choices": [] }))).await;
        }
        self.respond(deed, kind::MESSAGE, Some(body)).await;
    }

    /// Tells what is wrong with a form and offers it again as it was filled in: Discord shows no
    /// form in answer to a form.
    async fn refuse_form(
        &self,
        deed: &Deed,
        code: &str,
        typed: BTreeMap<String, String>,
        faults: &[String],
    ) {
        {
            let mut open = self.open.lock().expect("nothing panics under this lock");
            open.typed.insert(deed.id, typed);
            open.trim();
        }
        let text = format!("Not sent.\n{}", faults.join("\n"));
        let mut body = for_one(render::message(None, &Content::text(text)));
        let again = format!("{AGAIN}{}:{code}", deed.id);
        if again.len() <= 100 {
            let button =
                json!({ "type": 2, "style": 1, "label": "Correct it", "custom_id": again });
            body["components"] = json!([{ "type": 1, "components": [button] }]);
        }
        let kind =
            if deed.message.is_some_and(|(_, own)| own) { kind::CHANGE } else { kind::MESSAGE };
        self.respond(deed, kind, Some(body)).await;
    }

    /// Sends the first response; once more where the first try failed in time.
    async fn respond(&self, deed: &Deed, kind: u8, data: Option<Value>) {
        let begin = Instant::now();
        let mut body = json!({ "type": kind });
        if let Some(data) = data {
            body["data"] = data;
        }
        let interaction_id = InteractionId::new(deed.id);
        let route = || Route::InteractionResponse { interaction_id, token: &deed.token };
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
    }

    /// Says something to one person through their interaction; `false` where it is over.
    pub(super) async fn follow_up(
        &self,
        trigger: &str,
        content: &Content,
    ) -> Result<bool, Trouble> {
        let Some((_, token)) = trigger.split_once(':') else { return Ok(false) };
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

/// What an ephemeral answer needs later: the interaction and its token.
fn trigger(deed: &Deed) -> String {
    format!("{}:{}", deed.id, deed.token)
}

fn plain(words: &str) -> Value {
    render::message(None, &Content::text(words))
}
