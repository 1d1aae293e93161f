//! Socket Mode: several connections of slack-morphism, each frame decoded and answered by us.
//!
//! The library's ready listener acknowledges what it can't decode and can't be told the time an
//! acknowledgement may take; its connections take any listener of frames, and this is ours. A
//! frame is converted, kept and acknowledged in under a second; the library reads the next one
//! only then. A connection is renewed while the other stands and before Slack would end it; on
//! `disconnect` a new one is opened and what still comes on the old one is dropped: Slack sends
//! that again. Where none has stood for a while all begins anew, with a look at the token.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use slack_morphism::SlackClientSocketModeConfig;
use slack_morphism::listener::SlackClientEventsListenerEnvironment;
use slack_morphism::socket_mode::clients_manager::{
    SlackSocketModeClientsManager, SlackSocketModeClientsManagerFactory as _,
};
use slack_morphism::socket_mode::{SlackSocketModeClientListener, SlackSocketModeWssClientId};

use super::events::{Happened, Whose, command, event, interactive, whose};
use super::web::Web;
use super::{Cause, Slack};
use crate::model::Fault;

/// Connections at once: while one is renewed the other takes what comes.
const CONNECTIONS: u32 = 2;
/// How long frames that came together may wait for their commits, all in all: a connection is
/// served in order, and the last of them is to be acknowledged within a second.
const PATIENCE: Duration = Duration::from_millis(700);
/// What each may wait at least: after 200 ms what the store does not commit is set aside instead.
/// What is not durable by then is not acknowledged, and the next frame is served.
const LEAST: Duration = Duration::from_millis(250);
/// How long a connection stands where Slack does not say; it says some hours.
const STANDS_S: u64 = 3_600;
/// How long none may stand before all begins anew: the library tries every 5 s, for ever and
/// without a word on why it fails.
const ALONE: Duration = Duration::from_secs(15);
/// How often the connections are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// A frame that is read this soon after the last one was done had been waiting.
const AT_ONCE: Duration = Duration::from_millis(5);

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type Manager = dyn SlackSocketModeClientsManager + Send + Sync;

/// The open connections; dropping it does not close them, [`Socket::close`] does.
pub(super) struct Socket {
    manager: Arc<Manager>,
    listener: Arc<Listener>,
}

