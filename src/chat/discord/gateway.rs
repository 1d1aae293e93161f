//! The gateway: connected again whatever ends it, resumed where that can be, with sessions begun
//! sparingly (Discord takes 1,000 a day and then takes the token away).

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serenity::http::{LightMethod, Route};
use serenity::model::gateway::GatewayIntents;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::events::Event;
use super::rest::Ask;
use super::socket::{End, Line, Session};
use super::trouble::Trouble;
use super::{Discord, Inner};

/// Pause before the first new try, doubled up to [`MOST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between tries.
const MOST_PAUSE: Duration = Duration::from_secs(60);
/// Pause where somebody must do something first.
const HOPELESS: Duration = Duration::from_secs(60);
/// Sessions begun within an hour before the next one waits.
const MOST_SESSIONS: usize = 30;
/// Events that wait to be handled.
const MOST_EVENTS: usize = 10_000;
/// Events that are handled side by side; the others wait.
const MOST_UNDER_WAY: usize = 256;
/// How long what is under way may take after the end was asked for.
const DRAIN: Duration = Duration::from_secs(5);

impl Discord {
    /// Listens until `shutdown`, then ends what is under way.
    pub async fn run(&self, shutdown: CancellationToken) {
        let (sender, receiver) = mpsc::channel(MOST_EVENTS);
        self.inner.deafened("it is not connected yet");
        let listen = async {
            let known = self.inner.learn_position();
            // What was said before is read from the position on.
            if shutdown.run_until_cancelled(known).await.is_some() {
                self.inner.listen(&sender, &shutdown).await;
            }
            drop(sender);
        };
        let handle = side_by_side(receiver, &shutdown, |event| self.inner.happened(event));
        tokio::join!(listen, handle);
        self.inner.keep_position(true).await;
    }
}

/// Handles events side by side: a slow one holds up no other, until [`MOST_UNDER_WAY`] are slow.
async fn side_by_side<E, F: Future<Output = ()>>(
    mut events: mpsc::Receiver<E>,
    shutdown: &CancellationToken,
    handle: impl Fn(E) -> F,
) {
    let mut under_way = FuturesUnordered::new();
    let mut open = true;
    // One for the whole run: made anew at each turn, it would not end while events end.
    let over = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::pin!(over);
    while open || !under_way.is_empty() {
        tokio::select! {
            event = events.recv(), if open && under_way.len() < MOST_UNDER_WAY => match event {
                Some(event) => under_way.push(handle(event)),
                None => open = false,
            },
            Some(()) = under_way.next() => {}
            () = &mut over => return,
        }
    }
}

impl Inner {
    /// Notes that events come.
    fn hears(&self) {
        *self.deaf.lock().expect("nothing panics under this lock") = None;
    }

    /// Notes that no events come.
    fn deafened(&self, why: &str) {
        let text = format!("Discord sends no events: {why}");
        *self.deaf.lock().expect("nothing panics under this lock") = Some(text);
    }

