//! Interactions: clicks, forms and commands, each answered first within 2 s whatever is slow.
//!
//! A click opens a form (which must be the first response), or is kept and then acknowledged
//! silently, or is refused before the person's eyes alone. A command is kept, then put off: `ask`
//! and `status` openly, because the answer takes the place of the response, all others for that
//! person alone.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::respond::kind;
use super::roles::STRANGER;
use super::shortcuts::Picked;
use super::{Inner, for_one, modal, render};
use crate::chat::{Button, Completion, Content, Form, Inbound, Pressed, Said};
use crate::model::Actor;

/// Within so long the first response is sent; Discord forgets the interaction after 3 s.
pub(super) const FIRST: Duration = Duration::from_secs(2);
/// How long what lies behind the inlet may take before the response is sent without it.
pub(super) const THINK: Duration = Duration::from_millis(1_400);
/// How long Discord is asked for somebody's roles before what they did is kept without.
pub(super) const ASK: Duration = Duration::from_millis(500);
/// What the code of the button begins with that opens a faulty form again.
const AGAIN: &str = "again:";

/// What a person did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Pressed a button.
    Click { code: String },
    /// Sent a form.
    Submit { code: String, typed: BTreeMap<String, String> },
    /// Used the command; `form` is the code of the form that it opens.
    Command { text: String, form: Option<&'static str> },
    /// Used a command of a message's menu.
    Shortcut(Picked),
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
    /// Roles in the guild; `None`: Discord did not tell them yet.
    pub(super) roles: Option<Vec<String>>,
    /// The message of the button, and whether only this person sees it.
    pub(super) message: Option<(u64, bool)>,
    pub(super) what: What,
    /// Until when what lies behind the inlet may think.
    pub(super) by: Instant,
}

