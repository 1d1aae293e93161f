//! An incident's thread in the console: its card, what people asked, and what was answered.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, State, VIEWER};
use crate::assist::{self, Question};
use crate::chat::console::{DEFAULT_CHANNEL, message_id};
use crate::chat::{Block, Card, Chat as _, Content, Draft, Item, Mark, Message, Place};
use crate::model::{Actor, Fault, Incident, IncidentId, MessageId, Refused};
use crate::store::{Filter, Rows};
use crate::web::Failure;
use crate::web::auth::Caller;
use crate::web::extract::{Body, Id, found};
use crate::web::table::Route;

/// Messages of a thread that one answer carries, the newest ones.
const MOST_MESSAGES: usize = 500;
/// Longest message, in characters.
pub(super) const MOST_CHARS: usize = 2_000;

pub(super) fn routes() -> Vec<Route> {
    const PATH: &str = "/api/v1/incidents/{id}/messages";
    vec![
        Route::get(PATH, VIEWER, "The incident's card and thread", list).gives::<Messages>(),
        Route::post(PATH, VIEWER, "Asks in the thread; the answer comes as a message", say)
            .takes::<Said>()
            .gives::<Message>()
            .fails(&[422]),
    ]
}

/// The message that an incident's thread hangs on; the notify stage posts it under this key.
pub(super) fn root(incident: IncidentId) -> MessageId {
    message_id(&format!("{incident}/card"))
}

/// The card and the newest of the thread, as far as a person may see them.
pub(super) fn messages(
    rows: &Rows<'_>,
    incident: IncidentId,
    actor: &Actor,
) -> Result<Vec<Message>, Fault> {
    let root = root(incident);
    let mut all: Vec<Message> = rows.get::<Message>(root)?.into_iter().collect();
    all.extend(rows.list::<Message>(&Filter::subject(root).newest(MOST_MESSAGES))?);
    all.retain(|m| m.visible_to(actor));
    // A question and its answer may fall on the same millisecond.
    all.sort_by_key(|m| (m.thread.is_some(), m.at, m.author.is_bot()));
    Ok(all)
}

/// Messages in order of time.
#[derive(Serialize, ToSchema)]
struct Messages {
    messages: Vec<Message>,
}

async fn list(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<IncidentId>,
) -> Answer<Messages> {
    let read = state.shared.store.read(move |r| {
        let Some(_) = r.get::<Incident>(id)? else { return Ok(None) };
        messages(r, id, &actor).map(Some)
    });
    found(read.await?, "incident").map(|messages| Json(Messages { messages }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Said {
    /// The words.
    text: String,
    /// Chosen by the sender: the same key writes one message.
    #[serde(default)]
    key: String,
}

/// The words of a question, trimmed and without secrets.
pub(super) fn question(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MOST_CHARS {
        let words = format!("Write something, in at most {MOST_CHARS} characters.");
        return Err(Refused::Invalid(words).into());
    }
    Ok(crate::command::said(text, MOST_CHARS))
}

async fn say(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(id): Id<IncidentId>,
    Body(given): Body<Said>,
) -> Answer<Message> {
    let text = question(&given.text)?;
    let turn = state.may_ask()?;
    found(state.shared.store.read(move |r| r.get::<Incident>(id)).await?, "incident")?;
    let said = keep_question(&state, &actor, id, (&text, &given.key)).await?;
    let asked = Question { text, actor, incident: Some(id), now: state.shared.clock.now() };
    let (inner, message) = (state.clone(), said.clone());
    state.shared.tasks.once(async move {
        let (progress, _nobody) = tokio::sync::mpsc::channel(1);
        let kept = match inner.shared.assistant.ask(asked, progress).await {
            Ok(answer) => keep_answer(&inner, id, &message, &answer).await.map(|_| ()),
            Err(fault) => {
                tracing::error!(error = fault.chain(), "the assistant failed");
                let text = "The question could not be answered: the store can't be read.";
                reply(&inner, id, &message, Content::text(text)).await.map(|_| ())
            }
        };
        if let Err(fault) = kept {
            tracing::error!(error = fault.chain(), "an answer was not kept");
        }
        drop(turn);
    });
    Ok(Json(said))
}

/// Writes a question into the thread; without a key, each is one of its own.
pub(super) async fn keep_question(
    state: &State,
    actor: &Actor,
    incident: IncidentId,
    (text, key): (&str, &str),
) -> Result<Message, Fault> {
    let own = MessageId::random(state.shared.clock.now()).to_string();
    let key = if key.is_empty() { &own } else { key };
    let thread = Some(root(incident));
    let console = &state.shared.console;
    console.say(actor, DEFAULT_CHANNEL, thread, text, &format!("{incident}:{key}")).await
}

/// Writes an answer beneath its question, and keeps the evidence that it cites.
pub(super) async fn keep_answer(
    state: &State,
    incident: IncidentId,
    said: &Message,
    answer: &assist::Answer,
) -> Result<Place, Fault> {
    keep_evidence(state, answer).await?;
    reply(state, incident, said, Content::card(card(answer))).await
}

async fn reply(
    state: &State,
    incident: IncidentId,
    said: &Message,
    content: Content,
) -> Result<Place, Fault> {
    let place = Place {
        platform: "console".into(),
        channel: said.channel.clone(),
        message: root(incident).to_string(),
    };
    let draft = Draft::new(format!("answer:{}", said.id), place.channel.clone(), content);
    let draft = Draft { thread: Some(place), incident: Some(incident), ..draft };
    state.shared.console.post(draft).await
}

/// Keeps the evidence that an answer cites, so that its links open later too.
pub(super) async fn keep_evidence(state: &State, answer: &assist::Answer) -> Result<(), Fault> {
    let cited: Vec<_> = answer.citations.iter().map(|c| c.evidence.clone()).collect();
    if cited.is_empty() {
        return Ok(());
    }
    let write =
        move |tx: &crate::store::Tx<'_>| cited.iter().try_for_each(|e| tx.put_new(e).map(|_| ()));
    state.shared.store.write(write).await
}

/// An answer as a card. The n-th piece of evidence is what `[n]` points to, so citations that were
/// cut close up.
fn card(answer: &assist::Answer) -> Card {
    let mut text = answer.text.clone();
    let mut cited: Vec<_> = answer.citations.iter().collect();
    cited.sort_by_key(|c| c.n);
    for (place, citation) in (1..).zip(&cited) {
        text = text.replace(&format!("[{}]", citation.n), &format!("[{place}]"));
    }
    let evidence = cited.iter().map(|c| c.evidence.id).collect();
    let mut blocks = vec![Block::Text { heading: None, text, evidence }];
    if !answer.gaps.is_empty() {
        let items = answer.gaps.iter().map(|g| Item::plain(format!("{}: {}", g.what, g.why)));
        let heading = Some("What could not be read".into());
        blocks.push(Block::List { heading, items: items.collect() });
    }
    Card {
        mark: Mark::Plain,
        title: String::new(),
        context: String::new(),
        blocks,
        buttons: Vec::new(),
        footer: answer.notes.join(" "),
        fallback: answer.text.chars().take(200).collect(),
    }
}