impl Socket {
    /// Opens the connections, beginning with a look whether the token counts: the library would
    /// try for ever without a word.
    pub(super) async fn open(slack: &Slack, web: &Web) -> Result<Self, Fault> {
        web.post("apps.connections.open", &json!({})).await?;
        let (client, token) = web.client();
        let environment = Arc::new(SlackClientEventsListenerEnvironment::new(client.clone()));
        let manager = client.http_api.connector.new_clients_manager(environment);
        let listener = Arc::new(Listener {
            slack: slack.clone(),
            manager: OnceLock::new(),
            open: Mutex::default(),
            waited: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        // It is set once, here.
        let _ = listener.manager.set(Arc::downgrade(&manager));
        let config = SlackClientSocketModeConfig::new()
            .with_max_connections_count(CONNECTIONS)
            .with_initial_backoff_in_seconds(1)
            .with_reconnect_timeout_in_seconds(5)
            .with_ping_interval_in_seconds(10)
            .with_ping_failure_threshold_times(2);
        manager.register_new_token(&config, token.clone(), listener.clone()).await.map_err(
            |e| Fault::transient("Socket Mode could not be set up", anyhow::anyhow!("{e}")),
        )?;
        manager.start().await;
        Ok(Self { manager, listener })
    }

    /// Renews each connection before Slack ends it; returns when none has stood for a while.
    pub(super) async fn tend(&self) {
        let mut stood_at = Instant::now();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = Instant::now();
            if !self.listener.lines().is_empty() {
                stood_at = now;
            } else if now - stood_at > ALONE {
                return;
            }
            let due = due(&self.listener.lines(), now);
            if let Some(id) = due {
                tracing::debug!("a connection to Slack is renewed before its time is over");
                metrics::counter!("nightjar_chat_renewed_total", "platform" => "slack")
                    .increment(1);
                self.listener.again(&id).await;
            }
        }
    }

    /// Closes all connections.
    pub(super) async fn close(&self) {
        self.listener.ended.store(true, Ordering::Relaxed);
        self.manager.shutdown().await;
    }
}

struct Listener {
    slack: Slack,
    manager: OnceLock<Weak<Manager>>,
    // The connections that said hello and no goodbye.
    open: Mutex<BTreeMap<String, Line>>,
    // By connection: when its last frame was done, and how long its frames waited since it was idle.
    waited: Mutex<BTreeMap<String, (Instant, Duration)>>,
    // Whether its connections are being closed: what they still say changes nothing.
    ended: AtomicBool,
}

/// A connection that stands.
struct Line {
    id: SlackSocketModeWssClientId,
    renew_at: Instant,
    /// Whether a frame of it is being served.
    busy: bool,
}

/// The connection to be renewed first, while another one stands.
fn due(lines: &BTreeMap<String, Line>, now: Instant) -> Option<SlackSocketModeWssClientId> {
    let idle = lines.values().filter(|line| !line.busy && line.renew_at <= now);
    let first = idle.min_by_key(|line| line.renew_at)?;
    (lines.len() > 1).then(|| first.id.clone())
}

/// How long a connection is used of the time that Slack gives it; those that stand beside each
/// other end apart.
fn used_for(stands_s: u64, n_beside: usize) -> Duration {
    let share = 80 - 8 * u64::try_from(n_beside).unwrap_or(0).min(5);
    Duration::from_millis(stands_s.saturating_mul(10).saturating_mul(share))
}

impl Listener {
    fn lines(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Line>> {
        self.open.lock().expect("no code panics while it holds this lock")
    }

    /// Notes that a connection stands, for how many seconds as Slack says; or no more.
    fn note(&self, id: &SlackSocketModeWssClientId, stands_s: Option<u64>) {
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        let mut open = self.lines();
        let name = id.to_string();
        if let Some(stands_s) = stands_s {
            let renew_at = Instant::now() + used_for(stands_s, open.len());
            open.insert(name, Line { id: id.clone(), renew_at, busy: false });
        } else {
            open.remove(&name);
            self.waits().remove(&name);
        }
        metrics::gauge!("nightjar_chat_connections", "platform" => "slack").set(open.len() as f64);
        let why = open.is_empty().then(|| super::NOT_CONNECTED.to_owned());
        self.slack.mark(Cause::Socket, why);
    }

    fn waits(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (Instant, Duration)>> {
        self.waited.lock().expect("no code panics while it holds this lock")
    }

    /// How long the frames before this one kept it waiting.
    fn used(&self, id: &SlackSocketModeWssClientId, now: Instant) -> Duration {
        let waited = self.waits().get(&id.to_string()).copied();
        waited.filter(|(done, _)| now - *done < AT_ONCE).map_or(Duration::ZERO, |(_, used)| used)
    }

    fn busy(&self, id: &SlackSocketModeWssClientId, busy: bool) {
        if let Some(line) = self.lines().get_mut(&id.to_string()) {
            line.busy = busy;
        }
    }

    async fn again(&self, id: &SlackSocketModeWssClientId) {
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        self.note(id, None);
        if let Some(manager) = self.manager.get().and_then(Weak::upgrade) {
            manager.restart_client(id).await;
        }
    }

    async fn frame(&self, id: &SlackSocketModeWssClientId, body: &str) -> Option<String> {
        let started = Instant::now();
        let Ok(frame) = serde_json::from_str::<Value>(body) else {
            metrics::counter!("nightjar_chat_undecoded_total", "platform" => "slack").increment(1);
            return None;
        };
        let kind = frame["type"].as_str().unwrap_or_default();
        let payload = &frame["payload"];
        if whose(payload, &self.slack.me()) == Whose::Foreign {
            // The app is installed in several workspaces: Slack sends it again, and then perhaps
            // over a connection of the adapter that it is for.
            metrics::counter!("nightjar_chat_foreign_total", "platform" => "slack").increment(1);
            tracing::warn!("an envelope of another workspace came; it is left to that one");
            return None;
        }
        let happened = match kind {
            "hello" => {
                let told = frame["debug_info"]["approximate_connection_time"].as_u64();
                self.note(id, Some(told.unwrap_or(STANDS_S)));
                return None;
            }
            "disconnect" => {
                tracing::info!(reason = %frame["reason"], "Slack renews a connection");
                self.again(id).await;
                return None;
            }
            "events_api" => event(payload, &self.slack.me()),
            "interactive" => interactive(payload),
            "slash_commands" => command(payload),
            // What we don't know is acknowledged: it would come again for ever.
            _ => Happened::Nothing,
        };
        let envelope = frame["envelope_id"].as_str()?;
        let used = self.used(id, started);
        let patience = PATIENCE.saturating_sub(used).max(LEAST);
        let payload = self.slack.queue(happened, &payload["view"], patience).await;
        let waited = (Instant::now(), used + started.elapsed());
        self.waits().insert(id.to_string(), waited);
        let payload = payload.ok()?;
        let mut ack = json!({ "envelope_id": envelope });
        if let Some(payload) = payload
            && frame["accepts_response_payload"] == true
        {
            ack["payload"] = payload;
        }
        metrics::histogram!("nightjar_chat_ack_seconds", "platform" => "slack")
            .record(started.elapsed().as_secs_f64());
        Some(ack.to_string())
    }
}

impl SlackSocketModeClientListener for Listener {
    fn on_message<'s, 'i, 'a>(
        &'s self,
        client_id: &'i SlackSocketModeWssClientId,
        message_body: String,
    ) -> Boxed<'a, Option<String>>
    where
        's: 'a,
        'i: 'a,
        Self: 'a,
    {
        Box::pin(async move {
            self.busy(client_id, true);
            let ack = self.frame(client_id, &message_body).await;
            self.busy(client_id, false);
            ack
        })
    }

    fn on_error<'s, 'a>(
        &'s self,
        error: Box<dyn std::error::Error + Send + Sync + 'static>,
    ) -> Boxed<'a, ()>
    where
        's: 'a,
        Self: 'a,
    {
        Box::pin(async move { tracing::debug!(%error, "a connection to Slack broke") })
    }

    fn on_disconnect<'s, 'i, 'a>(
        &'s self,
        client_id: &'i SlackSocketModeWssClientId,
    ) -> Boxed<'a, ()>
    where
        's: 'a,
        'i: 'a,
        Self: 'a,
    {
        Box::pin(async move { self.again(client_id).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_renewed_apart_before_their_time_and_never_the_last_one() {
        assert_eq!(used_for(18_000, 0), Duration::from_secs(14_400));
        assert_eq!(used_for(18_000, 1), Duration::from_secs(12_960));
        assert!(used_for(u64::MAX, 9) > Duration::ZERO);
        let now = Instant::now();
        let line = |n, at_s, busy| {
            let renew_at = now + Duration::from_secs(at_s);
            let id = SlackSocketModeWssClientId::new(n, n, 0);
            (id.to_string(), Line { id, renew_at, busy })
        };
        let due = |lines: Vec<(String, Line)>| {
            due(&lines.into_iter().collect(), now + Duration::from_secs(10))
                .map(|id| id.initial_index)
        };
        assert_eq!(due(vec![line(0, 11, false), line(1, 20, false)]), None, "not yet");
        assert_eq!(due(vec![line(0, 9, false), line(1, 8, false)]), Some(1), "the oldest");
        assert_eq!(due(vec![line(0, 9, false), line(1, 8, true)]), Some(0), "not amid a frame");
        assert_eq!(due(vec![line(0, 9, false)]), None, "the other is not back yet");
    }
}
