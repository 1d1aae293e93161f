//! One try to bring one post to its platform: marked before, kept after, whatever happens between.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::lanes::{Ended, Ticket};
use crate::chat::outbox::Attempt;
use crate::chat::{Chat, Content, Draft, File, Place};
use crate::model::{Fault, SharedClock, wall_now};
use crate::store::Store;

/// How long a platform may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Makes one try; says how it ended and when the platform was called. Dropped at any point, it leaves a post that is tried again: before the mark as if
/// nothing had been, after it as one that the platform may have.
///
/// # Errors
/// The store failed; the post is then as if this future had been dropped.
pub(super) async fn fly(
    chat: Arc<dyn Chat>,
    store: Store,
    clock: SharedClock,
    ticket: &Ticket,
) -> Result<(Ended, Instant), Fault> {
    let row = ticket.row.clone();
    let Some(attempt) = store.write(move |tx| Attempt::begin(tx, &row, wall_now())).await? else {
        return Ok((Ended::Nothing, Instant::now()));
    };
    let called = Instant::now();
    let call = tokio::time::timeout(PATIENCE, call(chat.as_ref(), &attempt));
    let answer = call.await.unwrap_or_else(|_| {
        let text = format!("no answer from the platform within {} s", PATIENCE.as_secs());
        Err(Fault::Transient { context: text, after: None, source: None })
    });
    let (platform, now) = (chat.platform().to_owned(), clock.now());
    let ended = match &answer {
        Ok(_) => Ended::Sent,
        Err(Fault::Transient { after: Some(after), .. }) => Ended::Paused(*after),
        Err(Fault::Transient { .. }) => Ended::Failed,
        Err(Fault::Permanent { .. }) => Ended::Refused,
    };
    if let Err(fault) = &answer {
        tracing::warn!(
            platform,
            post = attempt.post.key,
            channel = attempt.post.channel,
            n_tries = attempt.post.n_tries,
            error = fault.chain(),
            "a post was not sent"
        );
    }
    let due_at = attempt.post.due_at;
    store
        .write(move |tx| match answer {
            Ok(place) => attempt.stood(tx, place, now).map(|_| ()),
            Err(fault) => attempt.failed(tx, &fault, now),
        })
        .await?;
    count(&platform, ended, ticket);
    if ended == Ended::Sent {
        // Since the platform lacked its newest content.
        let seconds = now.ms_since(due_at).max(0) as f64 / 1_000.0;
        let labels = [("platform", platform), ("urgency", ticket.urgency.as_str().to_owned())];
        metrics::histogram!("nightjar_notify_latency_seconds", &labels).record(seconds);
    }
    Ok((ended, called))
}

async fn call(chat: &dyn Chat, attempt: &Attempt) -> Result<Place, Fault> {
    let post = &attempt.post;
    let (thread, doubtful) = (attempt.thread.clone(), attempt.doubtful);
    let tried_at = post.tried_at;
    let (key, channel, place) = (post.key.clone(), post.channel.clone(), post.place.clone());
    let Content::File { name, media_type, alt, .. } = &post.content else {
        let draft = Draft {
            thread,
            incident: post.incident,
            place,
            doubtful,
            tried_at,
            broadcast: post.broadcast,
            reader: post.reader.clone(),
            asker: post.asker.clone(),
            ..Draft::new(key, channel, post.content.clone())
        };
        return chat.post(draft).await;
    };
    let Some(stored) = &attempt.file else {
        return Err(Fault::because(format!("the bytes of {name} are not kept any more")));
    };
    let bytes = stored.bytes()?;
    let (name, media_type, alt) = (name.clone(), media_type.clone(), alt.clone());
    let file =
        File { key, channel, thread, name, media_type, alt, bytes, place, doubtful, tried_at };
    chat.upload(file).await
}

fn count(platform: &str, ended: Ended, ticket: &Ticket) {
    let name = match ended {
        Ended::Sent if ticket.edits => "nightjar_notify_edits_total",
        Ended::Sent => "nightjar_notify_sends_total",
        Ended::Refused => "nightjar_notify_refused_total",
        Ended::Paused(_) => "nightjar_notify_paused_total",
        Ended::Failed => "nightjar_notify_retries_total",
        Ended::Nothing => return,
    };
    metrics::counter!(name, "platform" => platform.to_owned()).increment(1);
}
