//! The clerk: handles one thing that somebody said, once, and says what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::answer::keep_evidence;
use super::attend::PATIENCE;
use super::carry::{Done, carry_out};
use super::claims::{Claim, Claims};
use super::heard::{self, GivenUp, Handled};
use super::parts::{LEAST_ROOM, Parts, take_back};
use super::{Counter, Desk, Problem, said};
use crate::assist::{Answer, Assistant, Progress, Question};
use crate::bus::Event;
use crate::chat::outbox::Urgency;
use crate::chat::{Chat, Content, Inbound, Message, Post, Room, Said, Within};
use crate::model::{Fault, IncidentId, MessageId, Refused, wall_now};
use crate::store::{Filter, Rows, Tx};

/// Longest question, in characters; what follows is not read.
pub(super) const MOST_QUESTION: usize = 2_000;

/// Characters of a question that its answer begins with.
const MOST_SHOWN: usize = 300;

/// Sentences of an answer in the making that may wait to be shown.
const DEPTH: usize = 64;

/// Handles what people said. Cheap to clone; clones know of each other's work.
#[derive(Clone)]
pub struct Clerk {
    pub(super) counter: Counter,
    assistant: Assistant,
    chats: Arc<[Arc<dyn Chat>]>,
    claims: Claims,
}

impl Clerk {
    /// A clerk behind a counter, who answers on these platforms.
    #[must_use]
    pub fn new(counter: Counter, assistant: Assistant, chats: Vec<Arc<dyn Chat>>) -> Self {
        Self { counter, assistant, chats: chats.into(), claims: Claims::default() }
    }

    /// Where things are taken in.
    #[must_use]
    pub fn counter(&self) -> &Counter {
        &self.counter
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.counter.desk
    }

    /// The right to handle what was said under a key, as long as it is held; `None` while somebody
    /// else in this process has it.
    #[must_use]
    pub fn claim(&self, key: &str) -> Option<Claim> {
        self.claims.take(key)
    }

