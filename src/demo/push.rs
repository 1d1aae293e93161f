//! What the shop sends by itself: spans and log lines over OTLP, signed deploy webhooks, and the
//! scheduler that lets things happen.

use std::future::Future;
use std::time::Duration;

use hmac::{Hmac, Mac as _};
use prost::Message as _;
use serde_json::json;
use sha2::Sha256;
use tokio_util::sync::CancellationToken;

use super::otlp::{logs, traces};
use super::scenario::{Scenario, scenario, scenarios};
use super::town::SERVICES;
use super::world::{Episode, World};
use super::{Shop, alerts};
use crate::model::id::hex;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::model::{Fault, Time, wall_now};

/// Event time between two pushes.
const EVERY: Duration = Duration::from_secs(15);
/// Event time from the first live moment to the first scenario.
const FIRST_MS: i64 = 2 * MINUTE_MS;
/// Event time between the end of one scenario and the next.
const PAUSE_MS: i64 = 45 * MINUTE_MS;
/// Messages with spans of the hour before the start: enough to see calls that few requests make.
pub(super) const PAST: i64 = 12;
/// How often one message is tried before it is given up.
const TRIES: u32 = 8;
/// Content type of OTLP messages.
const PROTOBUF: &str = "application/x-protobuf";

struct Pusher {
    shop: Shop,
    bot: String,
    client: reqwest::Client,
}

impl Shop {
    /// Pushes to the bot at `bot` (its base address) until the token is cancelled.
    ///
    /// # Errors
    /// The HTTP client can't be made, or the shop's file can't be written.
    pub fn push(
        &self,
        bot: String,
        shutdown: CancellationToken,
    ) -> impl Future<Output = Result<(), Fault>> + Send + use<> {
        let shop = self.clone();
        async move {
            let client = reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .build()
                .map_err(|e| Fault::permanent("can't make the shop's HTTP client", e))?;
            let pusher = Pusher { shop, bot, client };
            tokio::select! {
                () = shutdown.cancelled() => Ok(()),
                result = pusher.run() => result,
            }
        }
    }
}

impl Pusher {
    async fn run(&self) -> Result<(), Fault> {
        let start = self.shop.now();
        self.history(start).await;
        let mut last = start;
        let mut told = self.shop.world().episodes().len();
        loop {
            let pause = self.shop.inner.options.clock.wall(EVERY);
            tokio::time::sleep(pause.max(Duration::from_millis(250))).await;
            let now = self.shop.now();
            self.schedule(start, now)?;
            let world = self.shop.world();
            for episode in world.episodes().iter().skip(told) {
                self.tell_change(&world, episode).await;
            }
            told = world.episodes().len();
            for deploy in world.regular_deploys(last, now) {
                self.tell_regular(&world, deploy.service, deploy.at).await;
            }
            let spans = traces(&world, last, now);
            self.send("/v1/traces", PROTOBUF, spans.encode_to_vec()).await;
            let lines = logs(&world, last, now);
            self.send("/v1/logs", PROTOBUF, lines.encode_to_vec()).await;
            for delivery in alerts::deliveries(&world, last, now) {
                let body = delivery.to_string().into_bytes();
                self.send("/ingest/alertmanager", "application/json", body).await;
            }
            last = now;
        }
    }

    /// Spans of the hour before the start, so that whoever watches knows who calls whom before
    /// anything happens, and the deploys of the fortnight.
    async fn history(&self, now: Time) {
        let world = self.shop.world();
        let length = HOUR_MS / PAST;
        for n in (0..PAST).rev() {
            let until = now.plus_ms(-n * length);
            let spans = traces(&world, until.plus_ms(-length), until);
            self.send("/v1/traces", PROTOBUF, spans.encode_to_vec()).await;
        }
        for deploy in world.regular_deploys(now.plus_ms(-14 * DAY_MS), now) {
            self.tell_regular(&world, deploy.service, deploy.at).await;
        }
    }

