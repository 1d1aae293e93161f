//! An incident's thread in the console: its card, what people asked, and what was answered.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, State, VIEWER};
use crate::chat::Message;
use crate::command::channel_of;
pub(super) use crate::command::root;
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
    let said = keep_words(&state, &actor, id, (&text, &given.key)).await?;
    let clerk = &state.shared.clerk;
    clerk.counter().keep(clerk.question(&said, id, &text)).await?;
    Ok(Json(said))
}

/// Writes a person's words into the thread of an incident; without a key, each are their own.
///
/// # Errors
/// There is no such incident, or the store failed.
pub(super) async fn keep_words(
    state: &State,
    actor: &Actor,
    incident: IncidentId,
    (text, key): (&str, &str),
) -> Result<Message, Failure> {
    let read = state.shared.store.read(move |r| {
        let there = r.get::<Incident>(incident)?.is_some();
        there.then(|| channel_of(r, incident)).transpose()
    });
    let channel = found(read.await?, "incident")?;
    let own = MessageId::random(state.shared.clock.now()).to_string();
    let key = if key.is_empty() { &own } else { key };
    let (thread, key) = (Some(root(incident)), format!("{incident}:{key}"));
    Ok(state.shared.console.say(actor, &channel, thread, text, &key).await?)
}
