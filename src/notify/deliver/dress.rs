//! Which cards are still to be marked as the one to find, or no more, and when: beside the lanes,
//! because it is looks and holds up no message.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::flight::PATIENCE;
use super::lanes::doubled;
use crate::chat::outbox::Attempt;
use crate::chat::{Chat, Post};
use crate::model::Fault;
use crate::store::Store;

/// Calls under way at once.
const CALLS: usize = 2;
/// How long a card rests after a failure, at first and at most.
const REST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));
/// Tries until it is given up: about half an hour.
const TRIES: u32 = 12;

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dressed {
    /// The card is marked as it should be.
    Done,
    /// It may pass, after this pause where one was asked for.
    Later(Option<Duration>),
    /// The platform refuses it.
    Refused,
}

/// One card.
#[derive(Clone, Debug)]
struct Due {
    at: Instant,
    n_failed: u32,
    is_busy: bool,
    /// It changed while a call was under way.
    again: bool,
}

/// The cards of one platform that are to be marked.
#[derive(Clone, Debug, Default)]
pub(super) struct Dressing {
    due: BTreeMap<String, Due>,
}

impl Dressing {
    /// The card with this row may have to be marked.
    pub(super) fn note(&mut self, row: &str, now: Instant) {
        let fresh = || Due { at: now, n_failed: 0, is_busy: false, again: false };
        let due = self.due.entry(row.to_owned()).or_insert_with(fresh);
        due.again = due.is_busy;
    }

    /// The cards whose turn it is; they count as under way.
    pub(super) fn begin(&mut self, now: Instant) -> Vec<String> {
        let n_busy = self.due.values().filter(|d| d.is_busy).count();
        let ready = self.due.iter_mut().filter(|(_, d)| !d.is_busy && d.at <= now);
        let begun = ready.take(CALLS.saturating_sub(n_busy)).map(|(row, due)| {
            due.is_busy = true;
            row.clone()
        });
        begun.collect()
    }

    /// When the next one's turn comes.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.values().filter(|d| !d.is_busy).map(|d| d.at).min()
    }

    /// A try has ended; says whether the card is given up.
    pub(super) fn ended(&mut self, row: &str, how: Dressed, now: Instant) -> bool {
        let Some(due) = self.due.get_mut(row) else { return false };
        due.is_busy = false;
        if std::mem::take(&mut due.again) {
            due.at = now;
            return false;
        }
        match how {
            Dressed::Later(after) if due.n_failed + 1 < TRIES => {
                due.n_failed += 1;
                due.at = now + after.unwrap_or(doubled(REST.0, due.n_failed, REST.1));
                false
            }
            Dressed::Done => self.due.remove(row).is_none(),
            Dressed::Later(_) | Dressed::Refused => self.due.remove(row).is_some(),
        }
    }
}

/// Marks a card as its newest content asks, where it is not so yet.
///
/// # Errors
/// The store failed.
pub(super) async fn dress(
    chat: Arc<dyn Chat>,
    store: Store,
    row: String,
) -> Result<Dressed, Fault> {
    let of = row.clone();
    let Some(post) = store.read(move |r| r.get::<Post>(of)).await? else {
        return Ok(Dressed::Done);
    };
    let (Some(on), Some(place)) = (post.dress(), post.place) else { return Ok(Dressed::Done) };
    match tokio::time::timeout(PATIENCE, chat.dress(place, on)).await {
        Ok(Ok(())) => {
            store.write(move |tx| Attempt::dressed(tx, &row, on)).await?;
            Ok(Dressed::Done)
        }
        Ok(Err(fault)) => {
            let (post, error) = (&post.key, fault.chain());
            tracing::info!(platform = chat.platform(), post, error, "a card was not marked");
            Ok(match fault {
                Fault::Transient { after, .. } => Dressed::Later(after),
                Fault::Permanent { .. } => Dressed::Refused,
            })
        }
        Err(_) => Ok(Dressed::Later(None)),
    }
}

/// Keeps that a card is not tried any more: one that should not be marked counts as unmarked, so
/// that nothing waits for it; one that should be is tried again when it changes.
///
/// # Errors
/// The store failed.
pub(super) async fn give_up(chat: &dyn Chat, store: &Store, row: String) -> Result<(), Fault> {
    let platform = chat.platform().to_owned();
    tracing::warn!(platform, post = row, "a card's mark was given up");
    metrics::counter!("nightjar_notify_marks_given_up_total", "platform" => platform).increment(1);
    store
        .write(move |tx| match tx.get::<Post>(&row)?.and_then(|post| post.dress()) {
            Some(false) => Attempt::dressed(tx, &row, false),
            Some(true) | None => Ok(()),
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_fails_is_tried_at_growing_intervals_and_given_up_in_the_end() {
        let (mut dressing, mut now) = (Dressing::default(), Instant::now());
        let began = now;
        dressing.note("card", now);
        for n in 1..=TRIES {
            assert_eq!(dressing.begin(now), ["card"]);
            assert_eq!(dressing.begin(now), [""; 0], "one call at once");
            assert_eq!(dressing.ended("card", Dressed::Later(None), now), n == TRIES);
            now = dressing.next().unwrap_or(now);
        }
        assert_eq!(dressing.next(), None);
        assert!(now - began > Duration::from_secs(900), "{:?}", now - began);
        // What changes meanwhile is looked at again.
        dressing.note("card", now);
        assert_eq!(dressing.begin(now), ["card"]);
        dressing.note("card", now);
        assert!(!dressing.ended("card", Dressed::Done, now));
        assert_eq!(dressing.begin(now), ["card"]);
        assert!(!dressing.ended("card", Dressed::Done, now));
        assert_eq!(dressing.next(), None);
    }
}
