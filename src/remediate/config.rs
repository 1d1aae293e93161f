//! What executors may touch. Nothing is allowed unless it is listed; without lists every action is
//! a dry run.

use std::collections::BTreeMap;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::telemetry::redact::redact;

use crate::model::Secret;

/// Settings of the executors.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Say what would be done and do nothing, whatever the lists allow.
    pub dry_run: bool,
    /// Hosts that may be called.
    pub hosts: Vec<HostRule>,
    /// Programs that may be run.
    pub commands: Vec<CommandRule>,
    /// Secrets that headers name as `${name}`; resolved from the environment or files.
    pub secrets: BTreeMap<String, Secret>,
}

/// A host that may be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostRule {
    /// `host:port` as it stands in the address (the port may be left out for 80 and 443); with
    /// `https://` before it, only that scheme.
    pub host: String,
    /// Methods; empty: POST only.
    #[serde(default)]
    pub methods: Vec<String>,
    /// What the path must start with, by whole segments: `/api` takes `/api` and `/api/x` and not
    /// `/apix`.
    #[serde(default)]
    pub path_prefix: String,
}

/// A program that may be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandRule {
    /// Its whole path.
    #[schemars(length(min = 1))]
    pub program: String,
    /// One regular expression for each argument, which must fit from its first character to its
    /// last; the number of arguments must be the same.
    pub args: Vec<String>,
}

impl HostRule {
    /// Whether the rule speaks of this address, whatever the method.
    fn covers(&self, url: &url::Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let (scheme, name) = match self.host.split_once("://") {
            Some((scheme, name)) => (Some(scheme), name),
            None => (None, self.host.as_str()),
        };
        scheme.is_none_or(|s| s.eq_ignore_ascii_case(url.scheme()))
            && name.eq_ignore_ascii_case(&host)
            && within(&self.path_prefix, url.path())
    }

    fn takes(&self, method: &str) -> bool {
        match self.methods.as_slice() {
            [] => method == "POST",
            listed => listed.iter().any(|m| m.eq_ignore_ascii_case(method)),
        }
    }
}

/// Whether a path lies at or below a prefix, by whole segments.
fn within(prefix: &str, path: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a segment is, once decoded, a step up or several segments: a server that decodes before
/// it routes would be led out of the prefix.
fn climbs(path: &str) -> bool {
    let decoded =
        path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    decoded.split(['/', '\\']).any(|part| part == ".." || part == ".")
}

impl Config {
    /// Whether nothing is ever really sent: it was asked for, or nothing is listed.
    #[must_use]
    pub fn is_dry(&self) -> bool {
        self.dry_run || (self.hosts.is_empty() && self.commands.is_empty())
    }

    /// What an address must be, whoever is asked: `http` or `https`, no user in it, no way out of
    /// its path.
    fn plain_address(url: &url::Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{} is not called; only http and https are", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the address has a user or password in it; put secrets into headers".into());
        }
        if climbs(url.path()) {
            return Err(format!("the path {} leads out of itself", url.path()));
        }
        Ok(())
    }

    /// Whether a request is allowed.
    ///
    /// # Errors
    /// Why it is not, and what to do.
    pub fn allows_request(&self, method: &str, url: &url::Url) -> Result<(), String> {
        Self::plain_address(url)?;
        if self.hosts.iter().any(|rule| rule.covers(url) && rule.takes(method)) {
            return Ok(());
        }
        Err(format!(
            "{method} {} is not allowed; add it to [[remediate.hosts]] if it should be",
            shown(url)
        ))
    }

    /// Whether a target's state may be read there: at any host and path that is listed for actions.
    ///
    /// # Errors
    /// Why it may not, and what to do.
    pub fn allows_look(&self, url: &url::Url) -> Result<(), String> {
        Self::plain_address(url)?;
        if self.hosts.iter().any(|rule| rule.covers(url)) {
            return Ok(());
        }
        Err(format!("{} is not covered by [[remediate.hosts]]; add it if it should be", shown(url)))
    }

    /// Whether a command line is allowed.
    ///
    /// # Errors
    /// Why it is not, and what to do.
    pub fn allows_command(&self, program: &str, args: &[String]) -> Result<(), String> {
        if !program.starts_with('/') {
            return Err(format!("{program} is not a whole path, so it could be anything"));
        }
        // A pattern must stand on its own before it is put between anchors: `a)|(b` must not.
        let whole = |pattern: &str, arg: &str| {
            Regex::new(pattern).is_ok()
                && Regex::new(&format!(r"\A(?:{pattern})\z")).is_ok_and(|r| r.is_match(arg))
        };
        let fits = |rule: &CommandRule| {
            rule.program == program
                && rule.args.len() == args.len()
                && rule.args.iter().zip(args).all(|(pattern, arg)| whole(pattern, arg))
        };
        if self.commands.iter().any(fits) {
            Ok(())
        } else {
            Err(format!(
                "{program} with these arguments is not allowed; add it to [[remediate.commands]] \
                 if it should be"
            ))
        }
    }

    /// Text from a target without what must not be kept: the configured secrets to the letter, and
    /// whatever looks like one.
    #[must_use]
    pub fn redacted(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets.values().map(|s| s.reveal()).filter(|s| s.len() >= 4) {
            text = text.replace(secret, "[secret]");
        }
        redact(&text).into_owned()
    }
}

/// An address in words, without its query, which may hold what is private.
fn shown(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or("no host");
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}
