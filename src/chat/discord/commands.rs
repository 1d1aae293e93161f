//! The command `/nightjar`: its table, as Discord is told it, and how a use of it is read; and the
//! commands of a message's menu.

use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use serenity::model::id::{ApplicationId, GuildId};

use super::Inner;
use super::rest::Ask;
use super::shortcuts::Shortcut;
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
    /// What stands before it in the line, where it is no plain word.
    flag: Option<&'static str>,
    /// All that it can be, with what people read; empty: it is typed.
    choices: &'static [(&'static str, &'static str)],
}

const fn opt(name: &'static str, about: &'static str) -> Opt {
    Opt { name, about, required: true, completes: None, flag: None, choices: &[] }
}

/// One sub-command.
struct Sub {
    name: &'static str,
    about: &'static str,
    /// What the line begins with, as `command` reads it.
    line: &'static str,
    /// The code of the form that it opens where an option is left out.
    form: Option<&'static str>,
    options: &'static [Opt],
}

const fn sub(name: &'static str, about: &'static str, options: &'static [Opt]) -> Sub {
    Sub { name, about, line: name, form: None, options }
}

const INCIDENT: Opt =
    Opt { completes: Some(Completion::Incident), ..opt("incident", "Its number or id") };
/// Words that may be left out.
const WORDS: Opt = Opt { required: false, ..opt("text", "Why, in your words") };

/// How an incident ends: the words of the command's own reader, which a test holds these against.
const ENDS: &[(&str, &str)] = &[
    ("fixed", "Fixed"),
    ("recovered", "Went away by itself"),
    ("external", "Cause outside, such as a provider"),
    ("planned", "Planned work"),
    ("not_an_incident", "Not an incident"),
];

/// What there is, in the order that Discord shows.
const SUBS: &[Sub] = &[
    sub(
        "ask",
        "Ask about your systems; the answer is for everybody here",
        &[opt("question", "For example: why is checkout slow?")],
    ),
    sub("status", "How things stand", &[]),
    sub("home", "Your page: open incidents, what waits for a decision, your silences", &[]),
    sub("incidents", "Active incidents", &[]),
    sub("incident", "One incident", &[INCIDENT]),
    sub("why", "Why an incident was told", &[INCIDENT]),
    sub("ack", "Take an incident", &[INCIDENT]),
    sub(
        "assign",
        "Give an incident to somebody",
        &[
            INCIDENT,
            Opt {
                required: false,
                flag: Some("--to"),
                ..opt("to", "me (when left out), nobody, a name, or via:id")
            },
        ],
    ),
    sub(
        "note",
        "Write into an incident's thread and story",
        &[INCIDENT, opt("text", "What to write")],
    ),
    sub(
        "resolve",
        "End an incident",
        &[
            INCIDENT,
            Opt {
                required: false,
                flag: Some("--as"),
                choices: ENDS,
                ..opt("as", "How it ended; fixed when left out")
            },
            Opt { about: "What it was", ..WORDS },
        ],
    ),
    sub("reopen", "Open an incident again", &[INCIDENT, WORDS]),
    sub(
        "merge",
        "Fold an incident into another",
        &[INCIDENT, Opt { name: "into", about: "The one that goes on", ..INCIDENT }, WORDS],
    ),
    sub("approvals", "What waits for a decision", &[]),
    Sub {
        form: Some("v1:silence:none"),
        ..sub(
            "silence",
            "Silence alerts; a form asks for what you leave out",
            &[
                Opt {
                    required: false,
                    completes: Some(Completion::Service),
                    ..opt("service", "A service, or a matcher such as alertname=~\"Disk.*\"")
                },
                Opt {
                    required: false,
                    flag: Some("--for"),
                    ..opt("for", "For how long: 30 min, 2 h, 1 d")
                },
                Opt { required: false, flag: Some("--reason"), ..opt("reason", "Why") },
            ],
        )
    },
    sub("silences", "Silences in force", &[]),
    Sub { form: Some("v1:declare:none"), ..sub("declare", "Open an incident (opens a form)", &[]) },
    Sub {
        line: "ask runbook",
        ..sub(
            "runbook",
            "What a runbook says; the answer is for everybody here",
            &[Opt { completes: Some(Completion::Runbook), ..opt("id", "Its id") }],
        )
    },
    sub("oncall", "Who has which incident and who may decide", &[]),
    sub("help", "The commands", &[]),
];

