//! Where the answers of the command line come from: the bot that runs, or else its store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::Value;

use super::start::{self, Stop};
use crate::app::Presence;
use crate::config;
use crate::model::Secret;
use crate::store::Reader;

/// An answer with a model may take its time.
const PATIENCE: Duration = Duration::from_secs(180);

/// Where to look.
#[derive(clap::Args, Debug, Default)]
pub(super) struct Where {
    /// Address of a running bot; its token comes from --token-file or NIGHTJAR_TOKEN.
    #[arg(long, env = "NIGHTJAR_URL")]
    pub(super) url: Option<String>,
    /// File that holds an API token.
    #[arg(long, env = "NIGHTJAR_TOKEN_FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// The configuration; it names the data folder.
    #[arg(long, env = "NIGHTJAR_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// The data folder; left out: that of the configuration, ./nightjar-data or ./nightjar-demo.
    #[arg(long)]
    pub(super) data_dir: Option<PathBuf>,
    /// Write JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// What answers.
pub(super) enum Door {
    /// A running bot.
    Bot(Bot),
    /// The store of a bot that does not run, read-only.
    Store(Reader, PathBuf),
}

/// A running bot's API.
pub(super) struct Bot {
    http: reqwest::Client,
    url: String,
    token: Option<Secret>,
}

impl Where {
    /// Finds the bot, or its store.
    ///
    /// # Errors
    /// There is neither, or what is named can't be read.
    pub(super) fn door(&self) -> anyhow::Result<Door> {
        let token = self.token()?;
        if let Some(url) = &self.url {
            return Ok(Door::Bot(Bot::new(url, token)?));
        }
        let folders = self.folders()?;
        for folder in &folders {
            if let Some(note) = Presence::running(folder) {
                if note.url.is_empty() {
                    anyhow::bail!("the bot (process {}) is still starting; try again", note.pid);
                }
                return Ok(Door::Bot(Bot::new(&note.url, Some(token.unwrap_or(note.token)))?));
            }
        }
        let store = |folder: &PathBuf| folder.join("nightjar.sqlite");
        let hidden = |path: &PathBuf| {
            let seen = std::fs::metadata(path);
            seen.is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
        };
        if let Some(path) = folders.iter().map(store).find(hidden) {
            anyhow::bail!(
                "this user may not read {}; be the bot's user (sudo), or ask the bot by --url with \
                 an API token in NIGHTJAR_TOKEN",
                path.display()
            );
        }
        let Some(path) = folders.iter().map(store).find(|p| p.exists()) else {
            let shown: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
            anyhow::bail!(
                "no bot runs and there is no store in {}; name the data folder with --data-dir, or \
                 a bot elsewhere with --url",
                shown.join(" or ")
            );
        };
        Ok(Door::Store(Reader::open(&path).map_err(|e| anyhow::anyhow!(e.chain()))?, path))
    }

    fn token(&self) -> anyhow::Result<Option<Secret>> {
        if let Some(path) = &self.token_file {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("reading the token from {}", path.display()))?;
            return Ok(Some(text.trim().into()));
        }
        let found = config::environment().into_iter().find(|(name, _)| name == "NIGHTJAR_TOKEN");
        Ok(found.map(|(_, value)| value.trim().into()))
    }

    fn folders(&self) -> anyhow::Result<Vec<PathBuf>> {
        if let Some(folder) = &self.data_dir {
            return Ok(vec![folder.clone()]);
        }
        let usual = Path::new("nightjar.toml");
        let file = self.config.as_deref().or(usual.exists().then_some(usual));
        Ok(match file {
            Some(file) => vec![start::loaded(file)?.data_dir],
            None => vec!["nightjar-data".into(), "nightjar-demo".into()],
        })
    }
}

