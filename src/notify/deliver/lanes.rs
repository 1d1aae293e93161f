//! When each post of one platform may go: pace of new messages by channel, pauses that the platform
//! asked for, backing off where it fails. Values in, values out; nothing is sent here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::chat::{Limits, Urgency};

/// Least time between two edits of one message that change only its looks.
pub(super) const COSMETIC: Duration = Duration::from_secs(10);
/// Pause of a channel after one failure; doubled with each further one.
const BACKOFF: Duration = Duration::from_secs(1);
/// The longest pause of a channel.
const MOST_BACKOFF: Duration = Duration::from_secs(60);
/// A post that failed rests longer than its channel, so that one bad message does not hold up the
/// others; at most so long.
const MOST_REST: Duration = Duration::from_secs(300);
/// Failures in a row after which a platform is tried with one call at a time.
const DEAD: u32 = 3;
/// Over so long edits are counted.
const MINUTE: Duration = Duration::from_secs(60);
/// Calls under way at once, each in another channel.
const CALLS: usize = 8;

/// One post in line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    /// How soon: the first in the order.
    pub(super) urgency: Urgency,
    /// Since when it is due (ms of event time).
    pub(super) due_ms: i64,
    /// Its row in the store.
    pub(super) row: String,
    /// Its channel.
    pub(super) channel: String,
    /// Whether it edits what stands already.
    pub(super) edits: bool,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The platform took it.
    Sent,
    /// There was nothing to send any more.
    Nothing,
    /// The platform refuses this post.
    Refused,
    /// The platform asks for a pause.
    Paused(Duration),
    /// It failed and may pass.
    Failed,
}

/// One channel.
#[derive(Clone, Debug, Default)]
struct Channel {
    /// A call is under way.
    busy: bool,
    /// New messages rest until then.
    new_at: Option<Instant>,
    /// Edits rest until then.
    edits_at: Option<Instant>,
    /// Everything rests until then.
    any_at: Option<Instant>,
    /// Failures since something went through.
    n_failed: u32,
    /// When its newest new message was begun, where that is an answer.
    answered_at: Option<Instant>,
}

/// One post that was tried.
#[derive(Clone, Debug, Default)]
struct Tried {
    /// It rests until then.
    rests_until: Option<Instant>,
    /// When it was last taken by the platform.
    sent_at: Option<Instant>,
    n_failed: u32,
}

/// The lanes of one platform.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    every: Duration,
    channels: BTreeMap<String, Channel>,
    tried: BTreeMap<String, Tried>,
    /// Edits that the platform takes in a minute; 0: no such limit.
    edits_a_minute: usize,
    /// When edits were begun within the last minute.
    edits: VecDeque<Instant>,
    /// Whether the platform counts edits by channel.
    edits_by_channel: bool,
    /// Edits rest until then, in all channels, where the platform counts them together.
    edits_at: Option<Instant>,
    /// The posts of which a call is under way, each with its channel: one is never called twice at
    /// once, or both calls would look for it, find nothing, and write it.
    under_way: BTreeMap<String, String>,
    /// Failures since something went through anywhere.
    n_failed: u32,
}

