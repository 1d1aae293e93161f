//! Delivery: brings each platform to what its outbox says, one task a platform.
//!
//! Takes posts that are due, the most urgent first, then the one that waits longest, answers and
//! new incidents in turns; gives them to [`Chat`]. Hears `Outbox` and looks by itself every few
//! seconds. Guarantees:
//!
//! - A post is marked as tried before the call and as sent after it, both durably: after a crash in
//!   between it is tried again as doubtful, and the adapter looks for its key first. So each key
//!   becomes one message.
//! - Content that changed while a call was under way is sent after it; what was not sent yet is
//!   sent in its newest form only.
//! - New messages of a channel keep the platform's pace, and pauses that it asks for are kept. A
//!   platform that fails is tried at growing intervals, for ever; one call that hangs is given up
//!   after 30 s and counts as doubtful.
//! - What the platform refuses for good stays in the store with the reason. It is tried again when
//!   it changes, after a start, and at growing intervals: somebody may have mended the cause.
//! - Marks of cards wait for no message and no message for them; one that fails is tried again.

mod dress;
mod flight;
mod lanes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, Event, Heard, Subscription};
use crate::chat::outbox::Standing;
use crate::chat::{Chat, Health, Post, PostState, Urgency};
use crate::model::time::DAY_MS;
use crate::model::{Fault, SharedClock};
use crate::store::{Filter, Store};
use dress::{Dressed, Dressing};
use lanes::{Ended, Lanes, Ticket, doubled};

/// How often it looks when nothing rings.
const LOOK: Duration = Duration::from_secs(5);
/// Posts of one urgency that are looked at in one round.
const ROUND: usize = 1_000;
/// Where there are more, new posts of each channel that are looked at.
const EACH: usize = 50;
/// How long calls under way may take at the end of the process.
const FAREWELL: Duration = Duration::from_secs(5);
/// Refused posts that are tried again, and how old (ms of event time) they may be.
const MENDED: (usize, i64) = (500, DAY_MS);
/// How long a refused post rests, at first and at most.
const REFUSED: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(6 * 3_600));
/// How often refused posts are looked at.
const MEND: Duration = Duration::from_secs(60);
/// The newest posts that are looked at after a start for a mark that is not as it should be.
const MARKS: usize = 500;

type Flight = BoxFuture<'static, (Ticket, Result<(Ended, Instant), Fault>)>;
type Mark = BoxFuture<'static, (String, Result<Dressed, Fault>)>;

/// The delivery to one platform.
pub struct Deliver {
    store: Store,
    bus: Bus,
    clock: SharedClock,
    chat: Arc<dyn Chat>,
    lanes: Lanes,
    dressing: Dressing,
    /// Refused posts: how often in a row since the start, and until when they rest.
    refused: BTreeMap<String, (u32, Instant)>,
}

impl Deliver {
    /// The delivery to `chat` of what the store has for its platform.
    #[must_use]
    pub fn new(store: Store, bus: Bus, clock: SharedClock, chat: Arc<dyn Chat>) -> Self {
        let lanes = Lanes::new(&chat.limits());
        let (dressing, refused) = (Dressing::default(), BTreeMap::new());
        Self { store, bus, clock, chat, lanes, dressing, refused }
    }

