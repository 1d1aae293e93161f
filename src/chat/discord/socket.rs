//! One connection to the gateway (version 10, JSON): hello, identify or resume, heartbeats, events,
//! and what its end means for the next one.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

use super::events::Event;
use crate::model::Secret;

/// How long connecting and the first words may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of one payload that the gateway takes.
const MOST_BYTES: usize = 4_096;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A session that can be gone on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// Its id.
    pub(super) id: String,
    /// Where it is gone on with.
    pub(super) url: String,
    /// The newest event that came.
    pub(super) seq: u64,
}

/// What the end of a connection means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Connect and go on with the session.
    Resume(String),
    /// Begin a new session.
    Anew(String),
    /// Somebody must do something first.
    Hopeless(String),
    /// We were asked to end.
    Asked,
}

/// What a connection needs to know.
pub(super) struct Line<'a> {
    /// The bot token.
    pub(super) token: &'a Secret,
    /// Which events are wanted.
    pub(super) intents: u64,
    /// Where events go.
    pub(super) events: &'a mpsc::Sender<Event>,
    /// Called once events come.
    pub(super) connected: &'a (dyn Fn() + Send + Sync),
    /// Called with an event for which there was no room. Its number is passed over all the same: a
    /// resumed session would bring it into the same crowd.
    pub(super) left_out: &'a (dyn Fn(&Event) + Send + Sync),
    /// When to end.
    pub(super) shutdown: &'a CancellationToken,
}

impl Line<'_> {
    /// Connects and listens until the connection ends. `session` is kept for the next one.
    pub(super) async fn hold(&self, url: &str, session: &mut Option<Session>) -> End {
        let url = session.as_ref().map_or(url, |s| &s.url).trim_end_matches('/').to_owned();
        let query = if url.contains('?') { "&" } else { "/?" };
        let address = format!("{url}{query}v=10&encoding=json");
        let mut socket = match timeout(PATIENCE, connect_async(address.as_str())).await {
            Ok(Ok((socket, _))) => socket,
            Ok(Err(_)) => return End::Resume("the gateway takes no connection".into()),
            Err(_) => return End::Resume("the gateway does not answer".into()),
        };
        let end = self.talk(&mut socket, session).await;
        // 1000 and 1001 would end the session; only when we end for good is that meant.
        let code = if end == End::Asked { CloseCode::Normal } else { CloseCode::Library(4_900) };
        let frame = CloseFrame { code, reason: "".into() };
        let _ = timeout(Duration::from_secs(1), socket.close(Some(frame))).await;
        end
    }

    async fn talk(&self, socket: &mut Socket, session: &mut Option<Session>) -> End {
        let interval = match timeout(PATIENCE, next(socket)).await {
            Ok(Ok(hello)) if hello["op"] == 10 => hello["d"]["heartbeat_interval"].as_u64(),
            Ok(Err(end)) => return ended(end, session),
            _ => None,
        };
        let Some(interval) = interval.filter(|ms| (1..=600_000).contains(ms)) else {
            return End::Resume("the gateway does not say hello".into());
        };
        let interval = Duration::from_millis(interval);
        let first = match session {
            Some(s) => json!({ "op": 6, "d": {
                "token": self.token.reveal(), "session_id": s.id, "seq": s.seq,
            }}),
            None => json!({ "op": 2, "d": {
                "token": self.token.reveal(), "intents": self.intents, "large_threshold": 50,
                "properties": { "os": "linux", "browser": "nightjar", "device": "nightjar" },
            }}),
        };
        if send(socket, &first).await.is_err() {
            return End::Resume("the connection broke off".into());
        }
        let mut beat = Instant::now() + interval / 2;
        let mut acknowledged = true;
        loop {
            let payload = tokio::select! {
                () = self.shutdown.cancelled() => return End::Asked,
                () = tokio::time::sleep_until(beat) => {
                    if !acknowledged {
                        return End::Resume("the gateway acknowledges no heartbeat".into());
                    }
                    (acknowledged, beat) = (false, Instant::now() + interval);
                    let seq = session.as_ref().map(|s| s.seq);
                    if send(socket, &json!({ "op": 1, "d": seq })).await.is_err() {
                        return End::Resume("the connection broke off".into());
                    }
                    continue;
                }
                payload = next(socket) => match payload {
                    Ok(payload) => payload,
                    Err(end) => return ended(end, session),
                },
            };
            match payload["op"].as_u64() {
                Some(0) => self.dispatch(payload, session),
                Some(1) => beat = Instant::now(),
                Some(7) => return End::Resume("the gateway asked for a new connection".into()),
                Some(9) if payload["d"] == true => {
                    return End::Resume("the gateway asked to resume".into());
                }
                Some(9) => {
                    *session = None;
                    return End::Anew("the session is over".into());
                }
                Some(11) => acknowledged = true,
                _ => {}
            }
        }
    }

    fn dispatch(&self, mut payload: Value, session: &mut Option<Session>) {
        let (name, data) =
            (payload["t"].as_str().unwrap_or_default().to_owned(), payload["d"].take());
        if name == "READY" {
            let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
            let (id, url) = (text("session_id"), text("resume_gateway_url"));
            *session = Some(Session { id, url, seq: 0 });
        }
        if let (Some(session), Some(seq)) = (session, payload["s"].as_u64()) {
            session.seq = seq;
        }
        if name == "READY" || name == "RESUMED" {
            (self.connected)();
        }
        let event = Event { name, data, at: Instant::now() };
        if let Err(error) = self.events.try_send(event) {
            (self.left_out)(&error.into_inner());
            metrics::counter!("nightjar_discord_shed_total").increment(1);
            tracing::error!(
                "events of discord come faster than they are handled; one was left out"
            );
        }
    }
}

