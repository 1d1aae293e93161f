//! Socket Mode of the fake: connections with a ticket, envelopes in turn, and when each was
//! acknowledged.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::{Ack, Fake};
use crate::support::serve;

/// How long Slack waits for an acknowledgement.
const WAIT: Duration = Duration::from_secs(3);

/// What a connection is told to do.
pub(super) enum Order {
    /// Send this.
    Send(String),
    /// Say goodbye as Slack does when it renews a connection, and close.
    Renew,
    /// End without a word.
    Drop,
}

pub(super) async fn listen(listener: TcpListener, fake: Fake) {
    while let Ok((stream, _)) = listener.accept().await {
        serve(connection(stream, fake.clone()));
    }
}

// The callback's error is the library's own, large type.
#[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
async fn connection(stream: TcpStream, fake: Fake) {
    let tickets = fake.clone();
    let check = move |request: &Request, response: Response| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let ticket = query.strip_prefix("ticket=").and_then(|t| t.split('&').next());
        let mut workspace = tickets.look();
        let troubled = workspace.take_trouble("socket").is_some();
        let known = ticket.is_some_and(|t| workspace.tickets.remove(t)) && !troubled;
        if known {
            Ok(response)
        } else {
            let refusal = axum::http::Response::builder().status(401).body(None);
            Err(refusal.expect("a plain answer"))
        }
    };
    let Ok(mut socket) = accept_hdr_async(stream, check).await else { return };
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let n = {
        let mut workspace = fake.look();
        workspace.sockets.retain(|s| !s.is_closed());
        workspace.sockets.push(orders);
        workspace.sockets.len()
    };
    let stands_s = fake.look().connection_s;
    let hello = json!({
        "type": "hello", "num_connections": n, "connection_info": { "app_id": "A0" },
        "debug_info": { "host": "fake", "approximate_connection_time": stands_s },
    });
    if socket.send(Message::text(hello.to_string())).await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            order = ordered.recv() => match order {
                Some(Order::Send(frame)) => {
                    if socket.send(Message::text(frame)).await.is_err() {
                        return;
                    }
                }
                Some(Order::Renew) => {
                    let goodbye = json!({
                        "type": "disconnect", "reason": "refresh_requested",
                        "debug_info": { "host": "fake" },
                    });
                    let _ = socket.send(Message::text(goodbye.to_string())).await;
                    ordered.close();
                }
                Some(Order::Drop) | None => return,
            },
            frame = socket.next() => match frame {
                Some(Ok(Message::Text(text))) => acknowledged(&fake, &text),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}

fn acknowledged(fake: &Fake, text: &str) {
    let Ok(frame) = serde_json::from_str::<Value>(text) else { return };
    let envelope = frame["envelope_id"].as_str().unwrap_or_default();
    let Some((sent, tell)) = fake.look().waiting.remove(envelope) else { return };
    let payload = frame.get("payload").filter(|p| !p.is_null()).cloned();
    // A test that does not wait any more is none the worse.
    let _ = tell.send(Ack { after: sent.elapsed(), payload });
}

impl Fake {
    /// Sends an envelope to one of the connections and waits as long as Slack does; `None`: it was
    /// not acknowledged.
    pub(crate) async fn deliver(&self, kind: &str, payload: Value) -> Option<Ack> {
        let n = self.look().next();
        self.deliver_as(&format!("envelope-{n}"), 0, kind, payload).await
    }

    /// The same with an envelope's id and the number of the try.
    pub(crate) async fn deliver_as(
        &self,
        envelope: &str,
        attempt: u32,
        kind: &str,
        payload: Value,
    ) -> Option<Ack> {
        let frame = json!({
            "envelope_id": envelope, "type": kind, "payload": payload,
            "accepts_response_payload": kind != "events_api",
            "retry_attempt": attempt, "retry_reason": if attempt > 0 { "timeout" } else { "" },
        });
        let (tell, told) = tokio::sync::oneshot::channel();
        {
            let mut workspace = self.look();
            workspace.sockets.retain(|s| !s.is_closed());
            let n = workspace.next() as usize;
            let sockets = &workspace.sockets;
            let socket = sockets.get(n % sockets.len().max(1))?.clone();
            workspace.waiting.insert(envelope.to_owned(), (Instant::now(), tell));
            socket.send(Order::Send(frame.to_string())).ok()?;
        }
        tokio::time::timeout(WAIT, told).await.ok()?.ok()
    }

    /// Renews a connection, as Slack does every few hours.
    pub(crate) fn renew(&self) {
        if let Some(socket) = self.look().sockets.first() {
            let _ = socket.send(Order::Renew);
        }
    }

    /// Drops every connection without a word.
    pub(crate) fn drop_sockets(&self) {
        for socket in self.look().sockets.drain(..) {
            let _ = socket.send(Order::Drop);
        }
    }
}
