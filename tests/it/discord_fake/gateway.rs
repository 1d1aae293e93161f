//! The gateway half: hello, sessions, heartbeats, resuming, and events to whoever may hear them.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{BOT, Fake, GUILD, TOKEN, World};
use crate::support::serve;

/// The intent for words without a mention.
const MESSAGE_CONTENT: u64 = 1 << 15;

/// What is sent over a connection.
pub(crate) enum Out {
    Text(Value),
    Close(u16),
    /// The connection breaks off without a word.
    Break,
}

/// A session, connected or not.
#[derive(Default)]
pub(crate) struct Session {
    pub(crate) intents: u64,
    seq: u64,
    past: Vec<Value>,
    line: Option<mpsc::UnboundedSender<Out>>,
}

pub(super) fn application(world: &World) -> Value {
    json!({
        "id": BOT.to_string(), "name": "nightjar", "icon": null, "description": "", "bot_public": true,
        "bot_require_code_grant": false, "verify_key": "00", "summary": "", "team": null,
        "owner": World::user(super::ADA),
        "flags": if world.content_granted { 1 << 19 } else { 0 },
    })
}

impl World {
    /// Tells everybody who listens and may hear it.
    pub(crate) fn dispatch(&mut self, name: &str, data: &Value) {
        for session in self.sessions.values_mut() {
            let mut data = data.clone();
            if name.starts_with("MESSAGE") {
                let in_guild = !data["guild_id"].is_null();
                let needed: u64 = if in_guild { 1 << 9 } else { 1 << 12 };
                // What the bot itself wrote, and what mentions it, it may read.
                let mentions = data["mentions"].as_array().is_some_and(|m| !m.is_empty());
                let own = data["author"]["bot"] == true;
                let guild = json!(GUILD.to_string());
                if own && data["guild_id"].is_null() {
                    data["guild_id"] = guild;
                } else if session.intents & needed == 0 {
                    continue;
                }
                let reads = session.intents & MESSAGE_CONTENT != 0;
                if in_guild && !reads && !mentions && !own {
                    data["content"] = json!("");
                }
            }
            session.seq += 1;
            let payload = json!({ "op": 0, "t": name, "s": session.seq, "d": data });
            session.past.push(payload.clone());
            if let Some(line) = &session.line {
                let _ = line.send(Out::Text(payload));
            }
        }
    }
}

impl Fake {
    /// Ends all connections: with a close code, or without a word.
    pub(crate) fn hang_up(&self, code: Option<u16>) {
        for session in self.world().sessions.values_mut() {
            if let Some(line) = session.line.take() {
                let _ = line.send(code.map_or(Out::Break, Out::Close));
            }
        }
    }

    /// Sends a payload that is no event to all who listen.
    pub(crate) fn tell(&self, payload: &Value) {
        for session in self.world().sessions.values() {
            if let Some(line) = &session.line {
                let _ = line.send(Out::Text(payload.clone()));
            }
        }
    }

    /// Forgets all sessions: whoever resumes must begin anew.
    pub(crate) fn forget_sessions(&self) {
        self.world().sessions.clear();
    }
}

pub(super) async fn accept(listener: TcpListener, fake: Fake) {
    while let Ok((stream, _)) = listener.accept().await {
        serve(converse(stream, fake.clone()));
    }
}

type Socket = WebSocketStream<TcpStream>;

async fn close(socket: &mut Socket, code: u16) {
    let frame = CloseFrame { code: code.into(), reason: "".into() };
    let _ = socket.close(Some(frame)).await;
}

async fn converse(stream: TcpStream, fake: Fake) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let (line, mut out) = mpsc::unbounded_channel();
    let interval = fake.world().heartbeat_ms;
    let hello = json!({ "op": 10, "s": null, "t": null, "d": { "heartbeat_interval": interval } });
    if socket.send(Message::text(hello.to_string())).await.is_err() {
        return;
    }
    let mut known = false;
    loop {
        tokio::select! {
            said = out.recv() => match said {
                Some(Out::Text(payload)) => {
                    if socket.send(Message::text(payload.to_string())).await.is_err() {
                        return;
                    }
                }
                Some(Out::Close(code)) => return close(&mut socket, code).await,
                Some(Out::Break) | None => return,
            },
            heard = socket.next() => {
                let text = match heard {
                    Some(Ok(Message::Text(text))) => text,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => continue,
                };
                if text.len() > 4_096 {
                    return close(&mut socket, 4_002).await;
                }
                let Ok(payload) = serde_json::from_str::<Value>(&text) else {
                    return close(&mut socket, 4_002).await;
                };
                match fake.hear(&payload, &line, &mut known) {
                    Ok(()) => fake.changed(),
                    Err(code) => return close(&mut socket, code).await,
                }
            }
        }
    }
}

impl Fake {
    /// Does what a payload of a client asks for; the close code where it is wrong.
    fn hear(
        &self,
        payload: &Value,
        line: &mpsc::UnboundedSender<Out>,
        known: &mut bool,
    ) -> Result<(), u16> {
        let mut world = self.world();
        let data = &payload["d"];
        let good = data["token"] == TOKEN && !world.token_is_bad;
        let say = |payload: Value| drop(line.send(Out::Text(payload)));
        match payload["op"].as_u64() {
            Some(1) => {
                if !world.deaf_to_heartbeats {
                    say(json!({ "op": 11, "d": null, "s": null, "t": null }));
                }
            }
            Some(2) if *known => return Err(4_005),
            Some(2) => {
                let intents = data["intents"].as_u64().ok_or(4_013_u16)?;
                if !good {
                    return Err(4_004);
                }
                if intents & MESSAGE_CONTENT != 0 && !world.content_granted {
                    return Err(4_014);
                }
                world.n_identified += 1;
                let id = format!("session-{}", world.n_identified);
                let (past, line) = (Vec::new(), Some(line.clone()));
                world.sessions.insert(id.clone(), Session { intents, seq: 0, past, line });
                *known = true;
                let url = format!("ws://127.0.0.1:{}", world.gateway_port);
                let ready = json!({
                    "v": 10, "user": World::user(BOT), "session_id": id,
                    "guilds": [{ "id": GUILD.to_string(), "unavailable": true }],
                    "resume_gateway_url": url, "application": { "id": BOT.to_string(), "flags": 0 },
                    "private_channels": [], "relationships": [], "presences": [],
                });
                let guild = world.guild();
                world.dispatch("READY", &ready);
                world.dispatch("GUILD_CREATE", &guild);
            }
            Some(6) => {
                if !good {
                    return Err(4_004);
                }
                let seq = data["seq"].as_u64().ok_or(4_007_u16)?;
                let id = data["session_id"].as_str().unwrap_or_default().to_owned();
                let Some(session) = world.sessions.get_mut(&id) else {
                    say(json!({ "op": 9, "d": false, "s": null, "t": null }));
                    return Ok(());
                };
                if seq > session.seq {
                    return Err(4_007);
                }
                *known = true;
                session.line = Some(line.clone());
                let missed = session.past.iter().filter(|p| p["s"].as_u64().unwrap_or(0) > seq);
                missed.for_each(|p| say(p.clone()));
                session.seq += 1;
                say(json!({ "op": 0, "t": "RESUMED", "s": session.seq, "d": {} }));
                world.n_resumed += 1;
            }
            Some(3 | 4 | 8) => {}
            _ => return Err(4_001),
        }
        Ok(())
    }
}
