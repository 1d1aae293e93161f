//! Commands: lists and cards for the person who typed them, deeds through the desk.

use super::carry::{self, Done, carry_out};
use super::wish::Wish;
use super::words::{self, Command};
use super::{About, Category, Clerk, NewIncident, NewSilence, Problem, lists, page};
use crate::chat::form::parse_duration;
use crate::chat::{Content, Inbound, Subject};
use crate::model::{Fault, IncidentId, Matcher, Refused, Severity};

/// The question that a command asks, where it is one for the assistant.
pub(super) fn question(text: &str) -> Option<String> {
    match words::parse(text).ok()? {
        Command::Ask { question } => Some(question.join(" ")),
        Command::Status { service: None } => Some("status".into()),
        Command::Status { service: Some(name) } => Some(format!("how is {name}?")),
        // What names an incident or alert is explained from the records.
        Command::Why { what } if named(&what).is_none() => Some(format!("why {}", what.join(" "))),
        _ => None,
    }
}

/// The one word that may name an incident or an alert.
fn named(what: &[String]) -> Option<&str> {
    let word = what.first().filter(|_| what.len() == 1)?.trim();
    let number = word.trim_start_matches('#');
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let is_id = ["INC-", "ALT-", "PRP-", "RUN-"].iter().any(|prefix| word.starts_with(prefix));
    (is_number || is_id).then_some(word)
}

impl Clerk {
    /// Does what a command asks for, unless it is a question.
    pub(super) async fn command(&self, inbound: &Inbound, text: &str) -> Result<(), Fault> {
        let command = match words::parse(text) {
            Ok(command) => command,
            Err(help) => return self.whisper(inbound, Content::text(help)).await,
        };
        match self.commanded(inbound, command).await {
            Ok(Came::Shown(content)) => self.whisper(inbound, content).await,
            Ok(Came::Done(done)) => self.tell(inbound, done).await,
            Err(Problem::Refused(refused)) => {
                metrics::counter!("nightjar_command_refused_total").increment(1);
                self.whisper(inbound, Content::text(refused.to_string())).await
            }
            Err(Problem::Fault(fault)) => Err(fault),
        }
    }

    async fn commanded(&self, inbound: &Inbound, command: Command) -> Result<Came, Problem> {
        let (desk, now) = (self.desk().clone(), self.desk().clock.now());
        let store = self.desk().store.clone();
        let card = match command {
            Command::Incidents { all } => {
                store.read(move |r| lists::incidents(r, all, now)).await?
            }
            Command::Home => {
                let actor = inbound.actor.clone();
                store.read(move |r| page::page(r, &actor, now)).await?
            }
            Command::Approvals => store.read(move |r| lists::approvals(r, now)).await?,
            Command::Silences => store.read(move |r| lists::silences(r, None, now)).await?,
            Command::Oncall => store.read(move |r| lists::on_call(r, &desk, now)).await?,
            Command::Incident { incident } => {
                let platform = inbound.platform.clone();
                let found = store.read(move |r| match lists::incident_named(r, &incident)? {
                    Some(i) => lists::incident(r, &i, &platform, now).map(Some),
                    None => Ok(None),
                });
                return found.await?.map(Came::Shown).ok_or_else(|| super::desk::gone().into());
            }
            Command::Why { what } => {
                let name = named(&what).unwrap_or_default().to_owned();
                let about = if let Ok(about) = name.parse() {
                    about
                } else {
                    let found = store.read(move |r| lists::incident_named(r, &name)).await?;
                    About::Incident(found.ok_or_else(super::desk::gone)?.id)
                };
                carry::explained(desk.why(about).await?)
            }
            Command::Silence { matchers, length, reason } => {
                let new = silence(&matchers, &length, reason)?;
                let wish = Wish::Silence { about: Subject::Nothing, new };
                return self.wished(inbound, wish).await;
            }
            Command::Declare { title, service, severity } => {
                let severity = match severity.as_str() {
                    "info" => Severity::Info,
                    "warning" => Severity::Warning,
                    _ => Severity::Critical,
                };
                let (title, text) = (title.join(" "), String::new());
                let new = NewIncident { title, service, severity, text };
                return self.wished(inbound, Wish::Declare(new)).await;
            }
            Command::Runbook { id } => lists::runbook(&desk, &id).ok_or_else(|| {
                let shown: String = id.chars().take(60).collect();
                let text = format!("No runbook is called `{shown}`; ask which there is for it.");
                Refused::NotFound(text)
            })?,
            Command::Help | Command::Ask { .. } | Command::Status { .. } => {
                return Ok(Came::Shown(Content::text(words::help())));
            }
            Command::Ack { incident } => {
                let wish = Wish::Acknowledge(self.incident(incident).await?);
                return self.wished(inbound, wish).await;
            }
            Command::Assign { incident, to } => {
                let wish = Wish::Assign { incident: self.incident(incident).await?, to };
                return self.wished(inbound, wish).await;
            }
            Command::Note { incident, text } => {
                let incident = self.incident(incident).await?;
                let wish = Wish::Note { incident, text: text.join(" ") };
                return self.wished(inbound, wish).await;
            }
            Command::Resolve { incident, category, text } => {
                let incident = self.incident(incident).await?;
                let known = Category::ALL.iter().find(|(c, _)| c.as_str() == category);
                let category = known.map_or(Category::Fixed, |(category, _)| *category);
                let wish = Wish::Resolve { incident, category, reason: text.join(" ") };
                return self.wished(inbound, wish).await;
            }
            Command::Reopen { incident, text } => {
                let incident = self.incident(incident).await?;
                let wish = Wish::Reopen { incident, reason: text.join(" ") };
                return self.wished(inbound, wish).await;
            }
            Command::Merge { incident, into, text } => {
                let (from, into) = (self.incident(incident).await?, self.incident(into).await?);
                let wish = Wish::Merge { from, into, reason: text.join(" ") };
                return self.wished(inbound, wish).await;
            }
        };
        Ok(Came::Shown(Content::card(card)))
    }

    /// The incident that somebody names.
    async fn incident(&self, name: String) -> Result<IncidentId, Problem> {
        let read = self.desk().store.read(move |r| lists::incident_named(r, &name));
        Ok(read.await?.ok_or_else(super::desk::gone)?.id)
    }

    async fn wished(&self, inbound: &Inbound, wish: Wish) -> Result<Came, Problem> {
        let desk = self.desk().handling(&inbound.key);
        carry_out(&desk, &inbound.actor, wish).await.map(Came::Done)
    }
}

/// What came of a command.
enum Came {
    /// Something to look at.
    Shown(Content),
    /// A deed, which is marked as handled.
    Done(Done),
}

/// A silence as it is typed; a word without an operator is a service.
fn silence(words: &[String], length: &str, reason: String) -> Result<NewSilence, Refused> {
    let matcher = |word: &String| {
        let text = if word.contains(['=', '!']) { word.clone() } else { format!("service={word}") };
        text.parse::<Matcher>().map_err(Refused::Invalid)
    };
    let matchers = words.iter().map(matcher).collect::<Result<Vec<_>, _>>()?;
    let duration_ms = parse_duration(length).map_err(Refused::Invalid)?;
    Ok(NewSilence { matchers, starts_at: None, duration_ms, reason, maintenance: false })
}
