//! Requests to Discord's REST API: serenity's routes and bodies over a client of our own, because
//! serenity's tells nothing of a 429 and has no time limits. Any base address will do.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use serenity::builder::CreateAttachment;
use serenity::http::{LightMethod, Multipart, MultipartUpload, Request, Route};
use serenity_transport::header::HeaderMap;
use serenity_transport::{Client, Response};
use tokio::time::Instant;

use super::pace::{Halt, Pace};
use super::trouble::{Trouble, code};
use crate::model::{Fault, Secret};

/// Time that a request may take; first responses to interactions take at most
/// [`super::interact::FIRST`].
const TIMEOUT: Duration = Duration::from_secs(15);
/// Time that an upload may take.
const UPLOAD: Duration = Duration::from_secs(60);
/// The longest pause that is waited out here; a longer one is told to whoever asked.
const PATIENCE: Duration = Duration::from_millis(2_500);
/// Bytes of an answer that are read.
const MOST_BYTES: usize = 16 << 20;

/// What is sent.
pub(super) struct Ask<'a> {
    /// Where to.
    pub(super) route: Route<'a>,
    /// How.
    pub(super) method: LightMethod,
    /// The JSON body.
    pub(super) body: Option<&'a Value>,
    /// The query.
    pub(super) params: Vec<(&'static str, String)>,
    /// A file, with its name, that goes with the body.
    pub(super) file: Option<(&'a str, &'a [u8])>,
}

impl<'a> Ask<'a> {
    /// A request without a body.
    pub(super) fn new(method: LightMethod, route: Route<'a>) -> Self {
        Self { route, method, body: None, params: Vec::new(), file: None }
    }

