//! Questions: one JSON answer, or its making as server-sent events (`progress`, then `answer` or
//! `failure`).

use std::convert::Infallible;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;

use super::{State, VIEWER, thread};
use crate::assist::{Answer, Progress, Question};
use crate::model::{Fault, Incident, IncidentId, MessageId};
use crate::web::Failure;
use crate::web::auth::Caller;
use crate::web::extract::{Body, found};
use crate::web::table::Route;

/// Progress that may wait for a slow reader.
const DEPTH: usize = 64;

pub(super) fn routes() -> Vec<Route> {
    let words = "With Accept: text/event-stream the making is streamed: events `progress`, then \
                 `answer` or `failure`.";
    vec![
        Route::post("/api/v1/ask", VIEWER, "Answers a question from what is stored", ask)
            .takes::<Asked>()
            .gives::<Answered>()
            .gives_other("text/event-stream", words)
            .fails(&[404, 422]),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The question.
    question: String,
    /// The incident that "this" means; question and answer are then kept in its thread.
    #[serde(default)]
    incident: Option<IncidentId>,
}

/// An answer, and where it is kept.
#[derive(Serialize, ToSchema)]
struct Answered {
    #[serde(flatten)]
    answer: Answer,
    /// The messages of the incident's thread that keep the question and the answer.
    messages: Vec<MessageId>,
}

async fn ask(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Body(asked): Body<Asked>,
) -> Result<Response, Failure> {
    let text = thread::question(&asked.question)?;
    if let Some(id) = asked.incident {
        found(state.shared.store.read(move |r| r.get::<Incident>(id)).await?, "incident")?;
    }
    let now = state.shared.clock.now();
    let question = Question { text, actor, incident: asked.incident, now };
    let (progress, heard) = mpsc::channel(DEPTH);
    let making = making(state, question, progress)?;
    let accepts = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    if !accepts.is_some_and(|kinds| kinds.contains("text/event-stream")) {
        return Ok(Json(making.await?).into_response());
    }
    let steps = stream::unfold(heard, |mut heard| async move {
        let step: Progress = heard.recv().await?;
        Some((event("progress", &step), heard))
    });
    let end = stream::once(async move {
        match making.await {
            Ok(answered) => event("answer", &answered),
            Err(failure) => event("failure", &failure.body()),
        }
    });
    // Both are polled; the steps end when the assistant lets go of its sender, and what was said
    // last is the answer.
    let whole = stream::select(steps, end).map(Ok::<_, Infallible>);
    Ok(Sse::new(whole).keep_alive(KeepAlive::new()).into_response())
}

/// The answer in the making. One that belongs into a thread is made to its end, also when whoever
/// asked goes away; any other ends with its reader.
fn making(
    state: State,
    question: Question,
    progress: mpsc::Sender<Progress>,
) -> Result<BoxFuture<'static, Result<Answered, Failure>>, Failure> {
    let turn = state.may_ask()?;
    let (tasks, in_thread) = (state.shared.tasks.clone(), question.incident.is_some());
    let making = async move {
        let answered = answer(state, question, progress).await;
        drop(turn);
        answered
    };
    if !in_thread {
        return Ok(making.boxed());
    }
    let (done, answered) = oneshot::channel();
    tasks.once(async move {
        // The answer stands in the thread even where nobody waits for it here.
        let _ = done.send(making.await);
    });
    let ended = || Fault::because("the answer in the making was lost");
    Ok(async move { answered.await.unwrap_or_else(|_| Err(ended().into())) }.boxed())
}

async fn answer(
    state: State,
    question: Question,
    progress: mpsc::Sender<Progress>,
) -> Result<Answered, Failure> {
    let (incident, actor) = (question.incident, question.actor.clone());
    let said = match incident {
        Some(id) => Some(thread::keep_question(&state, &actor, id, (&question.text, "")).await?),
        None => None,
    };
    let answer = state.shared.assistant.ask(question, progress).await?;
    let mut messages = Vec::new();
    if let (Some(id), Some(said)) = (incident, &said) {
        let place = thread::keep_answer(&state, id, said, &answer).await?;
        messages.push(said.id);
        messages.extend(place.message.parse::<MessageId>());
    } else {
        thread::keep_evidence(&state, &answer).await?;
    }
    Ok(Answered { answer, messages })
}

fn event<T: Serialize>(name: &str, value: &T) -> Sent {
    Sent::default().event(name).data(serde_json::to_string(value).unwrap_or_default())
}