/// Why nothing more comes.
enum Gone {
    Closed(Option<u16>),
    Broken,
}

async fn next(socket: &mut Socket) -> Result<Value, Gone> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(payload) => return Ok(payload),
                Err(_) => return Err(Gone::Broken),
            },
            Some(Ok(Message::Close(frame))) => {
                return Err(Gone::Closed(frame.map(|f| f.code.into())));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(Gone::Broken),
        }
    }
}

async fn send(socket: &mut Socket, payload: &Value) -> Result<(), ()> {
    let text = payload.to_string();
    debug_assert!(text.len() <= MOST_BYTES, "the gateway closes on longer payloads");
    let sent = timeout(PATIENCE, socket.send(Message::text(text))).await;
    sent.map_err(|_| ())?.map_err(|_| ())
}

/// What the close codes of the gateway mean
/// (<https://discord.com/developers/docs/topics/opcodes-and-status-codes>).
fn ended(gone: Gone, session: &mut Option<Session>) -> End {
    let Gone::Closed(Some(code)) = gone else {
        return End::Resume("the connection broke off".into());
    };
    let hopeless = match code {
        4_004 => Some(super::trouble::Trouble::Token.to_string()),
        4_010..=4_012 => Some(format!("the gateway refused this bot with code {code}")),
        4_013 | 4_014 => Some(
            "Discord does not grant the message-content intent: switch on Message Content Intent \
             in the Developer Portal (Bot), or take chat.discord.message_content out"
                .to_owned(),
        ),
        _ => None,
    };
    if let Some(why) = hopeless {
        *session = None;
        return End::Hopeless(why);
    }
    if matches!(code, 4_003 | 4_007 | 4_009) {
        *session = None;
        return End::Anew(format!("the session was closed with code {code}"));
    }
    End::Resume(format!("the connection was closed with code {code}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn an_event_that_finds_no_room_is_told() {
        let (events, _receiver) = mpsc::channel(1);
        let (token, shutdown) = (Secret::new("not-a-real-token"), CancellationToken::new());
        let told = Mutex::new(Vec::new());
        let left_out = |event: &Event| {
            told.lock().expect("no panic").push((event.name.clone(), event.data.clone()));
        };
        let line = Line {
            token: &token,
            intents: 0,
            events: &events,
            connected: &|| {},
            left_out: &left_out,
            shutdown: &shutdown,
        };
        for seq in 1..=2 {
            let payload = json!({ "op": 0, "t": "MESSAGE_CREATE", "s": seq, "d": { "id": seq } });
            line.dispatch(payload, &mut None);
        }
        let told = told.into_inner().expect("no panic");
        assert_eq!(told, [("MESSAGE_CREATE".to_owned(), json!({ "id": 2 }))]);
    }
}
