//! The running adapter: who the bot is, its connections, and the work that came through them.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::events::Me;
use super::handle::{AT_ONCE, Work};
use super::socket::Socket;
use super::{Cause, Slack};
use crate::model::Fault;

/// First wait between two tries to connect; each next one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait between two tries to connect.
const LONGEST: Duration = Duration::from_secs(60);

impl Slack {
    /// Connects and serves until told to end, and connects again whenever that fails. What was
    /// acknowledged is handed over before it returns.
    /// Run again after a failure, it goes on with what still waits.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut queue = self.inner.works.lock().await;
        tokio::join!(self.serve(&mut queue, shutdown.clone()), self.connect(shutdown));
    }

    /// Does the work, at most [`AT_ONCE`] pieces at once.
    async fn serve(&self, queue: &mut mpsc::Receiver<Work>, shutdown: CancellationToken) {
        let mut working = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(()) = working.next(), if !working.is_empty() => {}
                work = queue.recv(), if working.len() < AT_ONCE => match work {
                    Some(work) => working.push(self.work(work)),
                    None => break,
                },
                () = shutdown.cancelled(), if !queue.is_closed() => queue.close(),
            }
        }
        while working.next().await.is_some() {}
    }

    /// Learns who the bot is, opens the connections and keeps them, until the end. Where none
    /// stands any more (the app-level token was revoked, the network is gone) it begins anew.
    async fn connect(&self, shutdown: CancellationToken) {
        let mut wait = FIRST;
        loop {
            let mut pause = wait;
            match self.begin().await {
                Ok(None) => return shutdown.cancelled().await,
                Ok(Some(socket)) => {
                    let begun = Instant::now();
                    let ends = tokio::select! {
                        () = socket.tend() => false,
                        () = shutdown.cancelled() => true,
                    };
                    socket.close().await;
                    if ends {
                        return;
                    }
                    // The new beginning finds out why, and says so.
                    tracing::warn!("no connection to Slack stands; all begin anew");
                    if begun.elapsed() > LONGEST * 5 {
                        (wait, pause) = (FIRST, FIRST);
                    }
                }
                Err(fault) => {
                    tracing::warn!(fault = %fault.chain(), "Slack is not connected");
                    if let Fault::Transient { after: Some(after), .. } = &fault {
                        pause = *after;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => wait = (wait * 2).min(LONGEST),
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn begin(&self) -> Result<Option<Socket>, Fault> {
        let answer = self.post_call("auth.test", &json!({})).await?;
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let me = Me { user: text("user_id"), bot: text("bot_id"), team: text("team_id") };
        tracing::info!(
            chat.platform = %self.inner.platform, slack.team = %text("team"),
            slack.user = %text("user"), "Slack knows the bot"
        );
        *self.inner.me.write().expect("no code panics while it holds this lock") = me;
        let Some(token) = &self.inner.config.app_token else { return Ok(None) };
        let opened = Socket::open(self, &self.inner.web.with(token)).await;
        if let Err(fault) = &opened {
            self.mark(Cause::Socket, Some(format!("app_token: {fault}")));
        }
        opened.map(Some)
    }
}