    async fn listen(&self, events: &mpsc::Sender<Event>, shutdown: &CancellationToken) {
        let mut session: Option<Session> = None;
        let mut begun: VecDeque<Instant> = VecDeque::new();
        let (mut pause, mut n_failed) = (PAUSE, 0);
        loop {
            let was_up = std::sync::atomic::AtomicBool::new(false);
            let connected = || {
                was_up.store(true, std::sync::atomic::Ordering::Relaxed);
                metrics::counter!("nightjar_discord_sessions_total").increment(1);
                tracing::info!("discord's gateway is connected");
                self.hears();
            };
            let end = tokio::select! {
                end = self.connection(&mut session, &mut begun, (events, &connected), shutdown) => end,
                () = shutdown.cancelled(), if session.is_none() => return,
            };
            let up = was_up.load(std::sync::atomic::Ordering::Relaxed);
            let (why, least) = match end {
                Ok(End::Asked) => return,
                // A connection that worked is made again at once.
                Ok(End::Resume(why)) if up => (why, Duration::ZERO),
                Ok(End::Resume(why) | End::Anew(why)) => (why, pause),
                Ok(End::Hopeless(why)) => (why, HOPELESS),
                Err((why, least)) => (why, least.max(pause)),
            };
            n_failed = if up { 0 } else { n_failed + 1 };
            if n_failed >= 3 {
                // The address of the session may be what is gone.
                session = None;
            }
            pause = if up { PAUSE } else { (pause * 2).min(MOST_PAUSE) };
            tracing::warn!(reason = why, pause_ms = least.as_millis(), "discord's gateway ended");
            self.deafened(&why);
            tokio::select! {
                () = tokio::time::sleep(least) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn connection(
        &self,
        session: &mut Option<Session>,
        begun: &mut VecDeque<Instant>,
        (events, connected): (&mpsc::Sender<Event>, &(dyn Fn() + Send + Sync)),
        shutdown: &CancellationToken,
    ) -> Result<End, (String, Duration)> {
        let mut url = String::new();
        if session.is_none() {
            url = self.gateway().await?;
            while begun.front().is_some_and(|at| at.elapsed() > Duration::from_secs(3_600)) {
                begun.pop_front();
            }
            if begun.len() >= MOST_SESSIONS {
                let why = "sessions are begun too often; the bot waits before the next";
                return Err((why.into(), Duration::from_secs(600)));
            }
            begun.push_back(Instant::now());
            self.missed().begin_session(self.guilds());
        }
        let mut intents = GatewayIntents::GUILDS
            | GatewayIntents::GUILD_MESSAGES
            | GatewayIntents::DIRECT_MESSAGES;
        if self.config.message_content {
            intents |= GatewayIntents::MESSAGE_CONTENT;
        }
        let (token, intents) = (&self.config.token, intents.bits());
        let left_out = |event: &Event| self.left_out(event);
        let line = Line { token, intents, events, connected, left_out: &left_out, shutdown };
        Ok(line.hold(&url, session).await)
    }

    /// The gateway's address, once a session may be begun; else why not and for how long.
    async fn gateway(&self) -> Result<String, (String, Duration)> {
        let unusable = |trouble: Trouble| {
            let least = match &trouble {
                Trouble::Limited { after } => *after,
                Trouble::Token | Trouble::Refused { .. } => HOPELESS,
                Trouble::Unread | Trouble::Down(_) => Duration::ZERO,
            };
            (trouble.to_string(), least)
        };
        self.me().await.map_err(unusable)?;
        let ask = Ask::new(LightMethod::Get, Route::GatewayBot);
        let found = self.rest.ask(ask).await.map_err(unusable)?;
        let limit = &found["session_start_limit"];
        if limit["remaining"].as_u64() == Some(0) {
            let ms = limit["reset_after"].as_u64().unwrap_or(3_600_000);
            let why = "Discord takes no more sessions today; the bot waits until it does";
            return Err((why.into(), Duration::from_millis(ms)));
        }
        let url =
            found["url"].as_str().filter(|u| u.starts_with("ws://") || u.starts_with("wss://"));
        let none = || ("it told no address of the gateway".to_owned(), Duration::ZERO);
        url.map(str::to_owned).ok_or_else(none)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_so_many_events_are_under_way_and_the_others_wait() {
        let (sender, receiver) = mpsc::channel(MOST_EVENTS);
        for n in 0..2 * MOST_UNDER_WAY {
            sender.try_send(n).expect("there is room");
        }
        drop(sender);
        let (now, most, done) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let handle = |_| async {
            now.set(now.get() + 1);
            most.set(now.get().max(most.get()));
            tokio::time::sleep(Duration::from_secs(1)).await;
            now.set(now.get() - 1);
            done.set(done.get() + 1);
        };
        side_by_side(receiver, &CancellationToken::new(), handle).await;
        assert_eq!((most.get(), done.get()), (MOST_UNDER_WAY, 2 * MOST_UNDER_WAY));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_comes_in_time_though_one_after_another_ends() {
        let (sender, receiver) = mpsc::channel(MOST_EVENTS);
        for second in 1..60 {
            sender.try_send(second).expect("there is room");
        }
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let begun = Instant::now();
        let handle = |second| tokio::time::sleep(Duration::from_secs(second));
        side_by_side(receiver, &shutdown, handle).await;
        assert!(begun.elapsed() < DRAIN + Duration::from_millis(100), "{:?}", begun.elapsed());
    }
}
