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
/// How long what is under way may take after the end was asked for.
const DRAIN: Duration = Duration::from_secs(5);

impl Discord {
    /// Listens until `shutdown`, then ends what is under way.
    pub async fn run(&self, shutdown: CancellationToken) {
        let (sender, receiver) = mpsc::channel(MOST_EVENTS);
        self.inner.deafened("it is not connected yet");
        let listen = async {
            self.inner.listen(&sender, &shutdown).await;
            drop(sender);
        };
        tokio::join!(listen, self.inner.handle(receiver, &shutdown));
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

    /// Handles events side by side: a slow one holds up no other.
    async fn handle(&self, mut events: mpsc::Receiver<Event>, shutdown: &CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        let mut open = true;
        while open || !under_way.is_empty() {
            tokio::select! {
                event = events.recv(), if open => match event {
                    Some(event) => under_way.push(self.happened(event)),
                    None => open = false,
                },
                Some(()) = under_way.next() => {}
                () = async {
                    shutdown.cancelled().await;
                    tokio::time::sleep(DRAIN).await;
                } => return,
            }
        }
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
        }
        let mut intents = GatewayIntents::GUILDS
            | GatewayIntents::GUILD_MESSAGES
            | GatewayIntents::DIRECT_MESSAGES;
        if self.config.message_content {
            intents |= GatewayIntents::MESSAGE_CONTENT;
        }
        let (token, intents) = (&self.config.token, intents.bits());
        let line = Line { token, intents, events, connected, shutdown };
        Ok(line.hold(&url, session).await)
    }

    /// The gateway's address, once a session may be begun; else why not and for how long.
    async fn gateway(&self) -> Result<String, (String, Duration)> {
        let unusable = |trouble: Trouble| {
            let least = match &trouble {
                Trouble::Limited { after } => *after,
                Trouble::Token | Trouble::Refused { .. } => HOPELESS,
                Trouble::Down(_) => Duration::ZERO,
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