impl Lanes {
    /// Lanes that keep to what a platform takes.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            every: Duration::from_millis(limits.every_ms),
            channels: BTreeMap::new(),
            tried: BTreeMap::new(),
            edits_a_minute: limits.edits_a_minute,
            edits_by_channel: limits.edits_by_channel,
            edits: VecDeque::new(),
            edits_at: None,
            under_way: BTreeMap::new(),
            n_failed: 0,
        }
    }

    /// When the edits of the last minute leave room for one more. What matters less leaves a part
    /// of the minute's edits to what matters more: an offer never waits for looks.
    fn edit_at(&self, urgency: Urgency) -> Option<Instant> {
        let percent = match urgency {
            Urgency::Cosmetic => 40,
            Urgency::Delta => 70,
            Urgency::Answer => 85,
            Urgency::Opening | Urgency::Decision => 100,
        };
        let most = (self.edits_a_minute * percent).div_ceil(100);
        let first = self.edits.len().checked_sub(most).filter(|_| most > 0)?;
        self.edits.get(first).map(|at| *at + MINUTE)
    }

    /// Whether another call may be begun at all. A platform that only fails, or says itself that
    /// it is down, is tried with one call at a time.
    pub(super) fn has_room(&self, is_down: bool) -> bool {
        self.under_way.len() < if is_down || self.n_failed >= DEAD { 1 } else { CALLS }
    }

    /// Takes over by which name each channel goes now: the first call that names a channel finds out
    /// its id, and what is told by name and by id is one channel.
    pub(super) fn rename(&mut self, lane: impl Fn(&str) -> String) {
        let named: Vec<(String, String)> =
            self.channels.keys().map(|c| (c.clone(), lane(c))).collect();
        for (old, new) in named.into_iter().filter(|(old, new)| old != new) {
            let Some(before) = self.channels.remove(&old) else { continue };
            let channel = self.channels.entry(new.clone()).or_default();
            channel.busy |= before.busy;
            channel.new_at = channel.new_at.max(before.new_at);
            channel.edits_at = channel.edits_at.max(before.edits_at);
            channel.any_at = channel.any_at.max(before.any_at);
            channel.answered_at = channel.answered_at.max(before.answered_at);
            channel.n_failed = channel.n_failed.max(before.n_failed);
            for of in self.under_way.values_mut().filter(|of| **of == old) {
                of.clone_from(&new);
            }
        }
    }

    /// Puts what is in line in the order in which it should go: the most urgent first, then the one
    /// that waits longest. A channel takes one new message at a time, a second apart, and a storm
    /// fills its line with new incidents: an answer goes before them, and after an answer one of them
    /// goes before the next.
    pub(super) fn put_in_order(&self, tickets: &mut [Ticket]) {
        tickets.sort_by(|a, b| {
            let key = |t: &Ticket| match t.urgency {
                Urgency::Decision => 0,
                Urgency::Answer if !self.has_just_answered(t) => 1,
                Urgency::Opening => 2,
                Urgency::Answer => 3,
                Urgency::Delta => 4,
                Urgency::Cosmetic => 5,
            };
            key(a).cmp(&key(b)).then_with(|| a.cmp(b))
        });
    }

    fn has_just_answered(&self, ticket: &Ticket) -> bool {
        let channel = self.channels.get(&ticket.channel);
        !ticket.edits && channel.is_some_and(|c| c.answered_at.is_some())
    }

    /// When a post may go at the earliest; `None` while a call of it or of its channel is under way.
    pub(super) fn ready_at(&self, ticket: &Ticket, now: Instant) -> Option<Instant> {
        if self.under_way.contains_key(&ticket.row) {
            return None;
        }
        let mut at = now;
        if let Some(channel) = self.channels.get(&ticket.channel) {
            if channel.busy {
                return None;
            }
            at = at.max(channel.any_at.unwrap_or(at));
            let own = if ticket.edits { channel.edits_at } else { channel.new_at };
            at = at.max(own.unwrap_or(at));
        }
        if ticket.edits {
            at = at.max(self.edits_at.unwrap_or(at));
            at = at.max(self.edit_at(ticket.urgency).unwrap_or(at));
        }
        if let Some(tried) = self.tried.get(&ticket.row) {
            at = at.max(tried.rests_until.unwrap_or(at));
            if ticket.urgency == Urgency::Cosmetic {
                at = at.max(tried.sent_at.map_or(at, |sent| sent + COSMETIC));
            }
        }
        Some(at)
    }

    /// A call is begun.
    pub(super) fn begun(&mut self, ticket: &Ticket, now: Instant) {
        self.under_way.insert(ticket.row.clone(), ticket.channel.clone());
        let channel = self.channels.entry(ticket.channel.clone()).or_default();
        channel.busy = true;
        if !ticket.edits {
            channel.new_at = Some(now + self.every);
            channel.answered_at = Some(now).filter(|_| ticket.urgency == Urgency::Answer);
        } else if self.edits_a_minute > 0 {
            self.edits.push_back(now);
        }
    }

    /// A call that reached the platform at `called` has ended.
    pub(super) fn ended(&mut self, ticket: &Ticket, (how, called): (Ended, Instant), now: Instant) {
        let name = self.under_way.remove(&ticket.row).unwrap_or_else(|| ticket.channel.clone());
        // Two calls may be under way in what turned out to be one channel.
        let busy = self.under_way.values().any(|of| *of == name);
        let channel = self.channels.entry(name).or_default();
        channel.busy = busy;
        if !ticket.edits {
            // The pace counts from what the platform saw.
            channel.new_at = Some(called + self.every);
        }
        let was_down = channel.n_failed > 1;
        match how {
            Ended::Nothing => {
                // No message was sent, so the next need not wait for it.
                channel.new_at = channel.new_at.filter(|_| ticket.edits);
                self.tried.remove(&ticket.row);
                return;
            }
            Ended::Failed => {
                channel.n_failed += 1;
                channel.any_at = Some(now + doubled(BACKOFF, channel.n_failed, MOST_BACKOFF));
                self.n_failed += 1;
                let tried = self.tried.entry(ticket.row.clone()).or_default();
                tried.n_failed += 1;
                tried.rests_until = Some(now + doubled(2 * BACKOFF, tried.n_failed, MOST_REST));
                return;
            }
            Ended::Paused(after) if ticket.edits && self.edits_by_channel => {
                channel.edits_at = Some(now + after);
            }
            Ended::Paused(after) if ticket.edits => self.edits_at = Some(now + after),
            Ended::Paused(after) => channel.new_at = Some(now + after),
            Ended::Sent | Ended::Refused => {}
        }
        // The platform answers: nothing else rests because of it.
        (channel.n_failed, channel.any_at, self.n_failed) = (0, None, 0);
        if was_down {
            for tried in self.tried.values_mut() {
                (tried.rests_until, tried.n_failed) = (None, 0);
            }
        }
        match how {
            Ended::Sent => {
                let sent = Tried { sent_at: Some(now), ..Tried::default() };
                self.tried.insert(ticket.row.clone(), sent);
            }
            Ended::Refused => {
                self.tried.remove(&ticket.row);
            }
            Ended::Nothing | Ended::Paused(_) | Ended::Failed => {}
        }
    }

    /// Forgets what no longer holds anything back.
    pub(super) fn tidy(&mut self, now: Instant) {
        while self.edits.front().is_some_and(|at| *at + MINUTE <= now) {
            self.edits.pop_front();
        }
        let over = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        self.channels.retain(|_, c| {
            let told_at = c.answered_at.map(|at| at + MINUTE);
            let rests = [c.new_at, c.edits_at, c.any_at, told_at].into_iter().any(|at| !over(at));
            c.busy || c.n_failed > 0 || rests
        });
        self.tried.retain(|_, t| t.n_failed > 0 || t.is_fresh(now));
    }
}