    /// Starts the next scenario when nothing has happened for a while.
    fn schedule(&self, start: Time, now: Time) -> Result<(), Fault> {
        let world = self.shop.world();
        let last = world.episodes().iter().map(|e| e.until).max();
        let due = match last {
            None => start.plus_ms(FIRST_MS),
            Some(end) => end.plus_ms(PAUSE_MS).max(start.plus_ms(FIRST_MS)),
        };
        if now < due {
            return Ok(());
        }
        let chosen = self.shop.inner.options.scenario.as_deref().and_then(scenario);
        // What the rhythm brings by itself needs no injection.
        let playable: Vec<&Scenario> = scenarios().iter().filter(|s| s.has_effect()).collect();
        let next = chosen.unwrap_or_else(|| playable[world.episodes().len() % playable.len()]);
        self.shop.inject(next)
    }

    async fn tell_change(&self, world: &World, episode: &Episode) {
        let Some(change) = &episode.scenario.change else { return };
        let (version, previous) = episode.versions.clone().unzip();
        let title = change
            .title
            .replace("{version}", version.as_deref().unwrap_or(""))
            .replace("{previous}", previous.as_deref().unwrap_or(""));
        let mut body = json!({
            "kind": change.kind, "title": title, "author": change.author, "at": episode.from,
            "status": "success", "attributes": change.attributes,
        });
        for (name, value) in [
            ("service", &change.service),
            ("entity", &change.entity),
            ("version", &version),
            ("previous", &previous),
        ] {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        let _ = world;
        self.hook(&body).await;
    }

    async fn tell_regular(&self, world: &World, service: usize, at: Time) {
        let (version, previous) =
            (world.version(service, at), world.version(service, at.plus_ms(-1)));
        let name = SERVICES[service].name;
        self.hook(&json!({
            "kind": "deploy", "service": name, "title": format!("Deploy {name} {version}"),
            "version": version, "previous": previous, "author": "release-train", "at": at,
            "status": "success",
        }))
        .await;
    }

    /// A signed deploy webhook. The signature's time is the wall clock's.
    async fn hook(&self, body: &serde_json::Value) {
        let body = body.to_string();
        for n in 0..TRIES {
            let stamp = (wall_now().ms() / SECOND_MS).to_string();
            let secret = self.shop.inner.options.hook_secret.as_bytes();
            let mut mac =
                Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
            mac.update(format!("{stamp}.{body}").as_bytes());
            let signature = format!("sha256={}", hex(&mac.finalize().into_bytes()));
            let sent = self
                .client
                .post(format!("{}/hooks/deploy", self.bot))
                .header("Content-Type", "application/json")
                .header("X-Nightjar-Timestamp", stamp)
                .header("X-Nightjar-Signature", signature)
                .body(body.clone())
                .send()
                .await;
            if settled("/hooks/deploy", sent, n).await {
                return;
            }
        }
    }

    async fn send(&self, path: &str, kind: &str, body: Vec<u8>) {
        for n in 0..TRIES {
            let sent = self
                .client
                .post(format!("{}{path}", self.bot))
                .header("Content-Type", kind)
                .body(body.clone())
                .send()
                .await;
            if settled(path, sent, n).await {
                return;
            }
        }
    }
}

/// Whether nothing more is to be tried; waits before the next try.
async fn settled(path: &str, sent: Result<reqwest::Response, reqwest::Error>, n: u32) -> bool {
    match sent {
        Ok(response) if response.status().is_success() => return true,
        Ok(response) if response.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE => {}
        Ok(response) => {
            let status = response.status();
            let text = response.text().await.unwrap_or_default();
            tracing::warn!(path, %status, text, "the bot refused what the shop sent");
            return true;
        }
        Err(error) => tracing::debug!(path, %error, "the bot can't be reached"),
    }
    tokio::time::sleep(Duration::from_millis(200 << n.min(5))).await;
    false
}