    /// Whether nothing is under way.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.claims.is_empty()
    }

    pub(super) fn chat(&self, platform: &str) -> Option<&Arc<dyn Chat>> {
        self.chats.iter().find(|chat| chat.platform() == platform)
    }

    /// Whether it is for the assistant, which may take its time; and about which incident.
    pub(super) async fn asks(&self, inbound: &Inbound) -> Result<Asked, Fault> {
        let incident = self.incident_of(inbound).await?;
        Ok(match &inbound.said {
            Said::Message { addressed: false, text } if incident.is_none() || !asks(text) => {
                Asked::Nothing
            }
            Said::Message { text, .. } if text.trim().is_empty() => Asked::Other,
            Said::Message { text, .. } => Asked::Question(said(text, MOST_QUESTION), incident),
            Said::Command { text } => match super::asked::question(text) {
                Some(question) => Asked::Question(said(&question, MOST_QUESTION), incident),
                None => Asked::Other,
            },
            Said::Click { .. } | Said::Submit { .. } => Asked::Other,
        })
    }

    /// The incident in whose thread it was said.
    async fn incident_of(&self, inbound: &Inbound) -> Result<Option<IncidentId>, Fault> {
        let (platform, channel) = (inbound.platform.clone(), inbound.channel.clone());
        let thread = inbound.thread.clone();
        let read = move |r: &Rows<'_>| match thread {
            Some(thread) => Ok(match thread_of(r, &platform, &channel, &thread)? {
                None => room_of(r, &platform, &channel)?,
                found => found,
            }),
            None => room_of(r, &platform, &channel),
        };
        self.desk().store.read(read).await
    }

    /// Handles one thing that was said and is due.
    ///
    /// # Errors
    /// We failed; it stays due.
    pub(super) async fn handle(&self, inbound: &Inbound, asked: Asked) -> Result<(), Fault> {
        match (asked, &inbound.said) {
            (Asked::Nothing, _) => self.forget(&inbound.key).await,
            (Asked::Question(text, incident), _) => {
                let (progress, told) = mpsc::channel(DEPTH);
                let answer = self.answer(inbound, (text, incident), progress);
                let (answer, ()) = tokio::join!(answer, self.unfold(inbound, incident, told));
                answer.map(|_| ())
            }
            (Asked::Other, Said::Click { code }) => {
                self.deed(inbound, code, &BTreeMap::new()).await
            }
            (Asked::Other, Said::Submit { code, values }) => self.deed(inbound, code, values).await,
            (Asked::Other, Said::Command { text }) => self.command(inbound, text).await,
            (Asked::Other, Said::Message { .. }) => {
                self.whisper(inbound, Content::text(super::words::help())).await
            }
        }
    }

    /// Answers a question, and keeps the answer with its evidence in the transaction that marks
    /// the question as handled.
    ///
    /// # Errors
    /// The store failed; the question stays due.
    pub async fn answer(
        &self,
        inbound: &Inbound,
        (text, incident): (String, Option<IncidentId>),
        progress: mpsc::Sender<Progress>,
    ) -> Result<Answer, Fault> {
        let question = Question { text, actor: inbound.actor.clone(), incident, now: inbound.at };
        let answer = self.assistant.ask(question, progress).await?;
        let post = self.reply(inbound, Content::text(""), incident);
        let shown = Answer { text: format!("{}{}", asked(inbound), answer.text), ..answer.clone() };
        let parts = Parts::of(&shown, self.room(inbound), post);
        let (key, kept) = (inbound.key.clone(), answer.clone());
        let write = move |tx: &Tx<'_>| {
            let due = heard::finish(tx, &key)?;
            if due {
                keep_evidence(tx, &kept)?;
                parts.want(tx)?;
            }
            Ok(due)
        };
        if self.desk().store.write(write).await? {
            metrics::counter!("nightjar_command_answered_total").increment(1);
            self.desk().bus.publish(Event::Outbox);
        }
        Ok(answer)
    }

    /// Does what a button or form asks for.
    async fn deed(
        &self,
        inbound: &Inbound,
        code: &str,
        values: &BTreeMap<String, String>,
    ) -> Result<(), Fault> {
        match self.perform(inbound, code, values).await {
            Ok(done) => self.tell(inbound, done).await,
            Err(Problem::Refused(refused)) => self.refuse(inbound, &refused).await,
            Err(Problem::Fault(fault)) => Err(fault),
        }
    }

    /// Does what a button or form asks for; what was said is marked as handled with it.
    pub(super) async fn perform(
        &self,
        inbound: &Inbound,
        code: &str,
        values: &BTreeMap<String, String>,
    ) -> Result<Done, Problem> {
        let wish = self.counter.wish(code, values).await?.map_err(|faults| {
            let words: Vec<String> = faults.into_values().collect();
            Refused::Invalid(words.join(" "))
        })?;
        let desk = self.desk().handling(&inbound.key);
        let done = carry_out(&desk, &inbound.actor, wish).await?;
        metrics::counter!("nightjar_command_done_total").increment(1);
        Ok(done)
    }

    /// Says what came of a deed: to its thread what its timeline does not tell, to the person the
    /// rest, which may get lost.
    pub(super) async fn tell(&self, inbound: &Inbound, done: Done) -> Result<(), Fault> {
        if !done.tell {
            self.finish(&inbound.key).await?;
            let Some(chat) = self.chat(&inbound.platform) else { return Ok(()) };
            let content = done.card.map_or_else(|| Content::text(done.words), Content::card);
            if let Err(fault) = chat.ephemeral(inbound.address(), content).await {
                tracing::debug!(error = fault.chain(), "a confirmation was not shown");
            }
            return Ok(());
        }
        let content = done.card.map_or_else(|| Content::text(done.words), Content::card);
        self.post(inbound, content, done.incident).await
    }

    /// Posts an answer where it was asked, in the transaction that marks it as handled.
    async fn post(
        &self,
        inbound: &Inbound,
        content: Content,
        incident: Option<IncidentId>,
    ) -> Result<(), Fault> {
        let (post, key) = (self.reply(inbound, content, incident), inbound.key.clone());
        // What was clicked may be seen by one person only, or stand on a page of their own: what
        // everybody is to know of an incident goes to its own thread.
        let clicked = matches!(inbound.said, Said::Click { .. } | Said::Submit { .. });
        let home = incident.filter(|_| clicked).map(|id| format!("{id}/card"));
        self.desk()
            .store
            .write(move |tx| {
                heard::finish(tx, &key)?;
                let card = match &home {
                    Some(key) => tx.get::<Post>(Post::row(&post.platform, key))?,
                    None => None,
                };
                match (card, home) {
                    (Some(card), Some(key)) => {
                        Post { channel: card.channel, within: Within::Post(key), ..post }.want(tx)
                    }
                    _ => post.want(tx),
                }
            })
            .await?;
        self.desk().bus.publish(Event::Outbox);
        Ok(())
    }

    /// Tells a person why they can't have it; nobody else sees it.
    async fn refuse(&self, inbound: &Inbound, refused: &Refused) -> Result<(), Fault> {
        metrics::counter!("nightjar_command_refused_total").increment(1);
        self.whisper(inbound, Content::text(refused.to_string())).await
    }

    /// Says something to one person, and marks what they said as handled. Where their platform
    /// can't, or fails until our patience ends, it stands in the thread and names them.
    ///
    /// # Errors
    /// It may work later; what they said stays due.
    pub(super) async fn whisper(&self, inbound: &Inbound, content: Content) -> Result<(), Fault> {
        if !self.is_due(&inbound.key).await? {
            return Ok(());
        }
        let sent = match self.chat(&inbound.platform) {
            Some(chat) => chat.ephemeral(inbound.address(), content.clone()).await,
            None => Err(Fault::because(format!("{} is not connected", inbound.platform))),
        };
        let Err(fault) = sent else { return self.finish(&inbound.key).await.map(|_| ()) };
        // What one person is to see is not said in the open because of a pause or a hiccup.
        if fault.is_transient() && self.claims.n_failed(&inbound.key) + 1 < PATIENCE {
            return Err(fault);
        }
        tracing::info!(error = fault.chain(), "said in the open what one person was to see");
        metrics::counter!("nightjar_command_unwhispered_total").increment(1);
        let name = &inbound.actor.name;
        let named = match content {
            Content::Text { text } => Content::text(format!("{name}: {text}")),
            Content::Card { mut card } => {
                card.context = format!("For {name}");
                Content::card(card)
            }
            other => other,
        };
        self.post(inbound, named, None).await
    }

    /// Says that something can't be done for a reason of ours, and gives it up. Half an answer that
    /// stands gives way to it.
    ///
    /// # Errors
    /// The store failed; it stays due.
    pub(super) async fn give_up(&self, inbound: &Inbound, fault: &Fault) -> Result<(), Fault> {
        let reference = MessageId::random(wall_now()).short();
        tracing::error!(reference, error = fault.chain(), key = inbound.key, "given up");
        metrics::counter!("nightjar_command_given_up_total").increment(1);
        let text = format!("Internal error, reference {reference}; it was not done.");
        let half = self.reply(inbound, Content::text(&text), None);
        let (key, now) = (inbound.key.clone(), self.desk().clock.now());
        let replace = move |tx: &Tx<'_>| {
            if heard::state(tx, &key)? == Handled::Due {
                GivenUp::keep(tx, now, &reference)?;
            }
            if tx.get::<Post>(Post::row(&half.platform, &half.key))?.is_none() {
                return Ok(false);
            }
            let due = heard::finish(tx, &key)?;
            if due {
                take_back(tx, &half, 1)?;
                half.want(tx)?;
            }
            Ok(due)
        };
        if self.desk().store.write(replace).await? {
            self.desk().bus.publish(Event::Outbox);
        }
        // Nothing is said twice: what was replaced is no longer due.
        self.whisper(inbound, Content::text(text)).await
    }

    /// Whether something that was said still waits.
    pub(super) async fn is_due(&self, key: &str) -> Result<bool, Fault> {
        let key = key.to_owned();
        self.desk().store.read(move |r| Ok(heard::state(r, &key)? == Handled::Due)).await
    }

    /// Marks something as handled; `true` where it was due.
    pub(super) async fn finish(&self, key: &str) -> Result<bool, Fault> {
        let key = key.to_owned();
        self.desk().store.write(move |tx| heard::finish(tx, &key)).await
    }

    /// Marks something as handled and keeps none of its words: it was nobody's business here.
    pub(super) async fn forget(&self, key: &str) -> Result<(), Fault> {
        let key = key.to_owned();
        self.desk().store.write(move |tx| heard::forget(tx, &key)).await.map(|_| ())
    }

    /// The key of the answer to something that was said: it names the message for good.
    #[must_use]
    pub fn answer_key(inbound: &Inbound) -> String {
        format!("answer:{}", inbound.key)
    }

    /// How much of an answer one message shows where something was said.
    pub(super) fn room(&self, inbound: &Inbound) -> usize {
        self.chat(&inbound.platform).map_or(LEAST_ROOM, |chat| chat.limits().answer)
    }

    pub(super) fn reply(
        &self,
        inbound: &Inbound,
        content: Content,
        incident: Option<IncidentId>,
    ) -> Post {
        let within = match (&inbound.thread, &inbound.message, &inbound.said) {
            (Some(root), ..) => Within::Message(root.clone()),
            (None, Some(own), Said::Message { .. }) => Within::Message(own.clone()),
            _ => Within::Channel,
        };
        let place = (inbound.platform.as_str(), inbound.channel.as_str());
        let post =
            Post::new(Self::answer_key(inbound), place, within, content, self.desk().clock.now());
        let asker = Some(inbound.actor.id.clone());
        Post { urgency: Urgency::Answer, incident, asker, ..post }
    }

    /// Shows, where the platform can, that something is being worked on, or no more.
    ///
    /// # Errors
    /// It may work later.
    pub(super) async fn sign(&self, inbound: &Inbound, on: bool) -> Result<(), Fault> {
        let Some(chat) = self.chat(&inbound.platform) else { return Ok(()) };
        let Some(message) = inbound.message.clone() else { return Ok(()) };
        chat.working(inbound.address(), message, on).await
    }
}