impl Inner {
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
        if deed.roles.is_none() {
            match tokio::time::timeout(ASK, self.roles_of(deed.user)).await {
                Ok(Ok(None)) => {
                    metrics::counter!("nightjar_discord_strangers_total").increment(1);
                    self.refuse(&deed, STRANGER).await;
                    return;
                }
                Ok(Ok(roles)) => deed.roles = roles,
                // What is kept is done once Discord tells; what is shown at once can't be.
                Ok(Err(_)) | Err(_) => {}
            }
        }
        self.begun(deed.id);
        match deed.what.clone() {
            What::Click { code } => self.clicked(&deed, code).await,
            What::Submit { code, typed } => self.submitted(&deed, code, typed).await,
            What::Command { text, form } => self.commanded(&deed, text, form).await,
            What::Shortcut(picked) => self.picked(&deed, picked).await,
            What::Complete { what, typed } => self.completed(&deed, what, typed).await,
        }
        self.responded(deed.id);
        metrics::histogram!("nightjar_discord_interaction_ms")
            .record((deed.by - THINK).elapsed().as_secs_f64() * 1_000.0);
    }

    async fn clicked(&self, deed: &Deed, code: String) {
        if let Some(code) = code.strip_prefix(render::SURE) {
            return self.respond(deed, kind::MESSAGE, Some(for_one(render::asked(code)))).await;
        }
        let (code, again) = match code.strip_prefix(AGAIN).and_then(|rest| rest.split_once(':')) {
            Some((id, code)) => (code.to_owned(), id.parse::<u64>().ok()),
            None => (code, None),
        };
        if Button::parse(&code).is_ok_and(|button| !button.verb.opens_form()) {
            // Whether the person may is judged where it is handled, and a refusal follows.
            let inbound = self.inbound(deed, Said::Click { code });
            return self.take(deed, inbound, (kind::TAKEN, None)).await;
        }
        match self.press(deed, code.clone()).await {
            Ok(Pressed::Form(form)) => {
                let typed = again.and_then(|id| self.typed(id));
                let form = Form { code, ..form };
                let form = typed.map_or(form.clone(), |typed| modal::refilled(form, &typed));
                self.respond(deed, kind::MODAL, Some(modal::modal(&form))).await;
            }
            Ok(Pressed::Nothing) => {
                let inbound = self.inbound(deed, Said::Click { code });
                self.take(deed, inbound, (kind::TAKEN, None)).await;
            }
            Ok(Pressed::Refused(why)) | Err(why) => self.refuse(deed, &why).await,
        }
    }

    /// What a button opens, or a sentence for the person when that is not known in time.
    pub(super) async fn press(&self, deed: &Deed, code: String) -> Result<Pressed, String> {
        let Some(actor) = self.actor(deed) else {
            let why = "Discord did not tell in time who you are here. Press again in a moment.";
            return Err(why.into());
        };
        match tokio::time::timeout_at(deed.by, self.inlet.press(actor, code)).await {
            Ok(Ok(pressed)) => Ok(pressed),
            Ok(Err(fault)) => {
                tracing::error!(error = %fault.chain(), "a button could not be looked up");
                Err("This could not be looked up: internal error. Press again.".into())
            }
            Err(_) => Err("This took too long to look up. Press again in a moment.".into()),
        }
    }

    async fn submitted(&self, deed: &Deed, code: String, typed: BTreeMap<String, String>) {
        let form = match self.press(deed, code.clone()).await {
            Ok(Pressed::Form(form)) => form,
            Ok(Pressed::Refused(why)) => return self.refuse(deed, &why).await,
            Ok(Pressed::Nothing) => {
                return self.refuse(deed, "This form is not asked for any more.").await;
            }
            Err(why) => return self.refuse_form(deed, &code, typed, &[why]).await,
        };
        let (values, mut faults) = modal::answers(&form, &typed);
        if faults.is_empty() {
            let asked = self.inlet.faults(self.actor(deed), code.clone(), values.clone());
            match tokio::time::timeout_at(deed.by - THINK / 3, asked).await {
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
        let inbound = self.inbound(deed, Said::Submit { code, values });
        let response = match deed.message {
            Some((_, false)) => (kind::TAKEN, None),
            Some((_, true)) => (kind::CHANGE, Some(plain("Sent."))),
            None => (kind::MESSAGE, Some(for_one(plain("Sent.")))),
        };
        self.take(deed, inbound, response).await;
    }

    async fn commanded(&self, deed: &Deed, text: String, form: Option<&'static str>) {
        if let Some(code) = form {
            return self.clicked(deed, code.to_owned()).await;
        }
        let open = matches!(text.split_whitespace().next(), Some("ask" | "status"));
        let inbound = self.inbound(deed, Said::Command { text });
        self.answer_later(deed, inbound, open).await;
    }

    /// Hands something on whose answer comes later: before everybody, or before that person alone.
    pub(super) async fn answer_later(&self, deed: &Deed, inbound: Inbound, open: bool) {
        self.put_off(&inbound.key, &deed.token, open);
        let body = if open { json!({}) } else { for_one(json!({})) };
        self.take(deed, inbound, (kind::PUT_OFF, Some(body))).await;
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

    /// Who did it, where Discord told it in time.
    fn actor(&self, deed: &Deed) -> Option<Actor> {
        deed.roles.as_deref().map(|roles| self.person(deed.user, &deed.name, Some(roles)))
    }

    pub(super) fn inbound(&self, deed: &Deed, said: Said) -> Inbound {
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
            actor: self.person(deed.user, &deed.name, deed.roles.as_deref()),
            unresolved: deed.roles.is_none(),
            at: self.clock.now(),
            trigger: Some(trigger(deed)),
            said,
        }
    }

    pub(super) async fn refuse(&self, deed: &Deed, why: &str) {
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
        self.note_typed(deed.id, typed);
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
}

/// What an ephemeral answer needs later: the interaction and its token.
pub(super) fn trigger(deed: &Deed) -> String {
    format!("{}:{}", deed.id, deed.token)
}

fn plain(words: &str) -> Value {
    render::message(None, &Content::text(words))
}
