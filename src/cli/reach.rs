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
        let mut request = self.http.request(method, format!("{}/api/v1{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.reveal());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| self.unreachable(&e))?;
        let value: Option<Value> = serde_json::from_str(&text).ok();
        if status.is_success() {
            return value.with_context(|| format!("{} did not answer as nightjar does", self.url));
        }
        let words = |pointer: &str| {
            value.as_ref().and_then(|v| v.pointer(pointer)).and_then(Value::as_str).unwrap_or("")
        };
        let (message, next) = (words("/error/message"), words("/error/what_to_do"));
        if status.as_u16() == 401 {
            anyhow::bail!(
                "{} wants a token: set NIGHTJAR_TOKEN, or name a file with --token-file",
                self.url
            );
        }
        if message.is_empty() {
            anyhow::bail!("{} answered HTTP {}; is it nightjar?", self.url, status.as_u16());
        }
        let text =
            if message.contains(next) { message.into() } else { format!("{message} {next}") };
        Err(Stop { code: 1, text }.into())
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