/// The beginning of an answer: the question, where no message shows it to those who read along.
pub(super) fn asked(inbound: &Inbound) -> String {
    let Said::Command { text } = &inbound.said else { return String::new() };
    let question = super::asked::question(text).map(|q| said(&q, MOST_SHOWN));
    let question = question.unwrap_or_default().replace('\n', " ");
    format!("{} asked: {question}\n\n", inbound.actor.name)
}

/// What something that was said asks of us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing: people talk to each other.
    Nothing,
    /// A question for the assistant, in the thread of an incident or elsewhere.
    Question(String, Option<IncidentId>),
    /// Anything else: it is done at once.
    Other,
}

/// Words with which people begin a question or a wish for an answer.
const ASKING: &str = " are can compare could did do does explain has have help how is list may show                       should status summarise summarize tell was were what whats when where which                       who whom whose why will would ";

/// Whether words in a thread that name nobody ask something: people also talk to each other there.
fn asks(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    // Said to somebody else.
    if text.starts_with(['@', '<']) {
        return false;
    }
    let first: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '\'').collect();
    let first = first.replace('\'', "");
    text.contains('?') || (!first.is_empty() && ASKING.contains(&format!(" {first} ")))
}

/// The incident whose own channel this is.
pub(super) fn room_of(
    rows: &Rows<'_>,
    platform: &str,
    channel: &str,
) -> Result<Option<IncidentId>, Fault> {
    if channel.is_empty() {
        return Ok(None);
    }
    let subject = Filter::subject(channel).newest(1);
    let found = rows.list::<Room>(&Filter { parent: Some(platform.to_owned()), ..subject })?;
    Ok(found.first().map(|room| room.incident))
}

/// The incident whose thread hangs on a message.
pub(super) fn thread_of(
    rows: &Rows<'_>,
    platform: &str,
    channel: &str,
    thread: &str,
) -> Result<Option<IncidentId>, Fault> {
    let subject = Filter::subject(format!("{channel}/{thread}")).newest(1);
    let posts = rows.list::<Post>(&Filter { parent: Some(platform.to_owned()), ..subject })?;
    if let Some(incident) = posts.into_iter().find_map(|post| post.incident) {
        return Ok(Some(incident));
    }
    // The console's own messages know their incident.
    let own = platform == "console";
    let message = if own { rows.get::<Message>(thread)? } else { None };
    Ok(message.and_then(|m| m.incident))
}