    /// Delivers until the token is cancelled; calls under way are finished then, if they end soon.
    ///
    /// # Errors
    /// The store failed. Started anew, it goes on where it stopped.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Fault> {
        let mut events = self.bus.subscribe();
        let mut flights = FuturesUnordered::<Flight>::new();
        let mut marks = FuturesUnordered::<Mark>::new();
        self.remember_marks().await?;
        let (mut measured_at, mut mended_at) = (None, None);
        loop {
            if mended_at.is_none_or(|at: Instant| at.elapsed() >= MEND) {
                self.mend().await?;
                mended_at = Some(Instant::now());
            }
            if measured_at.is_none_or(|at: Instant| at.elapsed() >= LOOK) {
                self.measure().await?;
                measured_at = Some(Instant::now());
            }
            let next = self.launch(&mut flights).await?.min(self.mark(&marks));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(landed) = flights.next() => self.land(landed)?,
                Some(marked) = marks.next() => self.marked(marked).await?,
                heard = rung(&mut events) => if !heard { break },
                () = tokio::time::sleep_until(next) => {}
            }
        }
        let rest = async { while flights.next().await.is_some() {} };
        // What does not end in time is tried again at the next start.
        let _ = tokio::time::timeout(FAREWELL, rest).await;
        Ok(())
    }

    /// Begins what may go now; says when to look again.
    async fn launch(&mut self, flights: &mut FuturesUnordered<Flight>) -> Result<Instant, Fault> {
        let now = Instant::now();
        let mut next = now + LOOK;
        let is_down = matches!(self.chat.health(), Health::Down { .. });
        if !self.lanes.has_room(is_down) {
            return Ok(next);
        }
        let mut tickets = self.tickets().await?;
        self.lanes.rename(|channel| self.chat.lane(channel));
        self.lanes.put_in_order(&mut tickets);
        for ticket in tickets {
            match self.lanes.ready_at(&ticket, now) {
                None => {}
                Some(at) if at > now => next = next.min(at),
                Some(_) => {
                    self.lanes.begun(&ticket, now);
                    let (chat, store) = (self.chat.clone(), self.store.clone());
                    let clock = self.clock.clone();
                    flights.push(
                        async move {
                            let ended = flight::fly(chat, store, clock, &ticket).await;
                            (ticket, ended)
                        }
                        .boxed(),
                    );
                    if !self.lanes.has_room(is_down) {
                        break;
                    }
                }
            }
        }
        Ok(next)
    }

    fn land(
        &mut self,
        (ticket, ended): (Ticket, Result<(Ended, Instant), Fault>),
    ) -> Result<(), Fault> {
        let now = Instant::now();
        // Without the store nothing can be marked: the task ends and is started anew.
        let (ended, called) = ended?;
        self.lanes.ended(&ticket, (ended, called), now);
        self.lanes.tidy(now);
        match ended {
            Ended::Sent => self.dressing.note(&ticket.row, now),
            Ended::Refused => {
                let n = self.refused.get(&ticket.row).map_or(1, |(n, _)| n.saturating_add(1));
                let until = now + doubled(REFUSED.0, n, REFUSED.1);
                self.refused.insert(ticket.row, (n, until));
                return Ok(());
            }
            Ended::Paused(_) | Ended::Failed | Ended::Nothing => return Ok(()),
        }
        self.refused.remove(&ticket.row);
        Ok(())
    }

    /// Begins the marks whose turn it is; says when to look again.
    fn mark(&mut self, marks: &FuturesUnordered<Mark>) -> Instant {
        let now = Instant::now();
        if self.chat.health() == Health::Up {
            for row in self.dressing.begin(now) {
                let (chat, store) = (self.chat.clone(), self.store.clone());
                let mark = async move { (row.clone(), dress::dress(chat, store, row).await) };
                marks.push(mark.boxed());
            }
        }
        // One whose turn has come waits for a call to end, or for its platform.
        let next = self.dressing.next().filter(|at| *at > now);
        next.unwrap_or(now + LOOK)
    }

    async fn marked(&mut self, (row, how): (String, Result<Dressed, Fault>)) -> Result<(), Fault> {
        if self.dressing.ended(&row, how?, Instant::now()) {
            dress::give_up(self.chat.as_ref(), &self.store, row).await?;
        }
        Ok(())
    }

    /// After a start: what stands and is not marked as it should be.
    async fn remember_marks(&mut self) -> Result<(), Fault> {
        let sent = Filter::states([PostState::Sent.as_str()]).newest(MARKS);
        let sent = Filter { parent: Some(self.chat.platform().to_owned()), ..sent };
        let found = self.store.read(move |r| r.list::<Post>(&sent)).await?;
        let now = Instant::now();
        for post in found.iter().filter(|post| post.dress().is_some()) {
            self.dressing.note(&Post::row(&post.platform, &post.key), now);
        }
        Ok(())
    }

    /// What is in line.
    async fn tickets(&self) -> Result<Vec<Ticket>, Fault> {
        let chat = self.chat.clone();
        self.store
            .read(move |r| {
                let platform = chat.platform();
                let mut tickets = Vec::new();
                for urgency in Urgency::ALL {
                    for state in [PostState::Due, PostState::Trying] {
                        let word = Post::word(state, urgency);
                        let mut found = r.outlines::<Post>(platform, &word, ROUND)?;
                        if found.len() >= ROUND {
                            // Channels that rest, with all that waits for them, hide no other.
                            found = r.outlines_by_subject::<Post>(platform, &word, EACH)?;
                        }
                        tickets.extend(found.into_iter().map(|o| Ticket {
                            urgency,
                            due_ms: o.at.ms(),
                            row: o.id,
                            channel: chat.lane(Post::channel_in(&o.subject)),
                            edits: Post::stands_in(&o.subject),
                        }));
                    }
                }
                Ok(tickets)
            })
            .await
    }

    /// Tells the metrics what is in line.
    async fn measure(&self) -> Result<(), Fault> {
        let platform = self.chat.platform().to_owned();
        let (name, now) = (platform.clone(), self.clock.now());
        let standing = self.store.read(move |r| Standing::of(r, &name)).await?;
        for (state, n) in [
            (PostState::Waiting, standing.n_waiting),
            (PostState::Due, standing.n_due),
            (PostState::Trying, standing.n_trying),
            (PostState::Refused, standing.n_refused),
        ] {
            let labels = [("platform", platform.clone()), ("state", state.as_str().to_owned())];
            metrics::gauge!("nightjar_notify_outbox_posts", &labels).set(n as f64);
        }
        let age_ms = standing.oldest.map_or(0, |at| now.ms_since(at).max(0));
        let up = f64::from(u8::from(self.chat.health() == Health::Up));
        metrics::gauge!("nightjar_notify_outbox_oldest_seconds", "platform" => platform.clone())
            .set(age_ms as f64 / 1_000.0);
        metrics::gauge!("nightjar_notify_platform_up", "platform" => platform).set(up);
        Ok(())
    }

    /// Somebody may have mended why posts were refused: each is tried again after a start, and then
    /// ever less often.
    async fn mend(&mut self) -> Result<(), Fault> {
        let (most, age_ms) = MENDED;
        let since = self.clock.now().plus_ms(-age_ms);
        let refused = Filter::states([PostState::Refused.as_str()]).since(since).newest(most);
        let refused = Filter { parent: Some(self.chat.platform().to_owned()), ..refused };
        let mut found = self.store.read(move |r| r.list::<Post>(&refused)).await?;
        let now = Instant::now();
        let row = |post: &Post| Post::row(&post.platform, &post.key);
        let known: BTreeSet<String> = found.iter().map(row).collect();
        // What was wanted anew or removed is refused no more; that it is in line is not forgotten.
        self.refused.retain(|row, (_, until)| known.contains(row) || *until + REFUSED.1 > now);
        found.retain(|post| self.refused.get(&row(post)).is_none_or(|(_, until)| *until <= now));
        if found.is_empty() {
            return Ok(());
        }
        self.store
            .write(move |tx| {
                found.into_iter().try_for_each(|post| {
                    let again = Post { state: PostState::Due, ..post };
                    tx.replace_in_state(&again, PostState::Refused.as_str()).map(|_| ())
                })
            })
            .await
    }
}

/// Waits until the outbox may have new work; `false` when nothing rings any more.
async fn rung(events: &mut Subscription) -> bool {
    loop {
        match events.next().await {
            Heard::Event(Event::Outbox) | Heard::Lagged => return true,
            Heard::Event(_) => {}
            Heard::Closed => return false,
        }
    }
}