impl Tried {
    fn is_fresh(&self, now: Instant) -> bool {
        self.sent_at.is_some_and(|at| now < at + COSMETIC)
    }
}

/// `first` after one failure, twice as much after each further one, at most `most`.
pub(super) fn doubled(first: Duration, n_failed: u32, most: Duration) -> Duration {
    first.saturating_mul(1 << n_failed.saturating_sub(1).min(16)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// A second between messages, so many edits a minute.
    fn limits(edits_a_minute: usize) -> Limits {
        Limits {
            text: 0,
            card: 0,
            answer: 0,
            section: 0,
            buttons: 0,
            label: 0,
            form_title: 0,
            file_bytes: 0,
            every_ms: 1_000,
            edits_a_minute,
            edits_by_channel: false,
            charts_as_files: false,
        }
    }

    fn ticket(row: &str, urgency: Urgency, edits: bool) -> Ticket {
        Ticket { urgency, due_ms: 0, row: row.into(), channel: "ops".into(), edits }
    }

    /// One call that takes no time.
    fn call(lanes: &mut Lanes, ticket: &Ticket, how: Ended, at: Instant) {
        lanes.begun(ticket, at);
        assert_eq!(lanes.ready_at(ticket, at), None, "one call in a channel at once");
        lanes.ended(ticket, (how, at), at);
        lanes.tidy(at);
    }

    #[test]
    fn looks_change_at_most_every_ten_seconds_and_news_at_once() {
        let (mut lanes, now) = (Lanes::new(&limits(0)), Instant::now());
        call(&mut lanes, &ticket("card", Urgency::Opening, false), Ended::Sent, now);
        let at = |urgency| lanes.ready_at(&ticket("card", urgency, true), now);
        assert_eq!(at(Urgency::Cosmetic), Some(now + COSMETIC));
        assert_eq!(at(Urgency::Delta), Some(now), "an edit is no new message");
        let other = ticket("other", Urgency::Delta, false);
        assert_eq!(lanes.ready_at(&other, now), Some(now + S));
    }

    #[test]
    fn pauses_of_edits_and_of_new_messages_are_apart() {
        let (mut lanes, now) = (Lanes::new(&limits(0)), Instant::now());
        let (edit, new) =
            (ticket("card", Urgency::Delta, true), ticket("new", Urgency::Delta, false));
        call(&mut lanes, &edit, Ended::Paused(30 * S), now);
        let elsewhere = Ticket { channel: "other".into(), ..edit.clone() };
        assert_eq!(lanes.ready_at(&elsewhere, now), Some(now + 30 * S));
        assert_eq!(lanes.ready_at(&new, now), Some(now));
        call(&mut lanes, &new, Ended::Paused(5 * S), now);
        assert_eq!(lanes.ready_at(&new, now), Some(now + 5 * S));
        let elsewhere = Ticket { channel: "other".into(), ..new };
        assert_eq!(lanes.ready_at(&elsewhere, now), Some(now));
    }

    #[test]
    fn where_edits_are_counted_by_channel_the_others_go_on() {
        let now = Instant::now();
        let mut lanes = Lanes::new(&Limits { edits_by_channel: true, ..limits(0) });
        let edit = ticket("card", Urgency::Delta, true);
        call(&mut lanes, &edit, Ended::Paused(30 * S), now);
        assert_eq!(lanes.ready_at(&edit, now), Some(now + 30 * S));
        let elsewhere = Ticket { channel: "other".into(), ..edit };
        assert_eq!(lanes.ready_at(&elsewhere, now), Some(now));
    }

    #[test]
    fn failures_space_the_calls_out_until_something_goes_through() {
        let (mut lanes, now) = (Lanes::new(&limits(0)), Instant::now());
        let (bad, good) =
            (ticket("bad", Urgency::Decision, false), ticket("good", Urgency::Delta, false));
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            call(&mut lanes, &bad, Ended::Failed, now);
            assert_eq!(lanes.ready_at(&good, now), Some(now + seconds * S));
            assert!(lanes.ready_at(&bad, now) > lanes.ready_at(&good, now), "the others first");
        }
        assert_eq!(lanes.ready_at(&bad, now), Some(now + MOST_REST));
        assert!(lanes.has_room(false));
        lanes.begun(&good, now);
        assert!(!lanes.has_room(false), "one call at a time finds out whether it is back");
        lanes.ended(&good, (Ended::Sent, now), now);
        assert_eq!(lanes.ready_at(&bad, now), Some(now + S), "at the usual pace again");
    }

    #[test]
    fn a_channel_that_is_named_by_its_id_meanwhile_stays_one_and_no_post_goes_twice() {
        let (mut lanes, now) = (Lanes::new(&limits(0)), Instant::now());
        let (card, other) =
            (ticket("card", Urgency::Opening, false), ticket("other", Urgency::Delta, false));
        let by_id = |t: &Ticket| Ticket { channel: "C1".into(), ..t.clone() };
        lanes.begun(&card, now);
        // Before it is taken over that these are one, the post itself is not called again.
        assert_eq!(lanes.ready_at(&by_id(&card), now), None);
        lanes.rename(|_| "C1".into());
        assert_eq!(lanes.ready_at(&by_id(&card), now), None);
        assert_eq!(lanes.ready_at(&by_id(&other), now), None, "one call in a channel at once");
        lanes.ended(&card, (Ended::Sent, now), now);
        assert_eq!(lanes.ready_at(&by_id(&other), now), Some(now + S), "and one pace");
    }

    #[test]
    fn an_answer_overtakes_new_incidents_and_takes_turns_with_them() {
        let (mut lanes, now) = (Lanes::new(&limits(0)), Instant::now());
        let at = |row: &str, urgency, due_ms| Ticket { due_ms, ..ticket(row, urgency, false) };
        let mut line = vec![at("delta", Urgency::Delta, 0)];
        line.extend((0..4).map(|n| at(&format!("card {n}"), Urgency::Opening, n)));
        line.extend((0..3).map(|n| at(&format!("answer {n}"), Urgency::Answer, 10 + n)));
        let mut told = Vec::new();
        for n in 0_u32..9 {
            if n == 3 {
                line.push(at("approve", Urgency::Decision, 99));
            }
            lanes.put_in_order(&mut line);
            let next = line.remove(0);
            // The platform is slow: each call takes longer than the pace.
            let begun = now + n * 3 * S;
            lanes.begun(&next, begun);
            lanes.ended(&next, (Ended::Sent, begun), begun + 2 * S);
            lanes.tidy(begun + 2 * S);
            told.push(next.row);
        }
        let order = [
            "answer 0", "card 0", "answer 1", "approve", "answer 2", "card 1", "card 2", "card 3",
            "delta",
        ];
        assert_eq!(told, order);
        let mut others = vec![at("card", Urgency::Opening, 0), at("answer", Urgency::Answer, 1)];
        call(&mut lanes, &at("answer", Urgency::Answer, 0), Ended::Sent, now);
        others[1].channel = "other".into();
        lanes.put_in_order(&mut others);
        assert_eq!(others[0].row, "answer", "each channel has turns of its own");
    }

    #[test]
    fn looks_leave_a_part_of_the_edits_to_what_is_decided() {
        let (mut lanes, now) = (Lanes::new(&limits(10)), Instant::now());
        let edit = |n: usize, urgency| ticket(&format!("card {n}"), urgency, true);
        let ready = |lanes: &Lanes, urgency, at| lanes.ready_at(&edit(99, urgency), at);
        for n in 0..4 {
            assert_eq!(ready(&lanes, Urgency::Cosmetic, now), Some(now));
            call(&mut lanes, &edit(n, Urgency::Cosmetic), Ended::Sent, now);
        }
        assert_eq!(ready(&lanes, Urgency::Cosmetic, now), Some(now + MINUTE));
        let later = now + 10 * S;
        for n in 4..7 {
            assert_eq!(ready(&lanes, Urgency::Delta, later), Some(later));
            call(&mut lanes, &edit(n, Urgency::Delta), Ended::Sent, later);
        }
        assert_eq!(ready(&lanes, Urgency::Delta, later), Some(now + MINUTE));
        for n in 7..10 {
            assert_eq!(ready(&lanes, Urgency::Decision, later), Some(later));
            call(&mut lanes, &edit(n, Urgency::Decision), Ended::Sent, later);
        }
        assert_eq!(ready(&lanes, Urgency::Decision, later), Some(now + MINUTE));
        let next = now + MINUTE;
        lanes.tidy(next);
        assert_eq!(ready(&lanes, Urgency::Decision, next), Some(next));
    }
}
