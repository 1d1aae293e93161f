//! What `nightjar check` tries of a workspace: tokens, permissions, channels and groups, each with
//! what to do where it is not right.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::scopes::{NEEDED, ROOMS};
use super::{Config, Slack};
use crate::chat::nobody::Nobody;
use crate::model::Fault;
use crate::model::clock::SystemClock;

/// How long the permissions may take to be told.
const PATIENCE: Duration = Duration::from_secs(10);

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub what: String,
    /// What was seen, or what is wrong and what to do.
    pub result: Result<String, String>,
    /// Whether the bot is of no use where it failed; else a feature is lost.
    pub essential: bool,
}

impl Finding {
    fn new(what: impl Into<String>, essential: bool, result: Result<String, String>) -> Self {
        Self { what: what.into(), result, essential }
    }
}

/// Tries a workspace by its settings alone.
///
/// # Errors
/// The machine can't make encrypted connections.
pub async fn check(config: &Config) -> Result<Vec<Finding>, Fault> {
    let slack = Slack::new(config.clone(), Arc::new(Nobody), Arc::new(SystemClock))?;
    Ok(slack.check().await)
}

impl Slack {
    /// Tries the tokens, the permissions, the channels and the groups of the settings. Changes
    /// nothing in the workspace.
    pub async fn check(&self) -> Vec<Finding> {
        let name = &self.inner.platform;
        let who = self.get_call("auth.test", &[]).await;
        let token = match &who {
            Ok(who) => {
                let text = |name: &str| who[name].as_str().unwrap_or_default();
                Ok(format!("workspace {} knows the bot as @{}", text("team"), text("user")))
            }
            Err(f) => Err(f.fault.to_string()),
        };
        let mut found = vec![Finding::new(format!("{name}: bot_token"), true, token)];
        if who.is_err() {
            return found;
        }
        found.extend(self.check_scopes().await);
        found.push(self.check_way_in().await);
        let config = &self.inner.config;
        let routes = config.routes.iter().map(|r| &r.channel);
        let channels: BTreeSet<&String> = std::iter::once(&config.channel).chain(routes).collect();
        for channel in channels {
            found.push(self.check_channel(channel).await);
        }
        let groups: BTreeSet<&String> =
            config.people.iter().filter_map(|p| p.group.as_ref()).collect();
        for group in groups {
            let answer = self.get_call("usergroups.users.list", &[("usergroup", group)]).await;
            let result = match answer {
                Ok(answer) => {
                    let n = answer["users"].as_array().map_or(0, Vec::len);
                    Ok(format!("{n} people"))
                }
                Err(f) => Err(f.fault.to_string()),
            };
            found.push(Finding::new(format!("{name}: group {group}"), false, result));
        }
        found
    }

    async fn check_scopes(&self) -> Vec<Finding> {
        let what = |scope: &str| format!("{}: scope {scope}", self.inner.platform);
        let granted = match self.granted().await {
            Ok(granted) => granted,
            Err(why) => return vec![Finding::new(what("list"), false, Err(why))],
        };
        let rooms = !self.inner.config.incident_channels.severities.is_empty();
        let needed: Vec<_> = NEEDED.iter().chain(ROOMS.iter().filter(|_| rooms)).collect();
        let lacking = needed.iter().filter(|s| !granted.contains(s.name));
        let mut found: Vec<Finding> = lacking
            .map(|scope| {
                let text = format!(
                    "it is not granted; without it are lost: {}. Add it to the app's manifest \
                     (deploy/slack-manifest.yaml) and install the app again",
                    scope.feature
                );
                Finding::new(what(scope.name), scope.essential, Err(text))
            })
            .collect();
        if found.is_empty() {
            let text = format!("all {} that are needed are granted", needed.len());
            found.push(Finding::new(what("list"), true, Ok(text)));
        }
        found
    }

    /// The granted scopes. Slack tells them in a header only, which its library does not show.
    async fn granted(&self) -> Result<BTreeSet<String>, String> {
        let config = &self.inner.config;
        let url = format!("{}/auth.test", config.api_url.trim_end_matches('/'));
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()
            .map_err(|e| format!("no client could be made: {e}"))?;
        let sent = http.post(url).bearer_auth(config.bot_token.reveal()).send().await;
        let answer = sent.map_err(|e| format!("Slack was not reached: {}", e.without_url()))?;
        let header = answer.headers().get("x-oauth-scopes").and_then(|v| v.to_str().ok());
        let scopes = header.ok_or("Slack does not tell which scopes are granted")?;
        Ok(scopes.split(',').map(|s| s.trim().to_owned()).collect())
    }

    /// Whether what people do reaches us.
    async fn check_way_in(&self) -> Finding {
        let config = &self.inner.config;
        let name = &self.inner.platform;
        match (&config.app_token, &config.signing_secret) {
            (Some(token), _) => {
                let (web, nothing) = (self.inner.web.with(token), json!({}));
                let result = match web.post("apps.connections.open", &nothing).await {
                    Ok(answer) if answer["url"].is_string() => Ok("Socket Mode opens".to_owned()),
                    Ok(_) => Err("Slack gave no address for Socket Mode; switch it on".to_owned()),
                    Err(f) => Err(f.fault.to_string()),
                };
                Finding::new(format!("{name}: app_token"), true, result)
            }
            (None, Some(_)) => {
                let text = "events come by HTTP: set the app's request addresses to \
                            <web.public_url>/hooks/slack/events, …/interactive and …/commands";
                Finding::new(format!("{name}: signing_secret"), true, Ok(text.to_owned()))
            }
            (None, None) => {
                let text = "neither app_token (Socket Mode) nor signing_secret (HTTP) is set: \
                            buttons, questions and commands do not arrive";
                Finding::new(format!("{name}: way in"), true, Err(text.to_owned()))
            }
        }
    }

    async fn check_channel(&self, given: &str) -> Finding {
        let what = format!("{}: channel {given}", self.inner.platform);
        let result = match self.channel_id(given).await {
            Err(fault) => Err(fault.to_string()),
            Ok(id) => match self.get_call("conversations.info", &[("channel", &id)]).await {
                Err(f) => Err(f.fault.to_string()),
                Ok(answer) => judged(&answer["channel"], &id),
            },
        };
        Finding::new(what, true, result)
    }
}

fn judged(channel: &Value, id: &str) -> Result<String, String> {
    let name = channel["name"].as_str().unwrap_or(id);
    if channel["is_archived"] == true {
        return Err(format!("#{name} is archived; choose another or unarchive it"));
    }
    if channel["is_member"] != true {
        return Err(format!("the bot is not in #{name}; write /invite @nightjar there"));
    }
    Ok(format!("the bot is in #{name} ({id})"))
}
