//! What chat platforms did not get yet, and how each platform stands.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, MOST, State, USUAL, VIEWER};
use crate::chat::outbox::{Standing, Unsent};
use crate::chat::{Content, Health, Post, PostState, Urgency};
use crate::model::{Fault, IncidentId, Time};
use crate::store::{Filter, Rows};
use crate::web::extract::Params;
use crate::web::table::Route;

/// Failures in a row after which a platform counts as down, whatever its connection says.
const DOWN: u32 = 3;
/// Characters of a post that are shown.
const SHOWN: usize = 200;

pub(super) fn routes() -> Vec<Route> {
    const WHAT: &str = "What chat platforms did not get yet, and why";
    vec![Route::get("/api/v1/outbox", VIEWER, WHAT, list).query::<Which>().gives::<Outbox>()]
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only of this platform.
    platform: Option<String>,
    /// At most so many of each state and platform, up to 1,000.
    limit: Option<usize>,
}

/// How each platform stands, and what it did not get yet.
#[derive(Serialize, ToSchema)]
struct Outbox {
    platforms: Vec<ChatStanding>,
    /// Refused ones first, then what is tried again, what waits for its thread, what is due.
    posts: Vec<Waits>,
}

/// How one chat platform stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::web) struct ChatStanding {
    /// Its name: `console`, `slack`, `discord:NAME`.
    pub(in crate::web) platform: String,
    /// Whether messages get through.
    pub(in crate::web) up: bool,
    /// Why not, where they do not.
    pub(in crate::web) why: Option<String>,
    /// Messages and edits that it is to get.
    pub(in crate::web) n_due: u64,
    /// Messages that it refuses.
    pub(in crate::web) n_refused: u64,
    /// Since when the oldest of those that it is to get waits (event time).
    pub(in crate::web) oldest_due_at: Option<Time>,
    /// When it last took something (event time).
    sent_at: Option<Time>,
    /// When a try last failed (event time).
    failed_at: Option<Time>,
    /// Why.
    error: Option<String>,
}

/// One post that its platform lacks.
#[derive(Serialize, ToSchema)]
struct Waits {
    platform: String,
    channel: String,
    /// Names it for good on its platform.
    key: String,
    state: PostState,
    urgency: Urgency,
    /// What it says, shortened; empty where it is for one person.
    text: String,
    incident: Option<IncidentId>,
    /// Whether it stands already in an older form.
    stands: bool,
    /// Since when the platform lacks it (event time).
    since: Time,
    /// Tries in its newest form.
    n_tries: u32,
    /// Why it is not there.
    reason: String,
}

async fn list(Shared(state): Shared<State>, Params(which): Params<Which>) -> Answer<Outbox> {
    let platforms = platforms(&state).await?;
    let limit = which.limit.unwrap_or(USUAL).clamp(1, MOST);
    let names: Vec<String> = platforms
        .iter()
        .map(|p| p.platform.clone())
        .filter(|name| which.platform.as_ref().is_none_or(|wanted| wanted == name))
        .collect();
    let read = state.shared.store.read(move |r| {
        let mut all = Unsent::default();
        for name in &names {
            let more = Unsent::of(r, name, limit)?;
            all.refused.extend(more.refused);
            all.trying.extend(more.trying);
            all.waiting.extend(more.waiting);
            all.due.extend(more.due);
        }
        Ok([all.refused, all.trying, all.waiting, all.due].concat())
    });
    let posts = read.await?.into_iter().map(Waits::of).collect();
    Ok(Json(Outbox { platforms, posts }))
}

/// How each platform stands, the console first.
pub(in crate::web) async fn platforms(state: &State) -> Result<Vec<ChatStanding>, Fault> {
    let chats: Vec<_> =
        state.shared.chats.iter().map(|chat| (chat.platform().to_owned(), chat.health())).collect();
    let read = move |r: &Rows<'_>| {
        chats.into_iter().map(|(name, health)| ChatStanding::of(r, name, health)).collect()
    };
    state.shared.store.read(read).await
}

/// What each platform refused for good since a time, in a sentence each, for the readiness.
pub(in crate::web) async fn refused(state: &State, since: Time) -> Result<Vec<String>, Fault> {
    let chats: Vec<String> =
        state.shared.chats.iter().map(|chat| chat.platform().to_owned()).collect();
    let read = move |r: &Rows<'_>| {
        let mut told = Vec::new();
        for name in chats {
            let refused = Filter::states([PostState::Refused.as_str()]).since(since);
            let refused = Filter { parent: Some(name.clone()), ..refused };
            let n = r.count::<Post>(&refused)?;
            let Some(newest) = r.list::<Post>(&refused.newest(1))?.pop() else { continue };
            let messages = if n == 1 { "a message".into() } else { format!("{n} messages") };
            let why = newest.error.unwrap_or_else(|| "it gave no reason".into());
            told.push(format!("{name} refuses {messages} for good: {why}"));
        }
        Ok(told)
    };
    state.shared.store.read(read).await
}

impl ChatStanding {
    fn of(rows: &Rows<'_>, platform: String, health: Health) -> Result<Self, Fault> {
        let standing = Standing::of(rows, &platform)?;
        let ledger = standing.ledger;
        let n_due = standing.n_due + standing.n_trying + standing.n_waiting;
        let why = match health {
            Health::Down { why } => Some(why),
            Health::Up => ledger.error.clone().filter(|_| ledger.n_failed >= DOWN && n_due > 0),
        };
        Ok(Self {
            platform,
            up: why.is_none(),
            why,
            n_due,
            n_refused: standing.n_refused,
            oldest_due_at: standing.oldest,
            sent_at: ledger.sent_at,
            failed_at: ledger.failed_at,
            error: ledger.error,
        })
    }

    /// What is wrong with it in a sentence, for the readiness; `None` where nothing is.
    pub(in crate::web) fn trouble(&self) -> Option<String> {
        let why = self.why.as_ref()?;
        let waits = match self.n_due {
            0 => String::new(),
            1 => "; 1 message waits".to_owned(),
            n => format!("; {n} messages wait"),
        };
        Some(format!("{} does not take messages: {why}{waits}", self.platform))
    }
}

impl Waits {
    fn of(post: Post) -> Self {
        let reason = match (&post.state, post.error) {
            (_, Some(error)) => error,
            (PostState::Waiting, None) if post.after.is_some() => {
                "the message that it goes on from is not there".into()
            }
            (PostState::Waiting, None) => {
                "the message that its thread hangs on is not there".into()
            }
            (PostState::Trying, None) => "it is being sent".into(),
            (PostState::Due | PostState::Sent | PostState::Refused, None) => "it is in line".into(),
        };
        // What is not about an incident may be an answer for one person.
        let text = match &post.content {
            _ if post.incident.is_none() => String::new(),
            Content::Text { text } => text.chars().take(SHOWN).collect(),
            Content::Card { card } => card.fallback.chars().take(SHOWN).collect(),
            Content::Form { form } => form.title.clone(),
            Content::File { name, .. } => name.clone(),
        };
        Self {
            platform: post.platform,
            channel: post.channel,
            key: post.key,
            state: post.state,
            urgency: post.urgency,
            text,
            incident: post.incident,
            stands: post.place.is_some(),
            since: post.due_at,
            n_tries: post.n_tries,
            reason,
        }
    }
}
