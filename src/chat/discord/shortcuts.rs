//! The commands of a message's menu (under Apps): ask about the message, open an incident from it.
//!
//! Discord sends the message with the interaction, its words included, whatever the bot may read
//! otherwise.

use serenity::model::application::CommandData;
use serenity::model::channel::Message;

use super::Inner;
use super::interact::Deed;
use super::modal;
use super::respond::kind;
use crate::chat::{Button, Form, Inbound, Pressed, Said, Style, Subject, Verb};

/// What can be done with somebody's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortcut {
    /// Its words become a question, which is answered in its thread.
    Ask,
    /// Its words begin the form of a new incident.
    Open,
}

impl Shortcut {
    /// All, in the order of the menu.
    pub(super) const ALL: [Self; 2] = [Self::Ask, Self::Open];

    /// What stands in the menu: at most 32 characters.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ask => "Ask about this message",
            Self::Open => "Open an incident from this",
        }
    }
}

/// A use of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picked {
    /// Which.
    pub(super) shortcut: Shortcut,
    /// The message's id.
    pub(super) message: u64,
    /// Its words.
    pub(super) text: String,
}

/// Reads a use; `None` for what we did not register.
pub(super) fn used(data: &CommandData) -> Option<Picked> {
    let shortcut = Shortcut::ALL.into_iter().find(|s| s.name() == data.name)?;
    let id = data.target_id?.to_message_id();
    let text = data.resolved.messages.get(&id).map(words).unwrap_or_default();
    Some(Picked { shortcut, message: id.get(), text })
}

/// The words of a message; those of other monitoring often stand in embeds.
fn words(message: &Message) -> String {
    let mut parts = vec![message.content.as_str()];
    for embed in &message.embeds {
        parts.extend([embed.title.as_deref(), embed.description.as_deref()].into_iter().flatten());
        parts.extend(embed.fields.iter().flat_map(|f| [f.name.as_str(), f.value.as_str()]));
    }
    let parts: Vec<&str> = parts.into_iter().map(str::trim).filter(|p| !p.is_empty()).collect();
    parts.join("\n")
}

impl Inner {
    pub(super) async fn picked(&self, deed: &Deed, picked: Picked) {
        match picked.shortcut {
            Shortcut::Ask if picked.text.is_empty() => {
                let why = "This message has no words that could be read. Ask in your own words: \
                           /nightjar ask.";
                self.refuse(deed, why).await;
            }
            Shortcut::Ask => {
                let said = Said::Message { text: picked.text, addressed: true };
                let message = picked.message.to_string();
                let inbound = self.inbound(deed, said);
                let thread = inbound.thread.or_else(|| Some(message.clone()));
                let inbound = Inbound { thread, message: Some(message), ..inbound };
                self.answer_later(deed, inbound, false).await;
            }
            Shortcut::Open => match self.press(deed, declare()).await {
                Ok(Pressed::Form(form)) => {
                    let form = Form { code: declare(), ..form }.beginning_with(&picked.text);
                    self.respond(deed, kind::MODAL, Some(modal::modal(&form))).await;
                }
                Ok(Pressed::Nothing) => {
                    self.refuse(deed, "No incident can be opened from here.").await;
                }
                Ok(Pressed::Refused(why)) | Err(why) => self.refuse(deed, &why).await,
            },
        }
    }
}

/// The code of the form of a new incident.
fn declare() -> String {
    let (label, style) = (String::new(), Style::Plain);
    Button { verb: Verb::Declare, label, style, subject: Subject::Nothing, digest: None }.code()
}