/// The commands as the API takes them. They are registered for each guild, so they are there and not
/// in direct conversations, where people write without them.
fn wanted() -> Value {
    let choice = |(value, name): &(&str, &str)| json!({ "name": name, "value": value });
    let option = |o: &Opt| {
        let mut option = json!({
            "type": 3, "name": o.name, "description": o.about,
            "required": o.required, "autocomplete": o.completes.is_some(),
        });
        if !o.choices.is_empty() {
            option["choices"] = o.choices.iter().map(choice).collect();
        }
        option
    };
    let sub = |s: &Sub| {
        let options: Vec<Value> = s.options.iter().map(option).collect();
        json!({ "type": 1, "name": s.name, "description": s.about, "options": options })
    };
    let options: Vec<Value> = SUBS.iter().map(sub).collect();
    let mut all = vec![json!({
        "name": NAME, "type": 1, "options": options,
        "description": "Incidents, their causes and what to do about them",
    })];
    // What stands in a message's menu has a name and no description.
    all.extend(Shortcut::ALL.iter().map(|s| json!({ "name": s.name(), "type": 3 })));
    Value::Array(all)
}

/// The parts of registered commands that we set, so that they can be compared.
fn essence(commands: &Value) -> Value {
    fn of(value: &Value) -> Value {
        let list = value["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        json!({
            "name": value["name"], "type": value["type"],
            "description": value["description"].as_str().unwrap_or_default(),
            "required": value["required"] == true,
            "autocomplete": value["autocomplete"] == true,
            "choices": value["choices"].as_array().into_iter().flatten()
                .map(|c| json!([c["name"], c["value"]])).collect::<Vec<_>>(),
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

/// Reads a sub-command with its options by name. A form opens where something that it asks for was
/// left out.
pub(super) fn used(name: &str, options: &[(String, String)]) -> Used {
    let Some(sub) = SUBS.iter().find(|s| s.name == name) else {
        return Used { text: name.to_owned(), form: None };
    };
    let mut text = sub.line.to_owned();
    for opt in sub.options {
        let Some((_, value)) = options.iter().find(|(n, _)| n == opt.name) else { continue };
        text.push(' ');
        if let Some(flag) = opt.flag {
            text.push_str(flag);
            text.push(' ');
        }
        // A question is the rest of the line; everything else is one word.
        if sub.line.starts_with("ask") || !value.contains(|c: char| c.is_whitespace() || c == '"') {
            text.push_str(value);
        } else {
            text.push_str(&format!("\"{}\"", value.replace('"', "'")));
        }
    }
    let whole = !options.is_empty() && options.len() == sub.options.len();
    Used { text, form: sub.form.filter(|_| !whole) }
}

/// What an option is completed from.
pub(super) fn completes(name: &str, option: &str) -> Option<Completion> {
    let sub = SUBS.iter().find(|s| s.name == name)?;
    sub.options.iter().find(|o| o.name == option)?.completes
}

impl Inner {
    /// Registers the commands in every guild where they are not as they should be. A guild that
    /// refuses keeps them from no other.
    pub(super) async fn register(&self) {
        for guild in &self.config.guilds {
            self.register_in(guild).await;
        }
    }

    /// The same in one guild, where it is one that this bot serves: what could not be done when the
    /// session began is done once the guild is there.
    pub(super) async fn register_in(&self, guild: &str) {
        if !self.config.guilds.iter().any(|g| g == guild) {
            return;
        }
        match self.put_commands(guild).await {
            Ok(false) => {}
            Ok(true) => tracing::info!(discord.guild = %guild, "the commands were registered"),
            Err(trouble) => {
                let text = "the commands could not be registered";
                tracing::warn!(discord.guild = %guild, reason = %trouble, "{text}");
            }
        }
    }

    /// Whether they were not there yet.
    async fn put_commands(&self, guild: &str) -> Result<bool, Trouble> {
        if self.registered(guild).await? {
            return Ok(false);
        }
        let route = self.commands_of(guild).await?;
        self.rest.ask(Ask::new(LightMethod::Put, route).body(&wanted())).await?;
        Ok(true)
    }

    /// Whether a guild has the commands as they should be.
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