impl Bot {
    fn new(url: &str, token: Option<Secret>) -> anyhow::Result<Self> {
        let parsed = url::Url::parse(url).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
        if parsed.is_none() {
            let text = format!("`{url}` is not an address such as http://127.0.0.1:7878");
            return Err(Stop::usage(text).into());
        }
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .timeout(PATIENCE)
            .build()?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), token })
    }

    /// Its address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// One request below `/api/v1`.
    ///
    /// # Errors
    /// The bot can't be reached, or refuses; its words are shown as they are.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let answer = self.request(method, path, body).send().await;
        let answer = answer.map_err(|e| self.unreachable(&e))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| self.unreachable(&e))?;
        let value: Option<Value> = serde_json::from_str(&text).ok();
        if status.is_success() {
            return value.with_context(|| format!("{} did not answer as nightjar does", self.url));
        }
        Err(self.refusal(status.as_u16(), value.as_ref()))
    }

    /// Asks a question; `told` hears what is being looked up while the answer is made.
    ///
    /// # Errors
    /// As [`Bot::call`].
    pub(super) async fn ask(&self, body: &Value, told: impl Fn(&str)) -> anyhow::Result<Value> {
        let request = self.request(Method::POST, "/ask", Some(body));
        let request = request.header(reqwest::header::ACCEPT, "text/event-stream");
        let mut answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = answer.status();
        if !status.is_success() {
            let value = answer.json().await.ok();
            return Err(self.refusal(status.as_u16(), value.as_ref()));
        }
        let mut text = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|e| self.unreachable(&e))? {
            text.extend_from_slice(&piece);
            // An event ends with an empty line.
            while let Some(end) = text.windows(2).position(|w| w == b"\n\n") {
                let event: Vec<u8> = text.drain(..end + 2).collect();
                match said(&String::from_utf8_lossy(&event)) {
                    Some(("answer", value)) => return Ok(value),
                    Some(("failure", value)) => return Err(self.refusal(500, Some(&value))),
                    Some((_, value)) if value["kind"] == "step" => {
                        told(value["text"].as_str().unwrap_or_default());
                    }
                    _ => {}
                }
            }
        }
        anyhow::bail!("{} broke off in the midst of its answer; ask again", self.url)
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> reqwest::RequestBuilder {
        let mut request = self.http.request(method, format!("{}/api/v1{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.reveal());
        }
        match body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    /// What the bot says of a request that it did not serve.
    fn refusal(&self, status: u16, value: Option<&Value>) -> anyhow::Error {
        let words = |pointer: &str| {
            value.and_then(|v| v.pointer(pointer)).and_then(Value::as_str).unwrap_or("")
        };
        let (message, next) = (words("/error/message"), words("/error/what_to_do"));
        if status == 401 {
            return anyhow::anyhow!(
                "{} wants a token: set NIGHTJAR_TOKEN, or name a file with --token-file",
                self.url
            );
        }
        if message.is_empty() {
            return anyhow::anyhow!("{} answered HTTP {status}; is it nightjar?", self.url);
        }
        let text =
            if message.contains(next) { message.into() } else { format!("{message} {next}") };
        Stop { code: 1, text }.into()
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        if error.is_timeout() {
            return anyhow::anyhow!("{} did not answer in time", self.url);
        }
        let mut cause: &dyn std::error::Error = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        anyhow::anyhow!("{} can't be reached ({cause}); is the bot running there?", self.url)
    }
}

/// The name and data of a server-sent event.
fn said(event: &str) -> Option<(&'static str, Value)> {
    let field = |name: &str| {
        event.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':').map(str::trim_start))
    };
    let name = field("event")?;
    let name = ["progress", "answer", "failure"].into_iter().find(|known| *known == name)?;
    Some((name, serde_json::from_str(field("data")?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_and_comments_are_not() {
        let event = "event: progress\ndata: {\"kind\":\"step\",\"text\":\"Reading\"}\n\n";
        let (name, value) = said(event).expect("an event");
        assert_eq!((name, &value["text"]), ("progress", &Value::from("Reading")));
        assert_eq!(said(": keep-alive\n\n"), None);
        assert_eq!(said("event: answer\ndata: {\n\n"), None);
        assert_eq!(said("event: other\ndata: {}\n\n"), None);
    }
}