    /// The same with a body.
    pub(super) fn body(self, body: &'a Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

/// The API under one address, with one token.
pub(super) struct Rest {
    client: Client,
    base: String,
    token: Secret,
    // Guards what the limits leave; held only while it is looked at.
    pace: Mutex<Pace>,
    // Guards why the API is not reached; `None`: it is.
    down: Mutex<Option<String>>,
}

impl Rest {
    /// A client of an address such as `https://discord.com`.
    ///
    /// # Errors
    /// No client can be made of the settings.
    pub(super) fn new(base: &str, token: &Secret) -> Result<Self, Fault> {
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(|e| Fault::permanent("prepare the client of Discord", e.without_url()))?;
        let base = base.trim_end_matches('/');
        let base = base.strip_suffix("/api/v10").unwrap_or(base);
        let base = base.strip_suffix("/api").unwrap_or(base).to_owned();
        let token =
            Secret::new(format!("Bot {}", token.reveal().trim().trim_start_matches("Bot ")));
        let (pace, down) = (Mutex::default(), Mutex::default());
        Ok(Self { client, base, token, pace, down })
    }

    /// Why the API is not reached, where it is not.
    pub(super) fn down(&self) -> Option<String> {
        self.down.lock().expect("nothing panics under this lock").clone()
    }

    /// Sends it as the limits allow, waiting for a short while where they ask for one.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Value, Trouble> {
        let begin = Instant::now();
        loop {
            let answer = self.once(&ask).await;
            match &answer {
                Err(Trouble::Limited { after }) if begin.elapsed() + *after <= PATIENCE => {
                    tokio::time::sleep(*after).await;
                }
                _ => return answer,
            }
        }
    }

    /// Sends it once, or not at all where a limit forbids it. A first response to an interaction is
    /// under no limit over all.
    pub(super) async fn once(&self, ask: &Ask<'_>) -> Result<Value, Trouble> {
        let bucket = ask.route.ratelimiting_bucket();
        let key = (!bucket.is_none()).then_some((ask.method, bucket));
        self.pace().take(key, Instant::now()).map_err(|halt| match halt {
            Halt::For(after) => Trouble::Limited { after },
            Halt::Token => Trouble::Token,
        })?;
        let answer = self.send(ask).await;
        let (status, headers, body) = match answer {
            Ok(answer) => answer,
            Err(why) => {
                metrics::counter!("nightjar_discord_requests_total", "status" => "none")
                    .increment(1);
                return Err(self.noted(Trouble::Down(why)));
            }
        };
        metrics::counter!("nightjar_discord_requests_total", "status" => status.to_string())
            .increment(1);
        let now = Instant::now();
        let number = |name: &str| -> Option<f64> {
            headers.get(name)?.to_str().ok()?.parse().ok().filter(|n| (0.0..1e6).contains(n))
        };
        let left = number("x-ratelimit-remaining");
        let reset = number("x-ratelimit-reset-after").map(Duration::from_secs_f64);
        let mut pace = self.pace();
        if let (Some(left), Some(reset)) = (left, reset) {
            pace.told(key, left as u32, reset, now);
        }
        if (200..300).contains(&status) {
            pace.accepted();
            drop(pace);
            let json = match body.as_slice() {
                [] => Ok(Value::Null),
                some => serde_json::from_slice(some),
            };
            // A page with status 200 is a proxy's login, not Discord.
            let json = json.map_err(|_| Trouble::Down("it did not answer with JSON".into()));
            return json.map_err(|t| self.noted(t)).inspect(|_| self.up());
        }
        let retry_after = number("retry-after").map(Duration::from_secs_f64);
        let trouble = Trouble::of(status, retry_after, &body);
        match &trouble {
            Trouble::Limited { after } => {
                // A limit beneath that of its route, such as the one on names of channels, may
                // come without headers; Discord's own answer then says that it is not over all.
                let told: Option<Value> = serde_json::from_slice(&body).ok();
                let own =
                    told.is_some_and(|t| t["global"] == false || t["code"] == code::OLD_EDITS);
                let all = headers.get("x-ratelimit-scope").is_some_and(|v| v == "global")
                    || headers.contains_key("x-ratelimit-global")
                    || (left.is_none() && !own);
                pace.limited(key, all, *after, now);
            }
            Trouble::Token => pace.refused(true, now),
            _ if status == 403 => pace.refused(false, now),
            _ => {}
        }
        drop(pace);
        Err(self.noted(trouble))
    }

    async fn send(&self, ask: &Ask<'_>) -> Result<(u16, HeaderMap, Vec<u8>), String> {
        let mut request = Request::new(ask.route, ask.method);
        let json = ask.body.map(Value::to_string);
        if let Some((name, bytes)) = ask.file {
            let upload = MultipartUpload::Attachments(vec![CreateAttachment::bytes(bytes, name)]);
            let multipart = Multipart { upload, fields: Vec::new(), payload_json: json };
            request = request.multipart(Some(multipart));
        } else {
            request = request.body(json.map(String::into_bytes));
        }
        if !ask.params.is_empty() {
            request = request.params(Some(ask.params.clone()));
        }
        let limit = if ask.file.is_some() { UPLOAD } else { TIMEOUT };
        let built = request.build(&self.client, self.token.reveal(), Some(&self.base));
        let request =
            built.map_err(|_| "the address in chat.discord.api_url is none".to_owned())?;
        let all = async {
            let mut response = request.send().await.map_err(|e| plain(&e))?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = read(&mut response).await?;
            Ok((status, headers, body))
        };
        let timed = tokio::time::timeout(limit, all).await;
        timed.unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs())))
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().expect("nothing panics under this lock")
    }

    /// Remembers trouble that concerns the whole connection, for [`Rest::down`].
    fn noted(&self, trouble: Trouble) -> Trouble {
        match &trouble {
            Trouble::Token | Trouble::Down(_) => {
                let mut down = self.down.lock().expect("nothing panics under this lock");
                if down.is_none() {
                    tracing::warn!(reason = %trouble, "discord is not usable");
                }
                *down = Some(trouble.to_string());
            }
            Trouble::Refused { .. } => self.up(),
            Trouble::Limited { .. } | Trouble::Unread => {}
        }
        trouble
    }

    fn up(&self) {
        let before = self.down.lock().expect("nothing panics under this lock").take();
        if before.is_some() {
            tracing::info!("discord is usable again");
        }
    }
}

/// An answer's body, within a limit.
async fn read(response: &mut Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| plain(&e))? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST_BYTES {
            return Err("its answer is too long".into());
        }
    }
    Ok(body)
}

/// An error without its address, which may hold an interaction's token.
fn plain(error: &serenity_transport::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    if error.is_connect() {
        return "no connection could be made".into();
    }
    "the connection broke off".into()
}
