//! Doorbells as server-sent events: ids only, the API holds the truth. A client that comes back
//! with `Last-Event-ID` hears what it missed, or that it missed too much and must read again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use tokio::sync::watch;
use utoipa::IntoParams;

use super::{State, VIEWER};
use crate::bus::{Bus, Event, Heard};
use crate::web::auth::Key;
use crate::web::extract::Params;
use crate::web::table::Route;

/// Events that are kept for clients that come back.
const KEPT: usize = 2_048;
/// A stream ends after this long; browsers come back.
const LONGEST: Duration = Duration::from_secs(1_800);
/// How often a stream looks whether its session or token still works.
const RECHECK: Duration = Duration::from_secs(3);
/// What a client that missed too much is told: read again what you show.
const LAGGED: &str = r#"{"event":"lagged"}"#;

pub(super) fn routes() -> Vec<Route> {
    let words = "Events with `id` and data `{\"event\", \"id\"}`; `{\"event\": \"lagged\"}` says \
                 that some are lost and everything must be read again.";
    vec![
        Route::get("/api/v1/events", VIEWER, "What changes, as server-sent events", events)
            .query::<Resume>()
            .gives_other("text/event-stream", words),
    ]
}

/// The newest events with their places. Cheap to clone.
#[derive(Clone)]
pub struct EventLog {
    // Guards the ring of events; held only to copy in and out.
    ring: Arc<Mutex<Ring>>,
    // The place after the newest event; `None` once the server ends.
    next: Arc<watch::Sender<Option<u64>>>,
    /// Tells this process's places from those of one before.
    epoch: i64,
}

struct Ring {
    next: u64,
    kept: VecDeque<String>,
}

impl EventLog {
    /// An empty log of a process that started at `epoch` (wall-clock milliseconds).
    #[must_use]
    pub fn new(epoch: i64) -> Self {
        let ring = Arc::new(Mutex::new(Ring { next: 1, kept: VecDeque::new() }));
        Self { ring, next: Arc::new(watch::Sender::new(Some(1))), epoch }
    }

    /// Writes down what the bus says until it falls silent for good.
    pub(in crate::web) async fn follow(&self, bus: &Bus) {
        let mut heard = bus.subscribe();
        loop {
            match heard.next().await {
                // The tick is news to nobody.
                Heard::Event(Event::Tick) => {}
                Heard::Event(event) => {
                    self.push(serde_json::to_string(&event).unwrap_or_else(|_| LAGGED.into()));
                }
                Heard::Lagged => self.push(LAGGED.into()),
                Heard::Closed => return self.close(),
            }
        }
    }

    /// Ends all streams.
    pub(in crate::web) fn close(&self) {
        self.next.send_replace(None);
    }

    fn push(&self, text: String) {
        let next = {
            let mut ring = self.ring.lock().expect("nothing panics under this lock");
            ring.kept.push_back(text);
            if ring.kept.len() > KEPT {
                ring.kept.pop_front();
            }
            ring.next += 1;
            ring.next
        };
        self.next.send_if_modified(|place| place.is_some() && place.replace(next) != Some(next));
    }

    /// Everything from a place on, and the place after; what was lost stands as one `lagged`.
    fn since(&self, place: u64) -> (Vec<(u64, String)>, u64) {
        let ring = self.ring.lock().expect("nothing panics under this lock");
        let oldest = ring.next - ring.kept.len() as u64;
        let mut found = Vec::new();
        if place < oldest {
            found.push((oldest - 1, LAGGED.to_owned()));
        }
        let skip = place.saturating_sub(oldest) as usize;
        found.extend((oldest.max(place)..).zip(ring.kept.iter().skip(skip).cloned()));
        (found, ring.next)
    }

    /// The place to go on from after an id; a foreign id gives one that has certainly been lost.
    fn after(&self, id: Option<&str>) -> u64 {
        let now = self.ring.lock().expect("nothing panics under this lock").next;
        let Some(id) = id else { return now };
        let known = id.split_once('-').and_then(|(epoch, place)| {
            (epoch == self.epoch.to_string()).then(|| place.parse::<u64>().ok()).flatten()
        });
        known.map_or(0, |place| place.saturating_add(1).min(now))
    }

    fn stream(&self, from: u64) -> impl Stream<Item = Sent> + use<> {
        let (log, news) = (self.clone(), self.next.subscribe());
        stream::unfold((log, news, from), |(log, mut news, place)| async move {
            loop {
                if news.borrow_and_update().is_none() {
                    return None;
                }
                let (found, next) = log.since(place);
                if !found.is_empty() {
                    let epoch = log.epoch;
                    let sent = found.into_iter().map(move |(place, text)| {
                        Sent::default().id(format!("{epoch}-{place}")).data(text)
                    });
                    return Some((stream::iter(sent), (log, news, next)));
                }
                news.changed().await.ok()?;
            }
        })
        .flatten()
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Resume {
    /// The same as the header `Last-Event-ID`, for clients that can't set it.
    last_event_id: Option<String>,
}

/// Returns when a stream has to end: its session or token no longer works, or it is old.
async fn over(state: State, key: Key) {
    let ended = async {
        loop {
            tokio::time::sleep(RECHECK).await;
            // What can't be looked up now is looked up at the next turn.
            if matches!(key.holder(&state).await, Ok(None)) {
                return;
            }
        }
    };
    tokio::time::timeout(LONGEST, ended).await.ok();
}

async fn events(
    Shared(state): Shared<State>,
    Params(resume): Params<Resume>,
    key: Key,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Sent, Infallible>>> {
    let header = headers.get("last-event-id").and_then(|v| v.to_str().ok());
    let log = &state.shared.events;
    let from = log.after(header.or(resume.last_event_id.as_deref()));
    let over = Box::pin(over(state.clone(), key));
    // A first comment lets the client know at once that it is heard.
    let hello = stream::once(async { Sent::default().comment("nightjar") });
    let whole = hello.chain(log.stream(from)).take_until(over).map(Ok);
    Sse::new(whole).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_comes_back_hears_what_it_missed_or_that_it_missed_too_much() {
        let log = EventLog::new(7);
        for i in 1..=3 {
            log.push(format!("e{i}"));
        }
        assert_eq!(log.after(None), 4, "a new client hears only what comes");
        assert_eq!(log.since(log.after(Some("7-1"))).0, [(2, "e2".into()), (3, "e3".into())]);
        assert_eq!(log.since(log.after(Some("7-3"))).0, []);
        assert_eq!(log.since(log.after(Some("7-99999"))).0, [], "a place that never was");
        let foreign = log.since(log.after(Some("6-2"))).0;
        assert_eq!(foreign.first(), Some(&(0, LAGGED.to_owned())));
        assert_eq!(foreign.len(), 4);
        for i in 4..=(KEPT as u64 + 10) {
            log.push(format!("e{i}"));
        }
        let late = log.since(log.after(Some("7-1"))).0;
        assert_eq!(late[0], (10, LAGGED.to_owned()));
        assert_eq!(late[1], (11, "e11".into()));
        assert_eq!(late.len(), KEPT + 1);
    }
}
