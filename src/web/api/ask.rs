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
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use utoipa::ToSchema;

use super::{State, VIEWER, thread};
use crate::assist::{Answer, Progress, Question};
use crate::chat::console::message_id;
use crate::command::{Clerk, keep_evidence};
use crate::model::{Actor, Fault, IncidentId, MessageId};
use crate::web::Failure;
use crate::web::auth::Caller;
use crate::web::extract::Body;
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
    let turn = state.may_ask()?;
    let (progress, heard) = mpsc::channel(DEPTH);
    let making = if let Some(id) = asked.incident {
        in_thread(&state, (&actor, id, text), (progress, turn)).await?
    } else {
        let now = state.shared.clock.now();
        let question = Question { text, actor, incident: None, now };
        alone(state, question, (progress, turn))
    };
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

/// An answer in the making, and the right to have it made.
type Making = BoxFuture<'static, Result<Answered, Failure>>;
type Turn = (mpsc::Sender<Progress>, OwnedSemaphorePermit);

/// An answer that belongs into a thread: the question is kept before it is asked, and the answer is
/// made to its end, also when whoever asked goes away, or the process dies.
async fn in_thread(
    state: &State,
    (actor, id, text): (&Actor, IncidentId, String),
    (progress, turn): Turn,
) -> Result<Making, Failure> {
    let said = thread::keep_words(state, actor, id, (&text, "")).await?;
    let clerk = state.shared.clerk.clone();
    let inbound = clerk.question(&said, id, &text);
    let lost = || Failure::from(Fault::because("the answer in the making was lost"));
    let claim = clerk.claim(&inbound.key).ok_or_else(lost)?;
    clerk.counter().keep(inbound.clone()).await?;
    let (done, answered) = oneshot::channel();
    state.shared.tasks.once(async move {
        let answer = clerk.answer(&inbound, (text, Some(id)), progress).await;
        drop((claim, turn));
        let messages = vec![said.id, message_id(&Clerk::answer_key(&inbound))];
        // The answer stands in the thread even where nobody waits for it here.
        let _ = done.send(answer.map(|answer| Answered { answer, messages }));
    });
    let made = async move {
        match answered.await {
            Ok(made) => Ok(made?),
            Err(_) => Err(lost()),
        }
    };
    Ok(made.boxed())
}

/// An answer for whoever waits for it, and for nobody else.
fn alone(state: State, question: Question, (progress, turn): Turn) -> Making {
    async move {
        let answer = state.shared.assistant.ask(question, progress).await?;
        let cited = answer.clone();
        state.shared.store.write(move |tx| keep_evidence(tx, &cited)).await?;
        drop(turn);
        Ok(Answered { answer, messages: Vec::new() })
    }
    .boxed()
}

fn event<T: Serialize>(name: &str, value: &T) -> Sent {
    Sent::default().event(name).data(serde_json::to_string(value).unwrap_or_default())
}
