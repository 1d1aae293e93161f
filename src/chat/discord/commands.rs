//! The command `/nightjar`: its table, as Discord is told it, and how a use of it is read.

use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use serenity::model::id::{ApplicationId, GuildId};

use super::Inner;
use super::rest::Ask;
use super::trouble::Trouble;
use crate::chat::Completion;

/// The command's name.
pub(super) const NAME: &str = "nightjar";

/// One option of a sub-command.
struct Opt {
    name: &'static str,
    about: &'static str,
    required: bool,
    completes: Option<Completion>,
}

/// One sub-command.
struct Sub {
    name: &'static str,
    about: &'static str,
    /// The code of the form that it opens.
    form: Option<&'static str>,
    options: &'static [Opt],
}

const fn sub(name: &'static str, about: &'static str, options: &'static [Opt]) -> Sub {
    Sub { name, about, form: None, options }
}

/// What there is, in the order that Discord shows.
const SUBS: &[Sub] = &[
    sub(
        "ask",
        "Ask about your systems; the answer is for everybody here",
        &[Opt {
            name: "question",
            about: "For example: why is checkout slow?",
            required: true,
            completes: None,
        }],
    ),
    sub(
        "status",
        "What is going on, over all or for one service",
        &[Opt {
            name: "service",
            about: "One service",
            required: false,
            completes: Some(Completion::Service),
        }],
    ),
    sub("incidents", "Incidents that are open", &[]),
    sub(
        "incident",
        "One incident",
        &[Opt {
            name: "id",
            about: "Its id",
            required: true,
            completes: Some(Completion::Incident),
        }],
    ),
    sub("approve-list", "What waits for a decision", &[]),
    Sub {
        name: "silence",
        about: "Silence alerts (opens a form)",
        form: Some("v1:silence:none"),
        options: &[],
    },
    sub("silences", "Silences in force", &[]),
    Sub {
        name: "declare",
        about: "Open an incident (opens a form)",
        form: Some("v1:declare:none"),
        options: &[],
    },
    sub(
        "runbook",
        "One runbook",
        &[Opt {
            name: "id",
            about: "Its id",
            required: true,
            completes: Some(Completion::Runbook),
        }],
    ),
    sub("oncall", "Who is on call", &[]),
    sub("help", "What can be asked and done", &[]),
];

/// The command as the API takes it: usable in guilds and in direct conversations.
fn wanted() -> Value {
    let option = |o: &Opt| {
        json!({
            "type": 3, "name": o.name, "description": o.about,
            "required": o.required, "autocomplete": o.completes.is_some(),
        })
    };
    let sub = |s: &Sub| {
        let options: Vec<Value> = s.options.iter().map(option).collect();
        json!({ "type": 1, "name": s.name, "description": s.about, "options": options })
    };
    let options: Vec<Value> = SUBS.iter().map(sub).collect();
    json!([{
        "name": NAME, "type": 1, "options": options,
        "description": "Incidents, their causes and what to do about them",
    }])
}

/// The parts of registered commands that we set, so that they can be compared.
fn essence(commands: &Value) -> Value {
    fn of(value: &Value) -> Value {
        let list = value["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        json!({
            "name": value["name"], "description": value["description"],
            "required": value["required"] == true,
            "autocomplete": value["autocomplete"] == true,
            "options": list.iter().map(of).collect::<Vec<_>>(),
        })
    }
    let all = commands.as_array().map(Vec::as_slice).unwrap_or_default();
    Value::Array(all.iter().map(of).collect())
}

/// A use of the command, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Used {
    /// The line as people would type it.
    pub(super) text: String,
    /// The code of the form that it opens.
    pub(super) form: Option<&'static str>,
}

/// Reads a sub-command with its options by name.
pub(super) fn used(name: &str, options: &[(String, String)]) -> Used {
    let Some(sub) = SUBS.iter().find(|s| s.name == name) else {
        return Used { text: name.to_owned(), form: None };
    };
    let mut text = sub.name.to_owned();
    for opt in sub.options {
        let Some((_, value)) = options.iter().find(|(n, _)| n == opt.name) else { continue };
        text.push(' ');
        // A question is the rest of the line; everything else is one word.
        if sub.name == "ask" || !value.contains([' ', '"', '\\']) {
            text.push_str(value);
        } else {
            text.push_str(&format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")));
        }
    }
    Used { text, form: sub.form }
}

/// What an option is completed from.
pub(super) fn completes(name: &str, option: &str) -> Option<Completion> {
    let sub = SUBS.iter().find(|s| s.name == name)?;
    sub.options.iter().find(|o| o.name == option)?.completes
}

impl Inner {
    /// Registers the command in every guild where it is not as it should be.
    pub(super) async fn register(&self) -> Result<(), Trouble> {
        let wanted = wanted();
        for guild in &self.config.guilds {
            if self.registered(guild).await? {
                continue;
            }
            let route = self.commands_of(guild).await?;
            self.rest.ask(Ask::new(LightMethod::Put, route).body(&wanted)).await?;
            tracing::info!(discord.guild = %guild, "the command /{NAME} was registered");
        }
        Ok(())
    }

    /// Whether a guild has the command as it should be.
    pub(super) async fn registered(&self, guild: &str) -> Result<bool, Trouble> {
        let route = self.commands_of(guild).await?;
        let found = self.rest.ask(Ask::new(LightMethod::Get, route)).await?;
        Ok(essence(&found) == essence(&wanted()))
    }

    async fn commands_of(&self, guild: &str) -> Result<Route<'static>, Trouble> {
        let application_id = ApplicationId::new(self.me().await?.application);
        let guild_id = GuildId::new(super::places::id(guild)?);
        Ok(Route::GuildCommands { application_id, guild_id })
    }
}

#[cfg(test)]
pub(super) fn table() -> Value {
    wanted()
}
